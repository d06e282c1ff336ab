"""A job file on its way to the server: overrides, component files, code and local data go in."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as changed_to
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from mlq.cli.asset_file import with_conda
from mlq.cli.words import say_size, short_id
from mlq.errors import SpecError, SpecProblem
from mlq.spec import (
    Document,
    apply_overrides,
    compile_job,
    find_code_folders,
    find_component_files,
    find_conda_files,
    find_environment_files,
    find_local_paths,
    read_document,
    replace,
)

if TYPE_CHECKING:
    from mlq.client import Client
    from mlq.client.documents import Git
    from mlq.client.snapshots import Snapshot


@dataclass
class _Inlined:
    """What was found on this machine.

    files: digest -> file to upload. code, folders: of code and of data, folder -> its snapshot, in
    the order of the file.
    """

    files: dict[str, Path] = field(default_factory=dict)
    code: dict[Path, Snapshot] = field(default_factory=dict)
    folders: dict[Path, Snapshot] = field(default_factory=dict)

    def send(self, *, client: Client, say: Callable[[str], None]) -> None:
        for folder, snapshot in (*self.code.items(), *self.folders.items()):
            _send(folder, snapshot, client=client, say=say)
        for file in self.files.values():
            _upload(file, client=client, say=say)

    def tell_git(self, file: Path | None, *, client: Client) -> Git | None:
        """What git knows of the first code folder, else of `file`, where there is one."""
        from mlq.client.git import send_git, send_git_of_file

        for folder, snapshot in self.code.items():
            return send_git(client, folder, snapshot)
        return None if file is None else send_git_of_file(client, file)


class Taken(NamedTuple):
    """A document with what it needs written out or uploaded; git: as of `Prepared`."""

    document: Document
    git: Git | None


class Prepared(NamedTuple):
    """What is sent, and what was written: the server's complaints are about the latter.

    git: what its code is submitted from, or the file itself where it brings no code folder.
    """

    text: str
    media_type: str
    written: Document
    git: Git | None


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
    media_type = "application/json" if path.suffix == ".json" else "application/yaml"
    text = sys.stdin.read() if is_stdin else path.read_bytes().decode("utf-8", "surrogateescape")
    written = _read(text, file="<stdin>" if is_stdin else str(path), media_type=media_type)
    return _prepare(
        written,
        text,
        media_type,
        overrides,
        name,
        base=Path.cwd() if is_stdin else path.parent,
        file=None if is_stdin else path,
        client=client,
        say=say,
    )


def prepare_again(
    ref: str,
    *,
    client: Client,
    overrides: Sequence[str] = (),
    name: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Prepared:
    """The document of the whole job that `ref` is, or is part of, to be submitted again.

    Paths that overrides bring are relative to where they are typed. Code that stays the same was
    submitted from what it was submitted from.
    """
    job = client.jobs.get(ref, depth=0)
    text, media_type = client.jobs.spec(job["id"])
    written = _read(text, file=f"job {short_id(job['root_id'])}", media_type=media_type)
    made = _prepare(
        written,
        text,
        media_type,
        overrides,
        name,
        base=Path.cwd(),
        file=None,
        client=client,
        say=say,
    )
    if made.git is None and '"artifact:sha256:' in made.text:
        root = client.jobs.get(job["root_id"], depth=0)
        return made._replace(git=root.get("git"))
    return made


def _prepare(
    written: Document,
    text: str,
    media_type: str,
    overrides: Sequence[str],
    name: str | None,
    *,
    base: Path,
    file: Path | None,
    client: Client,
    say: Callable[[str], None],
) -> Prepared:
    """`written`, which is `text`, with what overrides change and with what it needs."""
    changed = apply_overrides(written, overrides)
    if name is not None:
        changed = replace(changed, ("display_name",), name)
    given = dict(_find_paths(written))
    here = {key for key, value in _find_paths(changed) if given.get(key) != value}
    inlined = _Inlined()
    final = _localize(changed, base=base, inlined=inlined, from_cwd=here, above=())
    _check(final, client)
    inlined.send(client=client, say=say)
    git = inlined.tell_git(file, client=client)
    if final.data is written.data:
        return Prepared(text, media_type, written, git)
    sent = json.dumps(final.data, indent=2, ensure_ascii=False)
    return Prepared(sent, "application/json", written, git)


def take_along(
    document: Document,
    *,
    base: Path,
    client: Client,
    file: Path | None = None,
    from_cwd: Set[str] = frozenset(),
    filled: Callable[[Document], Document] | None = lambda document: document,
    say: Callable[[str], None] = lambda text: None,
) -> Taken:
    """A job's document with component files written out, code and local data uploaded.

    base: of relative paths; file: of the job, for what git knows of it. from_cwd: key paths that
    came from the command line. filled: gives the document that is checked, where what is sent still
    has expressions in it; None where it cannot be checked before it has its inputs.
    """
    inlined = _Inlined()
    final = _localize(document, base=base, inlined=inlined, from_cwd=from_cwd, above=())
    if filled is not None:
        _check(filled(final), client)
    inlined.send(client=client, say=say)
    return Taken(final, inlined.tell_git(file, client=client))


def _check(document: Document, client: Client) -> None:
    """Everything that can be known here. Raises SpecError."""
    compile_job(
        document,
        computes=None,
        components=client.components.find,
        environments=client.environments.find,
    )


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
    from_cwd: Set[str],
    above: tuple[Path, ...],
) -> Document:
    """Replace what names files of this machine. Paths are relative to the file they stand in.

    from_cwd: key paths that came from the command line, and so are relative to where it was typed.
    above: component files that led here, to notice a circle.
    """
    from mlq.client.code import take_code
    from mlq.client.uploads import hash_file

    changed = document
    for key, written in find_code_folders(document):
        folder = ((Path.cwd() if key in from_cwd else base) / _plain(written)).resolve()
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "is not there"
            _refuse(document, key, f"{written} {what}; code names a folder (looked for {folder}).")
        if folder not in inlined.code:
            inlined.code[folder] = take_code(folder)
        changed = replace(changed, key, f"artifact:sha256:{inlined.code[folder].digest}")
    for key, written in find_local_paths(document):
        file = ((Path.cwd() if key in from_cwd else base) / _plain(written)).resolve()
        if file.is_dir():
            if _type_beside(document, key) == "uri_file":
                _refuse(document, key, f"{written} is a folder; a uri_file names a single file.")
            digest = _take_folder(document, key, file, inlined=inlined)
        elif file.is_file():
            digest = hash_file(file)
            inlined.files[digest] = file
        else:
            _refuse(document, key, f"There is no file {written} (looked for {file}).")
        file_name = re.sub(r"\s", "_", file.name)
        changed = replace(changed, key, f"artifact:sha256:{digest}/{file_name}")
    for key, written in find_component_files(document):
        file = (base / _plain(written)).resolve()
        if file in above:
            _refuse(document, key, f"{written} is a component of itself.")
        component = _localize(
            _read_named(document, key, file, what="component file"),
            base=file.parent,
            inlined=inlined,
            from_cwd=frozenset(),
            above=(*above, file),
        )
        changed = replace(changed, key, component.data)
    for key, written in find_environment_files(document):
        file = (base / _plain(written)).resolve()
        named = _read_named(document, key, file, what="environment file")
        changed = replace(changed, key, with_conda(named, base=file.parent).data)
    for key, written in find_conda_files(document):
        conda = _read_named(document, key, (base / _plain(written)).resolve(), what="conda file")
        changed = replace(changed, key, conda.data)
    return changed


def _type_beside(document: Document, key: str) -> object:
    """What `type` says in the mapping that `key` stands in."""
    here: object = document.data
    for part in document.locate(key)[0][:-1]:
        here = here[part]  # type: ignore[index]  # found by this path
    return here.get("type") if isinstance(here, dict) else None


def _take_folder(document: Document, key: str, folder: Path, *, inlined: _Inlined) -> str:
    """The digest of a folder of data."""
    from mlq.client.folders import take_folder

    if folder not in inlined.folders:
        try:
            inlined.folders[folder] = take_folder(folder)
        except SpecError as error:
            _refuse(document, key, error.problems[0].message)
    return inlined.folders[folder].digest


def _find_paths(document: Document) -> list[tuple[str, str]]:
    return [*find_local_paths(document), *find_code_folders(document)]


def _send(folder: Path, snapshot: Snapshot, *, client: Client, say: Callable[[str], None]) -> None:
    sent = client.blobs.send(snapshot)
    files = "1 file" if snapshot.count == 1 else f"{snapshot.count:,} files"
    what = f"{folder.name or folder}: {files}, {say_size(snapshot.size_bytes)}"
    say(f"{what}, {sent:,} sent" if sent else f"{what}, on the server already")


def _read_named(document: Document, key: str, file: Path, *, what: str) -> Document:
    """A file that `key` names."""
    try:
        return read_document(file.read_bytes(), file=str(file))
    except OSError as error:
        _refuse(document, key, f"The {what} {file.name} cannot be read: {error}.")


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
