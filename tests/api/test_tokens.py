"""Row 15: a token that proves nothing is answered 401, whatever is wrong with it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.kit.service import Service, StartService
from tests.kit.settings import JWT_SECRET, make_token

KEY = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def status(service: Service, authorization: str | bytes | None) -> int:
    """Ask for the state with this header, and check the form of a refusal."""
    value = authorization.encode() if isinstance(authorization, str) else authorization
    headers = {} if value is None else {b"Authorization": value}
    answer = service.client.get("/subscription", headers=headers)
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code


NOW = int(time.time())
BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "no exp": {"exp": None},
    "expired": {"exp": NOW - 1},
    "exp is text": {"exp": "9999999999"},
    "exp is true": {"exp": True},
    "exp is infinite": {"exp": float("inf")},
    "exp is not a number": {"exp": float("nan")},
    "exp is beyond any float": {"exp": 10**400},
    "not yet": {"nbf": NOW + 600},
    "nbf is text": {"nbf": "soon"},
    "no subject": {"sub": None},
    "empty subject": {"sub": ""},
    "blank subject": {"sub": "  "},
    "subject too long": {"sub": "x" * 256},
    "subject with a NUL": {"sub": "a\0b"},
}


@pytest.mark.parametrize("name", BAD_CLAIMS)
def test_bad_claims(service: Service, name: str) -> None:
    """`exp` and a non-empty text `sub` are required, and `nbf` is heeded."""
    assert status(service, f"Bearer {make_token(**BAD_CLAIMS[name])}") == 401


def hand_made(payload: bytes) -> str:
    """Sign a payload that PyJWT would refuse to write."""
    return jwt.api_jws.encode(payload, JWT_SECRET, algorithm="HS256")


@pytest.mark.parametrize(
    "payload",
    [
        b'{"sub": 5, "exp": 9999999999}',
        b'{"sub": ["u_1"], "exp": 9999999999}',
        b'{"sub": {"a": 1}, "exp": 9999999999}',
        b'{"sub": true, "exp": 9999999999}',
        b'{"sub": "\\ud800", "exp": 9999999999}',
        b'["u_1"]',
        b'"u_1"',
        b"null",
        b"not json",
        b"\xff",
        b"[" * 5000,
        b'{"sub": "u_1", "exp": 9999999999, "a": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        b"",
    ],
)
def test_payloads_that_are_no_claims(service: Service, payload: bytes) -> None:
    """A signed payload whose `sub` is not text, or that is no object, is a 401, never a 500."""
    token = hand_made(payload)
    assert status(service, f"Bearer {token}") == 401


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Basic dTpw",
        "Token abc",
        "Bearer a.b.c",
        "Bearer .",
        "Bearer ..",
        "Bearer a b",
        b"Bearer \xff\xfe",
        "Bearer " + "a" * 20_000,
        f"Bearer {part({'alg': 'none'})}.{part({'sub': 'u_1', 'exp': 9999999999})}.",
        f"Bearer {part({'alg': 'NONE', 'typ': 'JWT'})}.{part({'sub': 'u_1', 'exp': 9999999999})}.",
        f"Bearer {part([])}.{part({})}.{part(b'x')}",
        f"Bearer {part({'alg': 5})}.{part({})}.{part(b'x')}",
        f"Bearer {part(b'[' * 5000)}.{part({})}.{part(b'x')}",
    ],
)
def test_headers_that_are_no_token(service: Service, header: str | bytes | None) -> None:
    """Nothing, another scheme, garbage, `alg: none`: 401."""
    assert status(service, header) == 401


def test_two_tokens_prove_nothing(service: Service) -> None:
    """Two Authorization headers could be read differently by others on the way: 401."""
    token = f"Bearer {make_token()}"
    answer = service.client.get("/subscription", headers=[("Authorization", token), ("Authorization", token)])
    assert answer.status_code == 401


def test_wrong_key_algorithm_and_signature(service: Service) -> None:
    """Another key, another algorithm of the same key, a flipped bit: 401."""
    good = make_token()
    assert status(service, f"bearer {good}") == 200
    assert status(service, f"Bearer {make_token(key='x' + JWT_SECRET)}") == 401
    assert status(service, f"Bearer {make_token(algorithm='HS512')}") == 401
    assert status(service, f"Bearer {make_token(algorithm='RS256', key=KEY)}") == 401
    head, body, mark = good.split(".")
    assert status(service, f"Bearer {head}.{body}.{part(bytes(32))}") == 401
    assert status(service, f"Bearer {head}.{part({'sub': 'u_2', 'exp': NOW + 600})}.{mark}") == 401
    critical = jwt.encode({"sub": "u_1", "exp": NOW + 600}, JWT_SECRET, headers={"crit": ["b64"], "b64": True})
    assert status(service, f"Bearer {critical}") == 401


def test_a_verified_token_still_ends(service: Service) -> None:
    """A token that was verified, and is remembered, is refused once it has expired."""
    token = f"Bearer {make_token(exp=int(time.time()) + 2)}"
    assert status(service, token) == 200
    time.sleep(2.1)
    assert status(service, token) == 401


def test_audience_and_issuer(start_service: StartService) -> None:
    """Where they are set, a token must carry them; it may carry several audiences."""
    service = start_service(JWT_AUDIENCE="billing", JWT_ISSUER="https://issuer.example")
    right: dict[str, Any] = {"aud": "billing", "iss": "https://issuer.example"}
    assert status(service, f"Bearer {make_token(**right)}") == 200
    several: dict[str, Any] = right | {"aud": ["other", "billing"]}
    assert status(service, f"Bearer {make_token(**several)}") == 200
    wrongs: list[dict[str, Any]] = [
        {"aud": "other"},
        {"aud": None},
        {"aud": []},
        {"aud": 5},
        {"iss": None},
        {"iss": "https://evil.example"},
    ]
    for wrong in wrongs:
        assert status(service, f"Bearer {make_token(**right | wrong)}") == 401


def test_an_audience_nobody_asked_for_is_no_fault(service: Service) -> None:
    """Where no audience is set, tokens may name any."""
    assert status(service, f"Bearer {make_token(aud='somebody')}") == 200


def test_a_public_key_is_no_shared_secret(start_service: StartService) -> None:
    """With RS256 pinned, a token signed with the public key as an HMAC secret is refused."""
    service = start_service(JWT_SECRET=None, JWT_PUBLIC_KEY=PEM, JWT_ALGORITHM="RS256")
    assert status(service, f"Bearer {make_token(key=KEY, algorithm='RS256')}") == 200
    assert status(service, f"Bearer {make_token(key=OTHER, algorithm='RS256')}") == 401
    # PyJWT refuses to sign with a PEM, so it is done by hand.
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': 'u_1', 'exp': NOW + 600})}"
    mark = part(hmac.new(PEM.encode(), signed.encode(), hashlib.sha256).digest())
    assert status(service, f"Bearer {signed}.{mark}") == 401


class Issuer:
    """A small token issuer that publishes keys, and counts who asks."""

    def __init__(self) -> None:
        self.body: bytes = b"{}"
        self.status = 200
        self.asked = 0
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                self.send_response(issuer.status)
                self.send_header("Content-Length", str(len(issuer.body)))
                self.end_headers()
                self.wfile.write(issuer.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks.json"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def publish(self, *keys: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": keys}).encode()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    running = Issuer()
    yield running
    running.stop()


def public(key: rsa.RSAPrivateKey, kid: str, **more: Any) -> dict[str, Any]:
    return json.loads(RSAAlgorithm.to_jwk(key.public_key())) | {"kid": kid, "use": "sig"} | more


def signed_by(key: Any, kid: str | None, algorithm: str = "RS256") -> str:
    headers = {} if kid is None else {"kid": kid}
    return "Bearer " + jwt.encode({"sub": "u_1", "exp": NOW + 3600}, key, algorithm=algorithm, headers=headers)


def with_issuer(start_service: StartService, issuer: Issuer) -> Service:
    return start_service(JWT_SECRET=None, JWT_JWKS_URL=issuer.url, JWT_ALGORITHM="RS256")


def test_published_keys(start_service: StartService, issuer: Issuer) -> None:
    """Keys are fetched when first needed, found by `kid`, and an unknown `kid` does not make a flood of fetches."""
    ec_key = json.loads(ECAlgorithm.to_jwk(CURVE.public_key())) | {"kid": "curve"}
    issuer.publish(public(KEY, "one"), public(OTHER, "encrypts", use="enc"), ec_key, {"kty": "nonsense"})
    service = with_issuer(start_service, issuer)
    assert issuer.asked == 0
    assert status(service, signed_by(KEY, "one")) == 200
    assert status(service, signed_by(KEY, None)) == 200
    assert issuer.asked == 1
    for _ in range(20):
        assert status(service, signed_by(OTHER, "unknown")) == 401
        assert status(service, signed_by(OTHER, "encrypts")) == 401
        assert status(service, signed_by(CURVE, "curve", "ES256")) == 401
        assert status(service, signed_by(OTHER, "one")) == 401
    assert issuer.asked == 1
    assert status(service, signed_by(KEY, "one")) == 200


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (500, b"{}"),
        (302, b"{}"),
        (200, b"not json"),
        (200, b"[]"),
        (200, b'{"keys": 5}'),
        (200, b'{"keys": [' + b"[" * 100_000),
        (200, b'{"keys": [], "pad": "' + b"x" * 300_000 + b'"}'),
    ],
)
def test_an_issuer_that_fails(start_service: StartService, issuer: Issuer, code: int, body: bytes) -> None:
    """Without keys nothing can be verified: 503 with Retry-After, and nobody is let in."""
    issuer.status, issuer.body = code, body
    service = with_issuer(start_service, issuer)
    answer = service.client.get("/subscription", headers={"Authorization": signed_by(KEY, "one")})
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert answer.json()["type"] == "urn:interlock:keys-unavailable"
