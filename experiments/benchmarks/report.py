"""What was measured, as Markdown, as two pictures, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import gallery
from experiments.benchmarks import networks
from experiments.benchmarks.compare import OURS
from odeopt import plot

IDLE, ALONE = 0.3, 0.95
"""On a quiet machine: the most load before a run, and the least share of the time that a process has its core."""
ENOUGH = 100_000
"""Starts from which on the memory of a process shows what they take."""
COMPARED = """
Every tool computes the same starts with the same formulas, stop test (|g| at most 1e-4) and limit of trials; before
anything is timed, the sums of the ends and the trials are compared with those of the lanes. PolyFive is run under
Lyapunov backtracking (shrink 2, grow 1e4, slope 1/2), Rosenbrock by the heavy ball (lr 1e-4, momentum 0.9), polyThree
by Adam (lr 0.1). Arrays and compiled functions exist before a time begins; the lanes' records, counts and last values
are made in it. Per trial means per trial of a run that had not yet ended: what a batch computes after that is the
price of its form. Gradients are differentiated and simplified by hand, but the lanes derive theirs. Each tool takes
the fastest of its batch sizes and modes.
"""
COUNTED = """
Independent fused multiply-adds reach {:.1f} GFLOP/s on one core, by a kernel that numba compiles.
Operations are those of one trial as traced, the stop test and all counts included. Additions, subtractions,
multiplications, divisions and square roots count as one each, so a multiply-add as two. Comparisons, selects and logic
count nothing, though they take the same units, nor do exp and its like, some twenty operations each.
"""
SCALED = """
PolyTwo under backtracking from random starts. Results are the arrays that the caller gets, with a copy of the starts;
beyond them is the most memory that the process took meanwhile.
"""
FIRST = """
A landscape and a method each, 900 starts, at most 100 steps, in a new process, NumPy's import included, on all threads.
To import NumPy and numba and to load one cached function takes {:.2f} s.
"""
TRAINED = """
Full batches, tanh, half the mean of squares; weights and samples are the same for every tool, and so is the loss after
these steps, compared before anything is timed. A trial is a step from one start, tried under backtracking or taken.
JAX has jit of a scan over steps, and of a while_loop over trials; torch differentiates and updates as its users write
it. Each tool takes the fastest of one start and of several at a time.
"""
LOOPS = """
The emitted loop over steps, which counts, watches limits and keeps what can be told later, takes this many times the
time of a loop written by hand around the same compiled gradient: {}.
"""
COLORS = {OURS: "vermillion", "lanes, by hand": "orange", "numba, scalar": "green", "JAX vmap": "blue",
          "torch, compiled": "purple", "torch, eager": "sky", "NumPy": "black"}


def write(found: dict, folder: Path) -> None:
    """Write `report.md`, `measurements.json` and the pictures."""
    gallery.write_text(folder/"measurements.json", json.dumps(found, indent=1) + "\n")
    for name, draw in (("tools", tools_drawn), ("starts", starts_drawn)):
        plot.save(draw(found), folder/name)
    gallery.write_text(folder/"report.md", "\n".join(_page(found)))


def _page(found: dict) -> Iterator[str]:
    yield "# Speed\n"
    yield from (_paragraph(text) for text in (_setting(found), _quiet(found)))
    yield "## Targets\n\n" + gallery.markdown(targets(found))
    yield "## The same maps by other tools\n\n![Time per trial](tools.png)\n"
    yield _paragraph(COMPARED)
    for kept in found["compare"]["maps"].values():
        yield f"### {kept['title']}\n\n{gallery.markdown(_tools(kept))}"
        yield from (f"Failed: {way}: {why}\n" for way, why in kept["failed"].items())
    for name, why in (found["compare"]["missing"] | found["networks"]["tools"]["missing"]).items():
        yield f"Not measured: {name} ({why}). `pip install 'odeopt-lab[peers]'` brings it.\n"
    yield "## Share of the peak\n"
    yield _paragraph(COUNTED.format(found["peak"]["peak"]/1e9)) + "\n" + gallery.markdown(_shares(found["peak"]))
    yield "## Starts, trials and threads\n\n![Time per start](starts.png)\n"
    yield _paragraph(SCALED) + "\n" + gallery.markdown(_sizes(found["scaling"]["starts"]))
    for size in found["scaling"]["left_out"]:
        yield f"Left out: {size:,} starts, for want of memory.\n"
    yield "PolyFive from the same starts, with few and with many trials.\n"
    yield gallery.markdown(_sizes(found["scaling"]["trials"]))
    yield _paragraph(_threads(found["scaling"]["threads"]))
    yield "## Time to the first result\n"
    first = found["first_result"]
    yield _paragraph(FIRST.format(first["limit"])) + "\n" + gallery.markdown(_first(first))
    yield "## Networks\n"
    yield _paragraph(TRAINED)
    yield from _trained(found["networks"])


def _trained(found: dict) -> Iterator[str]:
    for kept in found["tools"]["maps"].values():
        yield f"### {kept['title']}\n\n{gallery.markdown(_trainers(kept))}"
    yield _paragraph(LOOPS.format(", ".join(f"{name} {ratio:.3f}" for name, ratio in _loops(found).items())))
    yield "Rates by the multiply-adds of the products alone, beside NumPy's dgemm at the first layer's shape.\n"
    yield gallery.markdown(pd.DataFrame(
        [{"samples": f"{rate['samples']:,}", "dgemm, GFLOP/s": f"{rate['dgemm']:.1f}",
          "training, GFLOP/s": f"{rate['training']:.1f}"} for rate in found["products"]]))
    first, spirals = found["first"], found["spirals"]
    yield _paragraph(
        f"A new process with a warm cache has trained a network after {first['trained']:.2f} s; a new formula takes "
        f"{first['formula']:.2f} s, another architecture needs {first['kernels']:.0f} kernels. {spirals['trainings']} "
        "trainings of 2-12-12-12-1 on two spirals under backtracking, at most 1000 steps each, took "
        f"{spirals['seconds']:.1f} s on {spirals['threads']} threads ({spirals['trials']:,} trials): 10 000 would take "
        f"{_all_spirals(spirals)/60:.0f} min.")


def _all_spirals(spirals: dict) -> float:
    return 10_000*spirals["seconds"]/spirals["trainings"]


def _per_trial(kept: dict, tool: str) -> float:
    return _median(kept, tool)/kept["tools"][tool]["trials"] if tool in kept["tools"] else np.nan


def _trainers(kept: dict) -> pd.DataFrame:
    ours = _per_trial(kept, networks.OURS)
    return pd.DataFrame(
        [{"tool": tool, "way": kept["tools"][tool]["way"], "µs per trial": f"{1e6*_per_trial(kept, tool):.2f}",
          "times odeopt": f"{_per_trial(kept, tool)/ours:.2f}"}
         for tool in sorted(kept["tools"], key=lambda tool: _per_trial(kept, tool))])


def _loops(found: dict) -> dict[str, float]:
    """Of the least times: both loops call the same kernel, and what disturbs one of them is no part of it."""
    return {name: min(taken["emitted"])/min(taken["hand"]) for name, taken in found["loop"].items()}


def _paragraph(text: str) -> str:
    return gallery.wrapped(text) + "\n"


def _setting(found: dict) -> str:
    machine, versions = found["machine"], found["compare"]["versions"]
    tools = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    small = ", in small (--quick): no measurement" if found["quick"] else ""
    return (f"`make bench`, {found['date']}{small}. {machine['CPU']}, {machine['cores']} cores, {machine['system']}, "
            f"Python {machine['Python']}. {tools}. Times are medians by the clock. What is compared ran alternately, "
            "each tool in a process of its own, in float64, on one thread of one core unless threads are stated.")


def _quiet(found: dict) -> str:
    share = min(np.median(np.divide(tool["processor"], tool["seconds"]))
                for kept in found["compare"]["maps"].values() for tool in kept["tools"].values())
    seen = f"the load before the run was {found['load']:.2f}, and every tool had its core for {share:.0%} of the time"
    if share >= ALONE and found["load"] <= IDLE:
        return f"The machine was quiet: {seen} at least."
    return f"**The machine was busy: {seen} or more. Times and ratios are not to be trusted.**"


def _median(kept: dict, tool: str) -> float:
    return float(np.median(kept["tools"][tool]["seconds"])) if tool in kept["tools"] else np.nan


def _by_time(kept: dict) -> list[str]:
    return sorted(kept["tools"], key=lambda tool: _median(kept, tool))


def _tools(kept: dict) -> pd.DataFrame:
    rows = []
    for tool in _by_time(kept):
        taken, seconds = kept["tools"][tool], _median(kept, tool)
        rows.append({"tool": tool, "way": taken["way"], "s": f"{seconds:.4f}",
                     "from, to": f"{min(taken['seconds']):.4f}, {max(taken['seconds']):.4f}",
                     "ns per trial": f"{1e9*seconds/kept['trials']:.2f}",
                     "times the lanes": f"{seconds/_median(kept, OURS):.2f}"})
    return pd.DataFrame(rows)


def _shares(peak: dict) -> pd.DataFrame:
    return pd.DataFrame([
        {"runs": case["title"], "counted": case["operations"]["arithmetic"],
         "functions": case["operations"]["functions"], "other operations": case["operations"]["others"],
         "GFLOP/s": f"{case['rate']/1e9:.1f}",
         "share of the peak": f"{case['share']:.0%}"} for case in peak["cases"].values()])


def _sizes(cases: list[dict]) -> pd.DataFrame:
    return pd.DataFrame([
        {"starts": f"{case['starts']:,}", "trials a start": f"{case['trials']/case['starts']:.1f}",
         "threads": case["threads"], "s": f"{case['seconds']:.3f}",
         "µs a start": f"{1e6*case['seconds']/case['starts']:.3f}",
         "results, bytes a start": f"{case['results']:.0f}",
         "beyond them": "" if np.isnan(_beyond(case)) else f"{_beyond(case):.0f}",
         "converged": f"{case['converged']/case['starts']:.2%}"}
        for case in cases])


def _beyond(case: dict) -> float:
    """Bytes a start beyond the results; of few starts the process's own changes hide them."""
    return case["beyond"] if case["starts"] >= ENOUGH else np.nan


