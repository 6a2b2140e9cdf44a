"""Networks as NumPy reads them: derivatives against an independent complex network, landscapes, data, starts."""

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import erf

import odeopt as oo
from odeopt.objectives import Network
from odeopt.objectives.network.activations import ACTIVATIONS
from odeopt.objectives.network.initializations import NAMES
from odeopt.objectives.network.losses import LOSSES
from odeopt.results.description import describe, rebuilt

LANDSCAPES = {
    "polyTwo": oo.objectives.PolyTwo(),
    "polyThree": oo.objectives.PolyThree(),
    "polyFour": oo.objectives.PolyFour(),
    "polyFive": oo.objectives.PolyFive(),
    "polyEight": oo.objectives.PolyEight(),
    "cloche": oo.objectives.Cloche(),
    "ratTwo": oo.objectives.RatTwo(),
}

OF_CLASSES = ("cross_entropy", "softmax_mean_squares")

# -- an independent network: analytic formulas, of complex numbers, one sample at a time

ANALYTIC = {
    "identity": lambda z: z,
    "tanh": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: z * (z.real > 0),
    "gelu": lambda z: z * (1 + erf(z / math.sqrt(2))) / 2,
    "gelu_sigmoid": lambda z: z / (1 + np.exp(-1.702 * z)),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "sine": np.sin,
    **{name: landscape.activation for name, landscape in LANDSCAPES.items()},
}


def analytic_loss(loss, u, y):
    if loss == "half_squares":
        return sum((u - y) ** 2) / 2
    if loss == "mean_squares":
        return sum((u - y) ** 2) / len(u)
    if loss == "binary_cross_entropy":
        return sum(np.log1p(np.exp(-a if b else a)) for a, b in zip(u, y, strict=True)) / len(u)
    if loss == "log_loss":
        return -sum(np.log(a if b else 1 - a) for a, b in zip(u, y, strict=True)) / len(u)
    if loss == "softmax_mean_squares":
        others = [1 / sum(np.exp(u - a)) for j, a in enumerate(u) if j != y and max((u - a).real) < 700]
        return (sum(others) ** 2 + sum(p * p for p in others)) / len(u)
    return np.log(sum(np.exp(u))) - u[y]


def analytic_f(network, x):
    total = 0
    for sample, y in zip(network.inputs, network.targets, strict=True):
        a, end, squares = sample, 0, 0
        for n, m, name in zip(network.layers, network.layers[1:], network.activations, strict=False):
            W, b = x[end : end + n * m].reshape(m, n), x[end + n * m : end + n * m + m]
            a, end, squares = ANALYTIC[name](W @ a + b), end + (n + 1) * m, squares + np.sum(W * W)
        total = total + analytic_loss(network.loss, a, y)
    return total / len(network.inputs) + network.l2 / 2 * squares


def analytic_gradient(network, x):
    """The complex step has no truncation and no cancellation error."""
    step = 1e-40
    return np.array([analytic_f(network, x + 1j * step * e).imag / step for e in np.eye(len(x))])


def along(function, x, v):
    """The derivative along v: central differences, extrapolated twice.

    Truncation is of order h^6, 1e-11 times the seventh derivative over 7!, rounding 1e-16/h = 1e-14.
    """
    first = [(function(x + h * v) - function(x - h * v)) / (2 * h) for h in (2**-6, 2**-7, 2**-8)]
    second = [(4 * b - a) / 3 for a, b in pairwise(first)]
    return (16 * second[1] - second[0]) / 15


def data(loss, P, widths, seed=0):
    random = np.random.default_rng(seed)
    inputs, k = random.uniform(-1.0, 1.0, (P, widths[0])), widths[-1]
    if not LOSSES[loss].labels:
        return inputs, random.normal(size=(P, k))
    return inputs, random.integers(0, k, P) if loss in OF_CLASSES else random.integers(0, 2, (P, k))


