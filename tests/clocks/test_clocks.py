"""Every path of Stripe's lifecycle table on test clocks, through signed webhooks and the real service, read back."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.clocks.paths import ACCOUNTS, DEFAULTS, PATHS, ROWS, Path
from tests.clocks.stage import Life, Stage

AT_ONCE = 8
MISCHIEF = {"duplicate": 0.2, "reorder": 0.3, "delay": 0.1, "drop": 0.25, "twin": 0.2}
SEED = 11
MORE = 20
CALM = dict.fromkeys(MISCHIEF, 0.0)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Both servers, once for the module."""
    made = Stage(tmp_path_factory.mktemp("clocks"))
    yield made
    made.close()


def play_all(stage: Stage, paths: Sequence[Path], prefix: str, *, wait: bool) -> dict[Path, Life]:
    """Play paths, those under one setting of the account at once; `wait` for the service at each state."""
    lives = {path: Life(stage, f"{prefix}_{n}", wait=wait) for n, path in enumerate(paths)}

    def play(path: Path) -> str:
        life = lives[path]
        try:
            for step in path.steps:
                step(life)
        except Exception as error:
            return f"{path}: {type(error).__name__}: {error} (seen: {life.seen})"
        pairs = list(zip(life.seen, life.seen[1:], strict=False))
        return "" if path.row[:2] in pairs else f"{path}: not what was seen: {life.seen}"

    wrong: list[str] = []
    for name, settings in ACCOUNTS.items():
        stage.live.panel("account", DEFAULTS | settings)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            wrong += filter(None, pool.map(play, [path for path in paths if path.account == name]))
    assert not wrong, "\n".join(wrong)
    return lives


def check_all(stage: Stage, lives: dict[Path, Life]) -> int:
    """Each user's state, its reason and what is stored are Stripe's; returns the number of decisions."""
    wrong = [f"stored {each}" for each in stage.differences([life.user for life in lives.values()])]
    decisions = 0
    for path, life in lives.items():
        if shown := life.wrong():
            wrong.append(f"{path}: shown {shown}")
        history = life.history()
        decisions += len(history)
        last = {entry["event_id"]: entry["outcome"] for entry in history if entry["event_id"]}
        wrong += [f"{path}: {id_} was {out}" for id_, out in last.items() if out in ("failed", "pending", "unlinked")]
    assert not wrong, "\n".join(wrong)
    return decisions


def test_every_path_on_test_clocks(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """The lifecycle table, whole: at each step Stripe's status is what the table says and the service comes to show
    it with its reason and dates; in the end nothing that is stored differs from Stripe, and no decision failed."""
    assert {path.row for path in PATHS} == set(ROWS)
    lives = play_all(stage, PATHS, "calm", wait=True)
    stage.quiet()
    decisions = check_all(stage, lives)
    steps = sum(len(life.seen) - 1 for life in lives.values())
    with capsys.disabled():
        print(f"\ntest clocks: {len(ROWS)} rows, {len(PATHS)} paths, {steps} states read back, {decisions} decisions")


def drawn(seed: int) -> list[Path]:
    """One path of every row, and some more, by the seed."""
    shuffled = random.Random(seed).sample(PATHS, len(PATHS))
    one_each = {path.row: path for path in shuffled}
    return [*one_each.values(), *[path for path in shuffled if path not in one_each.values()][:MORE]]


def test_every_row_through_mischief(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Deliveries twice, out of order, late, with twins, and some never: after one sweep every life ends right."""
    stage.beside(lambda engine: engine.sweep())
    stage.live.panel("mischief", MISCHIEF | {"seed": SEED})
    lives = play_all(stage, drawn(SEED), "mischief", wait=False)
    log = list(stage.live.box.world.outbox.log)
    dropped = sum(each["outcome"] == "dropped" for each in log)
    stage.live.panel("mischief", CALM)
    stage.catch_up()
    stage.quiet()
    differing = {path for path, life in lives.items() if life.wrong()}
    stage.beside(lambda engine: engine.sweep())
    stage.quiet()
    decisions = check_all(stage, lives)
    assert dropped
    with capsys.disabled():
        print(
            f"\nmischief: {len(ROWS)} rows, {len(lives)} paths, {decisions} decisions, {len(differing)} lives wrong "
            f"before the sweep ({dropped} of the last {len(log)} tries were dropped)"
        )


def test_a_customer_is_first_heard_of_when_it_is_deleted(stage: Stage) -> None:
    """Whose a subscription was is also learnt from `customer.deleted`, where nothing that came before was delivered."""
    life = Life(stage, "deleted_first", wait=True)
    stage.live.panel("mischief", {"drop": 1})
    life.begin()
    life.subscribe()
    stage.live.panel("mischief", CALM)
    life.v1.customers.delete(life.customer)
    life.expect("canceled")
    assert not stage.differences([life.user])
