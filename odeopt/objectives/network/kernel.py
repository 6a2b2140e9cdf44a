"""The compiled evaluator of a network: its text, and how the data are laid out for it.

One kernel serves all networks with the same activations, loss and precision; their sizes and depth are numbers in
`layout`. The samples pass in tiles of strips (see `odeopt.compile.strips`), forward and backward, so that the values
between the two stay in cache. Values of a layer stand as [strip][unit][sample]. A strip whose
lines are a multiple of 16 has one more, since those of one unit would otherwise share a few sets of the cache.

The gradient is added up in the scratch, and data and scratch begin at pages. Where they stand to each other is then the
same in every run: a load waits for an earlier store elsewhere whose address ends in the same 12 bits, and some places
of the caller's g cost 1.4 times the time of 1-2-1.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from odeopt.objectives.network.activations import ACTIVATIONS, Activation
from odeopt.objectives.network.losses import LOSSES

_LEAST, _MOST = 16, 64          # strips that pass forward and backward together: few, unless
_TILE_LINES = 400               # all their lines stay in the L1 cache
_BLOCK = 256                    # inputs of a product that stay in the L1 cache, with their weights in the L2
_ROWS = 24                      # rows of a gradient whose lines stay in the L1 cache
_CLASH = 16                     # strips of so many lines are padded
_PAGE = 4096                    # bytes
_HEADER, _ROW = 13, 8           # numbers of the layout: at its head, and for each layer
_FLAGS = "{'arcp', 'contract', 'nsz'}"

_HEAD = '''"""A network with {names} and {loss}, in {dtype}."""
from numba import cfunc, float32, float64, njit, types
from numba import {dtype} as number

{vector_math}
{strips}
FLAGS = {flags}
LANES, MOST, BLOCK, ROWS, CLASH, HEADER, ROW = {lanes}, {most}, {block}, {rows}, {clash}, {header}, {row}
compiled = njit(error_model="numpy", fastmath=FLAGS, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
'''

_ACTIVATION = '''
@compiled
def value_{k}(l, A, places):
    z_, a_ = places
    z = {working}(A[{z_} + l])
    A[a_ + l] = number({text})


@compiled
def slope_{k}(l, A, places):
    s_, z_, a_ = places
    z, a = {working}(A[{z_} + l]), {working}(A[a_ + l])
    A[a_ + l] = number({working}(A[s_ + l])*({slope}))
'''

_CHOICE = '''

@compiled
def activate(kind, A, z_, a_, n):
    "From the weighted sums, at z, to the values."
{activate}

@compiled
def descend(kind, A, s_, z_, a_, n):
    "From the slopes by the values, at s, to those by the weighted sums, which take the place of the values."
{descend}
'''

_ELEMENTWISE_LOSS = '''
@compiled
def losses(A, u_, Y, y_, s_, fold, strips, stride, outputs):
    "The losses of the outputs at u, to s: so many lines of every strip."
    for l in range(strips*stride*LANES):
        u, y = float64(A[u_ + l]), float64(Y[y_ + l])
        A[s_ + l] = number({text})
    return outputs


@compiled
def loss_slopes(A, u_, Y, y_, s_, fold, strips, stride, outputs):
    "The slopes of the losses by the outputs at u, to s."
    for l in range(strips*stride*LANES):
        u, y = float64(A[u_ + l]), float64(Y[y_ + l])
        A[s_ + l] = number({slope})
'''

_SOFTMAX = '''
@compiled
def exponentials(A, u_, s_, fold, strips, stride, outputs):
    "exp(u - max u) to s; the largest u of every sample at `fold`, the sum of the exponentials after it."
    size = stride*LANES
    for l in range(strips*size):
        A[s_ + l] = A[u_ + l]
    for t in range(strips):
        fold_max(A, u_ + t*size, outputs, A, fold + t*LANES)
        spread_sub(A, s_ + t*size, outputs, A, fold + t*LANES)
    for l in range(strips*size):
        A[s_ + l] = number(vexp(float64(A[s_ + l])))
    for t in range(strips):
        fold_sum(A, s_ + t*size, outputs, A, fold + (MOST + t)*LANES)


@compiled
def reciprocals(A, fold, strips):
    "One over the sums of the exponentials, in their place."
    for l in range(strips*LANES):
        A[fold + MOST*LANES + l] = number(1.0/float64(A[fold + MOST*LANES + l]))
'''

_CROSS_ENTROPY = '''
@compiled
def losses(A, u_, Y, y_, s_, fold, strips, stride, outputs):
    "The losses of the samples, to s: so many lines of every strip."
    size = stride*LANES
    exponentials(A, u_, s_, fold, strips, stride, outputs)
    for l in range(strips*size):
        A[s_ + l] = A[u_ + l]*Y[y_ + l]
    for t in range(strips):
        fold_sum(A, s_ + t*size, outputs, A, s_ + t*size)
        for l in range(LANES):
            o = fold + t*LANES + l
            A[s_ + t*size + l] = number(vlog(float64(A[o + MOST*LANES])) - float64(A[s_ + t*size + l] - A[o]))
    return 1


@compiled
def loss_slopes(A, u_, Y, y_, s_, fold, strips, stride, outputs):
    "The slopes of the losses by the outputs at u, to s."
    size = stride*LANES
    exponentials(A, u_, s_, fold, strips, stride, outputs)
    reciprocals(A, fold, strips)
    for t in range(strips):
        spread_mul(A, s_ + t*size, outputs, A, fold + (MOST + t)*LANES)
    for l in range(strips*size):
        A[s_ + l] = A[s_ + l] - Y[y_ + l]
'''

_SOFTMAX_MEAN_SQUARES = '''
@compiled
def residuals(A, Y, y_, s_, fold, strips, stride, outputs):
    "softmax(u) - y to s, of the exponentials there; for the label it is less the other probabilities."
    size = stride*LANES
    for l in range(strips*size):
        A[s_ + l] = (number(1.0) - Y[y_ + l])*A[s_ + l]
    for t in range(strips):
        fold_sum(A, s_ + t*size, outputs, A, fold + t*LANES)
        for j in range(outputs):
            for l in range(LANES):
                o, i = fold + t*LANES + l, t*size + j*LANES + l
                A[s_ + i] = (A[s_ + i] - Y[y_ + i]*A[o])*A[o + MOST*LANES]


@compiled
def losses(A, u_, Y, y_, s_, fold, strips, stride, outputs):
    "The losses of the outputs at u, to s: so many lines of every strip."
    exponentials(A, u_, s_, fold, strips, stride, outputs)
    reciprocals(A, fold, strips)
    residuals(A, Y, y_, s_, fold, strips, stride, outputs)
    for l in range(strips*stride*LANES):
        A[s_ + l] = A[s_ + l]*A[s_ + l]
    return outputs


@compiled
def loss_slopes(A, u_, Y, y_, s_, fold, strips, stride, outputs):
    "The slopes of the losses by the outputs at u, to s; the probabilities take the place of the outputs."
    size = stride*LANES
    exponentials(A, u_, s_, fold, strips, stride, outputs)
    reciprocals(A, fold, strips)
    for l in range(strips*size):
        A[u_ + l] = A[s_ + l]
    for t in range(strips):
        spread_mul(A, u_ + t*size, outputs, A, fold + (MOST + t)*LANES)
    residuals(A, Y, y_, s_, fold, strips, stride, outputs)
    for t in range(strips):
        o, p, r = fold + t*LANES, u_ + t*size, s_ + t*size
        for _ in range(2):  # the first mean's rounding is left where a probability is nearly 1
            for l in range(LANES):
                A[o + l] = number(0.0)
            for j in range(outputs):
                for l in range(LANES):
                    A[o + l] += A[p + j*LANES + l]*A[r + j*LANES + l]
            spread_sub(A, r, outputs, A, o)
        for l in range(size):
            A[r + l] = number(2.0)*A[p + l]*A[r + l]
'''

_OF_SOFTMAX = {"cross_entropy": _CROSS_ENTROPY, "softmax_mean_squares": _SOFTMAX_MEAN_SQUARES}

_EVALUATE = '''
@compiled
def padded(n):
    return n + 1 if n % CLASH == 0 else n


@compiled
def place(layout, o, lines, room, first):
    "Where `lines` of the layer at o begin: those of strip `first`, if there is room for so many strips."
    return layout[10] + (lines*room + first*padded(layout[o + 1]))*LANES


@compiled
def multiply(W, w, row, step, n, s, st, ss, B, b, sb, Y, y, sy, strips, rows):
    """Y = S + W B for every strip.

    Rows of W are `row` apart, its n columns `step`; lines of S, in Y, are `ss` apart, and strips `st`.
    """
    if n == 1:
        product_of_1(W, w, row, step, rows, n, s, st, ss, B, b, sb, Y, y, sy, strips)
    elif n == 2:
        product_of_2(W, w, row, step, rows, n, s, st, ss, B, b, sb, Y, y, sy, strips)
    else:
        together = max(1, BLOCK//n)
        for first in range(0, n, BLOCK):
            count = min(BLOCK, n - first)
            for t in range(0, strips, together):
                product(W, w + first*step, row, step, rows, count, s + t*st, st, ss, B, b + first*LANES + t*sb, sb,
                        Y, y + t*sy, sy, min(together, strips - t))
            s, st, ss = y, sy, LANES


@compiled
def correlate(D, d, sd, rows, B, b, sb, columns, strips, G, g):
    "G += D B^T, summed over the strips; few rows at a time, whose lines stay in the L1 cache."
    for top in range(0, rows, ROWS):
        inner(D, d + top*LANES, sd, min(ROWS, rows - top), B, b, sb, columns, strips, G, g + top*columns)


@compiled
def pad(A, a, stride, lines, strips):
    "Zeros in a strip's line that none of its units has."
    if stride > lines:
        for t in range(strips):
            for l in range(LANES):
                A[a + (t*stride + lines)*LANES + l] = number(0.0)


@compiled
def forward(data, first, A, layout, room, at, strips):
    "The values of all layers, for strips of the data from `first` on."
    B, b, sb = data, first*padded(layout[HEADER])*LANES, padded(layout[HEADER])*LANES
    for k in range(layout[2]):
        o = HEADER + k*ROW
        inputs, outputs, w, biases = layout[o], layout[o + 1], layout[o + 2], layout[o + 7]
        z, y = place(layout, o, layout[o + 4], room, at), place(layout, o, layout[o + 5], room, at)
        sy = padded(outputs)
        multiply(A, w, inputs, 1, inputs, biases, 0, LANES, B, b, sb, A, z, sy*LANES, strips, outputs)
        pad(A, z, sy, outputs, strips)
        activate(layout[o + 6], A, z, y, strips*sy*LANES)
        B, b, sb = A, y, sy*LANES


@compiled
def clear(A, s, lines, stride, strips, layout, first):
    "No losses of the samples that only fill the last strip."
    if first + strips == layout[0]:
        for j in range(lines):
            for l in range(layout[1], LANES):
                A[s + ((strips - 1)*stride + j)*LANES + l] = number(0.0)


@compiled
def total(A, s, lines, stride, strips, fold):
    "The sum of so many lines of every strip."
    for t in range(strips):
        fold_sum(A, s + t*stride*LANES, lines, A, fold + t*LANES)
    fold_sum(A, fold, strips, A, fold)
    sum_ = 0.0
    for l in range(LANES):
        sum_ += float64(A[fold + l])
    return sum_


@compiled
def backward(data, first, A, layout, room, at, strips, G):
    "Adds the gradient of the strips from `first` on; the slopes by the outputs are at the scratch."
    ones, s = layout[7], layout[8]
    for k in range(layout[2] - 1, -1, -1):
        o = HEADER + k*ROW
        inputs, outputs, w, bias = layout[o], layout[o + 1], layout[o + 2], layout[o + 3]
        z, y = place(layout, o, layout[o + 4], room, at), place(layout, o, layout[o + 5], room, at)
        sy, sb = padded(outputs), padded(inputs)
        descend(layout[o + 6], A, s, z, y, strips*sy*LANES)
        correlate(A, y, sy*LANES, outputs, A, ones, 0, 1, strips, G, bias)
        B, b = data, first*sb*LANES
        if k > 0:
            below = o - ROW
            B, b = A, place(layout, below, layout[below + 5], room, at)
            multiply(A, w, 1, inputs, outputs, ones + LANES, 0, 0, A, y, sy*LANES, A, s, sb*LANES, strips, inputs)
            pad(A, s, sb, inputs, strips)
        correlate(A, y, sy*LANES, outputs, B, b, sb*LANES, inputs, strips, G, w)


@compiled
def penalty(x, layout, decay, what, g):
    "Half the sum of the squared weights, times `decay`; its gradient is added."
    squares = 0.0
    for k in range(layout[2]):
        o = HEADER + k*ROW
        for j in range(layout[o + 2], layout[o + 3]):
            squares += x[j]*x[j]
            if what & 2:
                g[j] += decay*x[j]
    return 0.5*decay*squares


@cfunc("float64(int64, CPointer(float64), CPointer(float64), CPointer({dtype}), CPointer({dtype}), CPointer(int64))",
       error_model="numpy", fastmath=FLAGS, forceinline=True)
def evaluate(what, x, g, data, work, layout):
    strips, depth, n, scratch, fold = layout[0], layout[2], layout[4], layout[8], layout[9]
    scale, decay, tile = _from_bits(layout[5]), _from_bits(layout[6]), layout[11]
    last = HEADER + (depth - 1)*ROW
    A, outputs, room, f = aligned(work), layout[last + 1], strips, 0.0
    G, stride = doubles(A, layout[12]), padded(outputs)
    if what == 3:
        room = tile
    if what & 1:
        for k in range(n):
            A[k] = number(x[k])
        for l in range(LANES):
            A[layout[7] + l], A[layout[7] + LANES + l] = number(1.0), number(0.0)
        for k in range(depth):
            o = HEADER + k*ROW
            for j in range(layout[o + 1]):
                fill(A, layout[o + 3] + j, A, layout[o + 7] + j*LANES)
    if what & 2:
        for k in range(n):
            G[k] = 0.0
    for i in range(-(-strips//tile)):
        first, at = i*tile, i*tile
        count = min(tile, strips - first)
        if what == 3:
            at = 0
        u, y = place(layout, last, layout[last + 5], room, at), layout[3] + first*stride*LANES
        if what & 1:
            forward(data, first, A, layout, room, at, count)
            lines = losses(A, u, data, y, scratch, fold, count, stride, outputs)
            clear(A, scratch, lines, stride, count, layout, first)
            f += total(A, scratch, lines, stride, count, fold)
        if what & 2:
            loss_slopes(A, u, data, y, scratch, fold, count, stride, outputs)
            clear(A, scratch, outputs, stride, count, layout, first)
            backward(data, first, A, layout, room, at, count, G)
    if what & 2:
        for k in range(n):
            g[k] = scale*G[k]
    f = scale*f
    if decay != 0.0:  # or infinite weights would give 0*inf
        f += penalty(x, layout, decay, what, g)
    return f
'''


def source(names: Sequence[str], loss: str, dtype: str) -> str:
    """The kernel's text."""
    from odeopt.compile import cache
    lanes = 64//np.dtype(dtype).itemsize
    head = _HEAD.format(names=", ".join(names), loss=loss, dtype=dtype, vector_math=cache.source("vector_math"),
                        strips=cache.source("strips"), flags=_FLAGS, lanes=lanes, most=_MOST, block=_BLOCK,
                        rows=_ROWS, clash=_CLASH, header=_HEADER, row=_ROW)
    parts = [_activation(k, ACTIVATIONS[name], dtype) for k, name in enumerate(names)]
    kinds = range(len(names))
    choice = _CHOICE.format(
        activate="".join(f"    if kind == {k}:\n        each(value_{k}, n, A, (z_, a_))\n" for k in kinds),
        descend="".join(f"    if kind == {k}:\n        each(slope_{k}, n, A, (s_, z_, a_))\n" for k in kinds))
    kind = LOSSES[loss]
    text = (_ELEMENTWISE_LOSS.format(text=kind.text, slope=kind.slope_text) if kind.text
            else _SOFTMAX + _OF_SOFTMAX[loss])
    return "\n".join([head, *parts, choice, text, _EVALUATE.format(dtype=dtype)])


