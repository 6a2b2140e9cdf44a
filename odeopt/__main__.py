"""`python -m odeopt`: the command line."""

import sys

from odeopt.cli import main

if __name__ == "__main__":
    sys.exit(main())
