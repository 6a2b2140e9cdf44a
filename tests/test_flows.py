"""Flows are what they say: V falls at the stated rate, and the parts are exact and make up the field."""

import ast
import inspect
import textwrap
from dataclasses import dataclass

import numpy as np
import pytest

import odeopt as oo
from odeopt import flows, verify
from odeopt.language import State
from odeopt.trial import Ode

# parameters at which nothing cancels by chance
FLOWS = [flows.GradientFlow(), flows.NormalizedGradient(), flows.ClippedGradient(0.7), flows.SignGradient(),
         flows.HeavyBall(0.7, 1.3), flows.RMSProp(1.7, 0.3), flows.AWB(1.3, 0.4, 0.2),
         flows.Adam(1.3, 0.4, 0.2)]
SPLIT = [flow for flow in FLOWS if flow.parts]


def name(flow):
    return type(flow).__name__


# -- dV/dt = -dissipation

@pytest.mark.parametrize("flow", FLOWS, ids=name)
def test_the_dissipation_is_proved(flow):
    verdict = verify.dissipation(flow)
    assert verdict.status == "proved" and verdict


@pytest.mark.parametrize("name", [name for name in flows.__all__ if name != "Flow"])
def test_no_flow_of_the_catalogue_is_refuted(name):
    flow = getattr(flows, name)()
    if flow.V is None or flow.dissipation is None:
        pytest.skip("makes no claim")
    verdict = verify.dissipation(flow)
    assert verdict and (flow.bound or verdict.status == "proved"), verdict


class _Mutate(ast.NodeTransformer):
    """Changes the k-th place of a formula that can be changed: drops a term, or scales a constant by 1.1."""

    def __init__(self, k):
        self.left, self.what = k, None

    def _turn(self, what):
        self.left -= 1
        if self.left == -1:
            self.what = what
        return self.left == -1

    def _scaled(self, node):
        return ast.BinOp(ast.Constant(1.1), ast.Mult(), node)

    def visit_BinOp(self, node):
        if isinstance(node.op, (ast.Add, ast.Sub)):
            if self._turn(f"without {ast.unparse(node.right)}"):
                return node.left
            if self._turn(f"without {ast.unparse(node.left)}"):
                return node.right if isinstance(node.op, ast.Add) else ast.UnaryOp(ast.USub(), node.right)
        return self.generic_visit(node)

    def visit_Constant(self, node):
        number = isinstance(node.value, float) and node.value != 0.0
        return self._scaled(node) if number and self._turn(f"1.1*{node.value}") else node

    def visit_Attribute(self, node):
        if getattr(node.value, "id", "") == "self" and isinstance(node.ctx, ast.Load):
            return self._scaled(node) if self._turn(f"1.1*{ast.unparse(node)}") else node
        return node

    def visit_Call(self, node):
        node.args = [self.visit(a) for a in node.args]      # not the function, which may be a method of self
        return node

    def visit_Return(self, node):
        results = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        for i, result in enumerate(results):
            whole = self._turn(f"1.1*({ast.unparse(result)})")
            results[i] = self._scaled(result) if whole else self.visit(result)
        if not isinstance(node.value, ast.Tuple):
            node.value = results[0]
        return node


def mutants(flow):
    """(description, flow) of every flow with one place of its field, V or dissipation changed."""
    for formula in ("field", "V", "dissipation"):
        function = getattr(type(flow), formula)
        source = textwrap.dedent(inspect.getsource(function))
        for k in range(1000):
            mutate = _Mutate(k)
            tree = mutate.visit(ast.parse(source))
            if mutate.what is None:
                break
            namespace = dict(function.__globals__)
            exec(compile(ast.fix_missing_locations(tree), "<mutant>", "exec"), namespace)
            mutant = object.__new__(type(name(flow), (type(flow),), {formula: namespace[formula]}))
            mutant.__dict__.update(flow.__dict__)
            yield f"{formula}: {mutate.what}", mutant