def _threads(case: dict) -> str:
    seconds = {int(n): float(np.median(taken)) for n, taken in case["seconds"].items()}
    others = [f"{n} threads {s:.3f} s ({seconds[1]/s:.2f} times as fast)" for n, s in seconds.items() if n > 1]
    times = ", ".join([f"1 thread {seconds[1]:.3f} s", *others])
    return f"PolyFive from {case['side']} × {case['side']} starts to the ends: {times}."


def _first(found: dict) -> pd.DataFrame:
    count = found["combinations"]
    return pd.DataFrame([
        {"cache": cache, "import beyond NumPy's, s": f"{taken['import']:.3f}",
         "first result, s": f"{taken['first']:.2f}",
         f"{count} combinations, s": f"{taken['all']:.2f}",
         "each further one, ms": f"{1e3*(taken['all'] - taken['first'])/(count - 1):.0f}",
         "again with another parameter, ms": f"{1e3*taken['again']:.0f}"}
        for cache, taken in (("cold", found["cold"]), ("warm", found["warm"]))])


def targets(found: dict) -> pd.DataFrame:
    """What is aimed at, and what was measured."""
    maps, shares = found["compare"]["maps"], found["peak"]["cases"]

    def times(name: str, tool: str) -> float:
        return _median(maps[name], tool)/_median(maps[name], OURS)
    sizes = found["scaling"]["starts"]
    few, many = found["scaling"]["trials"]
    more = _beyond(many) + many["results"] - _beyond(few) - few["results"]
    aims = [
        ("polyFive, early stop, times JAX vmap(while_loop)", times("polyfive", "JAX vmap"), 10.0, "{:.1f}"),
        ("polyFive, fixed trials, times JAX vmap(fori_loop)", times("polyfive_fixed", "JAX vmap"), 7.0, "{:.1f}"),
        ("polyFive, fixed trials, times torch.compile", times("polyfive_fixed", "torch, compiled"), 2.3, "{:.1f}"),
        ("Adam on polyThree, times JAX", times("adam", "JAX vmap"), 7.0, "{:.1f}"),
        ("polyFive, fixed steps: share of the peak", shares["polyfive_fixed"]["share"], 0.6, "{:.0%}"),
        ("polyFive with refill: share of the peak", shares["polyfive_refill"]["share"], 0.5, "{:.0%}"),
        ("Rosenbrock, heavy ball: share of the peak", shares["rosenbrock"]["share"], 0.7, "{:.0%}"),
    ]
    limits = [
        (f"bytes a start beyond the results, {sizes[-1]['starts']:,} starts", _beyond(sizes[-1]), 200.0),
        (f"more bytes a start after {many['trials']/few['trials']:.1f} times the trials", more, 20.0),
    ]
    rows = [_aim(aim, f"at least {text.format(bound)}", text.format(value), value >= bound, value)
            for aim, value, bound, text in aims]
    rows += [_aim(aim, f"at most {bound:.0f}", f"{value:.0f}", value <= bound, value) for aim, value, bound in limits]
    return pd.DataFrame(rows + _network_targets(found["networks"]))


