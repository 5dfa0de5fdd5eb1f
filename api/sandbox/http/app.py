"""The sandbox as a Litestar application: Stripe's API, the pages people see, and the control panel."""

from __future__ import annotations

import asyncio
import json
import mimetypes
import pathlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

from litestar import Litestar, MediaType, Request, Response, asgi, get, post
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import FromPath
from litestar.types import Receive, Scope, Send

from interlock.api.sandbox.core.cards import offered
from interlock.api.sandbox.core.errors import EMPTY, Obj, StripeError
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.http import panel
from interlock.api.sandbox.http.carrier import RunningWorld
from interlock.api.sandbox.http.clock import SandboxClock
from interlock.api.sandbox.http.face import Face, unforeseen
from interlock.api.sandbox.objects import products, webhook_endpoints
from interlock.api.sandbox.people import checkout, hosted_invoice, portal
from interlock.api.sandbox.world import World

PAGES = pathlib.Path(__file__).parent / "pages"
LOOPBACK = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"


def create_sandbox(
    *,
    public_url: str,
    plans: list[dict[str, Any]],
    webhook_url: str,
    webhook_secret: str,
    app_url: str,
    clock: SandboxClock | None = None,
    data: pathlib.Path | None = None,
    seed: int = 0,
) -> Litestar:
    """The stand-in Stripe with these plans, one webhook endpoint, and perhaps a file to live in."""
    ticking = clock or SandboxClock()
    world = World(seed=seed, now=int(ticking.now()), public_url=public_url)
    box = RunningWorld(world, ticking, app_url=app_url, data=data)
    box.restore()
    box.plans = plans
    for plan in plans:
        world.operate(lambda plan=plan: _stock(world, plan))
    world.operate(lambda: _listen(world, webhook_url, webhook_secret))
    face, second = Face(box), Face(box, "/v2")

    @asgi("/v1", is_mount=True, copy_scope=False)
    async def api(scope: Scope, receive: Receive, send: Send) -> None:
        await face(scope, receive, send)

    @asgi("/v2", is_mount=True, copy_scope=False)
    async def api_v2(scope: Scope, receive: Receive, send: Send) -> None:
        await second(scope, receive, send)

    @asynccontextmanager
    async def running(_app: Litestar) -> AsyncGenerator[None, None]:
        box.start()
        try:
            yield
        finally:
            await box.stop()

    origin = "{0.scheme}://{0.netloc}".format(urlsplit(app_url))
    return Litestar(
        route_handlers=[api, api_v2, *HANDLERS],
        state=State({"sandbox": box}),
        lifespan=[running],
        cors_config=CORSConfig(allow_origins=[origin], allow_origin_regex=LOOPBACK, allow_headers=["*"]),
        exception_handlers={StripeError: _refused, Exception: _unforeseen},
        openapi_config=None,
        logging_config=None,
    )


def _stock(world: Ledger, plan: Obj) -> None:
    """A product and its price, with exactly the price id or lookup key that the plan names."""
    lookup = plan.get("lookup_key")
    if plan.get("price") and world.find("price", plan["price"]):
        return
    if any(lookup and price["lookup_key"] == lookup for price in world.all("price")):
        return
    product_id = f"prod_{plan['key']}"
    if world.find("product", product_id) is None:
        features = [{"name": str(feature)} for feature in plan.get("features") or EMPTY]
        products.create_product(world, {"id": product_id, "name": plan.get("name") or plan["key"],
                                       "marketing_features": features,
                                       "metadata": {"plan": plan["key"]}})  # fmt: skip
    price: Obj = {
        "product": product_id, "currency": plan.get("currency") or "usd",
        "unit_amount": int(plan.get("amount") or 0),
        "recurring": {"interval": plan.get("interval") or "month"}, "metadata": {"plan": plan["key"]},
    }  # fmt: skip
    if lookup:
        price["lookup_key"] = lookup
    made = products.create_price(world, price, id_=plan.get("price"))
    world.touch(world.get("product", product_id))["default_price"] = made["id"]


