from __future__ import annotations

import pytest

from mlq.db import registry
from mlq.db.engine import Database
from mlq.errors import MlqError, NotFoundError
from mlq.service import assets, data, models
from mlq.service.assets import Asset

A = "a" * 64


@pytest.fixture
def asset(database: Database, churn: str) -> Asset:
    """Data asset mlq:leavers:1, and alias production of model churn on version 2."""
    with database.write() as conn:
        data.create_version(
            conn,
            name="leavers",
            digest=A,
            type="uri_file",
            file_name="leavers.csv",
            size_bytes=5,
            actor="ann",
        )
        models.set_alias(conn, name=churn, alias="production", version=2, actor="ann")
    return Asset("uri_file", A, "blob", "leavers.csv", "mlq:leavers:1", 5)


def test_data_resolves_to_its_version(database: Database, asset: Asset) -> None:
    texts = ["mlq:leavers:1", "azureml:leavers:1", "mlq:leavers@latest", "azureml:leavers@latest"]
    with database.read() as conn:
        assert assets.resolve(conn, texts) == dict.fromkeys(texts, asset)


def test_a_model_resolves_to_its_version(database: Database, asset: Asset) -> None:
    versions = {
        "models:/churn/1": 1,
        "models:/churn@production": 2,
        "models:/churn/latest": 3,
        "models:/churn@latest": 3,
    }
    with database.read() as conn:
        for text, version in versions.items():
            found = assets.resolve(conn, [text])[text]
            uri = f"models:/churn/{version}"
            assert found == Asset("mlflow_model", f"{version:064x}", "tree", "churn", uri, 7)
            assert assets.resolve_late(conn, text) == found


def test_an_artifact_resolves_by_its_digest(database: Database, asset: Asset) -> None:
    with database.write() as conn:
        registry.add_artifacts(conn, [registry.Artifact("c" * 64, "tree", 2)])
        found = assets.resolve(
            conn, [f"artifact:sha256:{A}/rows.csv", f"artifact:sha256:{'c' * 64}"]
        )
    assert list(found.values()) == [
        Asset("uri_file", A, "blob", "rows.csv", f"artifact:sha256:{A}/rows.csv", 5),
        Asset("uri_folder", "c" * 64, "tree", "", f"artifact:sha256:{'c' * 64}", 2),
    ]


@pytest.mark.parametrize(
    "text",
    ["mlq:leavrs:1", "mlq:leavers:2", "models:/churn/9", f"artifact:sha256:{'d' * 64}"],
)
def test_what_is_not_there_says_so_at_once_or_late(
    database: Database, asset: Asset, text: str
) -> None:
    with database.read() as conn:
        with pytest.raises(NotFoundError):
            assets.resolve(conn, [text])
        assert assets.resolve_late(conn, text) is None


@pytest.mark.parametrize(
    "text", ["mlq:leavers", "./leavers.csv", "https://x.org/y", "models:/churn"]
)
def test_what_is_no_reference_is_refused(database: Database, text: str) -> None:
    with database.read() as conn:
        with pytest.raises(MlqError) as refused:
            assets.resolve(conn, [text])
        assert refused.value.code == "invalid"
        with pytest.raises(MlqError):
            assets.resolve_late(conn, text)
