"""Row 15, what `tests/api/test_tokens.py` leaves open: other algorithms, keys that turn, tricks of the head."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.api.test_tokens import Issuer
from tests.attack.conftest import StartVictim
from tests.attack.victim import Victim
from tests.kit.bodies import fresh
from tests.kit.hose import ask, pour
from tests.kit.scale import Figure
from tests.kit.settings import JWT_SECRET, make_token

Obj = dict[str, Any]
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
KEYS: dict[str, tuple[Any, Any]] = {
    "RS256": (RSA, OTHER_RSA),
    "PS256": (RSA, OTHER_RSA),
    "RS512": (RSA, OTHER_RSA),
    "ES256": (ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())),
    "ES384": (ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())),
    "ES512": (ec.generate_private_key(ec.SECP521R1()), ec.generate_private_key(ec.SECP521R1())),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()),
    "EdDSA 448": (ed448.Ed448PrivateKey.generate(), ed448.Ed448PrivateKey.generate()),
}


def pem(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims(**more: Any) -> Obj:
    return {"sub": "u_1", "exp": int(time.time()) + 3600} | more


def by_hand(head: Any, payload: Any, key: str | bytes = JWT_SECRET, digest: str = "sha256") -> str:
    """Sign whatever head and payload with a secret, as no library would."""
    signed = f"{part(head)}.{part(payload)}"
    raw = key if isinstance(key, bytes) else key.encode()
    return f"{signed}.{part(hmac.digest(raw, signed.encode(), digest))}"


def statuses(victim: Victim, tokens: list[str]) -> list[int]:
    """Ask for the state with each token; a refusal is a problem that says how to ask."""
    answers = list(
        pour(victim.port, (ask("GET", "/subscription", f"Authorization: Bearer {token}") for token in tokens))
    )
    for answer in answers:
        assert answer.status in (200, 401), answer
        if answer.status == 401:
            assert answer.header("www-authenticate") == "Bearer"
            assert answer.json()["type"] == "urn:interlock:unauthorized"
    return [answer.status for answer in answers]


def tricks() -> Iterator[tuple[str, str]]:
    """Yield tokens that are signed with the right secret, or nearly, and prove nothing."""
    plain = {"alg": "HS256", "typ": "JWT"}
    good = by_hand(plain, claims())
    head, body, mark = good.split(".")
    for algorithm in (
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "hs256",
        "HS256 ",
        "HS384",
        "HS512",
        "RS256",
        "ES256",
        "EdDSA",
        "dir",
        "A256KW",
    ):
        yield f"alg {algorithm!r}", by_hand(plain | {"alg": algorithm}, claims())
        yield f"alg {algorithm!r}, unsigned", f"{part(plain | {'alg': algorithm})}.{body}."
        yield f"alg {algorithm!r}, another's mark", f"{part(plain | {'alg': algorithm})}.{body}.{mark}"
    for value in (None, 5, True, [], ["HS256"], {}, {"HS256": 1}):
        yield f"alg {value!r}", by_hand({"alg": value}, claims())
    yield "no alg", by_hand({"typ": "JWT"}, claims())
    yield "two algs, the last none", by_hand(b'{"alg":"HS256","alg":"none"}', claims())
    yield "the head is an array", by_hand([plain], claims())
    yield "the head is empty", by_hand(b"", claims())
    yield "crit", by_hand(plain | {"crit": ["exp"], "exp": 1}, claims())
    yield "crit, empty", by_hand(plain | {"crit": []}, claims())
    yield "an unencoded payload", by_hand(plain | {"b64": False, "crit": ["b64"]}, claims())
    for key in (b"", b"secret", JWT_SECRET.encode()[:-1], JWT_SECRET.encode() + b"\n",
    JWT_SECRET.encode().hex().encode(),
                base64.b64encode(JWT_SECRET.encode())):  # fmt: skip
        yield f"key {key[:6]!r}", by_hand(plain, claims(), key)
    own = {"kty": "oct", "k": part(b"attacker"), "alg": "HS256", "kid": "own"}
    yield "its own key", by_hand(plain | {"jwk": own}, claims(), b"attacker")
    for name in ("jku", "x5u", "x5c", "kid"):
        for value in (
            "https://evil.example/jwks.json",
            "/dev/null",
            "../../../../dev/null",
            "' UNION SELECT 'attacker' --",
            ["attacker"],
        ):
            yield f"{name} {value}", by_hand(plain | {name: value}, claims(), b"attacker")
            yield f"{name} {value}, no key", by_hand(plain | {name: value}, claims(), b"")
    yield "four parts", good + "." + mark
    yield "five parts", f"{part({'alg': 'dir', 'enc': 'A256GCM'})}..{part(b'x' * 12)}.{body}.{mark}"
    yield "two parts", f"{head}.{body}"
    yield "parts swapped", f"{body}.{head}.{mark}"
    yield "the mark twice", f"{head}.{body}.{mark}{mark}"
    yield "half a mark", f"{head}.{body}.{mark[:20]}"
    yield "no mark", f"{head}.{body}."
    yield "the mark in hexadecimal", f"{head}.{body}.{base64.urlsafe_b64decode(mark + '=').hex()}"
    yield "JSON form", part({"payload": body, "signatures": [{"protected": head, "signature": mark}]})
    for bit in range(8):
        raw = bytearray(base64.urlsafe_b64decode(mark + "="))
        raw[bit * 4] ^= 1 << bit
        yield f"flipped bit {bit}", f"{head}.{body}.{part(bytes(raw))}"
    now = int(time.time())
    wrongs: dict[str, list[Any]] = {
        "exp": [None, True, "", str(now + 99), [now + 99], {}, float("nan"), float("inf"), float("-inf"), -1, 0, now,
        now - 0.5, -(10**400), 10**400],
        "nbf": [now + 60, now + 0.9 + 60, 10**15, "now", True, [], float("nan"), float("inf"), 10**400],
        "sub": [None, 0, 5, True, False, [], ["u_1"], {}, {"u_1": 1}, "", " ", "\t\n", "\u3000", "\0", "u\0",
        "x" * 256, "é" * 256, 1.5],
    }  # fmt: skip
    for name, values in wrongs.items():
        for wrong in values:
            yield f"{name} {str(wrong)[:20]!r}", by_hand(plain, claims(**{name: wrong}))
    yield "sub is a lone surrogate", by_hand(plain, b'{"sub": "\\ud800", "exp": 9999999999}')
    yield "sub of a megabyte", by_hand(plain, claims(sub="x" * 700_000))
    yield "a claim of a megabyte", by_hand(plain, claims(pad="x" * 700_000))
    yield (
        "claims nested",
        by_hand(plain, b'{"sub": "u_1", "exp": 9999999999, "a": ' + b"[" * 3_000 + b"]" * 3_000 + b"}"),
    )
    yield "exp of 5,000 digits", by_hand(plain, b'{"sub": "u_1", "exp": ' + b"9" * 5_000 + b"}")
    yield "claims in an array", by_hand(plain, [claims()])


def test_tricks(victim: Victim, figure: Figure) -> None:
    """Whatever a token's head says, and whatever its claims are made of: 401, and the service is none the worse."""
    named = dict(tricks())
    told = dict(zip(named, statuses(victim, list(named.values())), strict=True))
    assert {name for name, status in told.items() if status != 401} == set()
    assert victim.errors() == []
    figure(15, f"{len(named)} tokens that prove nothing, beside those of tests/api: all 401")


