"""The machine for developers: one page, and the drawn files.  All the same for everyone."""

from __future__ import annotations

from functools import cache
from typing import Final

from litestar import Response, get

from interlock.api.http.headers import PICTURE_POLICY, page_policy
from interlock.api.schema.docs import answers
from interlock.engine import diagram

_KEEP: Final = {"Cache-Control": "no-cache"}

# What is drawn depends on the table alone, so once a process is enough.
_page: Final = cache(diagram.page)
_svg: Final = cache(lambda: diagram.svg())
_mermaid: Final = cache(diagram.mermaid)
_dot: Final = cache(diagram.dot)


@get(
    "/diagrams",
    media_type="text/html",
    operation_id="showMachine",
    tags=["machine"],
    summary="The machine, for a developer",
    responses=answers(200, str, "A page.", media_type="text/html"),
)
async def show_machine() -> Response[str]:
    """Show the diagram and the table of triggers, guards and events."""
    html = _page()
    return Response(html, media_type="text/html", headers=_KEEP | {"Content-Security-Policy": page_policy(html)})


@get(
    "/diagrams/subscription.svg",
    media_type="image/svg+xml",
    operation_id="drawMachineSvg",
    tags=["machine"],
    summary="The diagram as SVG",
    responses=answers(200, str, "A picture.", media_type="image/svg+xml"),
)
async def draw_svg() -> Response[str]:
    """Draw the machine as SVG."""
    headers = _KEEP | {"Content-Security-Policy": PICTURE_POLICY}
    return Response(_svg(), media_type="image/svg+xml", headers=headers)


@get(
    "/diagrams/subscription.mmd",
    media_type="text/plain",
    operation_id="drawMachineMermaid",
    tags=["machine"],
    summary="The diagram in Mermaid",
    responses=answers(200, str, "Mermaid's text.", media_type="text/plain"),
)
async def draw_mermaid() -> Response[str]:
    """Draw the machine in Mermaid's language."""
    return Response(_mermaid(), media_type="text/plain", headers=_KEEP)


@get(
    "/diagrams/subscription.dot",
    media_type="text/vnd.graphviz",
    operation_id="drawMachineDot",
    tags=["machine"],
    summary="The diagram in DOT",
    responses=answers(200, str, "Graphviz's text.", media_type="text/vnd.graphviz"),
)
async def draw_dot() -> Response[str]:
    """Draw the machine in Graphviz's language."""
    return Response(_dot(), media_type="text/vnd.graphviz", headers=_KEEP)
