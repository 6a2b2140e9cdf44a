"""Formulas by name on the command line: `name[parameter=value, ...]`."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from odeopt import methods
from odeopt.controllers import Controller
from odeopt.flows import Flow
from odeopt.objectives import Objective
from odeopt.parameters import fits
from odeopt.schemes import Scheme

_BASES = {"flows": Flow, "schemes": Scheme, "controllers": Controller, "objectives": Objective}
_INTERFACES = {"Controller", "Flow", "Landscape", "LeastSquares", "Neuron", "Objective", "Scheme"}
FAMILIES = ("flows", "schemes", "controllers", "methods", "objectives")


class UsageError(ValueError):
    """A wrong command: what was given, what was expected, and how to mend it."""


def formulas(family: str) -> dict[str, Callable]:
    """The classes of a family, or the functions that make methods, by name; not the classes that others derive from."""
    module = importlib.import_module(f"odeopt.{family}")
    if family == "methods":
        return {name: getattr(module, name) for name in methods.names()}
    named = {name: getattr(module, name) for name in module.__all__ if name not in _INTERFACES}
    return {name: kind for name, kind in named.items() if issubclass(kind, _BASES[family])}


def parameters(formula: Callable) -> dict[str, inspect.Parameter]:
    """What a formula is made from, with its defaults."""
    found = dict(inspect.signature(formula).parameters)
    for field in dataclasses.fields(formula) if dataclasses.is_dataclass(formula) else ():
        if field.default_factory is not dataclasses.MISSING:
            found[field.name] = found[field.name].replace(default=field.default_factory())
    return found


def made(text: str, *families: str) -> Any:
    """The formula that a text names, such as "lc_gd[slope=0.25, grow=2]" or "Rosenbrock[n=10]".

    Parameters
    ----------
    text : str
        A name or a method's alias, in capitals or not, after its family and a dot where several families have it; in
        brackets parameters, whose values are Python literals. `n` stands for `dimension`.
    *families : str
        Where to look.

    Raises
    ------
    UsageError
        If there is no such formula, or it cannot be made from these values.
    """
    name, bracket, rest = text.strip().partition("[")
    if bracket and not rest.endswith("]"):
        raise UsageError(f"{text!r} has no bracket at its end: write name[parameter=value, ...], in quotes where the "
                         "shell reads brackets")
    family, name = find(name, families)
    formula = formulas(family)[name]
    values = _checked(name, parameters(formula), _literals(text, rest[:-1]))
    try:
        return formula(**values)
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise UsageError(f"{text!r} cannot be made: {error}; see `odeopt list {family} -v`") from error


def find(name: str, families: Iterable[str]) -> tuple[str, str]:
    """The family and the name in it, by name, else by alias, else by either whatever the capitals."""
    families = tuple(families)
    family, _, short = name.strip().rpartition(".")
    if family and family not in families:
        raise UsageError(f"{family!r} is no family to look in, expected {' or '.join(families)}: write "
                         f"{families[0]}.{short}")
    known = [(*one, kind) for kind in ((family,) if family else families) for one in _spellings(kind)]
    by_name = {(kind, target) for spelling, target, kind in known if spelling == short == target}
    by_alias = {(kind, target) for spelling, target, kind in known if spelling == short}
    whatever = {(kind, target) for spelling, target, kind in known if spelling.lower() == short.lower()}
    found = by_name or by_alias or whatever
    if len(found) == 1:
        return found.pop()
    if found:
        raise UsageError(f"{name!r} may be {' or '.join('.'.join(one) for one in sorted(found))}: write one of these")
    if families == ("methods",):
        methods.get(short)                                  # knows names that mean different things, and refuses
    near = difflib.get_close_matches(short.lower(), {spelling.lower(): 0 for spelling, *_ in known}, 1)
    spelt = [spelling for spelling, *_ in known if near and spelling.lower() == near[0]]
    hint = f"did you mean {spelt[0]!r}? " if spelt else ""
    raise UsageError(f"no {' or '.join(kind.removesuffix('s') for kind in families)} {name!r}: {hint}"
                     f"`odeopt list {families[-1]}` names them")


def _spellings(family: str) -> list[tuple[str, str]]:
    """(spelling, name) of every formula of a family, aliases included."""
    aliases = methods.names() if family == "methods" else {}
    return [(spelling, name) for name in formulas(family) for spelling in (name, *aliases.get(name, ()))]


def _literals(text: str, inside: str) -> dict[str, Any]:
    """The values between the brackets; they are read as literals and never evaluated."""
    try:
        call = ast.parse(f"f({inside}\n)", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        call = None
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)) or call.args or any(
            keyword.arg is None for keyword in call.keywords):
        raise UsageError(f"{text!r} cannot be read: expected name[parameter=value, ...], such as lc_gd[slope=0.25]")
    values = {str(keyword.arg): _literal(text, keyword) for keyword in call.keywords}
    if len(values) < len(call.keywords):
        raise UsageError(f"{text!r} gives a parameter twice: write each once")
    return values


def _literal(text: str, keyword: ast.keyword) -> Any:
    try:
        value = ast.literal_eval(keyword.value)
    except (ValueError, TypeError, MemoryError, RecursionError) as error:
        given = ast.unparse(keyword.value)
        hint = f": a text needs quotes, {keyword.arg}='{given}'" if isinstance(keyword.value, ast.Name) else ""
        raise UsageError(f"{text!r}: the value of {keyword.arg} must be a literal (a number, a text in quotes, a tuple "
                         f"(a, b), True, False or None), got {given}{hint}") from error
    return tuple(value) if isinstance(value, list) else value


def _checked(name: str, known: dict[str, inspect.Parameter], values: dict[str, Any]) -> dict[str, Any]:
    """The values by the parameters' own names, if they are there and of their kinds."""
    if "n" in values and "n" not in known and "dimension" in known.keys() - values.keys():
        values["dimension"] = values.pop("n")
    for parameter, value in values.items():
        if parameter not in known:
            near = difflib.get_close_matches(parameter, known, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UsageError(f"{name} has no parameter {parameter!r}: {hint}It has {', '.join(known) or 'none'}")
        expected = inspect.formatannotation(known[parameter].annotation).strip("'")
        if not fits(value, expected):
            raise UsageError(f"{name}: {parameter} must be {expected}, got {value!r}: write "
                             f"{name}[{parameter}={known[parameter].default!r}] or the like")
    missing = [one for one, parameter in known.items() if parameter.default is parameter.empty and one not in values]
    if missing:
        raise UsageError(f"{name} needs {', '.join(missing)}, which no command line can give: use it from Python")
    return values
