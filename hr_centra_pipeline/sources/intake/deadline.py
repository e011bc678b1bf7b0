"""Waiting for work that cannot be interrupted, for so long and no longer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


class TooSlow(TimeoutError):
    """The work was not done in time."""


def within(seconds: float, work: Callable[[threading.Event], _Result], done: str) -> _Result:
    """What the work answers or raises. It runs in a thread of its own, and is left alone there when its time is over.

    Its argument is set from then on: work in steps asks it before each, and ends. ``done``: the participle of the message.

    Raises:
        TooSlow: it took more than so many seconds.
    """
    given_up, ended = threading.Event(), threading.Event()
    answers: list[_Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(work(given_up))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            errors.append(error)
        finally:
            ended.set()

    # A daemon: what hangs for ever must not keep the process from ending.
    threading.Thread(target=run, name=f"to be {done}", daemon=True).start()
    if not ended.wait(seconds):
        given_up.set()
        raise TooSlow(f"it was not {done} within {seconds:g} s")
    if errors:
        raise errors[0]
    return answers[0]
