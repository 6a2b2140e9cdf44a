"""Studies: arrays in, arrays out."""

from odeopt.studies.basins import Basins, basins, grid

__all__ = ["Basins", "basins", "grid"]
