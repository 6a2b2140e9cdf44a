"""The compiled evaluator of networks against NumPy."""

import concurrent.futures
import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

from odeopt.compile.evaluator import BOTH, GRADIENT, VALUE
from odeopt.objectives import Network
from odeopt.objectives.network.activations import ACTIVATIONS
from odeopt.objectives.network.kernel import layout, strips
from odeopt.objectives.network.losses import LOSSES

OF_CLASSES = ("cross_entropy", "softmax_mean_squares")
EPS = {"float64": 2.0**-52, "float32": 2.0**-23}


def network(layers, P, activation="tanh", loss="half_squares", seed=0, **options):
    random = np.random.default_rng(seed)
    inputs, k = random.uniform(-1.0, 1.0, (P, layers[0])), layers[-1]
    targets = (random.normal(size=(P, k)) if not LOSSES[loss].labels
               else random.integers(0, k, P) if loss in OF_CLASSES else random.integers(0, 2, (P, k)))
    return Network(layers, inputs, targets, activation=activation, loss=loss, **options)


def calls(evaluator, x):
    """(value, gradient) by value and gradient one after the other, and at once; the scratch holds rubbish at first."""
    results = []
    for order in ((VALUE, GRADIENT), (BOTH,)):
        work, g = np.full(evaluator.work, np.nan), np.full_like(x, np.nan)
        values = [evaluator(what, x, g, work) for what in order]
        results.append((values[0], g))
    return results


def assert_agree(net, x, factor=1.0):
    """Round-off, of both readers.

    Every sum of m products has a relative error of at most m eps with respect to the sum of their sizes; summed at
    random it is sqrt(m) eps. The values pass as many layers forward and backward, each with functions of a few ulp.
    `factor` is by how much the layers amplify.
    """
    terms = len(net.layers)*8 + sum(np.sqrt(net.layers)) + np.sqrt(len(net.inputs))
    tolerance = 4*factor*terms*EPS[net.dtype]
    f, g = net.f(x), net.gradient(x)
    size = net.sample_gradients(x)
    bound = np.linalg.norm(np.abs(size).sum(axis=0)) + np.linalg.norm(g)
    losses = np.abs(net.sample_values(x)).sum() + abs(f)
    for value, gradient in calls(net.evaluator(), x):
        assert abs(value - f) <= tolerance*losses
        assert np.linalg.norm(gradient - g) <= tolerance*bound


LANES = {"float64": 8, "float32": 16}


@pytest.mark.parametrize("dtype", LANES)
@pytest.mark.parametrize("P", [1, 2, 7, 8, 9, 127, 128, 129, 255, 256, 257, 500])
def test_every_number_of_samples(P, dtype):
    """Strips of 8 or 16 samples, tiles of 16 strips: full ones, and one more or less."""
    net = network((3, 5, 2), P, dtype=dtype, l2=0.1)
    assert_agree(net, net.initial(1, "uniform")[0])


@pytest.mark.parametrize("layers", [
    (1, 1), (1, 2, 1), (2, 20, 1), (13, 50, 1), (1, 7, 1), (5, 1, 6, 1), (4, 3, 2, 5), (6, 6, 6, 6, 6),
    (12, 11, 10, 9), (18, 19, 20), (257, 3), (300, 25, 4), (784, 100, 10),
])
def test_every_shape(layers):
    """Rows in blocks of 6, 4, 2 and 1, sums of more than 256 products, gradients of more than 24 rows."""
    net = network(layers, 150, output="tanh")
    assert_agree(net, net.initial(1)[0])


@pytest.mark.parametrize("outputs", [5, 16])
@pytest.mark.parametrize("dtype", LANES)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(loss, dtype, outputs):
    """Also of so many outputs that a line is added, and of more than a tile of samples."""
    last = "sigmoid" if loss == "log_loss" else "identity"
    net = network((3, 8, outputs), 300, loss=loss, output=last, l2=0.2, dtype=dtype)
    assert_agree(net, net.initial(1, "uniform")[0])


@pytest.mark.parametrize("dtype", LANES)
@pytest.mark.parametrize("loss", OF_CLASSES)
def test_losses_of_classes_where_they_saturate(loss, dtype):
    """One sample of each class, so that none hides another; the size of the terms is that of the sample's gradient."""
    for label in range(3):
        net = Network((1, 1, 3), [[0.0]], [label], loss=loss, dtype=dtype)
        for u in ((0.0, 30.0, -20.0), (17.0, 18.0, -40.0), (90.0, 90.0, 0.0), (-1e6, 1e6, 0.0)):
            assert_agree(net, np.array([0.0]*5 + [*u]))


