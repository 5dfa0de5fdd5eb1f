"""Row 16: A never reads or acts as B, on any route there is, so a new one can't escape."""

from __future__ import annotations

import pytest
from litestar.routes import HTTPRoute

from interlock.api import routes
from tests.kit.bodies import subscription_event
from tests.kit.service import Service, StartService
from tests.kit.settings import ADMIN_TOKEN, make_token

ANYONES = {
    ("GET", "/plans"),
    ("GET", "/diagrams"),
    ("GET", "/diagrams/subscription.svg"),
    ("GET", "/diagrams/subscription.mmd"),
    ("GET", "/diagrams/subscription.dot"),
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


USERS = table(routes.USERS)
OPERATORS = table(routes.OPERATORS)


def test_every_route_is_somebodys(service: Service) -> None:
    """The running route table has no route that is neither a user's, an operator's nor meant for anyone."""
    routes = {
        (method, route.path.rstrip("/") or "/")
        for route in service.app.litestar.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS"
    }
    assert routes == ANYONES | set(USERS) | set(OPERATORS)
    assert {path for _, path in USERS} >= {"/subscription", "/subscription/stream", "/checkout", "/portal"}
    assert OPERATORS == [("GET", "/metrics")]


@pytest.mark.parametrize(("method", "path"), USERS)
def test_no_token_no_answer(service: Service, method: str, path: str) -> None:
    """Without a token every user's route answers 401, before it reads anything else."""
    answer = service.request(method, path, content=b"not json", headers={"If-None-Match": "*"})
    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:interlock:unauthorized"
    for path_more in ("?limit=0", "?token=" + make_token(), "?access_token=" + make_token()):
        assert service.request(method, path + path_more).status_code == 401
    assert service.request(method, path, headers={"Cookie": f"token={make_token()}"}).status_code == 401


@pytest.mark.parametrize(("method", "path"), USERS)
def test_nothing_but_the_token_names_a_user(service: Service, method: str, path: str) -> None:
    """Whatever else a request says, no route shows B anything of A."""
    owner, other = f"canary-{path[1:].replace('/', '-')}-a", f"canary-{path[1:].replace('/', '-')}-b"
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
