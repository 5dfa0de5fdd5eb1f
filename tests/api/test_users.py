"""Row 16: A never reads or acts as B, on any route there is, so a new one can't escape."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from litestar.routes import HTTPRoute

from interlock.api import routes
from tests.kit.bodies import subscription_event
from tests.kit.service import Service, StartService
from tests.kit.settings import ADMIN_TOKEN, SERVICE_TOKEN, make_token

ANYONES = {
    ("GET", "/client.ts"),
    ("GET", "/plans"),
    ("GET", "/diagrams"),
    ("GET", "/diagrams/subscription.svg"),
    ("GET", "/diagrams/subscription.mmd"),
    ("GET", "/diagrams/subscription.dot"),
    ("GET", "/invoices/{invoice_id:str}/page"),  # with a token, or by a signature that the owner's list gave out
    ("GET", "/invoices/{invoice_id:str}/pdf"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/schema"),
    ("GET", "/schema/openapi.json"),
    ("GET", "/schema/{path:str}"),
    ("POST", "/webhooks/stripe"),
}
"""Routes with no guard: nothing of a user's is behind them.  A new one is put here on purpose, or fails a test."""


def table(handlers: routes.Handlers) -> list[tuple[str, str]]:
    return [(method, path) for handler in handlers for path in handler.paths for method in sorted(handler.http_methods)]


def concrete(path: str) -> str:
    """Put ids of nothing in the place of a path's parameters."""
    return re.sub(r"{(\w+):str}", r"\1_of_nothing", path)


USERS = table(routes.USERS)
OPERATORS = table(routes.OPERATORS)
TWINS = [(method, f"/users/{{user_id}}{path}") for method, path in USERS]
_PLAIN = table(routes.SERVICES) + table(routes.OF_ONE_USER)
SERVICES = [(method, path.replace("user_id:str", "user_id")) for method, path in _PLAIN] + TWINS


def test_every_route_is_somebodys(service: Service) -> None:
    """The running route table has no route that is neither a user's, an operator's nor meant for anyone."""
    found = {
        (method, route.path.replace("{user_id:str}", "{user_id}").rstrip("/") or "/")
        for route in service.app.litestar.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS"
    }
    assert found == ANYONES | set(USERS) | set(SERVICES) | set(OPERATORS)
    assert {path for _, path in USERS} >= {"/subscription", "/subscription/stream", "/checkout", "/portal"}
    assert OPERATORS == [("GET", "/metrics")]


@pytest.mark.parametrize(("method", "path"), USERS)
def test_no_token_no_answer(service: Service, method: str, path: str) -> None:
    """Without a token every user's route answers 401, before it reads anything else."""
    path = concrete(path)
    answer = service.request(method, path, content=b"not json", headers={"If-None-Match": "*"})
    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:interlock:unauthorized"
    for path_more in ("?limit=0", "?token=" + make_token(), "?access_token=" + make_token()):
        assert service.request(method, path + path_more).status_code == 401
    assert service.request(method, path, headers={"Cookie": f"token={make_token()}"}).status_code == 401


@pytest.mark.parametrize(("method", "path"), USERS)
def test_nothing_but_the_token_names_a_user(service: Service, method: str, path: str) -> None:
    """Whatever else a request says, no route shows B anything of A."""
    path = concrete(path)
    owner, other = (f"canary-{method}-{path[1:].replace('/', '-')}-{who}" for who in "ab")
    sub_id = f"sub_{owner}"
    event = subscription_event(owner, sub_id=sub_id, event_id=f"evt_{owner}")
    assert service.deliver(event).json()["outcome"] == "applied"
    before = service.get("/subscription", owner).content
    assert sub_id.encode() in before
    queries = f"?user_id={owner}&user={owner}&sub={owner}&subscription_id={sub_id}"
    headers = {"X-User-Id": owner, "X-Forwarded-User": owner, "Cookie": f"user_id={owner}"}
    bodies = [{"user_id": owner}, {"plan": "pro", "user_id": owner}, {"plan": "nothing"}]
    for body in bodies if method == "POST" else [None]:
        if path == "/subscription/stream":
            text = first_event(service, path + queries, other, headers)
        else:
            text = service.request(method, path + queries, other, headers=headers, json=body).text
        assert owner not in text
        assert sub_id not in text
    assert service.get("/subscription", owner).content == before