@pytest.mark.parametrize("dtype", LANES)
def test_every_activation(dtype):
    """All are in one kernel, to which a layer's is a number of the layout; each stands behind a tanh that bounds it."""
    names = sorted(ACTIVATIONS)
    every = network((2,)*(len(names) + 2), 20, activation=(*names, "identity"), dtype=dtype)
    evaluator = every.evaluator()
    for name in names:
        one = network((2, 6, 5, 2), 20, activation=("tanh", name, "identity"), dtype=dtype)
        x = one.initial(1, "uniform")[0]
        inputs, targets = strips(one.inputs, dtype), strips(one.encoded, dtype)
        places, size = layout(one.layers, names, one.activations, 20, inputs.size, one.loss_weight, 0.0, dtype)
        data = np.concatenate([inputs, targets])
        swapped = dataclasses.replace(evaluator, data=data, layout=places, work=size//8, n=one.dimension)
        object.__setattr__(one, "evaluator", lambda swapped=swapped: swapped)
        assert_agree(one, x, factor=50.0 if name.startswith("poly") else 4.0)


def test_batches_have_evaluators_of_their_own():
    net = network((3, 5, 2), 100, l2=0.1, batch_size=30)
    x = net.initial(1)[0]
    parts = [calls(net.batch(i).evaluator(), x)[1] for i in range(net.batches)]
    f, g = calls(net.evaluator(), x)[1]
    assert sum(value for value, _ in parts) == pytest.approx(f, rel=1e-13)
    np.testing.assert_allclose(sum(gradient for _, gradient in parts), g, rtol=1e-12, atol=1e-15)


def test_values_alone_and_both_at_once_have_equal_bits():
    """Tile by tile they are the same operations, so that accepting a step on a value is safe."""
    net = network((3, 5, 2), 300)
    (value, _), (both, _) = calls(net.evaluator(), net.initial(1)[0])
    assert value == both


def test_results_do_not_depend_on_threads():
    net = network((13, 20, 3), 400)
    evaluator, starts = net.evaluator(), net.initial(16)

    def run(x):
        g = np.empty_like(x)
        return evaluator(BOTH, x, g, evaluator.scratch()), g.tobytes()

    alone = [run(x) for x in starts]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, starts)) == alone


@pytest.mark.parametrize("loss", ["half_squares", *OF_CLASSES])
def test_what_is_not_finite_comes_through(loss):
    """An overflow, or not a number, is never taken for a value; samples that fill a strip do no harm."""
    net = network((2, 3, 3), 9, loss=loss)
    evaluator, x = net.evaluator(), net.initial(1)[0]
    for bad in (np.nan, np.inf, 1e308):
        for k in (0, len(x) - 1):
            y = x.copy()
            y[k] = bad
            with np.errstate(all="ignore"):
                expected = np.isfinite(net.f(y)), np.isfinite(net.gradient(y)).all()
            for f, g in calls(evaluator, y):
                assert (np.isfinite(f), np.isfinite(g).all()) == expected


def test_scratch_may_be_anywhere():
    """It need not begin at a multiple of 64 bytes, and nothing is written outside of it."""
    net = network((3, 5, 2), 300)
    evaluator, x = net.evaluator(), net.initial(1)[0]
    (f, g), _ = calls(evaluator, x)
    for shift in range(9):
        memory, gradient = np.full(evaluator.work + 16, 7.0), np.empty_like(x)
        work = memory[shift:shift + evaluator.work]
        assert evaluator(VALUE, x, gradient, work) == f
        evaluator(GRADIENT, x, gradient, work)
        np.testing.assert_array_equal(gradient, g)
        assert np.all(memory[:shift] == 7.0) and np.all(memory[shift + evaluator.work:] == 7.0)


def test_arrays_that_do_not_fit_are_refused():
    net = network((3, 5, 2), 10)
    evaluator, x = net.evaluator(), net.initial(1)[0]
    with pytest.raises(ValueError, match=r"`work` must be a contiguous array of at least \d+ float64"):
        evaluator(VALUE, x, x.copy(), np.empty(3))
    with pytest.raises(ValueError, match=r"`x` must be a contiguous array .* got float32"):
        evaluator(VALUE, x.astype(np.float32), x.copy(), evaluator.scratch())
    with pytest.raises(ValueError, match="`g` must be a contiguous array"):
        evaluator(BOTH, x, np.empty(2), evaluator.scratch())
    with pytest.raises(ValueError, match=rf"`x` must be a contiguous array of at least {x.size} float64, got .*\(3,\)"):
        evaluator(BOTH, x[:3], np.empty(3), evaluator.scratch())
    fixed = np.zeros(x.size)
    fixed.setflags(write=False)
    with pytest.raises(ValueError, match="`g` is written to, but the array is read-only"):
        evaluator(BOTH, x, fixed, evaluator.scratch())
    evaluator(BOTH, fixed, np.empty(x.size), evaluator.scratch())


def test_a_kept_kernel_needs_no_compiler(tmp_path):
    """The second process reads machine code, and gives the same bits."""
    code = ("import sys, numpy as np, odeopt as oo; P = np.linspace(-1, 1, 20)[:, None]; "
            "net = oo.objectives.Network((1, 3, 1), P, P**2); e = net.evaluator(); x = net.initial(1)[0]; "
            "print(e(1, x, x.copy(), e.scratch()).hex(), 'numba' in sys.modules)")
    outputs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                              env=os.environ | {"ODEOPT_CACHE_DIR": str(tmp_path)}).stdout.split() for _ in range(2)]
    assert outputs[0][0] == outputs[1][0]
    assert [numba for _, numba in outputs] == ["True", "False"]
