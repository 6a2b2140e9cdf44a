"""Results in NetCDF-4 files that last: labelled arrays with all that it takes to understand them and to run again.

A file holds the datasets of `to_xarray`, so that any reader of NetCDF sees labelled arrays: the ends of the runs, in
groups "trace", "then" (a second method's runs) and "basins" what else there is, and in a string variable "run" a JSON
text with formulas, options, versions and machine. Its last line is the SHA-256 of the rest: what is torn or changed
is refused before the HDF5 library, which trusts its input, sees it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import math
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import h5py
import numpy as np
import xarray as xr

from odeopt.methods import Method
from odeopt.objectives import Objective
from odeopt.results import labelled
from odeopt.results.description import describe, rebuilt
from odeopt.results.solution import Ensemble, Solution, Trace
from odeopt.solver import Run
from odeopt.status import Status
from odeopt.studies.basins import Basins, check_box
from odeopt.trial import Limits

FORMAT, VERSION = "odeopt result", 1
_SEAL = b"\nodeopt sha256 "             # then 64 digits and the end of the line
_SEALED = len(_SEAL) + 65
_MARGIN = 1 << 16                       # bytes of a group beside its arrays and text
_DEEPEST = 8                            # methods that go on with one another

_TEXTS = ("backend", "started", "finished")
_NUMBERS = ("time", "compile_time", "threads")
_WHOLE = ("nit", "trials", "nfev", "njev", "nhev", "status", "rises")
_OPTIONS: dict[str, tuple[type, ...]] = {
    "gtol": (float, int), "max_steps": (int, float), "max_trials": (int, float, type(None)),
    "t_end": (float, int, type(None)), "count_rises": (float, int, type(None)), "trace": (bool,),
    "backend": (str, type(None)), "time_limit": (float, int, type(None)), "stop_at_noise": (bool,)}

_Group: TypeAlias = tuple[dict[str, np.ndarray], dict]      # arrays, and the JSON of `run`


# -- writing

def save(result: Solution | Ensemble | Basins, path: str | os.PathLike) -> None:
    """Write a result to a NetCDF-4 file, whole or not at all.

    Parameters
    ----------
    result : Solution, Ensemble or Basins
    path : path
        What is there is replaced when the new file is complete and on the disk.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path = os.path.abspath(path)
    temporary = _temporary(path)
    try:
        groups = list(_groups(result))
        _reserve(temporary, sum(data.nbytes + data["run"].nbytes + _MARGIN for _, data in groups))
        for group, data in groups:
            encoding = {name: {"_FillValue": None} for name, v in data.variables.items() if v.dtype.kind == "f"}
            data.to_netcdf(temporary, "a" if group else "w", group=group, engine="h5netcdf", encoding=encoding)
        with open(temporary, "r+b") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0, os.SEEK_END)
            file.write(_SEAL + digest.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, RuntimeError):                 # as which h5py reports some failures of the disk
            raise OSError(f"{path} cannot be written: {error}") from error
        raise
    _sync_folder(os.path.dirname(path))


def _reserve(path: str, size: int) -> None:
    """OSError if there is no room for so many bytes: the HDF5 library, once it fails to write, may end the process."""
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)


def _temporary(path: str) -> str:
    return f"{path}.{os.getpid()}.new"


