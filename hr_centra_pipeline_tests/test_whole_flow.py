from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.core.keys import effect_keys_in
from hr_centra_pipeline_tests.shops import ShopScenario, shop_scenario

# Seed, and is it a varied shop? Each time the varied shop of test_first_contact.py is held against what was planted.
SHOPS = [pytest.param(seed, seed % 2 == 0, marks=pytest.mark.slow) for seed in range(1, 6)]

Case = tuple[Any, ...]


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShopScenario]:
    with shop_scenario(tmp_path, monkeypatch, varied=True) as opened:
        yield opened


def planted(scenario: ShopScenario) -> Counter[Case]:
    """What the truth file says is open now."""
    now = scenario.sandbox.clock.now()
    cases: Counter[Case] = Counter()
    for row in scenario.shop.truth():
        closes = row.get("closes_at")
        if datetime.fromisoformat(row["opens_at"]) > now or (closes and datetime.fromisoformat(closes) <= now):
            continue
        amount = Decimal(row["amount"]).quantize(Decimal("0.0001")) if row.get("amount") else None
        where = (
            row.get("source_file")
            if row["kind"] in ("quarantined_row", "source_not_covered")
            else (row.get("return_id"), row.get("return_item_id"), row.get("order_number"))
        )
        cases[row["kind"], where, row.get("currency"), amount, row["culprit"]] += 1
    return cases


def found(scenario: ShopScenario) -> Counter[Case]:
    """What the reconciliation says is open now."""
    rows = scenario.rows(
        """
        select kind, return_id, return_item_id, order_number, currency, amount, culprit,
            evidence::json ->> 'source_file'
        from reconciliation.exceptions
        """
    )
    return Counter(
        (
            kind,
            source_file if kind in ("quarantined_row", "source_not_covered") else (return_id, item, order),
            currency,
            amount,
            culprit,
        )
        for kind, return_id, item, order, currency, amount, culprit, source_file in rows
    )


def effects_in_centra(scenario: ShopScenario) -> Counter[tuple[str, str]]:
    """How often each effect key is in Returns, in stock changes and in orders' comments (an exchange's in two of them)."""
    ledger = scenario.sandbox.store.records()
    texts = [("return", row["comment"]) for row in ledger["returns"]]
    texts += [("stock change", row["comment"]) for row in ledger["stock_changes"]]
    texts += [("order", row["internal_comment"]) for row in ledger["orders"]]
    return Counter((place, key) for place, text in texts for key in effect_keys_in(text))


def settle(scenario: ShopScenario) -> None:
    """Run the stages until they write nothing; the last time they have seen all of what was written."""
    for _ in range(6):
        before = len(scenario.writes())
        scenario.sync_stages()
        if len(scenario.writes()) == before:
            return
    raise AssertionError("five syncs in a row, and each still writes")


@pytest.mark.parametrize(("seed", "varied"), SHOPS)
def test_the_exceptions_are_exactly_the_planted_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, varied: bool
) -> None:
    with shop_scenario(tmp_path, monkeypatch, seed=seed, returns=25, varied=varied) as scenario:
        settle(scenario)
        assert found(scenario) == planted(scenario)
        assert {case[0] for case in planted(scenario)} >= {"rejected_write", "refund_mismatch_tax", "payout_mismatch"}
        cents = scenario.rows(
            "select culprit, currency, discount_percent, usual_difference, component from reconciliation.systematic_cents"
        )
        assert {("happy_returns", "SEK", percent, Decimal("-0.01"), "tax") for percent in (None, Decimal(15))} & set(
            cents
        )
        scenario.shop.advance(48)
        settle(scenario)
        assert found(scenario) == planted(scenario)


@pytest.mark.parametrize(("seed", "varied"), SHOPS[:2])
def test_syncs_that_follow_events_between_the_hourly_ones_leave_the_same_exceptions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, varied: bool
) -> None:
    with shop_scenario(tmp_path, monkeypatch, seed=seed, returns=25, varied=varied) as scenario:
        settle(scenario)
        for _ in range(8):
            scenario.shop.advance(3)
            scenario.event_stages()
            scenario.shop.advance(3)
            scenario.event_stages()
            if scenario.rows("select count(*) % 3 from landing.centra_pulls") != [(0,)]:
                scenario.sync_stages()
        settle(scenario)
        assert found(scenario) == planted(scenario)
        assert set(effects_in_centra(scenario).values()) == {1}


def test_no_effect_is_repeated_when_the_graph_runs_twice_and_the_clock_moves_and_nothing_private_gets_out(
    scenario: ShopScenario, capfd: pytest.CaptureFixture[str]
) -> None:
    scenario.sync()
    captured = capfd.readouterr()
    nothing_private_is_in_logs_events_attempts_and_tables(scenario, captured.out + captured.err)
    settle(scenario)
    first = effects_in_centra(scenario)
    assert first
    scenario.sync()
    assert effects_in_centra(scenario) == first
    scenario.shop.advance(48)
    settle(scenario)
    later = effects_in_centra(scenario)
    assert later != first
    assert set(later.values()) == {1}
    refunds = Counter(
        return_id for _, return_id, kind, _, _ in scenario.sandbox.store.records()["payments"] if kind == "REFUND"
    )
    assert set(refunds.values()) == {1}


@pytest.mark.slow
def test_of_two_syncs_started_at_once_one_waits_or_steps_aside_and_nothing_is_sent_twice(
    scenario: ShopScenario,
) -> None:
    command = [sys.executable, "-m", "hr_centra_pipeline.cli.main", "sync"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    told = [process.communicate()[0] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, 1])
    if codes == [0, 1]:
        (other,) = [text for text, process in zip(told, both, strict=True) if process.returncode == 1]
        assert "is held by" in other
        assert "hr-centra sync" in other
    settle(scenario)
    found = effects_in_centra(scenario)
    assert found
    assert set(found.values()) == {1}


