"""Theorems: steps that are always admissible, sums that stay bounded, energies that must fall."""

from dataclasses import replace

import numpy as np
import pytest

import odeopt as oo
from odeopt import flows, methods, objectives, schemes, studies
from odeopt.compile.emit import numpy_function
from odeopt.compile.tracer import Graph, Vector
from odeopt.language import State
from odeopt.trial import Ode, with_parameters

CASES, N = 20_000, 3
ROUNDING = 1e-13


class Waves(objectives.Objective):
    """Sum of c_i (1 - cos(w_i x_i))/w_i^2: second derivatives c_i cos(w_i x_i), so L = max |c_i|."""

    def __init__(self, c, w):
        self.c, self.w = c, w

    def f(self, x):
        half = np.sin(0.5*(self.w*x))/self.w                # without the cancellation of 1 - cos
        return 2.0*np.sum(self.c*half*half)

    def gradient(self, x):
        return self.c*np.sin(self.w*x)/self.w


class Squares(Waves):
    """Sum of c_i x_i^2/2: the bounds are attained."""

    def f(self, x):
        return 0.5*np.sum(self.c*x*x)

    def gradient(self, x):
        return self.c*x


def excess(flow, scheme, objective, slope, h, values, parameters):
    """V1 - V0 + slope*predicted after one step of size h in every case, relative to the sum of all magnitudes.

    The flow and the scheme are recorded once and evaluated for all cases.

    Parameters
    ----------
    values : dict of arrays (CASES, N)
        c, w and the blocks.
    parameters : dict of arrays (CASES,)
        Of the flow.
    """
    graph, inputs, arrays = Graph(), {}, {"h": h, "slope": slope, **parameters}
    for name, array in values.items():
        inputs[name] = Vector([graph.input(f"{name}{i}") for i in range(array.shape[1])])
        arrays |= {f"{name}{i}": array[:, i] for i in range(array.shape[1])}
    numbers = {name: graph.input(name) for name in ("h", "slope", *parameters)}
    recorded = with_parameters(flow, "", lambda name, value: numbers.get(name, value))
    z = State({block: inputs[block] for block in flow.blocks})

    def energies(c):
        ode = Ode(recorded, objective(c, inputs["w"]))
        step = scheme.step(ode, 0.0, z, numbers["h"])
        predicted = numbers["h"]*ode.dissipation(0.0, z) if step.predicted is None else step.predicted()
        return ode.V(0.0, z), ode.V(0.0, step.z), numbers["slope"]*predicted, step.z
    V0, V1, due, end = energies(inputs["c"])
    sizes = [Ode(recorded, objective(np.abs(inputs["c"]), inputs["w"])).V(0.0, y) for y in (z, end)]
    used = [node for node in graph.nodes if node.op == "input"]
    evaluated = numpy_function(graph, used, [V1 - V0 + due, sizes[0] + sizes[1] + due])
    top, size = evaluated(*(arrays[node.arguments[0]] for node in used))
    return np.asarray(top/size)


def cases(seed, blocks=(), alike=False):
    """Slopes, Lipschitz constants, curvatures of which the largest is +-L (all L if `alike`), waves and a state."""
    rng = np.random.default_rng(seed)
    slope, L = rng.uniform(0.01, 0.99, CASES), rng.lognormal(0.0, 2.0, CASES)
    share = rng.uniform(-1.0, 1.0, (CASES, N))
    share[np.arange(CASES), rng.integers(0, N, CASES)] = rng.choice([-1.0, 1.0, 1.0], CASES)
    c = L[:, None]*(np.ones_like(share) if alike else share)
    values = {"c": c, "w": rng.lognormal(0.0, 0.5, (CASES, N))}
    values |= {block: rng.normal(0.0, 1.0, (CASES, N))*rng.lognormal(0.0, 1.0, (CASES, 1)) for block in ("x", *blocks)}
    return rng, slope, L, values


def gradients(objective, values):
    return objective(values["c"], values["w"]).gradient(values["x"])


def norm(g):
    return np.sqrt(np.sum(g*g, axis=1))


def heavy(rng, slope, L, objective, values):
    b = rng.lognormal(0.0, 1.0, CASES)
    return np.minimum(1.0/b, 2.0*(1.0 - slope)*b/(L + b*b)), {"friction": b}


