"""What is done with the database before anything starts, in a process of its own.

Apart from the supervisor, so that it need not keep SQLAlchemy in memory for as long as mlq runs.
`python -m mlq.onemachine.prepare RESULT` reads the settings from the environment and writes
`{"login": TOKEN, "gpus": NUMBER}` or `{"error": {…}}` to the file RESULT. The admin's token is that
of MLQ_TOKEN, as containers are given it, else that of the file in MLQ_HOME.
"""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

from mlq.errors import MlqError, SettingsError
from mlq.onemachine.home import TOKEN_FILE
from mlq.settings import Settings, load_settings

ACTOR = "mlq up"


def prepare_database(settings: Settings, *, admin_token: str) -> str:
    """Bring the database to this version, make the admin token known; a one-time login token."""
    from mlq.db import Database
    from mlq.db.migrate import upgrade
    from mlq.service import tokens

    upgrade(settings.database)
    database = Database.open(settings.database)
    try:
        with database.write() as conn:
            tokens.adopt(conn, admin_token, name="admin", role="admin", actor=ACTOR)
            login = tokens.create(
                conn,
                name="console",
                role="admin",
                actor=ACTOR,
                kind="login",
                expires_in_s=tokens.LOGIN_LIFETIME_S,
                # 144 bits are plenty for ten minutes, and the address fits into a line
                secret=lambda: secrets.token_urlsafe(18),
            )
    finally:
        database.close()
    return login.token


def count_gpus(choice: str) -> int:
    """How many GPUs the setting `gpus` (auto, none or a list such as 0,1) leaves to workers."""
    if choice == "none":
        return 0
    if choice != "auto":
        return len([part for part in choice.split(",") if part.strip()])
    try:
        import pynvml

        pynvml.nvmlInit()
        try:
            return int(pynvml.nvmlDeviceGetCount())
        finally:
            pynvml.nvmlShutdown()
    except Exception:  # no driver, no device, no library: in each case there is no GPU to use
        return 0


def _read_token(home: Path) -> str:
    try:
        return (home / TOKEN_FILE).read_text().strip()
    except OSError:
        raise SettingsError(
            f"There is no admin token: neither MLQ_TOKEN nor {home / TOKEN_FILE}.",
            hint="Set MLQ_TOKEN, for example to the output of `openssl rand -hex 32`.",
        ) from None


def main(result: Path) -> int:
    """Prepare, write what came of it to `result`; the exit code."""
    result.touch(mode=0o600)
    try:
        settings = load_settings()
        token = settings.token.get_secret_value() or _read_token(settings.home)
        login = prepare_database(settings, admin_token=token)
    except MlqError as error:
        result.write_text(json.dumps({"error": error.as_dict()}))
        print(f"{error.message} {error.hint}".strip(), file=sys.stderr)
        return 1
    result.write_text(json.dumps({"login": login, "gpus": count_gpus(settings.gpus)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
