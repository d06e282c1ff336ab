"""A schedule file on its way to the server: its job is written out, with what that needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace as changed_to
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mlq.cli.job_file import Taken, take_along
from mlq.errors import SpecError, SpecProblem
from mlq.spec import Document, apply_overrides, read_document, replace
from mlq.spec.schedule import SAMPLE, fill_context, read_schedule

if TYPE_CHECKING:
    from mlq.client import Client

#: Keys that stand beside `job:` under `create_job` and change that job, as in Azure.
_CHANGES = ("name", "display_name", "description", "experiment_name", "tags", "inputs", "settings")


def prepare_schedule(
    path: Path,
    *,
    client: Client,
    overrides: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Taken:
    """The document to send, and what git knows of its job.

    `create_job` may be a path, or hold one under `job`.
    Raises SpecError with file, line and key path.
    """
    document = apply_overrides(
        read_document(path.read_bytes(), file=str(path), media_type=_media_type(path)), overrides
    )
    job, file = _find_job(document, path)
    taken = take_along(
        job,
        base=file.parent,
        client=client,
        file=file,
        filled=lambda one: changed_to(one, data=fill_context(one.data, SAMPLE)),
        say=say,
    )
    final = replace(document, ("create_job",), taken.document.data)
    read_schedule(final)
    return Taken(final, taken.git)


def _find_job(document: Document, path: Path) -> tuple[Document, Path]:
    """The job's own document, and the file that its paths are relative to."""
    written = document.data.get("create_job")
    changes: dict[str, Any] = {}
    key = "create_job"
    if isinstance(written, dict) and isinstance(written.get("job"), str):
        changes = {name: written[name] for name in _CHANGES if name in written}
        written, key = written["job"], "create_job.job"
    if isinstance(written, dict):
        marks = document.marks.get("create_job", (None, None))[1] or {}
        return Document(written, document.file, marks), path
    if not isinstance(written, str):
        _refuse(document, "create_job", "A schedule needs a job: written out, or the path of one.")
    if written.startswith(("azureml:", "mlq:")):
        _refuse(document, key, "Jobs are not registered here; name the job's file instead.")
    file = (path.parent / written.removeprefix("file:")).resolve()
    if not file.is_file():
        _refuse(document, key, f"There is no file {written} (looked for {file}).")
    job = read_document(file.read_bytes(), file=str(file), media_type=_media_type(file))
    for name, value in changes.items():
        if name in ("inputs", "settings", "tags") and isinstance(value, dict):
            value = {**(job.data.get(name) or {}), **value}
        job = replace(job, (name,), value)
    return job, file


def _media_type(path: Path) -> str:
    return "application/json" if path.suffix == ".json" else "application/yaml"


def _refuse(document: Document, key: str, message: str) -> NoReturn:
    raise SpecError([SpecProblem(key, message, document.line_of(key), None, document.file)])
