"""The command line: results to files and stdout, words to stderr, and an exit code that scripts can trust."""

from odeopt.cli.program import main

__all__ = ["main"]
