"""Row 12: what is not signed by Stripe, now, over exactly these bytes, is 400 and leaves nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import time
from collections.abc import Iterator

from tests.attack.conftest import StartVictim
from tests.kit.bodies import fresh, subscription_event
from tests.kit.hose import pour, webhook
from tests.kit.scale import Figure, first_seed, size
from tests.kit.settings import WEBHOOK_SECRET, sign

RETIRED = "whsec_retired_0123456789abcdef0123456789"
NEXT = "whsec_next_0123456789abcdef0123456789abc"
HEADERS = size("SIGNATURE_HEADERS", 1_000, 50_000)
"""Random headers tried, beside every flipped bit and every forgery by hand."""


def digest(secret: bytes, signed: bytes, kind: str = "sha256") -> str:
    return hmac.digest(secret, signed, kind).hex()


def forged(body: bytes) -> Iterator[tuple[str, list[str | bytes]]]:
    """Yield headers that somebody without the secret, or without this very moment, could send."""
    now = int(time.time())
    good = sign(body, t=now)
    when, _, mark = good.partition(",")
    yield "none", []
    yield "empty", [""]
    yield "the mark alone", [mark]
    yield "the time alone", [when]
    yield "v0 alone", [good.replace("v1=", "v0=")]
    yield "no name", [good.replace("v1=", "=")]
    yield "V1", [good.replace("v1=", "V1=")]
    yield "v10", [good.replace("v1=", "v10=")]
    yield "upper case", [good[:-64] + good[-64:].upper()]
    yield "base64", [f"{when},v1=" + base64.b64encode(bytes.fromhex(good[-64:])).decode()]
    yield "too long", [good + "0"]
    yield "too short", [good[:-1]]
    yield "nothing of it", [f"{when},v1="]
    yield "half of it twice", [f"{when},v1={good[-64:-32]},v1={good[-32:]}"]
    for away in (301, 302, 3_600, 10**6, 2**31, 2**40):
        yield f"{away} s old", [sign(body, t=now - away if away < now else 0)]
        yield f"{away} s ahead", [sign(body, t=now + away + 2)]
    for secret in ("", " ", "whsec_", WEBHOOK_SECRET[:-1], WEBHOOK_SECRET + "\n", WEBHOOK_SECRET.upper(), RETIRED):
        yield f"secret {secret!r}", [sign(body, secret)]
    yield "two secrets joined", [sign(body, f"{WEBHOOK_SECRET},{NEXT}")]
    yield "the secret, decoded", [f"t={now},v1=" + digest(WEBHOOK_SECRET[6:].encode(), b"%d." % now + body)]
    for name, signed in {
        "only the body": body,
        "only the time": b"%d" % now,
        "no dot": b"%d" % now + body,
        "a line break": b"%d.\n" % now + body,
        "the empty body": b"%d." % now,
        "another time": b"%d." % (now - 1) + body,
        "the body twice": b"%d." % now + body + body,
    }.items():
        yield f"signed {name}", [f"t={now},v1=" + digest(WEBHOOK_SECRET.encode(), signed)]
    for kind in ("sha1", "sha512", "md5"):
        yield kind, [f"t={now},v1=" + digest(WEBHOOK_SECRET.encode(), b"%d." % now + body, kind)]
    yield "no key at all", [f"t={now},v1=" + hashlib.sha256(b"%d." % now + body).hexdigest()]
    for time_ in ("", "x", "-1", f"+{now}", f"{now}.0", "1e9", "0x6a", "nan", "9" * 400, f"{now}\t0", f" {now} {now}"):
        yield f"time {time_[:20]!r}", [f"t={time_},{mark}"]
    yield "two times", [f"{when},t={now + 1},{mark}"]
    yield "the same time twice", [f"{when},{when},{mark}"]
    yield "two headers", [good, good]
    yield "a good and an empty header", [good, ""]
    yield "a bad and a good header", ["t=1,v1=00", good]
    yield "not ASCII", [f"{when},v1=ü".encode()]
    yield "not UTF-8", [b"t=1,v1=\xff\xfe\x80"]
    yield "arabic digits", ["t=١٢٣,v1=abc".encode()]
    yield "wide digits", [f"{when},v1=".encode() + "０".encode() * 64]
    yield "ten thousand marks", [f"{when},v1=" + ",v1=".join(["0" * 64] * 10_000)]
    yield "ten thousand marks, the last right", [f"{when},v1=" + ",v1=".join(["0" * 64] * 9_999) + f",{mark}"]
    yield "ten thousand commas", [when + "," * 10_000 + mark]
    yield "ten thousand times", [",".join([when] * 10_000) + f",{mark}"]
    yield "semicolons", [good.replace(",", ";")]
    yield "quoted", [f'"{good}"']
    yield "a NUL", [good.encode() + b"\0"]
    yield "folded", [good.replace(",", "\r\n ").encode()]


def flipped(raw: bytes, bits: tuple[int, ...]) -> Iterator[bytes]:
    """Yield a copy for each byte and each of these masks."""
    for place in range(len(raw)):
        for mask in bits:
            yield raw[:place] + bytes([raw[place] ^ mask]) + raw[place + 1 :]


def random_header(rng: random.Random, good: str) -> bytes:
    """Make a header of the good one's pieces, torn apart, repeated and spoiled."""
    pieces = [*good.split(","), "v1=", "t=", ",", "=", "v0=0", "\t", good[-10:], "t=0", "v1=" + "0" * 64, "\x7f", "é"]
    chosen = [rng.choice(pieces) for _ in range(rng.randrange(1, 12))]
    raw = rng.choice([",", "", ";", " ,"]).join(chosen).encode("latin-1")
    return bytes(byte for byte in raw if byte not in (0, 10, 13))