def small(activation, loss, depth, l2=0.0):
    """A network of a few units with the activation in all layers, but for the outputs that a loss asks for.

    Between polynomials stands tanh, and the weights are small: their composition would be of degree 8^4.
    """
    layers = (*(2, 3, 2, 3, 2)[:depth], 2)
    last = "identity" if LOSSES[loss].logits else "sigmoid" if loss == "log_loss" else activation
    polynomial = activation.startswith("poly")
    hidden = tuple("tanh" if polynomial and (depth - k) % 2 == (last == activation) else activation
                   for k in range(1, depth))
    network = Network(layers, *data(loss, 4, layers), activation=(*hidden, last), loss=loss, l2=l2)
    return network, (0.1 if polynomial else 0.6) * network.initial(1, "uniform", seed=depth)[0]


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivatives(activation, loss, depth):
    network, x = small(activation, loss, depth, l2=0.3)
    v = 0.1 * network.initial(1, "uniform", seed=9)[0]
    assert network.f(x) == pytest.approx(analytic_f(network, x), rel=1e-12)
    assert relative(network.gradient(x), analytic_gradient(network, x)) < 1e-9
    if activation == "relu":                                # no difference quotient may reach a kink
        sums = np.concatenate([z.ravel() for z in network._forward(x, network.inputs)[0]])
        v *= 0.1 * np.min(np.abs(sums))
    assert relative(network.hessp(x, v), along(lambda y: analytic_gradient(network, y), x, v)) < 1e-9


def test_every_activation_and_loss_is_tested():
    assert set(ANALYTIC) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_where_they_saturate(name):
    """Slopes and curvatures by the complex step, far from 0; errors relative to the largest of them."""
    z = np.array([-36.0, -20.0, -8.0, -3.0, 3.0, 8.0, 20.0, 36.0])
    activation, step = ACTIVATIONS[name], 1e-40
    exact = ANALYTIC[name](z + 1j * step)
    for ours, theirs in ((activation.value(z), exact.real), (activation.slope(z), exact.imag / step)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9 * min(1.0, np.max(np.abs(theirs))))


def test_relu_has_slope_zero_at_zero():
    assert ACTIVATIONS["relu"].slope(np.zeros(1)) == 0.0


@pytest.mark.parametrize("size", [1.0, 30.0, 500.0])
@pytest.mark.parametrize("loss", ["binary_cross_entropy", *OF_CLASSES])
def test_large_logits(loss, size):
    network = Network((2, 3), *data(loss, 6, (2, 3)), loss=loss)
    x = size * network.initial(1, "uniform", seed=1)[0]
    assert network.f(x) == pytest.approx(analytic_f(network, x), rel=1e-12)
    assert relative(network.gradient(x), analytic_gradient(network, x)) < 1e-9


@pytest.mark.parametrize("u", [
    (0.0, 30.0, -20.0), (30.0, 0.0, -20.0), (17.0, -60.0, 18.0), (0.0, 90.0, 88.0), (90.0, 0.0, 0.5),
    (-90.0, 90.0, 0.0),
])
def test_softmax_squares_keep_their_digits_where_they_saturate(u):
    """Of right classes and of wrong ones: by the biases alone, so that no sample hides another."""
    network = Network((1, 3), [[0.0]], [0], loss="softmax_mean_squares")
    x = np.array([0.0, 0.0, 0.0, *u])
    v = np.array([0.0, 0.0, 0.0, 1.0, -2.0, 0.5])
    assert network.f(x) == pytest.approx(analytic_f(network, x), rel=1e-12)
    g = analytic_gradient(network, x)
    np.testing.assert_allclose(network.gradient(x), g, rtol=1e-9, atol=1e-9 * np.max(np.abs(g)))
    assert relative(network.hessp(x, v), along(lambda y: analytic_gradient(network, y), x, v)) < 1e-9
    assert relative(2 * network.scale * network.r(x) @ network.jacobian(x), g) < 1e-9


@pytest.mark.parametrize("loss, targets, f", [
    ("binary_cross_entropy", [1, 0], [0.0, 1e6]), ("cross_entropy", [1, 0], [0.0, 2e6]),
    ("softmax_mean_squares", [1, 0], [0.0, 1.0]),
])
def test_logits_beyond_the_range_of_exp(loss, targets, f):
    """Where exp(u) overflows the loss is the distance of the logits, or of the unit vectors."""
    k = 1 if loss.startswith("binary") else 2
    x = np.array([1e6, 0.0]) if k == 1 else np.array([-1e6, 1e6, 0.0, 0.0])
    for target, value in zip(targets, f, strict=True):
        network = Network((1, k), [[1.0]], [target], loss=loss)
        assert network.f(x) == value
        assert np.isfinite(network.gradient(x)).all() and np.isfinite(network.hessian(x)).all()


# -- sums of squares

