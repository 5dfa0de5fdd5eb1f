"""Row 27.  A crowd of callers, nodes that are killed: the limit is never passed, no count is lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kit.process import Process
from tests.kit.scale import Figure, first_seed, size
from tests.kit.settings import environment
from tests.store.conftest import Database

pytestmark = pytest.mark.anyio

TOKEN: Final = "a-token-of-your-own-backend"
CALLERS: Final = 32
KILLS: Final = 4
USERS: Final = 6
PLANS: Final = """
[features.calls]
reset = "never"
[free]
limits = {{ calls = {limit} }}
"""


class Crowd:
    """Callers who use up limits, and who repeat a call under its id until it is answered."""

    def __init__(self, nodes: list[Process], calls: int, seed: int) -> None:
        self.rng = random.Random(seed)
        self.nodes = nodes
        self.calls = calls
        self.answered = 0
        self.asked = 0
        self.answers: dict[tuple[str, str], dict[str, Any]] = {}
        self.amounts: dict[tuple[str, str], int] = {}
        self.odd = Counter[str]()

    async def caller(self) -> None:
        """Make calls, one in ten of them twice, on connections that stay open while their node lives."""
        streams: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        while self.asked < self.calls:
            self.asked += 1
            call = (f"u_{self.rng.randrange(USERS)}", f"id_{self.asked}")
            self.amounts[call] = self.rng.randint(1, 3)
            for _ in range(2 if self.rng.random() < 0.1 else 1):
                await self._until_answered(call, streams)
            self.answered += 1
        for _, writer in streams.values():
            writer.close()

    async def _until_answered(self, call: tuple[str, str], streams: dict[int, Any]) -> None:
        body = json.dumps({"feature": "calls", "amount": self.amounts[call], "id": call[1]}).encode()
        head = (f"POST /users/{call[0]}/consume HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")  # fmt: skip
        while True:
            port = self.rng.choice(self.nodes).port
            try:
                if port not in streams:
                    streams[port] = await asyncio.open_connection("127.0.0.1", port)
                reader, writer = streams[port]
                writer.write(head.encode() + body)
                told = await reader.readuntil(b"\r\n\r\n")
                length = int(told.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                answer = json.loads(await reader.readexactly(length))
            except (OSError, asyncio.IncompleteReadError):
                if gone := streams.pop(port, None):
                    gone[1].close()
                await asyncio.sleep(0.02)
                continue
            if told.startswith(b"HTTP/1.1 200"):
                self._note(call, answer)
                return
            self.odd[told[9:12].decode()] += 1
            await asyncio.sleep(0.02)

    def _note(self, call: tuple[str, str], answer: dict[str, Any]) -> None:
        """Keep the first answer; one that comes again says it is a duplicate, and the same."""
        first = self.answers.setdefault(call, answer)
        if first is not answer:
            assert answer["duplicate"]
            assert {**answer, "duplicate": None} == {**first, "duplicate": None}

    async def killer(self) -> None:
        """Kill a node each time a part of the calls is answered, and start it again."""
        for n in range(1, KILLS + 1):
            while self.answered < self.calls * n // (KILLS + 1):  # noqa: ASYNC110  a count, not an event
                await asyncio.sleep(0.01)
            node = self.nodes[n % len(self.nodes)]
            await asyncio.to_thread(node.kill)
            await asyncio.to_thread(node.start)


async def test_no_limit_is_passed_and_no_count_lost(database: Database, tmp_path: Path, figure: Figure) -> None:
    """Promise: whatever runs at once on however many nodes, what is used is exactly what was allowed."""
    calls = size("USAGE_CALLS", 2_000, 50_000)
    limit = calls * 2 // USERS * 3 // 4
    nodes: list[Process] = []
    for name in ("a", "b")[: 1 if database.kind == "sqlite" else 2]:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "plans.toml").write_text(PLANS.format(limit=limit), "utf-8")
        settings = environment(folder, DATABASE_URL=database.url, SERVICE_TOKEN=TOKEN)
        nodes.append(Process(settings, folder / "log"))
    with contextlib.ExitStack() as stack:
        for node in nodes:
            stack.callback(node.close)
            await asyncio.to_thread(node.start)
        crowd = Crowd(nodes, calls, first_seed())
        await asyncio.gather(crowd.killer(), *(crowd.caller() for _ in range(CALLERS)))
    assert len(crowd.answers) == calls
    used = dict(await database.look("SELECT user_id, used FROM usage_counter"))
    allowed = Counter[str]()
    for (user, id_), answer in crowd.answers.items():
        allowed[user] += crowd.amounts[user, id_] * answer["allowed"]
    assert used == dict(allowed)
    assert max(used.values()) == limit, "the limits were reached, so that there was something to pass"
    assert all(count <= limit for count in used.values())
    assert set(crowd.odd) <= {"503"}
    figure(27, f"{calls} calls on {database.kind}, {KILLS} kills: limit passed 0 times, no count lost or doubled")
