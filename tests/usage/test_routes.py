"""The routes of features and usage: who may ask, what they answer, what they refuse."""

from __future__ import annotations

import datetime
from typing import Any, Final

import httpx
import pytest

from tests.kit.bodies import subscription_event
from tests.kit.service import Service, StartService
from tests.kit.settings import make_token
from tests.usage.conftest import PLANS

TOKEN: Final = "a-token-of-your-own-backend"
OTHER: Final = "the-token-that-comes-after-it"
POSTS: Final[dict[str, Any]] = {
    "/users/u_1/consume": {"feature": "api_calls"},
    "/users/u_1/hold": {"feature": "api_calls", "amount": 1, "seconds": 5},
    "/holds/hold_1": {"amount": 1},
    "/usage": {"events": []},
}


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("plans") / "plans.toml"
    file.write_text(PLANS, "utf-8")
    return str(file)


@pytest.fixture
def backend(start_service: StartService, plans: str) -> Service:
    """A service with tokens for a backend, and a user u_1 who holds the plan pro."""
    service = start_service(PLANS_FILE=plans, SERVICE_TOKEN=f"{TOKEN}, {OTHER}")
    assert service.deliver(subscription_event("u_1")).status_code == 200
    return service


def ask(service: Service, path: str, body: Any = None, token: str | None = TOKEN, **options: Any) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    method = "GET" if body is None else "POST"
    return service.request(method, path, headers=headers, json=body, **options)


@pytest.mark.parametrize("path", [*POSTS, "/users/u_1/features/api_calls"])
def test_only_your_own_backend_counts(start_service: StartService, backend: Service, path: str) -> None:
    """Promise: a user's token, a wrong one and none at all are 401; where no token is set, nothing is there."""
    body = POSTS.get(path)
    for token in (None, "wrong", TOKEN + "x", make_token("u_1")):
        assert ask(backend, path, body, token).status_code == 401
    for token in (TOKEN, OTHER):
        assert ask(backend, path, body, token).status_code == (404 if "holds" in path else 200)
    closed = start_service(SERVICE_TOKEN=None)
    assert ask(closed, path, body).status_code == 404


def test_consume_answers_200_either_way(backend: Service) -> None:
    """Promise: allowed and denied have one shape; an id that comes again is a duplicate."""
    first = ask(backend, "/users/u_1/consume", {"feature": "api_calls", "amount": 100, "id": "a"})
    assert first.status_code == 200
    assert first.headers["cache-control"] == "no-store"
    answer = first.json()
    resets_at = answer.pop("resets_at")
    assert answer == {"allowed": True, "reason": "plan", "used": 100, "remaining": 0, "duplicate": False}
    assert datetime.datetime.fromisoformat(resets_at) > datetime.datetime.now(datetime.UTC)
    denied = ask(backend, "/users/u_1/consume", {"feature": "api_calls"}).json()
    assert (denied["allowed"], denied["reason"], denied["used"]) == (False, "limit_reached", 100)
    assert ask(backend, "/users/u_1/consume", {"feature": "api_calls", "id": "a"}).json()["duplicate"]


def test_a_user_reads_what_is_left(backend: Service) -> None:
    """Promise: the list has a version that is its ETag, 304 while nothing changes; one feature names other plans."""
    read = backend.get("/features", "u_1")
    items = {item["key"]: item for item in read.json()["items"]}
    assert (items["api_calls"]["limit"], items["export"]["limit"], items["seats"]["reason"]) == (
        100,
        None,
        "not_in_plan",
    )
    assert read.headers["etag"] == f'"{read.json()["version"]}"'
    again = {"If-None-Match": read.headers["etag"]}
    assert backend.get("/features", "u_1", headers=again).status_code == 304
    ask(backend, "/users/u_1/consume", {"feature": "api_calls", "amount": 99})
    assert backend.get("/features", "u_1", headers=again).status_code == 200
    one = backend.get("/features/api_calls", "u_1").json()
    assert (one["used"], one["remaining"], one["allowed"], one["plans"]) == (99, 1, True, ["pro", "year"])
    assert ask(backend, "/users/u_1/features/api_calls").json() == one
    stranger = backend.get("/features/api_calls", "u_2").json()
    assert (stranger["reason"], stranger["limit"], stranger["used"]) == ("free", 5, 0)


