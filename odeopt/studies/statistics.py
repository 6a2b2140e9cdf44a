"""Many runs in few numbers: quartiles of the runs that succeed, and performance profiles of all of them.

A run that fails is never left out silently: it stays in every denominator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

EXPONENTS = np.linspace(-6.0, 1.0, 141)         # of the losses 10^a, as the papers draw them


@dataclass(frozen=True)
class Summary:
    """Quartiles of a quantity over the runs that succeed.

    Attributes
    ----------
    lower, median, upper : float
        The quartiles, NaN if no run succeeds.
    count, total : int
        Runs that succeed, and all runs.
    """

    lower: float
    median: float
    upper: float
    count: int
    total: int

    @property
    def share(self) -> float:
        """Share of all runs that succeed."""
        return self.count/self.total


def summary(values: Any, success: Any = None) -> Summary:
    """Median and quartiles of a quantity over the runs that succeed.

    Parameters
    ----------
    values : array_like (S,)
        One number a run. Infinite ones, and NaN after them, count as larger than all others.
    success : bool array_like (S,), optional
        Which runs succeed; all if not given.

    Returns
    -------
    Summary

    Raises
    ------
    ValueError
        If there is no run, or shapes differ.

    Notes
    -----
    A quantile between two runs is interpolated linearly, as by `numpy.quantile`: definition 7 of R. J. Hyndman, Y. Fan,
    "Sample quantiles in statistical packages", Am. Stat. 50 (1996) 361-365.
    """
    values = _numbers("values", values)
    kept = np.sort(values[_succeeded("success", success, values)])
    lower, median, upper = (_quantile(kept, q) for q in (0.25, 0.5, 0.75))
    return Summary(lower, median, upper, len(kept), len(values))


def _quantile(ordered: np.ndarray, q: float) -> float:
    if not len(ordered):
        return np.nan
    place = q*(len(ordered) - 1)
    below, above = ordered[int(place)], ordered[int(np.ceil(place))]
    if below == above:                                      # numpy.quantile would subtract two infinities
        return float(below)
    return float(below + (place - int(place))*(above - below))


@dataclass(frozen=True, eq=False, repr=False)
class Profile:
    """Shares of runs, one non-decreasing curve a method.

    Attributes
    ----------
    kind : {"loss", "ratio"}
        What `performance_profile` or `dolan_more` gives.
    x : array (m,)
        Exponents a of the losses 10^a, or ratios to the best.
    shares : dict of arrays (m,)
        By method.
    """

    kind: str
    x: np.ndarray
    shares: dict[str, np.ndarray]

    def to_pandas(self) -> pd.DataFrame:
        """A table of one line an abscissa and one column a method."""
        import pandas as pd
        index = pd.Index(self.x, name="exponent" if self.kind == "loss" else "ratio")
        return pd.DataFrame(self.shares, index=index)

    def __repr__(self) -> str:
        low, high = self.x[0], self.x[-1]
        of = f"losses 10^{low:g} to 10^{high:g}" if self.kind == "loss" else f"ratios {low:g} to {high:g}"
        ends = ", ".join(f"{name} {share[0]:.3g} to {share[-1]:.3g}" for name, share in self.shares.items())
        return f"Profile of {of}: {ends}"


def performance_profile(losses: Mapping[str, Any], exponents: Any = EXPONENTS,
                        success: Mapping[str, Any] | None = None) -> Profile:
    """Share of the runs of each method whose loss is at most 10^a.

    The share is #{runs with loss <= 10^a}/#{runs}: it estimates the probability P(loss <= 10^a) over the starts. A loss
    that is NaN or infinite is never small enough, and stays in the denominator.

    Parameters
    ----------
    losses : dict of array_like (S,)
        By method, one number a run; methods may have different numbers of runs.
    exponents : array_like (m,)
        The increasing a; -6 to 1 in steps of 1/20 if not given.
    success : dict of bool array_like (S,), optional
        By method, which runs count; the others fail whatever their loss.

    Returns
    -------
    Profile

    Raises
    ------
    TypeError, ValueError
        If there is no method or no run, shapes differ, or the exponents do not increase.
    """
    found = _by_method("losses", losses, success)
    x = _increasing("exponents", exponents)
    return Profile("loss", x, {name: _share_below(values, 10.0**x) for name, values in found.items()})


def dolan_more(costs: Mapping[str, Any], success: Mapping[str, Any] | None = None, ratios: Any = None) -> Profile:
    """Dolan and Moré's performance profiles.

    With t_ps the cost of method s on problem p, the ratio to the best is r_ps = t_ps / min_s t_ps, infinite where s
    fails, and the profile is rho_s(tau) = #{p: r_ps <= tau}/#{p}. rho_s(1) is the share of problems on which s is the
    best, or as good; its limit for large tau is the share that it solves.

    Parameters
    ----------
    costs : dict of array_like (P,)
        By method, the cost of each problem, >= 0: here of each start, the same for all methods. NaN and infinity are
        failures. Where the best cost is 0, it has the ratio 1 and every other cost an infinite one.
    success : dict of bool array_like (P,), optional
        By method, which problems it solves.
    ratios : array_like (m,), optional
        The increasing tau >= 1; if not given, 1 and all ratios that occur, where the curves jump.

    Returns
    -------
    Profile

    Raises
    ------
    TypeError, ValueError
        If there is no method or no problem, shapes differ, a cost is negative, or the ratios do not increase from 1.

    References
    ----------
    E. D. Dolan, J. J. Moré, "Benchmarking optimization software with performance profiles", Math. Program. 91 (2002)
    201-213.
    """
    found = _by_method("costs", costs, success)
    sizes = {name: len(values) for name, values in found.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"`costs` must be of the same problems for all methods, got these numbers of them: {sizes}")
    if any((values < 0).any() for values in found.values()):
        raise ValueError("`costs` must be >= 0, got negative ones: a ratio to the best has no meaning for them")
    table = np.array(list(found.values()))
    best = table.min(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(table == best, 1.0, table/best)
    ratio[np.isinf(table)] = np.inf
    x = np.unique(np.append(ratio[np.isfinite(ratio)], 1.0)) if ratios is None else _increasing("ratios", ratios)
    if x[0] < 1.0:
        raise ValueError(f"`ratios` must be >= 1, as no cost is below the best, got {x[0]:g}")
    return Profile("ratio", x, {name: _share_below(row, x) for name, row in zip(found, ratio, strict=True)})


def _share_below(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Share of the values that are <= each bound."""
    return np.searchsorted(np.sort(values), bounds, side="right")/len(values)


