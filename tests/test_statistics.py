"""Quartiles and performance profiles: small cases by hand, and what holds for all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odeopt.studies import dolan_more, performance_profile, summary

NUMBERS = st.lists(st.floats(0.0, 1e6) | st.sampled_from([np.inf, np.nan]), min_size=1, max_size=20)

# -- quartiles


def test_quartiles_by_hand():
    found = summary([4.0, 1.0, 100.0, 2.0, 3.0], [True, True, False, True, True])
    assert (found.lower, found.median, found.upper) == (1.75, 2.5, 3.25)
    assert (found.count, found.total, found.share) == (4, 5, 0.8)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_quartiles_are_numpys(values):
    found = summary(values)
    # one product and two sums of numbers up to 2e6: at most 3 roundings of 2^-53*2e6 each, in NumPy's as in this one
    expected = np.quantile(values, [0.25, 0.5, 0.75])
    np.testing.assert_allclose([found.lower, found.median, found.upper], expected, rtol=0, atol=6 * 2e6 * 2.0**-53)


def test_infinite_numbers_are_the_largest_and_nan_is_beyond():
    found = summary([1.0, np.inf, np.inf, 2.0, 3.0])
    assert (found.lower, found.median, found.upper) == (2.0, 3.0, np.inf)
    assert summary([np.inf, np.inf]).median == np.inf
    found = summary([np.nan, 1.0, 2.0, 3.0, 4.0])
    assert (found.lower, found.median, found.upper) == (2.0, 3.0, 4.0)


def test_no_success_is_nan_and_no_error():
    found = summary([1.0, 2.0], [False, False])
    assert np.isnan([found.lower, found.median, found.upper]).all()
    assert (found.count, found.total, found.share) == (0, 2, 0.0)


# -- shares of losses


def test_shares_of_losses_by_hand():
    losses = {"a": [1e-3, 0.5, np.nan, np.inf], "b": [1e-2, 1e-2]}
    profile = performance_profile(losses, [-4, -3, -2, 0, 8])
    np.testing.assert_array_equal(profile.shares["a"], [0, 0.25, 0.25, 0.5, 0.5])       # failures never count
    np.testing.assert_array_equal(profile.shares["b"], [0, 0, 1, 1, 1])
    failed = performance_profile(losses, [0], {"a": [False, True, True, True], "b": [True, True]})
    assert (failed.shares["a"], failed.shares["b"]) == (0.25, 1.0)


@given(NUMBERS)
def test_shares_of_losses_count_and_never_fall(losses):
    profile = performance_profile({"a": losses}, np.linspace(-6, 7, 27))
    counted = [sum(loss <= bound for loss in losses) / len(losses) for bound in 10.0**profile.x]
    np.testing.assert_array_equal(profile.shares["a"], counted)
    assert (np.diff(profile.shares["a"]) >= 0).all()
    assert profile.shares["a"][-1] == np.mean(np.isfinite(losses))


# -- Dolan and Moré


def test_ratios_by_hand():
    """Three solvers, four problems: the second is solved by one alone, the last by none."""
    costs = {"a": [1.0, np.nan, 6.0, np.inf], "b": [2.0, 5.0, 3.0, np.nan], "c": [4.0, np.inf, 3.0, 7.0]}
    profile = dolan_more(costs, {"a": [True] * 4, "b": [True] * 4, "c": [True, True, True, False]})
    np.testing.assert_array_equal(profile.x, [1, 2, 4])
    np.testing.assert_array_equal(profile.shares["a"], [0.25, 0.5, 0.5])
    np.testing.assert_array_equal(profile.shares["b"], [0.5, 0.75, 0.75])
    np.testing.assert_array_equal(profile.shares["c"], [0.25, 0.25, 0.5])
    at = dolan_more(costs, ratios=[1.0, 1.5, 1e9])
    np.testing.assert_array_equal(at.shares["c"], [0.5, 0.5, 0.75])                     # its 7 is now the best


def test_a_best_cost_of_zero_has_the_ratio_one():
    profile = dolan_more({"a": [0.0, 1.0], "b": [1.0, 1.0], "c": [0.0, np.nan]}, ratios=[1, 1e300])
    np.testing.assert_array_equal(profile.shares["a"], [1, 1])
    np.testing.assert_array_equal(profile.shares["b"], [0.5, 0.5])
    np.testing.assert_array_equal(profile.shares["c"], [0.5, 0.5])


def test_if_all_fail_the_profiles_are_zero():
    profile = dolan_more({"a": [np.nan], "b": [np.inf]})
    assert (profile.x, profile.shares["a"], profile.shares["b"]) == (1.0, 0.0, 0.0)


@given(st.integers(1, 12).flatmap(lambda P: st.lists(st.lists(
    st.floats(1e-3, 1e3) | st.sampled_from([np.inf, np.nan]), min_size=P, max_size=P), min_size=1, max_size=4)))
def test_profiles_follow_from_the_definition(rows):
    costs = {str(k): row for k, row in enumerate(rows)}
    profile = dolan_more(costs)
    P = len(rows[0])
    for name, row in costs.items():
        for tau, share in zip(profile.x, profile.shares[name], strict=True):
            count = 0
            for p in range(P):
                solved = [other[p] for other in rows if np.isfinite(other[p])]
                count += np.isfinite(row[p]) and row[p] / min(solved) <= tau
            assert share == count / P
        assert (np.diff(profile.shares[name]) >= 0).all()
        assert profile.shares[name][-1] == np.mean(np.isfinite(row))
    solved_by_any = np.mean(np.isfinite(np.array(rows)).any(axis=0))
    assert sum(share[0] for share in profile.shares.values()) >= solved_by_any - P * 2.0**-52


def test_a_common_factor_of_two_changes_no_profile():
    rng = np.random.default_rng(0)
    costs = {name: rng.lognormal(size=50) for name in "abc"}
    one, two = dolan_more(costs), dolan_more({name: 2 * cost for name, cost in costs.items()})
    np.testing.assert_array_equal(one.x, two.x)
    for name in costs:
        np.testing.assert_array_equal(one.shares[name], two.shares[name])


def test_tables_and_words():
    profile = dolan_more({"a": [1.0, 2.0], "b": [2.0, 2.0]})
    frame = profile.to_pandas()
    assert frame.index.name == "ratio"
    assert frame.loc[1.0].to_dict() == {"a": 1.0, "b": 0.5}
    assert repr(profile) == "Profile of ratios 1 to 2: a 1 to 1, b 0.5 to 1"
    losses = performance_profile({"a": [1.0]}, [-1, 0])
    assert repr(losses) == "Profile of losses 10^-1 to 10^0: a 0 to 1"
    assert losses.to_pandas().index.name == "exponent"


# -- wrong calls


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: summary([]), ValueError, "at least one number"),
        (lambda: summary([[1.0]]), ValueError, r"shape \(1, 1\)"),
        (lambda: summary(["fast"]), TypeError, "must be numbers"),
        (lambda: summary([1.0], [True, False]), ValueError, "each of the 1 runs"),
        (lambda: summary([1.0], [1]), ValueError, "True or False"),
        (lambda: performance_profile([[1.0]]), TypeError, "a dict of at least one method"),
        (lambda: performance_profile({}), TypeError, "a dict of at least one method"),
        (lambda: performance_profile({"a": []}), ValueError, r"losses\['a'\]"),
        (lambda: performance_profile({"a": [1.0]}, [1, 0]), ValueError, "increase"),
        (lambda: performance_profile({"a": [1.0]}, success={"b": [True]}), ValueError, "methods of `losses`, a"),
        (lambda: dolan_more({"a": [1.0], "b": [1.0, 2.0]}), ValueError, "same problems"),
        (lambda: dolan_more({"a": [-1.0]}), ValueError, ">= 0"),
        (lambda: dolan_more({"a": [1.0]}, ratios=[0.5, 2]), ValueError, "below the best"),
        (lambda: dolan_more({"a": [1.0]}, ratios=[1, np.inf]), ValueError, "finite"),
    ],
)
def test_wrong_calls_say_what_was_expected(call, error, says):
    with pytest.raises(error, match=says):
        call()
