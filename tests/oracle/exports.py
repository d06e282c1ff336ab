"""What `mlq job export --azure` makes of the corpus, and whether the oracle loads it.

`python -m tests.oracle.exports NAME…` prints the oracle's errors by file, as JSON.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlq.cli.job_export import write_yaml
from mlq.spec.azure import Export, export
from tests.oracle.files import files, read
from tests.oracle.verdicts import localized, problems_of

#: With which Azure's package knows branches and loops.
SWITCH = "AZURE_ML_CLI_PRIVATE_FEATURES_ENABLED"


def exports() -> dict[str, Export]:
    """Of every job of the corpus that mlq takes."""
    return {
        name: export(localized(read(path), path))
        for name, path in files().items()
        if not name.startswith("components/") and not problems_of(read(path), path)
    }


def digest(made: Export) -> str:
    """Of all that is written."""
    text = json.dumps([made.files, made.artifacts, list(made.notes)])
    return hashlib.sha256(text.encode()).hexdigest()


def ask_all(found: Mapping[str, Export]) -> dict[str, str]:
    """What the oracle says of each: nothing, or why it does not load."""
    private = [name for name, made in found.items() if any(SWITCH in note for note in made.notes)]
    public = [name for name in found if name not in private]
    return {**_ask_there(public, "false"), **_ask_there(private, "true")}


def _ask_there(names: list[str], switch: str) -> dict[str, str]:
    """In a process of its own: the switch is read when the package is imported."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.oracle.exports", *names],
        env={**os.environ, SWITCH: switch},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    said: dict[str, str] = json.loads(done.stdout)
    return said


def _ask(made: Export) -> str:
    from azure.ai.ml import load_job

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for place in made.artifacts:  # a file where the name looks like one
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.suffix:
                target.write_text("x")
            else:
                target.mkdir()
                (target / "x").write_text("x")
        for place, content in made.files.items():
            (folder / place).write_text(write_yaml(content))
        try:
            load_job(source=folder / "job.yml")
        except Exception as error:  # of many kinds: whatever it raises, it does not load
            return str(error)
    return ""


def main(names: Iterable[str]) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    found = exports()
    print(json.dumps({name: _ask(found[name]) for name in names}))


if __name__ == "__main__":
    main(sys.argv[1:])
