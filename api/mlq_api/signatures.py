"""Whether one model version can answer what another one was asked."""

from __future__ import annotations

from mlq.artifacts import Store
from mlq.db.registry import ModelVersion
from mlq.errors import ConflictError, MlqError
from mlq.models.package import read_signature
from mlq.models.signature import Signature, find_breaks


def check_fits(store: Store, present: ModelVersion, wanted: ModelVersion) -> None:
    """Raise ConflictError (code `signature_differs`) where callers of `present` would notice.

    A package that cannot be read tells nothing, and must not stand in the way of going back.
    """
    breaks = find_breaks(_read(store, present), _read(store, wanted))
    if breaks:
        raise ConflictError(
            f"{wanted.uri} cannot take the place of {present.uri}: {'; '.join(breaks)}.",
            code="signature_differs",
            hint="`force` (--force) does it all the same; callers must change what they send.",
        )


def _read(store: Store, version: ModelVersion) -> Signature:
    try:
        return read_signature(store.fetch(version.digest, kind="tree"))
    except MlqError:
        return Signature()
