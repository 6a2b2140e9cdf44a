"""The loop around a machine's sweep, compiled once for all machines: a sweep is called by its address.

The text of this module goes through the kernel cache (`cache.load_kernel`), not through Python's import.

Lanes are columns of a flat buffer with one row a slot: slot k of lane j is A[k*stride + j]. Slot 0 is the status, 0
while the run goes on.
"""

from llvmlite import ir
from numba import cfunc, njit, types
from numba.extending import intrinsic

GRAIN = 4  # swept lanes are a multiple of this: some more than there are cost less than a remainder


@intrinsic
def _call(context, address, a, b, lanes, parameters):
    """The C function at `address`, of three buffers and the number of lanes; whether a run has ended."""
    def generate(context, builder, signature, arguments):
        address, *arguments = arguments
        function = ir.FunctionType(ir.IntType(64), [argument.type for argument in arguments])
        return builder.call(builder.inttoptr(address, function.as_pointer()), arguments)
    return types.int64(address, a, b, lanes, parameters), generate


@njit(forceinline=True)
def _retire(A, n, stride, owner, records, slots):
    """Put the records of runs that have ended in their places; returns how many lanes are left."""
    j = 0
    while j < n:
        if A[j] == 0.0:
            j += 1
            continue
        n -= 1  # the last lane moves into the place of what has ended
        for k in range(slots):
            records[owner[j]*slots + k] = A[k*stride + j]
            A[k*stride + j] = A[k*stride + n]
        owner[j] = owner[n]
    return n


@cfunc("int64(int64, CPointer(float64), CPointer(float64), CPointer(float64), int64, int64, CPointer(int64), "
       "CPointer(int64), CPointer(float64), int64, int64, int64, boolean, int64, int64)")
def run(sweep, P, A, B, lanes, stride, owner, filled, records, slots, first, last, drain, rounds, trials):
    """Runs the records first..last-1 to their ends, in place; returns the first one that is not yet in a lane.

    With `drain` it goes on until the lanes are empty, else it stops when the queue can no longer fill them; in any case
    after `rounds` rounds of 2*trials trials. Record r has `slots` numbers from records[r*slots]. Records that have
    ended already are passed over.
    """
    n = filled[0]
    for _ in range(rounds):
        while n < lanes and first < last:
            if records[first*slots] == 0.0:
                for k in range(slots):
                    A[k*stride + n] = records[first*slots + k]
                owner[n] = first
                n += 1
            first += 1
        if n == 0 or (n < lanes and not drain):
            break
        for _ in range(trials):
            if _call(sweep, A, B, (n + GRAIN - 1)//GRAIN*GRAIN, P):
                n = _retire(B, n, stride, owner, records, slots)
            if _call(sweep, B, A, (n + GRAIN - 1)//GRAIN*GRAIN, P):
                n = _retire(A, n, stride, owner, records, slots)
    filled[0] = n
    return first
