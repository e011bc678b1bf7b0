"""The shop of ``hr-centra train``: seeded, planted, synced, and the lessons that its open exceptions make."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import simplejson

from hr_centra_pipeline.cli import sandbox
from hr_centra_pipeline.cli.demo import point_here, write_env
from hr_centra_pipeline.cli.progress_bar import progress
from hr_centra_pipeline.cli.sync import run_sync
from hr_centra_pipeline.cli.training_lessons import LESSONS
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.publishing.publish import DATABASE
from hr_centra_pipeline.warehouse.database import Warehouse

Row = dict[str, Any]
_FIRST_HOURS, _THEN_HOURS = 12, 84
"""The first sync is between two planted grades; what is planted after it is due when the other hours have passed."""


def make(home: Path, *, seed: int, returns: int, author: str) -> Row:
    """Seed the shop, plant, sync until all trouble is open; answers the state to keep: the lessons, and what is open.

    Raises:
        RunFailed: the sandbox did not start, or a step of a sync failed.
    """
    with progress("Opening the shop …") as line, sandbox.served(home / "sandbox", seed=seed, returns=returns) as note:
        sandbox.let_pass(note, _FIRST_HOURS)
        settings = point_here(home, note)
        write_env(home, note)
        _name_author(settings.policy_path, author)
        line.update("First sync …")
        run_sync()
        line.update("Second sync: what follows from what was just sent …")
        run_sync()
        line.update("People make mistakes, and days pass …")
        _plant(settings, note)
        sandbox.let_pass(note, _THEN_HOURS)
        line.update("Third sync …")
        run_sync()
        found = open_exceptions(settings)
    return {"seed": seed, "lessons": lessons_of(found), "open": [one["exception_id"] for one in found]}


def lessons_of(found: list[Row]) -> list[Row]:
    """The lessons that can be held: for each the first open exception that it is about, with its own name."""
    kept: list[Row] = []
    taken: set[str] = set()
    for lesson in LESSONS:
        for one in found:
            if one["kind"] == lesson.kind and lesson.about in one["detail"] and one["exception_id"] not in taken:
                taken.add(one["exception_id"])
                kept.append({"lesson": lesson.name, **one})
                break
    return kept


def open_exceptions(settings: Settings) -> list[Row]:
    """What is open as of the last sync, the most urgent first; ``evidence`` as an object."""
    rows = published_rows(
        settings,
        "select exception_id, kind, owner_team, return_id, return_item_id, order_number, sku, detail, evidence"
        " from reconciliation.exceptions order by overdue desc, due_at, exception_id",
    )
    return [{**row, "evidence": simplejson.loads(row["evidence"] or "{}")} for row in rows]


def published_rows(settings: Settings, query: str) -> list[Row]:
    """Rows of what was published."""
    with duckdb.connect(settings.published / DATABASE, read_only=True) as published:
        published.execute("set timezone = 'UTC'")
        cursor = published.execute(query)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _name_author(policy: Path, author: str) -> None:
    """Four eyes need to know whose policy it is."""
    text = policy.read_text(encoding="utf-8")
    policy.write_text(re.sub(r"(?m)^# changed_by = .*$", f'changed_by = "{author}"', text, count=1), encoding="utf-8")


def _plant(settings: Settings, note: Row) -> None:
    """What can only go wrong after hr-centra has acted."""
    with Warehouse(settings.database).transaction() as connection:
        credited = connection.execute(
            """
            select return_item_id from push.ledger join staging.return_items using (return_item_id)
            where effect_kind = 'credit_note' and state = 'confirmed' and not is_foreign and return_item_id not in
                (select return_item_id from reconciliation.exceptions where return_item_id is not null)
            order by return_item_id limit 1
            """
        ).fetchone()
        replaced = connection.execute(
            """
            select order_number from push.ledger
            where effect_kind = 'exchange_order' and state = 'confirmed' and return_id not in
                (select return_id from reconciliation.exceptions where return_id is not null)
            order by 1 limit 1
            """
        ).fetchone()
        in_play = connection.execute(
            "select order_number from staging.returns union select order_number from staging.return_items"
        ).fetchall()
    records = sandbox.control(note, "records", method="GET")
    if replaced is not None:
        returns = {one["id"] for one in records["returns"] if str(one["order_number"]) == str(replaced[0])}
        for order in records["orders"]:
            if order["origin"][0] == "return" and order["origin"][1] in returns:
                sandbox.control(note, "person", act="cancel_order", given={"order_number": order["number"]})
    if credited is not None:
        sandbox.control(note, "correct", row=credited[0], changes={"sku": "901-UNSOLD SCARF-M", "upc": ""})
    untouched = _order_without_return(records, {row[0] for row in in_play})
    if untouched is not None:
        sandbox.control(note, "person", act="refund_order", given={"order_number": untouched, "amount": "5.00"})


def _order_without_return(records: Row, in_play: set[str]) -> int | None:
    """An order that was paid and shipped, and that nothing else is about."""
    taken = in_play | {str(one["order_number"]) for one in records["returns"]}
    taken |= {str(row[0]) for row in records["payments"] if str(row[2]).startswith("REFUND")}
    captured = [str(row[0]) for row in records["payments"] if row[2] == "CAPTURE"]
    return next((int(number) for number in captured if number not in taken), None)
