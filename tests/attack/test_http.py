"""OWASP ASVS 5, as far as a socket can show it: headers, methods, paths, smuggling, limits; each on the real server."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections import Counter

import pytest

from interlock.api.http.limits import MAX_USERS, TokenBuckets
from interlock.api.http.problems import ApiError
from tests.attack.victim import Victim, bearer, closed_by_the_server
from tests.kit.bodies import fresh, subscription_event
from tests.kit.hose import ask, pour, webhook
from tests.kit.settings import ADMIN_TOKEN, sign

PAGES = ("/diagrams", "/schema")
KINDS = {
    "state": ("GET", "/subscription", True),
    "history": ("GET", "/subscription/history", True),
    "own picture": ("GET", "/subscription/diagram", True),
    "not modified": ("GET", "/subscription", True),
    "catalogue": ("GET", "/plans", False),
    "page": ("GET", "/diagrams", False),
    "schema page": ("GET", "/schema", False),
    "document": ("GET", "/schema/openapi.json", False),
    "picture": ("GET", "/diagrams/subscription.svg", False),
    "text": ("GET", "/diagrams/subscription.mmd", False),
    "health": ("GET", "/health/live", False),
    "refused token": ("GET", "/subscription", False),
    "not found": ("GET", "/nothing", False),
    "wrong method": ("DELETE", "/plans", False),
    "bad body": ("POST", "/checkout", True),
    "bad signature": ("POST", "/webhooks/stripe", False),
    "bad query": ("GET", "/subscription/history?limit=x", True),
    "closed to users": ("GET", "/metrics", True),
    "options": ("OPTIONS", "/checkout", True),
    "broken": ("GET", "/ HTTP/1.1\r\nno colon\r\n", False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_headers_of_every_kind_of_answer(victim: Victim, kind: str) -> None:
    """Not sniffed, framed, referred or read by another origin; no server is named; what is private is not kept."""
    method, path, known = KINDS[kind]
    more = ["Origin: https://evil.example", "Access-Control-Request-Method: POST"]
    more += ["If-None-Match: *"] if kind == "not modified" else []
    body = b"{" if method == "POST" else None
    answer = victim.request(method, path, *bearer("u_headers" if known else None), *more, body=body)
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("x-frame-options") == "DENY"
    assert answer.header("referrer-policy") == "no-referrer"
    assert answer.header("cross-origin-resource-policy") == "same-origin"
    policy = answer.header("content-security-policy") or ""
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    script = re.search(r"script-src ([^;]*)", policy)
    assert script is None or "unsafe-inline" not in script[1]
    assert b"access-control" not in answer.head.lower()
    assert answer.header("server") is None
    assert answer.header("set-cookie") is None
    assert answer.header("x-powered-by") is None
    cached = answer.header("cache-control") or ""
    if (known and method != "OPTIONS") or answer.status >= 400:
        assert cached in ("private, no-cache", "no-store"), cached
    if cached.startswith("private"):
        assert answer.header("vary") == "Authorization"
    if answer.status >= 400:
        assert answer.header("content-type") == "application/problem+json"
        assert answer.json()["status"] == answer.status


@pytest.mark.parametrize("path", PAGES)
def test_pages_run_only_what_their_policy_names(victim: Victim, path: str) -> None:
    """A page loads nothing from elsewhere, has no handler in an attribute, and names each inline script by its hash."""
    answer = victim.get(path)
    page, policy = answer.body.decode(), answer.header("content-security-policy") or ""
    assert not re.search(r"""\son\w+\s*=\s*["']""", page)
    assert "javascript:" not in page
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?:https?:)?//""", page.replace("http://www.w3.org", ""))
    scripts = [text for text in re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) if text.strip()]
    assert policy.count("'sha256-") >= len(scripts)
    for directive in ("base-uri 'none'", "form-action 'none'"):
        assert directive in policy


def test_methods(victim: Victim) -> None:
    """Other methods than a route's are 405 with Allow, whatever an override header says; TRACE echoes nothing."""
    overrides = ("X-HTTP-Method-Override: GET", "X-HTTP-Method: GET", "X-Method-Override: GET")
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "HEAD", "PROPFIND", "PURGE"):
        for path in ("/subscription", "/plans", "/metrics", "/webhooks/stripe", "/checkout"):
            answer = victim.request(method, path, *bearer("u_methods"), *overrides, "X-Secret: echo-me")
            assert answer.status == 405, (method, path)
            assert answer.header("allow")
            assert b"echo-me" not in answer.head + answer.body
    for path in ("/checkout", "/portal", "/webhooks/stripe"):
        assert victim.request("GET", f"{path}?_method=POST", *bearer("u_methods"), *overrides).status == 405
    assert victim.request("OPTIONS", "/checkout").header("allow")


