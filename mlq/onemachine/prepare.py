"""What is done with database, broker and store before anything starts, in a process of its own.

Apart from the supervisor, so that it need not keep SQLAlchemy in memory for as long as mlq runs.
`python -m mlq.onemachine.prepare RESULT [--check-broker]` reads the settings from the environment
and writes `{"login": TOKEN, "gpus": NUMBER}` or `{"error": {…}}` to the file RESULT. The admin's
token is that of MLQ_TOKEN, as containers are given it, else that of the file in MLQ_HOME. Only a
broker that `mlq up` was given is asked: its own starts meanwhile, and that of containers may.
"""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from urllib.parse import urlsplit

from mlq.errors import MlqError, SettingsError, UnavailableError
from mlq.onemachine.home import TOKEN_FILE
from mlq.onemachine.services import CHECK_BROKER
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


def say_address(given: str, masked: str) -> str:
    """A broker's address without its password. masked: as kombu says it.

    kombu also masks a password that was never given.
    """
    if urlsplit(given).password is not None:
        return masked
    return masked.replace(":**@", "@").replace("://@", "://")


def check_broker(settings: Settings) -> None:
    """Raise UnavailableError unless the broker answers, SettingsError for one mlq cannot use."""
    from mlq.broker import Broker

    broker = Broker.open(settings)
    try:
        broker.check()
    except UnavailableError as error:
        address = say_address(settings.broker_url, broker.app.connection_for_write().as_uri())
        raise UnavailableError(
            error.message,
            code=error.code,
            hint=f"MLQ_BROKER_URL or --broker-url names {address}: start that broker or correct "
            "the address; without one, `mlq up` brings a broker of its own.",
        ) from error
    finally:
        broker.close()


def check_store(settings: Settings) -> None:
    """Raise an MlqError unless the artifact store takes bytes and gives them back."""
    from mlq.artifacts import Store

    Store.open(settings.artifact_root, cache=settings.home / "cache").check()


def main(result: Path, *, asks_broker: bool = False) -> int:
    """Prepare, write what came of it to `result`; the exit code."""
    result.touch(mode=0o600)
    try:
        settings = load_settings()
        if asks_broker:
            check_broker(settings)
        check_store(settings)
        token = settings.token.get_secret_value() or _read_token(settings.home)
        login = prepare_database(settings, admin_token=token)
    except MlqError as error:
        result.write_text(json.dumps({"error": error.as_dict()}))
        print(f"{error.message} {error.hint}".strip(), file=sys.stderr)
        return 1
    result.write_text(json.dumps({"login": login, "gpus": count_gpus(settings.gpus)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), asks_broker=CHECK_BROKER in sys.argv[2:]))
