"""How the service logs: one line an entry on stderr, as text or as JSON."""

from __future__ import annotations

import copy
import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

_QUIET: Final = ("uvicorn", "transitions", "stripe", "httpx", "httpcore", "aiosqlite")
"""What would be noise, or would quote requests to Stripe."""
LOGGING: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "json": {"()": "interlock.api.http.logs.JsonLines"},
    },
    "filters": {"lines": {"()": "interlock.api.http.logs.OneLine"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "text", "filters": ["lines"]}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {name: {"level": "WARNING"} for name in _QUIET},
}
_CLIENTS_DOING: Final = ("Invalid HTTP request", "Unsupported upgrade", "No supported WebSocket")
"""What uvicorn says of requests that are none: anybody could fill the log with it."""
_STANDARD: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}


def logging_config(level: str = "INFO", form: str = "text") -> dict[str, Any]:
    """Return the configuration of `logging.config` for a level and a form, `text` or `json`."""
    config = copy.deepcopy(LOGGING)
    config["handlers"]["stderr"]["formatter"] = form
    if level != "INFO":
        config["root"]["level"] = level
    return config


class OneLine(logging.Filter):
    """Leaves out the server's traces: the application tells a failed start, and each failed request, in one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        words = str(record.msg)
        told = "Traceback (most recent call last)" in words
        told |= words.startswith(("Application startup failed", *_CLIENTS_DOING))
        return not (record.name == "uvicorn.error" and told)


class JsonLines(logging.Formatter):
    """One JSON object a line: `at`, `level`, `logger`, `message`, and what was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"at": at, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        more = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            more["trace"] = self.formatException(record.exc_info)
        return json.dumps(line | more, default=str, ensure_ascii=False)
