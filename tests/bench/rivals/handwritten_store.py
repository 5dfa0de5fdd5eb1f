"""The table of the handwritten handlers: each event once, each subscription's last word, in one transaction."""

import json
import os
import sqlite3
import threading
from typing import Any

_lock = threading.Lock()
_connection = sqlite3.connect(os.environ["DATABASE"], check_same_thread=False, isolation_level=None)
_connection.executescript(
    """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS event (id text PRIMARY KEY, type text NOT NULL, created integer NOT NULL);
    CREATE TABLE IF NOT EXISTS subscription (
        id text PRIMARY KEY, customer text NOT NULL, user_id text, status text NOT NULL, price text,
        quantity integer, current_period_end integer, cancel_at integer, updated integer NOT NULL, data text NOT NULL
    );
    CREATE INDEX IF NOT EXISTS subscription_by_user ON subscription (user_id);
    """
)


def keep(event_id: str, kind: str, created: int, subscription: dict[str, Any]) -> bool:
    """Store an event and what it says; False for one that was here before."""
    item = subscription["items"]["data"][0]
    with _lock:
        _connection.execute("BEGIN IMMEDIATE")
        try:
            seen = _connection.execute(
                "INSERT INTO event VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (event_id, kind, created)
            )
            if seen.rowcount:
                _connection.execute(
                    """
                    INSERT INTO subscription VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    ON CONFLICT (id) DO UPDATE SET customer = excluded.customer, user_id = excluded.user_id,
                        status = excluded.status, price = excluded.price, quantity = excluded.quantity,
                        current_period_end = excluded.current_period_end, cancel_at = excluded.cancel_at,
                        updated = excluded.updated, data = excluded.data
                    WHERE excluded.updated >= subscription.updated
                    """,
                    (
                        subscription["id"],
                        subscription["customer"],
                        subscription["metadata"].get("user_id"),
                        subscription["status"],
                        item["price"]["id"],
                        item["quantity"],
                        item["current_period_end"],
                        subscription["cancel_at"],
                        created,
                        json.dumps(subscription, default=str),  # the SDK makes decimals of some texts
                    ),
                )
            _connection.execute("COMMIT")
        except BaseException:
            _connection.execute("ROLLBACK")
            raise
    return bool(seen.rowcount)
