"""The key of secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from mlq.errors import SettingsError
from mlq.service.vault import open_vault
from mlq.settings import KEY_FILE, Settings


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with pytest.raises(SettingsError, match="no key for the secrets") as raised:
        open_vault(settings)
    assert raised.value.code == "no_secret_key"
    vault = open_vault(settings, make=True)
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert open_vault(settings, make=True) == open_vault(settings) == vault
    assert vault.key not in repr(vault)
    hidden = vault.encrypt("hunter2")
    assert "hunter2" not in hidden
    assert vault.decrypt(hidden) == "hunter2"


def test_another_machine_takes_the_key_from_its_settings(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    vault = open_vault(Settings(home=tmp_path / "a"), make=True)
    other = Settings(home=tmp_path / "b", secret_key=SecretStr(vault.key))
    assert open_vault(other).decrypt(vault.encrypt("x" * 10_000)) == "x" * 10_000
    assert open_vault(other).key_id == vault.key_id
    (tmp_path / "c").mkdir()
    stranger = open_vault(Settings(home=tmp_path / "c"), make=True)
    assert stranger.key_id != vault.key_id
    with pytest.raises(ValueError, match="not encrypted with this key"):
        stranger.decrypt(vault.encrypt("x"))
    with pytest.raises(SettingsError, match="MLQ_SECRET_KEY holds no key"):
        open_vault(Settings(home=tmp_path, secret_key=SecretStr("short")))
