"""The command `interlock`: each of its commands is a file in `api.commands`.

Exit code 0, 1 where a fault was found, 2 where the command was used wrongly; an error is one clear line.
"""

from __future__ import annotations

import rich_click as click

from interlock.api.app import installed_version
from interlock.api.commands.diagram import draw
from interlock.api.commands.move import move_database
from interlock.api.commands.reconcile import reconcile
from interlock.api.commands.sandbox import sandbox
from interlock.api.commands.serve import serve
from interlock.api.commands.terminal import Group


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(installed_version())  # pyright: ignore[reportUnknownMemberType]
def main() -> None:
    """Interlock: a state-machine subscription engine for Stripe."""


for command in (serve, sandbox, draw, reconcile, move_database):
    main.add_command(command)


if __name__ == "__main__":
    main()
