"""The same trainings of networks by all tools, and the compiled evaluator and its loop alone.

`python -m experiments.benchmarks.networks CASE` measures one case in this process, which `measure` starts.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_double, c_int64, c_void_p

import numpy as np

import odeopt as oo
from experiments.benchmarks.compare import alternated
from experiments.benchmarks.first_result import printed
from experiments.benchmarks.peers.networks import TOOLS
from experiments.benchmarks.processes import ONE_THREAD, answer, pin, timed
from experiments.benchmarks.trainings import AGREEMENT, LR, Training, training, trainings
from odeopt.compile import cache
from odeopt.objectives import Network

OURS = "vector"
MODULE = "experiments.benchmarks.networks"
SPIRALS = (2, 12, 12, 12, 1)
# gradient descent as one types it out, around the same compiled gradient: 3 asks for value and gradient at once
BY_HAND = '''
from llvmlite import ir
from numba import cfunc, types
from numba.extending import intrinsic


@intrinsic
def evaluate(context, address, what, x, g, data, work, layout):
    def generate(context, builder, signature, arguments):
        address, what, x, g, *rest = arguments
        number = ir.DoubleType().as_pointer()
        values = [what, x, g, *(builder.inttoptr(pointer, number) for pointer in rest)]
        function = ir.FunctionType(ir.DoubleType(), [value.type for value in values])
        return builder.call(builder.inttoptr(address, function.as_pointer()), values)
    return types.float64(address, types.int64, x, g, data, work, layout), generate


@cfunc("void(int64, int64, int64, int64, CPointer(float64), CPointer(float64), int64, float64, int64)",
       error_model="numpy", fastmath={"arcp", "contract", "nsz"})
def descend(objective, data, work, layout, x, g, n, lr, steps):
    for _ in range(steps):
        for i in range(n):
            x[i] -= lr*g[i]
        evaluate(objective, 3, x, g, data, work, layout)
'''
# a new process, its cache warm but for the new formula
FIRST = """
import time; began = time.perf_counter()
import os, sys
import numpy as np
import odeopt as oo
from odeopt.compile import cache
random = np.random.default_rng(0)
inputs = random.normal(size=(500, 2))
network = oo.objectives.Network((2, 20, 1), inputs, np.sin(inputs[:, :1]))
def run(network, method):
    before = time.perf_counter()
    oo.solve_many(network, method, network.initial(4), max_steps=50)
    return time.perf_counter() - before
run(network, oo.methods.lc_gd())
trained = time.perf_counter() - began
class Tempered(oo.Flow):
    blocks = ("x",)
    def field(self, g):
        return -g/(1.0 + float(sys.argv[2])*np.sqrt(np.abs(g)))
