"""Drawings of results: basins, maps of shares, trajectories and the decay of a run.

Functions draw into the axes they are given (``ax=None`` makes a figure one column wide) and return the
axes. They take results and never solve anything.
"""

from odeopt.plot.maps import basins, class_names, decay, legend, level_lines, shares, trajectory
from odeopt.plot.style import COLORS, COLUMN, MINIMA, OUTCOMES, PAGE, class_color, panels, save, style, use

__all__ = [
    "COLORS", "COLUMN", "MINIMA", "OUTCOMES", "PAGE", "basins", "class_color", "class_names", "decay",
    "legend", "level_lines", "panels", "save", "shares", "style", "trajectory", "use",
]