@pytest.mark.parametrize("loss", ["half_squares", "mean_squares", "softmax_mean_squares"])
@pytest.mark.parametrize("l2", [0.0, 0.7])
def test_residuals(loss, l2):
    network, x = small("tanh", loss, 3, l2)
    r, J = network.r(x), network.jacobian(x)
    assert network.scale * (r @ r) == pytest.approx(network.f(x), rel=1e-14)
    assert relative(2 * network.scale * (J.T @ r), network.gradient(x)) < 1e-13
    v = network.initial(1, "uniform", seed=3)[0]
    assert relative(J @ v, along(network.r, x, v)) < 1e-9
    assert relative(network.gauss_newton(x), 2 * network.scale * J.T @ J) < 1e-14


def test_gauss_newton_is_the_hessian_where_the_network_interpolates():
    network, x = small("tanh", "half_squares", 3)
    exact = dataclasses.replace(network, targets=network.predict(x))
    assert exact.f(x) == 0.0
    assert relative(exact.gauss_newton(x), exact.hessian(x)) < 1e-13


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "log_loss", "cross_entropy"])
def test_cross_entropies_have_no_residuals(loss):
    network, x = small("tanh", loss, 2)
    for function in (network.r, network.jacobian, network.gauss_newton):
        with pytest.raises(oo.FormulaError, match="not known as a sum of squares"):
            function(x)


@pytest.mark.parametrize("name", LANDSCAPES)
def test_a_landscape_is_a_network_of_one_neuron(name):
    """Up to round-off: of sums whose terms are not larger than the largest values on the square, 1e-13 of these."""
    landscape = LANDSCAPES[name]
    inputs, targets = {"cloche": ([0, 1, 2], [1, 0, 1]), "ratTwo": ([0, 1], [1, 1])}.get(name, ([0, 1], [0, 0]))
    loss = "log_loss" if name in ("cloche", "ratTwo") else "half_squares"
    network = Network((1, 1), np.array(inputs)[:, None], np.array(targets), activation=(name,), loss=loss)
    points = np.random.default_rng(5).uniform(-2.0, 2.0, (50, 2))
    points = points[np.abs(points.sum(axis=1)) > 0.3]       # where 1 - act of the cloche has lost no digits
    pairs = [(network.f, landscape.f), (network.gradient, landscape.gradient), (network.hessian, landscape.hessian)]
    if loss == "half_squares":
        pairs += [(network.r, landscape.r), (network.jacobian, landscape.jacobian)]
    for ours, theirs in pairs:
        exact = np.array([theirs(x) for x in points])
        np.testing.assert_allclose([ours(x) for x in points], exact, rtol=1e-12, atol=1e-13 * np.max(np.abs(exact)))


# -- finite sums

@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("size, batches", [(None, 1), (1, 10), (3, 4), (5, 2), (10, 1)])
def test_batches_sum_to_the_whole(size, batches, reduction):
    network = Network((2, 3, 1), *data("half_squares", 10, (2, 1)), l2=0.2, batch_size=size, reduction=reduction)
    x = network.initial(1)[0]
    parts = [network.batch(i) for i in range(network.batches)]
    assert network.batches == batches
    assert sum(len(part.inputs) for part in parts) == 10
    assert sum(part.f(x) for part in parts) == pytest.approx(network.f(x), rel=1e-14)
    assert relative(sum(part.gradient(x) for part in parts), network.gradient(x)) < 1e-14
    assert all(np.shares_memory(part.inputs, network.inputs) for part in parts)
    with pytest.raises(IndexError, match=f"batches 0..{batches - 1}"):
        network.batch(batches)


def test_a_batch_is_a_network_that_can_be_described_and_changed():
    """Its weight and share of l2 are parameters like any others."""
    network = Network(**GOOD, batch_size=3, l2=0.3)
    x = network.initial(1)[0]
    for batch in map(network.batch, range(network.batches)):
        assert rebuilt(describe(batch), Network).f(x) == batch.f(x)
        assert dataclasses.replace(batch, l2=0.0).f(x) == pytest.approx(batch.sample_values(x).sum(), rel=1e-14)
    assert dataclasses.replace(network, reduction="sum").loss_weight == 1.0


