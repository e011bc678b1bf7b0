"""A ``pages.sqlite`` of any size without a warehouse: rows as ``publishing/page_data.py`` writes them, made up from a seed."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from hr_centra_pipeline.core.clock import instant_text
from hr_centra_pipeline.core.exception_kinds import EXCEPTION_KINDS
from hr_centra_pipeline.core.money import rounded, shown
from hr_centra_pipeline.publishing import page_tables
from hr_centra_pipeline.publishing.page_tables import PageTable, sort_amount

EMAIL_KEY = "the key of this file's tokens"
NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
"""When the file claims to have been written."""
Row = dict[str, Any]

_CURRENCIES = ("SEK", "EUR", "GBP", "JPY")
_ARTICLES = (("101-MOSS-S", "Wool coat, moss"), ("102-CLAY-M", "Linen shirt, clay"), ("205-INK-38", "Denim, ink"))
_REASONS = ("too small", "too large", "not as described", "damaged", "changed my mind")
_GRADES = (("sellable", 1, "Main"), ("b-grade", 2, "Outlet"), ("damaged", 3, "Repairs"))
_STAGES = ("dropped_off", "received", "departed")


def return_id(number: int) -> str:
    """The id of the return of this number, from 0."""
    return f"RT-{number:06}"


def exception_id(number: int) -> str:
    """The id of the exception of this number, from 0."""
    return "EX" + _letters(f"exception {number}")


def email_of(named: str) -> str:
    """The shopper's e-mail address of a return; the file has its token alone."""
    return f"{named.lower()}@example.com"


