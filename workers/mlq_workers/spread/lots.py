"""The mini-batches of a parallel job, dealt out in lots that are jobs of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from mlq.artifacts import Store
from mlq.db.registry import Artifact
from mlq.errors import StepError
from mlq.service.execution import Attempt, Input
from mlq.service.spreading import Wanted
from mlq.spec.parallel import LOT, LOTS
from mlq_workers.handlers import fetch
from mlq_workers.spread.splits import Size, split


def deal(attempt: Attempt, store: Store, scratch: Path) -> tuple[list[Wanted], list[Artifact]]:
    """The lots of the input that `attempt` cuts, and what is stored for them.

    Equal input makes equal lots. Raises StepError for input that cannot be cut.
    """
    told = attempt.spec["spread"]["mini_batches"]
    given = attempt.inputs.get(told["data"])
    if given is None or given.digest is None:
        raise StepError(
            f"Input '{told['data']}' is no file or folder, so that it has no mini-batches.",
            code="invalid_items",
        )
    size = Size(**told["size"]) if told["size"] is not None else None
    batches = split(fetch(store, given), given.type, size)
    scratch.mkdir(parents=True, mode=0o700)
    wanted, stored = [], []
    for place, (first, lot) in enumerate(_lots(batches, LOTS * told["instances"]), 1):
        file = scratch / f"lot-{place}.json"
        content = {"first": first, "batches": lot, "settings": told["settings"]}
        file.write_text(json.dumps(content, sort_keys=True))
        blob = store.put_file(file)
        stored.append(Artifact(blob.digest, "blob", blob.size_bytes))
        uri = f"artifact:sha256:{blob.digest}"
        value = Input("uri_file", digest=blob.digest, name=file.name, uri=uri)
        wanted.append(Wanted(f"lot-{place}", {LOT: value}))
    return wanted, stored


def _lots(
    batches: Sequence[Mapping[str, Any]], count: int
) -> Iterator[tuple[int, Sequence[Mapping[str, Any]]]]:
    """At most `count` runs of mini-batches, equally long, with the place of the first of each."""
    count = min(count, len(batches))
    ends = [len(batches) * place // count for place in range(count + 1)] if count else []
    for first, end in pairwise(ends):
        yield first, batches[first:end]


def total(summaries: Sequence[Mapping[str, int]], settings: Mapping[str, Any]) -> dict[str, int]:
    """What all lots add up to. Raises StepError when more has failed than may."""
    found = {
        name: sum(summary[name] for summary in summaries)
        for name in ("mini_batches", "failed_mini_batches", "items", "failed_items")
    }
    for setting, name, noun in (
        ("mini_batch_error_threshold", "failed_mini_batches", "mini-batches"),
        ("error_threshold", "failed_items", "items"),
    ):
        if 0 <= settings[setting] < found[name]:
            raise StepError(
                f"{found[name]} {noun} have failed, and {setting} is {settings[setting]}.",
                code="error_threshold",
                hint="The logs of the lots say which and why.",
            )
    return found
