"""The commands on formulas and results: each takes the parsed options and returns the exit code."""

from __future__ import annotations

import inspect
import os
import sys
import textwrap
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import odeopt as oo
from odeopt.cli.names import UsageError, formulas, made, parameters

SUCCESS, FAILURE, INTERRUPTED = 0, 1, 130     # the last: by Ctrl-C, or by a reader that goes away
_RUN = ("gtol", "max_steps", "max_trials", "t_end", "time_limit", "backend", "out")


def say(words: Any) -> None:
    """Words for people, beside the results."""
    print(words, file=sys.stderr)


# -- formulas

def list_family(options: Namespace) -> int:
    """Print every formula of a family with the summary of its docstring."""
    named = formulas(options.family)
    aliases = oo.methods.names() if options.family == "methods" else {}
    heads = {name: name + _also(name, aliases.get(name, ())) for name in named}
    width = max(map(len, heads.values()))
    for name, formula in named.items():
        text = inspect.getdoc(formula) or ""
        if options.verbose:
            print(f"{name}[{_defaults(formula)}]{_also(name, aliases.get(name, ()))}")
            print(textwrap.indent(text, "    ") + "\n")
        else:
            summary = " ".join(text.partition("\n\n")[0].split())
            print(f"{heads[name]:{width}}  {summary}")
    return SUCCESS


def _also(name: str, aliases: tuple[str, ...]) -> str:
    others = [alias for alias in aliases if alias.lower() != name]
    return f" ({', '.join(others)})" if others else ""


def _defaults(formula: Any) -> str:
    return ", ".join(name if p.default is p.empty else f"{name}={p.default!r}"
                     for name, p in parameters(formula).items())


def verify(options: Namespace) -> int:
    """Print every check that applies; 1 if something is refuted."""
    report = oo.verify.report(made(options.name, "flows", "schemes", "methods"))
    print(report)
    return SUCCESS if report else FAILURE


def compile_kernels(options: Namespace) -> int:
    """Compile the kernels of methods on an objective, those that they go on with included."""
    from odeopt.solver import prepare
    objective = made(options.objective, "objectives")
    methods = [one for text in options.methods for one in _and_then(made(text, "methods"))]
    for method in methods:
        run = prepare(objective, method, [[0.0]*objective.dimension], gtol=1e-6, max_steps=1)
        began = time.perf_counter()
        if run.backend == "lanes":
            _ = run.kernel
            say(f"{method.name} on {objective!r}: ready after {time.perf_counter() - began:.2f} s")
        else:
            say(f"{method.name} on {objective!r}: runs in NumPy, there is nothing to compile")
    return SUCCESS


def _and_then(method: oo.Method) -> Iterator[oo.Method]:
    """A method and those that it goes on with."""
    yield method
    if method.then is not None:
        yield from _and_then(method.then[1])


# -- runs

def solve(options: Namespace) -> int:
    """Print one run; 1 if it did not converge or reach its end."""
    objective, method = made(options.objective, "objectives"), made(options.method, "methods")
    solution = oo.solve(objective, method, options.x0, trace=options.trace, **_given(options, *_RUN))
    if _interrupted(solution.ensemble, options.out):
        return INTERRUPTED
    print(solution)
    if solution.trace is not None and options.out is None:
        print(solution.trace.to_pandas().to_string())
    return _ended(solution.ensemble, options.out, bool(solution.success))


def basins(options: Namespace) -> int:
    """Print the share of the starts that reach each minimum; 1 if no run converged."""
    objective, method = made(options.objective, "objectives"), made(options.method, "methods")
    _check_shape(objective, options.shape)
    if options.plot is not None:
        _check_plot(options.plot, options.shape)
    chosen = _given(options, *_RUN, "radius", "threads")
    result = oo.studies.basins(objective, method, options.box, options.shape, progress=sys.stderr.isatty(), **chosen)
    if _interrupted(result.ensemble, options.out):
        return INTERRUPTED
    print(result)
    code = _ended(result.ensemble, options.out, bool(result.ensemble.success.any()))
    if options.plot is not None:
        os.environ.setdefault("MPLBACKEND", "agg")          # files are written, no window is opened
        files = oo.plot.save(oo.plot.basins(result), options.plot)
        say(f"drawn in {' and '.join(map(str, files))}")
    return code


def _given(options: Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _check_shape(objective: Any, shape: tuple[int, ...]) -> None:
    if len(shape) != objective.dimension:
        example = "x".join(["10"]*objective.dimension)
        raise UsageError(f"--shape has {len(shape)} numbers, but {objective!r} has {objective.dimension} coordinates: "
                         f"write --shape {example} or the like")


def _check_plot(path: str, shape: tuple[int, ...]) -> None:
    if Path(path).suffix not in (".png", ".pdf"):
        raise UsageError(f"--plot writes PNG and PDF, got {path!r}: write FILE.png")
    if len(shape) != 2:
        raise UsageError(f"--plot draws maps of two coordinates, got {len(shape)}: leave it out")


def _interrupted(ensemble: oo.Ensemble, out: str | None) -> bool:
    """Whether Ctrl-C ended the runs; says what of them is kept."""
    interrupted = bool((ensemble.status == oo.Status.INTERRUPTED).any())
    if interrupted and out is not None and ensemble.trace is None:
        say(f"what has ended is kept beside {out}: the same command goes on from there")
    return interrupted


def _ended(ensemble: oo.Ensemble, out: str | None, success: bool) -> int:
    """Say how long the runs took, or that none was needed; the exit code."""
    if ensemble.path is not None:
        say(f"nothing ran: {out} was there, and holds the result of this command")
    else:
        say(f"{ensemble.backend}, {ensemble.threads} thread{'s'*(ensemble.threads > 1)}, {ensemble.time:.3f} s "
            f"(+ {ensemble.compile_time:.2f} s to compile or load)")
    written = out is None or os.path.exists(out)            # a full disk costs a warning, not the result
    return SUCCESS if success and written else FAILURE


# -- results in files

def show(options: Namespace) -> int:
    """Print what a file holds."""
    result = _loaded(options.file)
    ensemble = getattr(result, "ensemble", result)
    method = ensemble.method
    lines = {"objective": ensemble.objective, "flow": method.flow, "scheme": method.scheme,
             "controller": method.controller, "first step": method.h0}
    if method.then is not None:
        lines[f"then, if {method.then[0].name}"] = method.then[1]
    given = (f"{name}={value!r}" for name, value in ensemble.options.items() if value is not None)
    lines["options"] = ", ".join(given)
    lines |= {"started": ensemble.started, "finished": ensemble.finished, **ensemble.environment}
    print(result[0] if isinstance(result, oo.Ensemble) and len(result) == 1 else result)
    width = max(map(len, lines))
    for name, text in lines.items():
        print(f"{name:{width}}  {text}")
    return SUCCESS


def rerun(options: Namespace) -> int:
    """Run a file's result again and print whether the bits agree; 1 if not."""
    again = _loaded(options.file).rerun(options.threads, progress=sys.stderr.isatty())
    if _interrupted(again.result, None):
        return INTERRUPTED
    print(again)
    return SUCCESS if again.equal else FAILURE


def _loaded(path: str) -> Any:
    if not os.path.isfile(path):
        raise UsageError(f"{path} is no file: give one that `--out` or `save` wrote")
    return oo.load(path)