FASTER = (("1-2-1", 80.0, 3.0), ("2-20-1", 14.0, 2.2), ("13-50-1", 5.0, 1.2), ("784-100-10", 1.7, 1.15),
          ("784-100-10_10000", 1.7, 1.15), ("784-100-10_float32", np.nan, 0.85), ("2-20-1_backtracking", np.nan, 1.9),
          ("13-50-1_backtracking", np.nan, 1.0))
"""Trainings, and how many times the time of odeopt torch and JAX should take at least."""


def _network_targets(found: dict) -> list[dict[str, str]]:
    rows, maps = [], found["tools"]["maps"]
    for name, *bounds in FASTER:
        for tool, bound in zip(("torch, eager", "JAX"), bounds, strict=True):
            if name in maps and not np.isnan(bound):
                value = _per_trial(maps[name], tool)/_per_trial(maps[name], networks.OURS)
                rows.append(_aim(f"{maps[name]['title']}, times {tool}", f"at least {bound}", f"{value:.2f}",
                                 value >= bound, value))
    for rate in found["products"]:
        share = rate["training"]/rate["dgemm"]
        rows.append(_aim(f"784-100-10, {rate['samples']:,} samples: share of the rate of dgemm", "at least 80%",
                         f"{share:.0%}", share >= 0.8, share))
    times = {int(n): float(np.median(taken)) for n, taken in found["threads"].items()}
    gain = times[1]/times[2] if 2 in times else np.nan
    rows.append(_aim("2-20-1 from 64 starts: gain by two threads", "at least 1.8", f"{gain:.2f}", gain >= 1.8, gain))
    first = found["first"]
    limits = [(f"{name}: times the loop by hand", ratio, 1.05) for name, ratio in _loops(found).items()]
    limits += [("a network trained in a new process, s", first["trained"], 0.45),
               ("a new formula on a network, s", first["formula"], 0.9),
               ("kernels that another architecture needs", first["kernels"], 0)]
    return rows + [_aim(aim, f"at most {bound}", f"{value:.3f}", value <= bound, value) for aim, value, bound in limits]