PATHS = [
    "/%2e%2e/metrics", "/../metrics", "/..;/metrics", "/subscription/../metrics", "/subscription/%2e%2e/metrics",
    "/./metrics",
    "/metrics/", "//metrics", "/metrics;x=1", "/metrics%00", "/metrics%20", "/METRICS", "/metrics.json", "/%6detrics",
    "/metrics/..",
    "/metrics%2f", "/\\metrics", "/metrics?token=" + ADMIN_TOKEN, "/metrics#x", "http://localhost/metrics",
    "http://evil.example/metrics",
    "/%c0%ae%c0%ae/metrics", "/%u002e/metrics", "/health/../metrics", "/schema/../metrics",
    "/schema/%2e%2e%2fmetrics", "/%252e%252e/metrics",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_path_goes_around_a_guard(victim: Victim, path: str) -> None:
    """However a path is written, what it leads to asks for its token, or there is nothing."""
    for stem in ("metrics", "subscription"):
        written = path.replace("metrics", stem).replace("METRICS", stem.upper())
        answer = victim.request("GET", written)
        assert answer.status in (400, 401, 404), answer
        assert b"interlock_" not in answer.body
    open_ = victim.request("GET", path.replace("metrics", "etc/passwd"))
    assert open_.status in (400, 401, 404), open_  # a token in the query opens nothing either


def test_long_and_many(victim: Victim) -> None:
    """Very long addresses, queries, headers and many of them: an answer below 500, at once."""
    longs = {
        "address": ask("GET", "/" + "a" * 60_000), "address beyond": ask("GET", "/" + "a" * 200_000),
        "query": ask("GET", "/plans?" + "a=1&" * 15_000), "query beyond": ask("GET", "/plans?" + "a=1&" * 200_000),
        "numbers": ask("GET", "/subscription/history?" + "limit=1&" * 7_000, *bearer("u_long")),
        "nested": ask("GET", "/subscription/history?" + "a[" * 5_000, *bearer("u_long")),
        "percent": ask("GET", "/" + "%41" * 15_000), "slashes": ask("GET", "/" * 60_000), "dots": ask("GET",
        "/" + "../" * 15_000),
        "headers": ask("GET", "/plans", *[f"X-{n}: 1" for n in range(20_000)]),
        "cookies": ask("GET", "/plans", "Cookie: " + ";" * 500_000), "tags": ask("GET", "/subscription",
        *bearer("u_long"), 'If-None-Match: ' + '"a,' * 150_000),
        "accept": ask("GET", "/plans", "Accept: " + "text/html;q=0.1," * 30_000), "type": ask("POST", "/checkout",
        *bearer("u_long"), "Content-Type: " + "a/b;" * 50_000, body=b"{}"),
    }  # fmt: skip
    for name, request in longs.items():
        begun = time.monotonic()
        with victim.line() as line:
            line.send(request)
            answer = line.answer()
        assert 200 <= answer.status < 500, (name, answer)
        assert time.monotonic() - begun < 5, name
    assert victim.errors() == []


SMUGGLED = b"GET /plans HTTP/1.1\r\nHost: a\r\n\r\n"
SMUGGLES: dict[str, bytes] = {
    "length and chunks": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 4\r\nContent-Length: 0\r\n\r\nabcd",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "two codings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded header": b"X: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare line feeds": b"X: a\nContent-Length: 33\n\n",
    "a NUL in a header": b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a carriage return in a header": b"X: a\rContent-Length: 33\r\n\r\n",
    "a vertical tab in a coding": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a chunk's size with a sign": b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
    "a chunk's size in a wide form": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "a chunk's end without a return": b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n",
    "another protocol": b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 33\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLES)
def test_smuggling(victim: Victim, name: str) -> None:
    """A request that two programs could end at different places is answered 400, and nothing behind it is."""
    with socket.create_connection(("127.0.0.1", victim.port), timeout=20) as connection:
        connection.sendall(b"POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\n" + SMUGGLES[name] + SMUGGLED)
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while more := connection.recv(65_536):  # until it hangs up: what came behind is in doubt too
                said += more
    assert said.startswith(b"HTTP/1.1 400 "), said
    assert said.count(b"HTTP/1.1 ") == 1, "the smuggled request was answered"
    assert b"starter" not in said


def test_a_trailer_is_no_header(victim: Victim) -> None:
    """A signature that comes behind the body, where nobody on the way has looked at it, proves nothing."""
    body = json.dumps(subscription_event("u_trailer", event_id=fresh("evt"))).encode()
    head = ask("POST", "/webhooks/stripe", "Transfer-Encoding: chunked", "Trailer: Stripe-Signature")
    late = b"%x\r\n%b\r\n0\r\nStripe-Signature: %b\r\n\r\n" % (len(body), body, sign(body).encode())
    with victim.line() as line:
        line.send(head + late)
        assert line.answer().status == 400
        line.send(ask("GET", "/plans"))
        assert line.answer().status == 200, "the connection is still good"


def test_requests_in_a_row_are_answered_in_order(victim: Victim) -> None:
    """Pipelined requests of two users are answered each with its own user's state, in order."""
    users = [fresh("u") for _ in range(40)]
    with victim.line() as line:
        line.send(b"".join(ask("GET", "/subscription", *bearer(user)) for user in users))
        assert [line.answer().json()["user_id"] for _ in users] == users


def test_rate_limits(cramped: Victim) -> None:
    """Checkouts and portals of a user share a bucket: a burst, then 429 with Retry-After; nobody else has to wait."""
    victim = cramped
    user, other = fresh("u"), fresh("u")

    checkout = ask("POST", "/checkout", *bearer(user), body=b'{"plan": "none"}')
    portal = ask("POST", "/portal", *bearer(user), body=b"{}")
    statuses = Counter(answer.status for answer in pour(victim.port, [checkout, portal] * 20))
    assert 15 <= statuses[429] <= 30, statuses
    refused = victim.post("/portal", user, {})
    assert (refused.status, refused.header("retry-after")) == (429, "1")
    assert refused.json()["type"] == "urn:interlock:too-many-requests"
    assert victim.post("/portal", other, {}).status == 409
    assert victim.get("/subscription", user).status == 200, "reading is not limited"
    event = subscription_event(user, event_id=fresh("evt"), sub_id=fresh("sub"))
    assert victim.deliver(event).status == 200, "webhooks are not limited"
    time.sleep(int(refused.header("retry-after") or 0) + 0.2)
    assert victim.post("/portal", user, {}).status != 429, "what Retry-After says is true"


def test_buckets_are_bounded() -> None:
    """However many users ask, memory is bounded; and whoever asks on and on is not forgotten by it."""
    now = 0.0
    buckets = TokenBuckets(2, 1.0, lambda: now)
    for number in range(3 * MAX_USERS):
        buckets.take(f"u_{number}")
        if number % 1_000 == 0:
            with contextlib.suppress(ApiError):
                buckets.take("often")
    assert len(vars(buckets)["_buckets"]) <= MAX_USERS
    with pytest.raises(ApiError):
        buckets.take("often")
    now = 1.0
    buckets.take("often")


def test_too_many_webhooks_at_once(cramped: Victim) -> None:
    """Only so many webhooks wait at a time: the next is 503 with Retry-After, users are served, and it passes."""
    victim = cramped
    user = fresh("u")
    body = json.dumps(subscription_event(user, event_id=fresh("evt"), sub_id=fresh("sub"))).encode()
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            held = stack.enter_context(victim.line())
            held.send(ask("POST", "/webhooks/stripe", "Content-Length: 100") + b"{")
        until = time.monotonic() + 0.9
        while (answer := victim.deliver(body)).status != 503:
            assert time.monotonic() < until
        assert answer.header("retry-after") == "1"
        assert answer.json()["type"] == "urn:interlock:overloaded"
        assert victim.get("/subscription", user).status == 200
        time.sleep(1.2)
        assert victim.deliver(body).json()["outcome"] in ("applied", "duplicate")
    # Room for bytes is given back too, also by those who hang up in the middle.
    for _ in range(40):
        with victim.line() as line:
            line.send(ask("POST", "/webhooks/stripe", f"Content-Length: {1024 * 1024}") + b"{")
    time.sleep(0.3)
    assert victim.deliver(body).status == 200


def test_too_many_connections(cramped: Victim) -> None:
    """Beyond the bound of connections it answers 503, and is well once they are gone."""
    victim = cramped
    idle = [socket.create_connection(("127.0.0.1", victim.port), timeout=10) for _ in range(70)]
    answer = victim.get("/plans")
    assert answer.status == 503
    for connection in idle:
        assert closed_by_the_server(connection, 6)
        connection.close()
    assert victim.get("/plans").status == 200


def test_operators_routes_are_closed_unless_opened(cramped: Victim) -> None:
    """Without ADMIN_TOKEN there is no operator's route, whatever is sent: it is as any path where nothing is."""
    victim = cramped
    nothing = victim.request("GET", "/nothing", f"Authorization: Bearer {ADMIN_TOKEN}")
    for header in (
        "Bearer ",
        "Bearer None",
        f"Bearer {ADMIN_TOKEN}",
        "Bearer null",
        "Basic Og==",
        "",
        *bearer("admin"),
    ):
        value = header if header.startswith("Authorization") else f"Authorization: {header}"
        answer = victim.request("GET", "/metrics", value)
        assert (answer.status, answer.body) == (404, nothing.body)


def test_a_webhook_of_any_type_is_read_as_bytes(victim: Victim) -> None:
    """No Content-Type, coding or charset changes what the signature is over; a compressed body is not unpacked."""
    user = fresh("u")
    for header in ("Content-Type: text/plain", "Content-Type: multipart/form-data; boundary=x",
    "Content-Type: application/json; charset=utf-16",
                   "Content-Encoding: gzip", "X: y"):  # fmt: skip
        body = json.dumps(subscription_event(user, event_id=fresh("evt"), sub_id=fresh("sub"))).encode()
        answer = victim.request("POST", "/webhooks/stripe", f"Stripe-Signature: {sign(body)}", header, body=body)
        assert answer.status == 200, header
    packed = b"\x1f\x8b\x08\x00" + bytes(20)
    with victim.line() as line:
        line.send(webhook(packed, sign(packed)))
        assert line.answer().status == 400
