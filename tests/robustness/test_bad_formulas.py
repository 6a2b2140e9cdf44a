"""Formulas, schemes and controllers that misbehave end in an error that names them, or in a status."""

import re

import numpy as np
import pytest

import odeopt as oo
from odeopt import Controller, Flow, FormulaError, Scheme, Step
from odeopt.controllers import Constant, LyapunovBacktracking
from odeopt.flows import GradientFlow, HeavyBall
from odeopt.objectives import Function, PolyTwo
from odeopt.schemes import ExplicitEuler, Lie
from odeopt.status import Status

READERS = ("numpy", "lanes", "vector")
POLY = PolyTwo()
CALLED = Function(lambda x: float(POLY.f(x)), POLY.gradient)


def method(flow=None, scheme=None, controller=None, h0=0.1):
    return oo.Method(flow or GradientFlow(), scheme or ExplicitEuler(), controller or Constant(), h0)


def run(m, reader, **options):
    objective = CALLED if reader == "vector" else POLY
    options = {"max_steps": 50, "max_trials": 300} | options
    return oo.solve(objective, m, [0.1, 0.2], backend=reader, **options)


def flow(controller=None, **formulas):
    return method(type("Mine", (Flow,), formulas)(), controller=controller)


def energetic(**formulas):
    whole = {"field": lambda self, g: -g, "V": lambda self, f: f, "dissipation": lambda self, g: g @ g} | formulas
    return flow(LyapunovBacktracking(), **whole)


def scheme(step, of=None):
    return method(of, scheme=type("Mine", (Scheme,), {"step": step})())


def controller(control, **formulas):
    return method(controller=type("Mine", (Controller,), {"control": control} | formulas)())


def split(**formulas):
    whole = {
        "blocks": ("x", "v"), "parts": ("drift", "kick"), "field": lambda self, v, g: (v, -g),
        "drift": lambda self, h, x, v: {"x": x + h*v}, "kick": lambda self, h, v, g: {"v": v - h*g}} | formulas
    return method(type("Mine", (Flow,), whole)(), Lie())


def judged(**said):
    made = type("Mine", (Scheme,), {"step": lambda self, ode, t, z, h: Step(z + h*ode.field(t, z), **said)})()
    return method(scheme=made, controller=LyapunovBacktracking())


def doubled_in_place(self, ode, t, z, h):
    z.x = 2.0 * z.x
    return Step(z)


def descent(self, g):
    return -g


