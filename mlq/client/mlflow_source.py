"""An MLflow server that is read from: its REST API 2.0, as its documentation describes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from mlq.client.problems import UnreachableError
from mlq.errors import ForbiddenError, MlqError, NotFoundError, UnauthorizedError, UnavailableError

_API = "/api/2.0"
_PROXIED = "mlflow-artifacts:"
_PAGE = 200
_TRIES = 4
_CREDENTIALS = (
    "Set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, as "
    "MLflow's own client reads them."
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a run or a model. path: below its root."""

    path: str
    size_bytes: int


class MlflowSource:
    """Reads an MLflow server. token, username, password: as MLflow's own client has them."""

    def __init__(
        self,
        uri: str,
        *,
        token: str = "",
        username: str = "",
        password: str = "",
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises MlqError (code `invalid`) for an address that is no server's."""
        self.uri = _checked(uri)
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=self.uri,
            headers={"authorization": f"Bearer {token}"} if token else {},
            auth=(username, password) if username and not token else None,
            transport=transport,
            timeout=httpx.Timeout(60.0, connect=10.0),
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def check(self) -> None:
        """Raise what is wrong with the address or the credentials."""
        self._post("experiments/search", {"max_results": 1})

    def experiments(self) -> Iterator[dict[str, Any]]:
        """Experiments that are not deleted."""
        return self._pages("experiments/search", "experiments", {"view_type": "ACTIVE_ONLY"})

    def runs(self, experiment_id: str) -> Iterator[dict[str, Any]]:
        """Runs of an experiment that are not deleted, the oldest first."""
        body = {"experiment_ids": [experiment_id], "order_by": ["attributes.start_time ASC"]}
        return self._pages("runs/search", "runs", body)

    def history(self, run_id: str, key: str) -> Iterator[dict[str, Any]]:
        """Every value of a metric of a run."""
        query = {"run_id": run_id, "metric_key": key, "max_results": 10_000}
        while True:
            page = self._get("metrics/get-history", query)
            yield from page.get("metrics") or []
            query["page_token"] = page.get("next_page_token") or ""
            if not query["page_token"]:
                return

    def logged_models(self, experiment_id: str) -> Iterator[dict[str, Any]]:
        """Logged models of an experiment; servers before MLflow 3 have none."""
        try:
            yield from self._pages(
                "logged-models/search", "models", {"experiment_ids": [experiment_id]}, size=50
            )
        except NotFoundError:
            return

    def registered_models(self) -> Iterator[dict[str, Any]]:
        """Registered models."""
        return self._get_pages("registered-models/search", "registered_models", {})

    def versions(self, name: str) -> list[dict[str, Any]]:
        """Versions of a registered model, the oldest first."""
        quoted = name.replace("'", "''")
        query = {"filter": f"name = '{quoted}'"}
        found = list(self._get_pages("model-versions/search", "model_versions", query))
        return sorted(found, key=lambda one: int(one["version"]))

    def address_of_version(self, name: str, version: str) -> str:
        """Where a version's files are."""
        found = self._get("model-versions/get-download-uri", {"name": name, "version": version})
        return str(found.get("artifact_uri") or "")

    def files(self, address: str, *, run_id: str = "") -> Iterator[SourceFile]:
        """Files below an artifact address; run_id: of the run whose root it is.

        Raises UnavailableError where the server does not hand them out.
        """
        folders = [""]
        while folders:
            folder = folders.pop()
            for entry in self._listed(address, folder, run_id=run_id):
                if entry.get("is_dir"):
                    folders.append(entry["path"])
                else:
                    yield SourceFile(entry["path"], int(entry.get("file_size") or 0))

    def _listed(self, address: str, folder: str, *, run_id: str) -> Iterator[dict[str, Any]]:
        """Entries of a folder, with their paths below the root."""
        if address.startswith(_PROXIED):
            below = _join(_proxied(address), folder)
            found = self._json(
                "GET", f"{_API}/mlflow-artifacts/artifacts", params={"path": below}
            ).get("files")
            for entry in found or []:
                yield {**entry, "path": _join(folder, entry["path"].rpartition("/")[2])}
            return
        if not run_id:
            raise UnavailableError(
                f"The files at {address} are not handed out by the server.",
                hint="Start it with --serve-artifacts, or register the model by hand.",
            )
        token = ""
        while True:
            query = {"run_id": run_id, "path": folder or None, "page_token": token or None}
            page = self._get("artifacts/list", {k: v for k, v in query.items() if v})
            yield from page.get("files") or []
            token = page.get("next_page_token") or ""
            if not token:
                return

    def read(self, address: str, path: str, *, run_id: str = "") -> Iterator[bytes]:
        """A file's bytes, as they come. One try: who reads begins anew."""
        if address.startswith(_PROXIED):
            where = quote(_join(_proxied(address), path))
            url, params = f"{_API}/mlflow-artifacts/artifacts/{where}", {}
        else:
            url, params = "/get-artifact", {"run_uuid": run_id, "path": path}
        try:
            with self._http.stream("GET", url, params=params) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise self._problem(answer)
                yield from answer.iter_bytes()
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    # requests

    def _pages(
        self, path: str, name: str, body: Mapping[str, Any], *, size: int = _PAGE
    ) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            more = {"page_token": token} if token else {}
            page = self._post(path, {**body, "max_results": size, **more})
            yield from page.get(name) or []
            token = page.get("next_page_token") or ""
            if not token:
                return

    def _get_pages(
        self, path: str, name: str, query: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            more = {"page_token": token} if token else {}
            page = self._get(path, {**query, "max_results": _PAGE, **more})
            yield from page.get(name) or []
            token = page.get("next_page_token") or ""
            if not token:
                return

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._json("POST", f"{_API}/mlflow/{path}", json=body)

    def _get(self, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        return self._json("GET", f"{_API}/mlflow/{path}", params=query)

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The answer to a request that only reads, and so may be sent again."""
        for left in reversed(range(_TRIES)):
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                # Who refuses at once is probably not there.
                if not left or isinstance(error, httpx.ConnectError):
                    raise self._unreachable(error) from error
            else:
                if answer.status_code < 400:
                    return self._read(answer)
                if not left or answer.status_code not in {429, 502, 503, 504}:
                    raise self._problem(answer)
            self._sleep(0.5 * 2 ** (_TRIES - left))
        raise AssertionError("the last try returns or raises")

    def _read(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._no_mlflow()
        return found

    def _problem(self, answer: httpx.Response) -> MlqError:
        status = answer.status_code
        try:
            words = answer.json()
        except ValueError:
            words = {}
        message = str(words.get("message") or words.get("detail") or "")[:300]
        if status == 401:
            return UnauthorizedError(f"{self.uri} wants to know who asks (401).", hint=_CREDENTIALS)
        if status == 403:
            return ForbiddenError(
                f"{self.uri} refuses to be read (403){': ' + message if message else '.'}",
                hint=_CREDENTIALS,
            )
        if status == 404:
            if "error_code" in words:
                return NotFoundError(f"{self.uri}: {message}")
            return self._no_mlflow()
        return MlqError(f"{self.uri} answered {status}{': ' + message if message else '.'}")

    def _no_mlflow(self) -> NotFoundError:
        return NotFoundError(
            f"{self.uri} does not answer as an MLflow server does.",
            hint="Give the address of MLflow's REST API, with its path prefix if it has one.",
        )

    def _unreachable(self, error: httpx.TransportError) -> UnreachableError:
        return UnreachableError(
            f"No answer from {self.uri} ({str(error) or type(error).__name__}).",
            hint="Is MLflow's server running there, and reachable from this machine?",
        )


def _checked(uri: str) -> str:
    try:
        address = httpx.URL(uri)
    except httpx.InvalidURL:
        address = httpx.URL("")
    if address.scheme not in {"http", "https"} or not address.host:
        raise MlqError(
            f"{uri!r:.200} is not the address of an MLflow server.",
            code="invalid",
            hint="Write http://HOST:PORT. A store without a server (a folder, sqlite:///…) gets "
            "one by `mlflow server --backend-store-uri STORE`.",
        )
    if address.userinfo:
        raise MlqError(
            "The address holds a password, which would be kept with what is imported.",
            code="invalid",
            hint=_CREDENTIALS,
        )
    return str(address).rstrip("/")


def _proxied(address: str) -> str:
    """The path that an `mlflow-artifacts:` address names; it may name a host before it."""
    rest = address.removeprefix(_PROXIED)
    if rest.startswith("//"):
        rest = rest[2:].partition("/")[2]
    return rest.strip("/")


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
