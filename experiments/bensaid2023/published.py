"""The numbers that a run is compared with.

REFERENCE are recomputed reference values: the authors' methods, written a second time from their public
codes and run in double precision from the cell centres of 100 x 100 cells on [-3, 3]^2 (polyFive: [-5,
5]^2) with gtol = 1e-4, at most 20 000 steps, first step or learning rate 0.1 and the epsilons of
odeopt.methods. Shares are in percent of all starts; steps and trials are means over the converged runs,
trials per step their ratio. Trials are counted as the authors do: the start is none, and neither is the
step that LCD applies again after a bisection. ER stops on its probe. Of ER the authors count the trials
as iterations, of PGD the solves for a step, failed ones too, so these are what is known.

ARCHIVE holds the authors' own results, as archived in their public repository NN_Levenberg_Marquardt
(folder Record, deleted in commit d188eca): 10 000 random starts on the same square, at most 20 000
iterations, so that shares differ by up to a percent and a half by chance. The gradient test of each row was
found from its iterations, but for that of PM, which is not known.

POLYFIVE is from their draft of the second part of "Numerical splitting schemes as the cornerstone for
mini-batch optimization" (2025): 28 000 random starts on [-5, 5]^2, percent.
"""

import math
from typing import NamedTuple


class Expected(NamedTuple):
    """Shares of the starts that reach each minimum, in the order of the landscape, and what else is known."""

    shares: tuple[float, float, float, float]
    steps: float | None = None
    trials_per_step: float | None = None
    diverged: float = 0.0
    not_converged: float = 0.0
    trials: float | None = None


