"""The command: `python -m tests.bench [--quick] [--rows NAME,…] [--rounds N] [--seconds S] [--rivals] [--write]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.bench.readme import write
from tests.bench.rivals import environment
from tests.bench.run import ROWS, Options, run


def _tell(words: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{words}", end="", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one to two minutes: fewer rounds, 100,000 for a million")
    parser.add_argument("--rows", help=f"of: {', '.join(ROWS)}; a baseline is added where one is needed")
    parser.add_argument("--rounds", type=int, help="how often each row takes its turn (5; quick 2)")
    parser.add_argument("--seconds", type=float, help="how long a turn is (2; quick 1)")
    parser.add_argument("--history", type=int, default=1_000_000, help="events that `decide` rebuilds (quick: 20,000)")
    parser.add_argument("--rivals", type=Path, help="where the rivals' environment is, or is made (default: cached)")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "interlock-bench")
    parser.add_argument("--write", action="store_true", help="keep what was measured in tests/bench/README.md")
    given = parser.parse_args()
    names = tuple(given.rows.split(",")) if given.rows else tuple(ROWS)
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}")
    quick = bool(given.quick)
    needed = {ROWS[name].rival for name in names}
    rivals = given.rivals or given.cache / "rivals"
    options = Options(
        rows=names,
        rounds=given.rounds or (2 if quick else 5),
        seconds=given.seconds or (1.0 if quick else 2.0),
        million=100_000 if quick else 1_000_000,
        history=min(given.history, 20_000) if quick else given.history,
        cache=given.cache,
        python=environment.python(rivals) if "python" in needed else None,
        node=environment.node(rivals) if "node" in needed else None,
    )
    with tempfile.TemporaryDirectory(prefix="interlock-bench-") as folder:
        lines: list[str] = []
        for line in run(options, Path(folder), _tell):
            print(line, flush=True)
            lines.append(line)
    if given.write:
        write(lines, names)


if __name__ == "__main__":
    main()