# what formulas return: (method, what is said, what was given)
RETURNS = {
    "a text": (lambda: flow(field=lambda self, g: "abc"), "Mine.field must return a vector", "'abc'"),
    "nothing": (lambda: flow(field=lambda self, g: None), "Mine.field must return a vector", "None"),
    "a list": (lambda: flow(field=lambda self, g: [-g]), "Mine.field must return a vector", "["),
    "too short": (lambda: flow(field=lambda self, g: np.ones(1)), "Mine.field must return a vector", "array([1.])"),
    "too long": (
        lambda: flow(field=lambda self, g: np.ones(3)), "Mine.field must return a vector", "array([1., 1., 1.])"),
    "a dict": (lambda: flow(field=lambda self, g: {"x": -g}), "Mine.field must return a vector", "{'x'"),
    "too many": (lambda: flow(field=lambda self, g: (-g, g)), "Mine.field returned 2 values", "2 values"),
    "too few": (lambda: flow(blocks=("x", "v"), field=descent), "Mine.field returned 1 values", "1 values"),
    "no block x": (lambda: flow(blocks=("y",), field=descent), "Mine.blocks must be 'x' and other names", "('y',)"),
    "no block": (lambda: flow(blocks=(), field=descent), "Mine.blocks must be 'x' and other names", "()"),
    "a block twice": (
        lambda: flow(blocks=("x", "x"), field=lambda self, g: (-g, g)), "no name may stand twice", "('x', 'x')"),
    "a name in place of names": (
        lambda: flow(scalars="E", field=descent), "Mine.scalars must be a tuple of names", "'E'"),
    "positive of nothing": (
        lambda: flow(positive=("s",), field=descent), "Mine.positive must name blocks", "('s',)"),
    "no start of a scalar": (
        lambda: flow(scalars=("E",), field=lambda self, g, E: (-g, E)), "Mine.start must give every scalar", "nothing"),
    "a part of a vector": (lambda: split(drift=lambda self, h, x, v: x + h*v), "must return a dict", "got"),
    "a part of a list": (
        lambda: split(drift=lambda self, h, x, v: {"x": [x[0], x[1]]}), "must return a dict of numbers", "["),
    "a part of a number": (
        lambda: split(drift=lambda self, h: {"x": 1.0}), "Mine.drift must return a vector like x for x", "1.0"),
    "a part of unknowns": (
        lambda: split(drift=lambda self, h, v: {"y": v}), "Mine.drift must return blocks among x, v", "'y'"),
    "a sub-field of unknowns": (
        lambda: split(drift=lambda self, v: {"y": v}), "Mine.drift must return blocks among x, v", "'y'"),
    "a sub-field of a vector": (lambda: split(drift=lambda self, v: v), "must return a dict", "got"),
    "a part that is missing": (lambda: split(drift=None), "Mine has no part 'drift': define it", "drift, kick"),
    "a time of text": (lambda: flow(t0="noon", field=descent), "Mine.t0 must return a number", "'noon'"),
    "a start of a list": (lambda: flow(start=lambda self: [1.0], field=descent), "must return a dict", "[1.0]"),
    "a start of another length": (
        lambda: flow(blocks=("x", "v"), start=lambda self: {"v": np.zeros(3)}, field=lambda self, g, v: (-g, v)),
        "Mine.start must return a vector like x for v",
        "array([0., 0., 0.])",
    ),
    "a number for a block": (
        lambda: flow(blocks=("x", "v"), start=lambda self: {"v": 1.0}, field=lambda self, g, v: (-g, v)),
        "Mine.start must return a vector like x for v",
        "1.0",
    ),
    "an energy of text": (lambda: energetic(V=lambda self: "low"), "Mine.V must return a number", "'low'"),
    "an energy of nothing": (lambda: energetic(V=lambda self: None), "Mine.V must return a number", "None"),
    "an energy of vectors": (lambda: energetic(V=lambda self, g: g), "Mine.V must return a number", ""),
    "a rate of vectors": (
        lambda: energetic(dissipation=lambda self, g: g), "Mine.dissipation must return a number", ""),
    "no rate": (lambda: energetic(dissipation=None), "Mine has no dissipation: give the flow one", ""),
    "a residual of vectors": (lambda: flow(field=descent, residual=lambda self, g: g), "Mine.residual must return", ""),
    "a jump of a list": (lambda: flow(field=descent, jump=lambda self, x: [x]), "must return a dict", "["),
    "a jump of unknowns": (lambda: flow(field=descent, jump=lambda self, x: {"y": x}), "Mine.jump must return", "'y'"),
    "a jump of numbers": (lambda: flow(field=descent, jump=lambda self, x: {"x": 1.0}), "Mine.jump must return", "1.0"),
    "a cap of text": (
        lambda: flow(Constant(h_max="flow"), field=descent, cap=lambda self: "low"),
        "Mine.cap must return a number",
        "'low'",
    ),
    "an unknown name": (lambda: flow(field=lambda self, hessain: hessain), "asks for 'hessain'", "Known: "),
    "a default": (lambda: flow(field=lambda self, g, k=3: -k * g), "asks for 'k'", "Known: "),
    "a function for a vector": (
        lambda: flow(field=lambda self, gradient: -gradient), "at x they are `f` and `g`", "-gradient"),
    "no field": (lambda: flow(), "Mine has no field: define field", ""),
    "no step": (lambda: method(scheme=type("Mine", (Scheme,), {})()), "Mine has no step: define step", ""),
    "no control": (lambda: method(controller=type("Mine", (Controller,), {})()), "Mine has no control: define", ""),
    "no Step": (lambda: scheme(lambda self, ode, t, z, h: z), "Mine.step must return a Step", "State"),
    "a step of nothing": (lambda: scheme(lambda self, ode, t, z, h: None), "Mine.step must return a Step", "NoneType"),
    "a step to an array": (lambda: scheme(lambda self, ode, t, z, h: Step(z.x)), "Mine.step must return a state", ""),
    "a step to nowhere": (
        lambda: scheme(lambda self, ode, t, z, h: Step(None)), "Mine.step must return a state", "None"),
    "a block missing": (
        lambda: scheme(lambda self, ode, t, z, h: Step(oo.State({"x": z.x})), HeavyBall()),
        "Mine.step must return a state of the blocks x, v",
        "State(x=",
    ),
    "a block of a number": (
        lambda: scheme(lambda self, ode, t, z, h: Step(z.replace(x=1.0))),
        "Mine.step must return a vector like x for x",
        "1.0",
    ),
    "a block too many": (lambda: scheme(lambda self, ode, t, z, h: Step(z.replace(y=z.x))), "no block 'y', only x", ""),
    "a misspelt ode": (lambda: scheme(lambda self, ode, t, z, h: Step(ode.feild(t, z))), "no attribute 'feild'", ""),
    "a step of no arguments": (lambda: scheme(lambda self: 1), "Mine.step must take (ode, t, z, h)", "positional"),
    "a step that remembers": (
        lambda: scheme(lambda self, ode, t, z, h, last: Step(z)), "Mine.step must take (ode, t, z, h)", "'last'"),
    "a field of x": (
        lambda: scheme(lambda self, ode, t, z, h: Step(z + h*ode.field(t, z.x))),
        "write ode.field(t, z)",
        "ode.field(t, z.x)",
    ),
    "a gradient at a state": (
        lambda: scheme(lambda self, ode, t, z, h: Step(z.replace(x=ode.g(z)))), "write ode.f(z.x)", "ode.g(z)"),
    "a state and a vector": (
        lambda: scheme(lambda self, ode, t, z, h: Step(z - h*ode.g(z.x))), "z.replace(x=z.x + a)", "ode.g(z.x)"),
    "a state and a number": (lambda: scheme(lambda self, ode, t, z, h: Step(z + h)), "z.replace(x=z.x + a)", "z + h"),
    "a prediction of vectors": (
        lambda: judged(predicted=lambda: np.ones(2)), "must return a number for predicted", "array([1., 1.])"),
    "a V of vectors": (lambda: judged(V=np.ones(2)), "Mine.step must return a number for V", "array([1., 1.])"),
    "an h of text": (lambda: judged(h="long"), "Mine.step must return a number for h", "'long'"),
    "an error of a number": (lambda: judged(error=0.1), "must return a state or a vector as `error`", "0.1"),
    "solved of text": (lambda: judged(solved="yes"), "must return a condition as `solved`", "'yes'"),
    "pending of 1": (lambda: judged(pending=1), "must return a condition as `pending`", "1: compare"),
    "an answer of one": (lambda: judged(answer=1.0), "must return a point and its gradient, (x, g)", "1.0"),
    "an answer of numbers": (
        lambda: judged(answer=(1.0, 1.0)), "Mine.step must return a vector like x for answer", "1.0"),
    "a memory of a list": (lambda: judged(memory=[1.0]), "must return a dict as `memory`", "[1.0]"),
    "a memory that changes kind": (
        lambda: controller(lambda self, h, a, g0: (True, h, {"a": "s"}), memory=lambda self: {"a": 0.0}),
        "Mine returned the memory a = 's'",
        "a number stays a number",
    ),
    "a changed state": (lambda: scheme(doubled_in_place), "not changed in place: z.replace(x=...)", "z.x = 2.0 * z.x"),
    "memory not declared": (
        lambda: scheme(lambda self, ode, t, z, h: Step(z, memory={"last": z.x})),
        "Mine returned the memory 'last', which its `memory` does not declare",
        "it declares: nothing",
    ),
    "a next h of text": (
        lambda: controller(lambda self, h: (True, "long", {})), "must return a number for the next h", "'long'"),
    "no next h": (lambda: controller(lambda self, h: (True, None, {})), "must return a number for the next h", "None"),
    "a vector of h": (lambda: controller(lambda self, g0: (True, g0, {})), "must return a number for the next h", ""),
    "no accept": (lambda: controller(lambda self, h: (None, h, {})), "a condition as `accept`", "None: compare"),
    "accept of text": (lambda: controller(lambda self, h: ("yes", h, {})), "a condition as `accept`", "'yes'"),
    "accept of 1": (lambda: controller(lambda self, h: (1, h, {})), "a condition as `accept`", "1: compare"),
    "accept of vectors": (lambda: controller(lambda self, h, g0: (g0 > 0.0, h, {})), "a condition as `accept`", ""),
    "no memory": (lambda: controller(lambda self, h: (True, h, None)), "memory is a dict, perhaps empty", "None"),
    "memory of a list": (lambda: controller(lambda self, h: (True, h, [])), "memory is a dict, perhaps empty", "[]"),
    "a list of three": (lambda: controller(lambda self, h: [True, h, {}]), "(accept, next h, memory)", "[True"),
    "four": (lambda: controller(lambda self, h: (True, h, {}, 1)), "(accept, next h, memory)", "(True"),
    "no answer": (lambda: controller(lambda self, h: None), "(accept, next h, memory)", "None"),
    "declared as a list": (
        lambda: controller(lambda self, h: (True, h, {}), memory=lambda self: [1.0]),
        "must return a dict of numbers and vectors",
        "[1.0]",
    ),
    "declared as text": (
        lambda: controller(lambda self, h, a: (True, h, {}), memory=lambda self: {"a": "s"}),
        "must return a dict of numbers and vectors",
        "{'a': 's'}",
    ),
    "an unknown step": (
        lambda: controller(lambda self, stepsize: (True, stepsize, {})), "asks for 'stepsize'", "Known: "),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", RETURNS)
def test_what_a_formula_returns_is_looked_at(case, reader):
    make, said, given = RETURNS[case]
    with pytest.raises(FormulaError) as caught:
        run(make(), reader)
    message = str(caught.value)
    assert said in message
    assert given in message


def test_a_complex_field_and_a_matrix_are_refused_where_arrays_could_be_either():
    for field in (lambda self, g: 1j * g, lambda self, g: np.outer(g, g)):
        with pytest.raises(FormulaError, match="must return a vector like x for x, got array"):
            run(flow(field=field), "numpy")


@pytest.mark.parametrize("given", [lambda g: [-g[0], -g[1]], lambda g: np.array([-g[0], -g[1]])])
def test_a_vector_made_of_its_coordinates_is_refused_with_the_mend(given):
    with pytest.raises(FormulaError, match=r"Mine.field must return a vector like x .*recorded number.*oo.put"):
        run(flow(field=lambda self, g: given(g)), "lanes")
    with pytest.raises(FormulaError, match=r"a list is no vector: write np.array"):
        run(flow(field=lambda self, g: [1.0, 2.0]*g), "lanes")


def test_a_flow_with_an_init_of_its_own_is_refused():
    class Mine(GradientFlow):
        def __init__(self, friction):
            self.friction = friction

    with pytest.raises(TypeError, match=r"`flow` must keep its parameters in fields, got .*@dataclass\(frozen=True\)"):
        method(Mine(2.0))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, RuntimeError, OSError])
