"""Order, cycles and linear runs of random graphs."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlq.spec.graph import CycleError, find_chains, sort_topologically


@st.composite
def dags(draw: st.DrawFn) -> list[list[int]]:
    size = draw(st.integers(0, 40))
    above = [draw(st.sets(st.integers(0, max(0, n - 1)), max_size=min(n, 3))) for n in range(size)]
    places = draw(st.permutations(range(size)))
    shuffled: list[list[int]] = [[] for _ in range(size)]
    for node, upstreams in enumerate(above):
        shuffled[places[node]] = [places[upstream] for upstream in upstreams]
    return shuffled


@settings(deadline=None)  # the machine may be busy
@given(dags())
def test_upstreams_come_first(upstreams: list[list[int]]) -> None:
    order = sort_topologically(upstreams)
    assert sorted(order) == list(range(len(upstreams)))
    place = {node: position for position, node in enumerate(order)}
    assert all(place[a] < place[node] for node, above in enumerate(upstreams) for a in above)


@settings(deadline=None)  # the machine may be busy
@given(dags(), st.data())
def test_chains_partition_the_leaves(upstreams: list[list[int]], data: st.DataObject) -> None:
    size = len(upstreams)
    is_leaf = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    order = sort_topologically(upstreams)
    runs = find_chains(order, upstreams, is_leaf=is_leaf, max_links=4)
    assert sorted(node for run in runs for node in run) == [n for n in range(size) if is_leaf[n]]
    downstreams = [[n for n in range(size) if node in upstreams[n]] for node in range(size)]

    def linked(a: int, b: int) -> bool:
        return downstreams[a] == [b] and upstreams[b] == [a] and is_leaf[a] and is_leaf[b]

    place = {node: (number, at) for number, run in enumerate(runs) for at, node in enumerate(run)}
    for run in runs:
        assert 1 <= len(run) <= 4
        assert all(linked(a, b) for a, b in pairwise(run))
    for a in range(size):
        for b in downstreams[a]:
            if linked(a, b):  # maximal: only a full run ends before a link
                assert place[a][0] == place[b][0] or place[a][1] == 3


def test_a_long_line_is_cut_every_twenty_links() -> None:
    upstreams = [[], *([number] for number in range(44))]
    runs = find_chains(range(45), upstreams, is_leaf=[True] * 45)
    assert [len(run) for run in runs] == [20, 20, 5]


@pytest.mark.parametrize(
    ("upstreams", "cycle"),
    [
        ([[1], [0]], (0, 1, 0)),
        ([[], [0, 3], [1], [2], [3]], (1, 2, 3, 1)),
        ([[0]], (0, 0)),
    ],
)
def test_a_cycle_is_named_along_the_arrows(
    upstreams: list[list[int]], cycle: tuple[int, ...]
) -> None:
    with pytest.raises(CycleError) as caught:
        sort_topologically(upstreams)
    assert caught.value.cycle == cycle
