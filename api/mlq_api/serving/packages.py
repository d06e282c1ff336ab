"""Models in memory: those that endpoints route to, and the least recently used few besides."""

from __future__ import annotations

import gc
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from mlq.artifacts import Store
from mlq.db.routing import Target
from mlq.errors import MlqError, StepError
from mlq.models.package import EXAMPLE_FILE, LoadedModel, load_package
from mlq_api.serving import rows

log = logging.getLogger(__name__)

#: Kept besides the routed ones: what aliases were on before stays warm for the way back.
SPARE = 8


class Packages:
    """Loaded models by the digest of their package. Safe to use from many threads."""

    def __init__(self, store: Store, *, spare: int = SPARE, with_onnx: bool = True) -> None:
        self._store = store
        self._with_onnx = with_onnx
        self._spare = spare
        self._loaded: OrderedDict[str, LoadedModel] = OrderedDict()
        self._pinned: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}

    def get(self, target: Target) -> LoadedModel | None:
        """The model, if it is in memory."""
        with self._lock:
            model = self._loaded.get(target.digest)
            if model is not None:
                self._loaded.move_to_end(target.digest)
            return model

    def is_loaded(self, target: Target) -> bool:
        """Whether the model is in memory; does not count as a use."""
        with self._lock:
            return target.digest in self._loaded

    def load(self, target: Target) -> LoadedModel:
        """The model, read and warmed where it is not in memory.

        Raises MlqError: the package is missing, damaged, not trusted, or does not answer its own
        example.
        """
        with self._lock:
            alone = self._loading.setdefault(target.digest, threading.Lock())
        try:
            with alone:
                model = self.get(target)
                if model is None:
                    model = self._read(target)
                    with self._lock:
                        self._loaded[target.digest] = model
                        self._trim()
                return model
        finally:
            with self._lock:
                if not alone.locked():
                    self._loading.pop(target.digest, None)

    def pin(self, targets: Iterable[Target]) -> None:
        """Keep these in memory, and of the others only the spare."""
        with self._lock:
            self._pinned = frozenset(target.digest for target in targets)
            self._trim()

    def _trim(self) -> None:
        others = [digest for digest in self._loaded if digest not in self._pinned]
        for digest in others[: max(0, len(others) - self._spare)]:
            del self._loaded[digest]

    def _read(self, target: Target) -> LoadedModel:
        began = time.monotonic()
        path = self._store.fetch(target.digest, kind="tree")
        model = load_package(path, with_onnx=self._with_onnx, with_bare=True)
        warm(model, path)
        log.info(
            "%s is loaded",
            target.uri,
            extra={"action": "model_loaded", "seconds": round(time.monotonic() - began, 3)},
        )
        return model


def import_stack() -> None:
    """Import what reading and running a model needs: two seconds that nobody should wait for."""
    import pandas  # noqa: F401
    import skops.io  # noqa: F401

    import mlq.models.transformers  # noqa: F401

    gc.freeze()  # hundreds of thousands of objects that stay: no collection need look at them


def warm(model: LoadedModel, path: Path) -> None:
    """Let a model answer the example in its package, so that no request pays for the first time.

    A package without an example stays cold. Raises StepError (code `invalid_model`).
    """
    file = path / EXAMPLE_FILE
    if not file.is_file():
        return
    try:
        example = json.loads(file.read_text(encoding="utf-8"))
        table, _ = rows.from_table(model.signature, example["columns"], example["data"])
        frame = table.frame()
        model.predict(frame)
        if model.has_probabilities:
            model.predict_proba(frame)
    except (MlqError, ValueError, KeyError, TypeError) as error:
        raise StepError(
            f"The model does not answer the example in its own package: {error}",
            code="invalid_model",
        ) from error
