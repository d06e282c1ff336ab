"""`python -m mlq_api.serving`: what `mlq serve` and `mlq up` start."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence

from mlq.errors import SettingsError
from mlq.settings import SERVE_PORT, load_settings
from mlq_api.serving.app import run

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line (or `arguments`) and the environment, then serve."""
    parser = argparse.ArgumentParser(prog="mlq serve", description="Serve models and endpoints.")
    parser.add_argument("--host", help="address to bind, MLQ_HOST or 127.0.0.1 by default")
    parser.add_argument("--port", type=int, default=SERVE_PORT, help="%(default)s by default")
    parser.add_argument(
        "--plain-http",
        action="store_true",
        default=None,
        help="bind other addresses than loopback without TLS, MLQ_PLAIN_HTTP by default",
    )
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for name in _THREADS:
        # Requests run beside each other; threads within one would only take turns with the others.
        os.environ.setdefault(name, "1")
    settings = load_settings(host=given.host, plain_http=given.plain_http)
    try:
        run(settings, host=settings.host, port=given.port)
    except SettingsError as error:
        raise SystemExit(f"{error.message} {error.hint}".strip()) from None


if __name__ == "__main__":
    main()
