"""Archives: the server unpacks none, and a client that unpacks a folder stays within it."""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from mlq.client.downloads import save_tree
from mlq.errors import MlqError
from tests.integration.api.conftest import Api
from tests.unit.mlq.client.test_session import Clock, Server, connect


def slip_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../evil", b"x")
        archive.writestr("/etc/evil", b"x")
        archive.writestr("bomb", b"\0" * (4 << 20))
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return out.getvalue()


def tar_of(*members: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return out.getvalue()


def member(
    name: str, *, kind: bytes = tarfile.REGTYPE, to: str = "", mode: int = 0o644, size: int = 0
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size = kind, to, mode, size
    return info


TARS: dict[str, Callable[[], bytes]] = {
    "slip": lambda: tar_of(member("../../evil", size=1)),
    "absolute": lambda: tar_of(member("/tmp/mlq-evil", size=1), member("a/../../../evil", size=1)),
    "symlink": lambda: tar_of(
        member("out", kind=tarfile.SYMTYPE, to="/"), member("out/tmp/mlq-evil", size=1)
    ),
    "symlink up": lambda: tar_of(member("out", kind=tarfile.SYMTYPE, to="../../secret")),
    "hardlink": lambda: tar_of(member("out", kind=tarfile.LNKTYPE, to="../secret")),
    "device": lambda: tar_of(member("null", kind=tarfile.CHRTYPE)),
    "pipe": lambda: tar_of(member("pipe", kind=tarfile.FIFOTYPE)),
}


@pytest.mark.parametrize("make", [slip_zip, *TARS.values()], ids=["zip", *TARS])
def test_an_archive_is_a_file_and_is_never_unpacked(
    api: Api, make: Callable[[], bytes], tmp_path: Path
) -> None:
    packed = make()
    client = api.as_role("submitter")
    before = set(tmp_path.rglob("*"))
    answer = client.post("/v1/data/a/versions", content=packed, params={"filename": "a.zip"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["type"] == "uri_file"
    got = client.get("/v1/data/a/versions/1/content")
    assert hashlib.sha256(got.content).hexdigest() == answer.json()["digest"]
    made = [path for path in set(tmp_path.rglob("*")) - before if path.is_file()]
    assert all(
        path.name in (answer.json()["digest"], "a.zip")
        for path in made
        if "artifacts" in path.parts
    )
    folder = client.put(f"/v1/trees/{answer.json()['digest']}", content=packed)
    assert 400 <= folder.status_code < 500


@pytest.mark.parametrize("make", TARS.values(), ids=TARS)
def test_a_folder_from_a_foul_server_stays_within_its_place(
    tmp_path: Path, make: Callable[[], bytes]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    to = tmp_path / "sub" / "model"
    session = connect(Server(httpx.Response(200, content=make())), Clock())
    try:
        save_tree(session, "/a", to=to)
    except MlqError:
        assert not to.exists()
    kept = {path for path in tmp_path.rglob("*") if not path.is_dir()}
    assert all(path == secret or to in path.parents for path in kept)
    assert all(path.is_file() and not path.is_symlink() for path in kept)
    assert secret.stat().st_nlink == 1
    assert not Path("/tmp/mlq-evil").exists()


def test_rights_of_files_are_not_taken_from_an_archive(tmp_path: Path) -> None:
    packed = tar_of(member("run", mode=0o6777, size=1))
    session = connect(Server(httpx.Response(200, content=packed)), Clock())
    save_tree(session, "/a", to=tmp_path / "model")
    mode = (tmp_path / "model" / "run").stat().st_mode
    assert mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH | stat.S_IWGRP) == 0
