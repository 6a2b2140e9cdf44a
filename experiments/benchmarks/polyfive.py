"""The polyFive map: throughput on one and two threads, against a hand-written kernel, and memory.

Gradient descent under Lyapunov backtracking (shrink 2, grow 1e4, slope 1/2, gtol 1e-4) from np.linspace(-5, 5, 200)^2:
6829 trials a start, the sum of all end coordinates is 3358.267.
"""

import resource
import subprocess
import sys
import time

import numpy as np

import odeopt as oo

OPTIONS = {"gtol": 1e-4, "max_steps": 200_000, "max_trials": 10**9}


def starts(n: int) -> np.ndarray:
    line = np.linspace(-5.0, 5.0, n)
    return np.stack([a.ravel() for a in np.meshgrid(line, line)], axis=1)


def seconds(function) -> tuple[float, object]:
    began = time.perf_counter()
    result = function()
    return time.perf_counter() - began, result


def measure(repetitions: int = 7) -> list[str]:
    """Lines of the report."""
    from experiments.benchmarks import hand_written
    points, landscape, method = starts(200), oo.objectives.PolyFive(), oo.methods.lc_gd()

    def lanes(threads: int):
        return oo.solve_many(landscape, method, points, threads=threads, **OPTIONS)

    def by_hand():
        return hand_written.run(points, 0.1, 0.5, 2.0, 1e4, 1e-4)
    lanes(1), by_hand()
    times: dict[str, list[float]] = {"one": [], "hand": [], "two": []}
    for _ in range(repetitions):                            # alternately, so that a slow minute is everybody's
        for name, run in (("one", lambda: lanes(1)), ("hand", by_hand), ("two", lambda: lanes(2))):
            taken, result = seconds(run)
            times[name].append(taken)
            if name == "one":
                ensemble = result
    one, hand, two = (float(np.median(times[name])) for name in ("one", "hand", "two"))
    trials = int(ensemble.trials.sum())
    return [
        f"polyFive map, 200 x 200 starts, {ensemble.trials.mean():.1f} trials a start, "
        f"end points sum to {ensemble.x.sum():.3f}",
        f"  lanes, 1 thread     {one:.3f} s  {trials/one/1e9:.3f}e9 trials/s",
        f"  written by hand     {hand:.3f} s  ratio {hand/one:.2f}",
        f"  lanes, 2 threads    {two:.3f} s  {one/two:.2f} times one thread",
    ]


def memory() -> list[str]:
    """Peak memory of maps of 250 x 250 and 1000 x 1000 starts, each in a process of its own."""
    lines = []
    for n, trials in ((250, 1000), (250, 10**9), (1000, 10**9)):
        code = (f"from experiments.benchmarks import polyfive; polyfive.one_map({n}, {trials})")
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        lines.append(f"  {done.stdout.strip()}")
    return ["memory of polyFive maps (results: 19 numbers a start)", *lines]


def one_map(n: int, most_trials: int) -> None:
    """Print time and peak memory of one map on all threads."""
    points = starts(n)
    oo.solve_many(oo.objectives.PolyFive(), oo.methods.lc_gd(), points[:100], **OPTIONS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken, ensemble = seconds(lambda: oo.solve_many(oo.objectives.PolyFive(), oo.methods.lc_gd(), points,
                                                    **{**OPTIONS, "max_trials": most_trials}))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rate, memory = ensemble.trials.sum()/taken/1e9, 1024*(after - before)
    print(f"{n} x {n} starts, at most {most_trials:.0e} trials: {taken:.2f} s, {rate:.3f}e9 trials/s, "
          f"{ensemble.threads} threads, + {memory/2**20:.0f} MiB = {memory/n**2:.0f} bytes a start")
