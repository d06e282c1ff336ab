"""Data, components and models: what is registered under a name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from mlq.client.documents import AliasMove, DataAsset, DataVersion, Model, ModelVersion
from mlq.client.downloads import save_tree
from mlq.client.session import Session
from mlq.client.uploads import Progress, upload
from mlq.errors import SpecError, SpecProblem

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


def check_name(name: str) -> str:
    """The name, if it can stand in an address and in a job file. Raises SpecError."""
    if not _NAME.fullmatch(name):
        words = (
            f"{name!r} is not a name: letters, digits, '.', '_' and '-', a letter or digit first."
        )
        raise SpecError([SpecProblem("name", words)])
    return name


class Blobs:
    """`/v1/blobs`: bytes by their digest."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def upload(self, path: Path, *, progress: Progress = lambda size: None) -> str:
        """Put a file into the store, unless it is there; return its SHA-256."""
        return upload(self._session, path, progress=progress)


class Data:
    """`/v1/data`: named, versioned datasets."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(
        self,
        name: str,
        path: Path,
        *,
        description: str | None = None,
        progress: Progress = lambda size: None,
    ) -> DataVersion:
        """Register a local file as the next version; identical bytes keep the version they have."""
        check_name(name)
        digest = upload(self._session, path, progress=progress)
        body = {
            "digest": digest,
            "type": "uri_file",
            "file_name": path.name,
            "description": description,
        }
        body = {key: value for key, value in body.items() if value is not None}
        return cast(DataVersion, self._session.json("POST", f"/v1/data/{name}/versions", json=body))

    def list(self, *, limit: int | None = 50) -> list[DataAsset]:
        """All datasets by name."""
        return list(self._session.pages("/v1/data", limit=limit))

    def versions(self, name: str, *, limit: int | None = 50) -> Sequence[DataVersion]:
        """The versions of a dataset, newest first."""
        return list(self._session.pages(f"/v1/data/{name}/versions", limit=limit))

    def get(self, name: str, *, version: str = "latest") -> DataVersion:
        """One version of a dataset."""
        return cast(DataVersion, self._session.json("GET", f"/v1/data/{name}/versions/{version}"))


class Components:
    """`/v1/components`: reusable step definitions, with their ports."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, *, limit: int | None = None) -> list[dict[str, Any]]:
        """All components."""
        return list(self._session.pages("/v1/components", limit=limit))

    def get(self, name: str) -> dict[str, Any]:
        """One component with the description of its inputs and outputs."""
        return cast("dict[str, Any]", self._session.json("GET", f"/v1/components/{name}"))


class Models:
    """`/v1/models`: registered models, their versions and aliases."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, *, limit: int | None = 50) -> list[Model]:
        """All models."""
        return list(self._session.pages("/v1/models", limit=limit))

    def get(self, name: str) -> Model:
        """A model with its aliases."""
        return cast(Model, self._session.json("GET", f"/v1/models/{name}"))

    def versions(self, name: str, *, limit: int | None = 50) -> Sequence[ModelVersion]:
        """The versions of a model, newest first."""
        return list(self._session.pages(f"/v1/models/{name}/versions", limit=limit))

    def version(self, name: str, version: str | int) -> ModelVersion:
        """One version, by number or alias."""
        path = f"/v1/models/{name}/versions/{version}"
        return cast(ModelVersion, self._session.json("GET", path))

    def download(self, name: str, version: str | int, *, to: Path) -> Path:
        """Unpack the model package of a version into the new folder `to`."""
        return save_tree(self._session, f"/v1/models/{name}/versions/{version}/package", to=to)

    def promote(
        self, name: str, *, version: str | int, alias: str = "production", reason: str | None = None
    ) -> AliasMove:
        """Move an alias to a version (a number, or another alias such as `staging`)."""
        body = {"alias": alias, "version": str(version), "reason": reason}
        body = {key: value for key, value in body.items() if value is not None}
        return cast(AliasMove, self._session.json("POST", f"/v1/models/{name}/aliases", json=body))

    def rollback(
        self,
        name: str,
        *,
        alias: str = "production",
        to: int | None = None,
        reason: str | None = None,
    ) -> AliasMove:
        """Move an alias back to what it was before its last move, or to the version `to`."""
        body = {"alias": alias, "to": to, "reason": reason}
        body = {key: value for key, value in body.items() if value is not None}
        return cast(AliasMove, self._session.json("POST", f"/v1/models/{name}/rollback", json=body))

    def history(
        self, name: str, *, alias: str | None = None, limit: int | None = 50
    ) -> Sequence[AliasMove]:
        """Every move of an alias, newest first."""
        return list(self._session.pages(f"/v1/models/{name}/history", limit=limit, alias=alias))
