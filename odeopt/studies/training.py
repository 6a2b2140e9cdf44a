"""Training a network from many initializations, measured as in the papers."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from odeopt.data import Dataset
from odeopt.data.dataset import tested_on
from odeopt.language import asks
from odeopt.methods import Method
from odeopt.objectives.network import Network
from odeopt.objectives.network.losses import LOSSES
from odeopt.results.solution import Ensemble
from odeopt.solver import solve_many
from odeopt.status import Status
from odeopt.studies.statistics import Summary, summary

if TYPE_CHECKING:
    import pandas as pd

ALLOWANCE = 4096                # roundings of V that are no rise: a mean over samples makes far fewer

_FAILURES = {"dv": Status.DIVERGED, "nz": Status.NOISE, "tl": Status.TIME_LIMIT}
_TITLES = {
    "steps": "steps", "trials": "trials", "gradients": "gradients", "g_norm": "|g|", "train_loss": "train loss",
    "test_loss": "test loss", "train_accuracy": "train accuracy", "test_accuracy": "test accuracy",
    "rises": "steps on which V rises, %", "seconds": "seconds",
}


@dataclass(frozen=True, repr=False)
class TrainingSummary:
    """What many trainings come to.

    Attributes
    ----------
    name : str
        The method.
    quantities : dict of Summary
        Median and quartiles of each quantity over the runs that converged, by its name in `Training.quantities`.
    shares : dict of float
        Fractions of all runs: "converged", and "nc" (not converged: all limits but time, a vanishing step, a stall, an
        interruption), "dv" (diverged), "nz" (stopped by noise), "tl" (time limit). They add up to 1.
    """

    name: str
    quantities: dict[str, Summary]
    shares: dict[str, float]

    def to_pandas(self) -> pd.DataFrame:
        """A table of one line a quantity; the columns are the quartiles."""
        import pandas as pd
        rows = {name: (q.lower, q.median, q.upper) for name, q in self.quantities.items()}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["lower", "median", "upper"])

    def __repr__(self) -> str:
        runs = next(iter(self.quantities.values()))
        failures = ", ".join(f"{name} {_percent(self.shares[name])}" for name in ("nc", *_FAILURES))
        lines = [f"{self.name}: {runs.count} of {runs.total} runs converged ({failures})"]
        if not runs.count:
            end = max(("nc", *_FAILURES), key=self.shares.__getitem__)
            advice = _FAILURES[end].message if end in _FAILURES else "raise max_steps or gtol, and see `status`."
            return f"{lines[0]}\n  no run converged, so there are no medians; most often {end}: {advice}"
        lines.append(f"  {'':26}{'25 %':>11}{'median':>11}{'75 %':>11}")
        for name, q in self.quantities.items():
            unit = 100.0 if name == "rises" else 1.0
            numbers = "".join(f"{unit*value:11.4g}" for value in (q.lower, q.median, q.upper))
            lines.append(f"  {_TITLES[name]:26}{numbers}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class Training:
    """Many runs of one method on one network, measured.

    Of runs that were kept, `Training(oo.load(path), test)` is the same again.

    Parameters
    ----------
    ensemble : Ensemble
        The runs, of a `Network`.
    test : Dataset or (inputs, targets), optional
        Samples to test on: of a data set its `test_inputs` and `test_targets`, if it has any.
    classify : bool, optional
        Whether to measure accuracies; if not given, where the loss is one of labels, or `test` a data set of classes.

    Raises
    ------
    TypeError, ValueError
        If the runs are of no network, or test samples do not fit it.
    """

    ensemble: Ensemble
    test: Any = None
    classify: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.ensemble, Ensemble):
            raise TypeError(f"`ensemble` must be an Ensemble, as solve_many and oo.load give, got {self.ensemble!r}")
        _check_network(self.ensemble.objective)
        _ = self._tester                                    # errors of test data come now, not from a property

    @property
    def network(self) -> Network:
        return self.ensemble.objective

    @property
    def method(self) -> Method:
        return self.ensemble.method

    @property
    def name(self) -> str:
        return self.method.name

    @property
    def success(self) -> np.ndarray:
        """Which runs converged, or reached t_end: bool (S,)."""
        return self.ensemble.success

    @property
    def status(self) -> np.ndarray:
        """How each run ended (S,), see `Status`."""
        return self.ensemble.status

    @property
    def steps(self) -> np.ndarray:
        """Accepted steps (S,)."""
        return self.ensemble.nit

    @property
    def trials(self) -> np.ndarray:
        """Trials (S,), the rejected ones too."""
        return self.ensemble.trials

    @property
    def gradients(self) -> np.ndarray:
        """Gradients evaluated (S,), the start's included."""
        return self.ensemble.njev

    @property
    def g_norm(self) -> np.ndarray:
        """|g| at the end (S,)."""
        return self.ensemble.g_norm

    @property
    def seconds(self) -> np.ndarray:
        """Time of each start (S,), in seconds; NaN where it was not measured."""
        return self._or_unknown(self.ensemble.seconds)

    @property
    def rises(self) -> np.ndarray:
        """Share of each run's steps on which V rose (S,): 0 without a step, NaN where it was not counted."""
        return self._or_unknown(self.ensemble.rises)/np.maximum(self.steps, 1)

    @functools.cached_property
    def train_loss(self) -> np.ndarray:
        """Mean loss of the training samples (S,), without `l2`."""
        return _with_samples(self.network, self.network.inputs, self.network.targets).f(self.ensemble.x)

    @functools.cached_property
    def test_loss(self) -> np.ndarray:
        """Mean of the same loss over the test samples (S,), without `l2`; NaN without such samples."""
        return self._or_unknown(None if self._tester is None else self._tester.f(self.ensemble.x))

    @functools.cached_property
    def train_accuracy(self) -> np.ndarray:
        """Share of the training samples whose class is predicted (S,); NaN for regressions."""
        return self._accuracy(self.network)

    @functools.cached_property
    def test_accuracy(self) -> np.ndarray:
        """Share of the test samples whose class is predicted (S,); NaN for regressions or without such samples."""
        return self._accuracy(self._tester)

    @property
    def classifies(self) -> bool:
        """Whether accuracies are measured."""
        if self.classify is not None:
            return self.classify
        return LOSSES[self.network.loss].labels or (isinstance(self.test, Dataset) and bool(self.test.classes))

    @property
    def quantities(self) -> dict[str, np.ndarray]:
        """What was measured, by name: arrays (S,)."""
        unknown = {"rises": self.ensemble.rises is None, "seconds": self.ensemble.seconds is None,
                   "test_loss": self._tester is None, "train_accuracy": not self.classifies,
                   "test_accuracy": not self.classifies or self._tester is None}
        return {name: getattr(self, name) for name in _TITLES if not unknown.get(name, False)}

    @property
    def shares(self) -> dict[str, float]:
        """Fractions of all runs that ended so, see `TrainingSummary`."""
        ended = {"converged": self.success} | {name: self.status == status for name, status in _FAILURES.items()}
        shares = {name: float(np.mean(those)) for name, those in ended.items()}
        other = ~np.any(list(ended.values()), axis=0)
        return {"converged": shares.pop("converged"), "nc": float(np.mean(other)), **shares}

    def summary(self) -> TrainingSummary:
        """Medians and quartiles over the runs that converged, and how the others ended."""
        of = {name: summary(values, self.success) for name, values in self.quantities.items()}
        return TrainingSummary(self.name, of, self.shares)

    def to_pandas(self) -> pd.DataFrame:
        """A table of one line a start: how it ended, and every quantity."""
        import pandas as pd
        status = pd.Categorical.from_codes(self.status, [status.name for status in Status])
        return pd.DataFrame({"status": status, **self.quantities}, index=pd.RangeIndex(len(self), name="start"))

    def save(self, path: str | os.PathLike) -> None:
        """Write the runs to a NetCDF-4 file, training samples included: `Training(oo.load(path), test)` is this again.

        Test samples stay where they are.
        """
        self.ensemble.save(path)

    def __len__(self) -> int:
        return len(self.ensemble)

    def __repr__(self) -> str:
        return f"Training of {self.network!r}\n{self.summary()!r}"

    @functools.cached_property
    def _tester(self) -> Network | None:
        return _tester(self.network, self.test)

    def _accuracy(self, network: Network | None) -> np.ndarray:
        if network is None or not self.classifies:
            return self._or_unknown(None)
        return np.array([network.accuracy(x) for x in self.ensemble.x])

    def _or_unknown(self, values: Any) -> np.ndarray:
        return np.full(len(self), np.nan) if values is None else np.asarray(values, dtype=float)


