"""Files of data and models: what is wrong is said with file and line, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlq.cli.asset_file import find_local, read_file, with_conda
from mlq.errors import SpecError
from mlq.spec.asset_files import DataFile, ModelFile, read_asset


@pytest.mark.parametrize(
    ("model", "text", "words"),
    [
        (DataFile, "type: uri_file\npath: a.csv", "'name' is required"),
        (DataFile, "name: x\ntype: uri_file", "'path' is required"),
        (DataFile, "name: x\npath: a.csv\ntype: table", "uri_file, uri_folder, mltable"),
        (DataFile, "name: x\npath: a.csv\nversion: '2024.1'", "are numbers"),
        (DataFile, "name: x\npath: a.csv\nverison: 1", "Unknown key"),
        (ModelFile, "name: x\npath: a.csv\ntype: onnx_model", "custom_model"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, model: type[DataFile] | type[ModelFile], text: str, words: str
) -> None:
    (tmp_path / "file.yml").write_text(text)
    with pytest.raises(SpecError, match=words) as caught:
        read_asset(read_file(tmp_path / "file.yml"), model)
    assert caught.value.problems[0].file == str(tmp_path / "file.yml")


@pytest.mark.parametrize(
    ("kind", "path", "words"),
    [
        ("uri_file", "none.csv", "There is nothing at"),
        ("uri_file", ".", "is a folder"),
        ("uri_folder", "file.yml", "is a file"),
        ("mltable", ".", "no file MLTable"),
        ("mlflow_model", ".", "no file MLmodel"),
    ],
)
def test_what_is_not_there(tmp_path: Path, kind: str, path: str, words: str) -> None:
    (tmp_path / "file.yml").write_text(f"name: x\ntype: {kind}\npath: {path}\n")
    with pytest.raises(SpecError, match=words):
        find_local(read_file(tmp_path / "file.yml"), base=tmp_path, type=kind)


def test_an_address_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "file.yml").write_text("name: x\npath: https://example.org/a.csv\n")
    document = read_file(tmp_path / "file.yml")
    assert find_local(document, base=tmp_path, type="uri_file") is None


def test_a_conda_file_is_written_out(tmp_path: Path) -> None:
    (tmp_path / "conda.yml").write_text("dependencies: [{pip: [numpy]}]\n")
    (tmp_path / "env.yml").write_text("name: x\nconda_file: conda.yml\n")
    found = with_conda(read_file(tmp_path / "env.yml"), base=tmp_path)
    assert found.data["conda_file"] == {"dependencies": [{"pip": ["numpy"]}]}
    (tmp_path / "conda.yml").unlink()
    with pytest.raises(SpecError, match="cannot be read"):
        with_conda(read_file(tmp_path / "env.yml"), base=tmp_path)
