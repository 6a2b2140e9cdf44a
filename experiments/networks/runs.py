"""Trainings by several methods as a dataset, and what is read from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from odeopt import studies
from odeopt.data import Dataset
from odeopt.methods import Method
from odeopt.objectives import Network
from odeopt.status import Status


def train(network: Network, samples: Dataset, methods: Mapping[str, Method], starts: np.ndarray,
          **options: Any) -> xr.Dataset:
    """Train from every start by every method.

    Parameters
    ----------
    network : Network
    samples : Dataset
        Its test samples are tested on.
    methods : dict
        Methods by the names that figures and tables give them.
    starts : array (S, n)
    **options
        As in `odeopt.studies.training`.

    Returns
    -------
    Dataset
        The quantities of a training, and `status`, over (optimizer, start).
    """
    ran = [studies.training(network, method, starts, test=samples, count_rises=None, **options)
           for method in methods.values()]
    whole = xr.concat([measured(one) for one in ran], "optimizer")
    return whole.assign_coords(optimizer=list(methods)).assign_attrs(starts=len(starts))


def measured(training: studies.Training) -> xr.Dataset:
    """The quantities of a training, and `status`, over start."""
    return xr.Dataset({name: ("start", values)
                       for name, values in [*training.quantities.items(), ("status", training.status)]})


@dataclass(frozen=True)
class Runs:
    """The runs of one method in a dataset, as `odeopt.plot.boxes` draws them."""

    data: xr.Dataset

    @property
    def quantities(self) -> dict[str, np.ndarray]:
        return {str(name): column.values for name, column in self.data.items() if name != "status"}

    @property
    def success(self) -> np.ndarray:
        return self.data["status"].values == Status.CONVERGED

    def summary(self, quantity: str) -> studies.Summary:
        """Quartiles over the runs that converged."""
        return studies.summary(self.data[quantity].values, self.success)

    def share(self, *statuses: Status) -> float:
        """Share of the runs that ended with one of these."""
        return float(np.isin(self.data["status"].values, statuses).mean())


def by_method(data: xr.Dataset) -> dict[str, Runs]:
    """The runs of every method."""
    return {str(name): Runs(data.sel(optimizer=name)) for name in data["optimizer"].values}
