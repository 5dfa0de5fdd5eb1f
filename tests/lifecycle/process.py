"""`interlock serve` as a process of its own, and a sender of webhooks that keeps up with it."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from pathlib import Path
from typing import Any, Final

from tests.kit.bodies import Obj
from tests.kit.settings import COMMAND, environment, free_port, make_token, process_environment, sign

STARTS_WITHIN: Final = 30.0


class Process:
    """One running service on a folder's database; it can be killed and started again on the same file."""

    def __init__(self, folder: Path, stripe_base: str) -> None:
        self.port = free_port()
        self._settings = process_environment(environment(folder, STRIPE_API_BASE=stripe_base))
        self._log = folder / "service.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*COMMAND, "serve", "--port", str(self.port)], env=self._settings, stdout=log, stderr=log
            )
        until = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                with_ready = Sender(self.port)
                status, _ = with_ready.ask("GET", "/health/ready")
                with_ready.close()
                if status == 200:
                    return
            except OSError:
                pass
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < until, self._log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9: no chance to finish anything."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)
        self._process = None

    def stop(self) -> None:
        """End it as an operator would."""
        if self._process is not None:
            self._process.terminate()
            assert self._process.wait(30) in (0, -15), self._log.read_text()
            self._process = None


class Sender:
    """One kept-alive connection; raises OSError when the service is gone."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def close(self) -> None:
        self._connection.close()

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        try:
            self._connection.request(method, path, body, headers or {})
            answer = self._connection.getresponse()
            data = answer.read()
        except http.client.HTTPException as error:
            self._connection.close()
            raise ConnectionError(str(error)) from error
        return answer.status, json.loads(data)

    def deliver(self, event: Obj) -> tuple[int, Any]:
        """Deliver one event, signed."""
        body = json.dumps(event).encode()
        return self.ask("POST", "/webhooks/stripe", body, {"Stripe-Signature": sign(body)})

    def read(self, path: str, user: str) -> Any:
        """Read as a user."""
        status, answer = self.ask("GET", path, headers={"Authorization": f"Bearer {make_token(user)}"})
        assert status == 200, answer
        return answer
