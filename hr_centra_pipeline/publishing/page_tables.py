"""``published/pages.sqlite``: what the pages for the teams read, written after each sync in one transaction.

Times are text in UTC, ``2026-09-12T07:00:00Z``, so that they sort; amounts are exact decimals as text, with their currency beside
them; flags are 0 or 1; lists and objects are JSON. Nothing in here is kept anywhere else in this form, and nothing is lost with the
file: the next sync writes it again. An e-mail address is in it as its keyed token alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

PAGES_DATABASE = "pages.sqlite"
VERSION = 1
"""Of these declarations, kept as ``pragma user_version``: a file of another version is written from scratch."""

EXCEPTION_STATES = ("open", "dry_run", "closed")
"""Open; open only because nothing is sent in a dry run; closed within the last ``CLOSED_DAYS``."""
CLOSED_DAYS = 90
"""How long a closed exception can be looked up, so that the link in an old alert still works."""
DONE_DAYS = 30
"""How long a unit stays in ``put_aways`` once its goods are booked, and a payout that agrees stays in ``payouts``."""
ACTORS = (
    "customer_service",
    "warehouse",
    "finance",
    "data",
    "shopper",
    "carrier",
    "happy_returns",
    "hr_centra",
    "nobody",
)
"""Who must act: a team, somebody outside, hr-centra by itself at its next run, or nobody."""
NAME_KINDS = ("return", "order", "express_code", "rma", "sku", "unit", "tracking", "bag", "box", "email_token")
"""What a name in ``names`` is of. ``rma``: the merchant's own RMA id, a Return of Centra (id or number), or one of our packets."""
LEVELS = ("ok", "warning", "error")


@dataclass(frozen=True)
class PageColumn:
    """One column: its SQLite type, what it means, and whether it may be null."""

    sql: str
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class PageTable:
    """One table of the file: its grain in a sentence, its columns in order, its key, and the indices that its pages read by."""

    name: str
    grain: str
    columns: Mapping[str, PageColumn]
    key: tuple[str, ...]
    indices: Sequence[str] = ()
    is_narrow: bool = False
    """Its rows are short: they are kept in the key's own tree."""

    @property
    def ddl(self) -> str:
        """The statement that makes it: STRICT, each column with its meaning as a comment."""
        lines = [
            f"    {name} {column.sql}{'' if column.nullable else ' not null'}, -- {column.meaning}"
            for name, column in self.columns.items()
        ]
        body = "\n".join(lines)
        kept = "strict, without rowid" if self.is_narrow else "strict"
        return f"create table {self.name} ( -- {self.grain}\n{body}\n    primary key ({', '.join(self.key)})\n) {kept}"

    @property
    def insert(self) -> str:
        """The statement that writes a row, a mapping of column names to values; a row of the same key is replaced."""
        names = ", ".join(self.columns)
        values = ", ".join(f":{name}" for name in self.columns)
        return f"insert or replace into {self.name} ({names}) values ({values})"  # noqa: S608 - our own names


def sort_amount(amount: Decimal | None) -> int | None:
    """An amount to sort by within one currency, in ten-thousandths; never shown."""
    return None if amount is None else int(amount * 10_000)


def text(meaning: str, *, null: bool = False) -> PageColumn:
    """Text: also an exact decimal, a time or JSON, as its meaning says."""
    return PageColumn("text", meaning, null)


def whole(meaning: str, *, null: bool = False) -> PageColumn:
    """A whole number, or a flag as 0 or 1."""
    return PageColumn("integer", meaning, null)


_ROW_HASH = text("of what is in this row: one that is the same is not written again")

