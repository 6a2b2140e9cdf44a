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
    oo.solve_many(oo.objectives.PolyThree(), method, starts, gtol=1e-4)
    return time.perf_counter() - began
first = run(oo.methods.lc_gd())
others = [run(m) for m in (oo.methods.gd(0.01), oo.methods.adam(0.1), oo.methods.lc_momentum(), oo.methods.er(),
                           oo.methods.em(), oo.methods.lcd_gd())]
again = run(oo.methods.lc_gd(slope=0.3))
print(numpy, imported, numpy + imported + first, np.median(others), again)
"""


def measure(repetitions: int = 5) -> list[str]:
    """Lines of the report: medians."""
    cold, warm = [], []
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(_times(folder))
            warm.append(_times(folder))
    c, w = np.median(cold, axis=0), np.median(warm, axis=0)
    return [
        "time to the first result (polyThree, lc_gd, 900 starts), in a new process, NumPy's import included",
        f"  import odeopt beyond NumPy ({w[0]:.3f} s)       {w[1]:.3f} s",
        f"  empty cache                              {c[2]:.2f} s; each further combination {c[3]:.2f} s",
        f"  warm cache                               {w[2]:.2f} s; each further cached kernel {1e3*w[3]:.1f} ms",
        f"  other values of the parameters           {1e3*w[4]:.1f} ms (no new kernel)",
    ]


def _times(folder: str) -> list[float]:
    environment = {**os.environ, "ODEOPT_CACHE_DIR": folder}
    done = subprocess.run([sys.executable, "-c", FIRST], env=environment, check=True, capture_output=True, text=True)
    return [float(word) for word in done.stdout.split()]
