"""What is kept of an event's body."""

from __future__ import annotations

import zlib

import pytest

from tests.store.conftest import Database
from tests.store.life import five_events

pytestmark = pytest.mark.anyio


async def test_a_kept_body_is_read_by_plain_zlib(database: Database) -> None:
    """A faster library compresses it; whoever reads the table needs nothing but zlib."""
    _, bodies = five_events()
    async with database.inbox() as inbox:
        await inbox.submit(bodies[0])
    rows = await database.look("SELECT payload FROM event")
    assert [zlib.decompress(bytes(row[0])) for row in rows] == [bodies[0]]
