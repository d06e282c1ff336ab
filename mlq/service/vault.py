"""The key that secrets of projects are encrypted with, and what it does.

`MLQ_SECRET_KEY` has it, or the file `MLQ_HOME/secret.key` (mode 0600), which the API makes when the
first secret is set. Workers need the same key; the database only ever sees what is encrypted.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass, field

from mlq.errors import SettingsError
from mlq.settings import KEY_FILE, Settings


@dataclass(frozen=True, slots=True)
class Vault:
    """Encrypts and decrypts. key: of Fernet, 32 bytes in URL-safe base64."""

    key: str = field(repr=False)

    @property
    def key_id(self) -> str:
        """Tells keys apart, and says nothing about them: 16 hex digits."""
        return hashlib.sha256(b"mlq secret key " + self.key.encode()).hexdigest()[:16]

    def encrypt(self, text: str) -> str:
        """What the database keeps; another text each time."""
        from cryptography.fernet import Fernet  # here: most processes never need it

        return Fernet(self.key).encrypt(text.encode()).decode()

    def decrypt(self, text: str) -> str:
        """The secret. Raises ValueError where it was not encrypted with this key."""
        from cryptography.fernet import Fernet, InvalidToken

        try:
            return Fernet(self.key).decrypt(text).decode()
        except InvalidToken:
            raise ValueError("not encrypted with this key") from None


def open_vault(settings: Settings, *, make: bool = False) -> Vault:
    """The vault of this installation.

    make: write the key file where there is no key yet. Raises SettingsError for a key that is none,
    and without `make` where there is none.
    """
    given = settings.secret_key.get_secret_value().strip()
    if given:
        return _checked(given, "MLQ_SECRET_KEY")
    path = settings.home / KEY_FILE
    if make:
        from cryptography.fernet import Fernet

        with suppress(FileExistsError):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(Fernet.generate_key() + b"\n")
                file.flush()
                os.fsync(file.fileno())
    try:
        return _checked(path.read_text().strip(), str(path))
    except OSError:
        raise SettingsError(
            "This machine has no key for the secrets of steps.",
            code="no_secret_key",
            hint=f"Set MLQ_SECRET_KEY to what MLQ_HOME/{KEY_FILE} of the API's machine holds, or "
            "copy that file into MLQ_HOME here.",
        ) from None


def _checked(key: str, where: str) -> Vault:
    from cryptography.fernet import Fernet

    try:
        Fernet(key)
    except ValueError:
        raise SettingsError(
            f"{where} holds no key: 32 bytes in URL-safe base64 are 44 characters.",
            hint=f"Take MLQ_HOME/{KEY_FILE} of the machine that the API runs on.",
        ) from None
    return Vault(key)
