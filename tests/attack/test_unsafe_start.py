"""Row 19: the real command refuses each unsafe setting: it ends with 1 and names the setting in one line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.api.test_settings import KEYED, LIVE, RSA_PEM, UNSAFE
from tests.attack.starts import begin
from tests.kit.scale import Figure
from tests.kit.settings import COMMAND, environment, free_port, process_environment

Changes = dict[str, str | None]

MORE: list[tuple[str, Changes]] = [
    # an empty or short secret
    ("STRIPE_WEBHOOK_SECRET", {"STRIPE_WEBHOOK_SECRET": ","}),
    ("STRIPE_WEBHOOK_SECRET", {"STRIPE_WEBHOOK_SECRET": "\t\n"}),
    ("STRIPE_WEBHOOK_SECRET", {"STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef, "}),
    ("STRIPE_WEBHOOK_SECRET_FILE", {"STRIPE_WEBHOOK_SECRET": None, "STRIPE_WEBHOOK_SECRET_FILE": "/dev/null"}),
    ("STRIPE_SECRET_KEY_FILE", {"STRIPE_SECRET_KEY": None, "STRIPE_SECRET_KEY_FILE": "/"}),
    ("STRIPE_SECRET_KEY", {"STRIPE_SECRET_KEY": "whsec_0123456789abcdef"}),
    ("STRIPE_SECRET_KEY", {"STRIPE_SECRET_KEY": "sk_test_01234 56789abcdef"}),
    ("STRIPE_SECRET_KEY", {"STRIPE_SECRET_KEY": "sk_test_é0123456789"}),
    ("JWT_SECRET", {"JWT_SECRET": " " * 40}),
    ("JWT_SECRET", {"JWT_SECRET": "secret"}),
    ("JWT_SECRET", {"JWT_SECRET": "thirty-two-bytes-and-a-bit-more-0", "JWT_ALGORITHM": "HS384"}),
    ("ADMIN_TOKEN", {"ADMIN_TOKEN": " "}),
    ("ADMIN_TOKEN", {"ADMIN_TOKEN": "ü" * 20}),
    ("ADMIN_TOKEN_FILE", {"ADMIN_TOKEN": None, "ADMIN_TOKEN_FILE": "/nonexistent"}),
    # a live key beside another origin than Stripe's
    ("STRIPE_API_BASE", {"STRIPE_SECRET_KEY": LIVE, "APP_URL": "https://a.example",
    "STRIPE_API_BASE": "http://127.0.0.1:8001"}),
    ("STRIPE_API_BASE", {"STRIPE_SECRET_KEY": LIVE, "APP_URL": "https://a.example",
    "STRIPE_API_BASE": "http://api.stripe.com"}),
    ("STRIPE_API_BASE", {"STRIPE_SECRET_KEY": LIVE, "APP_URL": "https://a.example",
    "STRIPE_API_BASE": "https://api.stripe.com.evil.example"}),
    ("STRIPE_API_BASE", {"STRIPE_SECRET_KEY": LIVE.replace("sk_", "rk_"), "APP_URL": "https://a.example"}),
    ("STRIPE_API_BASE", {"STRIPE_API_BASE": "https://api.stripe.com@evil.example"}),
    # two key sources, or three
    ("JWT_PUBLIC_KEY", {"JWT_PUBLIC_KEY": RSA_PEM, "JWT_ALGORITHM": "RS256"}),
    ("JWT_JWKS_URL", {**KEYED, "JWT_JWKS_URL": "https://issuer.example/jwks.json"}),
    ("JWT_PUBLIC_KEY", {"JWT_PUBLIC_KEY": RSA_PEM, "JWT_JWKS_URL": "https://issuer.example/jwks.json"}),
    ("JWT_SECRET", {"JWT_SECRET_FILE": "/etc/hostname"}),
    # an algorithm that proves nothing, or not what the key does
    ("JWT_ALGORITHM", {"JWT_ALGORITHM": "None"}),
    ("JWT_ALGORITHM", {"JWT_ALGORITHM": "HS256,none"}),
    ("JWT_ALGORITHM", {"JWT_ALGORITHM": "ES256"}),
    ("JWT_JWKS_URL", {"JWT_SECRET": None, "JWT_JWKS_URL": "https://user:pw@issuer.example/", "JWT_ALGORITHM": "RS256"}),
    # where users are sent
    ("APP_URL", {"APP_URL": "//a.example"}),
    ("APP_URL", {"APP_URL": "https://a.example\\@b.example"}),
    ("APP_URL", {"APP_URL": "https://user@a.example"}),
    ("APP_URL", {"APP_URL": "https://a.example/#/"}),
    # where it is kept, and what is sold
    ("DATABASE_URL", {"DATABASE_URL": "sqlite:////nonexistent/folder/interlock.db"}),
    ("DATABASE_URL", {"DATABASE_URL": "sqlite:////proc/version"}),
    ("DATABASE_URL", {"DATABASE_URL": "sqlite:///file.db?mode=memory"}),
    ("PLANS_FILE", {"PLANS_FILE": "/"}),
    ("RECONCILE_EVERY", {"RECONCILE_EVERY": "1e400"}),
]  # fmt: skip


def test_each_unsafe_start(tmp_path: Path, figure: Figure) -> None:
    """`interlock serve` with each unsafe setting: exit code 1, one line on it, the setting named, nothing listens."""
    cases = [*UNSAFE, *MORE]
    folders = [tmp_path / str(number) for number in range(len(cases))]
    given: list[dict[str, str]] = []
    for folder, (_, changes) in zip(folders, cases, strict=True):
        folder.mkdir()
        given.append(environment(folder, **changes))
    for (name, changes), ended in zip(cases, begin(given, port=free_port()), strict=True):
        assert ended.code == 1, (name, changes, ended)
        assert name in ended.said, (name, changes, ended)
        assert ended.said.count("\n") == 1, (name, changes, ended)
        assert "Interlock serves" not in ended.said
    for folder in folders:
        assert not list(folder.glob("interlock.db*")), "a refused start leaves no database"
    figure(19, f"{len(cases)} unsafe settings: each refused with 1, in one line that names it")


@pytest.mark.parametrize("changes", [{"JWT_SECRET": ""}, {"STRIPE_SECRET_KEY": LIVE, "APP_URL": "https://a.example"}])
def test_as_an_operator_would(tmp_path: Path, changes: Changes) -> None:
    """The same through a shell's own process, so that what the fork above shows is what an operator gets."""
    settings = process_environment(environment(tmp_path, **changes))
    done = subprocess.run([*COMMAND, "serve"], env=settings, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (1, b"", 1)
    assert (b"JWT_SECRET" if "JWT_SECRET" in changes else b"STRIPE_API_BASE") in done.stderr
