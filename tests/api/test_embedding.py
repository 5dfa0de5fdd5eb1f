"""Interlock inside another application: any ASGI host, Litestar's plugin, and a host that stops when it is told to."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar.cli._utils import LitestarGroup

import interlock
from tests.api.hosts import HOSTS, PREFIX, own, user_of
from tests.kit.bodies import subscription_event
from tests.kit.settings import PYTHON, environment, free_port, process_environment, sign

USER = {"X-Signed-In": "u_1"}


def settings_of(folder: Path) -> interlock.Settings:
    """Settings of a host that names its users itself: no key for tokens."""
    return interlock.load_settings(environment(folder, JWT_SECRET=None), with_tokens=False)


@asynccontextmanager
async def lifespan_of(app: Any) -> AsyncGenerator[None]:
    """Speak the lifespan protocol with an application, as every server does."""
    said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    running = asyncio.create_task(app(scope, told.get, said.put))
    for phase in ("startup", "shutdown"):
        told.put_nowait({"type": f"lifespan.{phase}"})
        assert (await said.get())["type"] == f"lifespan.{phase}.complete"
        if phase == "startup":
            yield
    await running


def client_of(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://host.example")


@pytest.mark.parametrize("kind", HOSTS)
def test_a_host_has_it_under_a_prefix(kind: str, tmp_path: Path) -> None:
    """Webhook, state and errors work under the prefix, the user is the host's, and the engine is there in process."""
    app, engine = HOSTS[kind](settings_of(tmp_path))
    event = json.dumps(subscription_event("u_1")).encode()

    async def run() -> None:
        async with lifespan_of(app), client_of(app) as client:
            answer = await client.post(
                f"{PREFIX}/webhooks/stripe", content=event, headers={"Stripe-Signature": sign(event)}
            )
            assert answer.json() == {"id": "evt_1", "outcome": "applied"}
            state = await client.get(f"{PREFIX}/subscription", headers=USER)
            assert (state.json()["user_id"], state.json()["state"]) == ("u_1", "active")
            assert json.loads((await engine().state("u_1")).body) == state.json()
            page = await client.get(f"{PREFIX}/subscription/history", headers=USER)
            assert [entry["outcome"] for entry in page.json()["items"]] == ["applied"]
            refused = await client.get(f"{PREFIX}/subscription")
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
            wrong = await client.post(f"{PREFIX}/checkout", headers=USER, json={"plan": "nothing"})
            assert (wrong.status_code, wrong.json()["code"]) == (422, "unknown_plan")
            assert wrong.headers["content-type"] == "application/problem+json"
            assert wrong.headers["x-content-type-options"] == "nosniff"

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["starlette", "fastapi", "django"])
def test_a_host_that_forgets_the_lifespan(kind: str, tmp_path: Path) -> None:
    """Every request before it is a 503 that names the missing line."""
    app, engine = HOSTS[kind](settings_of(tmp_path))

    async def run() -> None:
        async with client_of(app) as client:
            for path in ("/subscription", "/plans", "/health/ready"):
                answer = await client.get(PREFIX + path, headers=USER)
                assert (answer.status_code, answer.json()["code"]) == (503, "not_started")
                assert "interlock_app.lifespan()" in answer.json()["detail"]
        with pytest.raises(Exception, match=r"interlock_app\.lifespan\(\)"):
            engine()

    asyncio.run(run())


def test_another_sites_page_is_refused(tmp_path: Path) -> None:
    """A host's cookie goes along with what another site's page sends: the browser says so, and nothing is done."""
    app, _ = HOSTS["starlette"](settings_of(tmp_path))

    async def run() -> None:
        async with lifespan_of(app), client_of(app) as client:
            for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 422), ("none", 422)):
                headers = USER | {"Sec-Fetch-Site": site}
                answer = await client.post(f"{PREFIX}/checkout", headers=headers, json={"plan": "nothing"})
                assert answer.status_code == status
            assert (await client.get(f"{PREFIX}/subscription", headers=headers)).status_code == 200

    asyncio.run(run())


