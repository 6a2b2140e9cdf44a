"""Maps of a plane of starts, trajectories on it, and the decay of a run.

Every function draws into the axes it is given, or into a new figure one column wide, and returns the axes;
none shows or saves anything. A grid of shape ``(n_0, n_1)`` over a box holds at ``[i, j]`` the start whose
first coordinate is the centre of cell i and whose second is the centre of cell j: ``lo + (i + 0.5)*(hi -
lo)/n``. The first coordinate is the horizontal one.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from odeopt.plot.style import COLORS, INK, MINIMA, OUTCOME_NAMES, canvas, class_color

Levels = int | Sequence[float] | None
Box = tuple[tuple[float, float], tuple[float, float]]
MINUS = "\N{MINUS SIGN}"
SYMBOLS = {"V": "$V$", "f": "$f$", "h": "$h$", "g_norm": r"$\|g\|$", "t": "$t$"}


def basins(basins: Any, ax: Axes | None = None, levels: Levels = None, legend: bool = True,
           title: str | None = None) -> Axes:
    """Draw which minimum each start of a plane reaches.

    Parameters
    ----------
    basins : Basins
        Has ``label`` (the grid), ``box``, ``minima`` (k, 2), ``objective`` and, for the shares in the legend,
        ``fraction`` (label to share).
    ax : Axes, optional
        Where to draw.
    levels : int, sequence of float or None
        Level lines, as in `level_lines`; 0 draws none.
    legend : bool
        Whether to name the classes below the axes. For one legend shared by several maps see `legend`.
    title : str, optional
        Title of the axes.

    Returns
    -------
    Axes
    """
    with canvas(ax, height=3.5) as ax:
        label = np.asarray(basins.label)
        box = _box(basins.box)
        _check_grid("label", label)
        present, index = np.unique(label, return_inverse=True)
        palette = np.array([to_rgb(class_color(int(k))) for k in present])
        colors = palette[index.reshape(label.shape)]
        _image(ax, colors.transpose(1, 0, 2), box)
        level_lines(basins.objective, box, ax, levels)
        _mark_minima(ax, np.asarray(basins.minima, dtype=float))
        _frame(ax, box, basins.objective)
        if title is not None:
            ax.set_title(title)
        if legend:
            titles = class_names(basins.minima)
            fraction = getattr(basins, "fraction", None) or {}
            for k, share in fraction.items():
                if int(k) in titles:
                    titles[int(k)] += f"  {_percent(share)}"
            _legend(ax, present, titles)
    return ax


def legend(where: Figure | SubFigure | Axes, labels: Any,
           names: Mapping[int, str] | Any | None = None) -> Legend:
    """Name the classes of basin maps, once for all maps of a figure.

    Parameters
    ----------
    where : Figure or Axes
        The legend stands below it. Below a figure it needs the constrained layout, which the house's style
        sets.
    labels : int or array of int, or a list of them
        The classes to name; label grids are reduced to the classes that they hold.
    names : mapping of int to str, or array (k, 2), optional
        Names of the classes, or the minima, which are named by their coordinates.

    Returns
    -------
    Legend

    Examples
    --------
    >>> legend(figure, [map_of_gd.label, map_of_adam.label], map_of_gd.minima)      # doctest: +SKIP
    """
    return _legend(where, labels, names)


def _legend(where: Figure | SubFigure | Axes, labels: Any, names: Any) -> Legend:
    grids = labels if isinstance(labels, list | tuple | set) else [labels]
    found = {int(k) for grid in grids for k in np.unique(grid)}
    names = dict(names) if isinstance(names, Mapping) else class_names(() if names is None else names)
    order = sorted(k for k in found if k >= 0) + sorted((k for k in found if k < 0), reverse=True)
    handles, seen = [], set()
    for k in order:
        name = "further minima" if k >= len(MINIMA) else names.get(k, OUTCOME_NAMES.get(k, f"minimum {k}"))
        if name not in seen:
            seen.add(name)
            handles.append(Patch(facecolor=class_color(k), edgecolor=INK, linewidth=0.5, label=name))
    return below(where, handles)


def class_names(minima: Any = ()) -> dict[int, str]:
    """Return the names of the classes of a basin map.

    Parameters
    ----------
    minima : array (k, n)
        Minimum k is named by its coordinates, to three digits.

    Returns
    -------
    dict of int to str
    """
    points = ("(" + ", ".join(_number(a) for a in point) + ")" for point in np.asarray(minima, dtype=float))
    return {**OUTCOME_NAMES, **dict(enumerate(points))}


def shares(values: Any, box: Any, ax: Axes | None = None, vmin: float | None = 0.0,
           vmax: float | None = 1.0, label: str | None = None, bar: bool = True, cmap: str = "cividis",
           title: str | None = None, objective: Any = None, levels: Levels = None) -> Axes:
    """Draw a number for each start of a plane, such as a share of steps or a count.

    Parameters
    ----------
    values : array (n_0, n_1)
        The grid; cells that are not finite are left white.
    box : (lo, hi) or ((lo, hi), (lo, hi))
        The plane.
    ax : Axes, optional
        Where to draw.
    vmin, vmax : float or None
        The values at the ends of the colour map; None takes the data's. Colour bars have an arrow at an end
        that values pass.
    label : str, optional
        What is drawn, beside the colour bar.
    bar : bool
        Whether to draw a colour bar. Without it, ``ax.images[0]`` serves for one shared by several maps.
    cmap : str
        Name of the colour map, a perceptually uniform one.
    title : str, optional
        Title of the axes.
    objective : Objective, optional
        Whose level lines and names of coordinates to draw.
    levels : int, sequence of float or None
        Level lines, as in `level_lines`.

    Returns
    -------
    Axes
    """
    with canvas(ax, height=2.8) as ax:
        values = np.asarray(values, dtype=float)
        box = _box(box)
        _check_grid("values", values)
        image = _image(ax, np.ma.masked_invalid(values.T), box, vmin=vmin, vmax=vmax, cmap=cmap)
        if objective is not None:
            level_lines(objective, box, ax, levels, color="white", alpha=0.6)
        _frame(ax, box, objective)
        if title is not None:
            ax.set_title(title)
        if bar:
            finite = values[np.isfinite(values)]
            low, high = image.get_clim()
            under = finite.size > 0 and low is not None and finite.min() < low
            over = finite.size > 0 and high is not None and finite.max() > high
            extend = ("both" if over else "min") if under else ("max" if over else "neither")
            colorbar = ax.figure.colorbar(image, ax=ax, label=label or "", extend=extend, aspect=25, pad=0.03)
            colorbar.outline.set_linewidth(0.6)
    return ax


def trajectory(solutions: Any, ax: Axes | None = None, levels: Levels = None,
               box: Any = None, legend: bool = True, title: str | None = None) -> Axes:
    """Draw the paths of runs over the level lines of their objective.

    Parameters
    ----------
    solutions : Solution or sequence of Solution
        Runs on one objective of two coordinates, with a trace. Runs of the same method have the same
        colour. A circle marks the start, a cross the end; rejected trials are not part of the path.
    ax : Axes, optional
        Where to draw.
    levels : int, sequence of float or None
        Level lines, as in `level_lines`.
    box : (lo, hi) or ((lo, hi), (lo, hi)), optional
        The part of the plane to draw; by default the one that holds the paths.
    legend : bool
        Whether to name the methods, if there are several.
    title : str, optional
        Title of the axes.

    Returns
    -------
    Axes
    """
    with canvas(ax, height=3.2) as ax:
        runs = list(solutions) if isinstance(solutions, Sequence) else [solutions]
        if not runs:
            raise ValueError("no run to draw: the sequence of solutions is empty")
        paths = [_path(run) for run in runs]
        window = _surrounding(paths) if box is None else _box(box)
        objective = runs[0].objective
        level_lines(objective, window, ax, levels, color="#8C8C8C")
        palette = [color for name, color in COLORS.items() if name != "yellow"]      # too pale on white
        colors: dict[str, str] = {}
        for run, path in zip(runs, paths, strict=True):
            name = str(run.method.name)
            new = name not in colors
            color = colors.setdefault(name, palette[len(colors) % len(palette)])
            ax.plot(*path.T, ".-", color=color, linewidth=1.0, markersize=2.0, markeredgewidth=0,
                    label=name if new else None, zorder=3)
            ax.plot(*path[0], "o", color=color, markerfacecolor="white", markersize=4, zorder=4)
            ax.plot(*path[-1], "x", color="white", markersize=6, markeredgewidth=2.6, zorder=5)
            ax.plot(*path[-1], "x", color=color, markersize=5, markeredgewidth=1.3, zorder=6)
        _frame(ax, window, objective)
        if title is not None:
            ax.set_title(title)
        if legend and len(colors) > 1:
            handles, _ = ax.get_legend_handles_labels()
            below(ax, handles)
    return ax


def decay(solution: Any, ax: Axes | None = None, what: Sequence[str] | str = ("V", "h", "g_norm"),
          xscale: str = "linear", title: str | None = None) -> Axes:
    """Draw how energy, step and gradient of a run change from trial to trial.

    Parameters
    ----------
    solution : Solution
        A run with a trace. Lines join the accepted trials, faint dots are the rejected ones; dots more than
        three decades off the lines are left out.
    ax : Axes, optional
        Where to draw.
    what : sequence of str
        Names of columns of the trace, among ``V f h g_norm t``.
    xscale : "linear" or "log"
        Scale of the index of the trial, which starts at 0 (on the log scale at 1).
    title : str, optional
        Title of the axes.

    Returns
    -------
    Axes

    Notes
    -----
    The vertical axis is logarithmic and leaves zeros out. If an accepted value is negative, it is linear
    near zero and logarithmic beyond the smallest size that occurs.
    """
    with canvas(ax, height=2.4) as ax:
        trace = _trace(solution)
        names = [what] if isinstance(what, str) else list(what)
        unknown = [name for name in names if name not in SYMBOLS]
        if unknown or not names:
            raise ValueError(f"`what` must be some of {', '.join(SYMBOLS)}, got {what!r}")
        columns = {name: np.asarray(getattr(trace, name), dtype=float) for name in names}
        accepted = states(trace)
        index = np.arange(len(accepted)) + (1 if xscale == "log" else 0)
        kept = np.concatenate([column[accepted] for column in columns.values()])
        sizes = np.abs(kept[np.isfinite(kept) & (kept != 0)])
        if (kept < 0).any():
            ax.set_yscale("symlog", linthresh=sizes.min())
        else:
            ax.set_yscale("log", nonpositive="mask")
        colors = ("blue", "vermillion", "green", "purple", "orange")
        for (name, column), color in zip(columns.items(), colors, strict=False):
            line = np.where(np.isfinite(column), column, np.nan)
            ax.plot(index[accepted], line[accepted], color=COLORS[color], label=SYMBOLS[name], zorder=3)
            dots = ~accepted & np.isfinite(column)
            if sizes.size:
                dots &= (np.abs(column) < 1e3*sizes.max()) & (np.abs(column) > 1e-3*sizes.min())
            ax.plot(index[dots], column[dots], linestyle="none", marker=".", markersize=3, markeredgewidth=0,
                    color=COLORS[color], alpha=0.45, zorder=2)
        if xscale != "linear":
            ax.set_xscale(xscale)
        ax.set_xlabel("trial")
        if len(names) == 1:
            ax.set_ylabel(SYMBOLS[names[0]])
        else:
            ax.legend(loc="upper right")
        if title is not None:
            ax.set_title(title)
        ax.margins(x=0.02)
    return ax


def level_lines(objective: Any, box: Any, ax: Axes, levels: Levels = None,
                color: str = INK, alpha: float = 0.6, points: int = 241) -> Axes:
    """Draw level lines of an objective of two coordinates.

    Parameters
    ----------
    objective : Objective
        Has ``value(*x)``, which takes arrays; its ``levels`` are the default ones.
    box : (lo, hi) or ((lo, hi), (lo, hi))
        The plane.
    ax : Axes
        Where to draw.
    levels : int, sequence of float or None
        The levels, or how many, spaced geometrically above the least value seen; 0 draws none. None takes the
        objective's own, or eight.
    color : str
        Colour of the lines.
    alpha : float
        Opacity of the lines, 0 to 1.
    points : int
        Points per side of the grid on which the objective is evaluated.

    Returns
    -------
    Axes
    """
    if levels is None:
        own = getattr(objective, "levels", None)
        levels = 8 if own is None else own
    if np.size(levels) == 0 or (np.ndim(levels) == 0 and not levels):
        return ax
    (a, b), (c, d) = _box(box)
    x, y = np.linspace(a, b, points), np.linspace(c, d, points)
    with np.errstate(all="ignore"):
        z = np.asarray(objective.value(*np.meshgrid(x, y)), dtype=float)
    z = np.ma.masked_invalid(np.broadcast_to(z, (points, points)))
    if z.count() == 0 or z.min() == z.max():
        return ax
    if np.ndim(levels) == 0:
        low, high = float(z.min()), float(np.quantile(z.compressed(), 0.95))
        values = low + (high - low)*np.geomspace(1e-3, 1.0, int(np.asarray(levels)))
    else:
        values = np.unique(np.asarray(levels, dtype=float))
    values = values[(values > z.min()) & (values < z.max())]
    if values.size:
        ax.contour(x, y, z, levels=values, colors=color, alpha=alpha, linewidths=0.4, linestyles="solid",
                   zorder=1.5)
    return ax


def _box(box: Any) -> Box:
    ends = np.asarray(box, dtype=float)
    if ends.shape == (2,):
        ends = np.array([ends, ends])
    if ends.shape != (2, 2) or not (ends[:, 0] < ends[:, 1]).all():
        raise ValueError(f"`box` must be (lo, hi) or ((lo, hi), (lo, hi)) with lo < hi, got {box!r}")
    (a, b), (c, d) = ends.tolist()
    return (a, b), (c, d)


def _check_grid(name: str, grid: np.ndarray) -> None:
    if grid.ndim != 2:
        raise ValueError(f"`{name}` must be a grid of two dimensions, got the shape {grid.shape}")


def _image(ax: Axes, pixels: np.ndarray, box: Box, **options: Any) -> Any:
    return ax.imshow(pixels, origin="lower", extent=(*box[0], *box[1]), interpolation="nearest", zorder=1,
                     **options)


def _frame(ax: Axes, box: Box, objective: Any) -> None:
    ratio = (box[0][1] - box[0][0])/(box[1][1] - box[1][0])
    if 1/3 <= ratio <= 3:
        ax.set_aspect("equal")
    else:
        ax.set_aspect("auto")
        ax.set_box_aspect(1)
    ax.set(xlim=box[0], ylim=box[1])
    first, second = _coordinates(objective)
    ax.set_xlabel(first)
    ax.set_ylabel(second, rotation=0 if len(second.strip("$")) == 1 else 90, labelpad=3)


def _coordinates(objective: Any) -> tuple[str, str]:
    """Return labels for the two coordinates: the argument names of the formula, if they are letters."""
    try:
        arguments = inspect.signature(objective.value).parameters.values()
    except (AttributeError, TypeError, ValueError):
        arguments = ()                                              # type: ignore[assignment]
    names = [a.name for a in arguments if a.kind in (a.POSITIONAL_ONLY, a.POSITIONAL_OR_KEYWORD)]
    if len(names) == 2 and all(len(name) == 1 for name in names):
        return f"${names[0]}$", f"${names[1]}$"
    return "$x_1$", "$x_2$"


def _mark_minima(ax: Axes, minima: np.ndarray) -> None:
    for k, point in enumerate(minima):
        ax.plot(*point, "o", markersize=5.6, color=INK, markeredgewidth=0, zorder=4)
        ax.plot(*point, "o", markersize=3.9, color=class_color(k), markeredgecolor="white",
                markeredgewidth=0.9, zorder=5)


def below(where: Figure | SubFigure | Axes, handles: list[Any]) -> Legend:
    """Set a legend below a figure or axes, in as many columns as fit its width."""
    figure = where.get_figure(root=True)
    assert figure is not None, "the axes belong to no figure"
    width = 72*figure.get_figwidth()
    if isinstance(where, Axes):
        cell = where.get_subplotspec()
        width /= cell.get_gridspec().ncols if cell is not None else 1
    size = FontProperties(size=mpl.rcParams["legend.fontsize"]).get_size_in_points()
    longest = max((len(handle.get_label()) for handle in handles), default=1)
    columns = max(1, min(len(handles), math.floor(width/(size*(0.56*longest + 3.4)))))
    if handles:
        columns = math.ceil(len(handles)/math.ceil(len(handles)/columns))             # no short last column
    if isinstance(where, Axes):
        drop = ScaledTranslation(0, -30/72, figure.dpi_scale_trans)      # below tick labels and axis label
        return where.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=columns,
                            bbox_transform=where.transAxes + drop, borderaxespad=0.0)
    return where.legend(handles=handles, loc="outside lower center", ncols=columns)


def _path(run: Any) -> np.ndarray:
    trace = _trace(run)
    x = np.asarray(trace.x, dtype=float)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f"paths are of runs of two coordinates, got a trace with x of the shape {x.shape}")
    path = x[states(trace)]
    return path[np.isfinite(path).all(axis=1)]


def _trace(run: Any) -> Any:
    trace = getattr(run, "trace", None)
    if trace is None:
        raise ValueError("the solution has no trace: solve with trace=True")
    return trace


def states(trace: Any) -> np.ndarray:
    """Which rows of a trace are states of the run: the accepted trials and the start."""
    mask = np.array(trace.accepted)
    mask[0] = True
    return mask


def _surrounding(paths: list[np.ndarray]) -> Box:
    points = np.concatenate(paths)
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high)/2, (high - low)/2
    half = 1.15*np.maximum(half, 0.35*max(half.max(), 1e-12*max(1.0, np.abs(middle).max())))
    return _box(np.stack([middle - half, middle + half], axis=1))


def _number(a: float) -> str:
    return f"{round(a, 10) + 0.0:.3g}".replace("-", MINUS)


def _percent(share: float) -> str:
    return "<0.1 %" if 0 < share < 5e-4 else f"{100*share:.1f} %"