def _activation(k: int, activation: Activation, dtype: str) -> str:
    single = activation.single if dtype == "float32" else None
    text, slope = single or (activation.text, activation.slope_text)
    return _ACTIVATION.format(k=k, z_="z_" if activation.needs_z else "a_", text=text, slope=slope,
                              working="float32" if single else "float64")


def _padded(lines: int) -> int:
    return lines + (lines % _CLASH == 0)


def strips(samples: np.ndarray, dtype: str) -> np.ndarray:
    """Samples (P, k) as strips, flat: [strip][unit][sample], padded by a unit where the kernel wants it.

    The last sample fills the last strip.
    """
    lanes = 64//np.dtype(dtype).itemsize
    P, k = samples.shape
    whole = samples[np.minimum(np.arange(-(-P//lanes)*lanes), P - 1)]
    padded = np.zeros((len(whole)//lanes, _padded(k), lanes), dtype)
    padded[:, :k] = whole.reshape(-1, lanes, k).transpose(0, 2, 1)
    return padded.ravel()


def aligned(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The parts one after the other, from the beginning of a page."""
    numbers, dtype = sum(map(len, parts)), parts[0].dtype
    room = np.empty(numbers + _PAGE//dtype.itemsize, dtype)
    first = -room.ctypes.data % _PAGE//dtype.itemsize
    return np.concatenate(parts, out=room[first:first + numbers])


def layout(layers: Sequence[int], names: Sequence[str], kinds: Sequence[str], samples: int, targets: int, scale: float,
           decay: float, dtype: str) -> tuple[np.ndarray, int]:
    """The numbers that the kernel reads, and how many bytes of scratch it needs.

    They are: strips; samples in the last one; layers; where the targets begin; parameters; `scale` and `decay`, bit by
    bit; where a line of ones and one of zeros, the scratch of a tile, that of its sums, and the values begin; strips of
    a tile; where the gradient is added up. Then, for each layer: inputs; outputs; where its weights and its biases
    begin; how many lines of a strip stand before its sums, and before its values (the same, unless the slope needs
    both); its activation; where its biases begin as lines.

    Parameters
    ----------
    layers : sequence of int
    names : sequence of str
        The kernel's activations.
    kinds : sequence of str
        The layers' activations.
    samples : int
    targets : int
        Where the targets begin in the data.
    scale, decay : float
        f is `scale` times the sum of losses, plus `decay` times half the squares of the weights.
    dtype : str
    """
    lanes = 64//np.dtype(dtype).itemsize
    count, n, lines, rows = -(-samples//lanes), 0, 0, []
    gradient = -(-sum((a + 1)*b for a, b in pairwise(layers))//lanes)*lanes     # 64 bytes hold 8 of its numbers
    ones = gradient + gradient//8*lanes
    biases = ones + 2*lanes
    for a, b, kind in zip(layers, layers[1:], kinds, strict=False):
        z = lines
        lines += _padded(b)*(1 + ACTIVATIONS[kind].needs_z)
        rows.append((a, b, n, n + a*b, z, lines - _padded(b), names.index(kind), biases))
        n += (a + 1)*b
        biases += b*lanes
    widest = max(map(_padded, layers))
    tile = min(max(_TILE_LINES//(layers[0] + lines + widest), _LEAST), _MOST)
    scratch = biases
    fold = scratch + tile*widest*lanes
    values = fold + 2*_MOST*lanes
    bits = struct.unpack("2q", struct.pack("2d", scale, decay))
    last = samples - (count - 1)*lanes
    head = (count, last, len(rows), targets, n, *bits, ones, scratch, fold, values, tile, gradient)
    size = 64*(values//lanes + lines*max(count, tile)) + _PAGE
    return np.array([*head, *(x for row in rows for x in row)]), size


def evaluator(network: Any) -> Any:
    """The compiled evaluator of a network: see `Network.evaluator`."""
    from odeopt.compile import cache
    from odeopt.compile.evaluator import Evaluator
    names = sorted(set(network.activations))
    function = cache.load_kernel(source(names, network.loss, network.dtype)).evaluate
    inputs, targets = strips(network.inputs, network.dtype), strips(network.encoded, network.dtype)
    places, size = layout(network.layers, names, network.activations, len(network.inputs), len(inputs),
                          network.loss_weight, network.l2, network.dtype)
    return Evaluator(function.address, network.dimension, aligned([inputs, targets]), places, size//8, function)
