"""Runs in plain NumPy: any formulas, one start after the other."""

from __future__ import annotations

import dataclasses
import functools
import time
import warnings
from typing import Any

import numpy as np

from odeopt.backends.base import INTERRUPTED, Outcome, Story, bar, columns, flat, journal, named, recorded, unbegun
from odeopt.status import Status
from odeopt.trial import Machine, with_parameters


def run(run: Any, path: str | None) -> Outcome:
    """Run to the ends, with a journal at `path`."""
    began = time.perf_counter()
    machine, starts = _of_numpy(run.machine), run.starts
    with np.errstate(all="ignore"):
        first = machine.begin(starts[0].copy())
        shape = [(name, len(value) if np.ndim(value) else None) for name, value in named(_all(*first))]
        width = sum(n or 1 for _, n in shape)
        table, stories = np.zeros((len(starts), width + 1)), []
        records, seconds = table[:, :-1], table[:, -1]
        with journal(run, path, width + 1) as kept, bar(len(starts), run.progress) as show:
            done = np.zeros(len(starts), dtype=bool) if kept is None else kept.restore(table)
            try:
                for i in np.flatnonzero(~done):
                    at = time.perf_counter()
                    begun = machine.begin(starts[i].copy()) if i else first
                    records[i], story = _run_one(machine, *begun, run.time_limit)
                    done[i], seconds[i] = True, time.perf_counter() - at
                    stories.append(story)
                    if kept is not None:
                        kept.add(table, np.array([i]))
                        kept.tell()
                    show(int(done.sum()))
            except KeyboardInterrupt:
                warnings.warn(INTERRUPTED, RuntimeWarning, stacklevel=5)
        for i in np.flatnonzero(~done):
            records[i], seconds[i] = unbegun(starts[i], shape), np.nan
            stories.append(Story(records[i].copy()))
    facts: dict[str, Any] = {"time": time.perf_counter() - began, "compile_time": 0.0, "threads": 1, "seconds": seconds}
    rows = None
    if machine.traced:
        rows, facts["stride"] = recorded(stories, records, shape)
    return Outcome(columns(records, shape), rows, facts)


def _of_numpy(machine: Machine) -> Machine:
    """The same formulas with NumPy's numbers as parameters, for which 1/0 is inf as in the lanes."""
    parts = {name: with_parameters(getattr(machine, name), name, lambda _, value: np.float64(value))
             for name in ("flow", "scheme", "controller")}
    return dataclasses.replace(machine, **parts)


def _run_one(machine: Machine, record: dict, counts: dict, time_limit: float) -> tuple[np.ndarray, Story]:
    """The last record of a run, and what was recorded of it."""
    story, until = Story(_row(record, counts)), time.perf_counter() + time_limit
    while record["status"] == 0.0:
        record, work = machine.trial(record)
        for name, (per_trial, per_step) in work.items():
            counts[name] += per_trial + per_step
        if machine.traced:
            story.add(functools.partial(_row, record, counts))
        if record["status"] == 0.0 and time.perf_counter() > until:
            record = {**record, "status": float(Status.TIME_LIMIT)}
    return _row(record, counts), story


def _all(record: dict, counts: dict) -> dict:
    """A record, whose first number is the status, and the evaluations so far."""
    return record | {name: float(count) for name, count in counts.items()}


def _row(record: dict, counts: dict) -> np.ndarray:
    return flat(value for _, value in named(_all(record, counts)))
