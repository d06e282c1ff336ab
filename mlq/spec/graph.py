"""Pure helpers over small graphs: order, cycles, linear runs. Nodes are numbers 0..n-1."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence

MAX_CHAIN_LINKS = 20


class CycleError(ValueError):
    """A graph goes round; `cycle` is the way, its first node repeated at the end."""

    def __init__(self, cycle: Sequence[int]) -> None:
        super().__init__(" -> ".join(str(node) for node in cycle))
        self.cycle = tuple(cycle)


def sort_topologically(upstreams: Sequence[Collection[int]]) -> list[int]:
    """Order nodes so that upstreams come first; among the free ones the lowest number first.

    upstreams: for each node the distinct nodes it waits for. Raises CycleError with one cycle.
    """
    waiting = [len(above) for above in upstreams]
    downstreams: list[list[int]] = [[] for _ in upstreams]
    for node, above in enumerate(upstreams):
        for upstream in above:
            downstreams[upstream].append(node)
    free = [node for node, count in enumerate(waiting) if count == 0]
    order: list[int] = []
    while free:
        node = heapq.heappop(free)
        order.append(node)
        for downstream in downstreams[node]:
            waiting[downstream] -= 1
            if waiting[downstream] == 0:
                heapq.heappush(free, downstream)
    if len(order) < len(upstreams):
        raise CycleError(_find_cycle(upstreams, {n for n, count in enumerate(waiting) if count}))
    return order


def _find_cycle(upstreams: Sequence[Collection[int]], left: Collection[int]) -> list[int]:
    """Walk upstream among nodes that never became free, until one comes again."""
    node = min(left)
    walked: dict[int, int] = {}
    while node not in walked:
        walked[node] = len(walked)
        node = min(above for above in upstreams[node] if above in left)
    cycle = list(walked)[walked[node] :]
    cycle.reverse()  # walked against the arrows
    first = cycle.index(min(cycle))
    cycle = cycle[first:] + cycle[:first]
    return [*cycle, cycle[0]]


def find_chains(
    order: Sequence[int],
    upstreams: Sequence[Collection[int]],
    *,
    is_leaf: Sequence[bool],
    max_links: int = MAX_CHAIN_LINKS,
) -> list[list[int]]:
    """Cut the leaves into maximal linear runs, each at most `max_links` long.

    Within a run, A is the one upstream of B and B the one downstream of A. Every leaf is in exactly
    one run, runs of length 1 included. order: topological.
    """
    count = [0] * len(upstreams)
    follower = [-1] * len(upstreams)
    for node, above in enumerate(upstreams):
        for upstream in above:
            count[upstream] += 1
            follower[upstream] = node
    runs: list[list[int]] = []
    taken: set[int] = set()
    for head in order:
        if head in taken or not is_leaf[head]:
            continue
        run = [head]
        while True:
            last = run[-1]
            following = follower[last]
            if count[last] != 1 or not is_leaf[following] or len(upstreams[following]) != 1:
                break
            run.append(following)
        taken.update(run)
        runs += [run[start : start + max_links] for start in range(0, len(run), max_links)]
    return runs