def test_an_unknown_feature_is_never_allowed(backend: Service) -> None:
    """Promise: a misspelled name is a 404 to read and a 422 to count, a problem each time."""
    for answer, status, code in (
        (backend.get("/features/api_cals", "u_1"), 404, "not_found"),
        (ask(backend, "/users/u_1/features/api_cals"), 404, "not_found"),
        (ask(backend, "/users/u_1/consume", {"feature": "api_cals"}), 422, "unknown_feature"),
        (ask(backend, "/users/u_1/hold", {"feature": "api_cals", "amount": 1, "seconds": 5}), 422, "unknown_feature"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_hold_is_settled_once(backend: Service) -> None:
    """Promise: hold, settle, and again: the second settlement is the first answer."""
    held = ask(backend, "/users/u_1/hold", {"feature": "api_calls", "amount": 60, "seconds": 60}).json()
    assert (held["allowed"], held["remaining"], held["id"][:5]) == (True, 40, "hold_")
    assert held["expires_at"] is not None
    first = ask(backend, f"/holds/{held['id']}", {"amount": 10}).json()
    again = ask(backend, f"/holds/{held['id']}", {"amount": 40}).json()
    assert (first["used"], first["duplicate"], again["used"], again["duplicate"]) == (10, False, 10, True)
    assert ask(backend, "/holds/hold_unknown", {"amount": 1}).status_code == 404


def test_a_report_of_a_thousand(backend: Service) -> None:
    """Promise: a thousand uses go in one call, one more is refused whole; what was refused says why."""
    events = [{"user": "u_1", "feature": "tokens", "amount": 1, "id": f"e_{n}"} for n in range(1000)]
    assert ask(backend, "/usage", {"events": events}).json() == {"counted": 1000, "duplicates": 0, "refused": []}
    events[0] |= {"id": "old", "at": "2020-01-01T00:00:00Z"}
    assert ask(backend, "/usage", {"events": events}).json() == {
        "counted": 0, "duplicates": 999, "refused": [{"id": "old", "why": "too_old"}],
    }  # fmt: skip
    assert ask(backend, "/usage", {"events": [*events, events[0]]}).status_code == 400
    assert backend.get("/features/tokens", "u_1").json()["used"] == 1000


@pytest.mark.parametrize(
    "body",
    [
        {"feature": "api_calls", "amount": 0}, {"feature": "api_calls", "amount": -1},
        {"feature": "api_calls", "amount": 1.5},
        {"feature": "api_calls", "amount": "1"}, {"feature": "api_calls", "amount": 10**13}, {"feature": ""}, {},
        {"feature": "api_calls", "id": ""}, {"feature": "api_calls", "id": "a\x00b"}, {"feature": "x" * 256},
        {"feature": "api_calls", "more": 1}, [], None, "text", {"feature": "\ud800"},
    ],
)  # fmt: skip
def test_what_is_no_use_is_refused(backend: Service, body: Any) -> None:
    """Promise: a body of another form is a 400 that counts nothing, never a 5xx."""
    content = repr(body) if body == {"feature": "\ud800"} else None
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    if content is not None:
        answer = backend.request("POST", "/users/u_1/consume", content='{"feature":"\\ud800"}', headers=headers)
    else:
        answer = backend.request("POST", "/users/u_1/consume", json=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_body"


@pytest.mark.parametrize("user", ["%00", "x" * 201, "%20", "a%2Fb"])
def test_a_user_that_no_token_could_name_is_nobody(backend: Service, user: str) -> None:
    """Promise: an id that can't be a user's is a 404, on both ways to the route."""
    for path in (f"/users/{user}/consume", f"/users/{user}/hold"):
        body = {"feature": "api_calls", "amount": 1} | ({"seconds": 5} if "hold" in path else {})
        assert ask(backend, path, body).status_code == 404


def test_a_large_body_is_refused(backend: Service) -> None:
    """Promise: what is too long is 413 before it is read whole."""
    answer = ask(backend, "/users/u_1/consume", {"feature": "api_calls", "id": "x" * 20_000})
    assert answer.status_code == 413
