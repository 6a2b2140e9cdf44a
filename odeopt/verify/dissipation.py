"""Whether the stated dissipation is the rate at which V falls."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import sympy as sp

from odeopt.compile.emit import numpy_function
from odeopt.compile.symbolic import Reader
from odeopt.compile.tracer import Graph, Number, Vector
from odeopt.flows import Flow
from odeopt.language import FormulaError, State, leaves
from odeopt.objectives import Objective
from odeopt.parameters import instance
from odeopt.trial import Ode, with_parameters
from odeopt.verify.base import Verdict

STATES = 1000                   # random states for each dimension
TOLERANCE = 1e-9                # of the residual, relative to the sum of its terms' magnitudes, beside its error bound
REACH = 2.0**-12                # largest relative change of a number over which differences are taken
DRAWS, ULPS = 16, 8.0           # V is as wrong as it moves in so many draws of its numbers, each so far off
SIMPLIFIABLE = 100              # operations up to which SymPy's simplify, which may take for ever, is asked
CONDITIONS = 3                  # up to which every way that they turn out is looked at


def dissipation(flow: Flow) -> Verdict:
    """Whether dV/dt + dissipation = 0 along the flow, for every smooth objective and all positive parameters.

    SymPy reads what the formulas do to recorded numbers, for 1 and 2 coordinates. The objective's value f,
    gradient g and symmetric Hessian H, Gauss and Newton's symmetric matrix Q (as a constant: V may not depend
    on it), its minimum, the time t > 0, the state and every `float` parameter > 0 are unknown symbols, so that

        dV/dt = V_t + V_f g.F_x + V_g.(H F_x) + sum over the blocks of V_z.F_z

    is exact. In n coordinates it is made of single sums of a_i and double sums of b_ij if sums enter to
    degree 2 at most, once roots and exponentials of sums are symbols: 1 coordinate shows that a_1 + b_11
    vanishes, 2 that b_12 + b_21 does, and nothing else occurs in n. Kinks (of |x|, min, where) are left out:
    they are almost nothing of the state space.

    Beside the proof, V itself is evaluated along the field at random states, by central differences with a bound
    of their error that know nothing of SymPy.

    Parameters
    ----------
    flow : Flow
        With V and dissipation.

    Returns
    -------
    Verdict
        "refuted" with a counterexample if the sum, with dV/dt by differences, exceeds 1e-9 of its terms and the
        bound of its error at one of 1000 random states for each dimension, half of them with the flow's own
        parameters; else "proved", or "measured" if SymPy does not see that the sum vanishes. Where the flow
        declares `bound` the claim is dissipation <= -dV/dt with its own parameters, which is only measured.

    Raises
    ------
    TypeError
        If it is no flow.
    FormulaError
        If the flow has no V or no dissipation, or if they cannot be read.
    """
    instance(Flow, flow=flow)
    for name in ("V", "dissipation"):
        if getattr(flow, name) is None:
            raise FormulaError(f"{type(flow).__name__} has no {name}, so there is nothing to verify: give it V and "
                               "dissipation")
    proved, seen = not flow.bound, []
    for n in (1, 2):
        claim = _Claim(flow, n)
        relative, counterexample = claim.measured()
        if counterexample:
            claim_text = f"dissipation {'<=' if flow.bound else '='} -dV/dt"
            return Verdict("refuted", flow, f"{claim_text} fails with n = {n}", counterexample)
        proved = proved and claim.vanishes()
        seen.append(relative)
    if flow.bound:
        return Verdict("measured", flow, f"dissipation <= -dV/dt at {2*STATES} random states")
    differences = f"differences at {2*STATES} random states agree, half of them within {max(seen):.1e}"
    if proved:
        return Verdict("proved", flow, f"dV/dt + dissipation = 0 for every objective; {differences}")
    return Verdict("measured", flow, f"dV/dt + dissipation was not simplified to 0, but {differences}")


class _Unknown(Objective):
    """An objective of which only the value, gradient and Hessian at one point are named."""

    def __init__(self, graph: Graph, x: Vector) -> None:
        n = len(x)
        self._x = x
        self._f = graph.input("f")
        self._g = Vector([graph.input(f"g{i}") for i in range(n)])
        self._H = [Vector([graph.input(f"H{min(i, j)}{max(i, j)}") for j in range(n)]) for i in range(n)]
        self.f_star = graph.input("f_star")
        self.x_star = Vector([graph.input(f"x_star{i}") for i in range(n)])
        self._Q = [Vector([graph.input(f"Q{min(i, j)}{max(i, j)}") for j in range(n)]) for i in range(n)]

    def _at_x(self, x: Any, value: Any) -> Any:
        if any(a is not b for a, b in zip(x, self._x, strict=True)):
            raise FormulaError("nothing is known of the objective away from x, so this cannot be verified")
        return value

    def f(self, x: Any) -> Any:
        return self._at_x(x, self._f)

    def gradient(self, x: Any) -> Any:
        return self._at_x(x, self._g)

    def hessian(self, x: Any) -> Any:
        return self._at_x(x, self._H)

    def gauss_newton(self, x: Any) -> Any:
        return self._at_x(x, self._Q)

    @property
    def without_rate(self) -> set[int]:
        """Nodes whose change along the flow is not known."""
        return {a.index for row in [*self._H, *self._Q] for a in row}


class _Claim:
    """V, its dissipation and the rates of all that V depends on, recorded for n coordinates."""

    def __init__(self, flow: Flow, n: int) -> None:
        graph, own = Graph(), {}

        def parameter(name: str, value: float) -> Number:
            own[f".{name}"] = value                         # the dot: apart from blocks of the same name
            return graph.input(f".{name}")
        recorded = with_parameters(flow, "", parameter)
        blocks = {name: Vector([graph.input(f"{name}{i}") for i in range(n)]) for name in flow.blocks}
        t, z = graph.input("t"), State(blocks | {name: graph.input(name) for name in flow.scalars})
        self._bound, self._own = flow.bound, own
        self._positive = {"t", *own, *(_name(a) for block in flow.positive for a in leaves(z[block]))}

        unknown = _Unknown(graph, z.x)
        ode = Ode(recorded, unknown)
        self._V, self._dissipation, rate = ode.V(t, z), ode.dissipation(t, z), ode.field(t, z)
        if graph.live([self._V]) & unknown.without_rate:
            raise FormulaError(f"{type(flow).__name__}.V depends on H or Q, whose rates take third derivatives, so "
                               "this cannot be verified")
        g, Hdx = ode.g(z.x), ode.hessp(z.x, rate.x)
        variables = zip([t, ode.f(z.x), *g, *leaves(z)], [1.0, g @ rate.x, *Hdx, *leaves(rate)], strict=True)
        moving = [(a, rate) for a, rate in variables if a.index in graph.live([self._V])]
        self._variables, self._rates = [a for a, _ in moving], [rate for _, rate in moving]
        self._graph, self._inputs = graph, [node for node in graph.nodes if node.op == "input"]
        self._symbols = {name: sp.Symbol(name.lstrip("."), real=True, positive=name in self._positive or None)
                         for name in map(_name, self._inputs)}
        read = Reader(self._symbols, exact=True).expression
        self._read = [read(a) for a in (self._V, self._dissipation, *self._rates)]

    def vanishes(self) -> bool:
        """Whether SymPy sees that dV/dt + dissipation is 0."""
        V, lost, *rates = self._read
        slopes = (sp.diff(V, self._symbols[_name(a)]) for a in self._variables)
        return _vanishes(sp.sympify(lost + sum(slope*rate for slope, rate in zip(slopes, rates, strict=True))))

    def measured(self) -> tuple[float, dict[str, float]]:
        """The median relative residual at random states, and the values at the worst one if it refutes the claim."""
        values = self._states()
        w, r = np.array([values[_name(a)] for a in self._inputs]), np.zeros((len(self._inputs), STATES))
        rows = [list(self._symbols).index(_name(a)) for a in self._variables]
        energy = numpy_function(self._graph, self._inputs, [self._V])
        rates = numpy_function(self._graph, self._inputs, [*self._rates, self._dissipation])
        with np.errstate(all="ignore"):
            *changes, lost = (np.broadcast_to(a, STATES) for a in rates(*w))
            for row, change in zip(rows, changes, strict=True):
                r[row] = change
            rise, error, size = _along(lambda w: np.broadcast_to(energy(*w)[0], STATES), w, r)
            total = rise + lost
            residual = np.maximum(total, 0.0) if self._bound else np.abs(total)
            excess = residual/(TOLERANCE*(size + np.abs(lost)) + error + np.finfo(float).tiny)
        finite = np.isfinite(total + error)
        if not finite.any():
            raise FormulaError("V, its rate or the dissipation is finite at none of the random states: "
                               "name what must be positive in `positive`")
        i = int(np.argmax(np.where(finite, excess, -1.0)))
        if excess[i] <= 1.0:
            return float(np.median((residual/(size + np.abs(lost) + np.finfo(float).tiny))[finite])), {}
        used = self._graph.live([self._V, self._dissipation, *self._rates])
        state = {_name(a).lstrip("."): values[_name(a)][i] for a in self._inputs if a.index in used}
        state |= {"dV/dt": rise[i], "-dissipation": -lost[i], "difference": total[i]}
        return np.inf, {name: float(value) for name, value in state.items()}

    def _states(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(0)
        values = {name: rng.lognormal(0.0, 1.5, STATES) if name in self._positive
                  else rng.normal(0.0, 2.0, STATES) for name in self._symbols}
        values["f_star"] = values["f"] - np.abs(values["f_star"])
        for name, own in self._own.items():
            values[name][:STATES if self._bound else STATES//2] = own
        return values


def _along(V: Callable, w: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The slope of V at w in the direction r, a bound of its error, and the sum of the magnitudes of its terms.

    Central differences D over the steps s and s/2, extrapolated to (4 D(s/2) - D(s))/3 (Richardson 1911). No number
    changes by more than REACH of itself, hence no sign does. The error is bounded by the sum of three:

    - Truncation, s^4: 2 |value - D(s/2)|, which is of order s^2, some 1e-8 of a term where V is smooth.
    - Rounding: an error e of V enters as 3 e/s. V is taken to be as wrong as its last place, and as it moves when its
      numbers move in theirs, which shows what cancels within a formula: some 1e-11 of a term where all are of one size.
    - Kinks: a slope that jumps by J at c s spoils D(s) by J (1 - c)/2 if c < 1, and D(s/2) by J (1 - 2 c)/2 if
      c < 1/2; the second differences over the step then are J (1 - c) and J (1 - 2 c) above what is halved with the
      step. With B, how far one is from twice the other, 2 |value - D(s/2)| + B is more than the error for every c.

    Parameters
    ----------
    V : callable
        Of arrays like w.
    w, r : arrays (numbers, states)
    """
    s = REACH*np.min(np.where(r == 0.0, np.inf, np.abs(w/r)), axis=0)
    s = np.where(s < np.inf, s, 1.0)
    centre, relative = V(w), 2.0**-20
    terms = np.array([V(np.where(np.arange(len(w))[:, None] == i, (1.0 + relative)*w, w)) - centre
                      for i in range(len(w))])/relative                                     # w_i dV/dw_i
    eps = np.finfo(float).eps
    places = np.random.default_rng(1).uniform(-ULPS, ULPS, (DRAWS, *w.shape))*eps
    noise = eps*np.abs(centre) + np.max([np.abs(V(w*(1.0 + place)) - centre) for place in places], axis=0)
    (up, down), (up_half, down_half) = ((V(w + h*r), V(w - h*r)) for h in (s, 0.5*s))
    half = (up_half - down_half)/s
    value = (4.0*half - (up - down)/(2.0*s))/3.0
    bend = np.abs(up - 2.0*centre + down - 4.0*(up_half - 2.0*centre + down_half))/s
    error = 2.0*np.abs(value - half) + 3.0*noise/s + bend
    return value, error, np.sum(np.where(r == 0.0, 0.0, np.abs(terms*r/w)), axis=0)


