"""What people decide about the push, by name and with a reason: approve, raise a guard, adopt a return, tie what others did,

have a canceled replacement ordered again or paid.
"""

from __future__ import annotations

import getpass
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal

from hr_centra_pipeline.core import codes
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.kinds import EFFECT_TYPE_OF
from hr_centra_pipeline.core.money import allocate
from hr_centra_pipeline.push import call_journal, guards, ledger
from hr_centra_pipeline.push.packets import Effect, planned_effects
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.made import makes

EFFECT_TYPES = tuple(dict.fromkeys(EFFECT_TYPE_OF.values()))
LONGEST_RAISE = timedelta(days=7)
_HEADROOM = Decimal("1.1")  # a raise covers what waits now, and a little of what comes until it is sent


def machine_user() -> str:
    """The user of this machine that runs the program."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


@dataclass(frozen=True)
class Signature:
    """Who decides, why, when. ``recorded_by``: the machine's user that typed it, or who was logged in.

    ``identities``: every other name by which who decides is known: user id, machine users.
    """

    by: str
    why: str
    at: datetime
    recorded_by: str = field(default_factory=machine_user)
    identities: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.by.strip() or not self.why.strip():
            raise ConfigurationError("--by and --why: say who decides and why; both are kept.")

    def is_also(self, name: str) -> bool:
        """Whether a name is another one of who decides."""
        return name.strip().casefold() in {one.strip().casefold() for one in (self.by, *self.identities)}


@dataclass(frozen=True)
class AsShown:
    """What the approver of an effect saw of it."""

    approval_sha256: str | None
    amount: Decimal | None
    currency: str | None


# ---------------------------------------------------------------- approvals


def waiting(connection: Connection, now: datetime) -> list[Effect]:
    """Effects that a person has to let through, and stock movements that may go before their hold is over."""
    return [
        effect
        for effect in planned_effects(connection, now)
        if codes.needs_approval(effect.waits_for_code)
        or (effect.effect_kind == "inventory_adjustment" and effect.waits_for_its_time)
    ]


def approve(
    connection: Connection,
    signature: Signature,
    *,
    keys: Sequence[str] = (),
    effect_types: Sequence[str] = (),
    as_shown: Mapping[str, AsShown] | None = None,
) -> list[Effect]:
    """Let effects through: those named by effect key, unit, return or order number, or all that wait of these types.

    A packet key lets the payment of a packet in doubt be made once more, or accepts a replacement order that differs from what
    was meant as it is now. Each approval is for the effect as it is now, with the fee and shipping that leave with it, and for
    the reasons for which it waits: when anything of that changes or another reason comes, it needs another.

    ``as_shown``: by effect key, what the approver saw; ``None``: the list as it is now.

    Raises:
        ConfigurationError: the approver planned or configured it, nothing of what was named waits for an approval, or an effect
            is no longer what its approver saw.
    """
    refuse_own_work(connection, signature)
    resumed = [key for key in keys if key.startswith("PK") and _approve_packet(connection, signature, key)]
    found = [
        effect
        for effect in waiting(connection, signature.at)
        if EFFECT_TYPE_OF[effect.effect_kind] in effect_types
        or {effect.effect_key, effect.return_item_id, effect.return_id, effect.order_number} & set(keys)
    ]
    if not found and not resumed:
        named = ", ".join([*keys, *effect_types]) or "nothing"
        raise ConfigurationError(
            f"{named}: nothing of it waits for an approval. `hr-centra approve` lists what does.", code="nothing_waits"
        )
    if as_shown is not None:
        _refuse_changed(connection, [effect.effect_key for effect in found], as_shown)
    _keep(connection, signature, [effect.effect_key for effect in found])
    return found


def _refuse_changed(connection: Connection, effect_keys: Sequence[str], as_shown: Mapping[str, AsShown]) -> None:
    rows = connection.execute(
        "select effect_key, approval_sha256, amount, currency from sendable_effects"
        " where effect_key in (select unnest($effect_keys::varchar[])) order by effect_key",
        {"effect_keys": list(effect_keys)},
    ).fetchall()
    for effect_key, sha256, amount, currency in rows:
        seen = as_shown.get(effect_key)
        is_same = seen is not None and (seen.amount, seen.currency) == (amount, currency)
        if seen is None or not is_same or seen.approval_sha256 not in (None, sha256):
            now = f" It is {amount} {currency} now." if amount is not None and currency else ""
            raise ConfigurationError(
                f"{effect_key}: it changed since the page showed it, or was not on it.{now} Look at it again, then approve it.",
                code="changed_since_shown",
            )


def refuse_own_work(connection: Connection, signature: Signature) -> None:
    """Two pairs of eyes: who planned it, or changed the policy last, does not decide about it.

    Raises:
        ConfigurationError: names what the approver did.
    """
    row = connection.execute(
        "select started_by, policy_changed_by from push.pushes order by real_started_at desc limit 1"
    ).fetchone()
    if row is None:
        raise ConfigurationError("There is no plan yet: run `hr-centra sync` first.", code="no_plan")
    planned_by, changed_by = row
    if changed_by is None:
        raise ConfigurationError(
            "The policy does not say who changed it last, so it is not known who may decide this: set changed_by "
            "in it, and run `hr-centra sync`.",
            code="policy_unsigned",
        )
    for did, name in (("planned it", planned_by), ("changed the policy last", changed_by)):
        if name and signature.is_also(name):
            raise ConfigurationError(
                f"--by {signature.by}: {name} {did}; another person has to decide.", code="own_work"
            )


@makes("push.approvals", "One row per effect that a person approved.", kind="people")
def _keep(connection: Connection, signature: Signature, effect_keys: Iterable[str]) -> None:
    connection.execute(
        """
        insert into push.approvals by name
        select
            $approval_id as approval_id, effect_key, approval_sha256, codes, currency, amount, $by as approved_by,
            $recorded_by as recorded_by, $why as why, $at as approved_at
        from sendable_effects -- as they were listed
        where effect_key in (select unnest($effect_keys::varchar[]))
        """,
        {
            "approval_id": secrets.token_hex(8),
            "by": signature.by,
            "recorded_by": signature.recorded_by,
            "why": signature.why,
            "at": signature.at,
            "effect_keys": list(effect_keys),
        },
    )


def _approve_packet(connection: Connection, signature: Signature, key: str) -> bool:
    """Let the payment of a packet, or a step that Centra refused, be tried once more; or accept its order as it is."""
    found = call_journal.load(
        connection, "packet_key = ? and state = 'unknown' and trouble in ('unpaid', 'refused', 'differs')", [key]
    )
    if not found:
        return False
    packet = found[0]
    connection.execute(
        "update push.packets set trouble = null, payload = ? where packet_key = ?",
        [packet.payload.allowed(packet.trouble).stored(), key],
    )
    connection.execute(
        "insert into push.approvals (approval_id, effect_key, approved_by, recorded_by, why, approved_at)"
        " values (?, ?, ?, ?, ?, ?)",
        [secrets.token_hex(8), key, signature.by, signature.recorded_by, signature.why, signature.at],
    )
    return True


# ---------------------------------------------------------------- raising a guard


@dataclass(frozen=True)
class Raise:
    """How far the guards of an effect type are raised, and until when."""

    effect_type: str
    effects: int
    money: Mapping[str, Decimal]
    expires_at: datetime


@makes("push.raises", "One row per day and effect type whose guard a person raised.", kind="people")
def raise_guards(
    connection: Connection, signature: Signature, effect_type: str, *, hours: float, effects: int | None = None
) -> Raise:
    """Raise the caps and the surge guard of one effect type once: up to what waits now and a tenth more, until it expires.

    Raises:
        ConfigurationError: no such type, the raise would last too long, the approver planned or configured it, or
            nothing of the type waits.
    """
    if effect_type not in EFFECT_TYPES:
        raise ConfigurationError(f"{effect_type}: one of {', '.join(EFFECT_TYPES)}.")
    if not 0 < hours <= LONGEST_RAISE / timedelta(hours=1):
        raise ConfigurationError(f"--hours {hours:g}: a raise lasts more than 0 and at most 168 hours.")
    refuse_own_work(connection, signature)
    due = [effect for effect in planned_effects(connection, signature.at) if not effect.waits_for]
    today = guards.sent_today(connection, signature.at)
    now = guards.amounts_of(due).get(effect_type, guards.Amounts()) + guards.under_way(connection).get(
        effect_type, guards.Amounts()
    )
    if not now.count:
        raise ConfigurationError(f"{effect_type}: nothing of it waits to be sent.")
    day = now + today.get(effect_type, guards.Amounts())
    count = effects if effects is not None else int((day.count * _HEADROOM).to_integral_value(ROUND_UP))
    money = {currency: (amount * _HEADROOM).quantize(Decimal(1), ROUND_UP) for currency, amount in day.money.items()}
    given = Raise(effect_type, count, money, signature.at + timedelta(hours=hours))
    for currency, up_to in [(None, Decimal(count)), *money.items()]:
        connection.execute(
            "insert into push.raises"
            " (raise_id, effect_type, currency, up_to, raised_by, recorded_by, why, raised_at, expires_at)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                secrets.token_hex(8), effect_type, currency, up_to, signature.by, signature.recorded_by,
                signature.why, signature.at, given.expires_at,
            ],
        )  # fmt: skip
    return given


# ---------------------------------------------------------------- adopting a return


@dataclass(frozen=True)
class Adopted:
    """What adopting a return did: its effects of before the cut-over are planned from now on; ``reopened`` are sent again."""

    return_id: str
    was_before_cutover: bool
    reopened: list[str]


@makes("push.adoptions", "One row per return from before the cut-over that a person adopted.", kind="people")
def adopt(connection: Connection, signature: Signature, named: str) -> Adopted:
    """Include a return by name (return id, express code or external RMA id): one of before the cut-over, or one of which
    somebody has deleted in Centra what we had made; that is made again.

    Raises:
        ConfigurationError: there is no such return, or nothing about it needs adopting.
    """
    row = connection.execute(
        """
        select return_id, bool_or(is_after_cutover is distinct from true)
        from staging.returns left join effects.units using (return_id)
        where ? in (return_id, express_code) group by return_id
        """,
        [named],
    ).fetchall()
    if len(row) != 1:
        found = f"{len(row)} returns have that name" if row else "no return has that id or express code"
        raise ConfigurationError(f"{named}: {found}.")
    return_id, is_before = row[0]
    gone = ledger.reopen_gone(connection, return_id, signature.at, codes.say("adopted", signature.by, signature.why))
    if not gone and (earlier := _adopted_by(connection, return_id)) is not None:
        raise ConfigurationError(f"{named}: {earlier} already. Nothing more to adopt.")
    if not is_before and not gone:
        raise ConfigurationError(
            f"{named} is already included, and everything hr-centra created for it still exists in Centra. Nothing to adopt."
        )
    connection.execute(
        "insert into push.adoptions (return_id, adopted_by, recorded_by, why, adopted_at) values (?, ?, ?, ?, ?)",
        [return_id, signature.by, signature.recorded_by, signature.why, signature.at],
    )
    return Adopted(return_id, bool(is_before), gone)


def _adopted_by(connection: Connection, return_id: str) -> str | None:
    row = connection.execute(
        "select adopted_by, adopted_at from push.adoptions where return_id = ? order by adopted_at limit 1", [return_id]
    ).fetchone()
    return None if row is None else f"{row[0]} adopted it on {row[1]:%Y-%m-%d}"


# ---------------------------------------------------------------- tying what others did


def tie_refund(
    connection: Connection, signature: Signature, entry_id: int, units: Mapping[str, Decimal | None]
) -> None:
    """Say for which units a refund without a Return was (unit -> its part; ``None``: shared evenly), or for none.

    Raises:
        ConfigurationError: no such refund, it is tied already, a unit is not on its order, or the parts do not add up.
    """
    row = connection.execute(
        """
        select order_number, currency, abs(amount), request_id from staging.payment_entries
        where entry_id = ? and centra_return_id is null and is_given_back(money)
        """,
        [entry_id],
    ).fetchone()
    if row is None:
        raise ConfigurationError(f"{entry_id}: no refund without a Return has that payment entry id in Centra.")
    order_number, currency, amount, request_id = row
    for of_payment in (entry_id, request_id):
        _refuse_tied(connection, "refund", str(of_payment))
    _refuse_strangers(connection, units, order_number)
    parts = _parts(amount, currency, units)
    if parts and sum(parts.values(), Decimal(0)) != amount:
        raise ConfigurationError(f"{entry_id}: the parts add up to {sum(parts.values())}, the refund is {amount}.")
    for unit, part in parts.items() or [(None, amount)]:
        _keep_tie(connection, signature, "refund", str(entry_id), order_number, unit, currency, part)


def tie_order(connection: Connection, signature: Signature, order_number: str, units: Sequence[str]) -> None:
    """Say for which exchanged units somebody made a replacement order by hand.

    Raises:
        ConfigurationError: no such order, or a unit that is not an exchange; or it is in place of a canceled replacement, and the
            same person planned that or changed the policy last.
    """
    if not connection.execute("select 1 from staging.orders where order_number = ?", [order_number]).fetchone():
        raise ConfigurationError(f"{order_number}: Centra has shown no such order.")
    exchanged = {
        unit
        for (unit,) in connection.execute(
            "select return_item_id from staging.return_items where refund_type = 'exchange'"
        ).fetchall()
    }
    if strangers := [unit for unit in units if unit not in exchanged]:
        raise ConfigurationError(f"{', '.join(strangers)}: no unit that is exchanged has that id.")
    if not units:
        raise ConfigurationError("--unit: name the exchanged units that the order was made for.")
    _refuse_tied(connection, "order", order_number)
    for unit in units:
        # In place of our own that was canceled: it was ordered again, by hand.
        canceled = _latest_replacement(connection, unit)
        if canceled is not None and canceled.state == "canceled" and canceled.decision is None:
            refuse_own_work(connection, signature)
            _keep_decision(connection, signature, canceled, "order_again")
        _keep_tie(connection, signature, "order", order_number, order_number, unit, None, None)


def tie_return(connection: Connection, signature: Signature, return_id: int, units: Sequence[str]) -> None:
    """Say for which units a Return was that somebody made in Centra, or (no units) that it was for none of Happy Returns.

    Raises:
        ConfigurationError: Centra shows no such Return, it is ours, it is tied already, or a unit is not on its order or tied to
            another Return.
    """
    row = connection.execute(
        "select order_number, packet_key is not null or len(coalesce(effect_keys, [])) > 0 from staging.centra_returns"
        " where centra_return_id = ? and deleted_at is null",
        [return_id],
    ).fetchone()
    if row is None:
        raise ConfigurationError(f"{return_id}: Centra has shown no such Return.")
    order_number, is_ours = row
    if is_ours:
        raise ConfigurationError(f"{return_id}: hr-centra made that Return; it is tied by its comment.")
    _refuse_tied(connection, "return", str(return_id))
    _refuse_strangers(connection, units, order_number)
    _refuse_returned(connection, units)
    tied_to: Sequence[str | None] = units or [None]
    for unit in tied_to:
        _keep_tie(connection, signature, "return", str(return_id), order_number, unit, None, None)


def tie_line(connection: Connection, signature: Signature, shipment_line_id: int, units: Sequence[str]) -> None:
    """Say which shipment line units are of, where their rows do not name it. The latest decision counts.

    Raises:
        ConfigurationError: Centra shows no such line, or a unit is not of its order or was credited already.
    """
    row = connection.execute(
        "select order_number from staging.shipment_lines where shipment_line_id = ?", [shipment_line_id]
    ).fetchone()
    if row is None:
        raise ConfigurationError(f"{shipment_line_id}: Centra has shown no such shipment line.")
    if not units:
        raise ConfigurationError("--unit: name the units that are of that line.")
    known = dict(
        connection.execute(
            "select return_item_id, matched_by from matching.matched_items where order_number = ?", [row[0]]
        ).fetchall()
    )
    for unit in units:
        if unit not in known:
            raise ConfigurationError(f"{unit}: no returned unit of order {row[0]} has that id.")
        if known[unit] == "frozen":
            raise ConfigurationError(f"{unit}: it was credited or exchanged already, and keeps its line.")
        _keep_tie(connection, signature, "line", str(shipment_line_id), row[0], unit, None, None)


def take_money_instead(connection: Connection, signature: Signature, unit: str) -> None:
    """Record that the refund made by hand for an exchanged unit replaces its exchange: no replacement is ordered.

    Raises:
        ConfigurationError: the unit is not an exchange, was not refunded in full, or no Return of it is known yet.
    """
    row = connection.execute(
        """
        select items.order_number, coalesce(matched.foreign_centra_return_id, (
            select max(centra_return_id) from effects.replacements where replacements.return_item_id = items.return_item_id
        ))
        from staging.return_items as items
        join matching.matched_items as matched using (return_item_id)
        join effects.value_given_back as value using (return_item_id)
        where return_item_id = ? and items.refund_type = 'exchange' and value.is_paid_instead
        """,
        [unit],
    ).fetchone()
    if row is None:
        raise ConfigurationError(f"{unit}: no exchange of that unit was refunded whole.")
    if row[1] is None:
        raise ConfigurationError(
            f"{unit}: it was refunded, but its Return is not known yet: sync, so that Centra shows it, then run this again."
        )
    _keep_tie(connection, signature, "money", str(row[1]), row[0], unit, None, None)


def release_exchange(connection: Connection, signature: Signature, unit: str) -> None:
    """Nobody sent the replacement by hand, although somebody made a Return on the unit: ours is ordered.

    Raises:
        ConfigurationError: the unit's exchange does not wait for that.
    """
    row = connection.execute(
        """
        select matched.order_number, matched.foreign_centra_return_id
        from matching.matched_items as matched join staging.return_items as items using (return_item_id)
        where return_item_id = ? and items.refund_type = 'exchange' and matched.foreign_centra_return_id is not null
        """,
        [unit],
    ).fetchone()
    if row is None:
        raise ConfigurationError(f"{unit} has no exchange blocked by an external Return.")
    _keep_tie(connection, signature, "release", str(row[1]), row[0], unit, None, None)


# ---------------------------------------------------------------- a replacement that was canceled


@dataclass(frozen=True)
class Replacement:
    """A unit's latest replacement that is confirmed, and what was decided about it. ``ordinal`` 1: the first."""

    return_item_id: str
    ordinal: int
    state: str
    order_numbers: tuple[str, ...]
    centra_return_id: int | None
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None


