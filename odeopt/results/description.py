"""Formulas as plain data: what a saved result says of its objective and method, and the way back.

A description holds numbers, strings, lists and, for a formula, its class by public name with its fields. Only the
dataclasses that the package's own families list are made again from one, by their constructors, with fields of their
declared kinds: nothing that a file names is imported or executed. What else was run, a class of the user's own, comes
back as a stand-in that shows the text of the formula and refuses to run.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import importlib
import json
import re
import sys
import types
from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.controllers import Controller
from odeopt.flows import Flow
from odeopt.language import FormulaError
from odeopt.methods import Method
from odeopt.objectives import Objective
from odeopt.parameters import fits
from odeopt.schemes import Scheme
from odeopt.status import Status

FAMILIES = ("objectives", "flows", "schemes", "controllers", "methods")


# -- stand-ins

@dataclass(frozen=True, repr=False, kw_only=True)
class StandIn:
    """Stands for a formula of a saved run whose class is not the package's own.

    Parameters
    ----------
    text : str
        The formula's repr when it ran.
    """

    text: str

    def __repr__(self) -> str:
        return self.text

    def refuse(self) -> Any:
        """Raise the error that says how to give the formula back."""
        raise FormulaError(f"the result was loaded without {self.text}, which is not of the package's own classes: "
                           "give it, oo.load(path, objective=...) or oo.load(path, method=...)")


@dataclass(frozen=True, repr=False, kw_only=True)
class StandInObjective(StandIn, Objective):
    """Stands for an objective."""

    dimension: int | None = None

    def f(self, x: Any) -> Any:
        self.refuse()

    def gradient(self, x: Any) -> Any:
        self.refuse()


@dataclass(frozen=True, repr=False, kw_only=True)
class StandInFlow(StandIn, Flow):
    """Stands for a flow; it knows the blocks of its states."""

    blocks: tuple[str, ...] = ("x",)                        # type: ignore[misc]
    scalars: tuple[str, ...] = ()                           # type: ignore[misc]

    def field(self) -> Any:
        self.refuse()

    def V(self) -> Any:
        self.refuse()

    dissipation = field


@dataclass(frozen=True, repr=False, kw_only=True)
class StandInScheme(StandIn, Scheme):
    """Stands for a scheme."""

    def step(self, ode: Any, t: Any, z: Any, h: Any, **memory: Any) -> Any:
        self.refuse()


@dataclass(frozen=True, repr=False, kw_only=True)
class StandInController(StandIn, Controller):
    """Stands for a controller."""

    def control(self, h: Any) -> Any:
        self.refuse()


_STAND_INS: dict[type, type[StandIn]] = {
    Objective: StandInObjective, Flow: StandInFlow, Scheme: StandInScheme, Controller: StandInController}


# -- there

class _Indescribable(TypeError):
    """A value that is neither plain data nor a formula of the package's own."""


def describe(formula: Any) -> dict:
    """The description of an objective, flow, scheme, controller or method."""
    try:
        return _described(formula)
    except _Indescribable:
        return _standing(formula)


def _described(value: Any) -> Any:
    if isinstance(value, Status):
        return {"status": value.name}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return _described(value.item())
    if isinstance(value, tuple):
        return [_described(v) for v in value]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"array": base64.b64encode(np.ascontiguousarray(value).tobytes()).decode(), "dtype": value.dtype.str,
                "shape": list(value.shape)}
    name = _public_name(type(value))
    if name is None:
        raise _Indescribable(f"{value!r}")
    within = describe if isinstance(value, Method) else _described
    fields = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value) if f.init)
    return {"class": name, "fields": {
        field: within(v) if isinstance(v, tuple(_STAND_INS)) else _described(v) for field, v in fields}}


def _standing(formula: Any) -> dict:
    """The description of what only a stand-in can stand for."""
    kind = next(base for base in _STAND_INS if isinstance(formula, base))
    names = [f.name for f in dataclasses.fields(_STAND_INS[kind]) if f.name != "text"]
    return {"stand-in": kind.__name__, "fields": {"text": repr(formula)} | {
        name: _described(getattr(formula, name)) for name in names}}


def _public_name(kind: type) -> str | None:
    """The name, "family.Class", under which a family of the package lists this dataclass."""
    for family in FAMILIES if dataclasses.is_dataclass(kind) else ():
        module = importlib.import_module(f"odeopt.{family}")
        if kind.__name__ in module.__all__ and getattr(module, kind.__name__) is kind:
            return f"{family}.{kind.__name__}"
    return None


# -- and back

