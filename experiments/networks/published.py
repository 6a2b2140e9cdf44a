"""What the authors archived of their runs.

Their results lay in the public repository https://github.com/bbensaid30/NN_Levenberg_Marquardt, folder Record, until
commit d188eca: medians over the starts, with at most 200 000 iterations of each.
"""

from __future__ import annotations

from typing import NamedTuple

NAN = float("nan")


class Archived(NamedTuple):
    """Medians, fractions of the starts that do not converge (nc), diverge (dv), end in noise (nz), and seconds."""

    iterations: float
    train: float
    test: float = NAN
    accuracy: float = NAN
    nc: float = 0.0
    dv: float = 0.0
    nz: float = 0.0
    seconds: float = NAN


ARCHIVE = {
    "two spirals a": {
        "Adam 0.001": Archived(384, 5.0e-3, 2.35e-2, 0.95, seconds=4),
        "Adam 0.1": Archived(68, 4.6e-4, accuracy=0.94, nz=0.588, seconds=0),
        "LC_EGD": Archived(476, 6.3e-3, 1.2e-2, 0.98, seconds=38),
        "EM": Archived(1654, 7.0e-3, 1.3e-2, 0.98, nz=0.069, seconds=19),
        "Momentum 0.01": Archived(16896, 6.9e-3, 1.3e-2, 0.98, seconds=196),
        "ER": Archived(10114, 7.4e-3, 1.8e-2, 0.96, nz=0.379, seconds=230),
        "GD 0.01": Archived(2086, 0.122, accuracy=0.48, nz=0.579),
        "GD 0.1": Archived(143, 0.123, accuracy=0.46, nz=0.739),
        "EGD": Archived(144, 0.123, accuracy=0.46, nz=0.737, seconds=1),
    },
    "two spirals b": {"Adam 0.001": Archived(420, 4.9e-3, 1.36e-2, 0.976, seconds=5)},
    "two spirals c": {
        "Adam 0.001": Archived(43, 0.1245, accuracy=0.47, nz=0.283),
        "ER": Archived(13, 0.1245, accuracy=0.47),
        "LC_EGD": Archived(5, 0.1245, accuracy=0.47),
    },
    "square wave": {
        "LC_EGD": Archived(1760, 0.208, 1.50, nc=1e-4, nz=0.0014, seconds=20),
        "EM": Archived(41864, 0.233, 1.53, nc=0.015, nz=3e-4, seconds=59),
        "EGD": Archived(52787, 0.227, 1.69, nc=0.063, nz=0.16, seconds=74),
        "GD 0.1": Archived(50786, 0.229, 1.7, nc=0.04, nz=0.2),
        "GD 0.01": Archived(128633, 0.275, 1.8, nc=0.858, nz=0.008),
        "Momentum 0.01": Archived(118526, 0.287, 1.9, nc=0.836),
        "ER": Archived(64024, 0.215, 1.62, nc=0.203),
    },
    "square wave, tanh": {
        "LC_EGD": Archived(1913, 0.265, 36, nz=0.043),
        "ER": Archived(40622, 0.258, 28, nc=0.4875),
    },
    "sine wave": {
        "GD 0.1": Archived(12166, 1.28e-3, 1.41e-3),
        "ER": Archived(10760, 1.27e-3, 1.41e-3),
        "Adam 0.001": Archived(1562, 9.9e-4, 1.1e-3, nc=0.037),
    },
    "squares": {
        "EM": Archived(446, 0.1352, 0.1237, nc=0.0014, dv=0.0014, nz=8e-4, seconds=1),
        "Momentum 0.01": Archived(2236, 0.1352, 0.1237, nc=0.0155, dv=0.7416),
        "Momentum 0.1": Archived(578, 0.1352, 0.1237, dv=0.939),
        "GD": Archived(22506, 0.1352, 0.1237, nc=0.008, dv=0.599),
    },
    "Boston": {
        "Adam 0.001": Archived(6332, 2.40e-4, 5.10e-3, seconds=322),
        "ER": Archived(127672, 2.79e-4, 5.19e-3, nc=0.04, seconds=12394),
        "LC_EGD": Archived(3142, 2.82e-4, 5.10e-3, seconds=1093),
    },
}
"""By problem and method. The learning rate of the last row of the squares is not recorded."""