REFERENCE = {
    "PolyTwo": {
        "GD 0.1": Expected((20.73, 20.73, 18.17, 18.17), diverged=22.20),
        "GD 0.01": Expected((21.71, 21.71, 28.29, 28.29), 1149.3),
        "GD 0.001": Expected((21.44, 21.44, 28.29, 28.29), not_converged=0.54),
        "Momentum 0.1": Expected((14.41, 14.41, 35.59, 35.59), 184.4),
        "Momentum 0.01": Expected((22.43, 22.43, 27.57, 27.57), 1101.0),
        "AWB 0.1": Expected((14.61, 14.61, 35.39, 35.39), 200.2),
        "Adam 0.1": Expected((21.49, 21.49, 28.51, 28.51), 297.3),
        "Adam 0.001": Expected((17.18, 17.18, 32.82, 32.82), 6261.7),
        "RMSProp 0.1": Expected((21.99, 21.99, 28.01, 28.01), 388.1),
        "EGD": Expected((21.42, 21.42, 28.58, 28.58), 114.6, 1.004),
        "EM": Expected((14.36, 14.36, 35.64, 35.64), 184.8, 1.010),
        "ER": Expected((21.51, 21.51, 28.49, 28.49), 83.0, trials=84.9),
        "LC (2, 1e4)": Expected((21.86, 21.86, 28.14, 28.14), 21.4, 13.592),
        "LC (2, 2)": Expected((22.05, 22.05, 27.95, 27.95), 22.3, 1.860),
        "LCD (30, 1e4, 3)": Expected((22.36, 22.36, 27.63, 27.63), 19.6, 7.027),
        "LCD (30, 1e3, 2)": Expected((22.24, 22.24, 27.76, 27.76), 20.7, 5.198),
        "LC_EGD3": Expected((22.12, 22.12, 27.88, 27.88), 21.5, 1.427),
        "LC_M": Expected((21.85, 21.85, 28.15, 28.15), 45.8, 1.064),
        "LC_RMSProp": Expected((19.07, 19.07, 30.93, 30.93), 31.7, 1.669),
        "LC_clipping": Expected((21.68, 21.68, 28.32, 28.32), 22.9, 13.632),
        "LC normalised": Expected((21.76, 21.76, 28.24, 28.24), 22.7, 14.198),
        "LC_signGD": Expected((16.68, 16.68, 33.24, 33.22), 27.1, 14.262),
        "LC_RK (2, 2)": Expected((21.88, 21.88, 28.12, 28.12), 19.1, 1.818),
        "PGD": Expected((21.50, 21.50, 28.50, 28.50), trials=33.1),
    },
    "PolyThree": {
        "GD 0.1": Expected((0.0, 0.0, 0.0, 0.0), diverged=100.0),
        "GD 0.01": Expected((11.68, 10.26, 8.42, 15.46), diverged=54.18),
        "GD 0.001": Expected((18.02, 22.28, 16.25, 27.12), diverged=16.33),
        "Momentum 0.1": Expected((5.97, 8.08, 6.05, 12.01), diverged=67.89),
        "Momentum 0.01": Expected((16.31, 12.79, 20.17, 22.38), diverged=28.35),
        "AWB 0.1": Expected((14.21, 13.78, 21.48, 50.53), 742.8),
        "Adam 0.1": Expected((20.18, 21.76, 28.35, 29.71), 789.3),
        "Adam 0.001": Expected((17.35, 17.00, 32.74, 32.86), 8177.9, not_converged=0.05),
        "RMSProp 0.1": Expected((19.42, 22.55, 22.14, 35.89), 2818.9),
        "EGD": Expected((16.86, 8.94, 48.65, 25.55), 111.6, 5.801),
        "EM": Expected((20.63, 19.96, 43.56, 15.85), 227.8, 2.270),
        "ER": Expected((21.01, 21.46, 28.15, 29.38), 152.2, trials=153.9),
        "LC (2, 1e4)": Expected((32.85, 18.36, 47.60, 1.19), 42.1, 14.049),
        "LC (2, 2)": Expected((21.63, 22.01, 27.72, 28.64), 48.6, 2.031),
        "LCD (30, 1e4, 3)": Expected((24.64, 22.24, 36.95, 16.17), 31.7, 7.100),
        "LCD (30, 1e3, 2)": Expected((26.15, 21.69, 36.47, 15.69), 40.3, 5.302),
        "LC_EGD3": Expected((21.45, 21.98, 27.81, 28.75), 42.0, 1.395, not_converged=0.01),
        "LC_M": Expected((18.74, 17.31, 33.18, 30.77), 74.6, 4.179),
        "LC_RMSProp": Expected((17.99, 18.00, 32.06, 31.95), 43.9, 3.453),
        "LC_clipping": Expected((30.29, 19.60, 49.11, 1.00), 41.9, 14.045),
        "LC normalised": Expected((30.36, 19.16, 49.44, 1.04), 41.8, 14.355),
        "LC_signGD": Expected((9.13, 32.17, 58.50, 0.04), 49.5, 14.369),
        "LC_RK (2, 2)": Expected((21.37, 21.92, 27.86, 28.85), 29.6, 2.019),
        "PGD": Expected((21.59, 21.52, 31.48, 25.41), trials=65.0),
    },
    "PolyFive": {
        "LC (2, 1e4)": Expected((8.95, 13.16, 17.71, 60.14), 470.9, 14.258),
        "LCD (30, 1e4, 3)": Expected((8.59, 13.15, 20.03, 58.15), 263.9, 7.127),
    },
}


class Archived(NamedTuple):
    """What the archive says of a method: NaN or none where it says nothing. Percent of all starts, but for `rises`."""

    gtol: float
    shares: tuple[float, ...] = ()          # to (-2, 1), (2, -1), (0, -1), (0, 1)
    iterations: float = math.nan            # mean over converged runs
    rising: float = math.nan                # runs with at least one relative rise of the energy by more than 1 %
    rises: float = math.nan                 # mean over the runs of the share of steps that rise so, from 0 to 1
    diverged: float = 0.0
    not_converged: float = 0.0