def test_hessians_times_vectors_broadcast():
    network = Network(**GOOD)
    random = np.random.default_rng(0)
    x, v = random.normal(size=(2, 4, network.dimension))
    pairs = network.hessp(x, v)
    H = network.hessian(x)
    assert H.shape == (4, network.dimension, network.dimension)
    for k in range(4):
        np.testing.assert_array_equal(pairs[k], network.hessp(x[k], v[k]))
        np.testing.assert_array_equal(network.hessp(x[0], v)[k], network.hessp(x[0], v[k]))
        np.testing.assert_array_equal(H[k], network.hessian(x[k]))


def test_samples_sum_to_the_whole():
    for loss in LOSSES:
        network, x = small("tanh", loss, 3)
        assert network.sample_values(x).sum() == pytest.approx(network.f(x), rel=1e-14)
        gradients = network.sample_gradients(x)
        assert gradients.shape == (4, network.dimension)
        assert relative(gradients.sum(axis=0), network.gradient(x)) < 1e-14


def test_sum_leaves_out_the_number_of_samples():
    network, x = small("tanh", "half_squares", 2)
    whole = dataclasses.replace(network, reduction="sum")
    assert whole.f(x) == pytest.approx(4 * network.f(x), rel=1e-15)


def test_several_points_at_once():
    network, _ = small("tanh", "cross_entropy", 2)
    X = network.initial(3)
    np.testing.assert_array_equal(network.f(X), [network.f(x) for x in X])
    np.testing.assert_array_equal(network.gradient(X), [network.gradient(x) for x in X])


# -- parameters and starts

