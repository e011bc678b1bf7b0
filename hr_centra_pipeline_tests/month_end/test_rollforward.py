from __future__ import annotations

import tempfile
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline.core import months
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.month_end import close as closing
from hr_centra_pipeline.warehouse.database import run_sql
from hr_centra_pipeline.warehouse.tables.month_end_tables import MONTHLY
from hr_centra_pipeline_tests.month_end.ledger_fixture import LedgerFixture, open_ledger, utc

Finding = dict[str, Any]
MISMATCH = {
    "class": "fix_happy_returns", "cause": "amount_mismatch", "culprit": "happy_returns", "detail": "differs",
    "next_step": "compare", "evidence": "{}", "order_number": "1001",
}  # fmt: skip


def finding(
    kind: str, at: datetime, amount: str, *, number: int = 1, subject: str = "items", unit: bool = False
) -> Finding:
    return {
        **MISMATCH, "kind": kind, "subject": subject, "return_id": None, "identity": f"identity {number}",
        "return_item_id": f"IT-{number}" if unit else None, "currency": "EUR", "amount": Decimal(amount), "fact_at": at,
    }  # fmt: skip


def rolled(ledger: LedgerFixture, month: str, kind: str) -> dict[str, Any]:
    rows = ledger.rows(f"from month_end.rollforward where month = '{month}' and kind = '{kind}'")
    assert len(rows) == 1, rows
    return {name: value for name, value in rows[0].items() if name.endswith(("_count", "_amount"))}


def moved(row: dict[str, Any]) -> dict[str, tuple[int, Decimal]]:
    """Only what moved, as {opening: (count, amount), …}."""
    names = ("opening", "new", "resolved", "reclassified", "closing")
    pairs = {name: (row[f"{name}_count"], row[f"{name}_amount"]) for name in names}
    return {name: pair for name, pair in pairs.items() if pair != (0, Decimal(0))}


def test_an_exception_is_new_in_the_month_in_which_it_opened_and_resolved_when_it_closed(ledger: LedgerFixture) -> None:
    one = finding("refund_mismatch_items", utc("2026-03-10"), "12.50")
    ledger.findings([one], utc("2026-03-20"))
    ledger.findings([one], utc("2026-04-20"))
    ledger.findings([], utc("2026-05-02"))
    report = ledger.compute("2026-05", "2026-05-10")
    assert report.breaks == []
    twelve = (1, Decimal("12.5000"))
    kind = "refund_mismatch_items"
    assert moved(rolled(ledger, "2026-03", kind)) == {"new": twelve, "closing": twelve}
    assert moved(rolled(ledger, "2026-04", kind)) == {"opening": twelve, "closing": twelve}
    assert moved(rolled(ledger, "2026-05", kind)) == {"opening": twelve, "resolved": twelve}


def test_what_only_the_dry_run_holds_back_is_a_list_of_its_own_until_it_goes_live(ledger: LedgerFixture) -> None:
    late = finding("return_without_credit_note", utc("2026-03-10"), "12.50", number=2)
    waiting = {**finding("return_without_credit_note", utc("2026-03-10"), "7.00"), "is_dry_run": True}
    ledger.findings([waiting, late], utc("2026-03-20"))
    report = ledger.compute("2026-03", "2026-04-10")
    assert (report.open_items, report.dry_run_items, report.breaks, report.is_clean) == (1, 1, [], False)
    apart = "select amount, is_overdue from month_end.open_in_dry_run"
    assert ledger.rows(apart) == [{"amount": Decimal(7), "is_overdue": False}]
    kind = "return_without_credit_note"
    twelve, both = (1, Decimal("12.5000")), (2, Decimal("19.5000"))
    assert moved(rolled(ledger, "2026-03", kind)) == {"new": twelve, "closing": twelve}

    # live: it is open in earnest, and somebody has a window's time from now on
    ledger.findings([{**waiting, "is_dry_run": False}, late], utc("2026-04-20"))
    report = ledger.compute("2026-04", "2026-04-20T12:00")
    assert (report.open_items, report.dry_run_items, report.breaks) == (2, 0, [])
    assert moved(rolled(ledger, "2026-04", kind)) == {
        "opening": twelve, "reclassified": (1, Decimal("7.0000")), "closing": both,
    }  # fmt: skip
    overdue = "select amount, is_overdue from month_end.open_items where month = '2026-04' order by amount"
    assert [row["is_overdue"] for row in ledger.rows(overdue)] == [False, True]
    assert ledger.rows("select amount, overdue from reconciliation.exceptions order by amount") == [
        {"amount": Decimal(7), "overdue": False}, {"amount": Decimal("12.5"), "overdue": True},
    ]  # fmt: skip
    # the past is as it was
    ledger.compute("2026-03", "2026-04-20T12:00")
    assert ledger.rows(apart) == [{"amount": Decimal(7), "is_overdue": False}]


