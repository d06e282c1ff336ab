"""Where the corpus lies, and how its files are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlq.spec import read_document
from tests.oracle.rules import Rule

CORPUS = Path(__file__).parent / "corpus"
VERDICTS = Path(__file__).parent / "verdicts.json"
#: mlq's own job files, which other tests run.
SAMPLES = Path(__file__).parents[1] / "acceptance" / "jobs"


def files() -> dict[str, Path]:
    """Every file of the corpus by its name: `jobs/sweep.yml`, `components/sort.yml`."""
    folders = {"jobs": CORPUS / "jobs", "components": CORPUS / "components", "samples": SAMPLES}
    return {
        f"{name}/{path.name}": path
        for name, folder in folders.items()
        for path in sorted(folder.glob("*.yml"))
    }


def read(path: Path) -> dict[str, Any]:
    """A file as plain data."""
    return read_document(path.read_bytes(), file=str(path)).data


def example(rule: Rule) -> tuple[dict[str, Any], Path]:
    """The document that shows a rule, and where in the corpus it would stand."""
    folder = "components" if rule.is_component else "jobs"
    return read_document(rule.example).data, CORPUS / folder / "example.yml"


def digest(found: Mapping[str, Path]) -> str:
    """Of all files of the corpus, so that verdicts on older ones are noticed."""
    texts = [[name, path.read_text()] for name, path in sorted(found.items())]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()
