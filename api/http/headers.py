"""The security headers of every answer, errors included, and the content policies of the pages."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from typing import Any, Final

from litestar.response import Response
from litestar.types import Message, Scope

ALWAYS: Final[dict[bytes, bytes]] = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    # What is not a page loads nothing.  Pages bring a policy of their own.
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}

PAGE_ITSELF: Final = "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
PICTURE_POLICY: Final = f"default-src 'none'; style-src 'unsafe-inline'; {PAGE_ITSELF}"
"""An SVG that is opened by itself: its own style, and no script."""

_INLINE: Final = re.compile(r"<(style|script)(?:\s[^>]*)?>(.*?)</\1\s*>", re.DOTALL | re.IGNORECASE)
_STYLED: Final = re.compile(r"<[^>]*\sstyle\s*=", re.IGNORECASE)


async def add_security_headers(message: Message, _: Scope) -> None:
    """Litestar's `before_send` hook: add what an answer does not set itself."""
    if message["type"] != "http.response.start":
        return
    headers: list[Any] = list(message.get("headers", ()))
    given = {name.lower() for name, _ in headers}
    headers += [(name, value) for name, value in ALWAYS.items() if name not in given]
    message["headers"] = headers


async def secure(response: Response[Any]) -> Response[Any]:
    """Litestar's `after_request` hook of our own routes: the same, in an application that is not ours."""
    given = {name.lower() for name in response.headers}
    missing = {name.decode(): value.decode() for name, value in ALWAYS.items() if name.decode() not in given}
    response.headers.update(missing)
    return response


@lru_cache(maxsize=16)
def page_policy(html: str) -> str:
    """Return the strictest policy under which a page with these inline scripts and styles still works."""
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(html):
        if text.strip():
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            hashes[kind.lower()].append(f"'sha256-{digest}'")
    # A style attribute can't be named by a hash of its own; with one in the page, inline style is let in as such.
    styles = ["'unsafe-inline'"] if _STYLED.search(html) else hashes["style"]
    scripts = " ".join(["'self'", *sorted(set(hashes["script"]))])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' {' '.join(sorted(set(styles)))}; "
        f"img-src 'self' data:; connect-src 'self'; {PAGE_ITSELF}"
    )