@pytest.mark.parametrize("flow", FLOWS, ids=name)
def test_a_changed_term_is_refuted_with_a_counterexample(flow):
    tried = 0
    for what, mutant in mutants(flow):
        verdict = verify.dissipation(mutant)
        if name(flow) == "RMSProp" and what.startswith("field") and "direction" not in what:
            assert verdict.status == "proved", what         # V = f: the average of squares may move at will
            continue
        tried += 1
        assert verdict.status == "refuted" and not verdict, what
        at = verdict.counterexample
        assert at["dV/dt"] - at["-dissipation"] == pytest.approx(at["difference"], rel=1e-9, abs=1e-300)
        assert abs(at["difference"]) > 1e-9*(abs(at["dV/dt"]) + abs(at["-dissipation"]))
        assert "refuted" in repr(verdict) and len(repr(verdict).splitlines()) == 4
    assert tried >= 3


def test_a_counterexample_is_where_the_claim_fails():
    @dataclass(frozen=True)
    class Wrong(flows.HeavyBall):
        def dissipation(self, v, g):
            return self.friction*(v @ v) + g @ g
    at = verify.dissipation(Wrong()).counterexample
    assert at["dV/dt"] == pytest.approx(-at["friction"]*at["v0"]**2)
    assert -at["-dissipation"] == pytest.approx(at["friction"]*at["v0"]**2 + at["g0"]**2)


def test_bounds_are_measured_and_refuted():
    @dataclass(frozen=True)
    class Low(flows.HeavyBall):
        bound = True

        def dissipation(self, v):
            return 0.9*self.friction*(v @ v)

    @dataclass(frozen=True)
    class High(Low):
        def dissipation(self, v):
            return 1.1*self.friction*(v @ v)
    assert verify.dissipation(Low()).status == "measured"
    assert verify.dissipation(High()).status == "refuted"


def test_what_symbols_cannot_decide_is_measured():
    @dataclass(frozen=True)
    class Veiled(flows.GradientFlow):
        def dissipation(self, f, g):
            return (g @ g)*(oo.sigmoid(f) + oo.sigmoid(-f))
    verdict = verify.dissipation(Veiled())
    assert verdict.status == "measured" and verdict and "not simplified" in repr(verdict)


def test_flows_that_make_no_claim_are_refused():
    @dataclass(frozen=True)
    class NoEnergy(oo.Flow):
        def field(self, g):
            return -g

    @dataclass(frozen=True)
    class NoDissipation(NoEnergy):
        def V(self, f):
            return f

    @dataclass(frozen=True)
    class Elsewhere(flows.GradientFlow):
        def V(self, x, g, value):
            return value(x - g)

    @dataclass(frozen=True)
    class Loop(flows.GradientFlow):
        def V(self, f):
            return oo.iterate(lambda a: (0.5*a, np.abs(a) < 1e-3), (f,), 10)[0]

    @dataclass(frozen=True)
    class Nowhere(flows.GradientFlow):
        def V(self, f):
            return f + np.sqrt(-1.0 - f*f)
    for flow, message in ((NoEnergy(), "NoEnergy has no V"), (NoDissipation(), "has no dissipation"),
                          (Elsewhere(), "away from x"), (Loop(), "loop"), (Nowhere(), "positive")):
        with pytest.raises(oo.FormulaError, match=message):
            verify.dissipation(flow)


# -- the same along solutions

@dataclass(frozen=True)
class LateAdam(flows.Adam):
    """Adam from t = 1 on, with averages that have seen the first gradient only."""

    t0 = 1.0

    def start(self, g):
        c1, c2 = self.corrections(1.0)
        return {"m": c1*g, "s": c2*g*g}


@dataclass(frozen=True)
class WarmAWB(flows.AWB):
    def start(self, g):
        return {"m": 0.5*g, "s": 0.5*g*g}


@dataclass(frozen=True)
class WarmRMSProp(flows.RMSProp):
    def start(self, g):
        return {"s": 0.5*g*g}


ALONG = [*FLOWS[:5], WarmRMSProp(1.7, 0.3), WarmAWB(1.3, 0.4, 0.2), LateAdam(1.3, 0.4, 0.2)]