PUBLICATION = PageTable(
    "publication",
    "one row: when and by what the file was written last",
    {
        "only": whole("always 1"),
        "number": whole("grows by one with each time the file is written"),
        "as_of": text("decision time of the run that wrote it"),
        "written_at": text("when it was written, by the real clock"),
        "code_version": text("program that wrote it"),
        "mode": text("dry_run or live"),
        "made_with": text("hash of the program and the policy: with another one everything is written again"),
        "batch": whole("up to which batch the last reconciliation had looked at what was landed"),
        "currencies": text("JSON: the currencies that returns are in, the most frequent first"),
        "cutover": text("returns started before this time are observed, never acted on", null=True),
        "email_key": text("key of the tokens of e-mail addresses, so that an address can be looked up", null=True),
        "rewritten": whole("returns that were written this time"),
    },
    ("only",),
)

EXCEPTIONS = PageTable(
    "exceptions",
    "one row per exception that is open, or was closed within the last CLOSED_DAYS",
    {
        "exception_id": text("stable id: kind and subject"),
        "state": text("open, dry_run (open only because nothing is sent) or closed"),
        "kind": text("kind of trouble; docs/exceptions.md has an entry for each"),
        "family": text("list of reconciliation that has it, too", null=True),
        "class": text("where it is fixed", null=True),
        "cause": text("why it happened, as a code", null=True),
        "culprit": text("the side that disagrees with the others", null=True),
        "owner_team": text("whose work it is"),
        "severity": text("info, warning or error"),
        "return_id": text("its return", null=True),
        "return_item_id": text("its unit", null=True),
        "order_number": text("order number without '#'", null=True),
        "sku": text("SKU", null=True),
        "currency": text("ISO 4217", null=True),
        "amount": text("money at stake, exact decimal, always positive", null=True),
        "amount_sort": whole("the same in ten-thousandths, to sort by within one currency; never shown", null=True),
        "opened_at": text("when it opened; kept when it reopens"),
        "due_at": text("when it must be done", null=True),
        "overdue": whole("1: due time was over when this was written; never of a dry run"),
        "detail": text("what is wrong, in a sentence"),
        "next_step": text("what to do, in plain English"),
        "waiting_for": text("what its unit waits for, in words", null=True),
        "evidence": text("JSON: file and line, Centra id, attempt, mode, where the goods are"),
        "history": text("JSON: its events, oldest first: event, at, by, detail, proof, note, decision"),
        "last_note": text("last note of a person", null=True),
        "last_decision": text("last decision of a person: chase, carry_forward, claim, write_off", null=True),
        "noted_by": text("who wrote it", null=True),
        "noted_at": text("when", null=True),
        "closed_at": text("when it closed", null=True),
        "proof": text("what closed it, in words", null=True),
        "row_hash": _ROW_HASH,
    },
    ("exception_id",),
    (
        "state, overdue desc, due_at, exception_id",
        "state, owner_team, overdue desc, due_at, exception_id",
        "state, kind, overdue desc, due_at, exception_id",
        "state, owner_team, kind, overdue desc, due_at, exception_id",
        "state, amount_sort desc, exception_id",
        "state, owner_team, amount_sort desc, exception_id",
        "return_id",
        "order_number",
    ),
)

EXCEPTION_COUNTS = PageTable(
    "exception_counts",
    "one row per state, team, kind and currency: how many, how much, so that no page counts the rows",
    {
        "state": text("open, dry_run or closed"),
        "owner_team": text("whose work it is"),
        "kind": text("kind of trouble"),
        "currency": text("ISO 4217; '' where no amount is known"),
        "exceptions": whole("how many"),
        "overdue": whole("of these, overdue"),
        "amount": text("their money at stake, exact decimal"),
        "overdue_amount": text("of this, that of overdue ones"),
        "oldest": text("when the oldest one opened"),
    },
    ("state", "owner_team", "kind", "currency"),
    is_narrow=True,
)

