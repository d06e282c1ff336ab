"""What runs on one machine: each service's command, environment and place in stopping order."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from mlq.onemachine import valkey
from mlq.onemachine.home import BROKER_FOLDER
from mlq.onemachine.ports import LOOPBACK
from mlq.onemachine.supervisor import Service

#: Asks the program `prepare` to connect to the broker as well.
CHECK_BROKER = "--check-broker"

# Workers first, while the API can still answer what they do; the broker last.
WORKERS, FRONT, BROKER = 1, 2, 3
#: What more than one service needs. Imported once, before any is started, so that they share the
#: memory and nobody waits for it twice. None of these starts a thread or reads the environment.
COMMON = (
    "asyncio",
    "celery.app.base",
    "kombu.transport.redis",
    "pydantic",
    "redis",
    "sqlalchemy.dialects.sqlite",
    "uvicorn.config",
    "fastapi",
    "mlq.artifacts",
    "mlq.broker",
    "mlq.db.migrate",
    "mlq.db.queries",
    "mlq.service.jobs",
    "mlq.service.tokens",
)
# After its own grace a worker needs a moment to hand back what it could not finish.
_RELEASE_S = 5


@dataclass(frozen=True)
class Layout:
    """Addresses and numbers of one `mlq up`, decided before anything starts.

    host: what the API binds, beyond loopback only with plain_http; api_url: how clients of this
    machine reach it; allowed_hosts: names beyond loopback and `host` that it answers to. The broker
    is embedded where broker_port is set. cores: worker slots for compute `cpu`.
    """

    home: Path
    host: str
    plain_http: bool
    port: int
    api_url: str
    allowed_hosts: Sequence[str]
    database_url: str
    broker_url: str
    artifact_url: str
    queue_prefix: str
    serve_port: int
    flower_port: int | None
    flower_auth: str
    broker_port: int | None
    broker_password: str
    cores: int
    drain_grace_s: float

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Environment of every service: what was inherited, and the settings of this `mlq up`."""
        settings = {
            "MLQ_HOME": str(self.home),
            "MLQ_DATABASE_URL": self.database_url,
            "MLQ_BROKER_URL": self.broker_url,
            "MLQ_ARTIFACT_URL": self.artifact_url,
            "MLQ_API_URL": self.api_url,
            "MLQ_QUEUE_PREFIX": self.queue_prefix,
        }
        # a client's token of the terminal has no business in services
        kept = {name: value for name, value in inherited.items() if name != "MLQ_TOKEN"}
        return kept | settings | {"PYTHONUNBUFFERED": "1"}

    def server_file(self) -> dict[str, object]:
        """What whoever works beside it on this machine needs to know."""
        return {
            "pid": os.getpid(),
            "api_url": self.api_url,
            "database_url": self.database_url,
            "broker_url": self.broker_url,
            "artifact_url": self.artifact_url,
            "queue_prefix": self.queue_prefix,
        }


def broker(layout: Layout) -> Service:
    """The embedded Valkey server."""
    assert layout.broker_port is not None, "the broker is not embedded"
    config = valkey.write_config(
        layout.home / BROKER_FOLDER, port=layout.broker_port, password=layout.broker_password
    )
    return Service(
        name="broker",
        command=[str(valkey.find_server()), str(config)],
        env={"PATH": os.defpath, "LC_ALL": "C"},
        stop_rank=BROKER,
    )


def prepare(layout: Layout, env: Mapping[str, str], result: Path) -> Service:
    """The program that brings the database up to date, and asks a broker that was given."""
    asked = [CHECK_BROKER] if layout.broker_port is None else []
    command = ["mlq.onemachine.prepare", str(result), *asked]
    return Service("prepare", command, env, fork=True)


def api(layout: Layout, env: Mapping[str, str]) -> Service:
    """The API and the console."""
    own = {
        "MLQ_HOST": layout.host,
        "MLQ_PLAIN_HTTP": str(layout.plain_http).lower(),
        "MLQ_PORT": str(layout.port),
        "MLQ_ALLOWED_HOSTS": json.dumps(layout.allowed_hosts),
        "MLQ_SERVE_URL": f"http://{LOOPBACK}:{layout.serve_port}",
    }
    if layout.flower_port is not None:
        own["MLQ_FLOWER_URL"] = f"http://{LOOPBACK}:{layout.flower_port}"
        own["MLQ_FLOWER_AUTH"] = layout.flower_auth
    return Service("api", ["mlq_api"], {**env, **own}, fork=True, stop_rank=FRONT)


def serve(layout: Layout, env: Mapping[str, str]) -> Service:
    """The process that answers predictions, behind the API's address."""
    command = ["mlq_api.serving", "--port", str(layout.serve_port)]
    return Service("serve", command, {**env, "MLQ_HOST": LOOPBACK}, fork=True, stop_rank=FRONT)


def worker(layout: Layout, env: Mapping[str, str], *, compute: str, slots: int) -> Service:
    """A worker with `slots` slots for one compute."""
    return Service(
        name=f"worker-{compute}",
        command=["mlq_workers", "-Q", compute, "-c", str(slots)],
        env=env,
        fork=True,
        stop_rank=WORKERS,
        stop_grace=timedelta(seconds=layout.drain_grace_s + _RELEASE_S),
    )


def flower(layout: Layout, env: Mapping[str, str]) -> Service:
    """Flower, to look and not to touch, behind the API's address and login."""
    own = {
        "FLOWER_ADDRESS": LOOPBACK,
        "FLOWER_PORT": str(layout.flower_port),
        "FLOWER_URL_PREFIX": "flower",
        "FLOWER_READ_ONLY": "true",
        "FLOWER_BASIC_AUTH": layout.flower_auth,
    }
    return Service(
        name="flower",
        # options by the environment, since everybody on the machine can read a command line
        command=["mlq_workers.flower"],
        env={**env, **own},
        fork=True,
        stop_rank=FRONT,
        # it holds nothing, and waits for its broker inspections if it may
        stop_grace=timedelta(seconds=1),
    )