def test_a_month_in_dry_run_is_closed_with_a_reason_only_and_its_list_is_frozen(ledger: LedgerFixture) -> None:
    waiting = {**finding("return_without_credit_note", utc("2026-03-10"), "7.00"), "is_dry_run": True}
    ledger.findings([waiting], utc("2026-03-20"))
    now = utc("2026-04-02")
    with pytest.raises(RunFailed, match=r"2026-03 is not clean \(.*1 open only because nothing was sent\)"):
        closing.close(ledger.connection, "2026-03", now, by="Pia", policy_sha256="")
    closing.close(ledger.connection, "2026-03", now, by="Pia", policy_sha256="", accept="we go live in April")
    (row,) = run_sql(ledger.connection, "hr_centra_pipeline.publishing", "page_months.sql").fetchall()
    assert row[:2] == ("2026-03", "")
    ledger.findings([{**waiting, "is_dry_run": False}], utc("2026-04-20"))
    assert ledger.compute("2026-03", "2026-04-21").dry_run_items == 1, "as it was closed"
    closing.sign(ledger.connection, "2026-03", now, role="preparer", by="Pia")  # the hash holds


def test_what_the_dry_run_held_back_and_is_not_found_any_more_is_open_like_any_other(ledger: LedgerFixture) -> None:
    waiting = {**finding("return_without_credit_note", utc("2026-03-10"), "7.00"), "is_dry_run": True}
    ledger.findings([waiting], utc("2026-03-20"))
    assert ledger.rows("select kind, severity, overdue from reconciliation.dry_run_items") == [
        {"kind": "return_without_credit_note", "severity": "info", "overdue": False}
    ]
    assert ledger.rows("from reconciliation.exceptions") == []
    ledger.findings([], utc("2026-03-25"))
    assert ledger.rows("from reconciliation.dry_run_items") == []
    assert ledger.rows("select amount from reconciliation.exceptions") == [{"amount": Decimal(7)}]
    assert ledger.compute("2026-03", "2026-03-25").breaks == []


def test_what_became_another_kind_moves_between_the_two_and_is_neither_new_nor_resolved(ledger: LedgerFixture) -> None:
    stalled = finding("stalled_return", utc("2026-03-01"), "80", subject="stock", unit=True)
    ledger.findings([stalled], utc("2026-03-25"))
    arrived = finding("disposition_missing", utc("2026-03-20"), "80", subject="stock", unit=True)
    ledger.findings([arrived], utc("2026-04-20"))
    assert ledger.compute("2026-04", "2026-04-25").breaks == []
    eighty = (1, Decimal("80.0000"))
    assert moved(rolled(ledger, "2026-04", "stalled_return")) == {
        "opening": eighty, "reclassified": (-1, Decimal("-80.0000")),
    }  # fmt: skip
    assert moved(rolled(ledger, "2026-04", "disposition_missing")) == {"reclassified": eighty, "closing": eighty}


