"""Downloads: whole, and never outside their folder."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import httpx
import pytest

from mlq.client.downloads import save, save_tree
from mlq.errors import ConflictError, MlqError
from tests.unit.mlq.client.test_session import Clock, Server, connect


def pack(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    def broken() -> object:
        yield b"half"
        raise httpx.ReadError("broken")

    server = Server(httpx.Response(200, content=broken()))  # type: ignore[arg-type]
    with pytest.raises(MlqError):
        save(connect(server, Clock()), "/a", to=tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    save(connect(Server(httpx.Response(200, content=b"all")), Clock()), "/a", to=tmp_path / "a")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a", b"all")]


def test_a_tree_becomes_a_folder(tmp_path: Path) -> None:
    body = pack(("MLmodel", b"flavors"), ("data/model.skops", b"m"))
    to = tmp_path / "model"
    assert save_tree(connect(Server(httpx.Response(200, content=body)), Clock()), "/a", to=to) == to
    assert (to / "data" / "model.skops").read_bytes() == b"m"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]
    with pytest.raises(ConflictError, match="exists already"):
        save_tree(connect(Server(), Clock()), "/a", to=to)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil"])
def test_a_tree_stays_below_its_folder(tmp_path: Path, name: str) -> None:
    body = pack((name, b"x"))
    to = tmp_path / "sub" / "model"
    with pytest.raises(MlqError):
        save_tree(connect(Server(httpx.Response(200, content=body)), Clock()), "/a", to=to)
    assert [entry for entry in tmp_path.rglob("*") if entry.is_file()] == []


def test_what_is_no_tar_is_said_to_be_none(tmp_path: Path) -> None:
    server = Server(httpx.Response(200, content=b"<html>"))
    with pytest.raises(MlqError, match="cannot be unpacked"):
        save_tree(connect(server, Clock()), "/a", to=tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for to in (tmp_path / "none" / "a", tmp_path / "file" / "a", Path("/proc/a")):
        with pytest.raises(MlqError, match=f"{to} cannot be written") as found:
            save(connect(Server(), Clock()), "/a", to=to)
        assert found.value.code == "file_failed"
    for to in (tmp_path / "file" / "a", Path("/proc/a")):
        with pytest.raises(MlqError, match=f"{to} cannot be written"):
            save_tree(connect(Server(), Clock()), "/a", to=to)