def test_tokens_that_are_odd_and_right(victim: Victim) -> None:
    """Numbers with a fraction, huge but finite times, other types and any text as a name: 200, for that very name."""
    plain = {"alg": "HS256"}
    odd = [
        by_hand(plain, claims(exp=time.time() + 60.5)),
        by_hand(plain, claims(exp=1e300)),
        by_hand(plain, claims(nbf=time.time() - 1, iat="yesterday", jti=5, aud=["a", 5], iss=None)),
        by_hand(plain | {"typ": "at+jwt", "cty": 5, "kid": "any"}, claims()),
        by_hand(plain, b'{"sub": "u_2", "exp": 1, "exp": 9999999999, "sub": "u_1"}'),
    ]
    assert statuses(victim, odd) == [200] * len(odd)
    for name in (
        "x" * 200,
        "é" * 200,
        "💳",
        "a b",
        "../../x",
        "' OR 1=1 --",
        "\u202etxt",
        "%s",
        "{0}",
        "<script>",
        "\ufeff",
        "\n.\n",
    ):
        state = victim.request("GET", "/subscription", f"Authorization: Bearer {by_hand(plain, claims(sub=name))}")
        assert (state.status, state.json()["user_id"]) == (200, name)
    # Of a claim that is there twice the last is read: whoever signed it said both.
    twice = victim.request("GET", "/subscription", f"Authorization: Bearer {odd[-1]}").json()
    assert twice["user_id"] == "u_1"