def test_an_amount_that_changes_while_it_is_open_is_a_revaluation_and_the_rollforward_still_ties(
    ledger: LedgerFixture,
) -> None:
    ledger.findings([finding("refund_mismatch_items", utc("2026-03-10"), "12.50")], utc("2026-03-20"))
    ledger.findings([finding("refund_mismatch_items", utc("2026-03-10"), "9.00")], utc("2026-04-03"))
    assert ledger.compute("2026-04", "2026-04-10").breaks == []
    row = rolled(ledger, "2026-04", "refund_mismatch_items")
    assert moved(row) == {
        "opening": (1, Decimal("12.5000")), "reclassified": (0, Decimal("-3.5000")), "closing": (1, Decimal("9.0000")),
    }  # fmt: skip
    assert row["revalued_amount"] == Decimal("-3.5000")


def test_an_exception_of_a_closed_month_that_turns_up_late_is_new_in_the_next_and_a_late_item(
    ledger: LedgerFixture,
) -> None:
    ledger.pulled("2026-06-01")
    ledger.compute("2026-03", "2026-04-02")
    closing.close(ledger.connection, "2026-03", utc("2026-04-02"), by="Pia", policy_sha256="p", accept="a test")
    ledger.findings([finding("refund_mismatch_items", utc("2026-03-10"), "12.50")], utc("2026-04-05"))
    assert ledger.compute("2026-04", "2026-04-10").breaks == []
    assert moved(rolled(ledger, "2026-04", "refund_mismatch_items"))["new"] == (1, Decimal("12.5000"))
    (late,) = ledger.rows("from month_end.late_items")
    assert (late["month"], late["of_month"], late["source"], late["effect"]) == (
        "2026-04", "2026-03", "exceptions", Decimal("12.5000"),
    )  # fmt: skip
    assert ledger.rows("from month_end.rollforward where month = '2026-03'") == []


def test_what_a_person_wrote_off_is_resolved_and_stays_closed_until_more_is_at_stake(ledger: LedgerFixture) -> None:
    one = finding("credited_item_refused", utc("2026-03-10"), "50", subject="credit")
    ledger.findings([one], utc("2026-03-20"))
    (event,) = ledger.rows("from reconciliation.exception_events")
    ledger.connection.execute(
        """
        insert into reconciliation.exception_events by name
        select ? as exception_id, 'closed' as event, ?::timestamptz as "at", 'Mia' as "by", 'written off' as proof,
            'credited_item_refused' as kind, 1000 as run_number, ?::timestamptz as recorded_at, 'write_off' as decision
        """,
        [event["exception_id"], utc("2026-04-01"), utc("2026-04-01")],
    )
    ledger.connection.execute("select nextval('reconciliation.run_numbers') from range(1001)")
    ledger.findings([one], utc("2026-04-02"))
    assert ledger.compute("2026-04", "2026-04-03").breaks == []
    row = rolled(ledger, "2026-04", "credited_item_refused")
    assert moved(row) == {"opening": (1, Decimal("50.0000")), "resolved": (1, Decimal("50.0000"))}
    assert (row["written_off_count"], row["written_off_amount"]) == (1, Decimal("50.0000"))
    ledger.findings([{**one, "amount": Decimal("70")}], utc("2026-04-04"))
    assert ledger.compute("2026-04", "2026-04-05").breaks == []
    assert moved(rolled(ledger, "2026-04", "credited_item_refused"))["closing"] == (1, Decimal("70.0000"))


def test_a_rollforward_that_does_not_tie_says_where(ledger: LedgerFixture) -> None:
    ledger.findings([finding("refund_mismatch_items", utc("2026-03-10"), "12.50")], utc("2026-03-20"))
    ledger.connection.execute("update reconciliation.exceptions set amount = 12.51")
    (said,) = ledger.compute("2026-03", "2026-03-21").breaks
    assert "refund_mismatch_items EUR" in said
    assert "12.51" in said


# ---------------------------------------------------------------- a random year


