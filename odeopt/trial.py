"""One trial: the only loop body there is, the same text for every reader.

`Ode` is a flow bound to an objective, what schemes call. `Machine` is a method on an objective under limits: `begin`
makes the record of a run from a starting point, `trial` makes the next record. NumPy calls them with arrays, the lanes
trace them. Nothing here branches on a recorded value.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from odeopt.language import FormulaError, Lazy, State, Unreadable, ask, asks, called, form, leaves, read, where
from odeopt.schemes.base import Step
from odeopt.status import Status

COUNTS = {"nfev": "f", "njev": "g", "nhev": "H"}            # SciPy's names of what `Ode.evaluations` counts


class Ode:
    """A flow bound to an objective: everything that a scheme may ask for.

    Values and gradients are remembered by point: the same point is never evaluated twice in a trial.

    Attributes
    ----------
    flow, objective
    evaluations : dict
        Fresh evaluations so far: "f" (values, residuals), "g" and "H" (Hessians, Hessian-vector products, Jacobians of
        the residuals).
    """

    def __init__(self, flow: Any, objective: Any, x: Any = None) -> None:
        self.flow, self.objective = flow, objective
        self.evaluations: dict[str, Any] = {"f": 0, "g": 0, "H": 0}
        self._known: dict[tuple, Any] = {}
        self._points: list = []                             # kept alive, so that no identity is used twice
        graph = next((c.graph for c in getattr(x, "coordinates", ()) if hasattr(c, "graph")), None)
        if graph is not None:                               # a recorded loop carries the counts from round to round
            graph.watch(self.evaluations, self._known)

    def know(self, kind: str, x: Any, value: Any) -> None:
        """Remember what is already known at `x`."""
        self._points.append(x)
        self._known[kind, _identity(x)] = value

    def knows(self, kind: str, x: Any) -> bool:
        return (kind, _identity(x)) in self._known

    def _evaluated(self, kind: str, x: Any, function: Callable, counted: str | None = None) -> Any:
        if not self.knows(kind, x):
            if isinstance(x, State):
                raise Unreadable(f"objectives are functions of x, not of a state, got {x!r}: write ode.f(z.x), "
                                 "ode.g(z.x)")
            counted = counted or kind
            self.evaluations[counted] = self.evaluations[counted] + 1
            plain = self.objective.backend is not None      # a user's own function raises its own errors
            self.know(kind, x, called(function, x) if plain else read(function, x))
        return self._known[kind, _identity(x)]

    def f(self, x: Any) -> Any:
        """The objective's value at x."""
        return self._evaluated("f", x, self.objective.f)

    def g(self, x: Any) -> Any:
        """The objective's gradient at x."""
        return self._evaluated("g", x, self.objective.gradient)

    def hessian(self, x: Any) -> Any:
        """The objective's Hessian at x, as rows."""
        return self._evaluated("H", x, self.objective.hessian)

    def r(self, x: Any) -> Any:
        """The residuals at x of a sum of squares."""
        return self._evaluated("r", x, self.objective.r, "f")

    def J(self, x: Any) -> Any:
        """The derivatives of the residuals at x, as rows."""
        return self._evaluated("J", x, self.objective.jacobian, "H")

    def Q(self, x: Any) -> Any:
        """Gauss and Newton's matrix at x, as rows."""
        return self._evaluated("Q", x, self.objective.gauss_newton, "H")

    def hessp(self, x: Any, v: Any) -> Any:
        """The objective's Hessian at x times v."""
        self.evaluations["H"] = self.evaluations["H"] + 1
        return self.objective.hessp(x, v)

    def when(self, condition: Any, compute: Callable, otherwise: Any) -> Any:
        """compute() if the condition holds, else `otherwise`; what it evaluates is counted, and known, only there."""
        counts, known = dict(self.evaluations), dict(self._known)
        value = where(condition, compute, otherwise)
        self.evaluations.update(where(condition, dict(self.evaluations), counts))
        self._known.clear()
        self._known.update(known)
        return value

    def given(self, t: Any, z: State, **more: Any) -> dict:
        """What a flow's formula may ask for at (t, z)."""
        if not isinstance(z, State):
            raise Unreadable(f"flows are functions of a time and a state, got {z!r} for the state: write "
                             "ode.field(t, z)")
        x = z.x
        return {"H": Lazy(lambda: self.hessian(x)), "r": Lazy(lambda: self.r(x)), "J": Lazy(lambda: self.J(x)),
                "Q": Lazy(lambda: self.Q(x)), "t": t, **z.blocks,
                "f": Lazy(lambda: self.f(x)), "g": Lazy(lambda: self.g(x)),
                "f_star": Lazy(lambda: self._known_minimum("f_star")),
                "x_star": Lazy(lambda: self._known_minimum("x_star")),
                "Hdx": Lazy(lambda: self.hessp(x, self.field(t, z).x)),
                "value": self.f, "gradient": self.g, "hessp": lambda v: self.hessp(x, v),
                "prox": lambda y, s: self.objective.prox(y, s), **more}

    def _known_minimum(self, name: str) -> Any:
        value = getattr(self.objective, name, None)
        if value is None:
            raise FormulaError(f"{type(self.flow).__name__} asks for {name}, which {self.objective!r} does not know: "
                               "choose a flow without it, or give the objective this attribute")
        return value

    def field(self, t: Any, z: State) -> State:
        """dz/dt at (t, z)."""
        values = ask(self.flow.field, self.given(t, z))
        values = values if isinstance(values, tuple) else (values,)
        if len(values) != len(z.blocks):
            raise FormulaError(f"{type(self.flow).__name__}.field returned {len(values)} values for the blocks "
                               f"{', '.join(z)}: return one for each, in this order, as a tuple")
        rates = dict(zip(z, values, strict=True))
        _demand_blocks(f"{type(self.flow).__name__}.field", rates, z, rates=True)
        return State(rates)

    def V(self, t: Any, z: State) -> Any:
        """The Lyapunov function at (t, z)."""
        return self._energy("V", t, z)

    def dissipation(self, t: Any, z: State) -> Any:
        """The rate -dV/dt that the flow states at (t, z)."""
        return self._energy("dissipation", t, z)

    def _energy(self, name: str, t: Any, z: State) -> Any:
        formula = getattr(self.flow, name, None)
        if formula is None:
            raise FormulaError(f"{type(self.flow).__name__} has no {name}: give the flow one, or choose a controller "
                               "that does not ask for it (Constant, EmbeddedError)")
        value = ask(formula, self.given(t, z))
        _demand_form(f"{type(self.flow).__name__}.{name}", value)
        return value

    def residual(self, t: Any, z: State, g: Any) -> Any:
        """What is <= gtol^2 where a run has converged, with g in the gradient's place."""
        value = ask(self.flow.residual, self.given(t, z) | {"g": g})
        _demand_form(f"{type(self.flow).__name__}.residual", value)
        return value

    def is_exact(self, name: str) -> bool:
        """Whether the part `name` is an exact sub-flow, one that asks for h, or else a sub-field."""
        return "h" in asks(self._part(name))

    def _part(self, name: str) -> Callable:
        formula = getattr(self.flow, name, None)
        if name not in self.flow.parts or formula is None:
            raise FormulaError(f"{type(self.flow).__name__} has no part {name!r}: define it, and name it in `parts` "
                               f"(now {', '.join(self.flow.parts) or 'none'})")
        return formula

    def part(self, name: str, t: Any, z: State, h: Any) -> State:
        """The state after the sub-flow `name` for a time h."""
        moved = _named(self._part(name), self.given(t, z, h=h))
        _demand_blocks(f"{type(self.flow).__name__}.{name}", moved, z)
        return z.replace(**moved)

    def subfield(self, name: str, t: Any, z: State) -> State:
        """The sub-field `name` (a part that does not ask for h); blocks that it does not name stand still."""
        rates = _named(self._part(name), self.given(t, z))
        _demand_blocks(f"{type(self.flow).__name__}.{name}", rates, z, rates=True)
        return State({b: rates.get(b, z[b]*0.0) for b in z})


