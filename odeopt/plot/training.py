"""Trainings of networks: box plots, performance profiles, curves of runs, and what a network says over the plane.

Every function draws into the axes it is given, or into a new figure one column wide, and returns the axes; none shows
or saves anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from odeopt.data.dataset import tested_on
from odeopt.language import sigmoid
from odeopt.objectives.network.losses import LOSSES
from odeopt.plot.maps import SYMBOLS, below, states
from odeopt.plot.style import COLORS, INK, MINIMA, canvas

FAMILIES = {
    "orange": ("gd", "egd", "pgd", "rkc"),
    "green": ("momentum", "mom", "m", "em", "nesterov"),
    "blue": ("rmsprop", "rms", "adagrad"),
    "vermillion": ("adam", "amsgrad", "awb"),
    "sky": ("normalized", "ngd", "sign", "clipping"),
    "purple": ("er", "lm", "newton"),
}
"""Colours of the families of methods; all others are black."""

DASHES = {"lc": "--", "lci": "--", "lcp": "--", "lcd": "-."}
"""Line styles of methods under Lyapunov control, with backtracking or bisection; all others are solid."""

LABELS = {
    "train_loss": "training loss", "test_loss": "test loss", "train_accuracy": "training accuracy",
    "test_accuracy": "test accuracy", "seconds": "time [s]", "steps": "steps", "trials": "trials",
    "gradients": "gradient evaluations", "g_norm": r"$\|g\|$", "rises": "share of steps on which $V$ rises",
}
"""Axis labels of the quantities of a training."""


def method_styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and line style of methods, by their names.

    Parameters
    ----------
    names : sequence of str
        Such as "lc_momentum", "LC_EGD" or "Adam 1e-3". The first word that names a method gives the colour of its
        family, in every figure the same; "lc" makes the line dashed, "lcd" dash-dotted. Further methods of the same
        look, in the order given, are paler.

    Returns
    -------
    dict of {"color", "linestyle"}
    """
    styles: dict[str, dict[str, Any]] = {}
    seen: list[tuple[str, str]] = []
    for name in names:
        words = re.findall(r"[a-z]+", name.lower())
        color = next((color for word in words for color, family in FAMILIES.items() if word in family), "black")
        dashes = next((DASHES[word] for word in words if word in DASHES), "-")
        pale = 1.0 - 0.55**seen.count((color, dashes))
        seen.append((color, dashes))
        red, green, blue = (c + pale*(1.0 - c) for c in to_rgb(COLORS[color]))
        styles[name] = {"color": to_hex((red, green, blue)), "linestyle": dashes}
    return styles


def boxes(trainings: Mapping[str, Any], ax: Axes | None = None, left: str = "train_loss", right: str | None = "seconds",
          title: str | None = None) -> Axes:
    """Draw two quantities of the trainings of several methods as box plots on two axes.

    Parameters
    ----------
    trainings : dict of Training
        By the method's name.
    ax : Axes, optional
        Where to draw.
    left, right : str
        Quantities of `Training.quantities` on the left and on the right axis, with logarithmic scales, but for
        shares and accuracies; None draws none on the right.
    title : str, optional
        Title of the axes.

    Returns
    -------
    Axes
        The left ones.

    Notes
    -----
    Boxes are of the runs that converged: quartiles, median, and whiskers at 5 and 95 %. Above each method stands the
    share of all its runs, in percent, that did not, or whose quantity on the left is not finite.
    """
    _check_mapping("trainings", trainings)
    with canvas(ax, height=2.6) as ax:
        names, places = list(trainings), np.arange(len(trainings))
        apart = 0.2 if right else 0.0
        failed = _boxes(ax, trainings, left, places - apart, COLORS["vermillion"])
        if right:
            _boxes(ax.twinx(), trainings, right, places + apart, COLORS["blue"])
        ax.set_xlim(-0.6, len(names) - 0.4)
        inches = ax.get_position().width*ax.figure.get_figure(root=True).get_figwidth()
        slanted = max(map(len, names))*len(names) > 17*inches           # letters of this size to an inch
        ax.set_xticks(places, names, rotation=30 if slanted else 0, ha="right" if slanted else "center",
                      rotation_mode="anchor")
        for place, share in zip(places, failed, strict=True):
            ax.annotate(f"{100*share:.3g}", (place, 1.0), (0, 3), ha="center", fontsize="small", color=INK,
                        xycoords=("data", "axes fraction"), textcoords="offset points")
        ax.annotate("failed [%]", (0.0, 1.0), (-4, 3), ha="right", fontsize="small", color=INK,
                    xycoords="axes fraction", textcoords="offset points")
        if title is not None:
            ax.set_title(title, pad=14)
    return ax


