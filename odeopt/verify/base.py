"""What a verification answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, repr=False)
class Verdict:
    """The answer of a verification; true unless refuted.

    Parameters
    ----------
    status : {"proved", "measured", "refuted"}
        Shown by symbols, seen at every random state, or false.
    flow : Flow
    detail : str
        What was shown, or what failed.
    counterexample : mapping of str to float, or None
        Where a refuted claim fails: the values of all symbols, then of both sides.
    """

    status: str
    flow: Any
    detail: str
    counterexample: Mapping[str, float] | None = None

    def __bool__(self) -> bool:
        return self.status != "refuted"

    def __repr__(self) -> str:
        lines = [f"{self.status}: {self.flow!r}", self.detail]
        if self.counterexample:
            values = [f"{name} = {value:.6g}" for name, value in self.counterexample.items()]
            lines += ["at " + ", ".join(values[:-3]), ", ".join(values[-3:])]
        return "\n    ".join(lines)
