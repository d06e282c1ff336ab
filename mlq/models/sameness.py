"""Whether two runs of the same steps made the same: metrics, and outputs file by file.

Bytes of a model differ even then: MLmodel says when it was made, and skops names its members by
memory addresses.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mlq.artifacts import Store
from mlq.models.package import MLMODEL, MODEL_FILE

#: A step of a job: {path, state, metrics, outputs}.
Step = Mapping[str, Any]
_OF_THE_MOMENT = frozenset(
    {"model_uuid", "utc_time_created", "model_id", "run_id", "model_size_bytes"}
)


def compare(store: Store, steps: Iterable[tuple[Step, Step]]) -> dict[str, Any]:
    """How two runs of the same steps differ.

    Returns {equal, steps: [{path, state, metrics: {name: [then, now]}, differing: [what]}]}, where
    differing names metrics, outputs, and files of outputs.
    """
    said = []
    for then, now in steps:
        names = sorted({*then["metrics"], *now["metrics"]})
        metrics = {key: [then["metrics"].get(key), now["metrics"].get(key)] for key in names}
        differing = [f"metric {key}" for key, (one, other) in metrics.items() if one != other]
        for key in sorted({*then["outputs"], *now["outputs"]}):
            one, other = then["outputs"].get(key), now["outputs"].get(key)
            differing += [f"output {key}{where}" for where in _differences(store, one, other)]
        if now["state"] != then["state"]:
            differing.insert(0, f"state {now['state']}")
        said.append(
            {
                "path": then["path"],
                "state": now["state"],
                "metrics": metrics,
                "differing": differing,
            }
        )
    return {"equal": bool(said) and not any(step["differing"] for step in said), "steps": said}


def same_file(name: str, one: Path, other: Path) -> bool:
    """Whether two files of that name, whose bytes differ, say the same."""
    compare = _FORMS.get(name.rpartition("/")[2])
    try:
        return compare is not None and compare(one) == compare(other)
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, yaml.YAMLError):
        return False


def _mlmodel(path: Path) -> Any:
    document = yaml.safe_load(path.read_text("utf-8"))
    return {key: value for key, value in document.items() if key not in _OF_THE_MOMENT}


def _skops(path: Path) -> Any:
    """The tree of a skops file with ids counted from 0, and checksums in place of file names."""
    with zipfile.ZipFile(path) as archive:
        checksums = {item.filename: item.CRC for item in archive.infolist()}
        schema = json.loads(archive.read("schema.json"))
    return _canonical(schema, {}, checksums)


def _canonical(value: Any, ids: dict[Any, int], checksums: Mapping[str, int]) -> Any:
    if isinstance(value, dict):
        return {
            key: ids.setdefault(item, len(ids))
            if key == "__id__"
            else checksums.get(item, item)
            if key == "file" and isinstance(item, str)
            else _canonical(item, ids, checksums)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_canonical(item, ids, checksums) for item in value]
    return value


def _report(path: Path) -> Any:
    """A report of mlq:evaluate without what depends on the champion of that moment."""
    report = json.loads(path.read_text("utf-8"))
    return {key: value for key, value in report.items() if key not in _OF_THE_COMPARISON}


_OF_THE_COMPARISON = frozenset({"model", "comparison", "passed"})
_FORMS: Mapping[str, Callable[[Path], Any]] = {
    MLMODEL: _mlmodel,
    MODEL_FILE: _skops,
    "report.json": _report,
}


def _differences(store: Store, one: Any, other: Any) -> Iterator[str]:
    """Where two outputs differ; "" for all of it."""
    if one is None or other is None or "digest" not in one or "digest" not in other:
        if one != other:
            yield ""
        return
    if one["digest"] == other["digest"]:
        return
    if one["kind"] != "tree" or other["kind"] != "tree":
        if not _is_same(store, one["name"], [one["digest"], other["digest"]]):
            yield ""
        return
    files = [
        {entry.path: entry.digest for entry in store.tree(output["digest"]).entries}
        for output in (one, other)
    ]
    for path in sorted({*files[0], *files[1]}):
        digests = [found.get(path) for found in files]
        if digests[0] != digests[1] and not _is_same(store, path, digests):
            yield f": {path}"


def _is_same(store: Store, path: str, digests: list[str | None]) -> bool:
    if None in digests:
        return False
    one, other = (store.fetch(str(digest), kind="blob") for digest in digests)
    return same_file(path, one, other)
