"""`interlock sandbox`: everything at once, with no Stripe account."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path

import rich_click as click

from interlock.api.commands.terminal import PORT, one_line, option, out
from interlock.api.http.server import listen
from interlock.engine import no_telemetry


@click.command()
@option("--port", type=PORT, default=8000, show_default=True, help="The service and its page; 0 for any free port.")
@option("--stripe-port", type=PORT, default=8001, show_default=True, help="The stand-in Stripe; 0 for any free port.")
@option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory to keep everything in; without it, nothing is kept.",
)
@option(
    "--plans",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Your own catalogue, with `amount` (or `amounts`), `currency` and `interval` beside each price.",
)
@option("--no-service", is_flag=True, help="The stand-in alone, for a service of yours.")
@option("--webhook-url", help="With --no-service: where your service takes Stripe's webhooks.")
@one_line
def sandbox(
    port: int, stripe_port: int, data: Path | None, plans: Path | None, no_service: bool, webhook_url: str | None
) -> None:
    """Try it all with no Stripe account: the service, a stand-in Stripe and a page."""
    from interlock.api.demo.plans import DEMO  # no other command needs a stand-in Stripe
    from interlock.api.demo.run import Demo

    if not no_service and port == stripe_port != 0:
        raise click.UsageError("--port and --stripe-port must differ")
    if webhook_url is not None and not no_service:
        raise click.UsageError("--webhook-url goes with --no-service")
    no_telemetry()
    ports = [stripe_port] if no_service else [stripe_port, port]
    with contextlib.ExitStack() as stack:
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interlock-")))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sockets = [stack.enter_context(listen("127.0.0.1", number)) for number in ports]
        demo = Demo(sockets, folder, plans=plans or DEMO, keep=data is not None, webhook_url=webhook_url)
        out.print(demo.welcome(), highlight=False, markup=False)
        asyncio.run(demo.run())
