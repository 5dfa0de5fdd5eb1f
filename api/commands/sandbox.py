"""`interlock sandbox`: everything at once, with no Stripe account."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path

import rich_click as click

from interlock.api.commands.terminal import PORT, one_line, option, out
from interlock.api.http.server import listen


@click.command()
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
