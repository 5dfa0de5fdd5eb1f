"""The pages that people see, what they show, and what their buttons do."""

from __future__ import annotations

import mimetypes
import pathlib
from typing import Any

from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from interlock.api.sandbox.core.clicks import arguments
from interlock.api.sandbox.core.errors import Obj
from interlock.api.sandbox.http.requests import json_body, running_world
from interlock.api.sandbox.objects import invoice_pdf
from interlock.api.sandbox.people.pages import PAGES, Page

FILES = pathlib.Path(__file__).parent / "pages"


def _html(name: str, page: Page) -> HTTPRouteHandler:
    """The route of a page itself."""

    @get(f"/{page.letter}/{{id_:str}}", sync_to_thread=False)
    def show(id_: FromPath[str], state: State) -> Response[bytes]:
        running_world(state).world.get(page.kind, id_)
        body = (FILES / f"{name}.html").read_bytes()
        return Response(body, media_type=MediaType.HTML, headers={"Cache-Control": "no-store"})

    return show


@get("/assets/{name:str}", sync_to_thread=False)
def asset(name: FromPath[str]) -> Response[bytes]:
    """The pages' own CSS and JavaScript."""
    path = FILES / name
    if path.parent != FILES or not path.is_file() or path.suffix == ".html":
        raise NotFoundException
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(path.read_bytes(), media_type=kind, headers={"Cache-Control": "no-cache"})


@get("/i/{id_:str}/pdf", sync_to_thread=False)
def invoice_file(id_: FromPath[str], state: State) -> Response[bytes]:
    """An invoice as a PDF, as `invoice_pdf` links to it."""
    body = invoice_pdf.pdf_of(running_world(state).world, id_)
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{id_}.pdf"'}
    return Response(body, media_type="application/pdf", headers=headers)


def _view(name: str, page: Page) -> HTTPRouteHandler:
    @get(f"/_sandbox/{name}/{{id_:str}}", sync_to_thread=False)
    def view(id_: FromPath[str], state: State) -> Obj:
        return running_world(state).look(page.view, id_)

    return view


def _press(name: str, page: Page) -> HTTPRouteHandler:
    @post(f"/_sandbox/{name}/{{id_:str}}/{{button:str}}", status_code=200)
    async def press(id_: FromPath[str], button: FromPath[str], request: Request[Any, Any, Any], state: State) -> Obj:
        given = await json_body(request)
        if button not in page.buttons:
            raise NotFoundException
        action = page.buttons[button]
        return running_world(state).click(action, id_, *arguments(action, given))

    return press


HANDLERS = [asset, invoice_file, *(make(name, page) for name, page in PAGES.items() for make in (_html, _view, _press))]