def test_forged_signatures(start_victim: StartVictim, figure: Figure) -> None:
    """Each flipped bit, each forgery, stale, future and rotated away: all 400, no 5xx, no row in the database."""
    victim = start_victim(STRIPE_WEBHOOK_SECRET=f"{WEBHOOK_SECRET},{NEXT}")
    user = fresh("u")
    body = json.dumps(subscription_event(user, sub_id=fresh("sub"), event_id=fresh("evt")), indent=2).encode()
    before = victim.rows()
    tried: dict[str, int] = {}

    def all_refused(name: str, requests: list[bytes]) -> None:
        answers = list(pour(victim.port, requests))
        wrong = [(at, answer) for at, answer in enumerate(answers) if answer.status != 400]
        assert not wrong, (name, len(wrong), wrong[0], requests[wrong[0][0]][-300:])
        kinds = {answer.header("content-type") for answer in answers}
        assert kinds == {"application/problem+json"}, (name, kinds)
        tried[name] = len(answers)

    by_hand = dict(forged(body))
    for name, headers in by_hand.items():
        all_refused(name, [webhook(body, *headers)])
    tried = {"forged by hand": len(by_hand)}
    good = sign(body)
    all_refused("flipped in the body", [webhook(other, good) for other in flipped(body, (1, 0x20, 0x80))])
    every_bit = tuple(1 << bit for bit in range(8))
    all_refused("flipped in the header", [webhook(body, other) for other in flipped(good.encode(), every_bit)])
    all_refused("cut off", [webhook(body[:length], good) for length in range(0, len(body), 7)])
    rng = random.Random(first_seed())
    mangled = [random_header(rng, good) for _ in range(HEADERS)]
    mangled = [header for header in mangled if not _proves(header, good)]
    all_refused(f"random headers, seed {first_seed()}", [webhook(body, header) for header in mangled])
    assert victim.rows() == before == dict.fromkeys(before, 0)
    assert victim.errors() == []

    # The same service takes what is right: within 300 s either way, and by either secret.
    for signature in (sign(body), sign(body, t=time.time() - 298), sign(body, t=time.time() + 298), sign(body, NEXT)):
        assert victim.deliver(body, signature).status == 200
    assert victim.rows()["event"] == 1
    assert victim.state(user)["state"] == "active"
    total = sum(tried.values())
    figure(12, f"{total:,} forged, replayed, stale, future and malformed signatures: {total:,} × 400, 0 × 5xx, 0 rows")


def _proves(header: bytes, good: str) -> bool:
    """Whether the pieces happen to be a right header: the one right time, and the right mark among others."""
    parts = [part.strip().partition(b"=") for part in header.split(b",")]
    times = [value for name, _, value in parts if name == b"t"]
    marks = [value for name, _, value in parts if name == b"v1"]
    return times == [good[2:12].encode()] and good[-64:].encode() in marks
