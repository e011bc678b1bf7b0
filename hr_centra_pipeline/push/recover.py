"""Packets rebuilt from Centra: Returns of ours that are half done there, and that no packet in doubt carries.

Our database was lost in between, or a call arrived after it had counted as absent. They are finished or taken back, as
every half-done packet is: never begun again. One that somebody completed before it was paid is paid when a person says so.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.keys import packet_key
from hr_centra_pipeline.push import journal, ledger
from hr_centra_pipeline.push.packets import MOST_PAYMENTS, PAYING_STEPS, Packet, reserved_number
from hr_centra_pipeline.warehouse.database import Connection, run_sql

_FOUND = say("found_half_done")


def half_done(connection: Connection, now: datetime) -> int:
    """Put what is half done in Centra in doubt; answers how many effects that are.

    Reads ``effects.pending_*`` and staging as they were planned with.
    """
    run_sql(connection, "hr_centra_pipeline.push", "half_done.sql")
    columns = [column[0] for column in (connection.execute("from half_done").description or [])]
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
    journal.write(connection, packets, now)
    return len(members)


def _packet(connection: Connection, row: dict[str, Any]) -> Packet | None:
    """The packet of one Return; ``None`` when its comment is not what we wrote: then nobody knows what it is."""
    members = tuple(row["effect_keys"])
    if packet_key(members) != row["packet_key"]:
        return None
    if row["is_completed"] and not row["is_desired"]:
        return None  # nothing is left to do, and it is not ours to take back what somebody completed
    known = journal.load(connection, "packet_key = ?", [row["packet_key"]])
    operation = "exchange" if row["is_exchange"] else "credit"
    payload = known[0].payload if known else _exchange(row, members) if row["is_exchange"] else _credit(row)
    if operation == "exchange":
        step = "create_order" if row["is_desired"] else "cancel_order"
    elif row["is_desired"] or row["is_paid"]:
        step = "complete" if payload["pays_through"] == "elsewhere" or not Decimal(payload["total"]) else (
            "refund" if payload["pays_through"] == "centra" else "issue_credit"
        )  # fmt: skip
    else:
        step = "undo"
    found = known[0] if known else Packet(row["packet_key"], operation, members, payload, step)  # type: ignore[arg-type]
    # Whether it was called for is not known: as if it was, so that it is looked up and settles first. Who completed it may
    # have paid in another way: as if it was called for as often as we may, so that a person decides.
    called = MOST_PAYMENTS if row["is_completed"] else 1
    return replace(
        found,
        step=step,
        state="unknown",
        centra_id=str(row["centra_return_id"]),
        message=_FOUND,
        trouble=None,
        payments_sent=max(found.payments_sent, called) if step in PAYING_STEPS else found.payments_sent,
        real_sent_at=datetime.now(UTC),
    )


def _lines(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"shipment_line_id": line["shipment_line_id"], "quantity": line["quantity"], "members": line["members"]}
        for line in row["lines"]
    ]


def _credit(row: dict[str, Any]) -> dict[str, Any]:
    # Costs as they stand on the Return, goods as the plan has them: together they must be what Centra gives back.
    total = (row["planned_goods"] or Decimal(0)) + row["costs_kept"] + row["costs_tax_added"]
    return {
        "order_number": row["order_number"],
        "shipment_id": row["shipment_id"],
        "currency": row["currency"],
        "pays_through": row["pays_through"] or "centra",
        "lines": _lines(row),
        "total": str(total),
        "kept": str(total - (row["planned_tax_added"] or Decimal(0)) - row["costs_tax_added"]),
        "fee": str(row["return_cost"]),
        "fee_tax": str(row["return_cost_tax_added"]),
        **({"tax_mode": row["tax_mode"]} if row["tax_mode"] else {}),
        "comment": "",
        "shipping_members": [],
        "fee_members": [],
        # Completed without a payment in Centra: whether we have called for one is not known, and somebody else may have paid.
        **({"rows_issued": row["rows_issued"]} if row["rows_issued"] else {}),
    }


def _exchange(row: dict[str, Any], members: tuple[str, ...]) -> dict[str, Any]:
    number = reserved_number(members, 0, row["first_number"], row["last_number"])
    return {
        "order_number": row["order_number"],
        "shipment_id": row["shipment_id"],
        "currency": row["currency"],
        "lines": _lines(row),
        "replacements": [
            {"sku": one["sku"], "quantity": one["quantity"], "members": [one["effect_key"]]}
            for one in row["replacements"]
        ],
        "new_order_number": int(row["replacement_number"] or number),
        # Made, and canceled since: not ordered again by itself.
        "tried_numbers": row["canceled_numbers"],
        "comment": "",
    }