RETURNS = PageTable(
    "returns",
    "one row per return",
    {
        "return_id": text("Happy Returns return id"),
        "express_code": text("express code", null=True),
        "orders": text("JSON: its order numbers"),
        "state": text("state at Happy Returns: started, dropped-off, approved, …"),
        "started_at": text("when the shopper started it", null=True),
        "changed_at": text("the last thing that happened, or was decided"),
        "units": whole("how many units"),
        "waits_for": text("code of what it waits for: reconciliation/story.py lists them (null: nothing)", null=True),
        "waits_until": text("when it goes on by itself, where that is known", null=True),
        "must_act": text("who must act: ACTORS"),
        "currency": text("ISO 4217, of the first order with an amount", null=True),
        "paid": text("paid back so far in that currency, exact decimal", null=True),
        "open_exceptions": whole("how many are open"),
        "row_hash": _ROW_HASH,
        "story": text("JSON: reconciliation/story.py, class Story"),
    },
    ("return_id",),
    ("changed_at desc, return_id",),
)

NAMES = PageTable(
    "names",
    "one row per name and return that it finds",
    {
        "name": text("casefolded, without '#' in front; of an e-mail address its token"),
        "kind": text("what it is the name of: NAME_KINDS"),
        "return_id": text("the return"),
    },
    ("name", "kind", "return_id"),
    ("return_id",),
    is_narrow=True,
)

ARRIVALS = PageTable(
    "arrivals",
    "one row per unit that is on its way to the merchant",
    {
        "return_item_id": text("the unit"),
        "return_id": text("its return"),
        "order_number": text("order number"),
        "sku": text("SKU", null=True),
        "product_name": text("product name", null=True),
        "reason": text("return reason as reported", null=True),
        "stage": text("what was seen of the goods last: its event", null=True),
        "stage_at": text("when", null=True),
        "shipment_id": text("outbound box from a hub", null=True),
        "carrier": text("carrier", null=True),
        "tracking": text("tracking number", null=True),
        "bag": text("bag that it travels in", null=True),
        "destination": text("merchant's warehouse as Happy Returns names it", null=True),
        "sent_at": text("when the box left the hub", null=True),
        "expected_by": text("later than this it is late", null=True),
        "verdict": text("in_time, logistics_delay, … (reconciliation.delays)", null=True),
        "currency": text("ISO 4217", null=True),
        "value": text("what it cost the customer, exact decimal", null=True),
        "row_hash": _ROW_HASH,
    },
    ("return_item_id",),
    (
        "destination, shipment_id, tracking, bag, carrier, expected_by, sent_at, verdict",
        "shipment_id",
        "tracking",
        "bag",
        "return_id",
    ),
)

PUT_AWAYS = PageTable(
    "put_aways",
    "one row per unit that arrived and has a grade, until DONE_DAYS after its goods are booked",
    {
        "return_item_id": text("the unit"),
        "return_id": text("its return"),
        "order_number": text("order number"),
        "sku": text("SKU", null=True),
        "product_name": text("product name", null=True),
        "disposition": text("its grade"),
        "condition": text("condition given at approval", null=True),
        "reason": text("return reason as reported", null=True),
        "arrived_at": text("received at the warehouse, else graded", null=True),
        "graded_at": text("when it was graded", null=True),
        "warehouse_id": whole("warehouse of the policy for its grade (null: no movement)", null=True),
        "warehouse": text("its name in Centra", null=True),
        "movement": text(
            "none, unmapped (by the policy), held (until held_until), blocked (why says it), planned; sending, unknown, confirmed"
            " and rejected as in the ledger; external: others booked it"
        ),
        "held_until": text("end of its hold, where that is known", null=True),
        "why": text("why the goods are not booked, in words", null=True),
        "booked_at": text("when the goods were booked", null=True),
        "row_hash": _ROW_HASH,
    },
    ("return_item_id",),
    (
        "graded_at, return_item_id",
        "warehouse, graded_at, return_item_id",
        "warehouse, movement, booked_at",
        "return_id",
    ),
)

