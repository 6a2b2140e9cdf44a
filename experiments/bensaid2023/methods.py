"""The methods under the names that the papers and the authors' codes give them.

LC (a, b) shrinks by a and grows by b, LCD (a, b, p) also bisects p times; the papers call the factors f1, f2.
"""

from odeopt import methods

BENCHMARKS = ("PolyTwo", "PolyThree")

CLASSICAL = {
    "GD": methods.gd(0.1),
    "Momentum": methods.ema_momentum(0.1),
    "AWB": methods.awb(0.1),
    "Adam": methods.adam(0.1),
}
ADAPTIVE = {
    "ER": methods.er(),
    "EM": methods.em(),
    "EGD": methods.egd(),
}
LYAPUNOV = {
    "LC (2, 1e4)": methods.lc_gd(),
    "LC (2, 2)": methods.lc_gd(grow=2.0),
    "LCD (30, 1e4, 3)": methods.lcd_gd(),
    "LC_EGD3": methods.lcp_gd(),
    "LC_M": methods.lc_momentum(),
    "LC_RMSProp": methods.lc_rmsprop(),
    "LC_clipping": methods.lc_clipping(),
    "LC normalised": methods.lc_normalized(),
    "LC_signGD": methods.lc_sign(),
}
SMALL_STEPS = {
    "GD 0.01": methods.gd(0.01),
    "GD 0.001": methods.gd(0.001),
    "Momentum 0.01": methods.ema_momentum(0.01),
    "Adam 0.001": methods.adam(0.001),
}
FURTHER = {
    "RMSProp 0.1": methods.rmsprop(0.1, alpha=0.999),
    "LCD (30, 1e3, 2)": methods.lcd_gd(grow=1e3, bisections=2),
    "LC_RK (2, 2)": methods.lc_rkc(),
    "PGD": methods.projected_gd(),
}
HISTORY = {
    "Momentum_Euler 0.1": methods.euler_momentum(0.1),
    "Momentum_bias 0.1": methods.corrected_momentum(0.1),
    "Nesterov2 0.1": methods.nesterov_avd(0.1),
    "Verlet 0.1": methods.verlet_momentum(0.1),
    "RK2Momentum 0.1": methods.heun_momentum(0.1),
    "PM": methods.projected_momentum(),
}
METHODS = ({f"{name} 0.1": method for name, method in CLASSICAL.items()}
           | SMALL_STEPS | FURTHER | ADAPTIVE | LYAPUNOV)
