"""What a verification answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, repr=False)
class Verdict:
    """The answer of a verification; true if proved or measured.

    Parameters
    ----------
    status : {"proved", "measured", "refuted", "refused"}
        Shown by symbols, seen in numbers, false, or not answered for the reason given.
    subject : Flow, Scheme, Method, Objective or a tuple of these
    detail : str
        What was shown, or what failed.
    counterexample : mapping of str to float, or None
        Where a refuted claim fails: the values of all symbols, then of both sides.
    """

    status: str
    subject: Any
    detail: str
    counterexample: Mapping[str, float] | None = None

    def __bool__(self) -> bool:
        return self.status in ("proved", "measured")

    def __repr__(self) -> str:
        lines = [f"{self.status}: {self.subject!r}", self.detail]
        if self.counterexample:
            values = [f"{name} = {value:.6g}" for name, value in self.counterexample.items()]
            at = values[:-3] if len(values) <= 20 else [*values[:8], f"... ({len(values) - 3} in all)"]
            lines += ["at " + ", ".join(at), ", ".join(values[-3:])]
        return "\n    ".join(lines)
