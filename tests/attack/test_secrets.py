"""Row 18: secrets and card data are planted, every path that fails is walked, and none is ever seen."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import jwt

from interlock.api.app import create_app
from interlock.api.settings import load_settings
from tests.attack.conftest import StartVictim
from tests.attack.starts import begin
from tests.attack.victim import Obj, Victim
from tests.kit.bodies import fresh, subscription_event
from tests.kit.hose import ask, pour, webhook
from tests.kit.scale import Figure
from tests.kit.settings import environment, make_token, sign
from tests.kit.stripe import StandIn

STRIPE_KEY = "sk_test_" + "canaryStripeKey0123456789"
WEBHOOK = "whsec_" + "canaryWebhook0123456789abcdef"
WEBHOOK_NEXT = "whsec_" + "canaryRotated0123456789abcdef"
JWT_KEY = "canary-jwt-secret-that-is-longer-than-sixty-four-bytes-so-all-of-HS-fits"
ADMIN = "canary-operator-token-0123456789"
CARD = "4242424242424242"
CVC = "canary-cvc-737"
PLANTED: dict[str, str | None] = {
    "STRIPE_SECRET_KEY": STRIPE_KEY, "STRIPE_WEBHOOK_SECRET": f"{WEBHOOK},{WEBHOOK_NEXT}", "JWT_SECRET": JWT_KEY,
    "ADMIN_TOKEN": ADMIN,
}  # fmt: skip
SECRETS = [STRIPE_KEY, WEBHOOK, WEBHOOK_NEXT, JWT_KEY, ADMIN]


def traces(secret: str) -> Iterator[bytes]:
    """Yield how a secret may look where it leaked: as it is, quoted, in base64 or hexadecimal, or a good part of it."""
    raw = secret.encode()
    yield raw
    yield raw[: max(12, 2 * len(raw) // 3)]
    yield raw[-max(12, 2 * len(raw) // 3) :]
    yield quote(secret, safe="").encode()
    yield base64.b64encode(raw).rstrip(b"=")[:-2]
    yield raw.hex().encode()


def leaks(secrets: list[str], places: dict[str, bytes]) -> list[tuple[str, str]]:
    """Return which secret was seen where."""
    return [
        (secret[:12], name)
        for secret in secrets
        for trace in traces(secret)
        for name, text in places.items()
        if trace in text
    ]


def token(sub: object = "u_canary", **claims: object) -> str:
    return jwt.encode({"sub": sub, "exp": int(time.time()) + 3600} | claims, JWT_KEY, algorithm="HS256")


def requests(good: str, bad: list[str]) -> Iterator[bytes]:
    """Yield what makes each route refuse or fail, with secrets and a card in each place that a client writes."""
    card = {"plan": "pro", "promotion_code": CARD, "card": {"number": CARD, "cvc": CVC}}
    places = ["/subscription", "/subscription/stream", "/subscription/history", "/subscription/diagram", "/checkout",
    "/portal",
              "/plans", "/metrics", "/nothing", "/diagrams", "/schema", "/health/ready", "/webhooks/stripe", "/%00",
              "/\\"]  # fmt: skip
    for path in places:
        for method in ("GET", "POST", "DELETE", "OPTIONS", "BREW"):
            for text in (*bad, CARD, "") if method in ("GET", "POST") else bad[:1]:
                yield ask(
                    method,
                    f"{path}?card={CARD}&key={good}",
                    f"Authorization: Bearer {text}",
                    body=json.dumps(card).encode(),
                )
        yield ask("GET", f"{path}/{CARD}", f"Cookie: card={CARD}", f"X-Card: {CARD}")
    for limit in (CARD, f"{CARD}x", "0"):
        yield ask("GET", f"/subscription/history?limit={limit}&after={CVC}", f"Authorization: Bearer {good}")
    bodies: list[object] = [
        card,
        {"plan": {"number": CARD}},
        {"plan": 5, "promotion_code": [CARD]},
        [CARD],
        CARD,
        {"quantity": CARD, "plan": "pro"},
    ]
    for body in bodies:
        yield ask("POST", "/checkout", f"Authorization: Bearer {good}", body=json.dumps(body).encode())
        yield ask("POST", "/portal", f"Authorization: Bearer {good}", body=json.dumps(body).encode())
    event = json.dumps(subscription_event("u_canary", event_id=fresh("evt")) | {"card": CARD, "cvc": CVC}).encode()
    for header in (
        "",
        f"t=1,v1={WEBHOOK}",
        f"{WEBHOOK}",
        sign(event, ""),
        sign(event, "whsec_other_0123456789"),
        f"t={WEBHOOK},v1=0",
    ):
        yield webhook(event, header)
    for body in (
        b"{" + CARD.encode(),
        f'{{"id": 5, "type": "{CARD}"}}'.encode(),
        f'["{CARD}"]'.encode(),
        b"\xff" + CARD.encode(),
    ):
        yield webhook(body, sign(body, WEBHOOK))
        yield webhook(body, sign(body, WEBHOOK_NEXT))
    yield f"GET /{CARD} HTTP/9.9\r\nCard: {CARD}\r\n\r\n".encode()
    yield f"{CARD}\r\n\r\n".encode()


def bearers() -> list[str]:
    """Tokens that are refused: of another key, too old, of nobody; and secrets sent as if they were tokens."""
    return [
        make_token("u_canary"),
        token(exp=1),
        token(sub=5),
        token()[:-4],
        token() + "A",
        ADMIN + "x",
        STRIPE_KEY,
        WEBHOOK,
    ]


def test_no_secret_is_ever_seen(start_victim: StartVictim, stripe_side: StandIn, figure: Figure) -> None:
    """Through every path that fails, logging at DEBUG: no secret, token or card in logs, answers, or on the disk."""
    places: dict[str, bytes] = {}
    good, bad = token(), bearers()
    given = [good.rpartition(".")[2], *(text.rpartition(".")[2] for text in bad[:4])]
    tried = 0
    victims = {
        "Stripe is gone": start_victim(bounds=None, **PLANTED),
        "Stripe refuses the key": start_victim(bounds=None, **PLANTED, STRIPE_API_BASE=stripe_side.url),
    }
    stripe_side.spoil("status", STRIPE_KEY, "POST", "customers", times=1, value=401)
    stripe_side.spoil("status", STRIPE_KEY, "POST", "checkout", times=2, value=500)
    stripe_side.spoil("half", STRIPE_KEY, "GET", "subscriptions", times=2)
    for name, victim in victims.items():
        for number, answer in enumerate(pour(victim.port, requests(good, bad), width=4)):
            places[f"{name}: answer {number}"] = answer.head + answer.body
            tried += 1
            assert answer.status != 500, answer
        _walk(victim, good, places, name)
        said = victim.said()
        places[f"{name}: log"] = said.encode()
        assert " DEBUG " in said or " INFO " in said
        assert victim.errors() == []
        for number, kept in enumerate(victim.on_disk()):
            places[f"{name}: disk {number}"] = kept
    found = leaks([*SECRETS, *given, CARD, CVC], places)
    assert not found, found[:5]
    stored = sum(len(text) for place, text in places.items() if "disk" in place)
    figure(
        18,
        f"{len(SECRETS) + len(given) + 2} canaries through {tried} failing requests: 0 hits in answers, logs at DEBUG, "
        f"in {stored // 1024} KiB of database, WAL and unpacked payloads",
    )


def _walk(victim: Victim, good: str, places: dict[str, bytes], name: str) -> None:
    """What needs more than one request: events that are taken and must be asked about, checkouts, the catalogue."""
    for number in range(4):
        told = subscription_event("u_canary", sub_id=fresh("sub"), event_id=fresh("evt"), status="active")
        told["type"] = "customer.subscription.updated" if number % 2 else told["type"]
        body = json.dumps(told).encode()
        with victim.line() as line:
            line.send(webhook(body, sign(body, WEBHOOK)))
            answer = line.answer()
        assert answer.status == 200
        places[f"{name}: event {number}"] = answer.head + answer.body
    wishes: list[tuple[str, Obj]] = [
        ("/checkout", {"plan": "starter"}),
        ("/checkout", {"plan": "pro"}),
        ("/portal", {}),
    ]
    asked = [
        ask("POST", path, f"Authorization: Bearer {bearer}", body=json.dumps(wish).encode())
        for path, wish in wishes
        for bearer in (good, token(fresh("u")))
    ]
    for answer in pour(victim.port, asked):
        places[f"{name}: a wish {len(places)}"] = answer.head + answer.body
    for path in ("/metrics", "/plans", "/health/ready", "/schema", "/diagrams", "/schema/openapi.json"):
        answer = victim.request("GET", path, f"Authorization: Bearer {ADMIN}")
        assert answer.status == 200
        places[f"{name}: {path}"] = answer.head + answer.body
    time.sleep(1)  # the asker has tried


WRONG: dict[str, dict[str, str | None]] = {
    "a key of another kind": {"STRIPE_SECRET_KEY": "canary-not-a-key-0123456789"},
    "a short webhook secret": {"STRIPE_WEBHOOK_SECRET": f"{WEBHOOK},canary"},
    "an algorithm that needs more": {"JWT_SECRET": "canary-forty-bytes-are-enough-for-HS256-",
    "JWT_ALGORITHM": "HS512"},
    "a key that is no key": {"JWT_SECRET": None, "JWT_PUBLIC_KEY": "canary-public-key-0123456789",
    "JWT_ALGORITHM": "RS256"},
    "an operator's token with a space": {"ADMIN_TOKEN": "canary operator token 0123456789"},
    "a password in the database's address": {"DATABASE_URL": "postgresql://canary-user:canary-password-1@127.0.0.1:9/canary-db"},
    "a password in an address that is none": {"DATABASE_URL": "mysql://canary-user:canary-password-1@127.0.0.1/canary-db"},
    "a password in the origin": {"STRIPE_API_BASE": "http://canary-user:canary-password-1@127.0.0.1:9"},
    "a token in the keys' address": {"JWT_SECRET": None,
    "JWT_JWKS_URL": "http://issuer.example/?key=canary-key-012345", "JWT_ALGORITHM": "RS256"},
    "a path with a secret": {"JWT_SECRET": None, "JWT_SECRET_FILE": "/nonexistent/secret"},
    "a port that is taken": {"RECONCILE_EVERY": "0"},
}  # fmt: skip


def test_a_start_that_fails_shows_no_secret(tmp_path: Path, victim: Victim) -> None:
    """A start that is refused tells the setting in one line, and not what is in it."""
    cases = [environment(tmp_path, **(PLANTED | changes)) for changes in WRONG.values()]
    for (name, changes), ended in zip(WRONG.items(), begin(cases, port=victim.port), strict=True):
        assert ended.code == 1, (name, ended)
        planted = [value for value in (PLANTED | changes).values() if value and "canary" in value]
        for secret in ("canary-password-1", "canary-key-012345", *planted):
            assert secret not in ended.said, (name, ended)
        assert "Traceback" not in ended.said


def test_nothing_shows_a_secret_when_printed(tmp_path: Path) -> None:
    """Neither settings, configuration, application nor what they are made of shows a secret in its repr or str."""
    settings = load_settings(environment(tmp_path, **PLANTED))
    app = create_app(settings)
    config = settings.engine_config()
    things: list[object] = [
        settings,
        settings.tokens,
        config,
        app,
        app.runtime,
        *vars(app.runtime).values(),
        app.litestar,
        app.litestar.state,
        settings.stripe_secret_key,
    ]
    shown = {f"{type(thing).__name__} {number}": f"{thing!r} {thing!s}".encode() for number, thing in enumerate(things)}
    assert leaks(SECRETS, shown) == []