def _aim(aim: str, bound: str, measured: str, reached: bool, value: float) -> dict[str, str]:
    known = not np.isnan(value)
    return {"aim": aim, "bound": bound, "measured": measured if known else "",
            "reached": ("yes" if reached else "no") if known else "not measured"}


def tools_drawn(found: dict) -> Figure:
    """Nanoseconds per trial of every tool on every map, with the ratio to the lanes."""
    maps = found["compare"]["maps"].values()
    rows = [len(kept["tools"]) + 0.6 for kept in maps]
    with plot.style():
        figure, axes = plot.panels(len(maps), width=plot.COLUMN, height=0.5 + 0.25*len(maps) + 0.14*sum(rows),
                                   sharex=True, height_ratios=rows)
        for ax, kept in zip(axes, maps, strict=True):
            _bars(ax, kept)
        times = [1e9*_median(kept, tool)/kept["trials"] for kept in maps for tool in kept["tools"]]
        axes[0].set_xlim(0.4*min(times), 8.0*max(times))    # room for the ratios
        axes[-1].set_xlabel("ns per trial, one thread")
    return figure


def _bars(ax: Axes, kept: dict) -> None:
    tools = _by_time(kept)
    times = [1e9*_median(kept, tool)/kept["trials"] for tool in tools]
    ax.barh(tools, times, color=[plot.COLORS[COLORS[tool]] for tool in tools], height=0.7, log=True)
    for row, (tool, ns) in enumerate(zip(tools, times, strict=True)):
        ratio = _median(kept, tool)/_median(kept, OURS)
        text = f"{ns:,.1f} ns" if tool == OURS else f"{ratio:.{1 if ratio >= 1 else 2}f} ×"
        ax.annotate(text, (ns, row), (2, 0), textcoords="offset points", va="center", size=6)
    ax.set_ylim(len(tools) - 0.5, -0.5)
    ax.set_title(kept["title"], loc="left")
    ax.tick_params(axis="y", length=0, labelsize=6)
    ax.spines[["top", "right"]].set_visible(False)


def starts_drawn(found: dict) -> Figure:
    """Time per start and memory against the number of starts."""
    cases = found["scaling"]["starts"]
    sizes = [case["starts"] for case in cases]
    lines = (("results", "black", [case["results"] for case in cases]),
             ("beyond the results", "vermillion", [_beyond(case) for case in cases]))
    with plot.style():
        figure, (time, memory) = plot.panels(2, width=plot.COLUMN, height=2.8, sharex=True)
        time.semilogx(sizes, [1e6*case["seconds"]/case["starts"] for case in cases], "o-", ms=3)
        time.set(ylabel="µs per start", ylim=(0, None))
        for label, color, values in lines:
            memory.semilogx(sizes, values, "o-", ms=3, color=plot.COLORS[color], label=label)
        memory.set(xlabel="starts", ylabel="bytes per start", ylim=(0, None))
        memory.legend()
    return figure
