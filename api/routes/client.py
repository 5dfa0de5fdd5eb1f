"""The TypeScript client of this very service."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.serialization import encode_json

from interlock.api.client import client_of
from interlock.api.schema.docs import answers

NAME: Final = "/client.ts"
MEDIA: Final = "text/plain; charset=utf-8"
"""`text/typescript` is no registered type, and `video/mp2t` is what `.ts` would be guessed as."""


@lru_cache(maxsize=4)
def _written(document: bytes, prefix: str) -> str:
    return client_of(msgspec.json.decode(document), prefix)


@get(
    NAME,
    media_type=MEDIA,
    operation_id="readClient",
    tags=["machine"],
    summary="A TypeScript client",
    responses=answers(200, str, "One file.", media_type="text/plain"),
)
async def read_client(request: Request[Any, Any, Any]) -> Response[str]:
    """Read types made from this document, and a small client: ETag, and the live stream over fetch with the token."""
    prefix = str(request.scope["path_template"]).removesuffix(NAME)
    text = _written(encode_json(request.app.openapi_schema.to_schema()), prefix)
    return Response(text, media_type=MEDIA, headers={"Cache-Control": "no-cache"})