def _by_method(name: str, given: Any, success: Mapping[str, Any] | None) -> dict[str, np.ndarray]:
    """The numbers of each method, infinite where it fails."""
    if not isinstance(given, Mapping) or not given:
        raise TypeError(f"`{name}` must be a dict of at least one method to its runs, got {given!r}")
    if success is not None and (not isinstance(success, Mapping) or success.keys() != given.keys()):
        raise ValueError(f"`success` must be a dict of the methods of `{name}`, {', '.join(given)}, got {success!r}")
    found = {}
    for method, numbers in given.items():
        values = _numbers(f"{name}[{method!r}]", numbers)
        succeeded = _succeeded(f"success[{method!r}]", None if success is None else success[method], values)
        found[method] = np.where(succeeded & ~np.isnan(values), values, np.inf)
    return found


def _numbers(name: str, given: Any) -> np.ndarray:
    try:
        values = np.asarray(given, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"`{name}` must be numbers, got {given!r}") from error
    if values.ndim != 1 or not len(values):
        raise ValueError(f"`{name}` must be a one-dimensional array of at least one number, got the shape "
                         f"{values.shape}")
    return values


def _succeeded(name: str, given: Any, values: np.ndarray) -> np.ndarray:
    if given is None:
        return np.ones(len(values), dtype=bool)
    success = np.asarray(given)
    if success.dtype != bool or success.shape != values.shape:
        raise ValueError(f"`{name}` must be True or False for each of the {len(values)} runs, got an array "
                         f"{success.shape} of {success.dtype}")
    return success


def _increasing(name: str, given: Any) -> np.ndarray:
    x = _numbers(name, given)
    if not (np.isfinite(x).all() and (np.diff(x) > 0).all()):
        raise ValueError(f"`{name}` must be finite and increase, got {given!r}")
    return x
