"""`interlock move`: one database copied into another."""

from __future__ import annotations

import asyncio

import rich_click as click
from rich.table import Table

from interlock.api.commands.terminal import one_line, option, out, progress_bar
from interlock.engine import move


@click.command(name="move")
@option("--from", "source", required=True, help="The database to copy: sqlite:///… or postgresql://…")
@option("--to", "target", required=True, help="An empty database, or one that an interrupted move began.")
@one_line
def move_database(source: str, target: str) -> None:
    """Copy a database to another one, while no service runs on either, and check every table."""
    with progress_bar("Reading") as show:
        report = asyncio.run(
            move(source, target, lambda doing, table, done, total: show(f"{doing} {table}", done, total))
        )
    table = Table("table", "rows", "digest", box=None)
    for moved in report.tables:
        table.add_row(moved.table, f"{moved.rows:,}", moved.digest)
    out.print(table)
    out.print(f"Both hold the same; {report.copied:,} rows were copied now.", highlight=False)