def first_event(service: Service, path: str, user: str, headers: dict[str, str]) -> str:
    headers = headers | {"Authorization": f"Bearer {make_token(user)}"}
    with service.client.stream("GET", path, headers=headers) as answer:
        text = ""
        for line in answer.iter_lines():
            text += line
            if line.startswith("data:"):
                break
    return text


@pytest.mark.parametrize(("method", "path"), OPERATORS)
def test_operators_routes(service: Service, start_service: StartService, method: str, path: str) -> None:
    """An operator's route takes the operator's token alone; where none is set it is not there, whoever asks."""
    for token in ("wrong", ADMIN_TOKEN + "x", ADMIN_TOKEN[:-1], make_token(), "ü"):
        headers = {"Authorization": f"Bearer {token}".encode()}
        assert service.request(method, path, headers=headers).status_code == 401
    assert service.request(method, path).status_code == 401
    right = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    assert service.request(method, path, headers=right).status_code == 200
    closed = start_service(ADMIN_TOKEN=None)
    for headers in (right, {"Authorization": "Bearer None"}, {}):
        assert closed.request(method, path, headers=headers).status_code == 404


def as_service(token: str = SERVICE_TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(("method", "path"), SERVICES)
def test_services_routes(service: Service, start_service: StartService, method: str, path: str) -> None:
    """A backend's route takes its token alone, no user's and no operator's, and every user's route has its twin."""
    path = concrete(path.replace("{user_id}", "u_1"))
    for token in ("wrong", SERVICE_TOKEN + "x", SERVICE_TOKEN[:-1], make_token(), ADMIN_TOKEN, "\u00fc"):
        headers = {"Authorization": f"Bearer {token}".encode()}
        assert service.request(method, path, headers=headers, content=b"not json").status_code == 401
    assert service.request(method, path).status_code == 401
    if not path.endswith("/stream"):
        status = service.request(method, path, headers=as_service(), content=b"{").status_code
        assert status not in (401, 403, 405, 500), status  # nothing answers as Stripe here: 504 is what it may be


def test_a_backend_has_its_own_token_or_none(start_service: StartService) -> None:
    """Without SERVICE_TOKEN its routes are 404; with several, each is taken: that is how one is rotated."""
    closed = start_service(SERVICE_TOKEN=None)
    assert closed.request("GET", "/users/u_1", headers=as_service()).status_code == 404
    closed.stop()
    rotating = start_service(SERVICE_TOKEN="the-old-token-of-mine, the-new-token-of-mine")
    for token in ("the-old-token-of-mine", "the-new-token-of-mine"):
        assert rotating.request("GET", "/users/u_1", headers=as_service(token)).status_code == 200


def test_a_backend_asks_for_anybody(service: Service, new_user: Callable[[], str]) -> None:
    """The path names the user: state, ETag, history and the twins are what the user sees, in one call or for many."""
    user, stranger = new_user(), new_user()
    assert service.deliver(subscription_event(user, sub_id=f"sub_{user}", event_id=f"evt_{user}")).status_code == 200
    own = service.get("/subscription", user)
    for path in (f"/users/{user}", f"/users/{user}/subscription"):
        seen = service.request("GET", path, headers=as_service())
        assert (seen.json(), seen.headers["etag"]) == (own.json(), own.headers["etag"])
        again = service.request("GET", path, headers=as_service() | {"If-None-Match": own.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    many = service.request("POST", "/users", headers=as_service(), json={"ids": [stranger, user]}).json()
    assert [state["state"] for state in many["items"]] == ["none", "active"]
    assert many["items"][1] == own.json()
    history = service.get("/subscription/history", user).json()
    for path in (f"/users/{user}/history", f"/users/{user}/subscription/history"):
        assert service.request("GET", path, headers=as_service()).json() == history
    refused = service.request("POST", f"/users/{user}/checkout", headers=as_service(), json={"plan": "pro"})
    assert (refused.status_code, refused.json()["code"]) == (409, "already_subscribed")
    strange = "/users/%E2%80%AE%20%27x"
    assert service.request("GET", strange, headers=as_service()).json()["user_id"] == "\u202e 'x"


@pytest.mark.parametrize("ids", [[""], ["x" * 201], ["u"] * 101, "u", [1], ["a\0"], [" "]])
def test_ids_that_are_none(service: Service, ids: Any) -> None:
    """More than a hundred, or something that is no user's id, is a 400."""
    answer = service.request("POST", "/users", headers=as_service(), json={"ids": ids})
    assert answer.status_code == 400
    if ids == ["x" * 201]:
        assert service.request("GET", f"/users/{ids[0]}", headers=as_service()).status_code == 404
