"""What each route promises: state and its ETag, history, checkout, portal, catalogue, health, headers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.kit.bodies import subscription_event
from tests.kit.service import Service
from tests.kit.settings import ADMIN_TOKEN, make_token


def test_the_state_of_a_stranger(service: Service, new_user: Callable[[], str]) -> None:
    """A user who never bought anything has a state too, with every field."""
    user = new_user()
    answer = service.get("/subscription", user)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "private, no-cache"
    state = answer.json()
    assert (state["user_id"], state["state"], state["plan"]) == (user, "none", None)
    assert state["access"] == {"granted": False, "reason": "none", "until": None}
    assert answer.headers["etag"] == f'"{state["version"]}"'


def test_if_none_match(service: Service, new_user: Callable[[], str]) -> None:
    """304 while the version is among those named, alone, in a list, weak or as `*`; 200 once it has risen."""
    user = new_user()
    tag = service.get("/subscription", user).headers["etag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}', f'"a",W/{tag},"b"', "*"):
        answer = service.get("/subscription", user, headers={"If-None-Match": given})
        assert (answer.status_code, answer.content) == (304, b""), given
        assert answer.headers["etag"] == tag
        assert answer.headers["cache-control"] == "private, no-cache"
    for given in ('"other"', tag.strip('"'), "W/", '"'):
        assert service.get("/subscription", user, headers={"If-None-Match": given}).status_code == 200
    service.deliver(subscription_event(user, sub_id=f"sub_{user}", event_id=f"evt_{user}"))
    answer = service.get("/subscription", user, headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert answer.headers["etag"] != tag


def test_history(service: Service, new_user: Callable[[], str]) -> None:
    """Every decision, newest first, page by page."""
    user = new_user()
    event = subscription_event(user, sub_id=f"sub_{user}", event_id=f"evt_{user}")
    for _ in range(3):
        service.deliver(event)
    whole = service.get("/subscription/history", user).json()
    assert whole["next"] is None
    outcomes = [entry["outcome"] for entry in whole["items"]]
    assert outcomes[-1] == "applied"
    assert set(outcomes[:-1]) <= {"duplicate"}
    assert [e["seq"] for e in whole["items"]] == sorted((e["seq"] for e in whole["items"]), reverse=True)
    first = whole["items"][-1]
    assert set(first) == {
        "seq", "at", "event_id", "event_type", "source", "trigger", "from", "to", "outcome", "guard",
    }  # fmt: skip
    assert (first["source"], first["event_id"], first["to"]) == ("webhook", f"evt_{user}", "active")
    paged, after = [], ""
    while True:
        page = service.get(f"/subscription/history?limit=1{after}", user).json()
        paged += page["items"]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert paged == whole["items"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=-1", "limit=x", "limit=", "after=x", "after=-1", "after=" + "9" * 30]
)
def test_bad_pages(service: Service, query: str) -> None:
    """A page that can't be is a 400, and no number is too large to say so."""
    answer = service.get(f"/subscription/history?{query}", "u_1")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"\xff", 400),
        (b"[" * 10_000, 400),
        (b"{}", 400),
        (b'{"plan": 5}', 400),
        (b'{"plan": null}', 400),
        (b'{"plan": "\\ud800"}', 400),
        (b'{"plan": "pro", "price": "price_1"}', 400),
        (b'{"plan": "pro", "success_url": "https://evil.example"}', 400),
        (b'{"plan": "pro", "user_id": "u_2"}', 400),
        (b'{"plan": "pro", "promotion_code": 5}', 400),
        (b'{"plan": "nothing"}', 422),
        (b'{"plan": "PRO"}', 422),
        (b'{"plan": "../pro"}', 422),
        (b'{"plan": "pro", "quantity": 0}', 422),
        (b'{"plan": "pro", "quantity": -1}', 422),
        (b'{"plan": "pro", "quantity": 10001}', 422),
        (b'{"plan": "pro", "quantity": 1.5}', 422),
        (b'{"plan": "pro", "quantity": "1"}', 422),
        (b'{"plan": "pro", "quantity": true}', 422),
        (b'{"plan": "pro", "quantity": 99999999999999999999999999}', 422),
        (b'{"plan": "pro", "pad": "' + b"x" * 20_000 + b'"}', 413),
    ],
)
def test_bad_checkouts(service: Service, body: bytes, status: int) -> None:
    """Row 17: unknown fields, plans and quantities are refused before Stripe is asked anything."""
    answer = service.request("POST", "/checkout", "u_bad_checkout", content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_checkout_while_a_subscription_lives(service: Service, new_user: Callable[[], str]) -> None:
    """A living subscription is a 409 that names the portal as the way on."""
    user = new_user()
    service.deliver(subscription_event(user, sub_id=f"sub_{user}", event_id=f"evt_{user}"))
    answer = service.request("POST", "/checkout", user, json={"plan": "pro"})
    assert answer.status_code == 409
    assert "portal" in answer.json()["detail"]


def test_checkout_without_stripe(service: Service, new_user: Callable[[], str]) -> None:
    """Where Stripe can't be reached, the answer is a 504 problem within 20 s."""
    answer = service.request("POST", "/checkout", new_user(), json={"plan": "pro"}, timeout=20)
    assert answer.status_code == 504


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 409),
        (b"{}", 409),
        (b'{"flow": null}', 409),
        (b'{"flow": "payment_method_update"}', 409),
        (b'{"flow": "subscription_pause"}', 409),
        (b'{"flow": "nothing"}', 422),
        (b'{"flow": 5}', 422),
        (b'{"return_url": "https://evil.example"}', 400),
        (b"[]", 400),
        (b"{", 400),
    ],
)
def test_the_portal_of_a_stranger(service: Service, body: bytes, status: int) -> None:
    """409 with no customer yet, 422 for a flow that is none, 400 for anything else in the body."""
    assert service.request("POST", "/portal", "u_bad_portal", content=body).status_code == status