def test_a_litestar_host_keeps_what_is_its_own(tmp_path: Path) -> None:
    """Its handlers, state, headers and errors are untouched; its document and its command line gain ours."""
    app, _ = HOSTS["litestar"](settings_of(tmp_path))

    async def run() -> None:
        async with lifespan_of(app), client_of(app) as client:
            assert (await client.get("/own")).json() == {"whose": "the host's"}
            assert "x-frame-options" not in (await client.get("/own")).headers
            assert (await client.get("/own-fault")).text == "the host's words"
            assert (await client.get("/nothing")).text == "the host's words"
            assert app.state.dict() == {}
            document = (await client.get("/schema/openapi.json")).json()
            assert {"/own", f"{PREFIX}/subscription", f"{PREFIX}/webhooks/stripe"} <= set(document["paths"])
            examples = document["paths"][f"{PREFIX}/subscription"]["get"]["responses"]["200"]["content"]
            assert examples["application/json"]["examples"]["example"]["value"]["trial_end"] is None
            assert {"user", "service", "operator", "stripe"} <= set(document["components"]["securitySchemes"])
            stream = await client.get(f"{PREFIX}/subscription/history?limit=0", headers=USER)
            assert (stream.status_code, stream.json()["code"]) == (400, "bad_request")

    asyncio.run(run())
    group = LitestarGroup()
    interlock.InterlockPlugin(settings=settings_of(tmp_path), user_of=user_of).on_cli_init(group)
    assert {"serve", "reconcile"} <= set(group.commands["interlock"].commands)  # pyright: ignore
    assert own.owner is not None


def test_importing_it_changes_nothing(tmp_path: Path) -> None:
    """No log level, no warning filter, no setting of stripe's, no signal, no thread: a host finds all as it was."""
    program = """
import logging, signal, sys, threading, warnings
import interlock
assert not {"litestar", "stripe", "transitions"} & set(sys.modules), "a name is fetched when it is used"
import stripe, transitions
def found():
    levels = {name: logging.getLogger(name).level for name in ("", "stripe", "httpx", "transitions", "interlock")}
    signals = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    of_stripe = {name: value for name, value in vars(stripe).items() if isinstance(value, (bool, str, int, type(None)))}
    return levels, signals, of_stripe, list(warnings.filters), threading.active_count(), logging.root.handlers[:]
before = found()
for name in interlock.__all__:
    getattr(interlock, name)
import interlock.api.cli, interlock.api.plugin
assert found() == before
"""
    environ = process_environment({})
    subprocess.run([*PYTHON, "-c", program], check=True, env=environ, cwd=tmp_path)


@pytest.mark.parametrize("kind", ["starlette", "litestar"])
def test_an_open_stream_does_not_keep_a_host_from_stopping(kind: str, tmp_path: Path) -> None:
    """Plain uvicorn waits for its connections before a lifespan's end: a stream that is open ends by itself."""
    port = free_port()
    environ = process_environment(environment(tmp_path, JWT_SECRET=None))
    host = subprocess.Popen([*PYTHON, "-m", "tests.api.hosts", kind, str(port)], env=environ)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}{PREFIX}", timeout=20, trust_env=False) as client:
            until = time.monotonic() + 30
            while True:
                try:
                    assert client.get("/health/ready").status_code == 200
                    break
                except httpx.ConnectError:
                    assert time.monotonic() < until
                    time.sleep(0.05)
            with client.stream("GET", "/subscription/stream", headers=USER) as answer:
                lines = answer.iter_lines()
                assert next(lines).startswith("id:")
                begun = time.monotonic()
                host.send_signal(signal.SIGTERM)
                rest = list(lines)
        assert host.wait(20) in (0, -signal.SIGTERM)
        assert time.monotonic() - begun < 5
        assert not any(line.startswith("event:") for line in rest[3:])
    finally:
        host.kill()
        host.wait()
