"""Bytes at an address outside the store: http(s), a file of shared storage, object storage.

What the network answers is read piece by piece; nothing here holds a whole file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit, urlunsplit

from mlq.addresses import pinned
from mlq.artifacts.digests import CHUNK_BYTES
from mlq.errors import MlqError, SettingsError, UnavailableError

SETTING = "MLQ_DATA_URLS"
_HTTP = ("http", "https")
_CONTAINERS = ("abfs", "abfss", "wasb", "wasbs")
_MAX_REDIRECTS = 5
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where bytes are, as who may say so has allowed it.

    url: with the options of object storage; hosts: names that may lead into the inner network.
    """

    url: str
    hosts: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The address without query, which may carry a signature."""
        return urlunsplit(urlsplit(self.url)._replace(query="", fragment=""))

    @property
    def path(self) -> Path | None:
        """The file or folder of a `file:` address."""
        parts = urlsplit(self.url)
        return Path(unquote(parts.path)) if parts.scheme == "file" else None


@dataclass(frozen=True, slots=True)
class Link:
    """A source that stands in for bytes which the store has not.

    modified_ns: modification time of a file when it was hashed, nanoseconds since the epoch.
    """

    source: Source
    size_bytes: int
    modified_ns: int | None = None

    def dump(self) -> bytes:
        """As the store keeps it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def load(cls, content: bytes) -> Link:
        """What `dump` wrote."""
        fields = json.loads(content)
        source = Source(fields["source"]["url"], tuple(fields["source"]["hosts"]))
        return cls(source, fields["size_bytes"], fields["modified_ns"])


def allow(url: str, prefixes: Sequence[str]) -> Source:
    """The source at `url`, where an operator's `prefixes` or a public web address allow it.

    Options of a prefix (`s3://data/?endpoint_url=http://minio:9000&addressing_style=path`) hold for
    what is below it. Raises MlqError: `invalid` for what is no address, `forbidden_source`.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises where it is no number
    except ValueError as error:
        raise MlqError(f"{url!r:.200} is no address: {error}.", code="invalid") from None
    if not parts.scheme or not (parts.netloc or parts.path) or not url.isprintable():
        raise MlqError(
            f"{url!r:.200} is no address.",
            code="invalid",
            hint="Use http://, https://, s3://BUCKET/KEY or file:///PATH.",
        )
    # of Azure's storage the container stands there
    is_container = parts.scheme in _CONTAINERS and parts.password is None
    if (parts.username is not None and not is_container) or parts.password is not None:
        raise MlqError(
            "An address of data carries no password: it would be kept with the version.",
            code="invalid",
        )
    if parts.scheme in _HTTP:
        if not parts.hostname:
            raise MlqError(f"{url!r:.200} names no host.", code="invalid")
        hosts = {
            urlsplit(prefix).hostname or ""
            for prefix in prefixes
            if urlsplit(prefix).scheme in _HTTP and url.startswith(prefix)
        }
        return Source(url, tuple(sorted(hosts)))
    if ".." in parts.path.split("/") or parts.query or parts.fragment:
        raise MlqError(
            f"{url!r:.200} is no plain path: leave out '..', '?' and '#'.", code="invalid"
        )
    for prefix in prefixes:
        allowed = urlsplit(prefix)
        if allowed.scheme != parts.scheme or allowed.netloc != parts.netloc:
            continue
        if parts.scheme == "file":
            # a symbolic link must not lead out of what was allowed
            inside = Path(unquote(allowed.path)).resolve()
            found = Path(unquote(parts.path)).resolve()
            if found == inside or inside in found.parents:
                return Source(found.as_uri())
        elif f"{parts.path}/".startswith(f"{allowed.path.rstrip('/')}/"):
            return Source(urlunsplit(parts._replace(query=allowed.query)))
    raise MlqError(
        f"This server reads nothing from {parts.scheme}://{parts.netloc}{parts.path!s:.200}.",
        code="forbidden_source",
        hint=f"An operator may name it, or a folder above it, in {SETTING}.",
    )


def split_options(url: str) -> tuple[str, dict[str, Any]]:
    """An fsspec URL without its query, and what the query says to the file system of S3.

    endpoint_url; addressing_style (`path`, `virtual` or `auto`); region; anon (`true`).
    Raises SettingsError for other options.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("s3", "s3a") or not parts.query:
        return url, {}
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    options: dict[str, Any] = {}
    if endpoint := given.pop("endpoint_url", ""):
        options["endpoint_url"] = endpoint
    if style := given.pop("addressing_style", ""):
        options["config_kwargs"] = {"s3": {"addressing_style": style}}
    if region := given.pop("region", ""):
        options["client_kwargs"] = {"region_name": region}
    if given.pop("anon", "") == "true":
        options["anon"] = True
    if given:
        raise SettingsError(
            f"{url}: S3 has no option {', '.join(sorted(given))}.",
            hint="There are endpoint_url, addressing_style, region and anon=true.",
        )
    return urlunsplit(parts._replace(query="")), options


