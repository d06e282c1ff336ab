"""A registered model inside an application: `mlq.load_model("models:/churn@production")`."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlq.errors import MlqError, SettingsError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlq.client import Client
    from mlq.models.package import LoadedModel

log = logging.getLogger("mlq.models")

REFRESH_S = 30.0


class EmbeddedModel:
    """A model that answers in this process. Safe to use from many threads.

    One that follows an alias looks every `refresh_s` whether it moved, beside the callers, and
    swaps when the new version is loaded. What cannot be reached or loaded changes nothing.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        label: str,
        *,
        refresh_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._name = name
        self._label = label
        self._refresh_s = refresh_s
        self._clock = clock
        self._folder = Path(tempfile.mkdtemp(prefix="mlq-model-"))
        self._forget = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._looking = threading.Lock()
        self._version, self._model = self._load(self._find())
        self._look_at = clock() + refresh_s

    @property
    def uri(self) -> str:
        """The version that answers now: `models:/churn/3`."""
        return f"models:/{self._name}/{self._version}"

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Predictions for raw rows, shape (rows,). Raises StepError as LoadedModel.predict does."""
        return self._current().predict(rows)

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        """Probabilities, shape (rows, classes). Raises StepError, also where there are none."""
        return self._current().predict_proba(rows)

    @property
    def classes(self) -> tuple[Any, ...]:
        """Labels in the order of `predict_proba`'s columns; empty for a regression."""
        return self._current().classes

    def refresh(self) -> bool:
        """Look now whether the alias moved; True where another version answers since.

        Raises MlqError where that cannot be known or loaded; the present version stays.
        """
        with self._looking:
            version = self._find()
            if version == self._version:
                return False
            self._version, self._model = self._load(version)
            return True

    def _current(self) -> LoadedModel:
        if self._clock() >= self._look_at and not self._label.isdecimal():
            self._look_at = self._clock() + self._refresh_s
            threading.Thread(target=self._refresh_beside, name="mlq-model", daemon=True).start()
        return self._model

    def _refresh_beside(self) -> None:
        try:
            self.refresh()
        except MlqError as error:
            log.warning("%s goes on answering: %s", self.uri, error)

    def _find(self) -> int:
        return int(self._client.models.version(self._name, self._label)["version"])

    def _load(self, version: int) -> tuple[int, LoadedModel]:
        from mlq.models.package import load_package

        folder = self._folder / str(version)
        if not folder.exists():
            self._client.models.download(self._name, version, to=folder)
        return version, load_package(folder)


_loaded: dict[tuple[str, str], EmbeddedModel] = {}
_loading = threading.Lock()


def load_model(
    uri: str, *, client: Client | None = None, refresh_s: float = REFRESH_S
) -> EmbeddedModel:
    """A registered model to predict with in this process; the same object for the same `uri`.

    uri: `models:/NAME@ALIAS`, which is followed, or `models:/NAME/VERSION`. client: of the server
    in charge; else the one that MLQ_API_URL and MLQ_TOKEN name, or `mlq up` on this machine. Needs
    what the model needs (`mlq-platform[science]`), nothing of the server's.
    Raises MlqError (code `invalid`) for another kind of reference; NotFoundError; UnavailableError.
    """
    name, label = _parse(uri)
    opened = client or _open_client()
    with _loading:
        key = (opened.url, uri)
        found = _loaded.get(key)
        if found is None:
            found = _loaded[key] = EmbeddedModel(opened, name, label, refresh_s=refresh_s)
        return found


def _parse(uri: str) -> tuple[str, str]:
    text = uri.removeprefix("models:/")
    mark = "@" if "@" in text else "/"
    name, _, label = text.partition(mark)
    if text == uri or not name or not label or "/" in label:
        raise MlqError(
            f"'{uri:.80}' is no reference to a model.",
            code="invalid",
            hint="Write models:/NAME@ALIAS or models:/NAME/VERSION.",
        )
    return name, label


def _open_client() -> Client:
    from mlq.client import Client
    from mlq.settings import load_settings

    settings = load_settings()
    if not settings.api_url:
        raise SettingsError(
            "No server is known to load the model from: MLQ_API_URL is not set.",
            hint="Set MLQ_API_URL and MLQ_TOKEN, or pass a client.",
        )
    return Client(settings.api_url, settings.token.get_secret_value())
