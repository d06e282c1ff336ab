"""What git knows of a code folder: which commit it is at, and what was changed since."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from mlq.client.documents import Git
from mlq.client.snapshots import Snapshot

if TYPE_CHECKING:
    from mlq.client.client import Client

MAX_DIFF_BYTES = 256 << 10
_MAX_NAMES = 1000
_TIMEOUT_S = 20.0
_CUT = b"\n[mlq] The difference is longer than is kept; cut here.\n"


@dataclass(frozen=True, slots=True)
class GitState:
    """A folder in a repository.

    branch: None when none is checked out. repository: address of `origin`, without credentials.
    is_dirty: whether files of the folder differ from the commit, or are not known to git.
    diff: of the files that go along against the commit, at most MAX_DIFF_BYTES and a line.
    """

    commit: str
    branch: str | None
    repository: str | None
    is_dirty: bool
    diff: bytes


def read_git(folder: Path, sent: Collection[str], *, is_whole: bool = True) -> GitState | None:
    """The state of `folder`; None outside of a repository with a commit, and without git.

    sent: paths of the files that go along: of others no difference is told. is_whole: whether they
    are the folder; else changes beside them do not make it dirty.
    """
    commit = _say(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if not commit:
        return None
    looked = ["."] if is_whole else [f":(literal){name}" for name in sorted(sent)]
    status = _run(folder, "status", "--porcelain", "--untracked-files=normal", "--", *looked) or b""
    names = _run(folder, "diff", "HEAD", "--name-only", "--relative", "-z") or b""
    changed = [os.fsdecode(name) for name in names.split(b"\0") if name]
    told = [name for name in changed if name in sent or not (folder / name).exists()]
    diff = b""
    if told:
        options = ("--no-color", "--no-ext-diff", "--no-textconv", "--relative")
        paths = [f":(literal){name}" for name in told[:_MAX_NAMES]]
        diff = _run(folder, "diff", "HEAD", *options, "--", *paths) or b""
    if len(diff) > MAX_DIFF_BYTES or len(told) > _MAX_NAMES:
        diff = diff[:MAX_DIFF_BYTES] + _CUT
    return GitState(
        commit,
        _say(folder, "symbolic-ref", "--quiet", "--short", "HEAD") or None,
        _without_credentials(_say(folder, "config", "--get", "remote.origin.url")),
        bool(status.strip()),
        diff,
    )


def send_git(client: Client, folder: Path, snapshot: Snapshot) -> Git | None:
    """What a submit says of a code folder; its difference is uploaded. None: git knows nothing."""
    sent = {entry["path"] for entry in json.loads(snapshot.manifest)["entries"]}
    return _send(client, read_git(folder, sent))


def send_git_of_file(client: Client, file: Path) -> Git | None:
    """What a submit says of a file that brings no code folder; as `send_git`."""
    return _send(client, read_git(file.parent, {file.name}, is_whole=False))


def _send(client: Client, found: GitState | None) -> Git | None:
    if found is None:
        return None
    return {
        "commit": found.commit,
        "branch": found.branch and found.branch[:255],
        "repository": found.repository and found.repository[:2000],
        "is_dirty": found.is_dirty,
        "diff": client.blobs.upload_bytes(found.diff) if found.diff else None,
    }


def _say(folder: Path, *arguments: str) -> str:
    return (_run(folder, *arguments) or b"").decode(errors="replace").strip()


def _run(folder: Path, *arguments: str) -> bytes | None:
    # A repository's own settings can name programs to run; none of that is needed here.
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "-c", "core.quotePath=false"]
    try:
        done = subprocess.run(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _without_credentials(address: str) -> str | None:
    if not address:
        return None
    parts = urlsplit(address)
    if parts.scheme and "@" in parts.netloc:
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return address
