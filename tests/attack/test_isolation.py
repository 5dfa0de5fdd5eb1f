"""Row 16: A never reads or acts as B, by any route there is and anything a request can say; and the traps."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable

import httpx
import pytest

from tests.api.test_users import USERS
from tests.attack.victim import Obj, Victim, bearer
from tests.kit.bodies import DELETED, UPDATED, customer, event, fresh, previous_attributes, subscription_event
from tests.kit.hose import ask
from tests.kit.scale import Figure
from tests.kit.settings import ADMIN_TOKEN, make_token
from tests.kit.stripe import TELLER, StandIn


def until(reached: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that the service promises to reach."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it was not reached in time"
        time.sleep(0.05)


def disguises(owner: str, sub_id: str, customer_id: str) -> list[tuple[str, ...]]:
    """Return the headers by which B might pretend to be A."""
    names = (
        "X-User", "X-User-Id", "X-User-ID", "X_User_Id", "X-Forwarded-User", "X-Remote-User", "Remote-User",
        "X-Authenticated-User",
        "X-Auth-Request-User", "X-Original-User", "X-Impersonate-User", "X-Sub", "X-Customer-Id", "X-Interlock-User",
        "From", "User",
    )  # fmt: skip
    taken = make_token(owner)
    return [
        tuple(f"{name}: {owner}" for name in names),
        (f"Cookie: user_id={owner}; sub={owner}; token={taken}; access_token={taken}; session={taken}",),
        (f"Proxy-Authorization: Bearer {taken}", f"X-Authorization: Bearer {taken}", f"X-Access-Token: {taken}"),
        (f"X-Forwarded-Authorization: Bearer {taken}", f"Sec-WebSocket-Protocol: bearer, {taken}"),
        ("X-HTTP-Method-Override: GET", f"X-Original-URL: /subscription?user_id={owner}", "X-Rewrite-URL: /metrics"),
        (f"X-Forwarded-For: 127.0.0.1, {owner}", f"Forwarded: for=127.0.0.1;by={owner}", "X-Forwarded-Prefix: /../"),
        (
            f"X-Subscription: {sub_id}",
            f"X-Customer: {customer_id}",
            f"Stripe-Account: {owner}",
            "Stripe-Context: acct_1",
        ),
    ]


def queries(owner: str, sub_id: str) -> list[str]:
    names = (
        "user_id",
        "user",
        "sub",
        "id",
        "userId",
        "user[id]",
        "subscription_id",
        "customer",
        "token",
        "access_token",
    )
    taken = make_token(owner)
    return [
        "",
        "?" + "&".join(f"{name}={owner}" for name in names),
        f"?user_id={owner}&user_id=x&after=99999999",
        f"?{sub_id}",
        f"?access_token={taken}&jwt={taken}&authorization=Bearer%20{taken}",
    ]


def heard(victim: Victim, method: str, path: str, *headers: str, body: bytes | None = None) -> bytes:
    """Return an answer's head and body; of a stream its head and first event."""
    if not path.startswith("/subscription/stream"):
        answer = victim.request(method, path, *headers, body=body)
        return answer.head + b"\n" + answer.body
    said = b""
    with victim.line(5) as line:
        line.send(ask(method, path, *headers))
        while b"\ndata: " not in said and (more := line.socket.recv(65_536)):
            said += more
    return said