_MOST_ORDERS = 9  # of one unit: so many keys are looked for when the database was lost (effects/replacements.sql)
_DECIDED = {"order_again": "has it ordered again", "pay": "refunds the money instead"}


def order_again(connection: Connection, signature: Signature, unit: str) -> Replacement:
    """Have a replacement ordered again that somebody canceled in Centra: once, on the Return that is there.

    Raises:
        ConfigurationError: the unit's replacement was not canceled, is decided about, or is not due any more; or the same
            person planned it or changed the policy last.
    """
    canceled = _refuse_undecidable(connection, unit)
    refuse_own_work(connection, signature)
    if canceled.ordinal >= _MOST_ORDERS:
        raise ConfigurationError(
            f"{unit}: its replacement was ordered {canceled.ordinal} times. Order it in Centra by hand."
        )
    _keep_decision(connection, signature, canceled, "order_again")
    return canceled


def pay_instead(connection: Connection, signature: Signature, unit: str) -> list[Replacement]:
    """Refund a unit whose replacement someone canceled in Centra: its Return is refunded, once.

    A Return is refunded whole: with all units that it carries, which must all have lost their replacement. Answers them.

    Raises:
        ConfigurationError: as :func:`order_again`; or the Return was made by hand, or who pays refunds is not Centra.
    """
    canceled = _refuse_undecidable(connection, unit)
    refuse_own_work(connection, signature)
    row = connection.execute("select pays_through from policy.pays_through where refund_type = 'refund'").fetchone()
    if row and row[0] == "elsewhere":
        raise ConfigurationError(
            f'{unit}: pays_through.refund is "elsewhere": have it paid there, and its refund type corrected at Happy Returns.'
        )
    together = [
        name
        for (name,) in connection.execute(
            "select distinct return_item_id from effects.replacements where centra_return_id = ? order by 1",
            [canceled.centra_return_id],
        ).fetchall()
    ]
    units = [_refuse_undecidable(connection, name) for name in together]
    foreign = connection.execute(
        "select 1 from matching.matched_items where foreign_centra_return_id = ?", [canceled.centra_return_id]
    ).fetchone()
    if canceled.centra_return_id is None or foreign:
        raise ConfigurationError(
            f"{unit}: Return {canceled.centra_return_id or '-'} was made by hand, and we never pay on those: refund it in Centra."
        )
    for one in units:
        _keep_decision(connection, signature, one, "pay")
    return units


