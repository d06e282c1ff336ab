from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from mlq.client import Client
from mlq.errors import MlqError, UnavailableError
from mlq.sdk.serving import EmbeddedModel, load_model
from tests.packages import ROWS, write_constant
from tests.servers import wait_until


class Registry:
    """Stands in for `client.models`: versions are folders, the alias is on one of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.production = 1
        self.downloads: list[int] = []
        self.is_away = False
        self.url = f"http://{folder.name}"
        self.models = self
        for number, answer in enumerate(("one", "two"), 1):
            write_constant(folder / str(number), answer)

    def version(self, name: str, label: str) -> dict[str, Any]:
        if self.is_away:
            raise UnavailableError("away")
        return {"version": int(label) if label.isdecimal() else self.production}

    def download(self, name: str, version: int, *, to: Path) -> Path:
        self.downloads.append(version)
        return Path(shutil.copytree(self.folder / str(version), to))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


def load(registry: Registry, uri: str = "models:/churn@production") -> EmbeddedModel:
    return load_model(uri, client=cast(Client, registry))


def test_a_model_answers_and_follows_its_alias(registry: Registry) -> None:
    model = load(registry)
    assert set(model.predict(ROWS)) == {"one"}
    assert model.predict_proba(ROWS).shape == (len(ROWS), 2)
    assert model.classes == ("one", "other")
    assert not model.refresh()
    registry.production = 2
    assert model.refresh()
    assert (model.uri, set(model.predict(ROWS))) == ("models:/churn/2", {"two"})
    registry.production = 1
    assert model.refresh()
    assert registry.downloads == [1, 2]  # the way back is on disk


def test_the_same_reference_is_the_same_object(registry: Registry) -> None:
    assert load(registry) is load(registry)
    assert load(registry) is not load(registry, "models:/churn/2")


def test_a_server_that_is_away_changes_nothing(registry: Registry) -> None:
    model = load(registry)
    registry.is_away = True
    with pytest.raises(UnavailableError):
        model.refresh()
    assert set(model.predict(ROWS)) == {"one"}


def test_it_looks_beside_its_callers_when_it_is_time(registry: Registry) -> None:
    now = [0.0]
    client = cast(Client, registry)
    model = EmbeddedModel(client, "churn", "production", refresh_s=30, clock=lambda: now[0])
    registry.production = 2
    model.predict(ROWS)
    assert registry.downloads == [1]
    now[0] = 31.0
    with model._looking:  # the look cannot end; the call does
        assert set(model.predict(ROWS)) == {"one"}
    wait_until(lambda: model.uri == "models:/churn/2")
    assert set(model.predict(ROWS)) == {"two"}


@pytest.mark.parametrize(
    "uri", ["churn", "models:/churn", "mlq:churn:1", "models:/a/b/c", "models:/@x"]
)
def test_other_references_are_refused(registry: Registry, uri: str) -> None:
    with pytest.raises(MlqError) as caught:
        load(registry, uri)
    assert caught.value.code == "invalid"
