"""The panel's routes, and `/_sandbox`, the page that documents them."""

from __future__ import annotations

import asyncio
from html import escape
from typing import Any

from litestar import MediaType, Request, get, post
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from interlock.api.sandbox.core.errors import Obj
from interlock.api.sandbox.http import panel
from interlock.api.sandbox.http.faults import KINDS, Fault
from interlock.api.sandbox.http.requests import json_body, running_world
from interlock.api.sandbox.people.pages import PAGES

ROUTES: tuple[tuple[str, str, str], ...] = (
    ("GET", "/_sandbox/state", "The clock (now, and offset: how far it is before the real time), the account, "
     "mischief, faults, what time will do next. A service beside the stand-in may follow this clock."),
    ("POST", "/_sandbox/clock/advance", "{seconds} or {to: trial_end | period_end, subscription | customer | user_id}. "
     "Answered when all that was due has happened and was delivered."),
    ("POST", "/_sandbox/next_payment", "{outcome: succeed | fail | authenticate, customer | user_id}. How the cards of "
     "a customer behave from now on."),
    ("POST", "/_sandbox/account", "{retries, retries_end: cancel | unpaid | past_due | pause, first_failure_pause, "
     "auto_resume, portal_saved, denied: [permissions that restricted keys lack, as checkout_session_write]}."),
    ("POST", "/_sandbox/mischief", "{duplicate, reorder, delay, drop, twin: each a probability, seed}. What happens to "
     "deliveries."),
    ("POST", "/_sandbox/faults", f"{{one of {', '.join(KINDS)}: its value or true, path_prefix, method, mark, times, "
     "retry_after, should_retry}} or {{clear: true}}. " + " ".join((Fault.__doc__ or "").split())),
    ("GET", "/_sandbox/deliveries", "What was sent to the webhook endpoints, the newest first, and what waits."),
    ("POST", "/_sandbox/deliveries/resend", "{event}. Send an event again, to each endpoint."),
    ("GET", "/_sandbox/calls", "The newest calls of the API: when, method, path."),
    *(
        row
        for name, page in PAGES.items()
        for row in (
            ("GET", f"/_sandbox/{name}/ID", f"What the {name} page (/{page.letter}/ID) shows."),
            ("POST", f"/_sandbox/{name}/ID/BUTTON", f"What its buttons do: {', '.join(page.buttons)}."),
        )
    ),
)  # fmt: skip
CALLS_SHOWN = 100


@get("/_sandbox", sync_to_thread=False, media_type=MediaType.HTML)
def index(state: State) -> str:
    """The routes of the panel, and what is there now."""
    running = running_world(state)
    world = running.world
    facts = {
        "Stripe's API": f"{world.public_url}/v1, any key sk_test_… or rk_test_…",
        "Account": world.account_id, "Clock": f"{int(running.clock.now())} ({running.clock.offset:+.0f} s)",
        "Webhook endpoints": ", ".join(str(each["url"]) for each in world.all("webhook_endpoint")) or "none",
        "Sold": ", ".join(str(each["lookup_key"] or each["id"]) for each in world.all("price") if each["active"]),
    }  # fmt: skip
    now = "".join(f"<tr><th>{escape(name)}<td>{escape(fact)}" for name, fact in facts.items())
    routes = "".join(f"<tr><td>{m}<td><code>{escape(path)}</code><td>{escape(text)}" for m, path, text in ROUTES)
    return (
        "<!doctype html><meta charset=utf-8><title>Sandbox</title><link rel=stylesheet href=/assets/pages.css>"
        f"<main><h1>Stand-in Stripe</h1><table>{now}</table>"
        f"<h2>Panel</h2><p>JSON in, JSON out; no key is asked for.</p><table>{routes}</table></main>"
    )


@get("/_sandbox/state", sync_to_thread=False)
def panel_state(state: State) -> Obj:
    """Clock, account, mischief, what comes next."""
    return panel.state(running_world(state))


@get("/_sandbox/calls", sync_to_thread=False)
def panel_calls(state: State) -> Obj:
    """The newest calls, without their keys and bodies."""
    calls = list(running_world(state).calls)[: -CALLS_SHOWN - 1 : -1]
    return {"calls": [{"at": call.at, "method": call.method, "path": call.path} for call in calls]}


@post("/_sandbox/clock/advance", status_code=200)
async def panel_advance(request: Request[Any, Any, Any], state: State) -> Obj:
    """Turn the clock; answers when everything due has happened."""
    running = running_world(state)
    given = await json_body(request)
    running.tick()
    await running.advance(panel.target(running, given))
    return panel.state(running)


@post("/_sandbox/{what:str}", status_code=200)
async def panel_do(what: FromPath[str], request: Request[Any, Any, Any], state: State) -> Obj:
    """next_payment, account, mischief, faults."""
    given = await json_body(request)
    running = running_world(state)
    if what in panel.CLICKS:
        return running.click(panel.CLICKS[what], given)
    if what in panel.LEVERS:
        return panel.LEVERS[what](running, given)
    raise NotFoundException


@get("/_sandbox/deliveries", sync_to_thread=False)
def panel_deliveries(state: State) -> Obj:
    """What was tried, the newest first, and what waits."""
    outbox = running_world(state).world.outbox
    return {"log": outbox.log[::-1], "pending": [each._asdict() for each in outbox.pending.values()]}


@post("/_sandbox/deliveries/resend", status_code=200)
async def panel_resend(request: Request[Any, Any, Any], state: State) -> Obj:
    """Send an event again."""
    running = running_world(state)
    sent = panel.resend(running, await json_body(request))
    running.changed()
    await asyncio.sleep(0)
    return sent


HANDLERS = [index, panel_state, panel_calls, panel_advance, panel_do, panel_deliveries, panel_resend]
