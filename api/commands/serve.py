"""`interlock serve`: the service against the Stripe that the settings name."""

from __future__ import annotations

import sys

import rich_click as click

from interlock.api.app import create_app
from interlock.api.commands.terminal import PORT, one_line, option, out
from interlock.api.http import server
from interlock.api.http.logs import logging_config
from interlock.api.settings import load_settings
from interlock.engine import no_telemetry


@click.command()
@option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@option("--port", type=PORT, default=8000, show_default=True, help="Port to listen on; 0 for any free one.")
@option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes; PostgreSQL only.")
@one_line
def serve(host: str, port: int, workers: int) -> None:
    """Run the service against the Stripe that the settings name."""
    no_telemetry()
    settings = load_settings()
    if workers > 1 and settings.database_url.startswith("sqlite"):
        raise click.UsageError("--workers: SQLite has one writing process; more than one worker needs PostgreSQL")
    # Each worker makes its own application of the same environment; a single one is made here, where faults are shown.
    app = create_app(settings) if workers == 1 else "interlock.api.app:worker"
    with server.listen(host, port) as bound:
        address = f"{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"
        words = f"Interlock serves http://{address}"
        logs = logging_config(settings.log_level, settings.log_format)
        if not server.serve(app, bound, workers, lambda: out.print(words, highlight=False), logs):
            sys.exit(1)