@pytest.mark.slow
def test_with_the_database_deleted_what_is_in_centra_is_observed_and_not_sent_again(scenario: ShopScenario) -> None:
    settle(scenario)
    ledger = scenario.sandbox.store.records()
    # A note replaces the one before it, so that overtaken ones cannot be read back.
    ours = "select effect_key from push.ledger where state = 'confirmed' and effect_kind <> 'status_update' order by 1"
    confirmed = scenario.rows(ours)
    open_before = found(scenario)
    scenario.settings.database.unlink()
    scenario.sync()
    settle(scenario)
    assert scenario.sandbox.store.records()["orders"] == ledger["orders"]
    assert scenario.sandbox.store.records()["returns"] == ledger["returns"]
    assert scenario.sandbox.store.records()["stock_changes"] == ledger["stock_changes"]
    assert scenario.sandbox.store.records()["payments"] == ledger["payments"]
    # What Centra refused is asked for once more, since nobody remembers the refusal; nothing else is.
    packets = scenario.rows("select distinct state from push.packets join push.attempts using (packet_key)")
    assert packets == [("rejected",)]
    assert scenario.rows(ours) == confirmed
    assert found(scenario) == open_before


@pytest.mark.slow
def test_a_look_at_what_is_affected_finds_what_a_look_at_everything_finds(scenario: ShopScenario) -> None:
    settle(scenario)
    ((settled,),) = scenario.rows("select count(*) from reconciliation.settled_orders")
    assert settled > 5
    scenario.shop.advance(48)
    settle(scenario)
    tables = (
        "matching.matched_items", "effects.units", "effects.pending_credit_notes", "effects.pending_inventory_adjustments",
        "effects.pending_exchange_orders", "effects.pending_status_updates", "reconciliation.exceptions",
        "reconciliation.refund_mismatches", "reconciliation.settled_orders", "reconciliation.refund_facts",
        "reconciliation.refund_match", "reconciliation.payouts", "reconciliation.shadow", "reconciliation.delays",
        "reconciliation.tolerance_uses", "reconciliation.systematic_cents", "reconciliation.tax_readings",
    )  # fmt: skip
    ((in_play, everything),) = scenario.rows(
        """
        select (select count(*) from matching.orders_in_play), (select count(distinct order_number) from staging.return_items)
        """
    )
    assert in_play < everything - 5
    by_play = {table: scenario.rows(f"from {table} order by all") for table in tables}
    with scenario.warehouse.transaction() as connection:
        connection.execute("delete from reconciliation.settled_orders")
    scenario.sync_stages()
    assert {table: scenario.rows(f"from {table} order by all") for table in tables} == by_play


@pytest.mark.slow
def test_a_dry_run_writes_nothing_and_shows_what_it_would_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with shop_scenario(tmp_path, monkeypatch, mode="dry_run") as scenario:
        scenario.sync()
        assert scenario.writes() == []
        states = dict(scenario.rows("select state, count(*) from push.ledger group by state"))
        assert states["planned"] > 20
        assert scenario.rows("select 1 from push.attempts") == []
        # The shadow report finds the manual mistake that is planted, and says whom Happy Returns bears out.
        (mistake,) = [
            row for row in scenario.shop.truth() if row["kind"] == "refund_mismatch_fee" and row["culprit"] == "person"
        ]
        assert scenario.rows(
            "select return_id, at_stake, sided_with from reconciliation.shadow where outcome = 'amounts_differ'"
        ) == [(mistake["return_id"], Decimal(mistake["amount"]), "us")]


@pytest.mark.slow
def test_every_unit_is_matched_or_says_why_not_and_every_row_is_landed_or_refused(scenario: ShopScenario) -> None:
    scenario.sync_stages()
    ((items, matched, silent),) = scenario.rows(
        """
        select (select count(*) from staging.return_items), count(*),
            count(*) filter (where shipment_line_id is null and reason is null)
        from matching.matched_items
        """
    )
    assert items == matched > 0
    assert silent == 0
    assert (
        scenario.rows(
            "select source_file from landing.files where rows_read <> rows_landed + rows_rejected + rows_repeated"
        )
        == []
    )


def nothing_private_is_in_logs_events_attempts_and_tables(scenario: ShopScenario, output: str) -> None:
    """No secret, and no address of a customer outside ``landing.personal``."""
    secrets = [scenario.sandbox.token, scenario.sandbox.order_api_key]
    emails = [row["email"] for row in scenario.sandbox.store.rows("select email from customers")]
    texts = {"output": output}
    for file in (scenario.home / "dagster").rglob("*"):
        if file.is_file():
            texts[str(file)] = file.read_bytes().decode("utf-8", "replace")
    for schema, table in scenario.rows(
        "select table_schema, table_name from information_schema.tables where table_type = 'BASE TABLE'"
    ):
        if (schema, table) != ("landing", "personal"):
            texts[f"{schema}.{table}"] = str(scenario.rows(f"select * from {schema}.{table}"))
    for file in (scenario.home / "published").rglob("*"):
        if file.is_file():
            texts[str(file)] = file.read_bytes().decode("utf-8", "replace")
    leaks = [place for place, text in texts.items() if any(secret in text for secret in secrets)]
    assert leaks == []
    named = re.compile("|".join(re.escape(email) for email in emails))
    assert [place for place, text in texts.items() if named.search(text)] == []