def training(network: Network, method: Method, starts: Any, *, test: Any = None, classify: bool | None = None,
             gtol: float = 1e-4, max_steps: int = 200_000, time_limit: float | None = None, stop_at_noise: bool = True,
             **options: Any) -> Training:
    """Train a network from many initializations, and measure what the papers measure.

    Parameters
    ----------
    network : Network
    method : Method
    starts : array_like (S, n)
        Initial weights and biases, as `network.initial` draws them.
    test : Dataset or (inputs, targets), optional
        Samples to test on: of a data set its `test_inputs` and `test_targets`, if it has any.
    classify : bool, optional
        Whether to measure accuracies; if not given, where the loss is one of labels, or `test` a data set of classes.
    gtol, max_steps, time_limit, stop_at_noise
        As in `solve_many`; the defaults of the first two are the papers'. Methods that cannot be compiled, as
        Levenberg and Marquardt's, need `backend="numpy"` and `stop_at_noise=False`.
    **options
        As in `solve_many`. `count_rises` is 4096 roundings if not given (9e-13, and 5e-4 in single precision): the
        relative amount by which V must rise; methods whose flow has no V, or one that asks for the minimum, count none.
        Counting takes time where a method never asks for V (Adam on the two spirals: a seventh more);
        `count_rises=None` leaves it out.

    Returns
    -------
    Training

    Raises
    ------
    TypeError, ValueError
        If `network` is none, test samples do not fit it, or `solve_many` refuses something.

    Notes
    -----
    The measures are those of B. Bensaid, G. Poëtte, R. Turpault, J. Sci. Comput. 96:14 (2023), and their later papers:
    medians over the runs that converged, failures as shares of all runs.
    """
    _check_network(network)
    _tester(network, test)                                  # before hours of training
    if isinstance(method, Method) and _knows_V(method):
        options.setdefault("count_rises", ALLOWANCE*float(np.finfo(network.dtype).eps))
    ensemble = solve_many(network, method, starts, gtol=gtol, max_steps=max_steps, time_limit=time_limit,
                          stop_at_noise=stop_at_noise, **options)
    return Training(ensemble, test, classify)


def _check_network(network: Any) -> None:
    if not isinstance(network, Network):
        raise TypeError(f"training is of a Network, got {network!r}: use solve_many for other objectives")


def _knows_V(method: Method) -> bool:
    """Whether V is there, and asks for no minimum: that of a network is not known."""
    return method.flow.V is not None and not {"f_star", "x_star"} & set(asks(method.flow.V))


def _tester(network: Network, test: Any) -> Network | None:
    """The network on the test samples, None without any."""
    if test is None:
        return None
    inputs, targets = tested_on(test)
    if isinstance(test, Dataset) and not len(inputs):
        return None
    try:
        return _with_samples(network, inputs, targets)
    except (TypeError, ValueError) as error:
        raise type(error)(f"`test` does not fit the network: {error}") from error


def _with_samples(network: Network, inputs: Any, targets: Any) -> Network:
    """The same network with the mean loss of these samples, without `l2`."""
    return Network(network.layers, inputs, targets, activation=network.activations, loss=network.loss,
                   dtype=network.dtype)


def _percent(share: float) -> str:
    return f"{100*share:.3g} %"
