"""`interlock reconcile`: what is stored, compared with Stripe."""

from __future__ import annotations

import asyncio
import logging
import sys

import rich_click as click
from rich.console import Console
from rich.table import Table

from interlock.api.commands.terminal import one_line, option, out, plain, progress_bar
from interlock.api.settings import load_settings
from interlock.engine import Config, Difference, Interlock


@click.command()
@option("--user", "user_id", help="One user.")
@option("--all", "everything", is_flag=True, help="Every subscription that Stripe has.")
@option("--dry-run", is_flag=True, help="Only tell; exit 1 where something differs.")
@one_line
def reconcile(user_id: str | None, everything: bool, dry_run: bool) -> None:
    """Compare what is stored with Stripe, print each difference, and repair it."""
    if user_id is not None and everything:
        raise click.UsageError("--user and --all exclude each other")
    if user_id is not None and not user_id.strip():
        raise click.UsageError("--user: an empty name")
    # Only what the engine itself logs as wrong: the table is the answer.
    logging.basicConfig(level=logging.ERROR, format="interlock: %(message)s")
    config = load_settings().engine_config()
    found = asyncio.run(_reconcile(config, user_id, everything, dry_run))
    _show(found, dry_run)
    if any(not difference.repaired for difference in found):
        sys.exit(1)


async def _reconcile(config: Config, user_id: str | None, everything: bool, dry_run: bool) -> list[Difference]:
    doing = "Comparing with Stripe"
    engine = await Interlock.open(config, service=False)
    try:
        with progress_bar(doing) as show:
            return await engine.reconcile(
                user_id=user_id,
                everything=everything,
                dry_run=dry_run,
                on_progress=lambda done, total: show(doing, done, total),
            )
    finally:
        await engine.close()


def _show(found: list[Difference], dry_run: bool) -> None:
    if not found:
        out.print("Nothing differs.")
        return
    # No column is ever cut: a table that is piped must name each user and subscription in full.
    table = Table("user", "subscription", "field", "stored", "stripe", "repaired", box=None)
    for column in table.columns:
        column.no_wrap = True
        column.overflow = "ignore"
    for difference in found:
        repaired = "-" if dry_run else "yes" if difference.repaired else "NO"
        row = (difference.user_id or "-", difference.subscription_id, difference.field)
        table.add_row(*(plain(text) for text in (*row, difference.stored, difference.stripe, repaired)))
    wide = out if out.is_terminal else Console(width=1000)
    wide.print(table)