def fill(path: Path, *, returns: int = 20, exceptions: int = 10, seed: int = 1) -> None:
    """Write a new file with so many returns and open exceptions; a tenth as many again of a dry run, and as many closed ones.

    Half of the returns are on their way or arrived. The same arguments give the same rows. There must be no file at ``path``.
    """
    chance = random.Random(seed)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma synchronous = off")
        page_tables.create_tables(connection)
        stories = [_return(number, chance) for number in range(returns)]
        found = [_exception(number, stories, "open", chance) for number in range(exceptions)]
        for state in ("dry_run", "closed"):
            first = len(found)
            found += [_exception(first + number, stories, state, chance) for number in range(exceptions // 10)]
        of_returns: dict[str, list[Row]] = {}
        for row in found:
            if row["return_id"]:
                of_returns.setdefault(row["return_id"], []).append(row)
        for story in stories:
            _add(story, of_returns.get(story["return_id"], []))
        rows: tuple[tuple[PageTable, list[Row]], ...] = (
            (page_tables.PUBLICATION, [_publication(returns)]),
            (page_tables.EXCEPTIONS, found),
            (page_tables.EXCEPTION_COUNTS, _counts(found)),
            (page_tables.RETURNS, [_return_row(story) for story in stories]),
            (page_tables.NAMES, [name for story in stories for name in _names(story)]),
            (page_tables.ARRIVALS, [_arrival(story, chance) for story in stories[::4]]),
            (page_tables.PUT_AWAYS, [_put_away(story, chance) for story in stories[1::4]]),
            (page_tables.HOLDS, [_hold(story, chance) for story in stories[2::8]]),
            (page_tables.MONTHS, _months()),
            (page_tables.PAYOUTS, [_payout(story, chance) for story in stories[3::8]]),
            (page_tables.HEALTH, _health()),
        )
        with connection:
            for table, given in rows:
                connection.executemany(table.insert, ({"row_hash": "", **row} for row in given))
            page_tables.create_indices(connection)
        connection.execute("pragma wal_checkpoint(truncate)")
    path.chmod(0o600)


def _letters(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[byte % 32] for byte in digest[:13])


def _at(days: float) -> str:
    return _hours_ago(round(days * 24))


@cache
def _hours_ago(hours: int) -> str:
    return instant_text(NOW - timedelta(hours=hours))


_KINDS = tuple(EXCEPTION_KINDS.values())


def _publication(returns: int) -> Row:
    return {
        "only": 1, "number": 7, "as_of": instant_text(NOW), "written_at": instant_text(NOW + timedelta(minutes=1)),
        "code_version": "1.0", "mode": "live", "made_with": "0" * 64, "batch": 1, "currencies": json.dumps(_CURRENCIES),
        "cutover": _at(60), "email_key": EMAIL_KEY, "rewritten": returns,
    }  # fmt: skip


def _amount(chance: random.Random, currency: str) -> Decimal:
    return rounded(Decimal(chance.randrange(5_00, 2500_00)) / 100, currency).quantize(Decimal("0.0001"))


def _return(number: int, chance: random.Random) -> dict[str, Any]:
    """One story, as ``reconciliation/story.py`` declares it."""
    name, order, currency = return_id(number), str(100_000 + number), chance.choice(_CURRENCIES)
    sku, product = chance.choice(_ARTICLES)
    days = chance.uniform(0, 60)
    items = _amount(chance, currency)
    voucher = rounded(items / 10, currency).quantize(Decimal("0.0001")) if chance.random() < 0.3 else Decimal("0.0000")
    fee = rounded(items / 20, currency).quantize(Decimal("0.0001")) if chance.random() < 0.4 else Decimal("0.0000")
    paid, unit, key = items - voucher - fee, f"IT-{number:06}", "HR" + _letters(f"credit {number}")
    is_paid = chance.random() < 0.6
    words = None if is_paid else chance.choice(("the goods", "a grade", "our credit"))
    centra_id = str(4000 + number)
    waits = [] if is_paid else [{
        "return_item_id": unit, "code": {"the goods": "goods", "a grade": "grade"}.get(str(words), "credit_note"), "words": words,
        "reason": None, "reason_code": None,
        "since": _at(days / 2), "until": None, "verdict": "in_time",
        "must_act": {"the goods": "carrier", "a grade": "happy_returns"}.get(str(words), "hr_centra"),
    }]  # fmt: skip
    return {
        "return_id": name, "express_code": f"HR{_letters(name)[:6]}", "orders": [order],
        "state": "approved" if is_paid else "dropped-off", "started_at": _at(days), "dropoff_method": "mail",
        "must_act": waits[0]["must_act"] if waits else "nobody",
        "units": [{
            "return_item_id": unit, "sku": sku, "product_name": product, "order_number": order, "refund_type": "refund",
            "exchange_sku": None, "reason": chance.choice(_REASONS), "disposition": "sellable" if is_paid else None,
            "condition": None, "last_event": "graded" if is_paid else "dropped_off", "last_event_at": _at(days / 2),
            "effects": "credit note confirmed" if is_paid else "nothing yet", "currency": currency,
            "paid": str(items - voucher), "given": str(paid if is_paid else Decimal("0.0000")),
            "refundable": str(Decimal("0.0000") if is_paid else items - voucher), "root_order": order, "chain_depth": 0,
        }],
        "reports": [
            {
                "order_number": order, "component": component, "currency": currency, "expected": str(amount),
                "happy_returns": str(amount), "centra": str(amount) if is_paid else None, "provider": None, "culprit": None,
                "is_explained": not is_paid, "explained_by": None if is_paid else "pending", "within_tolerance": False, "rule": "",
            }
            for component, amount in (("items", items - voucher), ("fee", -fee), ("total", paid))
        ],
        "sent": [{
            "effect_key": key, "effect_kind": "credit_note", "return_item_id": unit, "order_number": order,
            "state": "confirmed" if is_paid else "planned", "is_external": False, "currency": currency, "amount": str(items),
            "centra_id": centra_id if is_paid else None, "packet_key": None, "planned_at": _at(days / 2),
            "sent_at": _at(days / 3) if is_paid else None, "confirmed_at": _at(days / 3) if is_paid else None,
            "reason": None, "reason_code": None,
        }],
        "refunds": [{
            "order_number": order, "centra_return_id": int(centra_id) if is_paid else None, "packet_key": None,
            "is_external": False, "state": "paid" if is_paid else "planned", "currency": currency, "items": str(items),
            "voucher": str(voucher), "shipping": "0.0000", "fee": str(fee), "total": str(paid),
            "paid": str(paid), "pays_through": "centra", "paid_at": _at(days / 3) if is_paid else None,
            "return_item_ids": [unit],
        }],
        "waits": waits,
        "timeline": [
            {"at": _at(days), "who": "happy_returns", "unit": None, "what": f"started for order {order}, mail (approved by now)"},
            {"at": _at(days / 2), "who": "happy_returns", "unit": unit, "what": "dropped off"},
            {"at": _at(days / 2), "who": "pipeline", "unit": unit, "what": f"credit note planned {key}: {shown(items, currency)}"},
        ],
        "exceptions": [],
    }  # fmt: skip


def _add(story: dict[str, Any], exceptions: list[Row]) -> None:
    names = ("exception_id", "kind", "state", "owner_team", "severity", "currency", "amount", "opened_at", "due_at", "detail",
             "next_step")  # fmt: skip
    story["exceptions"] = [{name: row[name] for name in names} for row in exceptions if row["state"] != "closed"]
    teams = [one["owner_team"] for one in story["exceptions"] if one["state"] == "open"]
    story["must_act"] = teams[0] if teams else story["must_act"]


def _return_row(story: dict[str, Any]) -> Row:
    (unit,), (refund,) = story["units"], story["refunds"]
    wait = next(iter(story["waits"]), None)
    text = json.dumps(story, separators=(",", ":"))
    return {
        "return_id": story["return_id"], "express_code": story["express_code"], "orders": json.dumps(story["orders"]),
        "state": story["state"], "started_at": story["started_at"], "changed_at": story["timeline"][-1]["at"], "units": 1,
        "waits_for": wait["code"] if wait else None, "waits_until": None,
        "must_act": story["must_act"], "currency": unit["currency"],
        "paid": refund["paid"] if refund["state"] == "paid" else "0.0000",
        "open_exceptions": sum(one["state"] == "open" for one in story["exceptions"]),
        "row_hash": hashlib.sha256(text.encode()).hexdigest(), "story": text,
    }  # fmt: skip


def _names(story: dict[str, Any]) -> list[Row]:
    (unit,) = story["units"]
    found = [
        ("return", story["return_id"]), ("order", story["orders"][0]), ("express_code", story["express_code"]),
        ("sku", unit["sku"]), ("unit", unit["return_item_id"]),
        ("email_token", hashlib.sha256(f"{EMAIL_KEY}{email_of(story['return_id'])}".encode()).hexdigest()[:24]),
    ]  # fmt: skip
    if centra := story["refunds"][0]["centra_return_id"]:
        found.append(("rma", str(centra)))
    return [{"name": name.casefold(), "kind": kind, "return_id": story["return_id"]} for kind, name in found]


def _exception(number: int, stories: list[dict[str, Any]], state: str, chance: random.Random) -> Row:
    kind = chance.choice(_KINDS)
    story = chance.choice(stories) if stories and chance.random() < 0.95 else None
    unit = story["units"][0] if story else None
    currency = unit["currency"] if unit else None
    amount = _amount(chance, currency) if currency else None
    opened, window = chance.uniform(0, 60), 1 + chance.random() * 20
    overdue = int(state == "open" and opened > window)
    detail = f"{kind.name.replace('_', ' ').capitalize()}: order {story['orders'][0] if story else 'unknown'} differs"
    noted = chance.random() < 0.2
    history = [
        {
            "event": "opened",
            "at": _at(opened),
            "by": "hr-centra",
            "detail": detail,
            "proof": None,
            "note": None,
            "decision": None,
        }
    ]
    if noted:
        history.append({"event": "noted", "at": _at(opened / 2), "by": "Mia", "detail": None, "proof": None,
                        "note": "Asked the carrier", "decision": "chase"})  # fmt: skip
    if state == "closed":
        history.append({"event": "closed", "at": _at(opened / 3), "by": "hr-centra", "detail": None,
                        "proof": "Centra shows it", "note": None, "decision": None})  # fmt: skip
    return {
        "exception_id": exception_id(number), "state": state, "kind": kind.name, "family": kind.family, "class": "fix_centra",
        "cause": "data_gap", "culprit": "unknown", "owner_team": kind.owner_team,
        "severity": "info" if state == "dry_run" else "error" if overdue else kind.severity,
        "return_id": story["return_id"] if story else None, "return_item_id": unit["return_item_id"] if unit else None,
        "order_number": story["orders"][0] if story else None, "sku": unit["sku"] if unit else None, "currency": currency,
        "amount": None if amount is None else str(amount), "amount_sort": sort_amount(amount), "opened_at": _at(opened),
        "due_at": _at(opened - window), "overdue": overdue, "detail": detail,
        "next_step": f"Compare both sides and correct the wrong one. More: docs/exceptions.md#{kind.name}",
        "waiting_for": story["waits"][0]["words"] if story and story["waits"] else None,
        "evidence": json.dumps({"source_file": "items-20260908T1200Z.csv", "source_line": number + 2, "mode": "live"}),
        "history": json.dumps(history), "last_note": "Asked the carrier" if noted else None,
        "last_decision": "chase" if noted else None, "noted_by": "Mia" if noted else None,
        "noted_at": _at(opened / 2) if noted else None, "closed_at": _at(opened / 3) if state == "closed" else None,
        "proof": "Centra shows it" if state == "closed" else None,
    }  # fmt: skip


def _counts(exceptions: list[Row]) -> list[Row]:
    found: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in exceptions:
        found.setdefault((row["state"], row["owner_team"], row["kind"], row["currency"] or ""), []).append(row)
    nothing = Decimal("0.0000")
    return [
        {"state": state, "owner_team": team, "kind": kind, "currency": currency, "exceptions": len(rows),
         "overdue": sum(row["overdue"] for row in rows), "oldest": min(row["opened_at"] for row in rows),
         "amount": str(sum((Decimal(row["amount"] or 0) for row in rows), nothing)),
         "overdue_amount": str(sum((Decimal(row["amount"] or 0) for row in rows if row["overdue"]), nothing))}
        for (state, team, kind, currency), rows in sorted(found.items())
    ]  # fmt: skip


def _unit_columns(story: dict[str, Any]) -> Row:
    (unit,) = story["units"]
    return {name: unit[name] for name in ("return_item_id", "order_number", "sku", "product_name", "reason")} | {
        "return_id": story["return_id"]
    }


def _arrival(story: dict[str, Any], chance: random.Random) -> Row:
    box = chance.randrange(1, 40)
    is_late = chance.random() < 0.2
    return _unit_columns(story) | {
        "stage": chance.choice(_STAGES), "stage_at": _at(4), "shipment_id": f"OB-{box:04}", "carrier": "UPS",
        "tracking": f"1Z999{box:06}", "bag": f"BAG-{box:04}", "destination": "Main", "sent_at": _at(4),
        "expected_by": _at(1 if is_late else -3), "verdict": "logistics_delay" if is_late else "in_time",
        "currency": story["units"][0]["currency"], "value": story["units"][0]["paid"],
    }  # fmt: skip


def _put_away(story: dict[str, Any], chance: random.Random) -> Row:
    grade, warehouse_id, warehouse = chance.choice(_GRADES)
    movement = chance.choice(("held", "planned", "confirmed", "rejected"))
    return _unit_columns(story) | {
        "disposition": grade, "condition": None,
        "arrived_at": _at(2), "graded_at": _at(1), "warehouse_id": warehouse_id, "warehouse": warehouse, "movement": movement,
        "held_until": _at(-1) if movement == "held" else None,
        "why": f"waits until {_at(-1)}" if movement == "held" else None,
        "booked_at": _at(0.5) if movement == "confirmed" else None,
    }  # fmt: skip


def _hold(story: dict[str, Any], chance: random.Random) -> Row:
    code, why, who, until = chance.choice(
        (
            ("waits_until", f"waits until {_at(-2)}", "hr_centra", _at(-2)),
            ("mode_approve", 'waits for approval: modes.credit_note = "approve"', "finance", None),
        )
    )
    unit = story["units"][0]
    return {
        "effect_key": story["sent"][0]["effect_key"], "effect_kind": "credit_note", "return_id": story["return_id"],
        "return_item_id": unit["return_item_id"], "order_number": unit["order_number"], "sku": unit["sku"],
        "currency": unit["currency"], "amount": unit["paid"], "held_since": _at(3), "held_until": until, "code": code, "why": why,
        "must_act": who,
    }  # fmt: skip


def _payout(story: dict[str, Any], chance: random.Random) -> Row:
    verdict = chance.choice(("agrees", "amount_differs", "not_settled"))
    amount = Decimal(story["units"][0]["paid"])
    settled = amount if verdict == "agrees" else Decimal("0.0000")
    return {
        "payout_tie_id": f"entry {story['return_id']}", "verdict": verdict, "is_settled": int(verdict == "agrees"),
        "return_id": story["return_id"], "order_number": story["orders"][0], "provider": "adyen",
        "reference": f"REF{story['return_id']}", "currency": story["units"][0]["currency"], "credited": str(amount),
        "settled": str(settled), "settled_abroad": None, "difference": str(settled - amount), "happened_at": _at(5),
        "source": "settlement_detail_report_batch_204.csv:12",
    }  # fmt: skip


def _months() -> list[Row]:
    empty: Row = {
        "standing": "open", "is_over": 1, "status": "ties", "computed_at": _at(0), "closed_at": None, "closed_by": None,
        "accepted": None, "signatures": "[]", "moved": "[]", "blocks": "[]", "open_items": 0, "has_pack": 1,
    }  # fmt: skip
    signatures = json.dumps([{"role": "preparer", "by": "Mia", "at": _at(50), "comment": None}])
    blocks = json.dumps([{"code": "not_covered", "count": 2, "text": "2 components are not covered"}])
    return [
        {
            **empty,
            "month": "2026-07",
            "standing": "prepared",
            "closed_at": _at(52),
            "closed_by": "Mia",
            "signatures": signatures,
        },
        {**empty, "month": "2026-08", "status": "not_covered", "blocks": blocks, "open_items": 4},
        {**empty, "month": "2026-09", "is_over": 0, "status": "does_not_tie", "open_items": 9},
    ]


def _health() -> list[Row]:
    found = (
        ("sync", "last sync", instant_text(NOW), "ok", None),
        ("sources", "returns", "read through 2026-09-30 11:00", "ok", None),
        (
            "gaps",
            "centra orders",
            "not read since 2026-09-29 10:00",
            "error",
            "Look at the last sync in the Dagster UI.",
        ),
        ("quota", "requests of the last push", "412, none refused", "ok", None),
        ("in_doubt", "effects in doubt", "1", "warning", "`hr-centra plan` lists them."),
    )
    return [
        {"place": place, "area": area, "name": name, "value": value, "level": level, "at": _at(0), "next_step": step}
        for place, (area, name, value, level, step) in enumerate(found, start=1)
    ]