def _boxes(ax: Axes, trainings: Mapping[str, Any], what: str, places: np.ndarray, color: str) -> list[float]:
    """Draw a box at each place; returns the shares of runs that are in none."""
    columns = [_column(training, what) for training in trainings.values()]
    drawn = [values[np.isfinite(values) & np.asarray(training.success)]
             for values, training in zip(columns, trainings.values(), strict=True)]
    if "accuracy" not in what and what != "rises" and any(len(values) for values in drawn):
        ax.set_yscale("log", nonpositive="mask")
        ax.yaxis.set_minor_formatter(NullFormatter())
    line = {"color": color, "linewidth": 0.8}
    ax.boxplot(drawn, positions=places, widths=0.3, whis=(5, 95), showfliers=False, manage_ticks=False,
               patch_artist=True, boxprops={"edgecolor": color, "facecolor": (*to_rgb(color), 0.25), "linewidth": 0.8},
               medianprops=line | {"linewidth": 1.6}, whiskerprops=line, capprops=line)
    ax.set_ylabel(LABELS[what], color=color)
    ax.tick_params(axis="y", which="both", colors=color)
    return [1.0 - len(values)/len(column) for values, column in zip(drawn, columns, strict=True)]


def _column(training: Any, what: str) -> np.ndarray:
    quantities = training.quantities
    if what not in quantities:
        raise ValueError(f"{what!r} was not measured in this training: expected one of {', '.join(quantities)}")
    return np.asarray(quantities[what], dtype=float)


def profile(profile: Any, ax: Axes | None = None, legend: bool = True, title: str | None = None) -> Axes:
    """Draw performance profiles.

    Parameters
    ----------
    profile : Profile
        Of losses, with the share of runs whose loss is at most 10^a, or of ratios to the best, on a logarithmic scale.
    ax : Axes, optional
        Where to draw.
    legend : bool
        Whether to name the methods below the axes.
    title : str, optional
        Title of the axes.

    Returns
    -------
    Axes
    """
    with canvas(ax, height=2.9) as ax:
        of_losses = profile.kind == "loss"
        x = 10.0**profile.x if of_losses else profile.x
        end = x[-1] if of_losses else x[-1]*max(x[-1], 2.0)**0.05      # the last jump is not on the frame
        for name, style in method_styles(list(profile.shares)).items():
            share = profile.shares[name]
            ax.step(np.append(x, end), np.append(share, share[-1]), where="post", label=name, clip_on=False, **style)
        ax.set(xscale="log", xlim=(x[0], end), ylim=(0.0, 1.0))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        ax.set_xlabel("loss" if of_losses else r"ratio to the best, $\tau$")
        ax.set_ylabel("runs with at most this loss" if of_losses else r"runs with a ratio of at most $\tau$")
        ax.grid(color="#E0E0E0", linewidth=0.4)
        _finish(ax, legend, title)
    return ax


def curves(solutions: Mapping[str, Any], ax: Axes | None = None, what: str = "f", against: str = "steps",
           xscale: str = "linear", legend: bool = True, title: str | None = None) -> Axes:
    """Draw how a quantity of several runs changes, over accepted states.

    Parameters
    ----------
    solutions : dict of Solution
        By name, runs with a trace.
    ax : Axes, optional
        Where to draw.
    what : {"f", "V", "h", "g_norm"}
        The loss, the Lyapunov function, the accepted step, or the norm of the gradient; on a logarithmic scale unless
        some are negative.
    against : {"steps", "trials", "gradients"}
        Accepted steps and all trials are as recorded. Of gradient evaluations a trace holds no counts: the run's own
        number is spread evenly over its accepted steps. The ends of the curve are right; what lies between is right
        for methods that evaluate as many in every step and none in a rejected trial (constant steps; backtracking
        where V asks for no gradient), and approximate for others (Runge-Kutta stages of rejected trials): draw those
        against trials.
    xscale : "linear" or "log"
    legend : bool
        Whether to name the runs below the axes.
    title : str, optional
        Title of the axes.

    Returns
    -------
    Axes
    """
    _check_mapping("solutions", solutions)
    for name, given, known in (("what", what, ("f", "V", "h", "g_norm")),
                               ("against", against, ("steps", "trials", "gradients"))):
        if given not in known:
            raise ValueError(f"`{name}` must be one of {', '.join(known)}, got {given!r}")
    with canvas(ax, height=2.6) as ax:
        negative = False
        for name, style in method_styles(list(solutions)).items():
            trace = solutions[name].trace
            if trace is None:
                raise ValueError(f"the run {name!r} has no trace: solve with trace=True")
            kept = states(trace)
            values = np.asarray(getattr(trace, what), dtype=float)[kept]
            negative |= bool((values < 0).any())
            ax.plot(_abscissa(solutions[name], against)[kept], np.where(np.isfinite(values), values, np.nan),
                    label=name, linewidth=0.8, **style)
        if not negative:
            ax.set_yscale("log", nonpositive="mask")
            ax.yaxis.set_major_locator(LogLocator(numticks=8))
            ax.yaxis.set_minor_formatter(NullFormatter())
        ax.set_xscale(xscale)
        ax.set_xlabel(LABELS[against])
        ax.set_ylabel({"f": "loss $f$", "V": "Lyapunov function $V$", "h": "step $h$"}.get(what, SYMBOLS[what]))
        ax.margins(x=0.02)
        _finish(ax, legend, title)
    return ax