def _identity(x: Any) -> tuple:
    return tuple(getattr(c, "index", c) for c in x.coordinates) if hasattr(x, "coordinates") else (id(x),)


@dataclasses.dataclass(frozen=True)
class Limits:
    """When a run ends.

    Parameters
    ----------
    gtol : float
        Converged when the flow's residual, |g|^2 unless it says otherwise, is <= gtol^2.
    max_steps, max_trials : float
        Largest number of accepted steps and of trials.
    t_end : float or None
        Time at which to end; the last step is shortened to hit it.
    """

    gtol: float = 1e-6
    max_steps: float = 10_000.0
    max_trials: float = 1e6
    t_end: float | None = None


@dataclasses.dataclass(frozen=True)
class Work:
    """Evaluations of one trial: {"nfev": (in every trial, more on acceptance), "njev": ...}, with its acceptance."""

    counts: dict
    keep: Any

    def items(self) -> Iterable:
        return self.counts.items()


@dataclasses.dataclass(frozen=True)
class Machine:
    """A method on an objective, as a machine that goes from record to record.

    A record holds `status, t, n, trials, z, g, h`, the controller's and the scheme's memory, where the method asks
    for them V and f, `rises` if `rise` is given (the accepted steps on which V rises by more than `rise` |V|), and
    `tried`, the step of the last trial, if it is to be traced.
    """

    objective: Any
    flow: Any
    scheme: Any
    controller: Any
    h0: float
    limits: Limits
    rise: float | None = None
    traced: bool = False

    internal = ("f", "scheme_memory")                       # not among the results

    @property
    def title(self) -> str:
        parts = (self.objective, self.flow, self.scheme, self.controller)
        return " x ".join(type(part).__name__ for part in parts)

    # -- run-time parameters: every field that holds a float, in every part

    def parameters(self) -> list[tuple[str, float]]:
        """(name, value) of every run-time parameter."""
        found: dict[str, float] = {}
        with_parameters(self, "", lambda name, value: found.setdefault(name, value))
        return list(found.items())

    def bound(self, numbers: Iterable) -> Machine:
        """The same machine with these numbers as its run-time parameters."""
        it = iter(numbers)
        return with_parameters(self, "", lambda name, value: next(it))

    # -- the two functions that readers read

    def begin(self, x: Any) -> tuple[dict, dict]:
        """The record of a run at its start, and the evaluations that it took."""
        flow, zero = self.flow, x*0.0
        ode = Ode(flow, self.objective, x)
        t = flow.t0
        _demand_form(f"{type(flow).__name__}.t0", t)
        given = ode.given(t, State({"x": x}), h=self.h0)
        first = {"x": x, **_named(flow.start, given)}
        unknown = [name for name in first if name not in (*flow.blocks, *flow.scalars)]
        if unknown or any(s not in first for s in flow.scalars):
            raise FormulaError(f"{type(flow).__name__}.start must give every scalar of {flow.scalars} and only blocks "
                               f"of {flow.blocks}; it gave {', '.join(k for k in first if k != 'x') or 'nothing'}")
        z = State({b: first.get(b, zero) for b in flow.blocks} | {s: first[s] for s in flow.scalars})
        for name, value in z.blocks.items():
            _demand_form(f"{type(flow).__name__}.start", value, None if name in flow.scalars else x, name)
        record = {"status": 0.0, "t": t, "n": 0.0, "trials": 0.0, "h": self.h0, "z": z, "g": ode.g(x)}
        if self._asks_energy:
            record["V"] = ode.V(t, z)
            if ode.knows("f", x):
                record["f"] = ode.f(x)
        if self.rise is not None:
            record["rises"] = 0.0
        if self.traced:
            record["tried"] = np.nan
        given = {"x": x, "z": z, "h": self.h0, "V": Lazy(lambda: ode.V(t, z)), "g": record["g"],
                 "f": Lazy(lambda: ode.f(x))}
        record["scheme_memory"] = _named(self.scheme.memory, given)
        try:
            inspect.signature(self.scheme.step).bind(ode, t, z, self.h0, **record["scheme_memory"])
        except TypeError as error:
            called_as = ", ".join(["ode", "t", "z", "h", *record["scheme_memory"]])
            raise FormulaError(f"{type(self.scheme).__name__}.step must take ({called_as}), after h what its `memory` "
                               f"declares: {error}") from error
        record["memory"] = _named(self.controller.memory, given)
        record["status"] = self._ending(ode, record, changed=True, stuck=False)
        return record, {name: ode.evaluations[kind] for name, kind in COUNTS.items()}

    def trial(self, record: dict) -> tuple[dict, Work]:
        """The record of a run that goes on after one more trial, and the evaluations that it took."""
        flow, t, z, n = self.flow, record["t"], record["z"], record["n"]
        ode = Ode(flow, self.objective, z.x)
        ode.know("g", z.x, record["g"])
        if "f" in record:
            ode.know("f", z.x, record["f"])

        h = self._capped(ode, record)
        step = read(self.scheme.step, ode, t, z, h, **record["scheme_memory"])
        _demand_step(f"{type(self.scheme).__name__}.step", step, z)
        used = h if step.h is None else step.h
        t1, z1 = t + used, step.z
        if self.limits.t_end is not None:                   # t + (t_end - t) may miss t_end by a rounding
            t1 = where(_truth(used == self.limits.t_end - t), self.limits.t_end, t1)
        if flow.jump is not None:
            moved = _named(flow.jump, ode.given(t1, z1, z0=z))
            _demand_blocks(f"{type(flow).__name__}.jump", moved, z)
            z1 = z1.replace(**moved)
        V1 = Lazy(lambda: ode.V(t1, z1) if step.V is None else step.V)
        accept, h1, memory = self._controlled(ode, record, step, used, t1, z1, V1)
        decided = ~_truth(step.pending)
        keep = decided & accept & step.solved
        tried = dict(ode.evaluations)

        new = {"t": where(keep, t1, t), "n": where(keep, n + 1.0, n), "trials": record["trials"] + 1.0,
               "h": where(decided, h1, record["h"]), "z": where(keep, z1, z),
               "g": where(keep, lambda: ode.g(z1.x), record["g"])}
        if "V" in record:
            new["V"] = where(keep, V1, record["V"])
        if self.rise is not None:
            rose = Lazy(lambda: where(V1() - record["V"] > self.rise*np.abs(record["V"]), 1.0, 0.0))
            new["rises"] = record["rises"] + where(keep, rose, 0.0)
        if self.traced:
            new["tried"] = used
        if "f" in record:
            new["f"] = where(keep, lambda: ode.f(z1.x), record["f"])
        kept = where(keep, {**record["scheme_memory"], **step.memory}, record["scheme_memory"])
        new["scheme_memory"] = {**kept, **step.inner}
        new["memory"] = where(decided, {**record["memory"], **memory}, record["memory"])

        remembers = flow.asks_clock or bool(record["scheme_memory"].keys() - step.inner.keys())
        changed = True if remembers else _differ(z, z1) | step.pending
        moved = accept & step.solved | step.pending
        stuck = ~_differ((record["h"], record["memory"]), (h1, new["memory"])) & ~_truth(moved)
        if step.answer is None:
            new["status"] = self._ending(ode, new, changed, stuck)
        else:                                               # the stop test looks at another point, and returns it
            x, g = step.answer
            hit = ode.residual(t, z.replace(x=x), g) <= self.limits.gtol*self.limits.gtol
            new["z"], new["g"] = new["z"].replace(x=where(hit, x, new["z"].x)), where(hit, g, new["g"])
            other = Lazy(lambda: self._ending(ode, new, changed, stuck, converge=False))
            new["status"] = where(~hit, other, float(Status.CONVERGED))
        counts = {name: (tried[kind], _more(ode.evaluations[kind], tried[kind])) for name, kind in COUNTS.items()}
        return {key: new[key] for key in record}, Work(counts, keep)

    def _capped(self, ode: Ode, record: dict) -> Any:
        h = record["h"]
        cap = self.controller.cap(lambda: ask(self.flow.cap, ode.given(record["t"], record["z"])))
        if cap is not None:
            _demand_form(f"{type(self.flow).__name__}.cap", cap)
            h = np.minimum(h, cap)
        return h if self.limits.t_end is None else np.minimum(h, self.limits.t_end - record["t"])

    @property
    def _asks_energy(self) -> bool:
        return self.rise is not None or bool({"V0", "V1"} & set(asks(self.controller.control)))

    def _controlled(self, ode: Ode, record: dict, step: Any, h: Any, t1: Any, z1: State, V1: Lazy) -> tuple:
        t, z = record["t"], record["z"]

        def predicted() -> Any:
            if self.controller.at == "step" and step.predicted is not None:
                decrease = step.predicted() if callable(step.predicted) else step.predicted
                _demand_form(f"{type(self.scheme).__name__}.step", decrease, None, "predicted")
                return decrease
            return h*(ode.dissipation(t1, z1) if self.controller.at == "end" else ode.dissipation(t, z))

        def error() -> Any:
            if step.error is None:
                raise FormulaError(f"{type(self.controller).__name__} asks for an error, but "
                                   f"{type(self.scheme).__name__} estimates none: use a scheme with an embedded "
                                   "estimate (EulerRichardson, DormandPrince)")
            return step.error
        given = {"h": h, "t": t, "n": record["n"], "gtol": self.limits.gtol, "V0": record.get("V"), "V1": V1,
                 "predicted": Lazy(predicted), "error": Lazy(error), "solved": step.solved, "updates": step.updates,
                 "z0": z, "z1": z1, "g0": record["g"], "g1": Lazy(lambda: ode.g(z1.x)),
                 "f0": Lazy(lambda: ode.f(z.x)), "f1": Lazy(lambda: ode.f(z1.x)), "Q0": Lazy(lambda: ode.Q(z.x)),
                 **record["memory"]}
        answer = ask(self.controller.control, given)
        name = f"{type(self.controller).__name__}.control"
        if not (isinstance(answer, tuple) and len(answer) == 3 and isinstance(answer[2], Mapping)):
            raise FormulaError(f"{name} must return (accept, next h, memory), got {answer!r}: memory is a dict, "
                               "perhaps empty")
        if not _is_condition(answer[0]):
            raise FormulaError(f"{name} must return a condition as `accept`, got {answer[0]!r}: compare, as in "
                               "V1 <= V0")
        _demand_form(name, answer[1], None, "the next h")
        for part, memory, declared in ((self.controller, answer[2], record["memory"]),
                                       (self.scheme, {**step.memory, **step.inner}, record["scheme_memory"])):
            for name, value in memory.items():
                if name not in declared:
                    raise FormulaError(f"{type(part).__name__} returned the memory {name!r}, which its `memory` does "
                                       f"not declare (it declares: {', '.join(declared) or 'nothing'})")
                if list(map(form, leaves(value))) != list(map(form, leaves(declared[name]))):
                    raise FormulaError(f"{type(part).__name__} returned the memory {name} = {value!r}, which its "
                                       "`memory` starts as another kind: a number stays a number, a vector a vector")
        return answer

    def _ending(self, ode: Ode, record: dict, changed: Any, stuck: Any, converge: bool = True) -> Any:
        """The status that follows from a record: the last of these reasons that holds, 0 if none does."""
        limits = self.limits
        residual = ode.residual(record["t"], record["z"], record["g"])
        status: Any = 0.0
        reasons = [(~_truth(record["h"] > self.controller.h_min), Status.STEP_UNDERFLOW), (stuck, Status.STALLED),
                   (~_truth(changed), Status.STEP_UNDERFLOW),
                   (record["trials"] >= limits.max_trials, Status.MAX_TRIALS),
                   (record["n"] >= limits.max_steps, Status.MAX_STEPS)]
        if limits.t_end is not None:
            reasons.append((record["t"] >= limits.t_end, Status.REACHED_T))
        reasons.append((~_truth(residual < np.inf), Status.DIVERGED))
        if converge:
            reasons.append((residual <= limits.gtol*limits.gtol, Status.CONVERGED))
        # LLVM merges two neighbours of equal status into a detour, a seventh of polyFive's trial: none stand together
        for holds, reason in reasons:
            status = where(_truth(holds), float(reason), status)
        return status


