"""Data and networks that make no sense; files that read as something else are in tests/test_data_files.py."""

import math

import numpy as np
import pytest

import odeopt as oo
from odeopt.data import Dataset
from odeopt.objectives.network import Network

X, Y = np.arange(8.0).reshape(4, 2), np.arange(4.0)


def network(**changes):
    return Network(**{"layers": (2, 3, 1), "inputs": X, "targets": Y} | changes)


NETWORKS = [
    ({"layers": 3}, "layers", "3"),
    ({"layers": ()}, "layers", "()"),
    ({"layers": "231"}, "layers", "'231'"),
    ({"layers": None}, "layers", "None"),
    ({"layers": (2, -3, 1)}, "layers", "(2, -3, 1)"),
    ({"layers": (2, math.nan, 1)}, "layers", "nan"),
    ({"inputs": None}, "inputs", ""),
    ({"inputs": "data.csv"}, "inputs", "'data.csv'"),
    ({"inputs": 1j * X}, "inputs", ""),
    ({"inputs": [[1.0, 2.0], [3.0]]}, "inputs", ""),
    ({"inputs": X[None]}, "inputs", "(1, 4, 2)"),
    ({"inputs": np.full((4, 2), -np.inf)}, "inputs", "-inf in sample 0"),
    ({"targets": None}, "targets", ""),
    ({"targets": ["a", "b", "c", "d"]}, "targets", ""),
    ({"targets": 1j * Y}, "targets", ""),
    ({"targets": np.zeros((2, 2, 1))}, "targets", ""),
    ({"targets": []}, "targets", ""),
    ({"activation": None}, "activation", "None"),
    ({"activation": 3}, "activation", "3"),
    ({"activation": ("tanh", "tahn")}, "activation", "'tahn'"),
    ({"activation": ("tanh",) * 3}, "activation", ""),
    ({"loss": None}, "loss", "None"),
    ({"loss": np.square}, "loss", "ufunc"),
    ({"output": "Identity"}, "output", "'Identity'"),
    ({"l2": "small"}, "l2", "'small'"),
    ({"l2": np.inf}, "l2", "inf"),
    ({"reduction": None}, "reduction", "None"),
    ({"batch_size": 2.0}, "batch_size", "2.0"),
    ({"batch_size": "2"}, "batch_size", "'2'"),
    ({"batch_size": -1}, "batch_size", "-1"),
    ({"dtype": float}, "dtype", "float"),
]


@pytest.mark.parametrize(("changes", "name", "given"), NETWORKS, ids=lambda a: str(a)[:40])
def test_networks_of_nothing(changes, name, given):
    with pytest.raises((ValueError, TypeError)) as caught:
        network(**changes)
    assert f"`{name}` must" in str(caught.value)
    assert given in str(caught.value)


STARTS = [
    ({"count": 1.5}, "count", "1.5"),
    ({"count": "3"}, "count", "'3'"),
    ({"count": -1}, "count", "-1"),
    ({"count": 1, "init": None}, "init", "None"),
    ({"count": 1, "init": "Glorot_uniform"}, "init", "'Glorot_uniform'"),
    ({"count": 1, "seed": -1}, "seed", "-1"),
    ({"count": 1, "seed": 0.5}, "seed", "0.5"),
    ({"count": 1, "init": "uniform", "box": (1.0, -1.0)}, "box", "(1.0, -1.0)"),
    ({"count": 1, "init": "uniform", "box": (0.0, math.inf)}, "box", "inf"),
    ({"count": 1, "init": "uniform", "box": 1.0}, "box", "1.0"),
]


@pytest.mark.parametrize(("given", "name", "value"), STARTS, ids=lambda a: str(a)[:50])
def test_starts_of_networks(given, name, value):
    with pytest.raises((ValueError, TypeError)) as caught:
        network().initial(**given)
    assert f"`{name}` must" in str(caught.value)
    assert value in str(caught.value)


@pytest.mark.parametrize("x", [np.zeros(3), np.zeros((13, 1)), 1.0, np.zeros(0)])
def test_parameters_of_another_number(x):
    with pytest.raises(ValueError, match=r"has 13 parameters, got an array of shape"):
        network().unpack(x)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_network_at_points_that_are_not_finite_or_huge_does_not_converge(value):
    end = oo.solve(network(), oo.methods.lc_gd(), np.full(13, value), max_steps=50, max_trials=500, backend="numpy")
    assert not end.success


DATASETS = [
    ({"name": "d", "inputs": None, "targets": Y}, "inputs"),
    ({"name": "d", "inputs": X, "targets": None}, "targets"),
    ({"name": "d", "inputs": X, "targets": "abcd"}, "targets"),
    ({"name": "d", "inputs": X, "targets": np.zeros((4, 1, 1))}, "targets"),
    ({"name": "d", "inputs": X, "targets": [1.0, 2.0, 3.0, None]}, "targets"),
    ({"name": "d", "inputs": X[None], "targets": Y}, "inputs"),
    ({"name": "d", "inputs": X.astype("M8[s]"), "targets": Y}, "inputs"),
    ({"name": "d", "inputs": X, "targets": Y, "test_inputs": X.astype(str), "test_targets": Y}, "test_inputs"),
    ({"name": "d", "inputs": X, "targets": Y, "test_inputs": X * np.nan, "test_targets": Y}, "test_inputs"),
]


@pytest.mark.parametrize(("given", "name"), DATASETS, ids=lambda a: str(a)[:60])
def test_data_sets_of_nothing(given, name):
    with pytest.raises((ValueError, TypeError), match=f"`{name}` must"):
        Dataset(**given)


@pytest.mark.parametrize("call", [lambda d: d.subset(0, 0), lambda d: d.subset(5, 0), lambda d: d.subset(-1, 0)])
def test_subsets_of_too_many(call):
    with pytest.raises(ValueError, match=r"`count` must be an integer between 1 and the 4 training samples, got -?\d"):
        call(Dataset("d", X, Y))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: oo.data.two_spirals("d"), r'`variant` must be "a", "b" or "c", got \'d\''),
        (lambda: oo.data.two_spirals(None), r'`variant` must be "a", "b" or "c", got None'),
        (lambda: oo.data.sinc(3), "`dimension` must be 1 or 2, got 3"),
        (lambda: oo.data.square(1), "`points` must be at least 2, got 1"),
        (lambda: oo.data.emnist("digit"), "`part` must be one of .*got 'digit'"),
    ],
)
def test_misspelt_data(call, message):
    with pytest.raises(ValueError, match=message):
        call()
