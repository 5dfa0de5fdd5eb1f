"""The commands: `interlock serve | sandbox | diagram | reconcile | move`.

Exit code 0, 1 where a fault was found, 2 where the command was used wrongly; an error is one clear line.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from interlock.api.app import create_app, installed_version
from interlock.api.http import server
from interlock.api.http.server import listen
from interlock.api.settings import load_settings
from interlock.engine import Config, Difference, Interlock, InterlockError, diagram, move

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])

out: Final = Console(soft_wrap=True)
PORT: Final = click.IntRange(1, 65535)


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """Declare an option; click's own annotation is not whole."""
    return click.option(*names, **settings)  # pyright: ignore[reportUnknownMemberType]


def one_line(command: Callable[P, None]) -> Callable[P, None]:
    """Make every fault of a command one line on stderr and exit code 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except InterlockError as error:
            # Without words of its own, an error is told by what its class says of itself.
            fail(str(error) or (type(error).__doc__ or "").strip())
        except OSError as error:
            fail(f"{error.filename or 'the system'}: {error.strerror or error}")
        except KeyboardInterrupt:
            sys.exit(130)

    return run


def fail(words: str, code: int = 1) -> NoReturn:
    click.echo(f"interlock: {' '.join(words.split())}", err=True)
    sys.exit(code)


class Commands(click.RichGroup):
    """The commands; one that is used wrongly says so as every other fault is told, in one line."""

    def main(self, *args: Any, standalone_mode: bool = True, **more: Any) -> Any:
        try:
            result = super().main(*args, standalone_mode=False, **more)
        except click.UsageError as error:
            if not standalone_mode:
                raise
            where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
            fail(f"{error.format_message()}{where}", code=2)
        except click.Abort:
            sys.exit(130)
        if not standalone_mode:
            return result
        sys.exit(result if isinstance(result, int) else 0)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(installed_version())  # pyright: ignore[reportUnknownMemberType]
def main() -> None:
    """Interlock: a state-machine subscription engine for Stripe."""


@main.command()
@option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@option("--port", type=PORT, default=8000, show_default=True, help="Port to listen on.")
@option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes; PostgreSQL only.")
@one_line
def serve(host: str, port: int, workers: int) -> None:
    """Run the service against the Stripe that the settings name."""
    settings = load_settings()
    if workers > 1 and settings.database_url.startswith("sqlite"):
        raise click.UsageError("--workers: SQLite has one writing process; more than one worker needs PostgreSQL")
    # Each worker makes its own application of the same environment; one alone is made here, where faults are told.
    app = create_app(settings) if workers == 1 else "interlock.api.app:worker"
    words = f"Interlock serves http://{f'[{host}]' if ':' in host else host}:{port}"
    with listen(host, port) as bound:
        if not server.serve(app, bound, workers, lambda: out.print(words, highlight=False)):
            sys.exit(1)


@main.command()
@option("--port", type=PORT, default=8000, show_default=True, help="The service and its page.")
@option("--stripe-port", type=PORT, default=8001, show_default=True, help="The stand-in Stripe.")
@option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory to keep everything in; without it, nothing is kept.",
)
@one_line
def sandbox(port: int, stripe_port: int, data: Path | None) -> None:
    """Try it all with no Stripe account: the service, a stand-in Stripe and a page."""
    from interlock.api.demo.run import Sandbox  # no other command needs a stand-in Stripe

    if port == stripe_port:
        raise click.UsageError("--port and --stripe-port must differ")
    with contextlib.ExitStack() as stack:
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interlock-")))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = Sandbox(port, stripe_port, folder, keep=data is not None)
        sockets = [stack.enter_context(listen("127.0.0.1", number)) for number in (stripe_port, port)]
        out.print(place.welcome(), highlight=False, markup=False)
        asyncio.run(place.run(sockets))


@main.command(name="diagram")
@option("--format", "kind", type=click.Choice(["svg", "mermaid", "dot"]), help="Print one drawing.")
@option("--check", is_flag=True, help="Exit 1 where the files are not what the table draws.")
@option("--out", "directory", type=click.Path(file_okay=False, path_type=Path), help="Where the files are.")
@one_line
def draw(kind: str | None, check: bool, directory: Path | None) -> None:
    """Draw the machine from its table: print it, write the files, or check them."""
    if check and kind is not None:
        raise click.UsageError("--check looks at all the files; leave out --format")
    folder = directory or Path("diagrams")
    if check:
        differing = diagram.check(folder)
        if differing:
            fail(f"not what the table draws: {', '.join(str(folder / name) for name in differing)}")
        out.print(f"{folder} is what the table draws.", highlight=False)
    elif directory is not None and kind is None:
        diagram.write(directory)
        out.print(f"Drawn into {directory}.", highlight=False)
    else:
        drawers: dict[str, Callable[[], str]] = {"mermaid": diagram.mermaid, "dot": diagram.dot}
        text = drawers.get(kind or "svg", diagram.svg)()
        if directory is None:
            click.echo(text.rstrip("\n"))
        else:
            directory.mkdir(parents=True, exist_ok=True)
            suffix = {"mermaid": "mmd"}.get(kind or "", kind)
            (directory / f"subscription.{suffix}").write_text(text, "utf-8", newline="\n")


@main.command()
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
    engine = await Interlock.open(config, service=False)
    columns = (TextColumn("Comparing with Stripe"), BarColumn(), MofNCompleteColumn())
    # On stderr, and on a terminal only: the table can be piped.
    screen = Console(stderr=True)
    try:
        with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
            task = progress.add_task("", total=None)
            return await engine.reconcile(
                user_id=user_id,
                everything=everything,
                dry_run=dry_run,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
    finally:
        await engine.close()


@main.command(name="move")
@option("--from", "source", required=True, help="The database to copy: sqlite:///… or postgresql://…")
@option("--to", "target", required=True, help="An empty database, or one that an interrupted move began.")
@one_line
def move_house(source: str, target: str) -> None:
    """Copy a database to another one, while no service runs on either, and check every table."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task("", total=None)
        report = asyncio.run(
            move(
                source,
                target,
                lambda doing, table, done, total: progress.update(
                    task, description=f"{doing} {table}", completed=done, total=total
                ),
            )
        )
    table = Table("table", "rows", "digest", box=None)
    for moved in report.tables:
        table.add_row(moved.table, f"{moved.rows:,}", moved.digest)
    out.print(table)
    out.print(f"Both hold the same; {report.copied:,} rows were copied now.", highlight=False)


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


def plain(text: str) -> str:
    """Make a text that came from outside harmless for a terminal: no markup, no control characters."""
    from rich.markup import escape

    return escape("".join(letter if letter.isprintable() else "�" for letter in text))


if __name__ == "__main__":
    main()
