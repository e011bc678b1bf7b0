"""Senders that are broken on purpose, each in a way that others have shipped: the torture has to catch every one of them."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from typing import Any

from hr_centra_pipeline.push import returns, still_due
from hr_centra_pipeline.push.operations import credit, exchange, stock
from hr_centra_pipeline.push.operations.registry import OPERATIONS
from hr_centra_pipeline.push.operations.stock import StockPacket
from hr_centra_pipeline.push.packets import Packet
from hr_centra_pipeline.push.returns import ReturnPayload
from hr_centra_pipeline.push.sender import Sender
from hr_centra_pipeline.push.steps import Call, Reverted

KINDS = ("no_read_back", "new_key_per_attempt", "no_last_look", "no_second_question")


def break_it(kind: str) -> None:
    """Replace parts of the sender of this process."""
    {
        "no_read_back": _no_read_back, "new_key_per_attempt": _new_key_per_attempt, "no_last_look": _no_last_look,
        "no_second_question": _no_second_question,
    }[kind]()  # fmt: skip


def _nothing(*_: Any, **__: Any) -> Generator[Any, Any, None]:
    return
    yield


def _no_read_back() -> None:
    """A timeout counts as a failure: whatever is in doubt is sent again, as if nothing had left."""

    def never_arrived(_: Sender, __: Packet, ___: Any) -> Reverted:
        return Reverted("it failed, I suppose")

    Sender._settled = never_arrived  # type: ignore[method-assign, assignment]
    # Looking for one's own key right before creating is reading back, too.
    returns.problem_with = lambda *_: None
    stock._arrived_late = _nothing


def _new_key_per_attempt() -> None:
    """Every attempt writes another key: nothing that was sent is ever found again."""
    create, change = returns.create, stock.call

    def fresh() -> str:
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
        return "".join(secrets.choice(letters) for _ in range(13))

    def with_fresh_key(packet: Packet[ReturnPayload]) -> Call:
        made = dict(create(packet).variables["input"])
        made |= {"comment": f"PK{fresh()} HR{fresh()}", "externalId": f"PK{fresh()}"}
        return Call("CreateReturn", {"input": made})

    def with_fresh_text(packet: StockPacket) -> Call:
        made = dict(change(packet).variables["input"])
        return Call("ChangeStock", {"input": made | {"description": f"PK{fresh()} HR{fresh()}"}})

    returns.create = with_fresh_key
    stock.call = with_fresh_text


def _no_last_look() -> None:
    """What the plan said is sent, whatever has happened since."""
    returns.problem_with = lambda *_: None
    credit._money_problem = lambda *_: None
    stock._put_back_meanwhile = _nothing
    exchange._out_of_stock = _nothing


def _no_second_question() -> None:
    """What is half done is paid as it was planned once, whatever the plan says by now."""
    still_due.stopped = lambda *_: None


__all__ = ["KINDS", "OPERATIONS", "break_it"]
