"""Data, components and models: what is registered under a name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mlq.client.documents import AliasMove, DataAsset, DataVersion, Job, Model, ModelVersion
from mlq.client.downloads import save, save_tree
from mlq.client.folders import take_folder, upload_folder
from mlq.client.paths import locate
from mlq.client.session import Session
from mlq.client.snapshots import Snapshot, send, take
from mlq.client.uploads import Progress, upload, upload_bytes
from mlq.errors import NotFoundError, SpecError, SpecProblem
from mlq.spec import BUILTIN, Component, JobTemplate, find_builtin, parse_component

#: A server reads every byte of a table before it answers.
_READING_S = 3600.0
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

    def upload_bytes(self, content: bytes) -> str:
        """Put bytes at hand into the store, unless they are there; return their SHA-256."""
        return upload_bytes(self._session, content)

    def send(self, snapshot: Snapshot, *, progress: Progress = lambda size: None) -> int:
        """Put a folder into the store: only the files that it lacks; how many those were."""
        return send(self._session, snapshot, progress=progress)

    def download(self, digest: str, *, to: Path) -> Path:
        """Save the file or folder of this SHA-256 as `to`, which must not be there yet."""
        try:
            return save_tree(self._session, f"/v1/trees/{digest}", to=to)
        except NotFoundError:
            return save(self._session, f"/v1/blobs/{digest}", to=to)


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
        type: str | None = None,
        tags: Mapping[str, str] | None = None,
        version: int | None = None,
        progress: Progress = lambda size: None,
    ) -> DataVersion:
        """Register a local file or folder as the next version, or as the number `version`.

        type: of a folder also `mltable`. Identical bytes keep the version they have. Raises as
        `upload` and `upload_folder` do.
        """
        check_name(name)
        send = upload_folder if path.is_dir() else upload
        digest = send(self._session, path, progress=progress)
        body = {
            "digest": digest,
            "type": type or ("uri_folder" if path.is_dir() else "uri_file"),
            "file_name": path.resolve().name or name,
            "description": description,
            "tags": dict(tags) if tags else None,
            "version": version,
        }
        body = {key: value for key, value in body.items() if value is not None}
        return cast(
            DataVersion, self._session.json("POST", locate("/v1/data/{}/versions", name), json=body)
        )

    def import_url(
        self,
        name: str,
        url: str,
        *,
        copy: bool = True,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        version: int | None = None,
    ) -> DataVersion:
        """Register what the server finds at `url`: http(s), s3, or a file that it shares.

        copy: keep the bytes in the store; without, they are read where they are.
        """
        check_name(name)
        body = {
            "url": url,
            "copy": copy,
            "description": description or "",
            "tags": dict(tags or {}),
            "version": version,
        }
        answer = self._session.json(
            "POST", f"/v1/data/{name}/import", json=body, timeout_s=_READING_S
        )
        return cast(DataVersion, answer)

    def preview(self, name: str, *, version: str = "latest", rows: int = 20) -> dict[str, Any]:
        """The first rows of a table: `columns`, `rows`, `is_whole`."""
        return self._look(f"{name}/versions/{version}/preview", rows=rows)

    def profile(self, name: str, *, version: str = "latest") -> dict[str, Any]:
        """Each column of a table: type, missing and distinct values, distribution."""
        return self._look(f"{name}/versions/{version}/profile")

    def diff(self, name: str, *, base: str, version: str = "latest") -> dict[str, Any]:
        """How a version differs from the version `base`: schema, rows, drift of each column."""
        return self._look(f"{name}/versions/{version}/diff", base=base)

    def _look(self, path: str, **query: Any) -> dict[str, Any]:
        answer = self._session.json(
            "GET", f"/v1/data/{path}", params=query or None, timeout_s=_READING_S
        )
        return cast("dict[str, Any]", answer)

    def list(self, *, limit: int | None = 50) -> list[DataAsset]:
        """All datasets by name."""
        return list(self._session.pages("/v1/data", limit=limit))

    def versions(self, name: str, *, limit: int | None = 50) -> Sequence[DataVersion]:
        """The versions of a dataset, newest first."""
        return list(self._session.pages(locate("/v1/data/{}/versions", name), limit=limit))

    def get(self, name: str, *, version: str = "latest") -> DataVersion:
        """One version of a dataset."""
        return cast(
            DataVersion, self._session.json("GET", locate("/v1/data/{}/versions/{}", name, version))
        )

    def lineage(self, name: str, *, version: str = "latest") -> dict[str, Any]:
        """{"subject", "upstream", "downstream"} of a version."""
        path = f"/v1/data/{name}/versions/{version}/lineage"
        return cast("dict[str, Any]", self._session.json("GET", path))

    def delete(self, name: str, *, version: str) -> None:
        """Delete a version; refused while it is in use."""
        self._session.request("DELETE", f"/v1/data/{name}/versions/{version}")


class Components:
    """`/v1/components`: reusable step definitions, with their ports."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, definition: Mapping[str, Any]) -> dict[str, Any]:
        """Register a component, as its file has it with what it names written out.

        Raises SpecError; ConflictError where its version says something else.
        """
        answer = self._session.json("POST", "/v1/components", json=dict(definition))
        return cast("dict[str, Any]", answer)

    def list(self, *, limit: int | None = None) -> list[dict[str, Any]]:
        """All components."""
        return list(self._session.pages("/v1/components", limit=limit))

    def versions(self, name: str, *, limit: int | None = None) -> Sequence[dict[str, Any]]:
        """The versions of a component, latest first."""
        return list(self._session.pages(locate("/v1/components/{}/versions", name), limit=limit))

    def get(self, name: str) -> dict[str, Any]:
        """One component with its inputs and outputs; `NAME:VERSION` names a version."""
        return cast("dict[str, Any]", self._session.json("GET", locate("/v1/components/{}", name)))

    def find(self, reference: str) -> Component | JobTemplate | None:
        """What a `component:` of a job file stands for, to compile it here."""
        name, _ = parse_component(reference)
        if name in BUILTIN or not name.startswith("mlq:"):
            return find_builtin(reference)
        try:
            found = self.get(reference)
        except NotFoundError:
            return None
        return JobTemplate(found["name"], found["version"], found["definition"])


