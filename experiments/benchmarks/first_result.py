"""Time to the first result: imports, a cold and a warm kernel cache, further kernels. Each in a process of its own."""

import os
import subprocess
import sys
import tempfile

import numpy as np

FIRST = """
import time; began = time.perf_counter()
import numpy as np; numpy = time.perf_counter() - began
import odeopt as oo; imported = time.perf_counter() - began - numpy
starts = np.stack([a.ravel() for a in np.meshgrid(*[np.linspace(-3, 3, 30)]*2)], axis=1)
def run(method):
    began = time.perf_counter()
    ensemble = oo.solve_many(oo.objectives.PolyThree(), method, starts, gtol=1e-4)
    return time.perf_counter() - began, ensemble.compile_time
first = run(oo.methods.lc_gd())[0]
others = [run(m)[1] for m in (oo.methods.gd(0.01), oo.methods.adam(0.1), oo.methods.lc_momentum(), oo.methods.er(),
                           oo.methods.em(), oo.methods.lcd_gd())]
again = run(oo.methods.lc_gd(slope=0.3))[1]
print(numpy, imported, numpy + imported + first, np.median(others), again)
"""
# the least that a compiled result costs: NumPy, numba, and one function from numba's own cache
LIMIT = """
import time; began = time.perf_counter()
import numpy, sys; sys.path.insert(0, sys.argv[1]); import one_function
print(time.perf_counter() - began)
"""
ONE_FUNCTION = """
from numba import cfunc
@cfunc("void(CPointer(float64), int64)", cache=True)
def function(a, n):
    for i in range(n):
        a[i] = 2.0*a[i] + 1.0
"""


def measure(repetitions: int = 5) -> list[str]:
    """Lines of the report: medians."""
    cold, warm, limit = [], [], []
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "one_function.py"), "w") as file:
                file.write(ONE_FUNCTION)
            _times(LIMIT, folder)
            cold.append(_times(FIRST, folder))
            warm.append(_times(FIRST, folder))
            limit.append(_times(LIMIT, folder))
    c, w, least = np.median(cold, axis=0), np.median(warm, axis=0), float(np.median(limit))
    return [
        "time to the first result (polyThree, lc_gd, 900 starts), in a new process, NumPy's import included",
        f"  import odeopt beyond NumPy ({w[0]:.3f} s)       {w[1]:.3f} s",
        f"  empty cache                              {c[2]:.2f} s; each further combination {c[3]:.2f} s",
        f"  warm cache                               {w[2]:.2f} s; each further cached kernel {1e3*w[3]:.1f} ms",
        f"  NumPy, numba and one cached function     {least:.2f} s: the warm cache takes {w[2]/least:.2f} times that",
        f"  other values of the parameters           {1e3*w[4]:.1f} ms (no new kernel)",
    ]


def _times(code: str, folder: str) -> list[float]:
    environment = {**os.environ, "ODEOPT_CACHE_DIR": folder}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)        # with it every process compiles every module anew
    command = [sys.executable, "-c", code, folder]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return [float(word) for word in done.stdout.split()]