HOLDS = PageTable(
    "holds",
    "one row per effect that is due and held back, or whose wait is not over",
    {
        "effect_key": text("key of the effect"),
        "effect_kind": text("kind of effect"),
        "return_id": text("its return"),
        "return_item_id": text("its unit (null: the whole return)", null=True),
        "order_number": text("order number"),
        "sku": text("SKU", null=True),
        "currency": text("ISO 4217", null=True),
        "amount": text("money or value of the goods, exact decimal", null=True),
        "held_since": text("when its trigger was reached"),
        "held_until": text("when waits and holds are over (null: until somebody acts)", null=True),
        "code": text("reason as a code (core/codes.py)", null=True),
        "why": text("reason in words"),
        "must_act": text("who must act: ACTORS"),
        "row_hash": _ROW_HASH,
    },
    ("effect_key",),
    ("effect_kind, held_until", "must_act, effect_kind", "return_id"),
)

MONTHS = PageTable(
    "months",
    "one row per month that there is something to report of",
    {
        "month": text("YYYY-MM, UTC"),
        "standing": text("open, closed, prepared, certified or decertified"),
        "is_over": whole("1: the month has ended"),
        "status": text(
            "the worst status of its rows: ties, late, not_covered, does_not_tie; '' while nothing was computed"
        ),
        "computed_at": text("up to when its tables go", null=True),
        "closed_at": text("when it was closed", null=True),
        "closed_by": text("by whom", null=True),
        "accepted": text("why it was closed although it was not clean", null=True),
        "signatures": text("JSON: role, by, at, comment"),
        "moved": text("JSON: late facts beyond the tolerance: source, component, currency, amount, facts"),
        "blocks": text("JSON: what blocks a clean close: code, count, text"),
        "open_items": whole("exceptions open at its cut-off"),
        "has_pack": whole("1: its pack is in exports/"),
    },
    ("month",),
)

PAYOUTS = PageTable(
    "payouts",
    "one row per refund or line of a provider that does not agree, and per one that agrees of the last DONE_DAYS",
    {
        "payout_tie_id": text("payment entry of Centra, else the provider's line"),
        "verdict": text("what came of it (reconciliation.payouts)"),
        "is_settled": whole("1: both sides agree, or nothing is to be done"),
        "return_id": text("its return", null=True),
        "order_number": text("order number", null=True),
        "provider": text("payment provider", null=True),
        "reference": text("the provider's reference", null=True),
        "currency": text("ISO 4217", null=True),
        "credited": text("as Centra shows it paid, exact decimal"),
        "settled": text("as the provider booked it, exact decimal"),
        "settled_abroad": text("what it booked in other currencies, with them", null=True),
        "difference": text("settled minus credited, exact decimal"),
        "happened_at": text("settled, else credited", null=True),
        "source": text("file and line of the provider", null=True),
        "row_hash": _ROW_HASH,
    },
    ("payout_tie_id",),
    ("is_settled, happened_at desc", "verdict, happened_at desc", "return_id", "order_number"),
)

HEALTH = PageTable(
    "health",
    "one row per thing that is looked at",
    {
        "place": whole("order in which they are shown"),
        "area": text("sync, sources, gaps, quota, in_doubt, contract, drift, inbox, quarantine"),
        "name": text("what is looked at"),
        "value": text("what was found"),
        "level": text("ok, warning or error"),
        "at": text("when it was found, or happened", null=True),
        "next_step": text("what to do, where there is something", null=True),
    },
    ("place",),
)

PAGE_TABLES: tuple[PageTable, ...] = (
    PUBLICATION, EXCEPTIONS, EXCEPTION_COUNTS, RETURNS, NAMES, ARRIVALS, PUT_AWAYS, HOLDS, MONTHS, PAYOUTS, HEALTH,
)  # fmt: skip


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file, which readers may read while it is written (WAL); fill them, then make the indices."""
    connection.execute("pragma journal_mode = wal")
    for declared in PAGE_TABLES:
        connection.execute(declared.ddl)
    connection.execute(f"pragma user_version = {VERSION}")


def create_indices(connection: sqlite3.Connection) -> None:
    """Make the indices that the pages read by, and count what they find."""
    for declared in PAGE_TABLES:
        for number, columns in enumerate(declared.indices, start=1):
            connection.execute(f"create index {declared.name}_{number} on {declared.name} ({columns})")
    connection.execute("analyze")
