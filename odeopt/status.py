"""How a run ended."""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """How a run ended; 0 while it runs (or where it was interrupted)."""

    INTERRUPTED = 0
    CONVERGED = 1
    REACHED_T = 2
    MAX_STEPS = 3
    MAX_TRIALS = 4
    STEP_UNDERFLOW = 5
    STALLED = 6
    DIVERGED = 7
    TIME_LIMIT = 8
    NOISE = 9

    @property
    def message(self) -> str:
        """What it means, and what to try."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.INTERRUPTED: "Interrupted before it ended.",
    Status.CONVERGED: "The residual (|g| unless the flow says otherwise) is <= gtol.",
    Status.REACHED_T: "The time t_end was reached.",
    Status.MAX_STEPS: "max_steps accepted steps were taken without convergence: raise max_steps or gtol, or compare "
                      "trace.h with the step that the controller should allow.",
    Status.MAX_TRIALS: "max_trials trials were made without convergence: most were rejected; see trace.accepted.",
    Status.STEP_UNDERFLOW: "The step became so small that it no longer changes the state, without convergence: "
                           "rounding in V dominates the demanded decrease (raise gtol), or the gradient does not fit "
                           "the value.",
    Status.STALLED: "A rejected trial changed neither the step nor the controller's memory, so it would repeat for "
                    "ever: this scheme and controller do not go together.",
    Status.TIME_LIMIT: "time_limit seconds were up without convergence: raise time_limit or gtol.",
    Status.NOISE: "The gradient is below its own rounding error, without convergence: gtol cannot be reached.",
    Status.DIVERGED: "The state or gradient is no longer finite: reduce the step, or use a Lyapunov controller.",
}
