"""Data sets: their arrays, the ways of parting them, the generated ones and those that come with libraries."""

import dataclasses
import functools
import os
import pathlib
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import odeopt as oo
from odeopt.data import Dataset, splits

pytest.importorskip("sklearn", reason="pip install 'odeopt-lab[data]'")
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

ROOT = pathlib.Path(oo.__file__).parents[1]
SPIRALS = ("two_spirals", "early_spiral")
CURVES = ("square_wave", "sine_wave", "square", "square_root", "exponential", "sinc", "runge")
SURFACES = ("squares", "gaussian_bump")
BUNDLED = ("digits", "breast_cancer", "diabetes", "wine", "boston", "mnist_5000")


@functools.cache
def loaded(name):
    return getattr(oo.data, name)()


def classified(labels=(0, 1, 2), classes=("a", "b", "c"), **more):
    return Dataset("small", np.eye(3), np.array(labels), task="classification", classes=classes, **more)


# -- the class


@pytest.mark.parametrize("name", [*SPIRALS, *CURVES, *SURFACES, *BUNDLED])
def test_arrays_fit_and_cannot_be_written_to(name):
    data = loaded(name)
    arrays = [data.inputs, data.targets, data.test_inputs, data.test_targets]
    assert len(data.inputs) == len(data.targets) > 0
    assert len(data.test_inputs) == len(data.test_targets)
    assert data.inputs.shape[1:] == data.test_inputs.shape[1:]
    assert data.targets.dtype == (np.int64 if data.classes else np.float64)
    assert data.source
    for array in arrays:
        assert np.isfinite(array).all()
        with pytest.raises(ValueError, match="read-only"):
            array[:1] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.inputs = arrays[0]
    assert data.name in repr(data)
    assert str(data.inputs.shape) in repr(data)
    assert len(repr(data)) < 120


def test_a_change_of_what_was_given_does_not_reach_the_data():
    x, y = np.arange(6.0).reshape(3, 2), np.arange(3.0)
    views = Dataset("given", x, y), Dataset("given", np.broadcast_to(x, x.shape), y[:])
    x[:], y[:] = -1.0, -1.0
    for data in views:
        assert data.inputs.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
        assert data.targets.tolist() == [0.0, 1.0, 2.0]


def test_an_array_that_nobody_can_write_to_is_not_copied():
    x = np.arange(6.0).reshape(3, 2).copy()
    x.setflags(write=False)
    assert Dataset("given", x, np.arange(3.0)).inputs is x


def test_float32_stays_and_integers_become_float64():
    assert Dataset("single", np.eye(3, dtype=np.float32), np.arange(3)).inputs.dtype == np.float32
    assert Dataset("whole", np.eye(3, dtype=np.uint8), np.arange(3)).inputs.dtype == np.float64


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"inputs": np.arange(3.0)}, ValueError, r"x\[:, None\]"),
        ({"inputs": np.empty((0, 3)), "targets": np.empty(0, int)}, ValueError, "at least one sample"),
        ({"inputs": np.empty((3, 0))}, ValueError, "at least one sample"),
        ({"inputs": np.full((3, 3), "a")}, TypeError, "real numbers"),
        ({"inputs": 1j * np.eye(3)}, TypeError, "real numbers"),
        ({"inputs": np.diag([1.0, np.nan, 1.0])}, ValueError, r"got nan at \(1, 1\)"),
        ({"inputs": np.diag([1.0, 1.0, np.inf])}, ValueError, r"got inf at \(2, 2\)"),
        ({"targets": np.array([0, 1])}, ValueError, "each of the 3 samples"),
        ({"targets": np.array([0, 1, 3])}, ValueError, r"labels must be in 0..2.*got 3"),
        ({"targets": np.array([0, -1, 2])}, ValueError, r"labels must be in 0..2.*got -1"),
        ({"targets": np.array([0.0, 1.0, 2.0])}, TypeError, "astype"),
        ({"targets": np.eye(3)[:, :2]}, ValueError, "one column for each of the 3 classes"),
        ({"test_inputs": np.eye(3)}, ValueError, "test_targets"),
        ({"test_inputs": np.eye(2), "test_targets": np.array([0, 1])}, ValueError, "columns of the training"),
        ({"task": "clustering"}, ValueError, '"regression" or "classification"'),
        ({"classes": ("a",)}, ValueError, "at least 2 classes"),
        ({"task": "regression"}, ValueError, "none for regression"),
    ],
)
def test_what_does_not_fit_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        dataclasses.replace(classified(), **change)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_standardised_is_scikit_learns_scaler(dtype):
    """Beside the constant columns, which are left. Rounding: a mean of P terms errs by P eps |x| at most."""
    rng = np.random.default_rng(3)
    x, test = (rng.normal(50.0, 4.0, (rows, 5)).astype(dtype) for rows in (40, 7))
    x[:, 2], test[:, 2] = 0.1, 7.0
    data = Dataset("noise", x, np.zeros(40), test, np.zeros(7)).standardised()
    tolerance = 40 * np.finfo(dtype).eps * 70.0 / 3.0
    scaler = StandardScaler().fit(x)
    for ours, raw in ((data.inputs, x), (data.test_inputs, test)):
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ours[:, 2], raw[:, 2])
        varies = [0, 1, 3, 4]
        np.testing.assert_allclose(
            ours[:, varies], scaler.transform(raw)[:, varies], rtol=tolerance, atol=tolerance
        )