def _refuse_undecidable(connection: Connection, unit: str) -> Replacement:
    """The unit's canceled replacement, about which nobody has decided yet.

    Raises:
        ConfigurationError: there is nothing to decide; says why.
    """
    latest = _latest_replacement(connection, unit)
    if latest is None:
        is_known = connection.execute("select 1 from staging.return_items where return_item_id = ?", [unit]).fetchone()
        why = "no replacement of that unit is confirmed" if is_known else "there is no unit with that id"
        raise ConfigurationError(f"{unit}: {why}.")
    orders = ", ".join(latest.order_numbers) or "-"
    if latest.state != "canceled":
        raise ConfigurationError(f"{unit}: its replacement {orders} is {latest.state}, not canceled.")
    if latest.decision is not None:
        raise ConfigurationError(
            f"{unit}: {latest.decided_by} {_DECIDED[latest.decision]} (decided on {latest.decided_at:%Y-%m-%d})."
        )
    row = connection.execute(
        """
        select
            items.refund_type, units.is_refused, coalesce(value.is_paid_instead, false),
            coalesce(returns.deleted_at is not null, false), items.return_id
        from staging.return_items as items
        join effects.units as units using (return_item_id)
        left join effects.value_given_back as value using (return_item_id)
        left join staging.centra_returns as returns on returns.centra_return_id = ?
        where return_item_id = ?
        """,
        [latest.centra_return_id, unit],
    ).fetchone()
    refund_type, is_refused, is_paid, is_return_gone, return_id = row or ("exchange", False, False, False, "")
    if refund_type != "exchange":
        raise ConfigurationError(
            f"{unit}: Happy Returns now reports a {refund_type} for it, which is paid automatically."
        )
    if is_refused:
        raise ConfigurationError(f"{unit}: it was refused or is missing: nothing is due for it.")
    if is_paid:
        raise ConfigurationError(f"{unit}: it was refunded already, on Return {latest.centra_return_id}.")
    if is_return_gone:
        gone = f"{unit}: its Return {latest.centra_return_id} is gone in Centra"
        raise ConfigurationError(f"{gone}: `hr-centra adopt {return_id}` begins the exchange again.")
    return latest


