"""What the last pull and plan know, for the last look: whatever Centra shows beyond it, somebody did meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from hr_centra_pipeline.core.kinds import OF_THE_RETURN
from hr_centra_pipeline.core.policy import Emails, Policy, Tax
from hr_centra_pipeline.core.words import CentraWords
from hr_centra_pipeline.push.packets import Effect
from hr_centra_pipeline.warehouse.database import Connection


@dataclass(frozen=True)
class Facts:
    """Read once per push; nothing of it changes before the next pull.

    ``known_returns``: Returns that the last pull showed. ``tied_entries``: refunds without a Return that a person has tied;
    ``tied_orders``: replacements that somebody ordered by hand, by the effect that they are.
    ``tax``: how far Centra's tax may be off.
    ``today``: effects as the last plan, policy and approvals have them, by key: those that are planned, and those under way that
    are still desired (asked before every call, ``still_due.py``). ``sent_before``: effects that were sent once and found absent,
    with the real time of the first call: it may still arrive. ``words``: what Centra's words mean.
    ``emails``: which ones Centra sends; ``gift_card``: the template of a gift card, by today's policy.
    """

    known_returns: frozenset[int] = frozenset()
    tied_entries: frozenset[int] = frozenset()
    tied_orders: Mapping[str, str] = field(default_factory=dict)
    today: Mapping[str, Effect] = field(default_factory=dict)
    sent_before: Mapping[str, datetime] = field(default_factory=dict)
    first_order_number: int = 900_000_000
    last_order_number: int = 999_999_999
    comment_limit: int = 255
    words: CentraWords = field(default_factory=CentraWords)
    emails: Emails = field(default_factory=Emails)
    gift_card: Mapping[str, Any] | None = None
    tax: Tax = field(default_factory=Tax)

    def unwanted_of(self, members: Iterable[str]) -> tuple[str, ...]:
        """Those of a packet's members that are not desired any more."""
        return tuple(member for member in members if member not in self.today)

    def return_level_of(self, order_number: str) -> Sequence[Effect]:
        """Shipping and fees of an order, planned or under way."""
        return self._riders.get(order_number, ())

    @cached_property
    def _riders(self) -> Mapping[str, Sequence[Effect]]:
        found: dict[str, list[Effect]] = {}
        for effect in self.today.values():
            if effect.effect_kind in OF_THE_RETURN:
                found.setdefault(effect.order_number, []).append(effect)
        return found


def load(connection: Connection, policy: Policy, effects: Iterable[Effect]) -> Facts:
    """Read them from the last committed plan and pull. ``effects``: every effect that the plan has, planned or under way."""

    def column(query: str) -> list[tuple[object, ...]]:
        return connection.execute(query).fetchall()

    known = column(
        """
        with open_orders as (
            select order_number from push.ledger where state in ('planned', 'sending', 'unknown')
        )
        select centra_return_id from staging.centra_returns
        semi join open_orders using (order_number)
        where deleted_at is null
        """
    )
    sent = column(
        "select effect_key, first_sent_at from push.ledger where state = 'planned' and first_sent_at is not null"
    )
    tied: list[tuple[object, ...]] = []
    if column("select 1 from push.ties where what = 'order' limit 1"):  # to plan a key costs more than to look
        tied = column(
            """
            select
                effect_key('exchange_order', exchange_ids(return_item_id, 1 + (
                    select count(*) from push.exchange_decisions as decisions
                    where decisions.return_item_id = ties.return_item_id and decision = 'order_again'
                        and decided_at <= tied_at
                ))),
                centra_id
            from push.ties
            where what = 'order' and return_item_id is not null
            """
        )
    return Facts(
        known_returns=frozenset(int(str(key)) for (key,) in known),
        tied_entries=frozenset(
            int(str(key)) for (key,) in column("select centra_id from push.ties where what = 'refund'")
        ),
        tied_orders={str(key): str(number) for key, number in tied},
        today={effect.effect_key: effect for effect in effects},
        sent_before={str(key): at.astimezone(UTC) for key, at in sent if isinstance(at, datetime)},
        first_order_number=policy.exchange_orders.first_number,
        last_order_number=policy.exchange_orders.last_number,
        comment_limit=policy.centra.comment_limit,
        words=policy.centra.words,
        emails=policy.emails,
        gift_card=policy.gift_card.template,
        tax=policy.tax,
    )
