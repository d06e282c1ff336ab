"""Asks the oracle, and writes its verdicts down: `python -m tests.oracle.record`.

Needs Azure's package: `pip install -e '.[oracle]'`. Read what has changed in `verdicts.json`
before it is committed.
"""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.oracle import exports, mutations
from tests.oracle.files import VERDICTS, digest, example, files, read
from tests.oracle.rules import ADDITIONS, STRICTER

_LONGEST = 300


def record() -> dict[str, Any]:
    """The oracle's verdicts on the corpus, on mutations of it, and on the examples of rules."""
    found = files()
    documents = {name: read(path) for name, path in found.items()}
    ours = {name: data for name, data in documents.items() if not name.startswith("samples/")}
    drawn = mutations.draw(ours, seed=mutations.SEED, count=mutations.COUNT)
    return {
        "digest": digest(found),
        "files": {name: ask(documents[name], path, graph=True) for name, path in found.items()},
        "mutations": [
            {
                **mutation,
                **ask(
                    mutations.apply(documents[mutation["file"]], mutation), found[mutation["file"]]
                ),
            }
            for mutation in drawn
        ],
        "exports": _exports(),
        "rules": {rule.name: ask(*example(rule)) for rule in (*STRICTER, *ADDITIONS)},
    }


def _exports() -> dict[str, Any]:
    made = exports.exports()
    said = exports.ask_all(made)
    return {
        name: {"digest": exports.digest(one), "errors": said[name]} for name, one in made.items()
    }


def ask(data: Mapping[str, Any], path: Path, *, graph: bool = False) -> dict[str, Any]:
    """{valid} of a document at `path`; with {errors} where it is not, {steps} of a pipeline."""
    from azure.ai.ml import load_component, load_job

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    load = load_component if path.parent.name == "components" else load_job
    source = io.StringIO(json.dumps(data, ensure_ascii=False))
    try:
        loaded = load(source=source, relative_origin=str(path))
    except Exception as error:  # of many kinds: whatever it raises, it does not load
        return {"valid": False, "errors": sorted(set(_errors(str(error))))}
    steps = _steps(loaded) if graph else None
    return {"valid": True} if steps is None else {"valid": True, "steps": steps}


def _steps(loaded: Any) -> dict[str, Any] | None:
    """Step -> input -> what it is given, as Azure's package writes it; None of other jobs."""
    jobs = getattr(loaded, "jobs", None)
    if not jobs:
        return None
    written = json.loads(json.dumps(loaded._to_dict(), default=str))
    return {
        name: {key: _given(value) for key, value in (step.get("inputs") or {}).items()}
        for name, step in written["jobs"].items()
    }


def _given(value: Any) -> Any:
    """A literal, or the binding; of other paths only that there is one: they are the machine's."""
    if isinstance(value, dict):
        path = value.get("path")
        if isinstance(path, str):
            return path if path.startswith("${{") else {"path": True}
        return value.get("value", value)
    return value


def _errors(text: str) -> Iterator[str]:
    """`key.path: message`, out of the JSON that Azure's messages have within."""
    start = text.find("{")
    while start >= 0:
        try:
            data, end = json.JSONDecoder().raw_decode(text, start)
        except ValueError:
            start = text.find("{", start + 1)
            continue
        if data:
            yield from _flat(data, ())
            return
        start = text.find("{", end)
    yield re.sub(r"\s+", " ", text)[:_LONGEST]


def _flat(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, dict) and isinstance(value.get("errors"), list):
        for error in value["errors"]:
            yield from (
                _errors(error["message"])
                if "{" in error["message"]
                else (f"{error['path']}: {error['message'].splitlines()[0][:_LONGEST]}",)
            )
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from _flat(below, (*path, str(key)))
    elif isinstance(value, list):
        for below in value:
            yield from _flat(below, path)
    else:
        words = re.sub(r"\s+", " ", str(value))[:_LONGEST]
        yield f"{'.'.join(path)}: {words}"


def main() -> None:
    written = json.dumps(record(), indent=1, ensure_ascii=False, sort_keys=True)
    VERDICTS.write_text(f"{written}\n")


if __name__ == "__main__":
    main()
