"""Studies: arrays in, arrays out."""

from odeopt.studies.basins import Basins, basins, grid
from odeopt.studies.statistics import Profile, Summary, dolan_more, performance_profile, summary
from odeopt.studies.training import Training, TrainingSummary, training

__all__ = ["Basins", "Profile", "Summary", "Training", "TrainingSummary", "basins", "dolan_more", "grid",
           "performance_profile", "summary", "training"]
