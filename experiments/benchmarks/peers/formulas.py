"""The maps' formulas, one trial for tools with arrays: NumPy, JAX and torch read the same text.

`begin(x)` makes a state from the coordinates of starts, `trial(state, live, *clock)` the next one, in which runs that
are not live stay as they are; `clock(k)` are the numbers that depend on the trial alone. A state's first part is the
point, its last the number of trials. Gradients are differentiated by hand, with common factors taken out.
"""

from __future__ import annotations

from typing import Any

from experiments.benchmarks.problems import GTOL

GTOL2 = GTOL*GTOL
"""The square of the tolerance on |g|."""


def polyfive(w: Any, b: Any) -> tuple:
    """PolyFive and its derivatives; that of the activation is (z - 1)^2 (z + 1) (5 z - 11)."""
    z = w + b
    p = ((((b - 4.0)*b + 2.0)*b + 8.0)*b - 11.0)*b - 12.0
    q = ((((z - 4.0)*z + 2.0)*z + 8.0)*z - 11.0)*z - 12.0
    dp = (b - 1.0)*(b - 1.0)*(b + 1.0)*(5.0*b - 11.0)
    dq = (z - 1.0)*(z - 1.0)*(z + 1.0)*(5.0*z - 11.0)
    dw = 0.5*q*dq
    return 0.25*(p*p + q*q), dw, dw + 0.5*p*dp


def polythree(w: Any, b: Any) -> tuple:
    """The gradient of polyThree; the derivative of the activation is 6 z (z - 1)."""
    z = w + b
    dw = 3.0*((2.0*z - 3.0)*z*z + 5.0)*z*(z - 1.0)
    return dw, dw + 3.0*((2.0*b - 3.0)*b*b + 5.0)*b*(b - 1.0)


class Backtracking:
    """Gradient descent on polyFive under Lyapunov backtracking: h0 = 0.1, shrink 2, grow 1e4, slope 1/2."""

    def __init__(self, xp: Any) -> None:
        self.where = xp.where

    def begin(self, x: Any) -> tuple:
        w, b = x
        zero = 0.0*w
        return (w, b), polyfive(w, b), 0.1 + zero, zero

    def live(self, state: tuple) -> Any:
        _, dw, db = state[1]
        return dw*dw + db*db > GTOL2

    def clock(self, k: Any) -> tuple:
        return ()

    def trial(self, state: tuple, live: Any) -> tuple:
        (w, b), (f, dw, db), h, trials = state
        w1, b1 = w - h*dw, b - h*db
        f1, dw1, db1 = polyfive(w1, b1)
        passes = f1 - f <= -0.5*h*(dw*dw + db*db)
        keep = passes & live
        where = self.where
        point = where(keep, w1, w), where(keep, b1, b)
        values = where(keep, f1, f), where(keep, dw1, dw), where(keep, db1, db)
        step = where(passes, 1e4*h, 0.5*h)
        return point, values, where(live, step, h), trials + live


class HeavyBall:
    """Momentum on Rosenbrock in 10 dimensions: v = 0.9 v + g, x -= 1e-4 v."""

    def __init__(self, xp: Any) -> None:
        self.where, self.joined = xp.where, xp.concatenate

    def gradient(self, x: Any) -> Any:
        left, right = x[:-1], x[1:]
        wall = right - left*left
        a, c = -400.0*left*wall - 2.0*(1.0 - left), 200.0*wall
        return self.joined([a[:1], a[1:] + c[:-1], c[-1:]])

    def begin(self, x: Any) -> tuple:
        return x, 0.0*x, self.gradient(x), 0.0*x[0]

    def live(self, state: tuple) -> Any:
        return (state[2]*state[2]).sum(0) > GTOL2

    def clock(self, k: Any) -> tuple:
        return ()

    def trial(self, state: tuple, live: Any) -> tuple:
        x, v, g, trials = state
        v1 = 0.9*v + g
        x1 = x - 1e-4*v1
        where = self.where
        return (where(live, x1, x), where(live, v1, v), where(live, self.gradient(x1), g),
                trials + live)


class Adam:
    """Adam on polyThree: lr = 0.1, betas = (0.9, 0.999), eps = 1e-8."""

    def __init__(self, xp: Any) -> None:
        self.where, self.sqrt = xp.where, xp.sqrt

    def begin(self, x: Any) -> tuple:
        w, b = x
        zero = 0.0*w
        return (w, b), (zero, zero), (zero, zero), polythree(w, b), zero

    def live(self, state: tuple) -> Any:
        dw, db = state[3]
        return dw*dw + db*db > GTOL2

    def clock(self, k: Any) -> tuple:
        """Step size and root of the second correction, the same for all that are live: they began together."""
        n = k + 1
        return 0.1/(1.0 - 0.9**n), (1.0 - 0.999**n)**0.5

    def trial(self, state: tuple, live: Any, step: Any, root: Any) -> tuple:
        x, m, s, g, trials = state
        where = self.where
        m1 = [0.9*a + 0.1*d for a, d in zip(m, g, strict=True)]
        s1 = [0.999*a + 0.001*d*d for a, d in zip(s, g, strict=True)]
        x1 = [a - step*c/(self.sqrt(e)/root + 1e-8) for a, c, e in zip(x, m1, s1, strict=True)]
        chosen = [tuple(where(live, new, old) for new, old in zip(after, before, strict=True))
                  for after, before in ((x1, x), (m1, m), (s1, s), (polythree(*x1), g))]
        return (*chosen, trials + live)


FORMULAS: dict[str, Any] = {"polyfive": Backtracking, "rosenbrock": HeavyBall, "adam": Adam}