def test_what_a_formula_raises_of_its_own_is_raised(error, reader):
    def field(self, g):
        raise error("mine")

    with pytest.raises(error, match="mine"):
        run(flow(field=field), reader)


# -- controllers and steps that go nowhere: a status, never a hang

ENDS = {
    "never accepts": (lambda: controller(lambda self, h: (False, h, {})), Status.STALLED),
    "never accepts and halves": (lambda: controller(lambda self, h: (False, 0.5 * h, {})), Status.STEP_UNDERFLOW),
    "never accepts and grows": (lambda: controller(lambda self, h: (False, 2.0 * h, {})), Status.MAX_TRIALS),
    "never accepts and grows fast": (lambda: controller(lambda self, h: (False, 1e40 * h, {})), Status.STALLED),
    "always accepts and grows": (lambda: controller(lambda self, h: (True, 1e10 * h, {})), Status.DIVERGED),
    "no step": (lambda: controller(lambda self, h: (True, 0.0, {})), Status.STEP_UNDERFLOW),
    "a whole number": (lambda: controller(lambda self, h: (True, 0, {})), Status.STEP_UNDERFLOW),
    "not a number": (lambda: controller(lambda self, h: (True, np.nan, {})), Status.STEP_UNDERFLOW),
    "backwards": (lambda: controller(lambda self, h: (True, -h, {})), Status.STEP_UNDERFLOW),
    "backwards if it fails": (lambda: controller(lambda self, h: (False, -h, {})), Status.STEP_UNDERFLOW),
    "infinite": (lambda: controller(lambda self, h: (True, np.inf, {})), Status.DIVERGED),
    "shrinks for ever": (lambda: controller(lambda self, h: (True, 0.25 * h, {})), Status.STEP_UNDERFLOW),
    "a solve that never ends": (
        lambda: scheme(lambda self, ode, t, z, h: Step(z, pending=True)), Status.MAX_TRIALS),
    "a solve that fails": (
        lambda: scheme(lambda self, ode, t, z, h: Step(z + h*ode.field(t, z), solved=False)), Status.STALLED),
    "a step to not-a-number": (
        lambda: scheme(lambda self, ode, t, z, h: Step(z*np.nan)), Status.DIVERGED),
    "time backwards": (
        lambda: scheme(lambda self, ode, t, z, h: Step(z + h*ode.field(t, z), h=-h)), Status.STEP_UNDERFLOW),
    "a cap of 0": (lambda: flow(Constant(h_max="flow"), field=descent, cap=lambda self: 0.0), Status.STEP_UNDERFLOW),
    "a cap below 0": (
        lambda: flow(Constant(h_max="flow"), field=descent, cap=lambda self: -1.0), Status.STEP_UNDERFLOW),
    "a cap of not-a-number": (
        lambda: flow(Constant(h_max="flow"), field=descent, cap=lambda self: np.nan), Status.DIVERGED),
    "an infinite field": (lambda: flow(field=lambda self, g: g/0.0), Status.DIVERGED),
    "no field": (lambda: flow(field=lambda self, g: 0.0*g), Status.STEP_UNDERFLOW),
    "a residual of not-a-number": (lambda: flow(field=descent, residual=lambda self: np.nan), Status.DIVERGED),
    "an energy of not-a-number": (lambda: energetic(V=lambda self: np.nan), Status.STEP_UNDERFLOW),
    "an energy that rises": (lambda: energetic(V=lambda self, f: -f), Status.STEP_UNDERFLOW),
    "a rate that is infinite": (lambda: energetic(dissipation=lambda self: np.inf), Status.STEP_UNDERFLOW),
    "the least h0": (lambda: method(h0=5e-324), Status.STEP_UNDERFLOW),
    "the largest h0": (lambda: method(h0=1.7e308), Status.DIVERGED),
    "the largest h0, controlled": (
        lambda: method(h0=1.7e308, controller=LyapunovBacktracking(shrink=1e10)), Status.MAX_STEPS),
    "the largest growth": (lambda: method(controller=LyapunovBacktracking(grow=1.7e308)), Status.MAX_TRIALS),
    "the largest shrinking": (
        lambda: method(h0=10.0, controller=LyapunovBacktracking(shrink=1.7e308)), Status.STEP_UNDERFLOW),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", ENDS)
def test_what_goes_nowhere_ends_with_a_status(case, reader):
    make, status = ENDS[case]
    end = run(make(), reader, gtol=1e-8)
    assert end.status == status, (end.status, end.nit, end.trials, end.h)
    assert end.trials <= 300
    assert re.search(r"\w", end.message)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("limit", ["max_steps", "max_trials", "t_end"])
def test_limits_hold_to_the_step(limit, reader):
    end = run(oo.methods.gd(0.125), reader, **{limit: 3 if limit != "t_end" else 0.375})
    assert (end.nit, end.trials, end.t) == (3, 3, 0.375)
    assert end.status == {"max_steps": 3, "max_trials": 4, "t_end": 2}[limit]


# -- landscapes

LANDSCAPES = {
    "a text": (lambda self, x, y: "low", "'low'"),
    "nothing": (lambda self, x, y: None, "None"),
    "two numbers": (lambda self, x, y: (x, y), "("),
    "complex": (lambda self, x, y: 1j * x + y, "complex"),
    "a loop over a number": (lambda self, x, y: sum(a for a in x), "used as a vector"),
    "a list of it": (lambda self, x, y: [x * x + y * y], "["),
    "another number of arguments": (lambda self, x: x * x, "argument"),
}


@pytest.mark.parametrize("reader", ["numpy", "lanes"])
@pytest.mark.parametrize("case", LANDSCAPES)
def test_landscapes_that_are_no_formula(case, reader):
    value, given = LANDSCAPES[case]
    objective = type("Mine", (oo.Landscape,), {"value": value, "derivatives": "trace"})()
    with pytest.raises(FormulaError) as caught:
        oo.solve(objective, oo.methods.gd(), [0.1, 0.2], backend=reader, max_steps=3)
    assert given in str(caught.value)
