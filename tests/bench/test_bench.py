"""The bench still runs: each row that needs nothing from the network, for a fraction of a second, no time asserted."""

from __future__ import annotations

from pathlib import Path

from tests.bench.run import ROWS, Options, run


def test_every_row_of_our_own_runs_and_does_the_work_it_counts(tmp_path: Path) -> None:
    """A bench that nobody runs goes stale; and a figure for requests that were refused would be none."""
    rows = tuple(name for name, row in ROWS.items() if row.subject in ("", "bare", "sqlite", "million"))
    options = Options(
        rows=rows,
        rounds=1,
        seconds=0.2,
        million=200,
        history=500,
        cache=tmp_path,
        streams=(40,),
        connections=4,
        subscriptions=50,
    )
    lines = list(run(options, tmp_path, lambda words: None))
    table = [line for line in lines if line.startswith("| ") and not line.startswith("| row")]
    assert len([line for line in table if "open streams" not in line]) == len(rows) - 3 + 1, lines
    assert not [line for line in lines if "applied" in line], "some requests were not answered as they should have been"
    assert any(line.startswith("| 40 |") for line in lines), lines
