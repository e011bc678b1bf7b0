"""Packets rebuilt from Centra: our Returns that are half done there, and that no packet in doubt carries.

Our database was lost in between, or a call arrived after it had counted as absent. They are finished or taken back, as
every half-done packet is: never begun again. One that somebody completed before it was paid is paid when a person says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.keys import packet_key
from hr_centra_pipeline.push import call_journal, ledger
from hr_centra_pipeline.push.operations import credit, exchange
from hr_centra_pipeline.push.operations.credit import CreditPayload
from hr_centra_pipeline.push.packets import MOST_PAYMENTS, Packet
from hr_centra_pipeline.push.states import check_packet
from hr_centra_pipeline.warehouse import models
from hr_centra_pipeline.warehouse.database import Connection

_FOUND = say("found_half_done")


def half_done(connection: Connection, now: datetime) -> int:
    """Put what is half done in Centra in doubt; answers how many effects that are.

    Reads ``effects.pending_*`` and staging as they were planned with.
    """
    models.run(connection, ["push/half_done.sql"])
    columns = [column[0] for column in (connection.execute("from half_done_returns").description or [])]
    rows = [dict(zip(columns, row, strict=True)) for row in connection.fetchall()]
    packets = [packet for row in rows if (packet := _packet(connection, row))]
    if not packets:
        return 0
    members = [member for packet in packets for member in packet.members]
    connection.execute(
        """
        insert into push.ledger (effect_key, state, is_foreign, travels_alone, planned_at, updated_at)
        select effect_key, 'planned', false, false, $now, $now
        from (select unnest($members::varchar[]) as effect_key) anti join push.ledger using (effect_key)
        """,
        {"members": members, "now": now},
    )
    moves = [
        ledger.Move(packet.members, "unknown", reason=_FOUND, packet_key=packet.key, centra_id=packet.centra_id)
        for packet in packets
    ]
    ledger.move(connection, moves, now)
    call_journal.write(connection, packets, now)
    return len(members)


def _packet(connection: Connection, row: dict[str, Any]) -> Packet | None:
    """The packet of one Return; ``None`` when its comment is not what we wrote: then nobody knows what it is."""
    members = tuple(row["effect_keys"])
    if packet_key(members) != row["packet_key"]:
        return None
    if row["is_completed"] and not row["is_desired"]:
        return None  # nothing is left to do, and it is not ours to take back what somebody completed
    known = next(iter(call_journal.load(connection, "packet_key = ?", [row["packet_key"]])), None)
    found = _exchange(row, members, known) if row["is_exchange"] else _credit(row, members, known)
    check_packet(found.state, "unknown")
    found.payload.STEPS.check_begin(found.step)
    # Whether it was called for is not known: as if it was, so that it is looked up and settles first. Who completed it may
    # have paid in another way: as if it was called for as often as we may, so that a person decides.
    called = MOST_PAYMENTS if row["is_completed"] else 1
    return replace(
        found,
        state="unknown",
        centra_id=str(row["centra_return_id"]),
        message=_FOUND,
        trouble=None,
        payments_sent=max(found.payments_sent, called) if found.is_paying else found.payments_sent,
        real_sent_at=datetime.now(UTC),
    )


def _credit(row: Mapping[str, Any], members: tuple[str, ...], known: Packet | None) -> Packet:
    """At the step at which it goes on; ``known``: its packet, where this database has it."""
    payload = known.payload if known and isinstance(known.payload, CreditPayload) else credit.rebuilt(row)
    step = credit.resumed_at(payload, row)
    return replace(known, step=step) if known else Packet(row["packet_key"], "credit", members, payload, step)


def _exchange(row: Mapping[str, Any], members: tuple[str, ...], known: Packet | None) -> Packet:
    """The same of an exchange."""
    step = exchange.resumed_at(row)
    if known:
        return replace(known, step=step)
    return Packet(row["packet_key"], "exchange", members, exchange.rebuilt(row, members), step)
