"""What `repeat` of a job makes of it: the same job once per round, each on a wider budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlq.spec.bindings import parse_binding
from mlq.spec.document import Document, replace
from mlq.spec.model import Repeat
from mlq.spec.nodes import Node
from mlq.spec.paths import KeyPath, format_path
from mlq.spec.problems import Problems
from mlq.spec.references import shorten
from mlq.spec.steps import is_typed
from mlq.spec.values import describe

#: What the repeated job has itself, and none of its rounds.
_OF_THE_WHOLE = frozenset(
    {
        "repeat",
        "name",
        "display_name",
        "description",
        "tags",
        "experiment_name",
        "priority",
    }
)
#: Integers up to here are numbers to every reader of JSON.
_LARGEST = 2**53


@dataclass(frozen=True, slots=True)
class _Number:
    """A number to widen: `value`, at `path` of the job, grows by `factor` per round."""

    path: KeyPath
    value: int | float
    factor: float
    where: KeyPath

    def in_round(self, place: int) -> int | float:
        """place: 0 for the first round, which has the number as it was written."""
        widened = self.value * self.factor**place
        return round(widened) if isinstance(self.value, int) else widened


def write_rounds(
    problems: Problems, raw: Mapping[str, Any], repeat: Repeat, key: KeyPath
) -> Iterator[dict[str, Any]]:
    """The job of each round as it might have been written, the first one first.

    raw: the repeated job as written, at `key`. Ends early where a number grows too large.
    """
    numbers = list(_find_numbers(problems, raw, repeat, key))
    once = {name: value for name, value in raw.items() if name not in _OF_THE_WHOLE}
    if isinstance(once.get("outputs"), dict):
        once["outputs"] = {name: own_output(value) for name, value in once["outputs"].items()}
    if isinstance(once.get("settings"), dict):
        once["settings"] = {k: v for k, v in once["settings"].items() if k != "force_rerun"}
    for place in range(repeat.rounds):
        document = Document(once)
        for number in numbers:
            widened = number.in_round(place)
            if abs(widened) > _LARGEST:
                problems.add(
                    number.where,
                    f"In round {place + 1} this would be {widened:.3g}; choose a smaller factor "
                    "or fewer rounds.",
                )
                return
            document = replace(document, number.path, widened)
        yield document.data


def note_invalid_round(problems: Problems, repeated: Node, one: Node) -> None:
    """Say that it takes the factors of a repeated job to make what was reported a problem."""
    problems.add(
        (*repeated.key, "repeat", "widen"),
        f"With these factors, {one.name} is not valid; see the other problems.",
    )


def _find_numbers(
    problems: Problems, raw: Mapping[str, Any], repeat: Repeat, key: KeyPath
) -> Iterator[_Number]:
    document = Document({name: value for name, value in raw.items() if name not in _OF_THE_WHOLE})
    for written, factor in (repeat.widen or {}).items():
        where = (*key, "repeat", "widen", written)
        path, exists = document.locate(written)
        value = _follow(document.data, path)
        if path[-2:-1] == ("inputs",) and is_typed(value) and "value" in value:
            path, value = (*path, "value"), value["value"]
        if not exists:
            _note_missing(problems, document.data, path, where)
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            problems.add(
                where,
                f"Only a number can be widened; '{shorten(written)}' is {describe(value)}.",
            )
        else:
            yield _Number(path, value, factor, where)


def _follow(data: Any, path: KeyPath) -> Any:
    """What stands at `path`; None where nothing does."""
    for part in path:
        if isinstance(part, int):
            data = data[part]
        else:
            data = data.get(part) if isinstance(data, dict) else None
    return data


def _note_missing(problems: Problems, data: Any, path: KeyPath, where: KeyPath) -> None:
    last = next(end for end in range(1, len(path) + 1) if _follow(data, path[:end]) is None)
    above = _follow(data, path[: last - 1])
    problems.add(
        where,
        f"This job has no '{shorten(format_path(path[:last]))}' to widen; name a number that "
        "stands in it, such as limits.max_total_trials.",
        word=str(path[last - 1]),
        known=above if isinstance(above, dict) else (),
    )


def own_output(output: Any) -> Any:
    """An output of a round: where it goes is a matter of the whole."""
    binding = parse_binding(output) if isinstance(output, str) else None
    return None if binding is not None and binding.kind == "parent.outputs" else output