def _more(after: Any, before: Any) -> Any:
    return 0 if after is before else after - before


def _truth(condition: Any) -> Any:
    """A condition on which ~ means not: Python's own booleans would count as integers."""
    return np.bool_(condition) if isinstance(condition, (bool, np.bool_)) else condition


def _is_condition(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_)) or (form(value) == () and hasattr(value, "graph"))


def _demand_form(name: str, value: Any, like: Any = None, part: str = "") -> None:
    """Refuse what a formula returned if it is no number, or no vector where it should be one as `like`."""
    expected = () if like is None else form(like)
    if form(value) != expected:
        kind = "a number" if expected == () else "a vector like x"
        made = isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.dtype == object)
        raise FormulaError(f"{name} must return {kind}{f' for {part}' if part else ''}, got {value!r}"
                           + (": write it on whole vectors, or begin with one of them, as in oo.put(x, i, a)"
                              if made else ""))


def _demand_blocks(name: str, values: Mapping, z: State, rates: bool = False) -> None:
    """Refuse what a formula returned for blocks, if z has none of this name or of another form.

    A rate may be one number for all coordinates.
    """
    for block, value in values.items():
        if block not in z.blocks:
            raise FormulaError(f"{name} must return blocks among {', '.join(z)}, got {block!r}")
        if not (rates and form(value) == ()):
            _demand_form(name, value, z[block], block)


