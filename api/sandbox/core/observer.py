"""Who may look on: what a world answers, emits and delivers, as it happens."""

from __future__ import annotations

from interlock.api.sandbox.core.answers import WorldAnswer
from interlock.api.sandbox.core.errors import Obj


class Observer:
    """Set as `World.observer` it sees every world of the process, and changes nothing. Here each call does nothing."""

    def answered(self, call: str, answer: WorldAnswer) -> None:
        """An answer of the API is about to be given; `call` is the method and path."""

    def emitted(self, event: Obj) -> None:
        """An event was made, in the newest shape."""

    def delivered(self, body: Obj) -> None:
        """An event is about to be sent to an endpoint, in the shape that the endpoint asks for."""