def rmsprop(rng, slope, L, objective, values):
    values["s"] = np.abs(values["s"])
    b, eps = rng.lognormal(0.0, 1.0, CASES), rng.lognormal(-2.0, 1.0, CASES)
    return np.minimum(1.0/b, 2.0*(1.0 - slope)*eps/L), {"rate": b, "eps": eps}


def p_gradient(rng, slope, L, objective, values):
    p = 1.0 + rng.lognormal(0.0, 1.0, CASES)
    power = (p - 2.0)/(p - 1.0)
    return 2.0*(1.0 - slope)*norm(gradients(objective, values))**power/L, {"p": p}


# flow, scheme, and the largest step that is always accepted, with the flow's parameters
ADMISSIBLE = {
    "gradient descent": (flows.GradientFlow(), schemes.ExplicitEuler(),
                         lambda rng, slope, L, *_: (2.0*(1.0 - slope)/L, {})),
    "clipping": (flows.ClippedGradient(), schemes.ExplicitEuler(),
                 lambda rng, slope, L, *_: (2.0*(1.0 - slope)/L, {"threshold": rng.lognormal(0.0, 1.0, CASES)})),
    "heavy ball": (flows.HeavyBall(), schemes.SemiImplicitEuler(), heavy),
    "RMSProp": (flows.RMSProp(), schemes.SemiImplicitEuler(("s", "x")), rmsprop),
    "p-gradient": (flows.PGradient(), schemes.ExplicitEuler(), p_gradient),
    "normalized": (flows.NormalizedGradient(), schemes.ExplicitEuler(), lambda rng, slope, L, objective, values:
                   (2.0*(1.0 - slope)*norm(gradients(objective, values))/L, {})),
    "sign": (flows.SignGradient(), schemes.ExplicitEuler(), lambda rng, slope, L, objective, values:
             (2.0*(1.0 - slope)*np.abs(gradients(objective, values)).sum(axis=1)/(L*N), {})),
}


@pytest.mark.parametrize("objective", [Waves, Squares])
@pytest.mark.parametrize("name", list(ADMISSIBLE))
def test_steps_up_to_the_bound_are_admissible(name, objective):
    """Any state, any objective with an L-Lipschitz gradient; half of the cases take the bound itself as their step."""
    flow, scheme, bound = ADMISSIBLE[name]
    rng, slope, L, values = cases(1, flow.blocks[1:])
    h, parameters = bound(rng, slope, L, objective, values)
    h = h*np.where(rng.random(CASES) < 0.5, 1.0, rng.random(CASES))
    assert np.max(excess(flow, scheme, objective, slope, h, values, parameters)) <= ROUNDING


@pytest.mark.parametrize("name", list(ADMISSIBLE))
def test_the_bounds_are_attained(name):
    """On |x|^2 L/2: equality at the bound, and a step longer by 1e-3 is refused."""
    flow, scheme, bound = ADMISSIBLE[name]
    rng, slope, L, values = cases(2, flow.blocks[1:], alike=True)
    h, parameters = bound(rng, slope, L, Squares, values)
    if name == "clipping":                                  # where nothing is clipped
        parameters["threshold"] = 2.0*norm(gradients(Squares, values))
    if name == "RMSProp":                                   # only for s = 0 and g to 0, and if 1/rate does not bind
        values["s"], values["x"] = 0.0*values["s"], 1e-9*values["x"]/L[:, None]
        parameters = {"rate": L/1e3, "eps": parameters["eps"]}
        h = 2.0*(1.0 - slope)*parameters["eps"]/L
    if name == "heavy ball":                                # the velocity that makes the most of its energy
        b = parameters["friction"]
        h = 2.0*(1.0 - slope)*b/(L + b*b)
        kept, after = (1.0 - b*h)[:, None], values["v"]
        values["v"] = kept*after
        values["x"] = -after*(1.0 - kept*kept)/(h*L)[:, None]
    at, above = (excess(flow, scheme, Squares, slope, factor*h, values, parameters) for factor in (1.0, 1.001))
    tolerance = 1e-6 if name == "RMSProp" else ROUNDING
    assert np.abs(at).max() <= tolerance
    if name != "heavy ball":                                # whose worst velocity depends on the step
        assert above.min() > 0.0


