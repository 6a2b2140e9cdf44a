"""The peer of the traced lanes: the polyFive map by a kernel written by hand.

Gradient descent under Lyapunov backtracking on polyFive, with its lanes, selects and refill typed out for this one
combination, as one does without a tracer. It keeps the least that the loop needs: no time, no count of accepted
steps, no status.
"""

import numpy as np
from numba import njit

LANES, TRIALS = 256, 32
ROWS = 7  # x, y, their derivatives, h, f, trials


@njit(inline="always")
def value_and_gradient(w, b):
    """PolyFive, with the derivative of the activation in factors."""
    z = w + b
    p = ((((b - 4.0)*b + 2.0)*b + 8.0)*b - 11.0)*b - 12.0
    q = ((((z - 4.0)*z + 2.0)*z + 8.0)*z - 11.0)*z - 12.0
    dp = (b - 1.0)*(b - 1.0)*(b + 1.0)*(5.0*b - 11.0)
    dq = (z - 1.0)*(z - 1.0)*(z + 1.0)*(5.0*z - 11.0)
    dw = 0.5*q*dq
    return 0.25*(p*p + q*q), dw, dw + 0.5*p*dp


@njit(error_model="numpy", fastmath={"arcp", "contract", "nsz"}, nogil=True)
def sweep(W, lanes, slope, shrink, grow, gtol2):
    for _ in range(TRIALS):
        for j in range(lanes):
            x, y, gx, gy, h, f = W[0, j], W[1, j], W[2, j], W[3, j], W[4, j], W[5, j]
            g2 = gx*gx + gy*gy
            x1, y1 = x - h*gx, y - h*gy
            f1, gx1, gy1 = value_and_gradient(x1, y1)
            live = g2 > gtol2
            ok = f1 - f <= -slope*h*g2
            keep = ok & live
            step = h*grow if ok else h/shrink
            W[0, j] = x1 if keep else x
            W[1, j] = y1 if keep else y
            W[2, j] = gx1 if keep else gx
            W[3, j] = gy1 if keep else gy
            W[4, j] = step if live else h
            W[5, j] = f1 if keep else f
            W[6, j] += 1.0 if live else 0.0


@njit(error_model="numpy", nogil=True)
def run(starts, h0, slope, shrink, grow, gtol):
    """End points (S, 2) and trials (S,) of starts (S, 2)."""
    ends, trials = np.empty_like(starts), np.empty(len(starts))
    W, owner = np.empty((ROWS, LANES)), np.empty(LANES, np.int64)
    filled, following = 0, 0
    while True:
        while filled < LANES and following < len(starts):
            x, y = starts[following]
            f, gx, gy = value_and_gradient(x, y)
            W[0, filled], W[1, filled], W[2, filled], W[3, filled] = x, y, gx, gy
            W[4, filled], W[5, filled], W[6, filled] = h0, f, 0.0
            owner[filled] = following
            filled += 1
            following += 1
        if filled == 0:
            return ends, trials
        sweep(W, filled, slope, shrink, grow, gtol*gtol)
        j = 0
        while j < filled:
            if W[2, j]*W[2, j] + W[3, j]*W[3, j] > gtol*gtol:
                j += 1
                continue
            ends[owner[j], 0], ends[owner[j], 1], trials[owner[j]] = W[0, j], W[1, j], W[6, j]
            filled -= 1
            W[:, j] = W[:, filled]
            owner[j] = owner[filled]
