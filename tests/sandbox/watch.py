"""Every stand-in Stripe of the test process watched: what it answers and emits is held against Stripe's schemas.

It stands at the doors of the world, so it does not matter who calls, a test or a service or the SDK over HTTP.  What
does not fit is noted and fails the test that is running: raised here, in a server's thread, it would only be a 500.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

import pytest

from interlock.api.sandbox import World, WorldAnswer
from interlock.api.sandbox.core.shapes import is_legacy
from interlock.api.sandbox.http.face import Face
from tests.kit.counts import unheld
from tests.sandbox.schemas import check, check_event

Obj = dict[str, Any]
misfits: Final[list[str]] = []
"""What did not fit, and where it was seen; the fixture that fails the test empties it."""
OLD: Final = "in a shape from before basil, of which there is no schema here"
_turn: Final = threading.Lock()  # several stand-ins, each in a thread of its own, share the counts


def watch(patch: pytest.MonkeyPatch) -> None:
    """Stand at the doors, until the patch is undone."""
    request, post, event_for, send = (
        World.request, vars(World)["_post"], World.event_for, vars(Face)["_send"],
    )  # fmt: skip

    def answered(world: World, method: str, path: str, *args: Any, **options: Any) -> WorldAnswer:
        answer = request(world, method, path, *args, **options)
        _hold_answer(f"{method} {path}", answer)
        return answer

    def posted(world: World, event: Obj) -> None:
        _hold(str(event["type"]), check_event, event)
        post(world, event)

    def delivered(world: World, event: str, endpoint: str) -> Obj | None:
        body = event_for(world, event, endpoint)
        if body is not None and is_legacy(str(body["api_version"])):
            unheld[f"event bodies {OLD}"] += 1
        return body

    async def sent(face: Face, to: Any, answer: WorldAnswer) -> None:
        if "stripe-version" not in answer.headers:  # else it is the world's, and was looked at
            _hold_answer("what is refused before it comes to the world", answer)
        await send(face, to, answer)

    patch.setattr(World, "request", answered)
    patch.setattr(World, "_post", posted)
    patch.setattr(World, "event_for", delivered)
    patch.setattr(Face, "_send", sent)


def _hold_answer(where: str, answer: WorldAnswer) -> None:
    legacy = is_legacy(answer.headers.get("stripe-version", "newest"))
    if legacy and "error" not in answer.body:  # an error's shape is the same in all
        unheld[f"responses {OLD}"] += 1
    else:
        _hold(where, check, answer.body)


def _hold(where: str, test: Callable[[Obj], Obj], body: Obj) -> None:
    with _turn:
        try:
            test(body)
        except Exception as error:
            misfits.append(f"{where}: {type(error).__name__}: {error}")
