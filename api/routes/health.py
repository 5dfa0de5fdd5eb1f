"""Whether the service lives, whether it can work, and its figures."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

from litestar import Response, get
from litestar.di import NamedDependency
from msgspec import Struct

from interlock.api.http.problems import respond, say
from interlock.api.runtime import Runtime
from interlock.api.schema.docs import answers, refuses
from interlock.engine import Interlock

ANSWER_WITHIN: Final = 5.0
PROMETHEUS: Final = "text/plain; version=0.0.4"
_NOT_KEPT: Final = {"Cache-Control": "no-store"}


class Health(Struct, frozen=True):
    """All is well."""

    status: Literal["ok"] = "ok"


@get(
    "/health/live",
    operation_id="isLive",
    tags=["service"],
    summary="The process answers",
    responses=answers(200, Health, "It lives.", example={"status": "ok"}),
)
async def live() -> Response[Health]:
    """Answer as long as the process can."""
    return Response(Health(), headers=_NOT_KEPT)


@get(
    "/health/ready",
    operation_id="isReady",
    tags=["service"],
    summary="The service can work",
    responses=answers(200, Health, "It can take webhooks.", example={"status": "ok"}) | refuses("not_ready"),
)
async def ready(interlock: NamedDependency[Interlock]) -> Response[Health] | Response[bytes]:
    """Answer 200 when webhooks can be taken, else 503 with `faults`: what is wrong."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            faults = await interlock.faults()
    except TimeoutError:
        faults = ["The database does not answer in time."]
    if not faults:
        return Response(Health(), headers=_NOT_KEPT)
    return respond(say("not_ready", " ".join(faults), faults=faults))


@get(
    "/metrics",
    media_type=PROMETHEUS,
    operation_id="readMetrics",
    tags=["service"],
    summary="Figures for Prometheus",
    responses=answers(200, str, "Prometheus' text format.", media_type="text/plain")
    | refuses("unauthorized", "not_found", "store_unavailable"),
)
async def metrics(runtime: NamedDependency[Runtime]) -> Response[str]:
    """Read the figures.  Without an `ADMIN_TOKEN` this route is not there."""
    figures = await runtime.interlock.metrics() | {"interlock_streams_open": float(runtime.streams.slots.total)}
    return Response(prometheus(figures), media_type=PROMETHEUS, headers=_NOT_KEPT)


def prometheus(figures: dict[str, float]) -> str:
    """Write figures, each named `name{labels}`, with one TYPE line a name."""
    lines: list[str] = []
    typed: set[str] = set()
    for series, value in sorted(figures.items(), key=lambda figure: (figure[0].partition("{")[0], figure[0])):
        name = series.partition("{")[0]
        if name not in typed:
            typed.add(name)
            lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
        lines.append(f"{series} {value:.16g}")
    return "\n".join(lines) + "\n"