def _listen(world: Ledger, url: str, secret: str) -> None:
    """One endpoint for the service, kept over restarts."""
    if not url:
        return
    for endpoint in world.all("webhook_endpoint"):
        if endpoint["metadata"].get("of") == "service":
            world.touch(endpoint)["url"] = url
            world.note(endpoint["id"])["secrets"] = [{"secret": secret, "until": None}]
            return
    webhook_endpoints.create_endpoint(
        world, {"url": url, "enabled_events": ["*"], "metadata": {"of": "service"}}, secret
    )


# -- pages -----------------------------------------------------------------------------------------


def _page(name: str) -> Response[bytes]:
    body = (PAGES / name).read_bytes()
    return Response(body, media_type=MediaType.HTML, headers={"Cache-Control": "no-store"})


@get("/c/{id_:str}", sync_to_thread=False)
def checkout_page(id_: FromPath[str], state: State) -> Response[bytes]:
    """The checkout page."""
    _box(state).world.get("checkout.session", id_)
    return _page("checkout.html")


@get("/p/{id_:str}", sync_to_thread=False)
def portal_page(id_: FromPath[str], state: State) -> Response[bytes]:
    """The portal page."""
    _box(state).world.get("billing_portal.session", id_)
    return _page("portal.html")


@get("/i/{id_:str}", sync_to_thread=False)
def invoice_page(id_: FromPath[str], state: State) -> Response[bytes]:
    """The hosted invoice page."""
    _box(state).world.get("invoice", id_)
    return _page("invoice.html")


@get("/assets/{name:str}", sync_to_thread=False)
def asset(name: FromPath[str]) -> Response[bytes]:
    """The pages' own CSS and JavaScript."""
    path = PAGES / name
    if path.parent != PAGES or not path.is_file() or path.suffix == ".html":
        raise NotFoundException
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(path.read_bytes(), media_type=kind, headers={"Cache-Control": "no-cache"})


# -- what the pages ask and do ---------------------------------------------------------------------


def _box(state: State) -> RunningWorld:
    return cast("RunningWorld", state.sandbox)


def _refused(_request: Request[Any, Any, Any], error: StripeError) -> Response[Obj]:
    return Response(error.body, status_code=error.status)


def _unforeseen(request: Request[Any, Any, Any], error: Exception) -> Response[Obj]:
    if isinstance(error, HTTPException):  # a path or method that is not there
        return _refused(request, StripeError(error.status_code, error.detail))
    return _refused(request, unforeseen(request.method, request.url.path, error))


async def _json(request: Request[Any, Any, Any]) -> Obj:
    """A JSON object; nothing else may change state, so that no form of another site can."""
    if request.content_type[0] != "application/json":
        raise StripeError(415, "Send JSON: Content-Type: application/json.")
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError:
        raise StripeError(400, "This is not JSON.") from None
    if not isinstance(body, dict):
        raise StripeError(400, "Send a JSON object.")
    return cast("Obj", body)


@get("/_sandbox/checkout/{id_:str}", sync_to_thread=False)
def checkout_view(id_: FromPath[str], state: State) -> Obj:
    """What the checkout page shows."""
    return _box(state).look(checkout.view, id_)


@post("/_sandbox/checkout/{id_:str}/{action:str}", status_code=200)
async def checkout_do(id_: FromPath[str], action: FromPath[str], request: Request[Any, Any, Any], state: State) -> Obj:
    """pay, authenticate, promotion_code, expire."""
    given = await _json(request)
    box = _box(state)
    if action == "pay":
        return box.click(checkout.pay, id_, given.get("card"), given.get("email"))
    if action == "authenticate":
        return box.click(checkout.authenticate, id_, bool(given.get("succeed")))
    if action == "promotion_code":
        return box.click(checkout.apply_promotion, id_, str(given.get("code", "")))
    raise NotFoundException


@get("/_sandbox/portal/{id_:str}", sync_to_thread=False)
def portal_view(id_: FromPath[str], state: State) -> Obj:
    """What the portal page shows."""
    return _box(state).look(portal.view, id_)