def _latest_replacement(connection: Connection, unit: str) -> Replacement | None:
    row = connection.execute(
        """
        select
            return_item_id, ordinal, state, order_numbers, centra_return_id, decisions.decision, decisions.decided_by,
            decisions.decided_at
        from effects.replacements
        left join push.exchange_decisions as decisions using (return_item_id, ordinal)
        where return_item_id = ? and ordinal is not null
        order by ordinal desc limit 1
        """,
        [unit],
    ).fetchone()
    return None if row is None else Replacement(row[0], row[1], row[2], tuple(row[3] or ()), *row[4:])


@makes(
    "push.exchange_decisions",
    "One row per canceled replacement that a person had ordered again or paid instead.",
    kind="people",
)
def _keep_decision(connection: Connection, signature: Signature, about: Replacement, decision: str) -> None:
    connection.execute(
        "insert into push.exchange_decisions"
        " (decision_id, return_item_id, ordinal, decision, decided_by, recorded_by, why, decided_at)"
        " values (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            secrets.token_hex(8), about.return_item_id, about.ordinal, decision, signature.by, signature.recorded_by,
            signature.why, signature.at,
        ],
    )  # fmt: skip


def _refuse_tied(connection: Connection, what: str, centra_id: str) -> None:
    row = connection.execute(
        "select tied_by, tied_at from push.ties where what = ? and centra_id = ?", [what, centra_id]
    ).fetchone()
    if row:
        raise ConfigurationError(f"{centra_id}: {row[0]} has tied it on {row[1]:%Y-%m-%d}.")


