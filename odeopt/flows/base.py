"""What a flow is: an ordinary differential equation with its energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from odeopt.language import FormulaError, asks


@dataclass(frozen=True)
class Flow:
    """A vector field z' = F(t, z) with its Lyapunov function V and its dissipation -dV/dt.

    Subclasses are frozen dataclasses whose `float` fields are run-time parameters; `int`, `bool`, `str` and `tuple`
    fields are structure. Every formula asks for what it needs by name: `t`, the blocks, `f`, `g`, `f_star`, `x_star`,
    `H` (the Hessian's rows), `Hdx` (the Hessian times the x-part of the field), `value`, `gradient`, `hessp`, `prox`;
    of sums of squares the residuals `r`, their Jacobian `J` and Gauss and Newton's matrix `Q`, as rows; parts also `h`.

    Attributes
    ----------
    blocks : tuple of str
        The vectors of the state, "x" first.
    scalars : tuple of str
        The single numbers of the state.
    positive : tuple of str
        The blocks and scalars that stay positive, such as averages of squares: proofs and random tests assume it.
    parts : tuple of str
        Sub-flows for splittings; the first carries the clock. A part that asks for `h` is an exact sub-flow and returns
        the blocks that it changes; one that does not is a sub-field, which the splitting's inner scheme integrates.
    V, dissipation : formula or None
        V and -dV/dt along the field; `bound = True` if the dissipation is only a lower bound of -dV/dt.
    jump : formula or None
        Blocks to replace in every trial state (a maximum, a restart, a constraint). Asks also for `z0`, the state
        before.
    t0 : float
        Time at the start.
    backend : str or None
        "numpy" for a formula that is no straight-line code.

    Raises
    ------
    FormulaError
        If a subclass declares blocks, scalars, positive or parts that are no tuples of names, "x" first.
    """

    blocks: ClassVar[tuple[str, ...]] = ("x",)
    scalars: ClassVar[tuple[str, ...]] = ()
    positive: ClassVar[tuple[str, ...]] = ()
    parts: ClassVar[tuple[str, ...]] = ()
    t0: ClassVar[float] = 0.0
    bound: ClassVar[bool] = False
    backend: ClassVar[str | None] = None
    V: ClassVar[Callable | None] = None
    dissipation: ClassVar[Callable | None] = None
    jump: ClassVar[Callable | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("blocks", "scalars", "positive", "parts"):
            value = getattr(cls, name)
            if not (isinstance(value, tuple) and all(isinstance(part, str) for part in value)):
                raise FormulaError(f"{cls.__name__}.{name} must be a tuple of names, got {value!r}")
        names = (*cls.blocks, *cls.scalars)
        if cls.blocks[:1] != ("x",) or len(set(names)) < len(names):
            raise FormulaError(f"{cls.__name__}.blocks must be 'x' and other names, and no name may stand twice in "
                               f"blocks and scalars, got {cls.blocks!r} and {cls.scalars!r}")
        if not set(cls.positive) <= set(names):
            raise FormulaError(f"{cls.__name__}.positive must name blocks and scalars, got {cls.positive!r}")

    def field(self) -> Any:
        """The derivatives of the blocks, then of the scalars, in this order."""
        raise NotImplementedError(f"{type(self).__name__} has no field: define field(self, ...)")

    def start(self) -> dict:
        """Starting values of the other blocks (zero if not given) and of every scalar; asks for x, f, g, h."""
        return {}

    def residual(self, g: Any) -> Any:
        """Converged when this is <= gtol^2."""
        return g @ g

    def cap(self) -> float:
        """The largest sensible step here, for controllers with h_max="flow"."""
        return float("inf")

    @property
    def asks_clock(self) -> bool:
        """Whether the field or a part asks for the time."""
        formulas = (self.field, *(getattr(self, part) for part in self.parts))
        return any("t" in asks(formula) for formula in formulas)
