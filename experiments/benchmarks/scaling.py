"""How the lanes scale in starts, trials and threads: time and memory, each case in a process of its own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

import odeopt as oo
from experiments.benchmarks.problems import GTOL, polyfive, square
from experiments.benchmarks.processes import answer, timed

SIZES = (10**3, 10**4, 10**5, 10**6, 10**7)
PROCESS = Path("/proc/self")
ROOM = 400
"""Bytes a start that must be free for a case to be tried."""


def measure(quick: bool = False, repetitions: int = 5) -> dict:
    """`starts`, `trials` and `threads`: a list of cases each, or `left_out`, for want of memory."""
    module, sizes, side = "experiments.benchmarks.scaling", SIZES[:2] if quick else SIZES, 24 if quick else 250
    free = os.sysconf("SC_AVPHYS_PAGES")*os.sysconf("SC_PAGE_SIZE")
    tried = [size for size in sizes if size*ROOM < free]
    return {
        "starts": [answer(module, "starts", str(size)) for size in tried],
        "left_out": [size for size in sizes if size not in tried],
        "trials": [answer(module, "trials", str(2*side), str(most)) for most in (1000, 10**9)],
        "threads": answer(module, "threads", str(side), str(1 if quick else repetitions)),
    }


def starts(size: int) -> dict:
    """PolyTwo under backtracking from `size` random starts, on all threads."""
    points = np.random.default_rng(0).uniform(-3.0, 3.0, (size, 2))
    return _with_memory(points, lambda p: oo.solve_many(oo.objectives.PolyTwo(), oo.methods.lc_gd(), p, gtol=GTOL))


def trials(side: int, most: int) -> dict:
    """PolyFive from side^2 starts, at most so many trials: memory must not depend on them."""
    return {"most": most, **_with_memory(square(side, 5.0), lambda p: polyfive(p, most, "").run(threads=2).ends())}


def threads(side: int, repetitions: int) -> dict:
    """Seconds (lists) of the polyFive map to its ends, by number of threads, alternately."""
    problem, cores = polyfive(square(side, 5.0), 10**9, ""), len(os.sched_getaffinity(0))
    runs = {n: problem.run(threads=n) for n in (1, 2, 4, 8, 16, 32, 64) if n <= cores}
    taken: dict[int, list[float]] = {n: [] for n in runs}
    for run in runs.values():
        run.ends()
    for _ in range(repetitions):
        for n, run in runs.items():
            taken[n].append(timed(run.ends)[0]["seconds"])
    return {"side": side, "seconds": taken}


def _with_memory(points: np.ndarray, run) -> dict:
    """Time, trials, bytes of the results and the most that was taken beyond them and the starts, per start."""
    run(points[:100])
    before = _memory()
    took, ensemble = timed(lambda: run(points))
    results = {id(whole): whole.nbytes for whole in map(_owner, ensemble.arrays().values())}
    beyond = _most_memory() - before - sum(results.values())
    return {"starts": len(points), **took, "trials": int(ensemble.trials.sum()), "threads": ensemble.threads,
            "converged": int(ensemble.success.sum()), "results": sum(results.values())/len(points),
            "beyond": beyond/len(points)}


def _owner(array: np.ndarray) -> np.ndarray:
    """The array whose memory a view shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _memory() -> float:
    """Bytes in memory now; `_most_memory` counts from here on."""
    if PROCESS.exists():
        (PROCESS/"clear_refs").write_text("5")
    return _status("VmRSS")


def _most_memory() -> float:
    """The most bytes in memory since `_memory`. What `resource` tells of it begins with the parent's."""
    return _status("VmHWM")


def _status(name: str) -> float:
    """A line of the process's status, in bytes; not a number on systems that tell none."""
    if not PROCESS.exists():
        return float("nan")
    lines = (PROCESS/"status").read_text(encoding="utf-8").splitlines()
    return next(1024.0*int(line.split()[1]) for line in lines if line.startswith(name + ":"))


if __name__ == "__main__":
    case, *numbers = sys.argv[1:]
    print(json.dumps({"starts": starts, "trials": trials, "threads": threads}[case](*map(int, numbers))))
