"""Time to the first result, for one and for forty combinations: a cold and a warm cache, each in a new process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

FIRST = """
import time; began = time.perf_counter()
import sys
import numpy as np; numpy = time.perf_counter() - began
import odeopt as oo; imported = time.perf_counter() - began - numpy
starts = np.stack([a.ravel() for a in np.meshgrid(*[np.linspace(-3.0, 3.0, 30)]*2)], axis=1)
def run(landscape, method):
    oo.solve_many(getattr(oo.objectives, landscape)(), method, starts, gtol=1e-4, max_steps=100)
    return time.perf_counter() - began
pairs = [pair.split("/") for pair in sys.argv[2].split()]
ends = [run(landscape, oo.methods.get(method)) for landscape, method in pairs]
print([imported, ends[0], ends[-1], run(pairs[0][0], oo.methods.lc_gd(slope=0.3)) - ends[-1]])
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
LANDSCAPES = ("PolyThree", "PolyTwo", "PolyFive", "Himmelblau", "Beale")
METHODS = ("lc_gd", "gd", "adam", "lc_momentum", "er", "em", "lcd_gd", "rmsprop")


def measure(quick: bool = False, repetitions: int = 5) -> dict:
    """Medians of seconds.

    Returns
    -------
    dict
        `combinations`, how many; `limit`; for `cold` and `warm` the `import` beyond NumPy's, the time to the `first`
        result and to `all`, NumPy's import included, and that of one more run `again` with another parameter.
    """
    pairs = [f"{landscape}/{method}" for landscape in LANDSCAPES for method in METHODS][:2 if quick else None]
    found: dict[str, list] = {"cold": [], "warm": [], "limit": []}
    for _ in range(1 if quick else repetitions):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "one_function.py"), "w", encoding="utf-8") as file:
                file.write(ONE_FUNCTION)
            printed(LIMIT, folder)
            found["limit"].append(printed(LIMIT, folder))
            for cache in ("cold", "warm"):
                found[cache].append(printed(FIRST, folder, " ".join(pairs)))
    names = ("import", "first", "all", "again")
    cold, warm = (dict(zip(names, np.median(found[cache], axis=0).tolist(), strict=True)) for cache in ("cold", "warm"))
    return {"combinations": len(pairs), "limit": float(np.median(found["limit"])), "cold": cold, "warm": warm}


def printed(code: str, folder: str, *arguments: str) -> list | float:
    environment = {**os.environ, "ODEOPT_CACHE_DIR": folder}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)        # with it every process compiles every module anew
    command = [sys.executable, "-c", code, folder, *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)