def _demand_step(name: str, step: Any, z: State) -> None:
    """Refuse what a scheme returned for a step from z if it is none."""
    if not isinstance(step, Step):
        raise FormulaError(f"{name} must return a Step, got {type(step).__name__}: return oo.Step(z)")
    if not (isinstance(step.z, State) and list(step.z) == list(z)):
        raise FormulaError(f"{name} must return a state of the blocks {', '.join(z)}, got {step.z!r}: start from z, "
                           "as in oo.Step(z.replace(x=...))")
    _demand_blocks(name, step.z.blocks, z)
    for part, value in (("h", step.h), ("V", step.V), ("updates", step.updates)):
        if value is not None:
            _demand_form(name, value, None, part)
    for part, value in (("solved", step.solved), ("pending", step.pending)):
        if not _is_condition(value):
            raise FormulaError(f"{name} must return a condition as `{part}`, got {value!r}: compare, as in r <= tol")
    for part, value in (("memory", step.memory), ("inner", step.inner)):
        if not isinstance(value, Mapping):
            raise FormulaError(f"{name} must return a dict as `{part}`, got {value!r}")
    if not (step.error is None or isinstance(step.error, State) or form(step.error) not in (None, ())):
        raise FormulaError(f"{name} must return a state or a vector as `error`, got {step.error!r}: the controller "
                           "takes the norm")
    if step.answer is not None:
        if not (isinstance(step.answer, tuple) and len(step.answer) == 2):
            raise FormulaError(f"{name} must return a point and its gradient, (x, g), as `answer`, got {step.answer!r}")
        for value in step.answer:
            _demand_form(name, value, z.x, "answer")