def test_too_many_checkouts(service: Service, new_user: Callable[[], str]) -> None:
    """One user asks too often and is told how long to wait; another is not kept from anything."""
    user = new_user()
    answers = [service.request("POST", "/checkout", user, json={"plan": "nothing"}) for _ in range(90)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.status_code for answer in answers} == {422, 429}
    assert int(refused[0].headers["retry-after"]) >= 1
    assert service.request("POST", "/portal", user, json={}).status_code == 429
    assert service.request("POST", "/checkout", new_user(), json={"plan": "nothing"}).status_code == 422


def test_plans(service: Service) -> None:
    """Anyone may read the catalogue; what Stripe was not asked yet is left out."""
    pro = {"key": "pro", "name": "Pro", "features": ["export", "sso"], "price_id": "price_pro", "trial_days": 14}
    assert pro in service.get("/plans").json()["items"]


def test_pictures(service: Service, new_user: Callable[[], str]) -> None:
    """The machine is drawn for anyone, and with a user in it for that user."""
    for path, kind in (("svg", "image/svg+xml"), ("mmd", "text/plain"), ("dot", "text/vnd.graphviz")):
        answer = service.get(f"/diagrams/subscription.{path}")
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, kind)
    own = service.get("/subscription/diagram", new_user())
    assert own.headers["content-type"].startswith("image/svg+xml")
    assert own.text.lstrip().startswith("<svg")


def test_health_and_figures(service: Service) -> None:
    """Alive and ready; the figures are Prometheus' text."""
    assert service.get("/health/live").json() == {"status": "ok"}
    assert service.get("/health/ready").json() == {"status": "ok"}
    answer = service.get("/metrics", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    for line in answer.text.splitlines():
        assert line.startswith("# TYPE interlock_") or float(line.rpartition(" ")[2]) >= 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/subscription/nothing", 404),
        ("GET", "/schema/nothing", 404),
        ("GET", "/..%2f..%2fetc/passwd", 404),
        ("GET", "/%00", 404),
        ("GET", "/diagrams/subscription.png", 404),
        ("GET", "/demo/token?user=u_1", 404),
        ("DELETE", "/subscription", 405),
        ("GET", "/webhooks/stripe", 405),
        ("PUT", "/checkout", 405),
        ("POST", "/plans", 405),
    ],
)
def test_what_is_not_there(service: Service, method: str, path: str, status: int) -> None:
    """404 and 405 are problems like all others, and the sandbox's door is not in a service."""
    answer = service.request(method, path, "u_1")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail", "code"}
    assert answer.json()["status"] == status
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize("path", ["/subscription", "/plans", "/nothing", "/diagrams", "/schema", "/health/live"])
def test_headers_of_every_answer(service: Service, path: str) -> None:
    """No answer may be sniffed, framed or read by another origin, errors included."""
    answer = service.get(path, headers={"Origin": "https://evil.example"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert "server" not in answer.headers


def test_headers_of_what_litestar_does_not_answer(service: Service, new_user: Callable[[], str]) -> None:
    """The routes with a way of their own, the live stream among them, protect themselves as every other."""
    user = new_user()
    protecting = {"x-content-type-options", "x-frame-options", "referrer-policy", "cross-origin-resource-policy",
              "content-security-policy"}  # fmt: skip
    usual = {name: value for name, value in service.get("/plans").headers.items() if name in protecting}
    assert set(usual) == protecting
    stream = service.client.stream(
        "GET", "/subscription/stream", headers={"Authorization": f"Bearer {make_token(user)}"}
    )
    with stream as live:
        answers = [
            live,
            service.deliver(subscription_event(user, event_id=f"evt_{user}")),
            service.get("/subscription", user),
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
    for answer in answers:
        assert usual.items() <= dict(answer.headers.items()).items()
        assert len(answer.headers.multi_items()) == len(answer.headers)  # and each says so once


def test_preflight_allows_nothing(service: Service) -> None:
    """A browser's preflight gets no CORS header: another origin's page can't call the API with a token."""
    for path in ("/checkout", "/subscription", "/webhooks/stripe"):
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        answer = service.request("OPTIONS", path, headers=asked)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
