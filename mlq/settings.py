"""Settings: environment variables `MLQ_…`, read once at an entry point and passed on as a value.

On one machine nothing needs to be set: `mlq up` writes `MLQ_HOME/server.json`, and whatever runs
beside it (CLI, SDK, `celery -A mlq_workers`) takes address, database and broker from there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as ReadingError

from mlq.errors import SettingsError

DEFAULT_PORT = 8420
SERVE_PORT = 8421
SERVER_FILE = "server.json"
TOKEN_FILE = "token"
KEY_FILE = "secret.key"


class Settings(BaseSettings):
    """Everything an operator can set. Durations are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="MLQ_", frozen=True, extra="ignore")

    home: Path = Field(default=Path("~/.mlq"), description="State of this machine.")
    database_url: str = Field(
        default="", description="SQLite file or PostgreSQL, as SQLAlchemy URL."
    )
    broker_url: str = Field(default="", description="redis://, rediss:// or amqp:// URL.")
    artifact_url: str = Field(default="", description="Artifact store: a folder or an fsspec URL.")
    api_url: str = Field(default="", description="Address of the API, for clients.")
    token: SecretStr = Field(default=SecretStr(""), description="Bearer token, for clients.")

    project: str = Field(default="", description="Project to keep to, for clients.")

    host: str = Field(default="127.0.0.1", description="Address the API binds.")
    plain_http: bool = Field(
        default=False, description="Bind other addresses than loopback without TLS."
    )
    port: int = Field(default=DEFAULT_PORT, ge=1, le=65535, description="Port of the API.")
    root_path: str = Field(default="", description="Path prefix behind a reverse proxy.")
    allowed_hosts: list[str] = Field(default=[], description="Further Host names to answer to.")
    serve_url: str = Field(
        default="", description="Address of `mlq serve`, for the API to pass on."
    )
    serve_onnx: Literal["auto", "off"] = Field(
        default="auto", description="Whether `mlq serve` uses ONNX where a model has it."
    )
    drift_s: float = Field(
        default=60, gt=0, description="Between two looks of `mlq serve` at what was asked."
    )
    flower_url: str = Field(default="", description="Address of Flower, for the API to pass on.")
    flower_auth: SecretStr = Field(default=SecretStr(""), description="user:password of Flower.")
    failed_logins_per_minute: int = Field(
        default=30, ge=1, description="Unknown tokens from one address."
    )
    metrics_token: SecretStr = Field(default=SecretStr(""), description="Token for /metrics only.")
    max_body_bytes: int = Field(default=8 * 2**20, ge=1024, description="Largest JSON/YAML body.")
    max_upload_bytes: int = Field(default=64 * 2**30, ge=1024, description="Largest data upload.")

    data_urls: list[str] = Field(
        default=[], description="Addresses that data may be registered from, with what is below."
    )

    datastores: dict[str, str] = Field(
        default={}, description="Datastores of job files -> addresses that they stand for, as JSON."
    )
    computes: dict[str, str] = Field(
        default={}, description="Compute names of job files -> worker tags, as JSON."
    )
    queue_prefix: str = Field(default="", description="Put before queue names on a shared broker.")
    task_events: Literal["on", "off"] = Field(default="on", description="Celery events for Flower.")

    lease_s: float = Field(
        default=30, gt=0, description="A silent worker loses its jobs after this."
    )
    heartbeat_s: float = Field(default=10, gt=0, description="Lease renewal; below a third of it.")
    cancel_poll_s: float = Field(
        default=1, gt=0, description="How soon a running job learns of it."
    )
    reconcile_s: float = Field(default=2, gt=0, description="Between two passes of recovery.")
    leader_lease_s: float = Field(
        default=6, gt=0, description="A silent leader of recovery is replaced after this."
    )
    republish_grace_s: float = Field(
        default=5, gt=0, description="Before a message counts as lost."
    )
    drain_grace_s: float = Field(default=30, ge=0, description="For running steps after SIGTERM.")
    sweep_slice_s: float = Field(
        default=1, gt=0, description="A sweep's runner lets others have its slot after this."
    )
    window_per_slot: int = Field(default=8, ge=1, description="Messages outstanding per live slot.")
    max_lost: int = Field(default=3, ge=1, description="Attempts lost with their worker, at most.")
    max_log_bytes: int = Field(default=16 * 2**20, ge=4096, description="Kept log of one attempt.")

    keep_jobs_s: float | None = Field(
        default=None, ge=0, description="Of whole jobs that ended and made no model."
    )
    keep_logs_s: float | None = Field(default=None, ge=0, description="Of logs of ended jobs.")
    keep_metrics_s: float | None = Field(
        default=None, ge=0, description="Of ended jobs' metrics but for the last values."
    )
    keep_events_s: float | None = Field(
        default=None, ge=0, description="Of the history of jobs that are gone, and of acts."
    )
    keep_unnamed_s: float | None = Field(
        default=None, ge=3600, description="Of artifacts that nothing names any more."
    )

    secret_key: SecretStr = Field(
        default=SecretStr(""), description="Key of secrets; else the file secret.key in MLQ_HOME."
    )
    webhook_hosts: list[str] = Field(
        default=[], description="Hosts of webhooks that may be in the inner network."
    )
    smtp_url: SecretStr = Field(default=SecretStr(""), description="Mail server of webhooks.")
    smtp_sender: str = Field(default="", description="Whom mails of webhooks come from.")

    hide_home: bool = Field(
        default=False, description="Keep commands from the files in MLQ_HOME; needs Landlock."
    )
    gpus: str = Field(default="auto", description="auto, none, or a list such as 0,1.")
    environment_keep_s: float = Field(
        default=14 * 86400, ge=0, description="Of a Python environment that no step has used."
    )
    warm_modules: str = Field(
        default="auto", description="auto, none, or modules that scripts start with, by commas."
    )

    @field_validator("home")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def artifact_root(self) -> str:
        """The artifact store's URL, the folder below home by default."""
        return self.artifact_url or str(self.home / "artifacts")

    @property
    def database(self) -> str:
        """The database's URL, a SQLite file below home by default."""
        return self.database_url or f"sqlite:///{self.home / 'mlq.db'}"

    def queue(self, compute: str) -> str:
        """Name of the Celery queue that serves `compute`."""
        return f"{self.queue_prefix}{compute}"


