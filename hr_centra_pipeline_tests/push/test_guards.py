"""What stops a push: kill switch, budget, caps, surge, approvals; and what lets it through again, by name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline.push.guards import is_stopped, missing_guards, refuse_unguarded
from hr_centra_pipeline.push.preview import preview
from hr_centra_pipeline.push.wire import Wire
from hr_centra_pipeline.warehouse import lock
from hr_centra_pipeline_tests.harness import MAIN, POLICY, Harness, Sold

HUNDRED = Decimal("100.00")


def sold_and_back(at_harness: Harness, count: int, price: str = "100.00", **given: Any) -> list[Sold]:
    orders = [at_harness.sell(("DRESS-S", 1, price)) for _ in range(count)]
    for sold in orders:
        at_harness.comes_back(sold, **given)
    return orders


def signed(at_harness: Harness, by: str = "Anna Approver") -> Signature:
    return Signature(by, "looked at it", at_harness.clock.now())


def decide(at_harness: Harness, what: Callable[..., Any], *given: Any, by: str = "Anna Approver", **more: Any) -> Any:
    with at_harness.warehouse.transaction() as connection:
        return what(connection, signed(at_harness, by), *given, **more)


# ---------------------------------------------------------------- kill switch, budget, lease


@pytest.mark.slow
def test_the_kill_switch_is_read_before_every_request_that_writes(
    at_harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_harness.with_policy(centra={"calls_per_request": 1})
    orders = sold_and_back(at_harness, 4)
    at_harness.plan()
    sent = Wire._mutate_together

    def stops_after_the_third(wire: Wire, sessions: Any) -> None:
        if wire.writes == 3:
            at_harness.settings.stop_path.touch()
        sent(wire, sessions)

    monkeypatch.setattr(Wire, "_mutate_together", stops_after_the_third)
    report = at_harness.push()
    assert report.halted
    assert "kill switch" in report.halted
    assert at_harness.mutations() == ["createReturn", "refundReturn", "createReturn"]
    assert at_harness.push().writes == 0
    ((_, _, detail),) = [row for row in at_harness.reconcile() if row[0] == "guard_breached"]
    assert "kill switch" in detail
    at_harness.settings.stop_path.unlink()
    monkeypatch.undo()
    at_harness.push()
    assert [at_harness.refunded(sold) for sold in orders] == [HUNDRED] * 4
    at_harness.plan()
    assert [row for row in at_harness.reconcile() if row[0] == "guard_breached"] == []


def test_a_kill_switch_that_cannot_be_read_stops_too(tmp_path: Path) -> None:
    stop = tmp_path / "STOP"
    assert not is_stopped(stop)
    stop.symlink_to(tmp_path / "nowhere")
    assert is_stopped(stop)
    assert not is_stopped(tmp_path / "no" / "such" / "folder" / "STOP")


def test_a_push_ends_when_its_budget_is_used_up_and_finishes_what_it_has_begun(at_harness: Harness) -> None:
    orders = sold_and_back(at_harness, 12)
    at_harness.with_policy(push_budget_minutes=0.0005, centra={"calls_per_request": 1})
    at_harness.plan()
    report = at_harness.push()
    assert report.halted
    assert "the next push carries on" in report.halted
    paid = [sold for sold in orders if at_harness.refunded(sold)]
    assert len(paid) < 12
    assert all(at_harness.returns_of(sold) == [] for sold in orders if sold not in paid)
    at_harness.with_policy()
    at_harness.push()
    assert [at_harness.refunded(sold) for sold in orders] == [HUNDRED] * 12


def test_two_pushes_at_once_on_one_database_are_not_possible(at_harness: Harness) -> None:
    sold_and_back(at_harness, 1)
    at_harness.plan()
    lease = at_harness.settings.database.with_name(at_harness.settings.database.name + ".push.lock")
    with lock.held(lease, "another push"), pytest.raises(RunFailed, match="another push"):
        at_harness.push()
    assert at_harness.mutations() == []


# ---------------------------------------------------------------- modes and caps


@pytest.mark.slow
def test_a_type_that_is_off_or_in_dry_run_sends_nothing_not_even_the_rest_of_what_is_half_done(
    at_harness: Harness,
) -> None:
    (sold,) = sold_and_back(at_harness, 1, grade="sellable")
    at_harness.fault("error_before", "RefundReturn")
    at_harness.plan()
    at_harness.push()
    assert at_harness.states() == {"IT-00001": "confirmed"}  # it is looked up at the push's end, and paid
    (other,) = sold_and_back(at_harness, 1)
    at_harness.fault("dropped_before", "RefundReturn", times=1)
    at_harness.with_policy(settling_minutes=15)
    at_harness.sync()
    for mode in ("off", "dry_run"):
        at_harness.with_policy(modes={"credit_note": mode})
        at_harness.sync()
        assert at_harness.refunded(other) == 0
        ((reason,),) = at_harness.rows("select reason from push.ledger where state = 'unknown'")
        assert f"mode {mode}" in reason
    at_harness.with_policy()
    at_harness.sync()
    assert at_harness.refunded(other) == HUNDRED
    assert at_harness.refunded(sold) == HUNDRED


@pytest.mark.slow
def test_a_breached_cap_sends_nothing_of_that_type_and_is_one_exception(at_harness: Harness) -> None:
    orders = sold_and_back(at_harness, 3, grade="sellable")
    at_harness.with_policy(caps={"money_per_run": {"EUR": "250"}})
    report = at_harness.sync()
    assert report.breached == ["caps.money_per_run.EUR: 300.00 EUR of credit_note, 250.00 EUR allowed"]
    assert "createReturn" not in at_harness.mutations()
    assert at_harness.moved("DRESS-S", MAIN) == 3  # the other types go on
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=2))
    at_harness.sync()
    open_now = [row[0] for row in at_harness.reconcile()]
    assert open_now.count("guard_breached") == 1
    assert "return_without_credit_note" not in open_now
    decide(at_harness, approvals.raise_guards, "credit_note", hours=24)
    at_harness.sync()
    assert [at_harness.refunded(sold) for sold in orders] == [HUNDRED] * 3
    assert "guard_breached" not in [row[0] for row in at_harness.reconcile()]


def test_a_currency_that_the_caps_forget_does_not_pass_unseen(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"), currency="SEK")
    at_harness.comes_back(sold)
    at_harness.with_policy(caps={"money_per_run": {"EUR": "250"}})
    assert at_harness.sync().breached == ["caps.money_per_run.SEK: 100.00 SEK of credit_note, 0.00 SEK allowed"]


def test_the_cap_per_day_counts_what_went_out_before(at_harness: Harness) -> None:
    at_harness.with_policy(caps={"money_per_day": {"EUR": "250"}})
    first = sold_and_back(at_harness, 2)
    at_harness.sync()
    second = sold_and_back(at_harness, 1)
    assert at_harness.sync().breached
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=1))
    at_harness.sync()
    assert [at_harness.refunded(sold) for sold in [*first, *second]] == [HUNDRED] * 3


# ---------------------------------------------------------------- surge


def live_through(at_harness: Harness, weeks: int, a_day: int) -> None:
    """As if so many credits of 100 EUR had gone out on the same weekday of each of the last weeks."""
    at_harness.plan()
    with at_harness.warehouse.transaction() as connection:
        for week in range(1, weeks + 1):
            for number in range(a_day):
                at = at_harness.clock.now() - timedelta(days=7 * week)
                connection.execute(
                    """
                    insert into push.ledger (
                        effect_key, effect_kind, currency, amount, state, is_foreign, travels_alone, order_number, planned_at,
                        updated_at, confirmed_at
                    )
                    values (?, 'credit_note', 'EUR', 100, 'confirmed', false, false, 'past', ?, ?, ?)
                    """,
                    [f"HRPAST{week:04d}{number:05d}", at, at, at],
                )


@pytest.mark.slow
def test_forty_times_the_usual_day_stops_and_a_peak_does_not(at_harness: Harness) -> None:
    at_harness.with_policy(surge={"least_effects": 5, "factor": "6"})
    live_through(at_harness, 6, 2)
    peak = sold_and_back(at_harness, 6)
    assert at_harness.sync().breached == []
    assert [at_harness.refunded(sold) for sold in peak] == [HUNDRED] * 6
    flood = sold_and_back(at_harness, 34)
    report = at_harness.sync()
    assert [text.split(":")[0] for text in report.breached] == ["surge", "surge"]  # by count and by money
    assert "40 of credit_note, 12 allowed" in report.breached[0]
    assert "on a usual Wednesday" in report.breached[0]
    assert [at_harness.refunded(sold) for sold in flood] == [0] * 34
    # Raised by name for what waits now; a second flood within the same day stops again.
    given = decide(at_harness, approvals.raise_guards, "credit_note", hours=24)
    assert (given.effects, given.money) == (44, {"EUR": Decimal(4400)})
    at_harness.sync()
    assert [at_harness.refunded(sold) for sold in flood] == [HUNDRED] * 34
    sold_and_back(at_harness, 5)
    assert at_harness.sync().breached
    assert at_harness.rows("select distinct raised_by, why from push.raises") == [("Anna Approver", "looked at it")]


def test_an_expired_raise_does_not_help(at_harness: Harness) -> None:
    at_harness.with_policy(caps={"money_per_run": {"EUR": "50"}})
    sold_and_back(at_harness, 1)
    at_harness.sync()
    decide(at_harness, approvals.raise_guards, "credit_note", hours=1)
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(hours=2))
    assert at_harness.sync().breached


def test_without_enough_past_the_absolute_caps_hold(at_harness: Harness) -> None:
    at_harness.with_policy(surge={"least_effects": 2, "factor": "2"})
    live_through(at_harness, 3, 1)
    orders = sold_and_back(at_harness, 8)
    assert at_harness.sync().breached == []
    assert [at_harness.refunded(sold) for sold in orders] == [HUNDRED] * 8


# ---------------------------------------------------------------- approvals


def test_above_the_limit_an_effect_waits_for_someone_who_neither_planned_nor_configured_it(at_harness: Harness) -> None:
    at_harness.with_policy(approval_above={"EUR": "150"})
    (small,) = sold_and_back(at_harness, 1)
    (large,) = sold_and_back(at_harness, 1, price="200.00")
    at_harness.sync()
    assert (at_harness.refunded(small), at_harness.refunded(large)) == (HUNDRED, Decimal(0))
    with pytest.raises(ConfigurationError, match="changed the policy last"):
        decide(at_harness, approvals.approve, keys=["IT-00002"], by="petra POLICY")
    with pytest.raises(ConfigurationError, match="planned it"):
        decide(at_harness, approvals.approve, keys=["IT-00002"], by=approvals.machine_user())
    with pytest.raises(ConfigurationError, match="nothing of it waits"):
        decide(at_harness, approvals.approve, keys=["IT-00001"])
    decide(at_harness, approvals.approve, keys=["IT-00002"])
    at_harness.sync()
    assert at_harness.refunded(large) == 2 * HUNDRED
    ((by, why, amount),) = at_harness.rows("select approved_by, why, amount from push.approvals")
    assert (by, why, amount) == ("Anna Approver", "looked at it", 2 * HUNDRED)


@pytest.mark.slow
def test_in_approve_mode_each_effect_waits_and_an_approval_holds_for_what_was_seen(at_harness: Harness) -> None:
    at_harness.with_policy(modes={"credit_note": "approve"})
    sold = at_harness.sell(("DRESS-S", 1, "100.00"), shipping="4.90")
    unit = at_harness.comes_back(sold, fee="0")
    at_harness.sync()
    assert at_harness.mutations().count("createReturn") == 0
    decide(at_harness, approvals.approve, effect_types=["credit_note"])
    # Happy Returns corrects the row before it is sent: the fee is new, and nobody has seen it.
    at_harness.change_refund(unit, processing_fee="5.00", total_refunded="95.00")
    report = at_harness.sync()
    assert list(report.waiting.values()) == ['waits for approval: modes.credit_note = "approve"'] * 2
    assert at_harness.refunded(sold) == 0
    decide(at_harness, approvals.approve, keys=[unit.return_id])
    # The fee that was seen has gone: more would leave than was approved.
    at_harness.change_refund(unit, processing_fee="0.00", total_refunded="100.00")
    at_harness.sync()
    assert at_harness.refunded(sold) == 0
    decide(at_harness, approvals.approve, keys=[unit.return_id])
    at_harness.sync()
    assert at_harness.refunded(sold) == HUNDRED


def test_an_approval_opens_the_restock_gate_before_its_hold_is_over(at_harness: Harness) -> None:
    at_harness.with_policy(dispositions={"sellable": {"warehouse_id": MAIN, "hold_hours": 240}})
    sold_and_back(at_harness, 2, grade="sellable")
    at_harness.sync()
    assert at_harness.moved("DRESS-S", MAIN) == 0
    decide(at_harness, approvals.approve, keys=["IT-00001"])
    at_harness.sync()
    assert at_harness.moved("DRESS-S", MAIN) == 1


@pytest.mark.slow
def test_a_voucher_over_several_shipments_waits_and_can_be_approved(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"), ("SHIRT-M", 1, "50.00"), voucher="15.00", parts=[1])
    at_harness.comes_back(sold)
    report = at_harness.sync()
    assert "waits for approval: a voucher on an order with several shipments" in report.waiting.values()
    decide(at_harness, approvals.approve, keys=[str(sold.number)])
    # Another reason has come since: the voucher was looked at, and not how much it is.
    at_harness.with_policy(approval_above={"EUR": "50"})
    report = at_harness.sync()
    assert "waits for approval: it is above approval_above.EUR" in report.waiting.values()
    decide(at_harness, approvals.approve, keys=[str(sold.number)])
    at_harness.sync()
    assert at_harness.refunded(sold) == Decimal("90.00")


# ---------------------------------------------------------------- before real money, and looking before sending


def test_live_mode_against_a_real_centra_demands_that_the_guards_are_stated(tmp_path: Path) -> None:
    def settings(url: str) -> Settings:
        return Settings.from_environment(
            {"HR_CENTRA_HOME": str(tmp_path), "HR_CENTRA_MODE": "live", "CENTRA_GRAPHQL_URL": url}
        )

    plain = Policy.model_validate({**POLICY, "changed_by": None})
    refuse_unguarded(settings("http://127.0.0.1:8080/graphql"), plain)
    with pytest.raises(ConfigurationError, match=r"does not state changed_by, approval_above, caps.effects_per_run"):
        refuse_unguarded(settings("https://shop.centra.com/graphql"), plain)
    stated = Policy.model_validate(
        {
            **POLICY, "approval_above": {"EUR": "500"}, "surge": {"factor": "6"},
            "caps": {
                "effects_per_run": 500, "effects_per_day": 900, "money_per_run": {"EUR": "9000"}, "money_per_day": {"EUR": "20000"},
            },
        }
    )  # fmt: skip
    assert missing_guards(stated) == []
    refuse_unguarded(settings("https://shop.centra.com/graphql"), stated)
    with pytest.raises(ConfigurationError, match="https://"):
        refuse_unguarded(settings("http://shop.centra.com/graphql"), stated)


def test_a_plan_shows_the_calls_and_what_a_live_run_would_leave_and_why(at_harness: Harness) -> None:
    at_harness.mode = "dry_run"
    at_harness.with_policy(modes={"status_update": "off"}, approval_above={"EUR": "150"}, caps={"effects_per_run": 2})
    sold_and_back(at_harness, 1, grade="sellable")
    sold_and_back(at_harness, 1, price="200.00")
    report = at_harness.sync()
    assert at_harness.mutations() == []
    assert report.would_send == 2
    with at_harness.warehouse.transaction() as connection:
        found = preview(connection, at_harness.policy, at_harness.clock.now())
    calls = [[call.operation for call in planned.calls] for planned in found.packets]
    assert calls == [["CreateReturn", "RefundReturn"], ["ChangeStock"]]
    assert found.packets[0].money == {"EUR": HUNDRED}
    staying = {(effect.effect_kind, why) for effect, why in found.staying}
    assert staying == {
        ("status_update", "mode off"), ("credit_note", "waits for approval: it is above approval_above.EUR"),
    }  # fmt: skip
    at_harness.with_policy(caps={"money_per_run": {"EUR": "99"}})
    with at_harness.warehouse.transaction() as connection:
        found = preview(connection, at_harness.policy, at_harness.clock.now())
    assert {why for effect, why in found.staying if effect.effect_kind == "credit_note"} >= {
        "guard: caps.money_per_run.EUR: 100.00 EUR of credit_note, 99.00 EUR allowed"
    }
