"""The order of a straight-line text: list scheduling by the number of values that are alive.

A formula on vectors is recorded operation by operation, each for all coordinates. LLVM keeps the order of so long a
text, and what does not fit into registers it stores and reads again: with the 16 of AVX2, a trial on Rosenbrock's
function of 10 coordinates had 350 instructions in that order, and has 260 in this.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence

from odeopt.compile.tracer import Number


def scheduled(nodes: Sequence[Number], loaded: Iterable[int]) -> list[Number]:
    """The nodes in an order that keeps few values alive.

    Of those that can be computed, the next is the one after which the fewest are alive; among such the one that ends
    most; among these the one whose arguments came last, so that what was begun goes on; then the first recorded.

    Parameters
    ----------
    nodes : sequence of Number
        All that is computed, without inputs.
    loaded : iterable of int
        The indices of inputs that are alive from their first use on, not from the beginning.
    """
    computed = {node.index: node for node in nodes}
    needs = {node.index: {a.index for a in node.needs()} for node in nodes}
    users: dict[int, list[int]] = defaultdict(list)
    for index, needed in needs.items():
        for a in needed:
            users[a].append(index)
    unread, left = set(loaded), {a: len(indices) for a, indices in users.items()}
    missing = {index: sum(a in computed for a in needed) for index, needed in needs.items()}
    order: list[int] = []

    def entry(index: int) -> tuple[int, int, int, int]:
        begun, ended = int(index in left), 0
        for a in needs[index]:
            if a in unread:
                begun += left[a] > 1
            else:
                ended += left[a] == 1
        return begun - ended, -ended, -len(order), index
    heap = [entry(index) for index, count in missing.items() if not count]
    heapq.heapify(heap)
    done: set[int] = set()
    while heap:
        *_, index = heapq.heappop(heap)
        if index in done:
            continue
        done.add(index)
        order.append(index)
        better = set()                                      # entries only fall: the old ones come up when all is done
        for a in needs[index]:
            left[a] -= 1
            if left[a] == 1 or a in unread:
                better.update(users[a])
            unread.discard(a)
        for user in users.get(index, ()):
            missing[user] -= 1
            better.add(user)
        for user in better - done:
            if not missing[user]:
                heapq.heappush(heap, entry(user))
    return [computed[index] for index in order]