def test_chebyshevs_two_stages_are_stable_up_to_8():
    """|1 - z + z^2/8| <= 1 on [0, 8], with equality at 0, 4 and 8 only: linear stability, no admissible step."""
    objective, scheme = objectives.Quadratic((1.0,)), schemes.RungeKuttaChebyshev()
    ode, z = Ode(flows.GradientFlow(), objective), State({"x": np.array([1.0])})

    def factor(h):
        return scheme.step(ode, 0.0, z, h).z.x[0]
    steps = np.linspace(0.0, 8.0, 801)
    factors = np.array([factor(h) for h in steps])
    assert factors == pytest.approx(1.0 - steps + steps*steps/8.0, abs=1e-14)
    assert np.abs(factors).max() <= 1.0 and set(steps[np.abs(factors) > 1.0 - 1e-5]) == {0.0, 4.0, 8.0}
    assert (factor(0.0), factor(4.0), factor(8.0)) == (1.0, -1.0, 1.0)
    assert factor(8.001) > 1.0 and factor(-0.001) > 1.0
    # the Lyapunov test asks for f1 - f0 <= -slope h g^2: x^2/2 (1 - factor^2) >= slope z
    assert 0.5*(1.0 - factor(4.0)**2) < 0.5*4.0


# -- sums

CONTROLLED = [name for name in methods.names() if name.startswith("lc")
              and isinstance(methods.get(name).controller, oo.controllers.LyapunovBacktracking)]


def paid(ensemble):
    """Sum of what the scheme predicted on accepted steps, V at the start and end, and a bound of their rounding."""
    method, trace, objective = ensemble.method, ensemble.trace, ensemble.objective
    graph, flow = Graph(), method.flow
    blocks = {b: graph.input(b) if b in flow.scalars else Vector([graph.input(f"{b}{i}") for i in range(2)])
              for b in (*flow.blocks, *flow.scalars)}
    t, h, z = graph.input("t"), graph.input("h"), State(blocks)
    ode = Ode(flow, objective)
    step = method.scheme.step(ode, t, z, h)
    own = step.predicted is not None and method.controller.at == "step"
    predicted = (step.predicted() if callable(step.predicted) else step.predicted) if own else h*ode.dissipation(t, z)
    known = {"t": trace.t[:, :-1], "h": trace.h[:, 1:]}
    for block in z:
        array = trace.z[block][:, :-1]
        known |= {block: array} if block in flow.scalars else {f"{block}{i}": array[..., i] for i in range(2)}
    used = [node for node in graph.nodes if node.op == "input"]
    accepted = trace.accepted[:, 1:]
    each = numpy_function(graph, used, [predicted])(*(known[node.arguments[0]] for node in used))[0]
    V = trace.V
    rounding = 1e-14*np.sum(np.where(accepted, np.abs(V[:, 1:]) + 1.0, 0.0), axis=1)
    return np.sum(np.where(accepted, each, 0.0), axis=1), V[:, 0], V[:, -1], rounding


@pytest.mark.parametrize("name", CONTROLLED)
def test_dissipation_is_summable(name):
    """sum h D <= (V_0 - V_N)/slope <= V_0/slope for f >= 0, whatever the steps: f is minimized by any of them."""
    method = methods.get(name)
    runs = oo.solve_many(objectives.PolyThree(), method, studies.grid((-3.0, 3.0), (12, 12)), gtol=1e-4,
                         max_trials=1500, trace=True)
    assert runs.trace.stride == 1
    with np.errstate(all="ignore"):
        total, first, last, rounding = paid(runs)
    assert np.all(total <= (first - last + rounding)/method.controller.slope)
    assert np.all(total > 0.0) and np.median((first - last)/total) < 4.0                # and not for want of terms


# -- basins

@pytest.mark.parametrize("benchmark", ["PolyTwo", "PolyThree"])
def test_a_small_growth_has_the_basins_of_the_flow(benchmark):
    """LC with f2 = 2 differs from ER, and from gradient descent at 1/1000, by 0.75 points and less."""
    objective = getattr(objectives, benchmark)()
    shares = [studies.basins(objective, method).fraction for method in (methods.lc_gd(grow=2.0), methods.er())]
    assert max(abs(shares[0][k] - shares[1][k]) for k in range(4)) < 0.0075


def test_a_large_growth_leaves_the_worst_minimum():
    """On polyThree (0, 1) is left: f2 = 1e4 reaches it from 1.2 % of the starts, f2 = 2 from 28.6 %."""
    objective, worst = objectives.PolyThree(), 3
    assert objective.minima[worst].tolist() == [0.0, 1.0]
    assert objective.f(objective.minima)[worst] == objective.f(objective.minima).max()
    few, many = (studies.basins(objective, methods.lc_gd(grow=grow)).fraction[worst] for grow in (1e4, 2.0))
    assert few == pytest.approx(0.012, abs=0.003) and many == pytest.approx(0.286, abs=0.003)