def test_standardising_twice_changes_nothing_but_rounding():
    """The mean of P numbers x errs by P eps |x| at most, and no |x| here is more than 50 deviations."""
    once = oo.data.boston()
    rounding = 404 * np.finfo(float).eps * 50
    assert np.abs(once.standardised().inputs - once.inputs).max() < 10 * rounding
    assert np.abs(once.inputs.mean(axis=0)).max() < rounding
    assert np.abs(once.inputs.std(axis=0) - 1.0).max() < rounding
    assert np.abs(once.test_inputs.mean(axis=0)).max() > 0.01


def test_one_hot():
    data = classified(test_inputs=np.eye(3)[:1], test_targets=np.array([2])).one_hot()
    np.testing.assert_array_equal(data.targets, np.eye(3))
    np.testing.assert_array_equal(data.test_targets, [[0, 0, 1]])
    assert data.one_hot() is data
    digits = oo.data.digits()
    np.testing.assert_array_equal(digits.one_hot().targets.argmax(axis=1), digits.targets)
    assert digits.one_hot().test_targets.shape == (0, 10)
    with pytest.raises(ValueError, match="regression"):
        oo.data.runge().one_hot()


def test_subset():
    digits = oo.data.digits()
    large, small = digits.subset(300, seed=4), digits.subset(20, seed=4)
    np.testing.assert_array_equal(large.inputs[:20], small.inputs)
    np.testing.assert_array_equal(large.targets[:20], small.targets)
    everything = digits.subset(len(digits.inputs), seed=5)
    assert sorted(map(bytes, everything.inputs)) == sorted(map(bytes, digits.inputs))
    assert digits.subset(20, seed=6).targets.tolist() != small.targets.tolist()
    for count in (0, -1, 1798, 2.5, True):
        with pytest.raises(ValueError, match=f"an integer between 1 and the 1797 training samples, got {count}"):
            digits.subset(count, seed=0)
    with pytest.raises(ValueError, match="`seed` must be an integer >= 0, got None"):
        digits.subset(3, seed=None)
    boston = oo.data.boston()
    np.testing.assert_array_equal(boston.subset(3, seed=0).test_inputs, boston.test_inputs)


# -- parting


