"""What addresses of job files stand for, and which may be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlq.errors import MlqError, SpecError
from mlq.service.locations import locate, require_readable
from mlq.spec import compile_job, read_document

STORES = {
    "box": "s3://bucket/folder?endpoint_url=http://minio:9000",
    "web": "https://data.example.org/all/",
}


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (
            "azureml://datastores/box/paths/fruit/a.csv",
            "s3://bucket/folder/fruit/a.csv?endpoint_url=http://minio:9000",
        ),
        (
            "azureml://subscriptions/s/resourcegroups/r/workspaces/w/datastores/box/paths/a.csv",
            "s3://bucket/folder/a.csv?endpoint_url=http://minio:9000",
        ),
        ("azureml://datastores/web/paths/a.csv", "https://data.example.org/all/a.csv"),
        ("https://example.org/a.csv", "https://example.org/a.csv"),
        ("abfss://box@account.dfs.example.org/a", "abfss://box@account.dfs.example.org/a"),
    ],
)
def test_where_it_is(address: str, url: str) -> None:
    prefixes = ["abfss://box@account.dfs.example.org/"]
    assert locate(address, datastores=STORES, prefixes=prefixes).url == url


def test_a_folder_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    stores = {"here": (tmp_path / "in").as_uri()}
    found = locate("azureml://datastores/here/paths/a.csv", datastores=stores, prefixes=[])
    assert found.path == tmp_path / "in" / "a.csv"
    with pytest.raises(MlqError) as caught:
        locate("azureml://datastores/here/paths/link/x", datastores=stores, prefixes=[])
    assert caught.value.code == "forbidden_source"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("azureml://datastores/none/paths/a.csv", "forbidden_source"),
        ("azureml://datastores/box/paths/../a.csv", "invalid"),
        ("azureml://datastores/web/paths/../a.csv", "invalid"),
        ("s3://other/a.csv", "forbidden_source"),
        ("https://me:secret@example.org/a.csv", "invalid"),
    ],
)
def test_what_may_not_be_read(address: str, code: str) -> None:
    with pytest.raises(MlqError) as caught:
        locate(address, datastores=STORES, prefixes=[])
    assert caught.value.code == code


def test_it_is_said_where_it_stands() -> None:
    plan = compile_job(
        read_document(
            "jobs: {a: {command: 'cat ${{inputs.x}}', inputs: "
            "{x: {type: uri_file, path: 's3://other/a.csv'}}}}"
        ),
        computes=None,
    )
    with pytest.raises(SpecError, match="reads nothing from s3://other") as caught:
        require_readable(plan, datastores={}, prefixes=[])
    assert caught.value.problems[0].path == "jobs.a.inputs.x"