class Models:
    """`/v1/models`: registered models, their versions and aliases."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(
        self,
        name: str,
        path: Path,
        *,
        type: str = "mlflow_model",
        description: str = "",
        tags: Mapping[str, str] | None = None,
        version: int | None = None,
    ) -> ModelVersion:
        """Register a local folder, or a file alone, as the next version of a model.

        type: mlflow_model, custom_model or triton_model. The bytes of the newest version keep it.
        """
        check_name(name)
        snapshot = take_folder(path) if path.is_dir() else take([(path.name, path)])
        send(self._session, snapshot)
        body = {
            "digest": snapshot.digest,
            "type": type,
            "description": description,
            "tags": dict(tags or {}),
            "version": version,
        }
        return cast(
            ModelVersion,
            self._session.json("POST", locate("/v1/models/{}/versions", name), json=body),
        )

    def list(self, *, limit: int | None = 50) -> list[Model]:
        """All models."""
        return list(self._session.pages("/v1/models", limit=limit))

    def get(self, name: str) -> Model:
        """A model with its aliases."""
        return cast(Model, self._session.json("GET", locate("/v1/models/{}", name)))

    def versions(self, name: str, *, limit: int | None = 50) -> Sequence[ModelVersion]:
        """The versions of a model, newest first."""
        return list(self._session.pages(locate("/v1/models/{}/versions", name), limit=limit))

    def version(self, name: str, version: str | int) -> ModelVersion:
        """One version, by number or alias."""
        path = locate("/v1/models/{}/versions/{}", name, version)
        return cast(ModelVersion, self._session.json("GET", path))

    def download(self, name: str, version: str | int, *, to: Path) -> Path:
        """Unpack the model package of a version into the new folder `to`."""
        return save_tree(
            self._session, locate("/v1/models/{}/versions/{}/package", name, version), to=to
        )

    def card(self, name: str, version: str | int, *, form: str = "markdown") -> str:
        """The card of a version; form: markdown or html."""
        path = f"/v1/models/{name}/versions/{version}/card"
        return self._session.request("GET", path, params={"format": form}).text

    def lineage(self, name: str, version: str | int) -> dict[str, Any]:
        """{"subject", "upstream", "downstream"} of a version; nodes are {"kind", "uri", "note"}."""
        path = f"/v1/models/{name}/versions/{version}/lineage"
        return cast("dict[str, Any]", self._session.json("GET", path))

    def delete(self, name: str, version: str | int | None = None) -> None:
        """Delete a version, or the whole model; refused while it is in use."""
        which = f"/versions/{version}" if version is not None else ""
        self._session.request("DELETE", f"/v1/models/{name}{which}")

    def reproduce(self, name: str, version: str | int) -> Job:
        """Submit the steps that a version came from again, on the same data."""
        path = f"/v1/models/{name}/versions/{version}/reproduce"
        return cast(Job, self._session.json("POST", path))

    def compare(self, name: str, version: str | int, *, job: str) -> dict[str, Any]:
        """{"equal", "steps"}: how a job differs from what made the version."""
        path = f"/v1/models/{name}/versions/{version}/comparison"
        return cast("dict[str, Any]", self._session.json("GET", path, params={"job": job}))

    def promote(
        self, name: str, *, version: str | int, alias: str = "production", reason: str | None = None
    ) -> AliasMove:
        """Move an alias to a version (a number, or another alias such as `staging`)."""
        body = {"alias": alias, "version": str(version), "reason": reason}
        body = {key: value for key, value in body.items() if value is not None}
        return cast(
            AliasMove, self._session.json("POST", locate("/v1/models/{}/aliases", name), json=body)
        )

    def rollback(
        self,
        name: str,
        *,
        alias: str = "production",
        to: int | None = None,
        reason: str | None = None,
        force: bool = False,
    ) -> AliasMove:
        """Move an alias back to what it was before its last move, or to the version `to`.

        force: also where requests that suit the present version would fail.
        """
        body = {"alias": alias, "to": to, "reason": reason, "force": force or None}
        body = {key: value for key, value in body.items() if value is not None}
        return cast(
            AliasMove, self._session.json("POST", locate("/v1/models/{}/rollback", name), json=body)
        )

    def undo_rollback(self, name: str, *, alias: str = "production", reason: str = "") -> AliasMove:
        """Put an alias back on what it was before its last move, a rollback; resumes it too."""
        body = {"alias": alias, "reason": reason}
        path = locate("/v1/models/{}/rollback/undo", name)
        return cast(AliasMove, self._session.json("POST", path, json=body))

    def resume(self, name: str, *, alias: str = "production", reason: str = "") -> bool:
        """Let pipelines move an alias again; False where they might anyway."""
        body = {"alias": alias, "reason": reason}
        answer = self._session.json("POST", locate("/v1/models/{}/resume", name), json=body)
        return bool(answer["changed"])

    def history(
        self, name: str, *, alias: str | None = None, limit: int | None = 50
    ) -> Sequence[AliasMove]:
        """Every move of an alias, newest first."""
        return list(
            self._session.pages(locate("/v1/models/{}/history", name), limit=limit, alias=alias)
        )
