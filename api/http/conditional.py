"""Answers that a client may have already: `ETag`, `If-None-Match`, 304."""

from __future__ import annotations

import re
from typing import Annotated, Final

from litestar.params import HeaderParameter
from litestar.types import HTTPScope, Send

from interlock.api.http.front import JSON, Headers, reply

PRIVATE: Final = {"Cache-Control": "private, no-cache", "Vary": "Authorization"}
_PRIVATE_RAW: Final = [(name.lower().encode(), value.encode()) for name, value in PRIVATE.items()]
_ETAGS: Final = re.compile(rb'(?:W/)?("[^"]*")')

IfNoneMatch = Annotated[str | None, HeaderParameter(name="If-None-Match", description='An `ETag` seen before: `"7"`.')]


async def send_versioned(scope: HTTPScope, send: Send, version: int, body: bytes) -> None:
    """Answer with a user's JSON, or with 304 to a client that has this version."""
    etag = b'"%d"' % version
    headers: Headers = [*_PRIVATE_RAW, (b"etag", etag)]
    seen = [value for name, value in scope["headers"] if name == b"if-none-match"]
    if seen and _matches(b",".join(seen), etag):
        await reply(send, 304, headers, b"")
    else:
        await reply(send, 200, [JSON, *headers], body)


def _matches(if_none_match: bytes, etag: bytes) -> bool:
    """Compare weakly, as RFC 9110 asks of If-None-Match."""
    return if_none_match == etag or if_none_match.strip() == b"*" or etag in _ETAGS.findall(if_none_match)