# -- signs of dissipations

def least(flow, seed=0, **fixed):
    """The least dissipation at random states, relative to the same formula's sum of m^2/(c1 D)."""
    rng = np.random.default_rng(seed)
    z = {b: rng.lognormal(0.0, 3.0, CASES) if b in flow.positive else rng.normal(0.0, 1.0, CASES) for b in flow.blocks}
    given = {"t": rng.lognormal(0.0, 3.0, CASES), "g": rng.normal(0.0, 1.0, CASES)*rng.choice([0.0, 1.0], CASES),
             **z, **fixed}
    names = oo.language.asks(flow.dissipation)
    graph = Graph()
    inputs = {name: graph.input(name) for name in given}
    vectors = {name: number if name == "t" else Vector([number]) for name, number in inputs.items()}
    value = flow.dissipation(*(vectors[name] for name in names))
    used = [node for node in graph.nodes if node.op == "input"]
    lost = numpy_function(graph, used, [value])(*(given[node.arguments[0]] for node in used))[0]
    metric = given.get("top", given["s"])
    if isinstance(flow, flows.Adam):
        c1, c2 = flow.corrections(given["t"])
        return float(np.min(lost*c1*(np.sqrt(metric/c2) + flow.eps)/given["m"]**2))
    return float(np.min(lost*np.sqrt(metric + flow.eps)/given["m"]**2))


@pytest.mark.parametrize("flow", [flows.AWB(), flows.Adam()], ids=lambda f: type(f).__name__)
def test_adam_dissipates_if_b_is_at_most_4_a(flow):
    """And no further: g = 0, large averages of squares, and late, so that the corrections are 1."""
    for a in (0.1, 1.0, 7.0):
        for ratio in (1e-3, 1.0, 3.9, 4.0):
            assert least(replace(flow, first_rate=a, second_rate=ratio*a)) >= -1e-12
        late = {"g": np.zeros(CASES), "s": np.full(CASES, 1e6), "t": np.full(CASES, 1e3/a)}
        for ratio in (4.001, 5.0, 40.0):
            beyond = least(replace(flow, first_rate=a, second_rate=ratio*a), **late)
            assert beyond == pytest.approx(1.0 - ratio/4.0, rel=1e-3)


def test_amsgrad_dissipates_for_all_rates():
    """At least 3/4 of sum m^2/(c1 D), where Adam needs b <= 4 a."""
    for a in (0.1, 1.0, 7.0):
        for ratio in (1e-3, 1.0, 4.0, 40.0, 1000.0):
            flow = flows.AMSGrad(a, ratio*a)
            rng = np.random.default_rng(3)
            late = {"t": rng.lognormal(0.0, 2.0, CASES)/a}
            assert least(flow, **late) >= 0.75 - 1e-9


def test_the_weighted_energy_of_nesterovs_flow_falls_on_convex_functions():
    """g.(x - x*) >= f - f*, so it falls for alpha >= 3; on |x|^2/2 with alpha < 3 it may rise."""
    objective, rng = objectives.LogSumExp(), np.random.default_rng(5)
    for alpha, falls in ((3.0, True), (5.0, True), (2.0, False)):
        flow = flows.NesterovConvex(alpha)
        losses = []
        for objective in (objectives.LogSumExp(), objectives.Quadratic((1.0, 3.0))):
            ode = Ode(flow, objective)
            losses += [ode.dissipation(1.7, State({"x": x, "v": v})) for x, v in rng.normal(0.0, 1.0, (500, 2, 2))]
        assert (min(losses) >= 0.0) == falls


def test_nesterovs_flow_converges_as_one_over_t_squared():
    """f - f* <= (alpha - 1)^2 |x0 - x*|^2/(2 t^2), along solutions from rest."""
    objective = objectives.LogSumExp()
    for alpha in (3.0, 5.0):
        method = oo.Method(flows.NesterovConvex(alpha), schemes.RungeKutta4(), oo.controllers.Constant(), 0.01)
        trace = oo.solve(objective, method, [2.0, -1.0], gtol=0.0, t_end=20.0, trace=True).trace
        bound = (alpha - 1.0)**2*5.0/2.0
        assert np.all((trace.f - objective.f_star)*trace.t**2 <= bound)
        assert np.max((trace.f - objective.f_star)*trace.t**2) > 0.05*bound
