"""Returns' whole stories: what each system reports, what was sent, what is waited for, who must act, and how a refund adds up.

One set of SQL statements makes many stories at once, as JSON of codes and figures (``story.sql``); this module reads them back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from hr_centra_pipeline.core import codes
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.effects.plan import define_pending_effects
from hr_centra_pipeline.warehouse.database import Connection, run_sql

_AT_ONCE = 20_000
"""Returns whose stories are made by one run of the statements: bounds what is held."""
Row = dict[str, Any]


class _Read:
    """A part of a story that is read from its JSON: of the same names; times and amounts get their types."""

    @classmethod
    def of(cls, row: Row) -> Self:
        """One object of the JSON; what a later program has added is left out."""
        return cls(**{one.name: _typed(str(one.type), row[one.name]) for one in fields(cls)})  # type: ignore[arg-type]


def _typed(declared: str, value: Any) -> Any:
    if value is None:
        return None
    if declared.startswith("Decimal"):
        return Decimal(value)
    return datetime.fromisoformat(value) if declared.startswith("datetime") else value


@dataclass(frozen=True)
class Line(_Read):
    """One thing that happened. ``who``: a side, a rule, or a person's name; ``unit`` ``None``: the whole return."""

    at: datetime
    who: str
    unit: str | None
    what: str


@dataclass(frozen=True)
class UnitStory(_Read):
    """The state of one unit. Amounts in ``currency``; ``refundable``: along the chain of exchanges."""

    return_item_id: str
    sku: str | None
    product_name: str | None
    order_number: str
    refund_type: str | None
    exchange_sku: str | None
    reason: str | None
    disposition: str | None
    condition: str | None
    last_event: str | None
    last_event_at: datetime | None
    effects: str
    currency: str | None
    paid: Decimal | None
    given: Decimal | None
    refundable: Decimal | None
    root_order: str | None
    chain_depth: int | None


@dataclass(frozen=True)
class Reported(_Read):
    """What the four sides say was given back on one order: of one component, or in ``total``. ``None``: not reported."""

    order_number: str
    component: str
    currency: str
    expected: Decimal | None
    happy_returns: Decimal | None
    centra: Decimal | None
    provider: Decimal | None
    culprit: str | None
    is_explained: bool | None
    explained_by: str | None
    within_tolerance: bool | None
    rule: str | None


@dataclass(frozen=True)
class Sent(_Read):
    """One effect as the ledger has it. ``is_external``: others did it in Centra."""

    effect_key: str
    effect_kind: str
    return_item_id: str | None
    order_number: str
    state: str
    is_external: bool
    currency: str | None
    amount: Decimal | None
    centra_id: str | None
    packet_key: str | None
    planned_at: datetime | None
    sent_at: datetime | None
    confirmed_at: datetime | None
    reason: str | None
    reason_code: str | None


@dataclass(frozen=True)
class Refund(_Read):
    """One refund: a Return in Centra with its payment, one that was just sent, or what is planned on an order.

    ``items``, ``voucher``, ``shipping``, ``fee``: its parts, with tax; ``total``: items - voucher + shipping - fee. ``paid``: what
    was paid, requested or is planned to be, from another place than the parts; the two may differ.
    ``state``: ``paid``, ``requested`` (the provider has not answered), ``confirmed`` or ``in_doubt`` (sent, not read back yet),
    ``planned``, ``held``, ``failed``, ``not_paid``, ``exchange`` (goods instead of money) or ``elsewhere`` (paid outside Centra).
    ``pays_through``: ``centra`` (the original payment), ``gift_card`` or ``elsewhere``.
    """

    order_number: str
    centra_return_id: int | None
    packet_key: str | None
    is_external: bool
    state: str
    currency: str
    items: Decimal
    voucher: Decimal
    shipping: Decimal
    fee: Decimal
    total: Decimal
    paid: Decimal
    pays_through: str | None
    paid_at: datetime | None
    return_item_ids: list[str]