def read_chunks(source: Source) -> Iterator[bytes]:
    """The bytes at `source`, in order. Raises MlqError where they cannot be had."""
    if source.path is not None:
        yield from _read_file(source.path)
    elif urlsplit(source.url).scheme in _HTTP:
        yield from _read_web(source)
    else:
        yield from _read_object(source)


def list_files(source: Source) -> list[tuple[str, Source]] | None:
    """Files below a folder of object storage by their relative path; None for a single file."""
    url, options = split_options(source.url)
    if urlsplit(url).scheme in _HTTP:
        return None
    try:
        client, root = _open_filesystem(url, options)
        if client.isfile(root):
            return None
        found = sorted(path for path in client.find(root))
    except MlqError:
        raise
    except Exception as error:  # each client has errors of its own
        raise _unreachable(source, error) from error
    if not found:
        raise _absent(source)
    query = urlsplit(source.url).query
    root = root.rstrip("/")
    base = url.rstrip("/")
    return [
        (path.removeprefix(root + "/"), Source(f"{base}/{path.removeprefix(root + '/')}?{query}"))
        for path in found
    ]


def _read_file(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except FileNotFoundError:
        raise _absent(Source(path.as_uri())) from None
    except OSError as error:
        raise _unreachable(Source(path.as_uri()), error) from error


def _read_object(source: Source) -> Iterator[bytes]:
    url, options = split_options(source.url)
    try:
        client, path = _open_filesystem(url, options)
        with client.open(path, "rb", block_size=4 * CHUNK_BYTES, cache_type="readahead") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except FileNotFoundError:
        raise _absent(source) from None
    except MlqError:
        raise
    except Exception as error:
        raise _unreachable(source, error) from error


def _open_filesystem(url: str, options: dict[str, Any]) -> tuple[Any, str]:
    import fsspec

    try:
        client, path = fsspec.core.url_to_fs(
            url, use_listings_cache=False, skip_instance_cache=True, **options
        )
    except (ImportError, ValueError) as error:
        raise SettingsError(
            f"{url} cannot be opened: {error}.",
            hint="Install the fsspec package of that protocol, such as s3fs or gcsfs.",
        ) from error
    return client, str(path)


def _read_web(source: Source) -> Iterator[bytes]:
    import httpx

    target = source.url
    try:
        # no redirects of its own, no proxy: they could lead past the check of the address
        with httpx.Client(
            timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False, verify=_trusted()
        ) as client:
            for _ in range(_MAX_REDIRECTS + 1):
                url, extensions = pinned(target, allowed=source.hosts, setting=SETTING)
                headers = {"host": httpx.URL(target).netloc.decode(), "user-agent": "mlq"}
                with client.stream("GET", url, headers=headers, extensions=extensions) as answer:
                    if answer.is_redirect:
                        target = urljoin(target, answer.headers["location"])
                        if urlsplit(target).scheme not in _HTTP:
                            raise MlqError(
                                f"{source.shown} leads off the web, to {target!r:.200}.",
                                code="forbidden_source",
                            )
                        continue
                    if answer.status_code == 404:
                        raise _absent(source)
                    if not answer.is_success:
                        raise UnavailableError(
                            f"{source.shown} answered {answer.status_code}; nothing was read.",
                            code="source_unavailable",
                        )
                    yield from answer.iter_bytes(CHUNK_BYTES)
                    return
            raise UnavailableError(
                f"{source.shown} redirects more than {_MAX_REDIRECTS} times.",
                code="source_unavailable",
            )
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise _unreachable(source, error) from error


def _trusted() -> Any:
    """Certificates to believe: those of SSL_CERT_FILE, which `trust_env` would have read."""
    import ssl

    file = os.environ.get("SSL_CERT_FILE")
    return ssl.create_default_context(cafile=file) if file else True


def _absent(source: Source) -> MlqError:
    return MlqError(
        f"There is nothing at {source.shown}.",
        code="source_missing",
        hint="Check the address, and that this machine may read it.",
    )


def _unreachable(source: Source, error: Exception) -> UnavailableError:
    return UnavailableError(
        f"{source.shown} cannot be read: {type(error).__name__}: {error!s:.300}.",
        code="source_unavailable",
        hint="Check the address, the credentials and the network between.",
    )