def _sync_folder(folder: str) -> None:
    """The new name on the disk too, where folders can be synchronized."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _groups(result: Solution | Ensemble | Basins) -> Iterator[tuple[str | None, xr.Dataset]]:
    """(group, dataset) of a whole result, the root (None) first."""
    ensemble = _ensemble_of(result)
    formulas = {"objective": describe(ensemble.objective), "method": describe(ensemble.method)}
    about = {"format": FORMAT, "version": VERSION, "kind": type(result).__name__, "problem": ensemble.problem,
             "environment": ensemble.environment, **formulas, **_about(ensemble)}
    yield None, _with_about(labelled.ends(ensemble), about)
    yield from _further(ensemble, "")
    if isinstance(result, Basins):
        yield "basins", _with_about(labelled.grid(result), {"box": result.box, "radius": result.radius})


def _further(ensemble: Ensemble, prefix: str) -> Iterator[tuple[str, xr.Dataset]]:
    if ensemble.trace is not None:
        about = {"stride": ensemble.trace.stride, "state": list(ensemble.trace.z)}
        yield prefix + "trace", _with_about(labelled.rows(ensemble.trace), about)
    if ensemble.then is not None:
        yield prefix + "then", _with_about(labelled.ends(ensemble.then), _about(ensemble.then))
        yield from _further(ensemble.then, prefix + "then/")


def _ensemble_of(result: Solution | Ensemble | Basins) -> Ensemble:
    """The runs of a result: of a solution that of its start alone."""
    if isinstance(result, Solution):
        return result.ensemble.one(result.index)
    return result.ensemble if isinstance(result, Basins) else result


def _about(ensemble: Ensemble) -> dict:
    """What an ensemble knows beside its arrays and formulas."""
    return {"limits": dataclasses.asdict(ensemble.limits), "options": ensemble.options, "state": list(ensemble.z),
            "flags": list(ensemble.flags), **{name: getattr(ensemble, name) for name in (*_TEXTS, *_NUMBERS)}}


def _with_about(data: xr.Dataset, about: dict) -> xr.Dataset:
    return data.assign(run=((), json.dumps(about, ensure_ascii=False)))


# -- reading

def load(path: str | os.PathLike, *, objective: Objective | None = None,
         method: Method | None = None) -> Solution | Ensemble | Basins:
    """Read a result that was saved.

    Nothing that the file names is executed. Formulas of the package's own classes come back as they were; a class of
    the user's own comes back as a stand-in that shows its text and refuses to run, unless it is given here.

    Parameters
    ----------
    path : path
    objective : Objective, optional
        Takes the place of the file's.
    method : Method, optional
        Takes the place of the file's.

    Returns
    -------
    Solution, Ensemble or Basins
        What was saved, equal to the last bit.

    Raises
    ------
    ValueError
        If the file is damaged, of another origin, or does not hold what a result holds.
    OSError
        If it cannot be read.
    """
    path = os.fspath(path)
    if not isinstance(objective, Objective | None):
        raise TypeError(f"`objective` must be an Objective, got {objective!r}")
    if not isinstance(method, Method | None):
        raise TypeError(f"`method` must be a Method, got {method!r}")
    _check_seal(path)
    try:
        groups = _read(path)
        return _result(groups, objective, method, path)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, RuntimeError, ArithmeticError,
            MemoryError) as error:
        raise ValueError(f"{path} does not hold a result that this version of odeopt can read "
                         f"({type(error).__name__}: {error}); xarray.open_dataset may show its arrays") from error


def _check_seal(path: str) -> None:
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END) - _SEALED
        file.seek(max(size, 0))
        seal = file.read()
        if size < 0 or not seal.startswith(_SEAL):
            raise ValueError(f"{path} is no result saved by odeopt, or it is cut short: give a file written by `save` "
                             "or `out`, or another copy of it")
        digest, left = hashlib.sha256(), size
        file.seek(0)
        while left and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
        if seal != _SEAL + digest.hexdigest().encode() + b"\n":
            raise ValueError(f"{path} is damaged or was changed after it was saved: its SHA-256 is not the one in its "
                             "last line; use another copy of it, or run again")


def _read(path: str) -> dict[str, _Group]:
    """Arrays and JSON of every group; "" is the root."""
    groups: dict[str, _Group] = {}
    for name in _plain_groups(path):
        with xr.open_dataset(path, engine="h5netcdf", group=name or None, decode_cf=False, phony_dims="sort") as data:
            arrays = {str(key): np.asarray(variable.values) for key, variable in data.variables.items()}
        about = json.loads(str(arrays.pop("run")))
        _demand(isinstance(about, dict), "`run` is no JSON object")
        groups[name] = arrays, about
    return groups


def _plain_groups(path: str) -> list[str]:
    """The groups of a file that holds numbers and the texts `run`, stored as they are and within the file."""
    links: dict[str, Any] = {}
    things: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        file.visititems_links(links.__setitem__)            # an error raised in a visit would be h5py's own
        file.visititems(things.__setitem__)
        for name, link in links.items():
            _demand(isinstance(link, h5py.HardLink) and name in things, f"{name!r} is a link to another place")
        arrays = {name: thing for name, thing in things.items() if not isinstance(thing, h5py.Group)}
        for name, array in arrays.items():
            _check_plain(name, array)
        size = sum(array.nbytes for array in arrays.values() if not _is_bare(array))
        _demand(size <= os.path.getsize(path), "arrays are larger than the file")
    return ["", *(name for name in things if name not in arrays)]


def _check_plain(name: str, array: Any) -> None:
    text = name.rpartition("/")[2] == "run" and isinstance(array, h5py.Dataset) and array.shape == () and (
        h5py.check_string_dtype(array.dtype) is not None)
    _demand(isinstance(array, h5py.Dataset) and (text or array.dtype.kind in "iufb"), f"{name!r} holds no numbers")
    _demand(not (array.is_virtual or array.external or array.id.get_create_plist().get_nfilters()),
            f"{name!r} is not stored as it is, within the file")


def _is_bare(array: Any) -> bool:
    """Whether it stands for a dimension: it has a length, but holds nothing."""
    name = array.attrs.get("NAME")
    return isinstance(name, bytes) and name.startswith(b"This is a netCDF dimension but not a netCDF variable")


def _result(groups: dict[str, _Group], objective: Objective | None, method: Method | None,
            path: str) -> Solution | Ensemble | Basins:
    about = groups[""][1]
    _demand(about.get("format") == FORMAT and about.get("version") == VERSION,
            f"its format is {about.get('format')!r}, version {about.get('version')!r}; expected {FORMAT!r}, {VERSION}")
    objective = objective or rebuilt(about["objective"], Objective)
    method = method or rebuilt(about["method"], Method)
    ensemble = _ensemble(groups, "", objective, method, path)
    environment, problem = about["environment"], about["problem"]
    _demand(isinstance(problem, str) and isinstance(environment, dict)
            and all(isinstance(value, str) for value in environment.values()), "its environment or problem is no text")
    vars(ensemble).update(environment=environment, problem=problem)
    if about["kind"] == "Solution":
        _demand(len(ensemble) == 1, "a solution has one start")
        return ensemble[0]
    if about["kind"] == "Basins":
        return _basins(*groups["basins"], ensemble)
    _demand(about["kind"] == "Ensemble", f"{about['kind']!r} is no kind of result")
    return ensemble


def _ensemble(groups: dict[str, _Group], prefix: str, objective: Any, method: Method, path: str) -> Ensemble:
    arrays, about = groups[prefix.rstrip("/")]
    S, n = arrays["starts"].shape
    _demand(S >= 1 and objective.dimension in (None, n), f"{S} starts of {n} coordinates do not fit {objective!r}")
    z = _state(arrays, about, method.flow)
    memory = {name: arrays.pop(name) for name in list(arrays) if name.startswith("memory.")}
    expected: dict[str, Any] = dict.fromkeys(("starts", "x", "jac"), (float, (S, n)))
    expected |= dict.fromkeys(("fun", "t", "h", "V", "seconds"), (float, (S,)))
    expected |= {name: (float, (S, n) if array.ndim == 2 else (S,)) for name, array in memory.items()}
    expected |= dict.fromkeys(_WHOLE, (np.int64, (S,))) | {"gone_on": (bool, (S,))}
    expected |= {f"z.{name}": (float, (S, n) if name in method.flow.blocks else (S,)) for name in z}
    _check_arrays(arrays | memory | {f"z.{name}": block for name, block in z.items()}, expected,
                  optional=("V", "rises", "seconds", "gone_on"))
    _demand(all(bool((arrays[name] >= 0).all()) for name in _WHOLE if name in arrays), "a count is negative")
    _demand(bool((arrays["status"] <= max(Status)).all()), "a status is unknown")
    V = arrays.pop("V", None)
    columns: dict[str, Any] = {"rises": None, "seconds": None} | arrays
    ensemble = Ensemble(**columns, z=z, memory=_tree(memory), objective=objective, method=method, path=path,
                        **_facts(about))
    vars(ensemble)["V"] = V
    if prefix + "trace" in groups:
        ensemble.trace = _trace(*groups[prefix + "trace"], ensemble)
    on = ensemble.gone_on
    _demand((prefix + "then" in groups) == (on is not None), "a second method's runs, or which they are, are missing")
    if on is not None and method.then is not None:
        ensemble.then = _ensemble(groups, prefix + "then/", objective, method.then[1], path)
        _demand(len(ensemble.then) == on.sum(), "the second method's runs are not as many as went on")
    return ensemble


def _trace(arrays: dict[str, np.ndarray], about: dict, ensemble: Ensemble) -> Trace:
    S, rows = arrays["t"].shape
    n, stride = ensemble.x.shape[1], about["stride"]
    _demand(len(ensemble) == S and rows >= 1 and type(stride) is int and stride >= 1, "the trace is of other runs")
    flow = ensemble.method.flow
    z = _state(arrays, about, flow)
    expected: dict[str, Any] = dict.fromkeys(("x", "g"), (float, (S, rows, n)))
    expected |= dict.fromkeys(("t", "h", "g_norm", "f", "V"), (float, (S, rows)))
    expected |= dict.fromkeys(("n", "trials"), (np.int64, (S, rows))) | {"accepted": (bool, (S, rows))}
    expected |= {f"z.{name}": (float, (S, rows, n) if name in flow.blocks else (S, rows)) for name in z}
    _check_arrays(arrays | {f"z.{name}": block for name, block in z.items()}, expected, optional=("f", "V"))
    trace = Trace(t=arrays["t"], h=arrays["h"], n=arrays["n"], trials=arrays["trials"], z=z, g=arrays["g"],
                  stride=stride, objective=ensemble.objective, flow=flow)
    vars(trace).update({name: arrays[name] for name in ("f", "V") if name in arrays})
    return trace


def _state(arrays: dict[str, np.ndarray], about: dict, flow: Any) -> dict[str, np.ndarray]:
    """The blocks of the state, taken out of the arrays but for x."""
    state = about["state"]
    _demand(state == [*flow.blocks, *flow.scalars], f"the state has the blocks {state}, the flow {flow!r} others")
    return {name: arrays["x"] if name == "x" else arrays.pop(f"z.{name}") for name in state}


def _check_arrays(arrays: dict[str, np.ndarray], expected: dict[str, tuple[Any, tuple]],
                  optional: tuple[str, ...] = ()) -> None:
    missing = [name for name in expected if name not in arrays and name not in optional]
    unknown = [name for name in arrays if name not in expected]
    _demand(not missing and not unknown, f"the arrays {missing} are missing, and {unknown} unknown")
    for name, array in arrays.items():
        kind, shape = expected[name]
        _demand(array.dtype == kind and array.shape == shape,
                f"{name!r} is an array {array.shape} of {array.dtype}; expected {shape} of {np.dtype(kind)}")


def _tree(flat: dict[str, np.ndarray]) -> dict:
    """{"memory.first.phase": array} as {"first": {"phase": array}}; coordinates are numbers."""
    tree: dict = {}
    for name, array in flat.items():
        _, *path, last = (int(key) if key.isdecimal() else key for key in name.split("."))
        branch = tree
        for key in path:
            branch = branch.setdefault(key, {})
        branch[last] = array
    return tree


def _facts(about: dict) -> dict:
    """What an ensemble knows beside its arrays and formulas, checked."""
    limits, options, flags = about["limits"], about["options"], about["flags"]
    _demand(options.keys() == _OPTIONS.keys() and all(
        type(value) in _OPTIONS[name] for name, value in options.items()), f"its options are {options}")
    _demand(limits.keys() == {field.name for field in dataclasses.fields(Limits)} and all(
        type(value) is float or (name == "t_end" and value is None) for name, value in limits.items()),
        f"its limits are {limits}")
    _demand(isinstance(flags, list) and all(isinstance(flag, str) for flag in flags), f"its flags are {flags}")
    texts, numbers = ({name: about[name] for name in names} for names in (_TEXTS, _NUMBERS))
    _demand(all(isinstance(value, str) for value in texts.values()), f"{texts} are no texts")
    _demand(all(type(value) in (int, float) and 0 <= value < math.inf for value in numbers.values()),
            f"{numbers} are no durations and counts")
    return {"limits": Limits(**limits), "options": options, "flags": tuple(flags), **texts, **numbers}


def _basins(arrays: dict[str, np.ndarray], about: dict, ensemble: Ensemble) -> Basins:
    label, minima, radius = arrays["label"], arrays["minima"], about["radius"]
    n = ensemble.starts.shape[1]
    _demand(label.ndim == n and label.size == len(ensemble) and minima.shape[1:] == (n,),
            f"labels {label.shape} and minima {minima.shape} do not fit {len(ensemble)} starts of {n} coordinates")
    _demand(label.dtype == np.int64 and minima.dtype == float and bool(((label >= -3) & (label < len(minima))).all()),
            "labels are of no minimum")
    _demand(type(radius) in (int, float), f"the radius is {radius!r}")
    return Basins(label, minima, check_box(about["box"], n), label.shape, radius, ensemble)


def _demand(holds: Any, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


# -- a run into a file

def kept(out: str | os.PathLike, run: Run, finish: Callable[[Ensemble], Any]) -> Any:
    """The result of a run that is kept in a file: loaded if it is there, else run, with a journal, and saved.

    Parameters
    ----------
    out : path
    run : Run
    finish : callable
        Makes of the ensemble the result to be saved.
    """
    if not isinstance(out, (str, os.PathLike)):
        raise TypeError(f"`out` must be a path, got {out!r}")
    path = os.path.abspath(out)
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, f"`out` must be a file, got the folder {os.fspath(out)!r}: name a file "
                                "in it", path)
    journal = path + ".part"
    if os.path.exists(path):
        result = _finished(path, run, finish)
    else:
        _check_writable(path)
        ensemble = run.ends(journal)
        vars(ensemble)["problem"] = run.problem             # as it was: functions with a state may have changed it
        result = finish(ensemble)
        if (ensemble.status == Status.INTERRUPTED).any() or not _saved(result, path):
            return result
    for second in ("", *(".then"*k for k in range(1, _DEEPEST))):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(journal + second)
    return result


def _finished(path: str, run: Run, finish: Callable[[Ensemble], Any]) -> Any:
    """The result that the file holds already, if it is that of this run."""
    found = load(path, objective=run.machine.objective, method=run.method)
    ensemble = _ensemble_of(found)
    expected = finish(ensemble) if ensemble.problem == run.problem else None
    if type(found) is not type(expected) or (
            isinstance(found, Basins) and isinstance(expected, Basins) and not found.same_grid(expected)):
        raise FileExistsError(f"{path} is there already, and holds another kind of result or that of another problem "
                              "(formulas, parameters, limits, options or starts differ): choose another `out`, or move "
                              "the file away")
    return found


def _check_writable(path: str) -> None:
    try:
        with open(_temporary(path), "wb"):
            pass
        os.unlink(_temporary(path))
    except OSError as error:
        raise OSError(error.errno, f"`out` cannot be written ({error.strerror}): choose a file in a folder that is "
                                   "there and can be written", path) from error


def _saved(result: Any, path: str) -> bool:
    """Whether the result could be saved: a full disk must not cost the run."""
    try:
        save(result, path)
    except OSError as error:
        warnings.warn(f"{path} cannot be written ({error}): the result is returned; make room and `save` it. The "
                      "journal is kept", RuntimeWarning, stacklevel=4)
        return False
    return True