def load_settings(**overrides: Any) -> Settings:
    """Read the environment, then `server.json` for what it does not say.

    overrides: settings given on a command line; None means not given.
    Raises SettingsError naming the variable that makes no sense.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = Settings(**given)
        server = read_server_file(settings.home)
        found = {
            name: server[name]
            for name in ("database_url", "broker_url", "artifact_url", "api_url", "queue_prefix")
            if server.get(name) and not getattr(settings, name)
        }
        # a token file belongs to the server beside it, and is not sent anywhere else
        token = settings.home / TOKEN_FILE
        ours = not settings.api_url or settings.api_url == server.get("api_url")
        if not settings.token.get_secret_value() and ours and token.is_file():
            found["token"] = token.read_text().strip()
        settings = settings.model_copy(
            update={k: SecretStr(v) if k == "token" else v for k, v in found.items()}
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = "MLQ_" + str(first["loc"][0]).upper() if first["loc"] else "a setting"
        raise SettingsError(
            f"{name}: {first['msg']}.", hint="See docs/reference/settings.md."
        ) from None
    except ReadingError as error:  # a list or a mapping that is not JSON
        name = "MLQ_" + str(error).partition('"')[2].partition('"')[0].upper()
        raise SettingsError(
            f"{name} is not JSON.",
            hint='Lists are written as ["a", "b"], mappings as {"a": "b"}.',
        ) from None
    if settings.heartbeat_s * 3 > settings.lease_s + 1e-9:
        raise SettingsError(
            f"MLQ_HEARTBEAT_S={settings.heartbeat_s:g} must be at most a third of "
            f"MLQ_LEASE_S={settings.lease_s:g}, or one late beat loses healthy jobs."
        )
    return settings


def read_server_file(home: Path) -> dict[str, Any]:
    """What `mlq up` on this machine wrote, or an empty mapping."""
    try:
        content = json.loads((home / SERVER_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
