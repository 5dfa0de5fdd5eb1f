"""Begins `interlock serve` with many environments, each in a process of its own, and tells how each ended.

What takes a second is importing it all; so one process does, and forks a child for each start.  The child runs
the command's own `main`, with nothing but the given environment.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from typing import Any, Final, NamedTuple

from tests.kit.settings import ROOT, process_environment

GIVES_UP_AFTER: Final = 40
"""Seconds until a start that was not refused is ended: a fault of what is tested."""


class Ended(NamedTuple):
    """How one start ended: its exit code (negative: a signal), and all that it wrote."""

    code: int
    said: str


def begin(environments: list[dict[str, str]], *, port: int) -> list[Ended]:
    """Start once with each environment; return how each ended."""
    cases = json.dumps([port, [process_environment(given) for given in environments]])
    done = subprocess.run(
        [sys.executable, "-m", "tests.attack.starts"], cwd=ROOT, env=process_environment({}), input=cases.encode(),
        capture_output=True, timeout=GIVES_UP_AFTER * 3, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return [Ended(code, said) for code, said in json.loads(done.stdout)]


def _child(given: dict[str, str], port: int, out: int) -> None:
    from interlock.api import cli

    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.clear()
    os.environ.update(given)
    sys.argv = ["interlock", "serve", "--port", str(port)]
    code = 70
    try:
        signal.alarm(GIVES_UP_AFTER)
        cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException as error:
        os.write(2, f"Traceback: {error!r}".encode())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Read a port and environments from stdin; write exit codes and words to stdout."""
    import interlock.api.cli  # imported once, for all children

    assert interlock.api.cli
    gc.freeze()
    told: list[Any] = json.load(sys.stdin)
    children: list[tuple[int, Any]] = []
    for given in told[1]:
        out = tempfile.TemporaryFile()  # noqa: SIM115  open until its child has ended
        pid = os.fork()
        if pid == 0:
            _child(given, told[0], out.fileno())
        children.append((pid, out))
    ends: list[tuple[int, str]] = []
    for pid, out in children:
        _, status = os.waitpid(pid, 0)
        out.seek(0)
        ends.append((os.waitstatus_to_exitcode(status), out.read().decode("utf-8", "replace")))
    json.dump(ends, sys.stdout)


if __name__ == "__main__":
    main()
