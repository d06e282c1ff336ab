"""Job files on their way to the server."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import httpx
import pytest

from mlq.cli.job_file import placed, prepare
from mlq.client import Client
from mlq.errors import SpecError, SpecProblem

JOB = """\
# a comment
type: pipeline
jobs:
  prep:
    component: mlq:preprocess
    inputs:
      data: {type: uri_file, path: ./my data.csv}
      target: y
"""


class Store:
    """A server of blobs."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        digest = request.url.path.rpartition("/")[2]
        if request.url.path.startswith("/v1/components/"):
            return httpx.Response(404)
        if request.method == "HEAD":
            return httpx.Response(200 if digest in self.blobs else 404)
        self.blobs[digest] = request.read()
        return httpx.Response(201)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def client(store: Store) -> Client:
    return Client("http://mlq.test", "t", transport=httpx.MockTransport(store))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "job.yml").write_text(JOB)
    (folder / "my data.csv").write_text("x,y\n1,2\n")
    return folder


def test_a_file_that_needs_no_change_is_sent_as_it_was_written(
    folder: Path, client: Client
) -> None:
    text = JOB.replace("./my data.csv", "mlq:churn:1")
    (folder / "job.yml").write_text(text)
    assert prepare(folder / "job.yml", client=client)[:2] == (text, "application/yaml")


def test_local_data_is_uploaded_from_beside_the_file(
    folder: Path, client: Client, store: Store
) -> None:
    said: list[str] = []
    text, media_type, *_ = prepare(folder / "job.yml", client=client, say=said.append)
    digest = hashlib.sha256(b"x,y\n1,2\n").hexdigest()
    assert media_type == "application/json"
    path = json.loads(text)["jobs"]["prep"]["inputs"]["data"]["path"]
    assert path == f"artifact:sha256:{digest}/my_data.csv"
    assert store.blobs == {digest: b"x,y\n1,2\n"}
    assert said == ["my data.csv: 8 B uploaded"]
    prepare(folder / "job.yml", client=client, say=said.append)
    assert said[1] == "my data.csv: 8 B, on the server already"


def test_a_path_of_the_command_line_is_relative_to_where_it_was_typed(
    folder: Path, client: Client, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.csv").write_text("other")
    monkeypatch.chdir(tmp_path)
    prepare(
        folder / "job.yml",
        client=client,
        overrides=["jobs.prep.inputs.data=other.csv", "jobs.prep.inputs.test_size=0.5"],
    )
    assert list(store.blobs.values()) == [b"other"]


def test_component_files_are_inlined_with_their_own_data(
    folder: Path, client: Client, store: Store
) -> None:
    inner = folder / "parts"
    inner.mkdir()
    (inner / "my data.csv").write_text("inner")
    (inner / "prep.yml").write_text(JOB.replace("type: pipeline", "type: pipeline"))
    (folder / "job.yml").write_text(
        "type: pipeline\njobs:\n  a:\n    type: pipeline\n    component: ./parts/prep.yml\n"
    )
    text, *_ = prepare(folder / "job.yml", client=client)
    assert json.loads(text)["jobs"]["a"]["component"]["jobs"]["prep"]["inputs"]["target"] == "y"
    assert list(store.blobs.values()) == [b"inner"]


def test_a_component_of_itself_is_refused(folder: Path, client: Client) -> None:
    (folder / "job.yml").write_text("type: pipeline\njobs:\n  a:\n    component: ./a.yml\n")
    (folder / "a.yml").write_text("type: pipeline\njobs:\n  b:\n    component: ./a.yml\n")
    with pytest.raises(SpecError, match="component of itself"):
        prepare(folder / "job.yml", client=client)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("./my data.csv", "./missing.csv", ":7: jobs.prep.inputs.data.path: There is no file"),
        ("./my data.csv", ".", ":7: jobs.prep.inputs.data.path: . is a folder"),
        ("mlq:preprocess", "mlq:preproces", "Did you mean 'mlq:preprocess'"),
        ("target", "targt", ":8: "),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_uploaded(
    folder: Path, client: Client, store: Store, old: str, new: str, words: str
) -> None:
    (folder / "job.yml").write_text(JOB.replace(old, new))
    with pytest.raises(SpecError) as caught:
        prepare(folder / "job.yml", client=client)
    assert words in caught.value.message
    assert f"{folder / 'job.yml'}:" in caught.value.message
    assert store.blobs == {}


def test_a_name_replaces_the_files(folder: Path, client: Client) -> None:
    text, *_ = prepare(folder / "job.yml", client=client, name="mine")
    assert json.loads(text)["display_name"] == "mine"


def test_what_the_server_finds_is_said_with_the_line_of_the_file(
    folder: Path, client: Client
) -> None:
    written = prepare(folder / "job.yml", client=client, name="mine").written
    found = SpecProblem("jobs.prep.inputs.data.path", "There is no such asset.", line=99)
    with pytest.raises(SpecError) as caught, placed(written):
        raise SpecError([found])
    line = 1 + JOB.splitlines().index(next(at for at in JOB.splitlines() if "my data" in at))
    assert caught.value.message.startswith(f"{folder / 'job.yml'}:{line}: jobs.prep.inputs.data")


def test_a_folder_of_data_is_sent_by_content(folder: Path, client: Client, store: Store) -> None:
    (folder / "rows").mkdir()
    (folder / "rows" / "a.csv").write_text("x\n1\n")
    (folder / "job.yml").write_text(
        "command: ls ${{inputs.rows}}\ninputs: {rows: {type: uri_folder, path: ./rows}}\n"
    )
    entry = {
        "digest": hashlib.sha256(b"x\n1\n").hexdigest(),
        "mode": 0o644,
        "path": "a.csv",
        "size_bytes": 4,
    }
    manifest = json.dumps({"entries": [entry]}, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(manifest).hexdigest()
    store.blobs[digest] = manifest  # there already: nothing is sent
    text, *_ = prepare(folder / "job.yml", client=client)
    assert json.loads(text)["inputs"]["rows"]["path"] == f"artifact:sha256:{digest}/rows"


def test_a_conda_file_is_written_out(folder: Path, client: Client) -> None:
    (folder / "conda.yml").write_text("dependencies: [pip, {pip: [tomli]}]\n")
    (folder / "job.yml").write_text("command: x\nenvironment: {conda_file: ./conda.yml}\n")
    text, *_ = prepare(folder / "job.yml", client=client)
    assert json.loads(text)["environment"] == {
        "conda_file": {"dependencies": ["pip", {"pip": ["tomli"]}]}
    }
    (folder / "conda.yml").unlink()
    with pytest.raises(SpecError, match=r"The conda file conda\.yml cannot be read"):
        prepare(folder / "job.yml", client=client)
