"""Results as labelled arrays and tables: xarray's datasets and pandas' frames."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from odeopt.language import FormulaError
from odeopt.results.solution import Ensemble, Trace
from odeopt.status import Status

if TYPE_CHECKING:
    from odeopt.studies.basins import Basins

_NAMES = {
    "starts": "start", "x": "point", "fun": "value of the objective", "jac": "gradient of the objective",
    "V": "Lyapunov function of the flow", "t": "time of the flow", "h": "step", "nit": "accepted steps",
    "trials": "trials", "nfev": "evaluations of values", "njev": "evaluations of gradients",
    "nhev": "evaluations of Hessians", "status": "how the run ended", "rises": "accepted steps on which V rose",
    "seconds": "time of the start", "gone_on": "whether a second method went on", "n": "accepted steps so far",
    "g": "gradient of the objective",
    "f": "value of the objective", "accepted": "whether the trial was accepted", "g_norm": "norm of the gradient",
    "label": "minimum that the start reaches", "minima": "minimum", "steps": "accepted steps",
    "evaluations": "evaluations of values and gradients",
}


def ends(ensemble: Ensemble) -> xr.Dataset:
    """What the runs of an ensemble ended with, over start and coordinate."""
    arrays = ensemble.arrays()
    if ensemble.V is not None:
        arrays["V"] = ensemble.V
    data = xr.Dataset({name: _variable(name, array, ("start", "coordinate")) for name, array in arrays.items()})
    data["status"].attrs |= {"flag_values": np.array(list(Status), dtype=np.int64),
                             "flag_meanings": " ".join(status.name for status in Status)}
    method, parts = ensemble.method, ("flow", "scheme", "controller")
    return data.assign_attrs({
        "title": f"{method.name} on {ensemble.objective!r}", "objective": repr(ensemble.objective),
        "method": repr(method), **{part: repr(getattr(method, part)) for part in parts}, "backend": ensemble.backend,
        "started": ensemble.started, "finished": ensemble.finished})


def rows(trace: Trace) -> xr.Dataset:
    """What a trace recorded, over (start,) row and coordinate."""
    arrays = trace.arrays() | {"accepted": trace.accepted, "g_norm": trace.g_norm}
    with contextlib.suppress(FormulaError):                 # of a stand-in, or of a minimum that is not known
        arrays["f"] = trace.f
        if trace.flow.V is not None:
            arrays["V"] = trace.V
    named = ("start", "row")[-trace.t.ndim:]
    data = {name: _variable(name, array, (*named, "coordinate")) for name, array in arrays.items()}
    return xr.Dataset(data, attrs={"stride": trace.stride})


def grid(basins: Basins) -> xr.Dataset:
    """What became of every start of a grid, over x0, x1, ...: the coordinates of the cell centres."""
    axes = tuple(f"x{i}" for i in range(len(basins.shape)))
    arrays = {name: _variable(name, getattr(basins, name), axes) for name in ("label", "steps", "evaluations")}
    centres = {axis: (axis, low + (high - low)*(np.arange(n) + 0.5)/n, {"units": "1", "long_name": "start"})
               for axis, (low, high), n in zip(axes, basins.box, basins.shape, strict=True)}
    data = xr.Dataset(arrays | {"minima": _variable("minima", basins.minima, ("minimum", "coordinate"))}, centres)
    data["label"].attrs["comment"] = ("k >= 0: minimum k, reached within the radius; -1: a small gradient elsewhere; "
                                      "-2: not converged; -3: diverged")
    return data.assign_attrs(ends(basins.ensemble).attrs | {"radius": basins.radius})


def table(data: xr.Dataset) -> pd.DataFrame:
    """The variables of a dataset as columns; a vector's coordinates are numbered columns."""
    columns: dict[str, Any] = {}
    for name, variable in data.data_vars.items():
        if "coordinate" in variable.dims:
            columns |= {f"{name}{i}": variable.isel(coordinate=i) for i in range(data.sizes["coordinate"])}
        else:
            columns[str(name)] = variable
    frame = pd.DataFrame({name: np.ravel(column.values) for name, column in columns.items()},
                         index=_index(data.drop_dims("coordinate")))
    if "status" in frame:
        frame["status"] = pd.Categorical.from_codes(frame["status"], [status.name for status in Status])
    return frame


def _index(data: xr.Dataset) -> pd.Index:
    ranges = [pd.RangeIndex(size, name=str(name)) for name, size in data.sizes.items()]
    return ranges[0] if len(ranges) == 1 else pd.MultiIndex.from_product(ranges)


def _variable(name: str, array: np.ndarray, dims: tuple[str, ...]) -> tuple:
    """A variable whose last dimensions it may lack, with its attributes; all but seconds are pure numbers."""
    long_name = _NAMES.get(name, name.replace("z.", "block of the state: ").replace("memory.", "controller's memory: "))
    return dims[:array.ndim], array, {"units": "s" if name == "seconds" else "1", "long_name": long_name}
