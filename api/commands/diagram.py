"""`interlock diagram`: the machine, drawn from its table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import rich_click as click

from interlock.api.commands.terminal import fail, one_line, option, out
from interlock.engine import diagram


@click.command(name="diagram")
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