ARCHIVE = {
    "PolyTwo": {
        "GD 0.1": Archived(1e-4, (20.78, 20.48, 18.92, 18.05), 113.0, 21.8, 0.2176, diverged=21.77),
        "Momentum 0.1": Archived(1e-5, (14.70, 14.04, 35.68, 35.58), 227.1, 32.6, 0.0030),
        "AWB 0.1": Archived(1e-5, (15.10, 14.81, 35.39, 34.70), 246.0, 64.5, 0.1065),
        "Adam 0.1": Archived(1e-5, (21.44, 21.14, 28.99, 28.43), 348.3, 19.8, 0.0264),
        "EGD": Archived(1e-4, (21.63, 21.14, 29.07, 28.16), 114.6, 0.0),
        "EM": Archived(1e-5, (14.49, 13.78, 36.02, 35.71), 227.4, 0.0),
        "ER": Archived(1e-4, (21.38, 20.87, 29.27, 28.48), 83.7, 5.8, 0.0031),
        "Momentum_Euler 0.1": Archived(1e-7, (11.25, 10.33, 21.80, 21.00), 516.5, 100.0, diverged=35.62),
        "Momentum_bias 0.1": Archived(1e-7, (15.52, 15.40, 25.96, 25.59), 302.7, 76.2, diverged=17.53),
        "Nesterov2 0.1": Archived(1e-7, (20.74, 20.30, 18.57, 17.59), 173.6, 100.0, diverged=22.80),
        "Verlet 0.1": Archived(1e-7, (14.55, 13.91, 35.89, 35.65), 327.8, 10.4),
        "RK2Momentum 0.1": Archived(1e-7, (14.66, 13.95, 35.61, 35.29), 327.5, 26.4, diverged=0.49),
        "PGD": Archived(1e-4, (21.39, 20.73, 29.25, 28.62), 33.1, 0.0),
        "PM": Archived(1e-4, (14.49, 13.85, 35.74, 35.92), 53.3, 1.2),
        "LM_base": Archived(1e-7, (20.45, 19.85, 30.30, 29.40), 213.3, 0.0),
        "GD 0.01": Archived(1e-7, (21.62, 21.03, 29.04, 28.31), 2047.6),
        "Adam 0.01": Archived(1e-7, (19.60, 19.25, 30.93, 30.22), 1301.0),
        "Momentum_Euler 0.01": Archived(1e-7, iterations=1927.0),
    },
    "PolyThree": {
        "GD 0.1": Archived(1e-4, (0.0, 0.0, 0.0, 0.0), rising=100.0, diverged=100.0),
        "Momentum 0.1": Archived(1e-5, (6.15, 8.35, 5.80, 11.80), 247.9, 94.6, diverged=67.89),
        "AWB 0.1": Archived(1e-5, (14.53, 13.72, 21.94, 49.80), 828.3, 78.6),
        "Adam 0.1": Archived(1e-5, (20.19, 21.24, 28.87, 29.65), 863.2, 12.9, not_converged=0.05),
        "EGD": Archived(1e-4, (17.42, 8.72, 48.92, 24.94), 113.8, 0.0),
        "EM": Archived(1e-5, (20.79, 19.53, 44.03, 15.24), 269.9, 0.0, diverged=0.06, not_converged=0.35),
        "ER": Archived(1e-4, (21.18, 21.16, 28.62, 29.04), 152.9, 1.6),
        "ER_Em": Archived(1e-7, (21.18, 21.16, 28.62, 29.04), 236.1),
        "LC (2, 2)": Archived(1e-4, (21.57, 21.55, 28.32, 28.56), 48.4, 0.0),
        "PGD": Archived(1e-4, (21.50, 21.03, 31.90, 25.29), 64.8, 11.9, not_converged=0.28),
        "RK2Momentum 0.1": Archived(1e-7, (0.0, 0.0, 0.0, 10.92), 355.6, 94.0, diverged=89.08),
        "LM_base": Archived(1e-7, (16.76, 15.94, 35.92, 0.0), 21.2, 62.2, diverged=31.38),
        "LM_ER": Archived(1e-7, (15.95, 15.55, 35.81, 32.69), 105.7),
        "GD 0.001": Archived(1e-4, (17.99, 21.94, 17.03, 27.19), diverged=15.85),
        "Momentum 0.001": Archived(1e-5, (18.74, 17.50, 22.35, 38.78), diverged=2.63),
        "Adam 0.001": Archived(1e-5, (17.36, 16.36, 33.47, 32.64), 8461.0, not_converged=0.17),
        "EGD 0.001": Archived(1e-4, (18.57, 22.49, 22.88, 36.06)),
        "Momentum_Euler 0.001": Archived(1e-7, diverged=22.02),
        "RK2Momentum 0.001": Archived(1e-7, diverged=34.97),
    },
}

POLYFIVE = {
    "GD 0.01": {"diverged": 96.3},
    "Adam 0.001": {"diverged": 0.0, "minima": 79.1},
    "LC (2, 1e4)": {"diverged": 0.0, "minima": 99.98},
}
