"""`python -m experiments.benchmarks.peers TOOL [--quick]`: a tool that answers lines of input with lines of JSON.

`prepare PROBLEM` compiles, warms up and chooses the fastest of the tool's ways; `run PROBLEM` takes its time once.
"""

import json
import os
import sys
from importlib import import_module

from experiments.benchmarks.processes import pin, timed


def main(tool: str, quick: bool) -> None:
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)                                       # what libraries print is no answer

        def say(answer: dict) -> None:
            print(json.dumps(answer), file=channel, flush=True)
        try:
            module = import_module(f"experiments.benchmarks.peers.{tool}")
            say({"name": module.NAME, "versions": module.versions()})
        except ImportError as error:
            say({"name": tool.strip("_"), "missing": str(error)})
            return
        maps, chosen = import_module(module.__package__).problems(quick), {}
        for line in sys.stdin:
            command, name = line.split()
            if command == "prepare":
                label, chosen[name], tried, failed = fastest(module.ways(maps[name]))
                say({"way": label, "tried": tried, "failed": failed})
            else:
                took, (ends, trials) = timed(chosen[name])
                say({**took, "ends": maps[name].told(ends), "trials": float(trials)})


def fastest(ways: dict) -> tuple:
    """The way that takes least per trial in the second of two runs, what all took so, and why others failed."""
    tried, failed = {}, {}
    for label, way in ways.items():
        try:
            way()
            took, (_, trials) = timed(way)
            tried[label] = took["processor"]/trials
        except Exception as error:                          # a mode that a machine lacks the compiler for, say
            failed[label] = f"{type(error).__name__}: {error}"
    label = min(tried, key=tried.__getitem__, default=None)
    return label, ways.get(label), tried, failed


if __name__ == "__main__":
    pin()
    main(sys.argv[1], "--quick" in sys.argv)