class Year:
    """A year in which facts and findings come, change and go, also of closed months, and months close and reopen."""

    def __init__(self, ledger: LedgerFixture, seed: int, until: str) -> None:
        self.records = ledger
        self.until = utc(until)
        self.random = Random(seed)
        self.now = utc("2026-01-05")
        self.findings: dict[int, Finding] = {}
        self.number = 0
        self.frozen: dict[str, list[dict[str, Any]]] = {}
        self.closes = 0
        self.late = 0

    def live(self) -> None:
        while self.now < self.until:
            self.now += timedelta(hours=self.random.uniform(48, 24 * 14))
            self.change_facts()
            self.change_findings()
            self.records.findings(self.findings.values(), self.now)
            self.records.learn(self.now.isoformat()[:26])
            if self.random.random() < 0.45:
                self.close_or_reopen()
            # One transaction a week, as in life; a year in one would hold a year's versions in memory.
            self.records.connection.execute("commit")
            self.records.connection.execute("begin")
        self.check(is_last=True)

    def some_time(self) -> datetime:
        """Mostly recent; now and then of a month that may be closed."""
        back = self.random.choice((2, 5, 9, 40, 75))
        return max(self.now - timedelta(days=self.random.uniform(0, back)), utc("2026-01-01"))

    def change_facts(self) -> None:
        table = "reconciliation.refund_facts"
        for _ in range(self.random.randrange(6)):
            self.number += 1
            at = self.some_time().isoformat()[:26]
            amount = str(Decimal(self.random.randrange(1, 20_000)) / 100)
            for side in self.random.sample(["expected", "happy_returns", "centra"], self.random.choice((3, 3, 3, 2))):
                off = self.random.choice(("0", "0", "0", "0.05", "7.30"))
                told = str(Decimal(amount) + Decimal(off))
                self.records.fact(
                    side, told, at, return_id=f"RT-{self.number}", currency=self.random.choice(("EUR", "SEK"))
                )
        if self.random.random() < 0.5:
            self.records.connection.execute(
                f"update {table} set amount = amount + 1.11 where hash(fact_id, $n) % 9 = 0", {"n": self.number}
            )
        if self.random.random() < 0.3:
            self.records.connection.execute(f"delete from {table} where hash(fact_id, $n) % 11 = 0", {"n": self.number})

    def change_findings(self) -> None:
        for _ in range(self.random.randrange(4)):
            self.number += 1
            kind, subject, unit = self.random.choice(
                (
                    ("refund_mismatch_items", "items", False),
                    ("refund_mismatch_tax", "tax", False),
                    ("stalled_return", "stock", True),
                )
            )
            amount = str(Decimal(self.random.randrange(1, 9_000)) / 100)
            at = self.some_time() - timedelta(days=20 if unit else 2)
            self.findings[self.number] = finding(kind, at, amount, number=self.number, subject=subject, unit=unit)
        for number, one in list(self.findings.items()):
            chance = self.random.random()
            if chance < 0.12:
                one["amount"] = Decimal(self.random.randrange(1, 9_000)) / 100
            elif chance < 0.2 and one["kind"] == "stalled_return":
                self.findings[number] = {**one, "kind": "disposition_missing", "fact_at": self.now - timedelta(days=30)}
            elif chance < 0.4 and one["kind"].startswith("refund_mismatch"):
                del self.findings[number]

    def close_or_reopen(self) -> None:
        connection = self.records.connection
        last = closing.closed_through(connection, self.now)
        if last is not None and self.random.random() < 0.25:
            closing.reopen(connection, last, self.now, by="Ada", why="a correction")
            del self.frozen[last]
            self.check()
            return
        month = months.following(last) if last else "2026-01"
        if months.end(month) <= self.now:
            closing.close(connection, month, self.now, by="Pia", policy_sha256="p", accept="as it stands")
            self.closes += 1
            self.check()
            self.frozen[month] = self.of(month)

    def of(self, month: str) -> list[dict[str, Any]]:
        """All covered rows of a month."""
        self.records.compute(month, self.now)
        return [
            {"table": name, **row}
            for name, declared in MONTHLY.items() if name != "late_items"
            for row in self.records.rows(f"from {declared.name} where month = '{month}' order by all")
        ]  # fmt: skip

    def check(self, *, is_last: bool = False) -> None:
        month = months.of(self.now)
        report = self.records.compute(month, self.now)
        assert report.breaks == []
        lines = self.records.rows("from month_end.rollforward")
        closings: dict[tuple[Any, ...], tuple[int, Decimal]] = {}
        reclassified: dict[str, int] = defaultdict(int)
        for row in lines:
            for unit in ("count", "amount"):
                assert (
                    row[f"opening_{unit}"] + row[f"new_{unit}"] - row[f"resolved_{unit}"] + row[f"reclassified_{unit}"]
                    == row[f"closing_{unit}"]
                ), row
            closings[row["month"], row["kind"], row["currency"], row["owner_team"]] = (
                row["closing_count"], row["closing_amount"],
            )  # fmt: skip
            reclassified[row["month"]] += row["reclassified_count"]
        assert set(reclassified.values()) <= {0}
        nothing = (0, Decimal(0))
        first = min((row["month"] for row in lines), default=month)
        for row in lines:
            key = (row["kind"], row["currency"], row["owner_team"])
            opening = (row["opening_count"], row["opening_amount"])
            assert opening == closings.get(
                (months.before(row["month"]), *key), nothing if row["month"] != first else opening
            )
        for (when, kind, currency, owner), amounts in closings.items():
            if when != month and amounts != nothing:
                assert (months.following(when), kind, currency, owner) in closings, (
                    "what was open is not rolled forward"
                )
        # What is closed is what it was, row by row; and the months together are all facts, whatever was late.
        for closed in self.frozen if is_last else self.random.sample(sorted(self.frozen), min(1, len(self.frozen))):
            assert self.of(closed) == self.frozen[closed]
        sides = ("expected", "happy_returns", "centra")
        summed = ", ".join(f"coalesce(sum({side}_amount), 0) as {side}" for side in sides)
        facts = ", ".join(f"coalesce(sum(amount) filter (side = '{side}'), 0) as {side}" for side in sides)
        (by_months,) = self.records.rows(f"select {summed} from month_end.month_end")
        (by_facts,) = self.records.rows(f"select {facts} from reconciliation.refund_facts")
        assert by_months == by_facts
        for row in self.records.rows("from month_end.month_end"):
            assert (
                row["difference"]
                == row["explained_amount"] + row["within_tolerance_amount"] + row["unexplained_amount"]
            )
        liability = self.records.rows("from month_end.refund_liability order by currency, month")
        for row in liability:
            assert row["closing_amount"] == (
                row["opening_amount"] + row["became_refundable_amount"] - row["paid_amount"] + row["failed_amount"]
            )
            assert row["closing_amount"] == row["closing_not_credited_amount"] + row["closing_credited_amount"]
        for before, after in pairwise(liability):
            if before["currency"] == after["currency"]:
                assert after["opening_amount"] == before["closing_amount"]
        self.late = len(self.records.rows("from month_end.late_items"))


def a_year(seed: int, until: str = "2027-01-20") -> Year:
    with tempfile.TemporaryDirectory() as folder, open_ledger(Path(folder)) as ledger:
        year = Year(ledger, seed, until)
        year.live()
        return year


@pytest.mark.slow
def test_a_random_spring_ties_and_closed_months_stay() -> None:
    year = a_year(7, "2026-05-20")
    assert year.closes >= 2
    assert year.late > 0


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**9))
def test_any_random_year_ties_and_closed_months_stay(seed: int) -> None:
    a_year(seed)


def test_only_the_last_closed_month_can_be_opened_again(ledger: LedgerFixture) -> None:
    for month, at in (("2026-01", "2026-02-02"), ("2026-02", "2026-03-02")):
        closing.close(ledger.connection, month, utc(at), by="Pia", policy_sha256="p", accept="a test")
    with pytest.raises(RunFailed, match="reopen 2026-02 first"):
        closing.reopen(ledger.connection, "2026-01", datetime(2026, 3, 3, tzinfo=UTC), by="Ada", why="why not")
