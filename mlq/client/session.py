"""One connection to an API: requests, and which of them are tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from json import dumps
from typing import Any

import httpx

from mlq.client.problems import UnreachableError, to_error
from mlq.errors import MlqError, SettingsError

Body = Callable[[], Iterable[bytes]]

_RETRIED_STATUS = frozenset({429, 502, 503, 504})
_SAFE = frozenset({"GET", "HEAD", "PUT"})


class Session:
    """Sends requests with the token; tries again where a second time does no harm.

    Safe are GET, HEAD and PUT, and a POST that carries an idempotency key. A server that has
    answered before is waited for (`patience_s`: it may be restarting); one that never did is given
    up after a second, because the address is probably wrong.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        project: str = "",
        transport: httpx.BaseTransport | None = None,
        patience_s: float = 20.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        _check_address(url)
        _check_header(
            token, setting="MLQ_TOKEN", hint="Copy it again: letters, digits, '_' and '-'."
        )
        _check_header(project, setting="MLQ_PROJECT", hint="`mlq project list` shows them.")
        self.url = url.rstrip("/")
        self._patience_s = patience_s
        self._sleep = sleep
        self._clock = clock
        self._jitter = jitter
        self._answered = False
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if project:
            headers["Mlq-Project"] = project
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            transport=transport,
            # a proxy of the environment has no business between this machine and itself
            trust_env=not _is_loopback(self.url),
            timeout=httpx.Timeout(30.0, connect=5.0),
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def json(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of the answer to one request; options as for `request`."""
        response = self.request(method, path, **options)
        return response.json() if response.content else None

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        body: Body | None = None,
        patience_s: float | None = None,
        timeout_s: float | None = None,
    ) -> httpx.Response:
        """The answer to one request, below 400.

        body: makes the chunks of a streamed body, anew for each try.
        patience_s: for how long to try again; the session's own by default, 0 for one try.
        timeout_s: for each try, from one byte to the next.
        Raises the MlqError that a problem document stands for, UnreachableError without an answer.
        """
        if json is not None:
            content, headers = (
                _encode(json),
                {"Content-Type": "application/json", **(headers or {})},
            )
        safe = method in _SAFE or "Idempotency-Key" in (headers or {})
        started = self._clock()
        tries = 0
        while True:
            tries += 1
            wait: float | None = None
            try:
                response = self._http.request(
                    method,
                    path,
                    params=_drop_none(params),
                    headers=headers,
                    content=body() if body is not None else content,
                    timeout=httpx.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s,
                )
            except httpx.TransportError as error:
                failure: Exception = self._unreachable(error)
                refused = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                again = safe or refused  # refused: nothing was sent
            else:
                self._answered = True
                if response.status_code < 400:
                    return response
                failure = to_error(response.status_code, response.content, url=self.url)
                again = safe and response.status_code in _RETRIED_STATUS
                wait = _retry_after(response)
            wait = self.pause(tries) if wait is None else wait
            patience = self._patience(patience_s)
            if not again or self._clock() - started + wait > patience:
                raise failure
            self._sleep(wait)

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> Iterator[httpx.Response]:
        """The answer to a GET whose body is read as it comes. One try: who reads knows how far.

        Raises as `request` does, also when the connection breaks while the body is read.
        """
        try:
            with self._http.stream(
                "GET", path, params=_drop_none(params), headers=headers, timeout=timeout_s
            ) as response:
                self._answered = True
                if response.status_code >= 400:
                    raise to_error(response.status_code, response.read(), url=self.url)
                yield response
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def pages(self, path: str, *, limit: int | None, **params: Any) -> Iterator[Any]:
        """The items of a paged list, page after page, at most `limit` of them."""
        cursor, left = None, limit
        while left is None or left > 0:
            size = 200 if left is None else min(left, 200)
            page = self.json("GET", path, params={**params, "limit": size, "cursor": cursor})
            items = page["items"]
            yield from items if left is None else items[:left]
            left = None if left is None else left - len(items)
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def pause(self, tries: int) -> float:
        """Seconds to wait after so many tries: doubling from 0.1 to 3, less up to a half."""
        return float(min(0.1 * 2 ** (tries - 1), 3.0) * (1 - self._jitter() / 2))

    def wait(self, seconds: float) -> None:
        """Sleep, by this session's clock."""
        self._sleep(seconds)

    def _patience(self, asked: float | None) -> float:
        patience = self._patience_s if asked is None else asked
        return patience if self._answered else min(patience, 1.0)

    def _unreachable(self, error: httpx.TransportError) -> UnreachableError:
        words = str(error) or type(error).__name__
        return UnreachableError(
            f"No answer from {self.url} ({words}).",
            hint="Start a server with `mlq up`, or set MLQ_API_URL to the address of one.",
        )


def _check_address(url: str) -> None:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL("")
    if address.scheme not in {"http", "https"} or not address.host:
        raise SettingsError(
            f"MLQ_API_URL is {url!r:.200}, which is not the address of a server.",
            hint="Write it with its scheme: http://HOST:PORT.",
        )


def _check_header(value: str, *, setting: str, hint: str) -> None:
    """Refuse what no header can carry, without saying it: it may be a secret."""
    if not all("!" <= character <= "~" for character in value):
        raise SettingsError(
            f"{setting} holds a character that it cannot have: a blank, a line break or one "
            "beyond ASCII.",
            hint=hint,
        )


def _encode(value: Any) -> bytes:
    """JSON. Raises MlqError for numbers that it has no form for."""
    try:
        text = dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except ValueError:
        raise MlqError(
            "One of the numbers is NaN or infinite (or too large to be anything else), and JSON "
            "has neither.",
            code="invalid",
            hint="Write null for what is missing.",
        ) from None
    return text.encode()


def _drop_none(params: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if params is None else {k: v for k, v in params.items() if v is not None}


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait, at most 30 (it may also name a date: then None)."""
    try:
        return min(max(float(response.headers["Retry-After"]), 0.0), 30.0)
    except (KeyError, ValueError):
        return None


def _is_loopback(url: str) -> bool:
    return httpx.URL(url).host in {"localhost", "127.0.0.1", "::1"}
