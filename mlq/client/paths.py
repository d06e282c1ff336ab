"""Paths of the API: what a user wrote becomes one segment, or no request at all."""

from __future__ import annotations

from urllib.parse import quote

from mlq.errors import NotFoundError


def locate(template: str, *names: object) -> str:
    """The path of `template` with each `{}` replaced by a name, escaped (RFC 3986).

    Raises NotFoundError for a name that nothing can have because it is no path segment: empty, `.`
    or `..`, or with a slash or a control character in it. Clients, proxies and servers would
    resolve it to the path of something else.
    """
    return template.format(*(_escape(str(name)) for name in names))


def _escape(name: str) -> str:
    if name in {"", ".", ".."} or any(c in "/\\" or not c.isprintable() for c in name):
        raise NotFoundError(
            f"There is nothing named {name!r:.80}: a name is not empty, and has no slash or "
            "control character.",
            hint="Write the name alone, without a path.",
        )
    return quote(name, safe="", errors="replace")