def _named(formula: Callable, given: dict) -> Any:
    """What a formula returns by name: numbers and vectors in a dict."""
    found = ask(formula, given)
    if not isinstance(found, Mapping) or any(form(leaf) is None for leaf in leaves(found)):
        raise FormulaError(f"{formula.__qualname__} must return a dict of numbers and vectors, got {found!r}")
    return found


def _differ(a: Any, b: Any) -> Any:
    """Whether two records differ anywhere."""
    differ: Any = np.bool_(False)
    for p, q in zip(leaves(a), leaves(b), strict=True):
        differ = differ | np.any(p != q)
    return differ


def with_parameters(part: Any, name: str, number: Callable) -> Any:
    """A copy of a part with every run-time parameter replaced by `number(name, value)`."""
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        copy = object.__new__(type(part))
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if "float" in str(field.type) and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)                        # friction=2 is a run-time parameter as friction=2.0 is
            object.__setattr__(copy, field.name, with_parameters(value, f"{name}.{field.name}".lstrip("."), number))
        return copy
    if isinstance(part, (float, np.floating)):
        return number(name, float(part))
    if isinstance(part, tuple) and any(map(dataclasses.is_dataclass, part)):
        return tuple(with_parameters(p, f"{name}.{i}", number) for i, p in enumerate(part))
    return part
