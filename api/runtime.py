"""What one running service is made of: every route gets this one object, and nothing of ours lies anywhere else."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeAlias

from litestar.types import HTTPScope

from interlock.api.auth.tokens import Refused, Tokens, User, bearer, require_secret
from interlock.api.clock import FOLLOW_EVERY, FollowedClock
from interlock.api.http.limits import Admission, Slots, TokenBuckets
from interlock.api.http.problems import ApiError
from interlock.api.settings import Settings
from interlock.engine import Config, Interlock, InterlockError, usable_user

log = logging.getLogger("interlock")

UserOf: TypeAlias = Callable[[HTTPScope], str | None]
"""Names the user of a request, from what the host's own sign-in left in the ASGI scope; None: nobody is signed in."""

STREAMS_EACH: Final = 20
LOOK_EVERY: Final = 0.25
"""Seconds between two looks whether the server that runs this process has begun to stop."""
_UNSAFE: Final = frozenset(("POST", "PUT", "PATCH", "DELETE"))
NOT_STARTED: Final = (
    "Interlock is not started: put `async with interlock_app.lifespan():` into your host's own lifespan."
)


class Waiting(Protocol):
    """Something that waits for a change and can be woken."""

    def wake(self) -> None: ...


class Streams:
    """All open streams of a process: how many a user may have, and how to end them all."""

    def __init__(self) -> None:
        self.slots = Slots(STREAMS_EACH, "streams")
        self.watches: set[Waiting] = set()
        self.closing = False

    def close(self) -> None:
        """End every stream, and each that still begins."""
        self.closing = True
        for watch in self.watches:
            watch.wake()


class Runtime:
    """The engine and what the routes need beside it.  `interlock` is there while `running` is entered."""

    def __init__(
        self,
        settings: Settings,
        config: Config,
        *,
        admission: Admission,
        buckets: TokenBuckets,
        user_of: UserOf | None = None,
    ) -> None:
        self.settings = settings
        self.config = config
        self.admission = admission
        self.buckets = buckets
        self.streams = Streams()
        self._user_of = user_of
        self._tokens = None if user_of or settings.tokens is None else Tokens(settings.tokens, config.clock)
        self._interlock: Interlock | None = None

    @property
    def interlock(self) -> Interlock:
        """The open engine; raises ApiError (503), which names the missing line, before it is open."""
        if self._interlock is None:
            raise ApiError("not_started", NOT_STARTED)
        return self._interlock

    @property
    def is_running(self) -> bool:
        return self._interlock is not None

    @asynccontextmanager
    async def serving(self, _: object = None) -> AsyncGenerator[None]:
        """Keep the engine open for the length of a block: Litestar's lifespan.  Raises BadConfiguration."""
        clock = self.config.clock
        if isinstance(clock, FollowedClock):
            await clock.follow()
        try:
            self._interlock = await Interlock.open(self.config)
        except Exception as error:
            # One line here instead of the server's trace, which would also hold what the error quotes.
            log.critical("can't start: %s", error if isinstance(error, InterlockError) else type(error).__name__)
            raise
        self.streams.closing = False
        beside = [asyncio.create_task(self._end_streams_with_the_host())]
        if isinstance(clock, FollowedClock):
            beside.append(asyncio.create_task(_follow(clock)))
        try:
            yield
        finally:
            for task in beside:
                task.cancel()
            self.streams.close()  # before the engine goes that they read from
            interlock, self._interlock = self._interlock, None
            if self._tokens is not None:
                await self._tokens.close()
            await interlock.close()
            if isinstance(clock, FollowedClock):
                await clock.close()

    async def _end_streams_with_the_host(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if server_stops():
                self.streams.close()
                return

    async def look_at_the_clock(self) -> None:
        """Take up the stand-in's time before something is judged by it; the real time needs no looking."""
        if isinstance(self.config.clock, FollowedClock):
            await self.config.clock.follow()

    async def user(self, scope: HTTPScope) -> User:
        """Return the user of a request; raise ApiError (401) where none is proven."""
        if self._user_of is None:
            assert self._tokens is not None
            return await self._tokens.user(bearer(scope))
        if scope["method"] in _UNSAFE and self._comes_from_another_site(scope):
            raise ApiError("cross_site")
        user_id = self._user_of(scope)
        if user_id is None:
            raise Refused("Nobody is signed in.")
        if usable_user(user_id) is None:
            raise Refused("The signed-in user's id can't be used here.")
        return User(user_id)

    def _comes_from_another_site(self, scope: HTTPScope) -> bool:
        """Whether a browser says that a foreign page asked: the host's cookie alone must not be enough for that."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        foreign = headers.get(b"sec-fetch-site") in ("cross-site", "same-site")
        return foreign and headers.get(b"origin") not in self.settings.cors_origins

    @property
    def signs_in_itself(self) -> bool:
        """Whether the host that embeds this names the users."""
        return self._user_of is not None

    def require_operator(self, scope: HTTPScope) -> None:
        """Raise ApiError where the request has not the operator's token: 401, or 404 where none is set."""
        require_secret(scope, self.settings.admin_tokens)

    def require_service(self, scope: HTTPScope) -> None:
        """Raise ApiError where the request has no token of the host's backend: 401, or 404 where none is set."""
        require_secret(scope, self.settings.service_tokens)


async def _follow(clock: FollowedClock) -> None:
    while True:
        await asyncio.sleep(FOLLOW_EVERY)
        await clock.follow()


def server_stops() -> bool:
    """Whether the server of this process was told to stop.

    uvicorn waits for its connections before it runs the end of a lifespan, and tells no application.  But the handler
    that it has set for signals is a method of it.
    """
    handlers = (signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM))
    return any(getattr(getattr(handler, "__self__", None), "should_exit", False) is True for handler in handlers)