@given(P=st.integers(2, 400), share=st.floats(0.01, 0.99), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_permuted_is_scikit_learns_split(P, share, seed):
    try:
        expected = train_test_split(np.arange(P), test_size=share, random_state=seed)
    except ValueError:
        with pytest.raises(ValueError, match="test_size"):
            splits.permuted(P, share, seed)
        return
    for ours, theirs in zip(splits.permuted(P, share, seed), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("test_size", "seed"), [(0.5, 7), (0.3, 7), (0.2, 42), (50, 0)])
def test_split_is_scikit_learns(test_size, seed):
    wine = load_wine()
    parts = train_test_split(wine.data, wine.target, test_size=test_size, random_state=seed)
    data = oo.data.wine().split(test_size, seed)
    for ours, theirs in zip(
        (data.inputs, data.test_inputs, data.targets, data.test_targets), parts, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("test_size", [0.0, 1.0, -0.5, 178, 1.5, np.nan, True])
def test_a_split_leaves_samples_on_both_sides(test_size):
    with pytest.raises(ValueError, match="test_size"):
        oo.data.wine().split(test_size, 0)


def test_a_split_has_a_seed():
    with pytest.raises(ValueError, match="`seed` must be an integer >= 0, got None"):
        oo.data.wine().split(0.2, None)


def test_unit_targets_reach_from_0_to_1_in_training():
    boston = oo.data.boston()
    scaled = boston.unit_targets()
    low, high = boston.targets.min(), boston.targets.max()
    assert (scaled.targets.min(), scaled.targets.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(scaled.test_targets, (boston.test_targets - low)/(high - low))
    with pytest.raises(ValueError, match=r"all training targets of .* are 2.0"):
        oo.data.Dataset("flat", np.ones((3, 1)), np.full(3, 2.0)).unit_targets()


def test_split_parts_all_samples_anew():
    boston = oo.data.boston()
    again = boston.split(0.5, 1)
    both = [np.concatenate([x.inputs, x.test_inputs]) for x in (boston, again)]
    assert sorted(map(bytes, both[0])) == sorted(map(bytes, both[1]))
    assert len(again.inputs) == 253


@pytest.mark.parametrize(
    ("P", "test_size", "seed", "train", "test"),
    [
        (208, 0.5, 7, 104, 104),
        (53_943, 0.3, 7, 37_760, 16_183),
        (53_940, 0.3, 7, 37_758, 16_182),
        (14_090, 0.2, 42, 11_272, 2818),
    ],
)
def test_the_papers_numbers_of_samples(P, test_size, seed, train, test):
    assert tuple(map(len, splits.permuted(P, test_size, seed))) == (train, test)


@pytest.mark.parametrize(
    ("P", "count", "first"),
    [
        (200, 100, [0, 26, 151, 91, 106, 43, 9, 135, 186, 76, 103, 166]),
        (100, 50, [0, 13, 75, 45, 53, 21, 4, 67, 93, 38, 51, 83]),
        (1100, 110, [0, 144, 831, 504, 586, 240, 51, 746, 747, 1028, 421, 571]),
    ],
)
def test_drawn_is_what_the_c_plus_plus_library_draws(P, count, first):
    """The first indices as printed by a program compiled by g++ 12, with default_random_engine(0)."""
    train, test = splits.drawn(P, count)
    assert train[:12].tolist() == first
    assert len(train) == count
    assert sorted([*train, *test]) == list(range(P))
    assert test.tolist() == sorted(test)


def test_drawn_uses_the_minimal_standard_generator():
    """Its 10 000th number is 1043618065 (ISO C++, [rand.predef]): the exact power 16807^10000 modulo 2^31 - 1."""
    assert pow(16807, 10_000, 2**31 - 1) == 1_043_618_065
    bucket = (2**31 - 3) // 1000
    indices = [(pow(16807, k, 2**31 - 1) - 1) // bucket for k in range(1, 400)]
    indices = [index for index in dict.fromkeys(indices) if index < 1000]  # what is there already is drawn again
    assert 300 < len(indices) < 399
    assert splits.drawn(1000, len(indices))[0].tolist() == indices


# -- generated


@pytest.mark.parametrize(
    ("variant", "points", "train", "test"), [("a", 100, 100, 100), ("b", 550, 110, 990), ("c", 100, 100, 100)]
)
def test_two_spirals_lie_on_their_curves(variant, points, train, test):
    """r = 2 phi + pi turns once, so that phi is known from r; cos and sin err by an ulp of r <= 5 pi."""
    data = oo.data.two_spirals(variant)
    assert (len(data.inputs), len(data.test_inputs)) == (train, test)
    x = np.concatenate([data.inputs, data.test_inputs])
    label = np.concatenate([data.targets, data.test_targets])
    assert np.bincount(label).tolist() == [points, points]
    r = np.hypot(*x.T)
    phi = (r - np.pi) / 2.0
    sign = 1.0 - 2.0 * label
    curve = (sign * r)[:, None] * np.column_stack([np.cos(phi), np.sin(phi)])
    np.testing.assert_allclose(x, curve, atol=5.0 * np.pi * 20 * np.finfo(float).eps)
    for arm in (0, 1):
        steps = np.sort(phi[label == arm]) / (2.0 * np.pi) * (points - 1)
        np.testing.assert_allclose(steps, np.arange(points), atol=points * 20 * np.finfo(float).eps)


def test_two_spirals_c_has_the_data_of_a():
    a, c = oo.data.two_spirals("a"), oo.data.two_spirals("c")
    for name in ("inputs", "targets", "test_inputs", "test_targets"):
        np.testing.assert_array_equal(getattr(a, name), getattr(c, name))
    with pytest.raises(ValueError, match='"a", "b" or "c", got \'d\''):
        oo.data.two_spirals("d")


def test_two_spirals_begin_where_they_should():
    a = oo.data.two_spirals("a")
    np.testing.assert_array_equal(a.inputs[0], [np.pi, 0.0])  # index 0 is drawn first: phi = 0
    assert a.targets[0] == 0


def test_early_spiral():
    data = oo.data.early_spiral()
    assert np.bincount(data.targets).tolist() == [97, 97]
    assert data.inputs.shape == (194, 2)
    np.testing.assert_array_equal(data.inputs[:97], -data.inputs[97:])
    radius = [float(Fraction(13, 2) * Fraction(104 - i, 104)) for i in range(97)]
    np.testing.assert_allclose(np.hypot(*data.inputs[:97].T), radius, rtol=4 * np.finfo(float).eps)
    np.testing.assert_allclose(data.inputs[32], [6.5 * 72 / 104, 0.0], atol=1e-14)  # a full turn
    np.testing.assert_allclose(data.inputs[96], [0.5, 0.0], atol=1e-14)  # three turns


def every(data):
    x = np.concatenate([data.inputs, data.test_inputs])
    y = np.concatenate([data.targets, data.test_targets])
    order = np.lexsort(x.T[::-1])
    return x[order], y[order]


@pytest.mark.parametrize(
    ("name", "count", "interval", "values"),
    [
        ("square_wave", 100, (-1, 1), {-0.9: 1, -0.1: -1, 0.1: 1, 0.9: -1}),
        ("sine_wave", 80, (-1, 1), {-1: 0.5, 1: 0.5}),
        ("square", 100, (-1, 1), {-1: 1, 1: 1}),
        ("square_root", 100, (0, 2), {0: 0, 2: np.sqrt(2)}),
        ("exponential", 100, (-1, 1), {-1: 1 / np.e, 1: np.e}),
        ("sinc", 100, (-1, 1), {-1: np.sin(1), 1: np.sin(1)}),
    ],
)
def test_curves(name, count, interval, values):
    data = loaded(name)
    assert len(data.inputs) == len(data.test_inputs) == count // 2
    x, y = every(data)
    np.testing.assert_array_equal(x[:, 0], np.linspace(*interval, count))
    for at, value in values.items():
        nearest = np.abs(x[:, 0] - at).argmin()
        assert y[nearest] == pytest.approx(value, abs=1e-14)
    np.testing.assert_array_equal(data.inputs[0], x[0])  # the index drawn first is 0


def test_the_square_wave_is_the_sign_of_a_sine():
    x, y = every(oo.data.square_wave(400, frequency=2.0))
    inner = np.abs(np.sin(4.0 * np.pi * x[:, 0])) > 1e-9
    np.testing.assert_array_equal(y[inner], np.sign(np.sin(4.0 * np.pi * x[inner, 0])))
    assert y[~inner].tolist() == [1.0, 1.0]  # the ends only


def test_the_sine_wave_satisfies_its_oscillator():
    """y = 1/2 + sin(3 pi x)/4: sampled with spacing d, y(x+d) - 2 y(x) + y(x-d) = -(2 - 2 cos 3 pi d) (y(x) - 1/2)."""
    _, y = every(oo.data.sine_wave())
    second = y[2:] - 2 * y[1:-1] + y[:-2]
    factor = 2 - 2 * np.cos(3 * np.pi * 2 / 79)
    np.testing.assert_allclose(second, -factor * (y[1:-1] - 0.5), atol=1e-14)


def test_sinc_by_its_series():
    for data in (oo.data.sinc(), oo.data.sinc(2), oo.data.sinc(points=101)):
        x, y = every(data)
        square = (x * x).sum(axis=1)
        series = sum((-square) ** k / float(np.prod(np.arange(1.0, 2 * k + 2))) for k in range(14))
        np.testing.assert_allclose(y, series, rtol=1e-14)
    assert oo.data.sinc(2).inputs.shape == (50, 2)
    with pytest.raises(ValueError, match="1 or 2, got 3"):
        oo.data.sinc(3)


def test_surfaces():
    x, y = every(oo.data.squares())
    assert x.shape == y.shape == (100, 2)
    np.testing.assert_array_equal(y, x**2)
    axis = np.linspace(-1.0, 1.0, 10)
    np.testing.assert_array_equal(x, [[a, b] for a in axis for b in axis])
    x, y = every(oo.data.gaussian_bump(9))  # whose grid of 81 points has (4, 3): the top
    assert (len(x), y.max(), tuple(x[y.argmax()])) == (81, 4.0, (4.0, 3.0))
    expected = 4.0 * np.exp(-0.15 * (x[:, 0] - 4.0) ** 2) * np.exp(-0.5 * (x[:, 1] - 3.0) ** 2)
    np.testing.assert_allclose(y, expected, rtol=1e-14)


def test_runge():
    data = oo.data.runge()
    assert (len(data.inputs), len(data.test_inputs)) == (21, 40)
    np.testing.assert_allclose(data.targets * (1.0 + (5.0 * data.inputs[:, 0]) ** 2), 1.0, rtol=1e-15)
    assert (data.targets[10], data.targets[0]) == (1.0, 1.0 / 26.0)
    with pytest.raises(ValueError, match="at least 2, got 1"):
        oo.data.runge(1)


# -- bundled


@pytest.mark.parametrize(
    ("name", "shape", "balance"),
    [
        ("digits", (1797, 64), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]),
        ("breast_cancer", (569, 30), [212, 357]),
        ("wine", (178, 13), [59, 71, 48]),
        ("mnist_5000", (5000, 784), [500] * 10),
    ],
)
def test_bundled_classes(name, shape, balance):
    data = loaded(name)
    assert data.inputs.shape == shape
    assert np.bincount(data.targets).tolist() == balance
    assert len(data.classes) == len(balance)


def test_bundled_values():
    assert (loaded("digits").inputs.min(), loaded("digits").inputs.max()) == (0.0, 16.0)
    assert loaded("breast_cancer").classes == ("malignant", "benign")
    pixels = loaded("mnist_5000").inputs
    assert (pixels.min(), pixels.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(pixels * 255.0, np.rint(pixels * 255.0))
    diabetes = loaded("diabetes")
    assert diabetes.inputs[0].tolist() == [59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]  # Efron et al.'s table
    assert diabetes.targets[:3].tolist() == [151, 75, 141]


def test_boston_is_parted_as_by_keras():
    """The first targets are those that Keras's documentation and courses print."""
    data = loaded("boston")
    assert (data.inputs.shape, data.test_inputs.shape) == ((404, 13), (102, 13))
    assert data.targets[:5].tolist() == [15.2, 42.3, 50.0, 21.1, 17.7]
    assert data.test_targets[:5].tolist() == [7.2, 18.8, 19.0, 27.0, 22.2]
    first = [-0.27224633, -0.48352402, -0.43576161, -0.25683275, -0.1652266, -0.1764426, 0.81306188]
    np.testing.assert_allclose(data.inputs[0, [0, 2, 3, 4, 5, 6]], np.delete(first, 1), atol=5e-9)


@pytest.mark.parametrize(
    ("name", "layers", "parameters"),
    [("two_spirals", (2, 12, 12, 12, 1), 361), ("boston", (13, 15, 15, 1), 466), ("squares", (2, 15, 2), 77)],
)
def test_networks_of_the_papers_take_them(name, layers, parameters):
    data = loaded(name)
    network = oo.objectives.Network(layers, data.inputs, data.targets)
    x = network.initial(1)[0]
    assert x.shape == (parameters,)
    targets = data.targets.reshape(len(data.inputs), -1)
    residual = network.predict(x, data.inputs).reshape(targets.shape) - targets
    assert network.f(x) == pytest.approx(0.5 * (residual**2).sum() / len(targets), rel=1e-12)


# -- imports


def test_the_generated_sets_need_numpy_alone():
    code = (
        "import odeopt, sys; odeopt.data.two_spirals().standardised(); "
        "heavy = {'scipy', 'sympy', 'numba', 'pandas', 'xarray', 'matplotlib', 'sklearn', 'pooch', 'mlxtend'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=dict(os.environ)
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "library"), [("digits", "sklearn"), ("boston", "mlxtend"), ("mnist_5000", "mlxtend")]
)
def test_a_missing_library_is_named(name, library, monkeypatch):
    for module in [module for module in sys.modules if module.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModuleNotFoundError, match=rf"needs {library}.*pip install 'odeopt-lab\[data\]'"):
        getattr(oo.data, name)()
