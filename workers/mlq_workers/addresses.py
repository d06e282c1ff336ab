"""Inputs that lie at an address: fetched into the store when their step starts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from mlq.artifacts import Entry, Store
from mlq.db import Database, registry
from mlq.db.registry import Artifact
from mlq.errors import StepError
from mlq.service.execution import Attempt, Input
from mlq.service.imports import Imported, read_source
from mlq.service.locations import locate
from mlq.settings import Settings

_KEPT = 64


class Addresses:
    """What lies at addresses, read once for each job tree by this process.

    The steps of a tree and the turns of a sweep so see the same bytes, as far as they share a slot.
    """

    def __init__(self, settings: Settings, database: Database, store: Store) -> None:
        self._settings = settings
        self._database = database
        self._store = store
        self._read: OrderedDict[tuple[str, str, str], Input] = OrderedDict()

    def fetch(
        self, attempt: Attempt, *, say: Callable[[str], None], watch: Callable[[], None]
    ) -> Attempt:
        """The attempt with all its inputs in the store. say: a line for the job's log.

        watch: called from piece to piece; what it raises ends the reading. Raises MlqError where
        an address may not be read, or cannot be.
        """
        if not any(given.address for given in attempt.inputs.values()):
            return attempt
        inputs = {
            name: self._fetch(attempt.claim.root_id, given, say, watch) if given.address else given
            for name, given in attempt.inputs.items()
        }
        return replace(attempt, inputs=inputs)

    def _fetch(
        self, root_id: str, given: Input, say: Callable[[str], None], watch: Callable[[], None]
    ) -> Input:
        place = (root_id, given.address, given.type)
        if place in self._read:
            self._read.move_to_end(place)
            return self._read[place]
        source = locate(
            given.address,
            datastores=self._settings.datastores,
            prefixes=self._settings.data_urls,
        )
        found = read_source(
            self._store,
            source,
            copy=True,
            max_bytes=self._settings.max_upload_bytes,
            watch=watch,
        )
        shown = given.address.partition("?")[0]
        say(f"read {shown}: {found.size_bytes:,} bytes, sha256 {found.digest}\n")
        digest, kind = self._fit(found, given)
        stored = Artifact(digest, kind, found.size_bytes)
        self._database.transact(registry.add_artifacts, [stored])
        made = Input(given.type, digest=digest, kind=kind, name=found.file_name, uri=shown)
        self._read[place] = made
        if len(self._read) > _KEPT:
            self._read.popitem(last=False)
        return made

    def _fit(self, found: Imported, given: Input) -> tuple[str, registry.Kind]:
        """What was read as the input takes it: a file alone may be a folder's only one."""
        if found.type == "uri_folder":
            if given.type == "uri_file":
                raise StepError(
                    f"{given.address:.200} is a folder, and the input takes a file.",
                    code="invalid_data",
                )
            return found.digest, "tree"
        if given.type in ("uri_file", "custom_model"):
            return found.digest, "blob"
        entry = Entry(found.file_name, found.digest, found.size_bytes)
        return self._store.put_entries([entry]).digest, "tree"
