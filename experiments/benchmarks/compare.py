"""The same maps by all tools: checked against each other, then timed alternately, each on one thread of one core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from experiments.benchmarks.peers import TOOLS
from experiments.benchmarks.problems import problems
from experiments.benchmarks.processes import Server

OURS = "lanes"
AGREEMENT = 1e-3
"""Largest difference of the ends, per start, and of the trials, relative.

The tools round differently (fused or not, in another order), so a run in which an inequality is decided by a rounding
goes on differently. That happens to few runs: on these maps at most 2e-4 of the ends differ by more than 1e-6, and the
trials of two tools by 4e-6. Another formula, limit or stop test changes the first digits.
"""


def measure(quick: bool = False, repetitions: int = 7) -> dict:
    """Seconds of every tool on every map: see `alternated`."""
    return alternated(TOOLS, problems(quick), OURS, _check, quick, repetitions)


def alternated(tools: Sequence[str], maps: dict, ours: str, check: Callable, quick: bool, repetitions: int) -> dict:
    """Seconds of every tool on every map.

    Parameters
    ----------
    tools : sequence of str
        Modules of `peers`.
    maps : dict
        Their problems, by name.
    ours : str
        The name of the tool that the others are compared with.
    check : callable
        `check(name, tool, got, wanted, starts)` raises an error if a tool computes something else.
    quick : bool
    repetitions : int

    Returns
    -------
    dict
        `versions`; `missing`, what is not installed and why; `maps`: for each its `title`, the number of `starts`, the
        `trials` and what is told of the `ends` by our tool, `tools`: for each its `way`, what was `tried`, its
        `trials`, and lists of `seconds` and `processor`; and what `failed`, and why.
    """
    servers = [Server("experiments.benchmarks.peers", tool, *["--quick"]*quick) for tool in tools]
    try:
        here = {server.greeting["name"]: server for server in servers if "missing" not in server.greeting}
        return {
            "versions": {k: v for server in here.values() for k, v in server.greeting["versions"].items()},
            "missing": {s.greeting["name"]: s.greeting["missing"] for s in servers if "missing" in s.greeting},
            "maps": {name: _map(name, problem, here, ours, check, repetitions) for name, problem in maps.items()},
        }
    finally:
        for server in servers:
            server.close()


def _map(name: str, problem: Any, servers: dict[str, Server], ours: str, check: Callable, repetitions: int) -> dict:
    prepared = {tool: server.ask(f"prepare {name}") for tool, server in servers.items()}
    ways = {tool: answer["way"] for tool, answer in prepared.items() if answer["way"] is not None}
    failed = {f"{tool} {way}".strip(): why for tool, answer in prepared.items()
              for way, why in answer["failed"].items()}
    if ours not in ways:
        raise RuntimeError(f"the tool {ours} cannot compute {name}: {failed}")
    first = {tool: servers[tool].ask(f"run {name}") for tool in ways}
    for tool in ways:
        check(name, tool, first[tool], first[ours], len(problem.starts))
    taken: dict[str, list[dict]] = {tool: [] for tool in ways}
    for _ in range(repetitions):                            # alternately, so that a slow minute is everybody's
        for tool, answers in taken.items():
            answers.append(servers[tool].ask(f"run {name}"))
    tools = {tool: {"way": way, "tried": prepared[tool]["tried"], "trials": first[tool]["trials"],
                    "seconds": [a["seconds"] for a in taken[tool]],
                    "processor": [a["processor"] for a in taken[tool]]} for tool, way in ways.items()}
    return {"title": problem.title, "starts": len(problem.starts), "trials": first[ours]["trials"],
            "ends": first[ours]["ends"], "tools": tools, "failed": failed}


def _check(name: str, tool: str, got: dict, ours: dict, starts: int) -> None:
    ends, trials = abs(got["ends"] - ours["ends"])/starts, abs(got["trials"]/ours["trials"] - 1.0)
    if not (ends <= AGREEMENT and trials <= AGREEMENT):
        raise RuntimeError(f"{tool} does not compute the map {name}: its ends sum to {got['ends']!r} after "
                           f"{got['trials']:.0f} trials, those of the lanes to {ours['ends']!r} after "
                           f"{ours['trials']:.0f}")
