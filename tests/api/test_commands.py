"""The commands: help, exit codes, one clear line, and a sandbox that works from nothing."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from interlock.api.cli import main
from interlock.engine.store.opening import open_store
from tests.kit.settings import COMMAND, environment, free_port, process_environment


def run(*args: str, env: dict[str, str] | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    whole = process_environment(env or {})
    return subprocess.run([*COMMAND, *args], env=whole, capture_output=True, text=True, timeout=timeout, check=False)


def called(*args: str) -> Result:
    """Call a command in this process: a start of Python each would be most of the tests' time."""
    return CliRunner().invoke(main, list(args))


@contextmanager
def running(*args: str, env: dict[str, str], command: list[str] = COMMAND) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*command, *args], env=process_environment(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(url: str, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 30
    while True:
        assert process.poll() is None, process.communicate()
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.parametrize("command", ["serve", "sandbox", "diagram", "reconcile", "move"])
def test_help(command: str) -> None:
    """Every command explains itself."""
    done = called(command, "--help")
    assert done.exit_code == 0
    assert "Usage" in done.stdout
    assert command in called("--help").stdout


@pytest.mark.parametrize(
    "args",
    [
        ["nothing"],
        ["serve", "--port", "-1"],
        ["serve", "--port", "x"],
        ["serve", "--workers", "0"],
        ["sandbox", "--port", "8000", "--stripe-port", "8000"],
        ["sandbox", "--webhook-url", "http://127.0.0.1:9"],
        ["diagram", "--format", "png"],
        ["diagram", "--check", "--format", "svg"],
        ["reconcile", "--user", "u", "--all"],
    ],
)
def test_used_wrongly(args: list[str]) -> None:
    """A command that is used wrongly exits with 2 and says how in one line."""
    done = called(*args)
    assert done.exit_code == 2
    assert done.output.startswith("interlock: ")
    assert done.output.count("\n") == 1


def test_more_workers_need_postgres(tmp_path: Path) -> None:
    """SQLite has one writing process: more workers are refused clearly."""
    done = run("serve", "--workers", "2", env=environment(tmp_path))
    assert done.returncode == 2
    assert "PostgreSQL" in done.stderr


def test_the_port_is_taken(tmp_path: Path) -> None:
    """A port that another program has: exit code 1 and one line that names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for args in (["serve", "--port", port], ["sandbox", "--port", port, "--stripe-port", str(free_port())]):
            done = run(*args, env=environment(tmp_path) if args[0] == "serve" else {})
            assert done.returncode == 1
            assert done.stderr.count("\n") == 1
            assert port in done.stderr


def test_a_database_that_can_not_be(tmp_path: Path) -> None:
    """A database that can't be opened: exit code 1, the setting named, no traceback."""
    env = environment(tmp_path, DATABASE_URL="sqlite:////nonexistent/folder/interlock.db")
    done = run("serve", "--port", str(free_port()), env=env)
    assert done.returncode == 1
    assert "DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_start_that_fails_half_way(tmp_path: Path) -> None:
    """The database opens and then takes no write (a full disk): the process ends with 1, and can be restarted."""
    env = environment(tmp_path)
    assert run("reconcile", "--user", "nobody", env=env).returncode == 0  # makes the file
    with contextlib.closing(sqlite3.connect(tmp_path / "interlock.db")) as database, database:
        database.execute("INSERT INTO queue (kind, key, due_at) VALUES ('question', 'sub_1', 1)")
        database.execute("CREATE TRIGGER full BEFORE UPDATE ON queue BEGIN SELECT raise(ABORT, 'disk is full'); END")
    done = run("serve", "--port", str(free_port()), env=env)
    assert done.returncode == 1
    assert "disk is full" in done.stderr
    assert "Interlock serves" not in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_and_stop(tmp_path: Path, number: signal.Signals) -> None:
    """A served service answers, says where it is, and a signal ends it cleanly and quickly."""
    port = free_port()
    with running("serve", "--port", str(port), env=environment(tmp_path)) as process:
        wait_for(f"http://127.0.0.1:{port}/health/ready", process)
        began = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert time.monotonic() - began < 5
        assert f"http://127.0.0.1:{port}" in out
        assert "Traceback" not in err
        assert process.returncode in (0, -number)


def test_diagram(tmp_path: Path) -> None:
    """`diagram` prints and writes; `--check` is 1 as soon as a file is not what the table draws."""
    assert called("diagram").stdout.lstrip().startswith("<svg")
    assert called("diagram", "--format", "mermaid").stdout.startswith("stateDiagram")
    assert "digraph" in called("diagram", "--format", "dot").stdout
    folder = tmp_path / "drawn"
    assert called("diagram", "--check", "--out", str(folder)).exit_code == 1
    assert called("diagram", "--out", str(folder)).exit_code == 0
    assert called("diagram", "--check", "--out", str(folder)).exit_code == 0
    (folder / "subscription.mmd").write_text("by hand", "utf-8")
    done = called("diagram", "--check", "--out", str(folder))
    assert done.exit_code == 1
    assert "subscription.mmd" in done.stderr


def test_reconcile_without_stripe(tmp_path: Path) -> None:
    """Without Stripe nothing can be compared: exit code 1, one line."""
    done = run("reconcile", "--all", env=environment(tmp_path), timeout=90)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


SANDBOX = [sys.executable, "-m", "interlock.api.cli", "sandbox"]


def test_the_sandbox(tmp_path: Path) -> None:
    """From nothing: addresses and a token are printed, the token works, and a checkout opens on the stand-in."""
    port, stripe_port = free_port(), free_port()
    args = ["--port", str(port), "--stripe-port", str(stripe_port), "--data", str(tmp_path / "kept")]
    url = f"http://127.0.0.1:{port}"
    tokens: list[str] = []
    for _ in range(2):
        with running(*args, env={}, command=SANDBOX) as process:
            wait_for(f"{url}/health/ready", process)
            other = httpx.get(f"{url}/demo/token?user=alice", trust_env=False).json()["token"]
            headers = {"Authorization": f"Bearer {other}"}
            state = httpx.get(f"{url}/subscription", headers=headers, trust_env=False).json()
            assert state["user_id"] == "alice"
            asked = {"plan": "pro"}
            answer = httpx.post(f"{url}/checkout", json=asked, headers=headers, trust_env=False, timeout=20)
            assert answer.status_code == 201, answer.text
            assert answer.json()["url"].startswith(f"http://127.0.0.1:{stripe_port}/")
            assert httpx.get(answer.json()["url"], trust_env=False).status_code == 200
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
            assert time.monotonic() - began < 5
            assert process.returncode == 0
            assert "Traceback" not in err
            assert url in out
            found = re.search(r"^ey\S+$", out, re.MULTILINE)
            assert found
            tokens.append(found.group())
    assert not (tmp_path / "kept" / "keys.json").stat().st_mode & 0o077
    mine = {"Authorization": f"Bearer {tokens[0]}"}
    with running(*args, env={}, command=SANDBOX) as process:
        wait_for(f"{url}/health/ready", process)
        assert httpx.get(f"{url}/subscription", headers=mine, trust_env=False).json()["user_id"] == "demo"


def test_move_copies_and_checks(tmp_path: Path) -> None:
    """`interlock move` copies a database and tells what both hold; a source that is not there is one clear line."""
    asyncio.run(_new_database(tmp_path / "old.db"))
    arguments = ["move", "--from", f"sqlite:///{tmp_path}/old.db", "--to", f"sqlite:///{tmp_path}/new.db"]
    moved = called(*arguments)
    assert moved.exit_code == 0, moved.output
    assert "Both hold the same" in moved.stdout
    assert (tmp_path / "new.db").exists()
    missing = called("move", "--from", f"sqlite:///{tmp_path}/none.db", "--to", f"sqlite:///{tmp_path}/x.db")
    assert missing.exit_code == 1
    assert "there is no such file" in missing.stderr


async def _new_database(path: Path) -> None:
    store = await open_store(f"sqlite:///{path}", service=False)
    await store.close()
