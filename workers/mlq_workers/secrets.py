"""Secrets that a step names, decrypted on the worker."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from mlq.db import Database
from mlq.errors import UnavailableError
from mlq.service import secrets
from mlq.service.vault import open_vault
from mlq.settings import Settings

logger = logging.getLogger("mlq.secrets")

_RETRY_S = 0.25


def reveal_secrets(
    database: Database, settings: Settings, root_id: str, names: Sequence[str]
) -> Mapping[str, str]:
    """Secrets by name, for a step of the tree of root_id.

    While the database is away, tries until the keeper ends this attempt. Raises SettingsError
    where this machine has no key, StepError as `secrets.reveal` does.
    """
    vault = open_vault(settings)
    while True:
        try:
            with database.read() as conn:
                return secrets.reveal(conn, root_id, names, vault=vault)
        except UnavailableError as error:
            logger.warning("secrets of %s wait: %s", root_id, error)
            time.sleep(_RETRY_S)
