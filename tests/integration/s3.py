"""An S3 server over HTTP in a thread, with a bucket."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from moto.server import ThreadedMotoServer


class S3:
    """A running server. options: of addresses that lead to it, path style."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        httpx.post(f"http://{host}:{port}/moto-api/reset")  # its state is the process' own
        self.options = f"endpoint_url=http://{host}:{port}&addressing_style=path"

    def make_bucket(self, name: str) -> None:
        """An empty bucket."""
        import s3fs

        from mlq.artifacts.sources import split_options

        _, options = split_options(f"s3://{name}?{self.options}")
        self.files = s3fs.S3FileSystem(skip_instance_cache=True, **options)
        self.files.mkdir(name)

    def close(self) -> None:
        """Stop."""
        self._server.stop()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """A server with the bucket `lake`, and credentials in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not a secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = S3()
    try:
        server.make_bucket("lake")
        yield server
    finally:
        server.close()
