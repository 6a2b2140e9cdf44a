"""Derivatives of the package's landscapes, derived once for all users: `python -m odeopt.objectives.shipped`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

from odeopt import objectives
from odeopt.objectives.base import Landscape, derivatives_of


def landscapes() -> Iterator[Landscape]:
    """Those that a program is likely to begin with; parameters are no part of a derivative's text."""
    for name in objectives.__all__:
        kind: Any = getattr(objectives, name)
        if not (isinstance(kind, type) and issubclass(kind, Landscape)):
            continue
        if kind in (Landscape, objectives.Neuron, objectives.LeastSquares):
            continue                                        # bases
        if kind is objectives.Example:
            yield from map(kind, range(1, 9))
        elif "dimension" in inspect.signature(kind).parameters:
            yield from map(kind, (2, 3, 10))
        else:
            yield kind()


def texts() -> dict[str, str]:
    """The derived texts by their keys, derived here and now."""
    found = {}
    for landscape in landscapes():
        of = derivatives_of(landscape)
        for name in ("value", "value_and_gradient"):
            found[of.key(name, of.way)] = of.derived(name, of.way)
    return dict(sorted(found.items()))


def main() -> None:
    """Write them where `odeopt.compile.derivative` reads them."""
    from odeopt.compile.derivative import SHIPPED
    with open(SHIPPED, "w", encoding="utf-8") as file:
        json.dump(texts(), file, indent=0)
        file.write("\n")


if __name__ == "__main__":
    main()