def test_parameters_are_weights_by_rows_then_biases():
    network = Network((2, 3, 1), *data("half_squares", 4, (2, 1)))
    (W, b), (V, c) = network.unpack(np.arange(13.0))
    np.testing.assert_array_equal(W, [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(b, [6, 7, 8])
    np.testing.assert_array_equal(V, [[9, 10, 11]])
    np.testing.assert_array_equal(c, [12])
    with pytest.raises(ValueError, match=r"13 parameters, got an array of shape \(12,\)"):
        network.f(np.ones(12))


@pytest.mark.parametrize("init", NAMES)
def test_a_start_does_not_depend_on_how_many_are_drawn(init):
    network = Network((2, 3, 1), *data("half_squares", 4, (2, 1)))
    many = network.initial(7, init, seed=3)
    np.testing.assert_array_equal(many[:2], network.initial(2, init, seed=3))
    assert len(np.unique(many, axis=0)) == 7
    assert not np.any(many == network.initial(7, init, seed=4)) or init != "uniform"


@pytest.mark.parametrize("init, variance, bound", [
    ("glorot_uniform", 2 / 90, math.sqrt(6 / 90)), ("bengio", 2 / 90, math.sqrt(6 / 90)),
    ("glorot_normal", 2 / 90, None), ("kaiming", 2 / 90, None), ("he", 2 / 40, None),
    ("he_uniform", 2 / 40, math.sqrt(6 / 40)), ("xavier", 1 / 40, None), ("lecun", 1 / 40, None),
    ("lecun_uniform", 1 / 40, math.sqrt(3 / 40)),
])
def test_laws_of_the_starts(init, variance, bound):
    """The mean of 2000 squares has a relative error of sqrt(2/2000) = 3.2 % (less for uniform laws): 5 of these."""
    network = Network((40, 50), np.ones((1, 40)), np.ones((1, 50)))
    [(W, b)] = network.unpack(network.initial(1, init)[0])
    assert np.mean(W * W) == pytest.approx(variance, rel=0.16)
    assert bound is None or 0.99 * bound < np.abs(W).max() <= bound
    assert not b.any()


def test_uniform_starts_fill_their_box():
    network = Network((40, 50), np.ones((1, 40)), np.ones((1, 50)))
    x = network.initial(1, "uniform", box=(-100.0, 50.0))[0]
    assert -100.0 <= x.min() < -99.0 and 49.0 < x.max() < 50.0


# -- predictions

def test_accuracy_is_the_share_of_right_classes():
    """One neuron with u = w a: the class is the sign of the input."""
    inputs, labels = np.array([[-2.0], [-1.0], [1.0], [3.0]]), np.array([0, 1, 1, 1])
    x = np.array([1.0, 0.0])
    assert Network((1, 1), inputs, labels, loss="binary_cross_entropy").accuracy(x) == 0.75
    assert Network((1, 1), inputs, labels, loss="half_squares", output="sigmoid").accuracy(x) == 0.75
    for loss in OF_CLASSES:
        classes = Network((1, 2), inputs, labels, loss=loss)
        assert classes.accuracy(np.array([-1.0, 1.0, 0.0, 0.0])) == 0.75
        assert classes.accuracy(np.array([-1.0, 1.0, 0.0, 0.0]), inputs[:2], labels[:2]) == 0.5
        np.testing.assert_array_equal(classes.predict(np.array([-1.0, 1.0, 0.0, 0.0]), [[5.0]]), [[-5.0, 5.0]])


def test_outputs_that_are_no_numbers_are_of_no_class():
    network = Network(**GOOD)
    assert np.isnan(network.accuracy(np.full(network.dimension, np.nan)))


# -- data

def test_data_are_copied_and_read_only():
    inputs, targets = data("half_squares", 4, (2, 1))
    network = Network((2, 3, 1), inputs, targets)
    x = network.initial(1)[0]
    before = network.f(x)
    inputs[:] = 0.0
    targets[:] = 0.0
    assert network.f(x) == before
    for array in (network.inputs, network.targets):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_repr_is_short():
    network = Network((2, 20, 1), *data("half_squares", 500, (2, 1)), l2=0.1, dtype="float32")
    assert repr(network) == ("Network((2, 20, 1), 500 samples, activation='tanh', loss='half_squares', l2=0.1, "
                             "dtype='float32')")


GOOD = dict(layers=(2, 3, 1), inputs=np.zeros((4, 2)), targets=np.zeros(4))
LABELS = dict(layers=(2, 3), loss="cross_entropy")


@pytest.mark.parametrize("changes, error, message", [
    (dict(layers=(2,)), ValueError, r"at least those of the inputs and the outputs.*got \(2,\)"),
    (dict(layers=(2, 0, 1)), ValueError, r"each >= 1.*got \(2, 0, 1\)"),
    (dict(layers=(2, 2.5, 1)), ValueError, "numbers of units"),
    (dict(inputs=np.zeros(4)), ValueError, r"2 columns.*got shape \(4,\); use inputs\[:, None\]"),
    (dict(inputs=np.zeros((4, 3))), ValueError, r"2 columns.*got shape \(4, 3\)"),
    (dict(inputs=np.zeros((0, 2)), targets=np.zeros(0)), ValueError, "no sample"),
    (dict(inputs=np.array([[0, 0], [0, np.nan], [0, 0], [0, 0]])), ValueError, "got nan in sample 1, column 1"),
    (dict(targets=np.zeros(3)), ValueError, r"each of the 4 inputs.*got \(3,\)"),
    (dict(targets=np.zeros((4, 2))), ValueError, r"shape \(4, 1\), got \(4, 2\)"),
    (dict(targets=np.array([0, 0, 0, np.inf])), ValueError, "got inf in sample 3"),
    (dict(activation="tahn"), ValueError, "`activation` must be one of identity, tanh.*'tahn'"),
    (dict(activation=("tanh",)), ValueError, "one for each of the 2 layers"),
    (dict(loss="mse"), ValueError, "`loss` must be one of half_squares.*'mse'"),
    (dict(dtype="float16"), ValueError, "`dtype` must be one of float64, float32"),
    (dict(reduction="max"), ValueError, "`reduction` must be one of mean, sum"),
    (dict(l2=-1.0), ValueError, "`l2` must be >= 0 and finite, got -1.0"),
    (dict(l2=math.nan), ValueError, "`l2` must be >= 0 and finite, got nan"),
    (dict(inputs=np.full((4, 2), 1e39), dtype="float32"), ValueError, r"size 1e\+39 exceed float32: scale them"),
    (dict(batch_size=0), ValueError, "from 1 to the number of samples, 4, or None, got 0"),
    (dict(batch_size=5), ValueError, "from 1 to the number of samples, 4, or None, got 5"),
    (dict(LABELS, targets=np.array([0, 1, 2, 3])), ValueError, r"labels must be in 0..2, got 3"),
    (dict(LABELS, targets=np.array([0, 1, 2, -1])), ValueError, r"labels must be in 0..2, got -1"),
    (dict(LABELS, targets=np.zeros(4)), TypeError, r"integer labels 0..2, got float64: use targets.astype"),
    (dict(LABELS, targets=np.zeros((4, 3), int)), ValueError, r"labels of shape \(4,\).*use targets.argmax\(axis=1\)"),
    (dict(LABELS, targets=np.eye(4)[:, :3]), ValueError, r"labels of shape \(4,\).*use targets.argmax\(axis=1\)"),
    (dict(activation=("tanh", "identity"), output="sigmoid"), ValueError, r"leave out output='sigmoid'"),
    (dict(activation=[["tanh"], "identity"]), ValueError, r"`activation` must be one of .*got \['tanh'\]"),
    (dict(weight=0.0), ValueError, "`weight` must be > 0 and finite, got 0.0"),
    (dict(LABELS, targets=np.zeros(4, int), output="tanh"), ValueError, 'of logits.*got "tanh"'),
    (dict(LABELS, layers=(2, 1), targets=np.zeros(4, int)), ValueError, "at least 2 classes"),
    (dict(LABELS, loss="softmax_mean_squares", targets=np.zeros((4, 3), int)), ValueError, r"labels of shape \(4,\)"),
    (dict(loss="binary_cross_entropy", targets=np.array([0, 1, 2, 0])), ValueError, r"labels must be in 0..1, got 2"),
    (dict(loss="log_loss", targets=np.zeros(4)), TypeError, "integer labels"),
])
def test_bad_input_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        Network(**{**GOOD, **changes})


def test_bad_requests_are_refused():
    network = Network(**GOOD)
    with pytest.raises(ValueError, match=r"`init` must be one of glorot_uniform.*'glorot'"):
        network.initial(1, "glorot")
    with pytest.raises(ValueError, match="`count` must be an integer >= 1, got 0"):
        network.initial(0)
    with pytest.raises(TypeError, match="both `inputs` and `targets`, or neither"):
        network.accuracy(network.initial(1)[0], inputs=np.zeros((1, 2)))


# -- runs

def test_single_precision_is_single_precision():
    """A pass of 3 layers of few units rounds some 20 times, each to 6e-8."""
    double, x = small("tanh", "half_squares", 3)
    single = dataclasses.replace(double, dtype="float32")
    assert single.f(x) != double.f(x)
    assert single.f(x) == pytest.approx(double.f(x), rel=2e-6)
    assert single.gradient(x).dtype == float
    assert relative(single.gradient(x), double.gradient(x)) < 2e-6


def test_the_energy_of_a_trained_network_decreases():
    network = Network((1, 5, 1), np.linspace(-1, 1, 20)[:, None], np.sin(3 * np.linspace(-1, 1, 20)))
    solution = oo.solve(network, oo.methods.lc_gd(), network.initial(1)[0], gtol=1e-12, max_steps=50, trace=True)
    V = solution.trace.V[solution.trace.accepted]
    assert solution.backend == "vector"
    assert np.all(np.diff(V) < 0)
    assert solution.fun == network.f(solution.x) < 0.2 * V[0]


@pytest.mark.parametrize("loss", ["half_squares", "mean_squares", "binary_cross_entropy", *OF_CLASSES])
@pytest.mark.parametrize("activation", ["tanh", "gelu", "softplus"])
def test_torch_agrees(activation, loss):
    torch = pytest.importorskip("torch")
    layers = (3, 6, 5, 4)
    network = Network(layers, *data(loss, 20, layers), activation=activation, loss=loss)
    x = network.initial(1, "he")[0]
    parts = [torch.tensor(a, requires_grad=True) for pair in network.unpack(x) for a in pair]
    u = torch.tensor(network.inputs)
    for k in range(3):
        u = torch.nn.functional.linear(u, parts[2 * k], parts[2 * k + 1])
        u = getattr(torch.nn.functional, activation)(u) if k < 2 else u
    y = torch.tensor(network.targets)
    f = {
        "half_squares": lambda: ((u - y) ** 2).sum() / 40,
        "mean_squares": lambda: torch.nn.functional.mse_loss(u, y),
        "binary_cross_entropy": lambda: torch.nn.functional.binary_cross_entropy_with_logits(u, y.double()),
        "cross_entropy": lambda: torch.nn.functional.cross_entropy(u, y),
        "softmax_mean_squares": lambda: torch.nn.functional.mse_loss(u.softmax(1), torch.eye(4).double()[y]),
    }[loss]()
    f.backward()
    assert network.f(x) == pytest.approx(f.item(), rel=1e-13)
    assert relative(network.gradient(x), np.concatenate([p.grad.numpy().ravel() for p in parts])) < 1e-13
