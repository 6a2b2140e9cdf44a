"""The loop around a machine's sweep, compiled once for all machines: a sweep is called by its address.

The text of this module goes through the kernel cache (`cache.load_kernel`), not through Python's import.

Lanes are columns of a flat buffer with one row a slot: slot k of lane j is A[k*stride + j]. Slot 0 is the status, 0
while the run goes on.
"""

from llvmlite import ir
from numba import cfunc, types
from numba.extending import intrinsic

GRAIN = 64  # swept lanes are a multiple of this: a vector loop without a remainder, which would round otherwise


@intrinsic
def _call(context, address, a, b, lanes, parameters):
    """The C function at `address`, of three buffers and the number of lanes."""
    def generate(context, builder, signature, arguments):
        address, *arguments = arguments
        function = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        builder.call(builder.inttoptr(address, function.as_pointer()), arguments)
        return context.get_dummy_value()
    return types.void(address, a, b, lanes, parameters), generate


@cfunc("int64(int64, CPointer(float64), CPointer(float64), CPointer(float64), int64, int64, CPointer(int64), "
       "CPointer(int64), CPointer(float64), int64, int64, int64, boolean, int64, int64)")
def run(sweep, P, A, B, lanes, stride, owner, filled, records, slots, first, last, drain, rounds, trials):
    """Runs the records first..last-1 to their ends, in place; returns the first one that is not yet in a lane.

    With `drain` it goes on until the lanes are empty, else it stops when the queue can no longer fill them; in any case
    after `rounds` rounds of 2*trials trials. Record r has `slots` numbers from records[r*slots].
    """
    n = filled[0]
    for _ in range(rounds):
        while n < lanes and first < last:
            for k in range(slots):
                A[k*stride + n] = records[first*slots + k]
            owner[n] = first
            first += 1
            n += 1
        if n == 0 or (n < lanes and not drain):
            break
        swept = (n + GRAIN - 1)//GRAIN*GRAIN
        for _ in range(trials):
            _call(sweep, A, B, swept, P)
            _call(sweep, B, A, swept, P)
        j = 0
        while j < n:
            if A[j] == 0.0:
                j += 1
                continue
            n -= 1  # what has ended leaves, and the last lane moves into its place
            for k in range(slots):
                records[owner[j]*slots + k] = A[k*stride + j]
                A[k*stride + j] = A[k*stride + n]
            owner[j] = owner[n]
            A[n] = 1.0
    filled[0] = n
    return first