@pytest.mark.parametrize("flow", ALONG, ids=name)
def test_v_falls_at_the_stated_rate_along_solutions(flow):
    """Central differences of order 4 of V along a solution by Dormand and Prince, h = 2e-4.

    V = O(10) changes at rates up to 30: truncation h^4 V^(5)/30 is some 1e-8, rounding eps V/h some 1e-11.
    """
    objective, h = oo.objectives.PolyThree(), 2e-4
    method = oo.Method(flow, oo.schemes.DormandPrince(), oo.controllers.Constant(), h)
    options = dict(gtol=0.0, max_steps=200, trace=True, backend="numpy")
    trace = oo.solve(objective, method, [0.4, -0.6], **options).trace
    V, ode = trace.V, Ode(flow, objective)
    slope = (8.0*(V[3:-1] - V[1:-3]) - (V[4:] - V[:-4]))/(12.0*h)
    stated = [ode.dissipation(t, State({k: b[i] for k, b in trace.z.items()})) for i, t in enumerate(trace.t)]
    assert -slope == pytest.approx(np.array(stated)[2:-2], rel=1e-7, abs=1e-8)


# -- parts

def at_random(flow, seed):
    rng = np.random.default_rng(seed)
    z = {block: rng.normal(0.0, 1.0, 2) for block in flow.blocks}
    return 0.8, State({k: np.abs(b) if k in flow.positive else b for k, b in z.items()})


@pytest.mark.parametrize("flow", SPLIT, ids=name)
def test_exact_parts_are_flows(flow):
    """part(h1 + h2) is part(h2) after part(h1), to a few ulps."""
    ode = Ode(flow, oo.objectives.PolyThree())
    for part in flow.parts:
        if not ode.is_exact(part):
            continue
        for seed in range(20):
            t, z = at_random(flow, seed)
            whole, parts = ode.part(part, t, z, 0.7), ode.part(part, t, ode.part(part, t, z, 0.3), 0.4)
            for block in z:
                assert whole[block] == pytest.approx(parts[block], rel=1e-14, abs=1e-14)


@pytest.mark.parametrize("flow", SPLIT, ids=name)
def test_parts_sum_to_the_field(flow):
    """Sub-fields, and the derivatives at 0 of exact sub-flows (a complex step, exact), sum to the field."""
    ode, tiny = Ode(flow, oo.objectives.PolyThree()), 1e-30
    for seed in range(20):
        t, z = at_random(flow, seed)
        total = {block: np.zeros(2) for block in z}
        for part in flow.parts:
            if exact := ode.is_exact(part):
                rate = z.replace(**oo.language.ask(getattr(flow, part), ode.given(t, z, h=tiny*1j)))
            else:
                rate = ode.subfield(part, t, z)
            for block in z:
                total[block] += rate[block].imag/tiny if exact else rate[block]
        field = ode.field(t, z)
        for block in z:
            assert total[block] == pytest.approx(field[block], rel=1e-13, abs=1e-13)


def test_caps():
    ode = Ode(flows.HeavyBall(4.0), oo.objectives.PolyTwo())
    assert ode.flow.cap() == 0.25
    assert flows.RMSProp(8.0).cap() == 0.125
    assert flows.GradientFlow().cap() == np.inf


def test_the_energy_of_adam_at_its_start_is_the_value():
    """At t = 0 the field is 0/0; V is f there, and the value just after differs by O(t) only."""
    flow, objective = flows.Adam(), oo.objectives.PolyThree()
    ode, x = Ode(flow, objective), np.array([0.4, -0.6])
    zero = np.zeros(2)
    with np.errstate(all="ignore"):
        assert ode.V(0.0, State({"x": x, "m": zero, "s": zero})) == objective.f(x)
    t, g = 1e-8, objective.gradient(x)
    c1, c2 = flow.corrections(t)
    V = ode.V(t, State({"x": x, "m": c1*g, "s": c2*g*g}))
    assert objective.f(x) < V < objective.f(x) + 1e-6