def _name(number: Number) -> str:
    return number.arguments[0]


def _vanishes(e: Any) -> bool:
    """Whether an expression is 0 where it is smooth, whichever way each of a few conditions turns out."""
    conditions = {c for choice in e.atoms(sp.Piecewise) for _, c in choice.args} - {sp.true}
    if 0 < len(conditions) <= CONDITIONS:
        cases = product((sp.true, sp.false), repeat=len(conditions))
        if all(_is_zero(e.xreplace(dict(zip(conditions, case, strict=True)))) for case in cases):
            return True
    return _is_zero(e)


def _is_zero(e: Any) -> bool:
    """Whether an expression is 0 where it is smooth: roots are symbols of known squares, |a| that of a^2."""
    squares: dict[Any, Any] = {}                            # of the roots, inner ones first

    def root(square: Any) -> Any:
        for r, other in squares.items():
            if other == square:
                return r
        squares[new := sp.Dummy()] = square
        return new

    def rational(p: Any) -> Any:
        if p.is_Pow:
            return root(p.base)**(2*p.exp)
        a = p.args[0]
        return sp.S.Zero if isinstance(p, sp.DiracDelta) else root(a*a)/(a if isinstance(p, sp.sign) else 1)
    e = e.xreplace({choice: sp.Dummy() for choice in e.atoms(sp.Piecewise)})
    e = e.replace(lambda p: isinstance(p, (sp.Abs, sp.sign, sp.DiracDelta))
                  or (p.is_Pow and p.exp.is_Rational and p.exp.q == 2), rational)
    top = sp.expand(sp.fraction(sp.together(e))[0])
    for r, square in reversed(squares.items()):
        reduced = sum(c*square**(k//2)*r**(k % 2) for (k,), c in sp.Poly(top, r).terms())
        top = sp.expand(sp.fraction(sp.together(reduced))[0])
    return top == 0 or (sp.count_ops(e) <= SIMPLIFIABLE and sp.simplify(e) == 0)