def _abscissa(run: Any, against: str) -> np.ndarray:
    trace = run.trace
    if against == "trials":
        return np.asarray(trace.trials)
    if against == "steps":
        return np.asarray(trace.n)
    spent = run.njev - (0 if run.then is None else run.then.njev)      # the trace is the first method's
    return 1 + (spent - 1)*trace.n/max(int(trace.n[-1]), 1)


def regions(network: Any, x: Any, test: Any = None, ax: Axes | None = None, points: int = 301, legend: bool = True,
            title: str | None = None) -> Axes:
    """Draw what a network of two inputs and one output says over the plane, and where it decides.

    Parameters
    ----------
    network : Network
        Its training samples are drawn as filled circles, in the colours of their classes 0 and 1.
    x : array (n,)
        Weights and biases.
    test : Dataset or (inputs, targets), optional
        Test samples, drawn as open circles.
    ax : Axes, optional
        Where to draw.
    points : int
        Points per side of the grid on which the network is evaluated.
    legend : bool
        Whether to say below the axes what the marks mean.
    title : str, optional
        Title of the axes.

    Returns
    -------
    Axes

    Notes
    -----
    The colour is the output, of logits their probability, from 0 to 1; the line is where it is 1/2.
    """
    if (network.layers[0], network.layers[-1]) != (2, 1):
        raise ValueError(f"regions are of networks of two inputs and one output, got {network!r}")
    samples = [(np.asarray(network.inputs), np.asarray(network.targets).ravel() > 0.5)]
    if test is not None:
        inputs, targets = tested_on(test)
        samples.append((np.asarray(inputs, dtype=float), np.asarray(targets).ravel() > 0.5))
    with canvas(ax, height=3.0) as ax:
        everything = np.concatenate([inputs for inputs, _ in samples])
        low, high = everything.min(axis=0), everything.max(axis=0)
        margin = 0.06*np.where(high > low, high - low, 1.0)
        first, second = (np.linspace(a, b, points) for a, b in zip(low - margin, high + margin, strict=True))
        plane = np.stack(np.meshgrid(first, second), axis=-1)
        u = network.predict(x, plane.reshape(-1, 2)).reshape(points, points)
        u = sigmoid(u) if LOSSES[network.loss].logits else u
        colors = LinearSegmentedColormap.from_list("classes", [MINIMA[0], "white", MINIMA[1]])
        image = ax.imshow(u, origin="lower", extent=(first[0], first[-1], second[0], second[-1]), cmap=colors, vmin=0.0,
                          vmax=1.0, alpha=0.55, aspect="equal", interpolation="bilinear")
        if u.min() < 0.5 < u.max():
            ax.contour(first, second, u, levels=[0.5], colors=INK, linewidths=0.8)
        for (inputs, ones), filled in zip(samples, (True, False), strict=False):
            for k, those in enumerate((~ones, ones)):
                ax.plot(*inputs[those].T, "o", markersize=3.0, markeredgewidth=0.6, color=MINIMA[k],
                        markerfacecolor=MINIMA[k] if filled else "white",
                        markeredgecolor="white" if filled else MINIMA[k])
        ax.set(xlabel="$x_1$", ylabel="$x_2$")
        bar = ax.figure.colorbar(image, ax=ax, label="output $u$", aspect=25, pad=0.03)
        bar.outline.set_linewidth(0.6)
        if legend:
            marks: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 3.5, "color": INK}
            handles = [Line2D([], [], label="training", **marks),
                       Line2D([], [], label="test", markerfacecolor="white", **marks)][:len(samples)]
            below(ax, [*handles, Line2D([], [], color=INK, linewidth=0.8, label="$u = 1/2$")])
        if title is not None:
            ax.set_title(title)
    return ax


def _finish(ax: Axes, legend: bool, title: str | None) -> None:
    if legend:
        below(ax, ax.get_legend_handles_labels()[0])
    if title is not None:
        ax.set_title(title)


def _check_mapping(name: str, given: Any) -> None:
    if not isinstance(given, Mapping) or not given:
        raise TypeError(f"`{name}` must be a dict of at least one name to what is drawn, got {given!r}")
