"""What a controller is: is the step accepted, and what is the next one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from odeopt.language import ask, asks, collecting
from odeopt.parameters import instance, not_negative, positive

GIVEN = ("h", "t", "n", "gtol", "V0", "V1", "predicted", "error", "solved", "updates", "z0", "z1", "f0", "f1",
         "g0", "g1", "Q0")


@dataclass(frozen=True, kw_only=True)
class Controller:
    """Accept or reject a trial and propose the next step: `control(...) -> (accept, next h, memory)`.

    `control` asks by name among `h` (the step used), `t`, `n` (accepted steps), `gtol`, `V0`, `V1`, `predicted`,
    `error`, `solved`, `updates`, `z0`, `z1`, `f0`, `f1`, `g0`, `g1`, `Q0` (Gauss and Newton's matrix) and its own
    memory. The controller's memory moves at every trial; the state and the scheme's memory only on acceptance. While a
    solve of several trials is pending the answer is passed over. Write tests so that not-a-number rejects:
    `V1 - V0 <= bound`. A next step of 0 ends the run (STEP_UNDERFLOW).

    Parameters
    ----------
    h_max : float, "flow" or None
        Largest step, applied before each trial; "flow" asks the flow's `cap`.
    h_min : float
        A step that is not larger ends the run (STEP_UNDERFLOW).
    at : {"step", "start", "end"}
        Which dissipation is demanded: the scheme's own prediction, or h times the flow's at an end of the step.
    """

    h_max: float | str | None = None
    h_min: float = 0.0
    at: str = "step"

    def __post_init__(self) -> None:
        if self.at not in ("step", "start", "end"):
            raise ValueError(f'`at` must be "step", "start" or "end", got {self.at!r}')
        if isinstance(self.h_max, str) and self.h_max != "flow":
            raise ValueError(f'`h_max` must be a number, "flow" or None, got {self.h_max!r}')
        if not isinstance(self.h_max, str | None):
            positive(h_max=self.h_max)
        not_negative(h_min=self.h_min)

    def memory(self) -> dict:
        """Starting values of what the controller remembers from trial to trial; may ask for h, x, f, g, V."""
        return {}

    def control(self, h: Any) -> tuple:
        raise NotImplementedError(f"{type(self).__name__} has no control: define control(self, h, ...)")

    def cap(self, flow_cap: Callable) -> Any:
        """The largest step allowed here; `flow_cap()` is the flow's."""
        return flow_cap() if isinstance(self.h_max, str) else self.h_max


@dataclass(frozen=True)
class Both(Controller):
    """Accepts what both controllers accept, and goes on with the smaller of their steps.

    Parameters
    ----------
    first, second : Controller
        They must demand the dissipation at the same place. Their memories are `memory["first"]` and `memory["second"]`.
    """

    first: Controller = field(default_factory=Controller)
    second: Controller = field(default_factory=Controller)

    def __post_init__(self) -> None:
        super().__post_init__()
        instance(Controller, first=self.first, second=self.second)
        if self.first.at != self.second.at:
            raise ValueError(f"both controllers must have the same `at`, got {self.first.at!r} and {self.second.at!r}")
        object.__setattr__(self, "at", self.first.at)
        object.__setattr__(self, "h_min", max(self.h_min, self.first.h_min, self.second.h_min))

    def cap(self, flow_cap: Callable) -> Any:
        caps = (super().cap(flow_cap), self.first.cap(flow_cap), self.second.cap(flow_cap))
        caps = tuple(cap for cap in caps if cap is not None)
        return functools.reduce(np.minimum, caps) if caps else None

    @property
    def memory(self) -> Callable:
        def memory(given: dict) -> dict:
            return {"first": ask(self.first.memory, given), "second": ask(self.second.memory, given)}
        return collecting(memory, (*asks(self.first.memory), *asks(self.second.memory)))

    @property
    def control(self) -> Callable:
        def control(given: dict) -> tuple:
            accept1, h1, memory1 = ask(self.first.control, {**given, **given["first"]})
            accept2, h2, memory2 = ask(self.second.control, {**given, **given["second"]})
            # what rejected proposes a smaller step; what accepted may want a larger one than the trial
            return accept1 & accept2, np.minimum(h1, h2), {"first": {**given["first"], **memory1},
                                                            "second": {**given["second"], **memory2}}
        names = [name for name in GIVEN if name in (*asks(self.first.control), *asks(self.second.control))]
        return collecting(control, (*names, "first", "second"))
