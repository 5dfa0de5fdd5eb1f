"""Who has room in a process, and who gives it up: the rule alone, on a clock of its own."""

from __future__ import annotations

import contextlib
import random

import pytest

from interlock.api.http.limits import SPARED, Admission, Sender
from interlock.api.http.problems import ApiError


class Crowd:
    """Senders on a clock that the test moves."""

    def __init__(self, requests: int, size: int) -> None:
        self.now = 0.0
        self.ended: list[int] = []
        self.admission = Admission(requests, size, lambda: self.now)
        self.stack = contextlib.ExitStack()

    def begin(self, number: int, size: int = 0) -> Sender:
        sender = self.stack.enter_context(self.admission.sender(lambda: self.ended.append(number)))
        self.admission.grow(sender, size)
        return sender

    def left(self) -> tuple[int, int]:
        inside = vars(self.admission)
        return inside["_requests"], inside["_size"]


def test_the_longest_are_ended_first_and_only_as_many_as_need_be() -> None:
    """Room for one is made by ending one, the one that has been sending longest."""
    crowd = Crowd(3, 100)
    for number in range(3):
        crowd.begin(number, 30)
        crowd.now += 1
    crowd.admission.take(10)
    assert crowd.ended == [0]
    crowd.admission.give_back(10)
    crowd.admission.take(100)
    assert crowd.ended == [0, 1, 2]
    crowd.admission.give_back(100)
    crowd.stack.close()
    assert crowd.left() == (3, 100)


@pytest.mark.parametrize("size", [0, 100])
def test_who_began_just_now_is_spared(size: int) -> None:
    """A sender has its second: until then the next one is 503, and comes again."""
    crowd = Crowd(1 if size == 0 else 9, 100)
    crowd.begin(1, size)
    crowd.now = SPARED - 0.001
    with pytest.raises(ApiError) as refused:
        crowd.admission.take(1)
    assert (refused.value.status_code, refused.value.retry_after) == (503, 1)
    assert crowd.ended == []
    crowd.now = SPARED
    crowd.admission.take(1)
    assert crowd.ended == [1]


def test_what_is_whole_is_not_ended() -> None:
    """Room of what waits for the engine is nobody else's, however long it waits."""
    crowd = Crowd(1, 100)
    crowd.admission.take(50)
    crowd.now = 1_000.0
    with pytest.raises(ApiError):
        crowd.admission.take(1)
    with pytest.raises(ApiError):
        crowd.begin(1)


def test_who_is_ended_takes_no_more() -> None:
    """A sender whose room is gone can't grow; nor can it be its own way to more."""
    crowd = Crowd(2, 100)
    sender = crowd.begin(1, 60)
    crowd.now = 2.0
    with pytest.raises(TimeoutError):
        crowd.admission.grow(sender, 50)
    assert crowd.ended == [1]
    with pytest.raises(TimeoutError):
        crowd.admission.grow(sender, 1)
    assert crowd.left() == (2, 100)
    crowd.stack.close()
    assert crowd.left() == (2, 100)


def test_room_is_neither_lost_nor_made() -> None:
    """However senders come, grow, finish and are ended, what is free and what is held make up the whole."""
    chance = random.Random(11)
    crowd = Crowd(8, 1_000)
    held: list[int] = []
    open_: list[tuple[contextlib.ExitStack, Sender]] = []
    for step in range(5_000):
        crowd.now += chance.random() / 4
        with contextlib.suppress(ApiError, TimeoutError):
            match chance.randrange(5):
                case 0:
                    stack = contextlib.ExitStack()
                    sender = stack.enter_context(crowd.admission.sender(lambda step=step: crowd.ended.append(step)))
                    open_.append((stack, sender))
                case 1 if open_:
                    crowd.admission.grow(chance.choice(open_)[1], chance.randrange(300))
                case 2 if open_:
                    open_.pop(chance.randrange(len(open_)))[0].close()
                case 3:
                    size = chance.randrange(300)
                    crowd.admission.take(size)
                    held.append(size)
                case _ if held:
                    crowd.admission.give_back(held.pop())
                case _:
                    pass
        requests, size = crowd.left()
        sending = list(vars(crowd.admission)["_senders"])
        assert requests + len(held) + len(sending) == 8
        assert size + sum(held) + sum(sender.size for sender in sending) == 1_000
        assert min(requests, size) >= 0
    assert len(crowd.ended) > 100