@pytest.mark.parametrize(("method", "path"), USERS)
def test_nothing_of_another_user(shop: Victim, method: str, path: str, figure: Figure) -> None:
    """On each user's route, whatever query, header and body B sends, nothing of A is shown and nothing of A moves."""
    owner, sub_id = fresh("owner"), fresh("sub")
    assert shop.deliver(subscription_event(owner, sub_id=sub_id, event_id=fresh("evt"))).status == 200
    before = shop.get("/subscription", owner)
    history = shop.get("/subscription/history", owner).body
    tag = before.header("etag")
    bodies: list[bytes | None] = [None]
    if method == "POST":
        named = {
            "user_id": owner,
            "customer": f"cus_of_{sub_id}",
            "client_reference_id": owner,
            "metadata": {"user_id": owner},
        }
        bodies = [
            json.dumps(told).encode()
            for told in ({}, {"plan": "nothing"}, {"plan": "pro", **named}, {"flow": None, **named})
        ]
    tried = 0
    hats = [(), *disguises(owner, sub_id, f"cus_of_{sub_id}"), (f"If-None-Match: {tag}", f"Last-Event-ID: {tag}")]
    for (number, query), hat, body in itertools.product(enumerate(queries(owner, sub_id)), hats, bodies):
        if (
            number and hat and number % 2
        ):  # half of the pairs: every query and every header is tried, alone and together
            continue
        said = heard(shop, method, path + query, *bearer(fresh("other")), *hat, body=body)
        tried += 1
        assert owner.encode() not in said, (query, hat, said)
        assert sub_id.encode() not in said, (query, hat, said)
    after = shop.get("/subscription", owner)
    assert (after.body, after.header("etag")) == (before.body, tag)
    assert shop.get("/subscription/history", owner).body == history
    figure(16, f"{method} {path}: {tried} disguises of B, nothing of A shown or moved")


def test_operators_and_users_are_not_each_other(victim: Victim) -> None:
    """The operator's token is no user's, and no user is an operator, whatever their name."""
    for method, path in USERS:
        assert victim.request(method, path, f"Authorization: Bearer {ADMIN_TOKEN}").status == 401
    for name in ("admin", "root", "operator", ADMIN_TOKEN):
        assert victim.get("/metrics", name).status == 401


def test_names_that_look_alike(victim: Victim) -> None:
    """Users are told apart by their exact name: case, spaces, accents and joined forms make another one."""
    names = ["Zoë", "Zoe\u0308", "zoë", " Zoë", "Zoë ", "ZOË", "Zoë\u200b", "Zoe", "Zо\u0451", "%5Ao%C3%AB", "Zoë\t"]
    for number, name in enumerate(names):
        told = subscription_event(name, sub_id=fresh("sub"), event_id=fresh("evt"))
        told["data"]["object"]["items"]["data"][0]["quantity"] = number + 1
        assert victim.deliver(told).json()["outcome"] == "applied"
    shown = [victim.state(name) for name in names]
    assert [state["user_id"] for state in shown] == names
    assert [state["plan"]["quantity"] for state in shown] == list(range(1, len(names) + 1))


def test_a_subscription_moves_to_another_user(victim: Victim) -> None:
    """Moved by metadata: the old user loses it and keeps their history, the new one has it and no history of theirs."""
    old, new, sub_id = fresh("u"), fresh("u"), fresh("sub")
    first = subscription_event(old, sub_id=sub_id, event_id=fresh("evt"))
    assert victim.deliver(first).json()["outcome"] == "applied"
    version, told = victim.state(old)["version"], victim.get("/subscription/history", old).json()["items"]
    before: Obj = first["data"]["object"]
    after: Obj = before | {"metadata": {"user_id": new}}
    moved = event(UPDATED, after, created=first["created"] + 5, previous=previous_attributes(before, after))
    assert victim.deliver(moved).json()["outcome"] == "applied"
    left, taken = victim.state(old), victim.state(new)
    assert (left["state"], left["access"]["granted"], left["subscription_id"]) == ("none", False, None)
    assert left["version"] > version
    assert (taken["state"], taken["access"]["granted"], taken["subscription_id"]) == ("active", True, sub_id)
    mine = victim.get("/subscription/history", old).json()["items"]
    assert mine[-len(told) :] == told
    theirs = {entry["event_id"] for entry in victim.get("/subscription/history", new).json()["items"]}
    assert theirs == {moved["id"]}
    # What comes later is the new user's alone.
    ended = event(
        DELETED, after | {"status": "canceled", "ended_at": first["created"] + 9}, created=first["created"] + 9
    )
    assert victim.deliver(ended).json()["outcome"] == "applied"
    assert (victim.state(new)["state"], victim.state(old)) == ("canceled", left)
    assert victim.get("/subscription/history", old).json()["items"] == mine