def _refuse_returned(connection: Connection, units: Sequence[str]) -> None:
    """A unit comes back once: on one Return of others, unless that is gone in Centra."""
    row = connection.execute(
        """
        select ties.return_item_id, ties.centra_id, ties.tied_by, ties.tied_at
        from push.ties
        join staging.centra_returns as returns on returns.centra_return_id::varchar = ties.centra_id
        where ties.what = 'return' and ties.return_item_id in (select unnest($units::varchar[])) and returns.deleted_at is null
        order by ties.tied_at desc limit 1
        """,
        {"units": list(units)},
    ).fetchone()
    if row:
        raise ConfigurationError(f"{row[0]}: {row[2]} has tied it to Return {row[1]} on {row[3]:%Y-%m-%d}.")


def _refuse_strangers(connection: Connection, units: Iterable[str], order_number: str) -> None:
    known = {
        unit
        for (unit,) in connection.execute(
            "select return_item_id from matching.matched_items where order_number = ? and shipment_line_id is not null",
            [order_number],
        ).fetchall()
    }
    if strangers := [unit for unit in units if unit not in known]:
        raise ConfigurationError(f"{', '.join(strangers)}: no returned unit of order {order_number} has that id.")


def _parts(amount: Decimal, currency: str, units: Mapping[str, Decimal | None]) -> dict[str, Decimal]:
    """What of a refund each unit has got; those without a part share the rest evenly.

    Raises:
        ConfigurationError: a part is nothing or less, or nothing is left for the units without one.
    """
    given = {unit: part for unit, part in units.items() if part is not None}
    if wrong := [f"{unit}={part}" for unit, part in given.items() if not part.is_finite() or part <= 0]:
        raise ConfigurationError(f"--unit {', '.join(wrong)}: the part of a unit is an amount above zero.")
    open_units = [unit for unit in units if unit not in given]
    rest = amount - sum(given.values(), Decimal(0))
    if open_units and rest <= 0:
        raise ConfigurationError(
            f"--unit {', '.join(open_units)}: the other parts are {amount - rest} of {amount}, and leave nothing for it."
        )
    shares = allocate(rest, [Decimal(1)] * len(open_units), currency) if open_units else []
    return {**given, **dict(zip(open_units, shares, strict=True))}


@makes("push.ties", "One row per unit that a person tied to a refund, order, Return or line.", kind="people")
def _keep_tie(
    connection: Connection,
    signature: Signature,
    what: str,
    centra_id: str,
    order_number: str,
    unit: str | None,
    currency: str | None,
    amount: Decimal | None,
) -> None:
    connection.execute(
        "insert into push.ties"
        " (tie_id, what, centra_id, order_number, return_item_id, currency, amount, tied_by, recorded_by, why,"
        " tied_at)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            secrets.token_hex(8), what, centra_id, order_number, unit, currency, amount, signature.by,
            signature.recorded_by, signature.why, signature.at,
        ],
    )  # fmt: skip