@pytest.mark.parametrize("kind", ["ES256", "EdDSA", "EdDSA 448", "PS256", "ES512"])
def test_public_key_algorithms_end_to_end(start_victim: StartVictim, kind: str) -> None:
    """With a pinned public key: its tokens and no others, in no other form, and its text is no secret."""
    algorithm = kind.split()[0]
    key, other = KEYS[kind]
    victim = start_victim(JWT_SECRET=None, JWT_PUBLIC_KEY=pem(key), JWT_ALGORITHM=algorithm)
    good = jwt.encode(claims(), key, algorithm=algorithm)
    head, body, mark = good.split(".")
    raw = base64.urlsafe_b64decode(mark + "==")
    public = key.public_key()
    wrong = [
        jwt.encode(claims(), other, algorithm=algorithm),
        f"{head}.{body}.{part(bytes(len(raw)))}",
        f"{head}.{body}.{part(raw[:-1])}",
        f"{head}.{body}.{part(raw + bytes(1))}",
        f"{head}.{body}.",
        f"{head}.{part(claims(sub='u_2'))}.{mark}",
        *(by_hand({"alg": "HS256"}, claims(), text) for text in (pem(key), pem(key).strip(), public.public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo))),
        *(by_hand({"alg": algorithm}, claims(), text) for text in (pem(key), b"")),
        *(jwt.encode(claims(), KEYS[name][0], algorithm=name) for name in ("RS256", "RS512",
        "ES384") if name != algorithm),
        make_token(),
    ]  # fmt: skip
    if algorithm.startswith("ES"):
        half = len(raw) // 2
        wrong += [f"{head}.{body}.{part(raw[half:] + raw[:half])}", f"{head}.{body}.{part(b'0' + raw[1:])}"]
    assert statuses(victim, [good, *wrong]) == [200] + [401] * len(wrong)


def test_keys_that_turn(start_victim: StartVictim) -> None:
    """Published keys are replaced: after the pause a token of the new key is taken, and the issuer is not flooded."""
    issuer = Issuer()
    first, second = KEYS["ES256"]
    try:

        def published(key: Any, kid: str, **more: Any) -> Obj:
            return json.loads(ECAlgorithm.to_jwk(key.public_key())) | {"kid": kid, "alg": "ES256", "use": "sig"} | more

        def signed(key: Any, kid: Any) -> str:
            return jwt.encode(
                claims(jti=fresh("t")), key, algorithm="ES256", headers={} if kid is None else {"kid": kid}
            )

        rsa_key = json.loads(RSAAlgorithm.to_jwk(RSA.public_key())) | {"kid": "rsa"}
        okp_key = json.loads(OKPAlgorithm.to_jwk(KEYS["EdDSA"][0].public_key())) | {"kid": "okp"}
        oct_key = {"kty": "oct", "k": part(b"attacker" * 4), "kid": "oct", "alg": "HS256"}
        issuer.publish(published(first, "one"), rsa_key, okp_key, oct_key, published(second, "other", alg="ES384"))
        victim = start_victim(
            bounds={"refetch": 1.0}, JWT_SECRET=None, JWT_JWKS_URL=issuer.url, JWT_ALGORITHM="ES256"
        )  # fmt: skip
        assert statuses(victim, [signed(first, "one")]) == [200]
        asked = issuer.asked
        strangers = [signed(second, kid) for kid in ("two", "other", "one", "", "../one", "one\0", "ONE", "x" * 5_000)]
        strangers += [
            jwt.encode(claims(), RSA, algorithm="RS256", headers={"kid": "rsa"}),
            jwt.encode(claims(), KEYS["EdDSA"][0], algorithm="EdDSA", headers={"kid": "okp"}),
            by_hand({"alg": "HS256", "kid": "oct"}, claims(), b"attacker" * 4),
            by_hand({"alg": "ES256", "kid": "oct"}, claims(), b"attacker" * 4),
            *(by_hand({"alg": "ES256", "kid": kid}, claims()) for kid in (5, None, True, ["one"], {"one": 1})),
        ]
        assert set(statuses(victim, strangers * 5)) == {401}
        assert issuer.asked <= asked + 3, "unknown keys make a flood of questions"

        issuer.publish(published(second, "two"))
        until = time.monotonic() + 20
        while statuses(victim, [signed(second, "two")]) == [401]:
            assert time.monotonic() < until, "the new key is not found"
            time.sleep(0.1)
        assert statuses(victim, [signed(first, "one"), signed(first, "two"), signed(second, None)]) == [401, 401, 200]

        issuer.status = 500  # an issuer that is down takes nothing away that is known
        time.sleep(1.1)
        assert statuses(victim, [signed(second, "three"), signed(second, "two")]) == [401, 200]
        assert victim.errors() == []
    finally:
        issuer.stop()
