"""Drawings of results: basins, maps of shares, trajectories and the decay of a run; trainings of networks.

Functions draw into the axes they are given (``ax=None`` makes a figure one column wide) and return the
axes. They take results and never solve anything.
"""

from odeopt.plot.maps import basins, class_names, decay, legend, level_lines, shares, trajectory
from odeopt.plot.style import COLORS, COLUMN, MINIMA, OUTCOMES, PAGE, class_color, panels, save, style, use
from odeopt.plot.training import boxes, curves, method_styles, profile, regions

__all__ = [
    "COLORS", "COLUMN", "MINIMA", "OUTCOMES", "PAGE", "basins", "boxes", "class_color", "class_names", "curves",
    "decay", "legend", "level_lines", "method_styles", "panels", "profile", "regions", "save", "shares", "style",
    "trajectory", "use",
]
