"""The loop around a machine's sweep, compiled once for all machines: a sweep is called by its address.

The text of this module goes through the kernel cache (`cache.load_kernel`), not through Python's import.

Lanes are columns of a flat buffer with one row a slot: slot k of lane j is A[k*lanes + j]. Slot 0 is the status, 0
while the run goes on.
"""

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

GRAIN = 64  # swept lanes are a multiple of this: a vector loop without a remainder, which would round otherwise


@intrinsic
def _call(context, address, a, b, lanes, parameters):
    """The C function at `address`, of pointers to three buffers and the number of lanes."""
    def generate(context, builder, signature, arguments):
        address, a, b, lanes, parameters = arguments
        pointer, integer = ir.DoubleType().as_pointer(), ir.IntType(64)
        function = ir.FunctionType(ir.VoidType(), [pointer, pointer, integer, pointer])
        builder.call(builder.inttoptr(address, function.as_pointer()),
                     [builder.inttoptr(a, pointer), builder.inttoptr(b, pointer), lanes,
                      builder.inttoptr(parameters, pointer)])
        return context.get_dummy_value()
    return types.void(types.int64, types.int64, types.int64, types.int64, types.int64), generate


@njit("int64(int64, float64[::1], float64[::1], float64[::1], int64[::1], int64[::1], float64[:, ::1], int64, int64, "
      "boolean, int64, int64)", nogil=True, cache=True)
def run(sweep, P, A, B, owner, filled, records, first, last, drain, rounds, trials):
    """Runs the records first..last-1 to their ends, in place; returns the first one that is not yet in a lane.

    With `drain` it goes on until the lanes are empty, else it stops when the queue can no longer fill them; in any case
    after `rounds` rounds of 2*trials trials.
    """
    lanes, slots, n = len(owner), records.shape[1], filled[0]
    a, b, p = A.ctypes.data, B.ctypes.data, P.ctypes.data
    for _ in range(rounds):
        while n < lanes and first < last:
            for k in range(slots):
                A[k*lanes + n] = records[first, k]
            owner[n] = first
            first += 1
            n += 1
        if n == 0 or (n < lanes and not drain):
            break
        swept = (n + GRAIN - 1)//GRAIN*GRAIN
        for _ in range(trials):
            _call(sweep, a, b, swept, p)
            _call(sweep, b, a, swept, p)
        j = 0
        while j < n:
            if A[j] == 0.0:
                j += 1
                continue
            n -= 1  # what has ended leaves, and the last lane moves into its place
            for k in range(slots):
                records[owner[j], k] = A[k*lanes + j]
                A[k*lanes + j] = A[k*lanes + n]
            owner[j] = owner[n]
            A[n] = 1.0
    filled[0] = n
    return first