def rebuilt(description: Any, kind: type) -> Any:
    """The formula of a description, of this kind (Objective, Method).

    Raises
    ------
    ValueError
        If the description is not one that `describe` makes for a class that this version has.
    """
    formula = _value(description)
    if not isinstance(formula, kind):
        raise ValueError(f"expected the description of a {kind.__name__}, got {_short(description)}")
    return formula


def _value(description: Any) -> Any:
    if description is None or isinstance(description, (bool, int, float, str)):
        return description
    if isinstance(description, list):
        return tuple(_value(v) for v in description)
    keys = set(description)
    if keys == {"status"} and description["status"] in Status.__members__:
        return Status[description["status"]]
    if keys == {"array", "dtype", "shape"}:
        return _array(description)
    fields = description.get("fields")
    if keys == {"class", "fields"} and isinstance(fields, dict):
        return _built(_public_class(description["class"]), fields)
    if keys == {"stand-in", "fields"} and isinstance(fields, dict):
        named = {base.__name__: stand_in for base, stand_in in _STAND_INS.items()}
        if description["stand-in"] in named:
            return _built(named[description["stand-in"]], fields)
    raise ValueError(f"{_short(description)} describes no formula")


def _array(description: dict) -> np.ndarray:
    dtype, shape = description["dtype"], description["shape"]
    if not (isinstance(dtype, str) and re.fullmatch(r"[<|>][biuf][1248]", dtype) and isinstance(shape, list)
            and all(type(n) is int and n >= 0 for n in shape) and isinstance(description["array"], str)):
        raise ValueError(f"{_short(description)} describes no array of numbers")
    return np.frombuffer(base64.b64decode(description["array"], validate=True), dtype=np.dtype(dtype)).reshape(shape)


def _public_class(name: Any) -> type:
    family, _, short = str(name).partition(".")
    if family in FAMILIES:
        module = importlib.import_module(f"odeopt.{family}")
        kind = getattr(module, short) if short in module.__all__ else None
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            return kind
    raise ValueError(f"{_short(name)} is no class of formulas of this version of odeopt")


def _built(kind: Any, described: dict) -> Any:
    declared = {f.name: f for f in dataclasses.fields(kind) if f.init}
    values = {name: _value(description) for name, description in described.items()}
    if values.keys() != declared.keys():
        raise ValueError(f"{kind.__name__} of this version of odeopt has the fields {', '.join(declared) or 'none'}, "
                         f"the file's {', '.join(map(_short, values)) or 'none'}")
    for name, value in values.items():
        annotation = declared[name].type
        text = annotation.__name__ if type(annotation) is type else str(annotation)
        if not fits(value, text):
            raise ValueError(f"{kind.__name__}: the field {name!r} is declared {text}, got {_short(value)}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(str(error)) from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


# -- identity

def fingerprint(formula: Any) -> str:
    """A digest of what a formula computes, the same in every process: values of fields, and code by its bytes.

    Functions are followed into their defaults and closures, objects into their attributes, classes into their methods.
    What a function reads from its module is not followed.
    """
    return hashlib.sha256(json.dumps(_printed(formula, [])).encode()).hexdigest()


def _printed(value: Any, seen: list) -> Any:
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return repr(value)
    if isinstance(value, (tuple, frozenset)):
        parts = [_printed(v, seen) for v in value]
        return parts if isinstance(value, tuple) else sorted(parts, key=json.dumps)
    if isinstance(value, types.CodeType):
        return [value.co_code.hex(), value.co_names, _printed(value.co_consts, seen)]
    if isinstance(value, types.ModuleType):
        return value.__name__
    # only what is above is not known by identity: constants that are equal may be one object or several
    place = next((k for k, one in enumerate(seen) if one is value), None)
    if place is not None:
        return place
    seen.append(value)
    if isinstance(value, np.ndarray) and value.dtype != object:
        return [value.dtype.str, value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    return [_printed(part, seen) for part in _parts(value)]


def _parts(value: Any) -> list:
    """What an object is made of, in an order that does not depend on the process."""
    if isinstance(value, list):
        return value
    if isinstance(value, (dict, types.MappingProxyType)):
        return [part for item in value.items() for part in item]
    if isinstance(value, types.FunctionType):
        held = tuple(cell.cell_contents for cell in value.__closure__ or ())
        return [value.__qualname__, value.__code__, value.__defaults__, value.__kwdefaults__, held]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, (staticmethod, classmethod)):
        return [value.__func__]
    if isinstance(value, property):
        return [value.fget]
    if isinstance(value, type):
        library = value.__module__.partition(".")[0] in {*sys.stdlib_module_names, "numpy"}
        return [value.__qualname__, {} if library else {name: part for name, part in vars(value).items()
                                                        if not name.startswith("__") or callable(part)}]
    return [*type(value).__mro__[:-1], getattr(value, "__dict__", {})]