@dataclass(frozen=True)
class Wait(_Read):
    """What one unit (or the return) waits for.

    ``code``: ``hand_over``, ``goods``, ``approval``, ``grade``, or the kind of effect that is due; ``words``: the same for people.
    ``reason``: why it is not sent. ``until``: when it goes on by itself, or is late; ``must_act``: a team, ``shopper``,
    ``carrier``, ``happy_returns``, ``hr_centra`` by itself, or ``nobody``.
    """

    return_item_id: str | None
    code: str
    words: str
    reason: str | None
    reason_code: str | None
    since: datetime | None
    until: datetime | None
    verdict: str
    must_act: str


@dataclass(frozen=True)
class OpenException(_Read):
    """One exception that is open, with what to do. ``state``: ``open``, or ``dry_run``: only because nothing is sent."""

    exception_id: str
    kind: str
    state: str
    owner_team: str
    severity: str
    currency: str | None
    amount: Decimal | None
    opened_at: datetime
    due_at: datetime
    detail: str
    next_step: str


@dataclass(frozen=True)
class Story:
    """One return. ``state``: as Happy Returns reports it (``None``: its units alone are known)."""

    return_id: str
    express_code: str | None
    orders: list[str]
    state: str | None
    started_at: datetime | None
    dropoff_method: str | None
    must_act: str
    units: list[UnitStory]
    reports: list[Reported]
    sent: list[Sent]
    refunds: list[Refund]
    waits: list[Wait]
    timeline: list[Line]
    exceptions: list[OpenException]


def stories(connection: Connection, named: str, now: datetime) -> list[Story]:
    """The story of each return that a return id, express code, unit or order number names (``#`` is left out).

    Raises:
        ConfigurationError: it names none.
    """
    rows = connection.execute(
        """
        select distinct return_id from (
            select return_id, express_code, order_number, cast(null as varchar) as return_item_id from staging.returns
            union all by name
            select return_id, express_code, order_number, return_item_id from staging.return_items
        )
        where $named in (return_id, express_code, order_number, return_item_id) order by return_id
        """,
        {"named": named.removeprefix("#")},
    ).fetchall()
    if not rows:
        raise ConfigurationError(f"{named}: no return, express code, unit or order has that name.")
    return [read_story(row["story"]) for row in story_rows(connection, [return_id for (return_id,) in rows], now)]


def story_rows(connection: Connection, return_ids: Sequence[str], now: datetime) -> Iterator[Row]:
    """One row per return that is known: the columns of ``story.sql``, with the whole story as JSON in ``story``.

    ``now``: the decision time. Nothing else may be read on the connection meanwhile.
    """
    define_pending_effects(connection)
    for first in range(0, len(return_ids), _AT_ONCE):
        given = {"returns": list(return_ids[first : first + _AT_ONCE]), "waiting": list(codes.WAITING), "now": now}
        found = run_sql(connection, "hr_centra_pipeline.reconciliation", "story.sql", given)
        names = [column[0] for column in found.description]
        while rows := found.fetchmany(1_000):
            for row in rows:
                yield dict(zip(names, row, strict=True))


def read_story(text: str) -> Story:
    """A story from its JSON."""
    row = json.loads(text)
    started_at = row["started_at"]
    return Story(
        return_id=row["return_id"],
        express_code=row["express_code"],
        orders=row["orders"],
        state=row["state"],
        started_at=datetime.fromisoformat(started_at) if started_at else None,
        dropoff_method=row["dropoff_method"],
        must_act=row["must_act"],
        units=[UnitStory.of(one) for one in row["units"]],
        reports=[Reported.of(one) for one in row["reports"]],
        sent=[Sent.of(one) for one in row["sent"]],
        refunds=[Refund.of(one) for one in row["refunds"]],
        waits=[Wait.of(one) for one in row["waits"]],
        timeline=[Line.of(one) for one in row["timeline"]],
        exceptions=[OpenException.of(one) for one in row["exceptions"]],
    )