def test_two_users_with_one_customer(shop: Victim, stripe_side: StandIn) -> None:
    """Two users on one Stripe customer: each sees their own, and neither manages the other's in a portal."""
    one, two = fresh("u"), fresh("u")
    theirs = stripe_side.post("customers")
    method = stripe_side.post("payment_methods/pm_card_visa/attach", customer=theirs["id"])
    subs = {
        user: stripe_side.post(
            "subscriptions", customer=theirs["id"], items__0__price=price, default_payment_method=method["id"],
            metadata__user_id=user,
        )
        for user, price in ((one, "price_starter"), (two, "price_pro"))
    }  # fmt: skip
    assert shop.deliver(event("customer.subscription.created", subs[one])).status == 200
    assert shop.post("/portal", one, {}).status == 201
    assert shop.deliver(event("customer.subscription.created", subs[two])).status == 200
    until(lambda: shop.state(one)["state"] == "active" == shop.state(two)["state"])
    for user, plan, other in ((one, "starter", two), (two, "pro", one)):
        state = shop.state(user)
        assert (state["plan"]["key"], state["subscription_id"]) == (plan, subs[user]["id"])
        assert "portal" not in state["available_actions"]
        assert shop.post("/portal", user, {}).status == 409
        for flow in ("subscription_cancel", "payment_method_update"):
            assert shop.post("/portal", user, {"flow": flow}).status == 409
        assert other not in shop.get("/subscription/history", user).body.decode()


def test_a_customer_deleted_in_stripe(shop: Victim, stripe_side: StandIn) -> None:
    """Deleted in Stripe: the subscription ends, the portal is gone, and a new checkout makes a new customer."""
    user = fresh("u")
    sub = stripe_side.subscribe(user)
    assert shop.deliver(event("customer.subscription.created", sub)).status == 200
    assert shop.state(user)["state"] == "active"
    deleted = httpx.delete(
        f"{stripe_side.url}/v1/customers/{sub['customer']}", headers={"Authorization": f"Bearer {TELLER}"}
    )
    assert deleted.json()["deleted"]
    gone = event("customer.deleted", customer(sub["customer"], user=user, deleted=True))
    assert shop.deliver(gone).json()["outcome"] in ("pending", "applied")
    until(lambda: shop.state(user)["state"] == "canceled")
    state = shop.state(user)
    assert (state["access"]["granted"], state["available_actions"]) == (False, ["checkout"])
    assert shop.post("/portal", user, {}).status == 409
    assert shop.post("/checkout", user, {"plan": "pro"}).status == 201
    sold = stripe_side.everything("checkout/sessions")
    (session,) = [told for told in sold if told["client_reference_id"] == user]
    assert session["customer"] not in (None, sub["customer"])


@pytest.mark.parametrize("lines", [0, 1, 50])
def test_subscriptions_of_no_item_and_of_fifty(victim: Victim, lines: int) -> None:
    """One item, or fifty: the earliest end, and the plan of the item that has one.  No item: it is none of ours."""
    user = fresh("u")
    told = subscription_event(user, sub_id=fresh("sub"), event_id=fresh("evt"))
    items: Obj = told["data"]["object"]["items"]
    line: Obj = items["data"][0]
    end: int = line["current_period_end"]
    extra = [
        line | {"id": f"si_{n}", "price": {"id": f"price_{n}"}, "current_period_end": end + n} for n in range(1, lines)
    ]
    items["data"] = [line, *extra][:lines]
    assert victim.deliver(told).json()["outcome"] == "applied"
    state = victim.state(user)
    assert (state["state"], state["access"]["granted"]) == (("active", True) if lines else ("none", False))
    for path in ("/subscription/history", "/subscription/diagram"):
        assert victim.get(path, user).status == 200
    if lines:
        assert state["plan"]["key"] == "pro"
        assert state["current_period_end"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
    else:
        assert state["current_period_end"] is None
        assert state["plan"] is None
    assert victim.errors() == []
