"""What parameters may be: what is out of range, or no number, is refused by its name where it is given."""

from __future__ import annotations

import dataclasses
import math
import re
import reprlib
from typing import Any

import numpy as np


def is_number(value: Any) -> bool:
    """Whether it is one real number, infinite perhaps, but not not-a-number; a truth value is none."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool) and value == value


def positive(**values: float) -> None:
    """Refuse what is not positive and finite."""
    _demand("> 0 and finite", lambda value: 0.0 < value < math.inf, values)


def not_negative(**values: float) -> None:
    """Refuse what is negative or not finite."""
    _demand(">= 0 and finite", lambda value: 0.0 <= value < math.inf, values)


def share(**values: float) -> None:
    """Refuse what is not in [0, 1)."""
    _demand("in [0, 1)", lambda value: 0.0 <= value < 1.0, values)


def at_least(least: float, /, **values: float) -> None:
    """Refuse what is smaller than `least` or not finite."""
    _demand(f">= {least:g} and finite", lambda value: least <= value < math.inf, values)


def between(low: float, high: float, /, **values: float) -> None:
    """Refuse what is not in (low, high)."""
    _demand(f"in ({low:g}, {high:g})", lambda value: low < value < high, values)


def whole(least: int, /, **values: int) -> None:
    """Refuse what is no integer or smaller than `least`."""
    _demand(f"an integer >= {least}", lambda value: isinstance(value, (int, np.integer)) and value >= least, values)


def instance(kind: type, /, **values: Any) -> None:
    """Refuse what is no instance of `kind`.

    Raises
    ------
    TypeError
        A class of this kind only lacks its parentheses, and is told so.
    """
    for name, value in values.items():
        if not isinstance(value, kind):
            article = "an" if kind.__name__[0] in "AEIOU" else "a"
            hint = f": write {value.__name__}()" if isinstance(value, type) and issubclass(value, kind) else ""
            raise TypeError(f"`{name}` must be {article} {kind.__name__}, got {value!r}{hint}")


def numbers(**values: tuple[float, ...]) -> None:
    """Refuse what is no tuple of finite numbers."""
    for name, value in values.items():
        if not (isinstance(value, tuple) and all(is_number(a) and abs(a) < math.inf for a in value)):
            raise ValueError(f"`{name}` must be a tuple of finite numbers, got {value!r}")


def interval(value: Any, name: str) -> tuple[float, float]:
    """(low, high) as floats, refused unless low < high, with a finite width."""
    pair = isinstance(value, (tuple, list)) and len(value) == 2 and all(map(is_number, value))
    if not (pair and 0.0 < float(value[1]) - float(value[0]) < math.inf):
        raise ValueError(f"`{name}` must be (low, high) with low < high, of finite width, got {value!r}")
    return float(value[0]), float(value[1])


def _demand(expected: str, holds: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        recorded = hasattr(value, "graph")                  # a formula that is made within a formula
        if not (recorded or (is_number(value) and holds(value))):
            raise ValueError(f"`{name}` must be {expected}, got {value!r}")


def real_array(values: Any, name: str) -> np.ndarray:
    """A copy of an array of real numbers, as float64.

    Raises
    ------
    TypeError
        For anything else: texts and dates would become numbers, the masked would be seen.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        got = reprlib.repr(values)
        raise TypeError(f"`{name}` must be an array of numbers, got {got}: its rows differ in length") from None
    if array.dtype.kind not in "biuf" or np.ma.is_masked(values):
        got = repr(values) if array.size <= 4 else f"{array.dtype} of shape {array.shape}"
        hint = "; use .to_numpy(float)" if hasattr(values, "to_numpy") else ""
        raise TypeError(f"`{name}` must be an array of numbers, got {got}{hint}")
    return np.array(array, dtype=float, order="C")


def check_numbers(part: Any) -> None:
    """Refuse a formula whose `float` fields hold anything but numbers, those of its own parts included.

    Raises
    ------
    TypeError
        A text would fail somewhere within a formula, a list be taken for a vector, and not-a-number go unnoticed.
    """
    for field in dataclasses.fields(part) if dataclasses.is_dataclass(part) else ():
        value = getattr(part, field.name)
        if field.type in (float, "float") and not is_number(value):
            raise TypeError(f"`{field.name}` of {type(part).__name__} must be a number, got {value!r}")
        for inner in value if isinstance(value, tuple) else (value,):
            check_numbers(inner)


def fits(value: Any, annotation: str) -> bool:
    """Whether a value is of a kind that a field's annotation names; a bare tuple holds numbers."""
    return _fits(value, set(re.findall(r"\w+", annotation)))


def _fits(value: Any, words: set[str]) -> bool:
    if isinstance(value, tuple):
        within = words if words - {"tuple", "None"} else {"float"}
        return bool(words & {"tuple", "Any"}) and all(_fits(v, within) for v in value)
    if value is None or type(value) in (bool, int, float, str):
        names = {"None"} if value is None else {type(value).__name__} | ({"float"} if type(value) is int else set())
    else:
        names = {kind.__name__ for kind in type(value).__mro__ if kind is not object}
    return bool(words & (names | {"Any"}))
