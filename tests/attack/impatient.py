"""Starts `interlock` with less patience than it has, or less room, and lets it log all that it ever could.

    python -m tests.attack.impatient '{"patience": 1.0}' serve --port 8000

The same code runs; only the bounds that a test would have to wait for are nearer.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from interlock.api import cli
from interlock.api.auth import jwks
from interlock.api.http import connection, server
from interlock.api.http.logs import LOGGING
from interlock.api.routes import billing, webhooks

if __name__ == "__main__":
    told: dict[str, Any] = json.loads(sys.argv.pop(1))
    LOGGING["root"]["level"] = "DEBUG"
    LOGGING["loggers"]["uvicorn"]["level"] = "DEBUG"
    bounds = {
        "head": (connection, "HEAD_WITHIN"),
        "message": (connection, "MESSAGE_WITHIN"),
        "unread": (connection, "UNREAD_WITHIN"),
        "body": (webhooks, "READ_WITHIN"),
        "waiting": (webhooks, "MAX_WAITING"),
        "bytes": (webhooks, "MAX_BYTES_WAITING"),
        "connections": (server, "MAX_CONNECTIONS"),
        "refetch": (jwks, "RETRY_AFTER"),
        "burst": (billing, "BURST"),
    }
    for name, value in told.items():
        module, constant = bounds[name]
        setattr(module, constant, value)
    cli.main()
