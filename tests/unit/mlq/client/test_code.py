"""Which files of a code folder go along."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlq.artifacts import Store
from mlq.client import code
from mlq.client.code import scan, take_code
from mlq.errors import MlqError, TooLargeError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "src"
    for path, text in {
        "train.py": "print()",
        "lib/__init__.py": "",
        "lib/__pycache__/x.pyc": "x",
        "lib/data/big.csv": "1",
        "data/a.csv": "1",
        "data/keep.txt": "k",
        "a.log": "log",
        ".env": "E=1",
        ".git/HEAD": "ref",
        "venv/pyvenv.cfg": "",
        "venv/bin/python": "",
    }.items():
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_text(text)
    (made / "empty").mkdir()
    return made


def paths(folder: Path) -> list[str]:
    return [entry["path"] for entry in json.loads(take_code(folder).manifest)["entries"]]


def test_without_an_ignore_file_caches_environments_and_git_stay(folder: Path) -> None:
    assert paths(folder) == [
        ".env",
        "a.log",
        "data/a.csv",
        "data/keep.txt",
        "lib/__init__.py",
        "lib/data/big.csv",
        "train.py",
    ]


def test_a_gitignore_counts_unless_there_is_an_amlignore(folder: Path) -> None:
    (folder / ".gitignore").write_text("*.log\n# words\n\n/data/*\n!data/keep.txt\n.env\n")
    assert paths(folder) == [
        ".gitignore",
        "data/keep.txt",
        "lib/__init__.py",
        "lib/data/big.csv",
        "train.py",
    ]
    (folder / ".amlignore").write_text("data/\n.*\n")
    assert paths(folder) == ["a.log", "lib/__init__.py", "train.py"]
    (folder / ".amlignore").write_text("!\n")
    with pytest.raises(MlqError, match="amlignore cannot be read") as raised:
        take_code(folder)
    assert raised.value.code == "unusable_code"
    (folder / ".amlignore").write_text("*\n")
    with pytest.raises(MlqError, match="holds no file that goes along"):
        take_code(folder)


def test_the_digest_is_the_one_that_a_worker_would_give_it(folder: Path, tmp_path: Path) -> None:
    (folder / "train.py").chmod(0o755)
    (folder / "é.py").write_text("é")
    for gone in (".git/HEAD", "venv/pyvenv.cfg", "venv/bin/python", "lib/__pycache__/x.pyc"):
        (folder / gone).unlink()
    stored = Store.open(str(tmp_path / "store"), cache=tmp_path / "cache").put_tree(folder)
    assert take_code(folder).digest == stored.digest


def test_links_inside_are_followed_and_others_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "also.py").symlink_to("train.py")
    (folder / "lib2").symlink_to("lib")
    found = dict(scan(folder.resolve()))
    assert found["also.py"].read_text() == "print()"
    assert "lib2/__init__.py" in found
    (folder / "lib" / "up").symlink_to("..")
    with pytest.raises(
        MlqError, match=r"lib2?/up in the code folder is a link to a folder that it"
    ):
        take_code(folder)
    (folder / "lib" / "up").unlink()
    (tmp_path / "secret").write_text("s")
    for target, words in (("../secret", "leads out of the folder"), ("none", "leads nowhere")):
        (folder / "out").unlink(missing_ok=True)
        (folder / "out").symlink_to(target)
        with pytest.raises(MlqError, match=words) as raised:
            take_code(folder)
        assert raised.value.code == "unusable_code"
    (folder / ".amlignore").write_text("out\n")
    assert "out" not in paths(folder)


def test_a_folder_that_is_too_large_is_refused_before_it_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (folder / "big.bin").open("wb") as file:
        file.truncate(code.MAX_BYTES)  # takes no room
    with pytest.raises(
        TooLargeError, match=r"at most 20,000 files and 512 MiB \(reached at"
    ) as big:
        take_code(folder)
    assert ".amlignore" in big.value.hint
    monkeypatch.setattr(code, "MAX_FILES", 3)
    (folder / "big.bin").unlink()
    with pytest.raises(TooLargeError, match="at most 3 files"):
        take_code(folder)
