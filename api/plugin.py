"""Interlock as a plugin of a Litestar application: its routes, lifespan, OpenAPI and commands, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from litestar.config.app import AppConfig
from litestar.openapi.spec import Components
from litestar.plugins import CLIPlugin, InitPlugin

from interlock.api.app import make_runtime
from interlock.api.routes import interlock_router
from interlock.api.runtime import Runtime, UserOf
from interlock.api.schema.docs import SCHEMES, TAGS
from interlock.api.settings import Settings, load_settings
from interlock.engine import Interlock

if TYPE_CHECKING:
    from click import Group

COMMAND: Final = "interlock"


class InterlockPlugin(InitPlugin, CLIPlugin):
    """Serves Interlock's routes under `path` of the host.

    `user_of` names the user of a request from what the host's own sign-in left in the ASGI scope, in place of bearer
    tokens.  Without `settings` they are read from the environment.  Nothing of the host's is changed: error handlers,
    dependencies and headers are those of these routes alone.  Raises BadConfiguration.
    """

    def __init__(self, path: str = "/", *, settings: Settings | None = None, user_of: UserOf | None = None) -> None:
        self._path = path
        self._runtime: Runtime = make_runtime(settings or load_settings(with_tokens=user_of is None), user_of=user_of)

    @property
    def interlock(self) -> Interlock:
        """The engine, while the host runs.  Raises ApiError (503) before."""
        return self._runtime.interlock

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add routes, lifespan and what the host's OpenAPI document says of them."""
        app_config.route_handlers = [*app_config.route_handlers, interlock_router(self._runtime, self._path)]
        cast("Any", app_config).lifespan.append(self._runtime.serving)
        document = app_config.openapi_config
        if document is not None:
            document.tags = [*(document.tags or ()), *TAGS]
            given = document.components
            ours = Components(security_schemes=dict(SCHEMES))
            document.components = [*(given if isinstance(given, list) else [given]), ours]
        return app_config

    def on_cli_init(self, cli: Group) -> None:
        """Add Interlock's commands to Litestar's: `litestar interlock reconcile`."""
        from interlock.api.cli import main  # not needed to serve

        cli.add_command(main, COMMAND)
