"""A job file on its way to the server: overrides, component files and local data go in."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as changed_to
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from mlq.cli.words import say_size
from mlq.errors import SpecError, SpecProblem
from mlq.spec import (
    Document,
    apply_overrides,
    compile_job,
    find_component_files,
    find_local_paths,
    read_document,
    replace,
)

if TYPE_CHECKING:
    from mlq.client import Client


@dataclass
class _Inlined:
    """What was found on this machine. files: digest -> file to upload."""

    files: dict[str, Path] = field(default_factory=dict)


class Prepared(NamedTuple):
    """What is sent, and what was written: the server's complaints are about the latter."""

    text: str
    media_type: str
    written: Document


def prepare(
    path: Path,
    *,
    client: Client,
    overrides: Sequence[str] = (),
    name: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Prepared:
    """The document to submit.

    A file that needs no change is sent as it was written, comments included; else it becomes JSON.
    Everything that can be known here is checked before a byte is uploaded.
    Raises SpecError with file, line and key path.
    """
    is_stdin = str(path) == "-"
    text = sys.stdin.read() if is_stdin else path.read_bytes().decode("utf-8", "surrogateescape")
    shown = "<stdin>" if is_stdin else str(path)
    media_type = "application/json" if path.suffix == ".json" else "application/yaml"
    written = _read(text, file=shown, media_type=media_type)
    changed = apply_overrides(written, overrides)
    if name is not None:
        changed = replace(changed, ("display_name",), name)
    base = Path.cwd() if is_stdin else path.parent
    inlined = _Inlined()
    given = dict(find_local_paths(written))
    here = {key for key, value in find_local_paths(changed) if given.get(key) != value}
    final = _localize(changed, base=base, inlined=inlined, from_cwd=here, above=())
    compile_job(final, computes=None)
    for file in inlined.files.values():
        _upload(file, client=client, say=say)
    if final.data is written.data:
        return Prepared(text, media_type, written)
    sent = json.dumps(final.data, indent=2, ensure_ascii=False)
    return Prepared(sent, "application/json", written)


@contextmanager
def placed(written: Document) -> Iterator[None]:
    """Name the file, and its line, in what the server finds wrong.

    Only the server knows computes and data assets. It is sent no file name, and JSON where
    anything was changed, so that its lines are none of the file's.
    """
    try:
        yield
    except SpecError as error:
        problems = [
            changed_to(problem, file=written.file, line=written.line_of(problem.path))
            for problem in error.problems
        ]
        there = SpecError(problems, code=error.code)
        there.hint = error.hint
        raise there from error


def _read(text: str, *, file: str, media_type: str) -> Document:
    try:
        content: str | bytes = text
        text.encode()
    except UnicodeEncodeError:
        content = text.encode("utf-8", "surrogateescape")
    return read_document(content, file=file, media_type=media_type)


def _localize(
    document: Document,
    *,
    base: Path,
    inlined: _Inlined,
    from_cwd: set[str],
    above: tuple[Path, ...],
) -> Document:
    """Replace what names files of this machine. Paths are relative to the file they stand in.

    from_cwd: key paths that came from the command line, and so are relative to where it was typed.
    above: component files that led here, to notice a circle.
    """
    from mlq.client.uploads import hash_file

    changed = document
    for key, written in find_local_paths(document):
        file = ((Path.cwd() if key in from_cwd else base) / _plain(written)).resolve()
        if file.is_dir():
            _refuse(document, key, f"{written} is a folder; name a single file.")
        if not file.is_file():
            _refuse(document, key, f"There is no file {written} (looked for {file}).")
        digest = hash_file(file)
        inlined.files[digest] = file
        file_name = re.sub(r"\s", "_", file.name)
        changed = replace(changed, key, f"artifact:sha256:{digest}/{file_name}")
    for key, written in find_component_files(document):
        file = (base / _plain(written)).resolve()
        if file in above:
            _refuse(document, key, f"{written} is a component of itself.")
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            _refuse(document, key, f"The component file {written} cannot be read: {error}.")
        component = _localize(
            read_document(text, file=str(file)),
            base=file.parent,
            inlined=inlined,
            from_cwd=set(),
            above=(*above, file),
        )
        changed = replace(changed, key, component.data)
    return changed


def _upload(file: Path, *, client: Client, say: Callable[[str], None]) -> None:
    sent = 0

    def count(size: int) -> None:
        nonlocal sent
        sent += size

    client.blobs.upload(file, progress=count)
    size = say_size(file.stat().st_size)
    say(f"{file.name}: {size} uploaded" if sent else f"{file.name}: {size}, on the server already")


def _plain(written: str) -> str:
    return written.removeprefix("file://").removeprefix("file:")


def _refuse(document: Document, key: str, message: str) -> NoReturn:
    problem = SpecProblem(key, message, document.line_of(key), None, document.file)
    raise SpecError([problem])
