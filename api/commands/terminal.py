"""What every command shares: options, one line for every fault, and text made harmless for a terminal."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from interlock.engine import InterlockError

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])

out: Final = Console(soft_wrap=True)
PORT: Final = click.IntRange(0, 65535)


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
            fail(error.detail)
        except OSError as error:
            fail(f"{error.filename or 'the system'}: {error.strerror or error}")
        except KeyboardInterrupt:
            sys.exit(130)

    return run


def fail(words: str, code: int = 1) -> NoReturn:
    click.echo(f"interlock: {' '.join(words.split())}", err=True)
    sys.exit(code)


class Group(click.RichGroup):
    """A group of commands; a command that is used wrongly says so in one line, as for every other fault."""

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


@contextmanager
def progress_bar(doing: str) -> Generator[Callable[[str, int, int | None], None]]:
    """Show how far a command is, on stderr and on a terminal only, so that its answer can be piped.

    Yields a function that takes what is being done, how much of it is done, and how much there is (None: unknown).
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task(doing, total=None)
        yield lambda words, done, total: progress.update(task, description=words, completed=done, total=total)


def plain(text: str) -> str:
    """Make a text that came from outside harmless for a terminal: no markup, no control characters."""
    return escape("".join(letter if letter.isprintable() else "\ufffd" for letter in text))
