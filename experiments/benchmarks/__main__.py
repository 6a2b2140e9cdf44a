"""`python -m experiments.benchmarks`: the report of every benchmark."""

import os
import platform

import llvmlite.binding
import numba
import numpy as np

from experiments.benchmarks import first_result, polyfive


def main() -> None:
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, numba {numba.__version__}, "
          f"{llvmlite.binding.get_host_cpu_name()}, {os.cpu_count()} CPUs")
    for measure in (polyfive.measure, polyfive.memory, first_result.measure):
        print("\n".join(measure()), flush=True)


if __name__ == "__main__":
    main()