@post("/_sandbox/portal/{id_:str}/{action:str}", status_code=200)
async def portal_do(id_: FromPath[str], action: FromPath[str], request: Request[Any, Any, Any], state: State) -> Obj:
    """payment_method, cancel, renew, update, pause, resume, pay, authenticate."""
    given = await _json(request)
    sub = str(given.get("subscription", ""))
    calls: dict[str, tuple[Any, ...]] = {
        "payment_method": (portal.add_card, str(given.get("card", ""))),
        "cancel": (portal.cancel, sub, bool(given.get("at_period_end", True))),
        "renew": (portal.renew, sub),
        "update": (portal.update, sub, given.get("price"), given.get("quantity")),
        "pause": (portal.pause, sub),
        "resume": (portal.resume, sub),
        "pay": (portal.pay, str(given.get("invoice", ""))),
        "authenticate": (portal.authenticate, str(given.get("invoice", "")), bool(given.get("succeed"))),
    }
    if action not in calls:
        raise NotFoundException
    what, *rest = calls[action]
    return _box(state).click(what, id_, *rest)


@get("/_sandbox/invoice/{id_:str}", sync_to_thread=False)
def invoice_view(id_: FromPath[str], state: State) -> Obj:
    """What the hosted invoice page shows."""
    world = _box(state).world
    return {"invoice": world.get("invoice", id_), "cards": offered()}


@post("/_sandbox/invoice/{id_:str}/{action:str}", status_code=200)
async def invoice_do(id_: FromPath[str], action: FromPath[str], request: Request[Any, Any, Any], state: State) -> Obj:
    """pay with a card, or authenticate: answer the 3-D Secure that the payment asked for."""
    given = await _json(request)
    box = _box(state)
    if action == "pay":
        return box.click(hosted_invoice.pay_hosted, id_, str(given.get("card", "")))
    if action == "authenticate":
        return box.click(hosted_invoice.authenticate_hosted, id_, bool(given.get("succeed")))
    raise NotFoundException


# -- the panel -------------------------------------------------------------------------------------


@get("/_sandbox/state", sync_to_thread=False)
def panel_state(state: State) -> Obj:
    """Clock, account, mischief, what comes next."""
    return panel.state(_box(state))


@post("/_sandbox/clock/advance", status_code=200)
async def panel_advance(request: Request[Any, Any, Any], state: State) -> Obj:
    """Turn the clock; answers when everything due has happened."""
    box = _box(state)
    given = await _json(request)
    box.tick()
    await box.advance(panel.target(box, given))
    return panel.state(box)


@post("/_sandbox/{what:str}", status_code=200)
async def panel_do(what: FromPath[str], request: Request[Any, Any, Any], state: State) -> Obj:
    """next_payment, mischief, account, faults."""
    given = await _json(request)
    box = _box(state)
    if what == "next_payment":
        return box.click(panel.next_payment, given)
    if what == "account":
        return box.click(panel.set_account, given)
    if what == "mischief":
        return panel.set_mischief(box, given)
    if what == "faults":
        if given.get("clear"):
            box.faults.clear()
        else:
            box.faults.add(given)
        return {"faults": box.faults.view()}
    raise NotFoundException


@get("/_sandbox/deliveries", sync_to_thread=False)
def panel_deliveries(state: State) -> Obj:
    """What was tried, the newest first, and what waits."""
    outbox = _box(state).world.outbox
    return {"log": outbox.log[::-1], "pending": [each._asdict() for each in outbox.pending.values()]}


@post("/_sandbox/deliveries/resend", status_code=200)
async def panel_resend(request: Request[Any, Any, Any], state: State) -> Obj:
    """Send an event again."""
    box = _box(state)
    sent = panel.resend(box, await _json(request))
    box.changed()
    await asyncio.sleep(0)
    return sent


HANDLERS = [
    checkout_page, portal_page, invoice_page, asset, checkout_view, checkout_do, portal_view, portal_do,
    invoice_view, invoice_do, panel_state, panel_advance, panel_do, panel_deliveries, panel_resend,
]  # fmt: skip