method = oo.Method(Tempered(), oo.schemes.ExplicitEuler(), oo.controllers.Constant(), 0.1)
formula = run(network, method)
before = len(os.listdir(cache.kernel_folder()))
run(oo.objectives.Network((2, 12, 7, 1), inputs, np.sin(inputs[:, :1])), oo.methods.lc_gd())
print([trained, formula, len(os.listdir(cache.kernel_folder())) - before])
"""


def measure(quick: bool = False, repetitions: int = 7) -> dict:
    """Everything about networks.

    Returns
    -------
    dict
        `tools`, as `compare.alternated` gives it; `loop`, for each training its seconds by the `emitted` and the
        `hand` written loop; `products`, the rate of NumPy's dgemm and that of training by number of samples; `threads`,
        seconds by number of threads; `first`, seconds to a `trained` network in a new process, those of a new
        `formula`, and the `kernels` that another architecture needs; `spirals`, the seconds and the number of trainings
        of two spirals.
    """
    small = ["--quick"]*quick
    return {
        "tools": alternated(TOOLS, trainings(quick), OURS, _check, quick, repetitions),
        "loop": answer(MODULE, "loop", *small, **ONE_THREAD),
        "products": answer(MODULE, "products", *small, **ONE_THREAD),
        "threads": answer(MODULE, "threads", *small),
        "first": first(1 if quick else 5),
        "spirals": answer(MODULE, "spirals", *small),
    }


def _check(name: str, tool: str, got: dict, ours: dict, starts: int) -> None:
    allowed = AGREEMENT["float32" if "float32" in name else "float64"]
    if not abs(got["ends"] - ours["ends"]) <= allowed*abs(ours["ends"]):
        raise RuntimeError(f"{tool} does not train {name}: its loss is {got['ends']!r} at the end of the first start, "
                           f"that of odeopt {ours['ends']!r}")


def alternately(functions: dict[str, Callable[[], object]], repetitions: int) -> dict[str, list[float]]:
    """Seconds of functions without arguments, which are called in turn."""
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repetitions):
        for name, function in functions.items():
            taken[name].append(timed(function)[0]["seconds"])
    return taken


def loop(quick: bool) -> dict:
    """Seconds of the emitted kernel and of a loop written by hand, which end at the same point."""
    sizes = {"1-2-1": ((1, 2, 1), 2000), "2-20-1": ((2, 20, 1), 400), "13-50-1": ((13, 50, 1), 100)}
    return {name: _loops(training(layers, 500, steps//(20 if quick else 1))) for name, (layers, steps) in sizes.items()}


def _loops(case: Training) -> dict[str, list[float]]:
    run, records = case.compiled()
    start, n = records[0], case.network.dimension
    evaluator = case.network.evaluator()
    work, x, g = evaluator.scratch(), np.empty(n), np.empty(n)
    function = CFUNCTYPE(None, *[c_int64]*4, *[c_void_p]*2, c_int64, c_double, c_int64)(
        cache.load_kernel(BY_HAND).descend.address)

    def emitted() -> None:
        run.begin(start)
        run.go(case.steps)

    def by_hand() -> None:
        x[:], g[:] = case.starts[0], start["g"]
        function(evaluator.address, evaluator.data.ctypes.data, work.ctypes.data, evaluator.layout.ctypes.data,
                 x.ctypes.data, g.ctypes.data, n, LR, case.steps)
    taken = alternately({"emitted": emitted, "hand": by_hand}, 40)
    if not np.array_equal(run.vector("z", "x"), x):
        raise RuntimeError(f"{case.title}: the loop written by hand ends elsewhere than the emitted kernel")
    return taken


def products(quick: bool) -> list[dict]:
    """GFLOP/s of NumPy's product at the first layer's shape, and of training, by their multiply-adds."""
    found = []
    for P in (100,) if quick else (1000, 10_000):
        case = training((784, 100, 10), P, 1)
        run, records = case.compiled()
        inputs, weights = case.network.inputs, np.ascontiguousarray(case.network.unpack(case.starts[0])[0][0].T)

        def train(run=run, record=records[0]) -> None:
            run.begin(record)
            run.go(1)
        taken = alternately({"dgemm": lambda a=inputs, b=weights: a @ b, "training": train}, 7)
        # forward and for the gradient once each, and down to the hidden layer
        counts = {"dgemm": 2*P*784*100, "training": 2*P*(2*784*100 + 3*100*10)}
        found.append({"samples": P, **{name: counts[name]/np.median(taken[name])/1e9 for name in taken}})
    return found


def threads(quick: bool) -> dict[int, list[float]]:
    """Seconds of training from many starts, by number of threads."""
    case = training((2, 20, 1), 500, 20 if quick else 400)
    numbers = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= len(os.sched_getaffinity(0))]

    def train(n: int) -> None:
        oo.solve_many(case.network, oo.methods.gd(LR), case.starts[:64], max_steps=case.steps, gtol=0.0, threads=n)
    return {int(name): taken for name, taken in
            alternately({str(n): lambda n=n: train(n) for n in numbers}, 5).items()}


def first(repetitions: int) -> dict[str, float]:
    """Medians of seconds of a new process with a warm cache and of a new formula; kernels of another architecture."""
    with tempfile.TemporaryDirectory() as folder:
        found = [printed(FIRST, folder, str(1.0 + k)) for k in range(repetitions + 1)][1:]
    return dict(zip(("trained", "formula", "kernels"), np.median(found, axis=0).tolist(), strict=True))


def spirals(quick: bool) -> dict:
    """Seconds of trainings on two spirals under backtracking, on all threads."""
    data = oo.data.two_spirals()
    network = Network(SPIRALS, data.inputs, data.targets, output="sigmoid")
    starts = network.initial(4 if quick else 100)
    took, ends = timed(lambda: oo.solve_many(network, oo.methods.lc_gd(), starts, gtol=1e-2,
                                             max_steps=10 if quick else 1000))
    return {**took, "trainings": len(starts), "trials": int(ends.trials.sum()), "threads": ends.threads,
            "converged": int(ends.success.sum())}


CASES: dict[str, Callable] = {"loop": loop, "products": products, "threads": threads, "spirals": spirals}

if __name__ == "__main__":
    if sys.argv[1] in ("loop", "products"):
        pin()
    print(json.dumps(CASES[sys.argv[1]]("--quick" in sys.argv)))
