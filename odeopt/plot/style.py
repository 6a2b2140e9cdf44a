"""The house's look: sizes, fonts, colours, and how a figure is written to disk.

Figures are made at the width at which they are printed (`COLUMN` or `PAGE`), so that a font size of 8 pt is
8 pt on paper. Colours are those of Okabe and Ito, completed by two of Tol's; the colours of basins are
fixed, so that the same outcome has the same colour in every figure.

References
----------
.. [1] M. Okabe and K. Ito, "Color universal design", 2008.
.. [2] P. Tol, "Colour schemes", technical note SRON/EPS/TN/09-002, 2021.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

COLUMN = 3.4
"""Width of one column of a two-column page, in inches."""

PAGE = 7.0
"""Width of the text of a page, in inches."""

COLORS = {
    "blue": "#0072B2", "vermillion": "#D55E00", "green": "#009E73", "orange": "#E69F00",
    "purple": "#CC79A7", "sky": "#56B4E9", "yellow": "#F0E442", "black": "#000000",
}
"""The colours of Okabe and Ito by name, in the order in which lines take them."""

MINIMA = ("#0072B2", "#D55E00", "#F0E442", "#CC79A7", "#56B4E9", "#332288", "#009E73", "#E69F00", "#882255")
"""Colours of the basins of minimum 0, 1, ... 8.

Any two of them, and any of them and the colours of the other outcomes, stay at least 16 CIELAB units apart
under normal vision, protanopia, deuteranopia and tritanopia; the first six at least 21 from each other.
"""

OUTCOMES = {-1: "#C4C4C4", -2: "#FFFFFF", -3: "#5C3317"}
"""Colours of the starts that reach no minimum: grey, white and brown."""

OUTCOME_NAMES = {-1: "elsewhere", -2: "not converged", -3: "diverged"}
"""What the negative labels of a basin map mean."""

INK = "#404040"
"""Dark grey of level lines and of marks that belong to no class."""

RC: dict[Any, Any] = {
    "figure.figsize": (COLUMN, 2.6),
    "figure.dpi": 150,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 300,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],             # comes with matplotlib: the same glyphs on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.2,
    "axes.linewidth": 0.6,
    "axes.prop_cycle": cycler(color=list(COLORS.values())),
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "lines.linewidth": 1.0,
    "image.cmap": "cividis",
    "pdf.fonttype": 42,                             # TrueType: text in the PDF can be searched and edited
    "svg.hashsalt": "odeopt",
}
"""Matplotlib's parameters in this style."""


@contextmanager
def style(**changes: Any) -> Iterator[None]:
    """Draw in the house's style inside a ``with`` block.

    Parameters
    ----------
    **changes
        Further matplotlib parameters, with underscores for dots (``font_size=7``).

    Examples
    --------
    >>> with style(font_size=7):
    ...     figure, axes = panels(1, 2, width=PAGE, height=2.4)
    """
    with mpl.rc_context({**RC, **_parameters(changes)}):
        yield


def use(**changes: Any) -> None:
    """Draw in the house's style from now on; `changes` as in `style`."""
    mpl.rcParams.update({**RC, **_parameters(changes)})


def _parameters(changes: dict[str, Any]) -> dict[Any, Any]:
    known: dict[str, Any] = {name.replace(".", "_"): name for name in mpl.rcParams}
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise ValueError(f"matplotlib has no parameter {', '.join(unknown)}; write font_size for font.size")
    return {known[name]: value for name, value in changes.items()}


def panels(rows: int = 1, columns: int = 1, width: float = COLUMN, height: float = 2.6,
           **options: Any) -> tuple[Figure, Any]:
    """Make a figure with a grid of axes that sit close together, also if their aspect is fixed.

    Parameters
    ----------
    rows, columns : int
        The grid.
    width, height : float
        Size in inches.
    **options
        As for `matplotlib.pyplot.subplots`, such as ``sharex`` or ``squeeze``.

    Returns
    -------
    figure : Figure
    axes : Axes, or array of Axes
        As `matplotlib.pyplot.subplots` returns them.
    """
    return plt.subplots(rows, columns, figsize=(width, height), layout="compressed", **options)


@contextmanager
def canvas(ax: Axes | None, height: float = 2.6) -> Iterator[Axes]:
    """Give the axes to draw into: those given, or those of a new figure one column wide.

    Parameters
    ----------
    ax : Axes or None
        Axes given are drawn into in the style in force, which is the caller's choice; a new figure has the
        house's.
    height : float
        Height of a new figure in inches.
    """
    if ax is not None:
        yield ax
        return
    with style():
        figure, ax = panels(height=height)
        try:
            yield ax
        except BaseException:
            plt.close(figure)
            raise


def class_color(label: int) -> str:
    """Return the colour of a label of a basin map.

    Parameters
    ----------
    label : int
        ``k >= 0`` minimum k, -1 a small gradient elsewhere, -2 not converged, -3 diverged. There are nine
        colours for minima; all further minima are black.
    """
    if label < 0:
        if label not in OUTCOMES:
            raise ValueError(f"`label` must be -3, -2, -1 or a minimum's number, got {label}")
        return OUTCOMES[label]
    return MINIMA[label] if label < len(MINIMA) else COLORS["black"]


def save(figure: Figure | SubFigure | Axes, path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write a figure as PDF and, with the same stem, as PNG at 200 dpi.

    The files hold no dates, so that the same figure gives the same bytes; they are written under a
    temporary name and moved into place, so that a run that is interrupted leaves the old figure or the new
    one, never half of it.

    Parameters
    ----------
    figure : Figure or Axes
        What to write; axes stand for their figure.
    path : path
        Where to; ``.pdf`` or ``.png`` at its end is left out, folders are created.

    Returns
    -------
    pdf, png : Path
        The two files.
    """
    whole = figure.get_figure(root=True)
    assert isinstance(whole, Figure), "the axes belong to no figure"
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in (".pdf", ".png") else path
    stem.parent.mkdir(parents=True, exist_ok=True)
    pdf, png = (stem.with_name(stem.name + suffix) for suffix in (".pdf", ".png"))
    with style():
        _write(whole, pdf, dpi=RC["savefig.dpi"],
               metadata={"Creator": "odeopt", "Producer": "matplotlib", "CreationDate": None})
        _write(whole, png, dpi=200, metadata={"Software": None})
    return pdf, png


def _write(figure: Figure, path: Path, **options: Any) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        figure.savefig(part, format=path.suffix[1:], **options)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
