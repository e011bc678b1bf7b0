"""From the exchange to the dispatch of its replacement: what the orders say of each other, what Centra made of the order,
what releases it, and what is done when somebody cancels it.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hr_centra_pipeline.cli.main import app
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.month_end.compute import compute
from hr_centra_pipeline.month_end.fact_journal import remember
from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline.push.sender import Sender
from hr_centra_pipeline.sandbox.centra.store import CentraSettings
from hr_centra_pipeline_tests.cases import mostly_slow
from hr_centra_pipeline_tests.harness import POLICY, Harness, Sold, Unit, harness
from hr_centra_pipeline_tests.push.test_exchanges import HUNDRED, exchanged, number_of

# Done and not answered; never done.
FAULTS = ("dropped_after", "error_after", "wrong_content_type", "dropped_before", "error_before", "rate_limited")
ONE_BY_ONE: dict[str, Any] = {"centra": {"calls_per_request": 1}}


def later(at_harness: Harness, **time: float) -> None:
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(**time))


def told(at_harness: Harness, kind: str = "exchange_") -> list[tuple[str, str | None, str]]:
    """(kind, unit, detail) of the open exceptions whose kind begins so."""
    return [row for row in at_harness.reconcile() if row[0].startswith(kind)]


def kinds(at_harness: Harness) -> list[tuple[str, str | None]]:
    return [row[:2] for row in told(at_harness)]


def proofs(at_harness: Harness, kind: str) -> list[str]:
    rows = at_harness.rows(
        "select proof from reconciliation.exception_events where event = 'closed' and kind = ? order by recorded_at, proof",
        kind,
    )
    return [str(proof) for (proof,) in rows]


def decide(at_harness: Harness, what: str, unit: Unit, by: str = "Carla Customer") -> Any:
    signature = Signature(by, "the shopper was asked", at_harness.clock.now())
    with at_harness.warehouse.transaction() as connection:
        if what == "reorder":
            return approvals.order_again(connection, signature, unit.item)
        return approvals.pay_instead(connection, signature, unit.item)


def refused(at_harness: Harness, what: str, unit: Unit, by: str = "Carla Customer") -> str:
    with pytest.raises(ConfigurationError) as error:
        decide(at_harness, what, unit, by)
    return str(error.value)


def replacement_of(at_harness: Harness, unit: Unit) -> dict[str, Any]:
    """The order of ours that is alive."""
    (order,) = [row for row in at_harness.orders_of_ours() if row["status"] != "DELETED"]
    assert number_of(unit) <= order["number"] or order["number"] >= 900_000
    return order


# ---------------------------------------------------------------- what the two orders say of each other


@pytest.mark.slow
def test_the_replacement_says_in_words_what_it_is_for_and_the_old_order_names_it(at_harness: Harness) -> None:
    sold, units = exchanged(at_harness, 2)
    at_harness.settle()
    (order,) = at_harness.orders_of_ours()
    words, *marks = order["internal_comment"].splitlines()
    assert words == f"Replacement for order {sold.number}, Happy Returns {units[0].code} {units[0].return_id}"
    ((packet, members),) = at_harness.rows("select packet_key, members from push.packets where operation = 'exchange'")
    assert marks == [packet, *members]
    assert f"{units[0].code}: exchanged, replacement order {order['number']} " in at_harness.comment_of(sold)
    # Read back, only the marks are kept; the order is known as a replacement by them.
    kept = at_harness.rows(
        "select payload ->> 'internalComment' from landing.centra_orders where order_number = ?", str(order["number"])
    )
    assert {text for (text,) in kept} == {"\n".join(marks)}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dropped_after", "error_before"])
def test_words_that_do_not_fit_are_left_out_and_the_order_is_found_by_its_marks(at_harness: Harness, kind: str) -> None:
    at_harness.with_policy(centra={"comment_limit": 60})
    sold, (unit,) = exchanged(at_harness)
    at_harness.fault(kind, "POST /order")
    at_harness.plan()
    for _ in range(2):
        at_harness.push()
    (order,) = at_harness.orders_of_ours()
    assert order["internal_comment"].splitlines()[0] == f"Replacement for order {sold.number}"
    assert len(order["internal_comment"]) <= 60
    assert at_harness.states("exchange_order") == {unit.item: "confirmed"}


# ---------------------------------------------------------------- read back before the Return is completed

CHANGES: dict[str, dict[str, Any]] = {
    "street": {"address": {"address1": "1 Wrong Street"}},
    "second address line": {"address": {"address2": "c/o Somebody"}},
    "postcode, state": {"address": {"zip_code": None, "state_code": None, "state_or_province": "Nowhere"}},
    "market": {"market_id": 2},
    "price list": {"pricelist_id": 3},
    "total": {"shipping": "4.90"},
}


@pytest.mark.slow
@pytest.mark.parametrize("field", mostly_slow(CHANGES, "total"))
def test_an_order_that_is_not_what_was_meant_holds_everything_until_a_person_has_corrected_it(
    tmp_path: Path, field: str
) -> None:
    with harness(tmp_path, centra=CentraSettings(creates_shipments=True)) as at_harness:
        at_harness.with_policy(exchange={"release": "paid"})
        sold, (unit,) = exchanged(at_harness)
        before = at_harness.store.order(sold.number)
        at_harness.fault("person_after", "POST /order", act="change_order", given=CHANGES[field])
        at_harness.settle()
        (order,) = at_harness.orders_of_ours()
        (made,) = at_harness.returns_of(sold)
        assert (made["status"], at_harness.states("exchange_order")) == ("PENDING", {unit.item: "unknown"})
        assert "updateShipment" not in at_harness.mutations()
        ((kind, item, detail),) = told(at_harness)
        assert (kind, item) == ("exchange_differs", unit.item)
        assert f"order {order['number']} differs in {field}" in detail
        assert "write_in_doubt" not in [row[0] for row in at_harness.reconcile()]
        assert_nothing_personal_is_kept(at_harness)
        # A person corrects it in Centra: it goes on by itself.
        changes = {name: before[name] for name in ("market_id", "pricelist_id", "address")}
        at_harness.store.set_order(order["number"], {**changes, "shipping": Decimal(0)})
        at_harness.settle()
        assert at_harness.returns_of(sold)[0]["status"] == "COMPLETED"
        assert at_harness.states("exchange_order") == {unit.item: "confirmed"}
        assert at_harness.mutations().count("updateShipment") == 1
        assert kinds(at_harness) == []
        assert proofs(at_harness, "exchange_differs") == [f"the exchange order is in Centra: {order['number']}"]


def assert_nothing_personal_is_kept(at_harness: Harness) -> None:
    texts = at_harness.rows(
        """
        select packets::varchar from push.packets union all select attempts::varchar from push.attempts
        union all select exceptions::varchar from reconciliation.exceptions
        union all select exception_events::varchar from reconciliation.exception_events
        """
    )
    assert texts
    for (text,) in texts:
        for personal in ("Wrong Street", "High Street", "ada@example.com", "Springfield", "Somebody", "+4655"):
            assert personal not in text


@pytest.mark.slow
def test_a_line_that_someone_changes_is_a_difference_and_one_that_is_canceled_is_none(at_harness: Harness) -> None:
    sold, (unit,) = exchanged(at_harness)
    at_harness.fault("error_before", "LookAtReplacementOrder", times=50)
    at_harness.sync()
    at_harness.calm_down()
    (order,) = at_harness.orders_of_ours()
    other = at_harness.store.size_by("SHIRT-M")
    assert other is not None
    at_harness.store.rows("update order_lines set size_id = ? where order_number = ?", [other["id"], order["number"]])
    at_harness.settle()
    assert [detail for _, _, detail in told(at_harness)] == [
        f"The replacement is not what was meant: order {order['number']} differs in lines"
    ]
    assert at_harness.returns_of(sold)[0]["status"] == "PENDING"
    at_harness.act("cancel_order", order_number=order["number"])
    at_harness.settle()
    assert kinds(at_harness) == [("exchange_canceled", unit.item)]
    assert proofs(at_harness, "exchange_differs") == ["became exchange_canceled"]


@pytest.mark.slow
def test_a_difference_is_accepted_as_it_is_by_name_and_another_one_is_held_again(at_harness: Harness) -> None:
    sold, (unit,) = exchanged(at_harness)
    at_harness.fault("person_after", "POST /order", act="change_order", given=CHANGES["street"])
    at_harness.settle()
    (order,) = at_harness.orders_of_ours()
    ((packet,),) = at_harness.rows("select packet_key from push.packets where trouble = 'differs'")
    at_harness.act("change_order", order_number=order["number"], shipping="4.90")
    with at_harness.warehouse.transaction() as connection:
        with pytest.raises(ConfigurationError, match="changed the policy last"):
            approvals.approve(connection, Signature("Petra Policy", "fine", at_harness.clock.now()), keys=[packet])
        approvals.approve(connection, Signature("Carl", "she has moved", at_harness.clock.now()), keys=[packet])
    at_harness.settle()
    # What has changed since is not what was accepted.
    assert at_harness.states("exchange_order") == {unit.item: "unknown"}
    assert "differs in street, total" in told(at_harness)[0][2]
    at_harness.act("change_order", order_number=order["number"], shipping="0")
    at_harness.settle()
    assert at_harness.states("exchange_order") == {unit.item: "confirmed"}
    assert at_harness.returns_of(sold)[0]["status"] == "COMPLETED"
    assert kinds(at_harness) == []


@pytest.mark.slow
def test_a_return_that_someone_completes_meanwhile_does_not_end_what_differs(at_harness: Harness) -> None:
    sold, (unit,) = exchanged(at_harness)
    at_harness.fault("person_after", "POST /order", act="change_order", given=CHANGES["market"])
    at_harness.settle()
    (made,) = at_harness.returns_of(sold)
    at_harness.act("complete_return", return_id=made["id"])
    at_harness.settle()
    assert at_harness.states("exchange_order") == {unit.item: "unknown"}
    assert kinds(at_harness) == [("exchange_differs", unit.item)]
    (order,) = at_harness.orders_of_ours()
    at_harness.act("change_order", order_number=order["number"], market_id=1)
    at_harness.settle()
    assert at_harness.states("exchange_order") == {unit.item: "confirmed"}
    assert at_harness.mutations().count("completeReturn") == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "operation",
    mostly_slow(
        ["ReadRecipient", "LookAtReplacementOrder", "LookAtReplacements", "CompleteReturn"],
        "LookAtReplacementOrder",
        "CompleteReturn",
    ),
)
def test_whatever_is_lost_between_order_and_completion_there_is_one_order_and_its_return_is_completed(
    at_harness: Harness, operation: str
) -> None:
    at_harness.with_policy(**ONE_BY_ONE)
    orders = [exchanged(at_harness)[0] for _ in FAULTS]
    # The first reading of these is before the order is made.
    after = 1 if operation in ("ReadRecipient", "LookAtReplacements") else 0
    for kind in FAULTS:
        at_harness.fault(kind, operation, after=after)
    at_harness.settle()
    assert len(at_harness.orders_of_ours()) == len(FAULTS)
    for sold in orders:
        (made,) = at_harness.returns_of(sold)
        assert (made["status"], made["payments"]) == ("COMPLETED", [])
    assert set(at_harness.states("exchange_order").values()) == {"confirmed"}


@pytest.mark.slow
def test_a_state_that_is_written_otherwise_is_no_difference(at_harness: Harness) -> None:
    sold, (unit,) = exchanged(at_harness)
    address = {"state_code": None, "state_or_province": "BY", "phone_number": "+49 (30) 1234-56", "city": " Riverton "}
    at_harness.act("change_order", order_number=sold.number, address=address)
    at_harness.settle()
    assert at_harness.states("exchange_order") == {unit.item: "confirmed"}
    assert kinds(at_harness) == []


# ---------------------------------------------------------------- released, once there is a shipment


@pytest.mark.slow
@pytest.mark.parametrize(
    ("release", "mark"),
    mostly_slow([("paid", "is_paid"), ("good_to_go", "is_good_to_go")], ("good_to_go", "is_good_to_go")),
)
def test_once_there_is_a_shipment_it_is_released_as_the_policy_says_and_that_once(
    at_harness: Harness, release: str, mark: str
) -> None:
    at_harness.with_policy(exchange={"release": release}, **ONE_BY_ONE)
    units = [unit for _ in FAULTS for unit in exchanged(at_harness, 2)[1]]
    at_harness.settle()
    orders = at_harness.orders_of_ours()
    assert at_harness.states("exchange_release") == {}
    for order in orders:
        at_harness.act("create_shipment", order_number=order["number"])
    for kind in FAULTS:
        at_harness.fault(kind, "UpdateShipment")
    at_harness.settle()
    shipments = at_harness.store.rows(f"select * from shipments where order_number >= 900000 and {mark}")
    assert len(shipments) == len(FAULTS) == len(orders)
    assert at_harness.mutations().count("updateShipment") == len(FAULTS)
    assert at_harness.states("exchange_release") == dict.fromkeys([unit.item for unit in units], "confirmed")
    at_harness.settle()
    assert at_harness.rows("select distinct is_paid or is_good_to_go from effects.replacements") == [(True,)]


@pytest.mark.slow
def test_by_default_nothing_is_released_and_what_someone_has_released_is_not_released_again(
    at_harness: Harness,
) -> None:
    _, (unit,) = exchanged(at_harness)
    at_harness.settle()
    (order,) = at_harness.orders_of_ours()
    shipment = at_harness.act("create_shipment", order_number=order["number"])["made"]
    at_harness.settle()
    assert "updateShipment" not in at_harness.mutations()
    at_harness.with_policy(exchange={"release": "paid"})
    at_harness.plan()
    assert at_harness.states("exchange_release") == {unit.item: "planned"}
    at_harness.store.mark_shipment(shipment, paid=True)
    at_harness.settle()
    assert "updateShipment" not in at_harness.mutations()
    at_harness.settle()
    assert at_harness.rows("select effect_kind from effects.pending_exchange_orders") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "what",
    mostly_slow(
        ["canceled before the plan", "canceled after the plan", "refused", "shipped"], "canceled after the plan"
    ),
)
def test_what_is_canceled_refused_or_shipped_is_not_released(at_harness: Harness, what: str) -> None:
    _, (unit,) = exchanged(at_harness)
    at_harness.settle()
    (order,) = at_harness.orders_of_ours()
    at_harness.act("create_shipment", order_number=order["number"])
    at_harness.settle()
    at_harness.with_policy(exchange={"release": "good_to_go"})
    if what == "refused":
        at_harness.change(unit, disposition="wrong-item")
    if what == "canceled before the plan":
        at_harness.act("cancel_order", order_number=order["number"])
    if what == "shipped":
        at_harness.act("ship", order_number=order["number"])
    at_harness.plan()
    if what == "canceled after the plan":
        at_harness.act("cancel_order", order_number=order["number"])
    at_harness.push()
    at_harness.settle()
    assert "updateShipment" not in at_harness.mutations()
    assert "confirmed" not in at_harness.states("exchange_release").values()


@pytest.mark.slow
def test_a_shipment_that_also_holds_a_refused_replacement_is_held_and_says_why(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 2, "100.00"))
    kept = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M")
    other = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="SHIRT-M", with_unit=kept)
    at_harness.settle()
    (order,) = at_harness.orders_of_ours()
    at_harness.act("create_shipment", order_number=order["number"])
    at_harness.with_policy(exchange={"release": "good_to_go"})
    at_harness.change(other, disposition="wrong-item")
    at_harness.settle()
    assert "updateShipment" not in at_harness.mutations()
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=20))
    at_harness.sync()
    at_harness.reconcile()
    ((detail, next_step),) = at_harness.rows(
        "select detail, next_step from reconciliation.exceptions where kind = 'exchange_not_shipped'"
        f" and return_item_id = '{kept.item}'"
    )
    assert f"is held, since it also holds the replacement of {other.item}, which was refused" in detail
    assert next_step.startswith("Take the refused replacement out of the order")


@pytest.mark.slow
def test_a_release_by_another_mark_is_another_release(at_harness: Harness) -> None:
    at_harness.with_policy(exchange={"release": "paid"})
    exchanged(at_harness)
    at_harness.settle()
    (order,) = at_harness.orders_of_ours()
    shipment = at_harness.act("create_shipment", order_number=order["number"])["made"]
    at_harness.settle()
    at_harness.with_policy(exchange={"release": "good_to_go"})
    at_harness.settle()
    assert at_harness.mutations().count("updateShipment") == 2
    (marked,) = at_harness.store.rows(f"select is_paid, is_good_to_go from shipments where id = {shipment}")
    assert (marked["is_paid"], marked["is_good_to_go"]) == (True, True)


@pytest.mark.slow
def test_an_order_that_someone_made_by_hand_is_theirs_to_release(at_harness: Harness) -> None:
    by_hand = at_harness.sell(("DRESS-M", 1, "100.00"), parts=())
    at_harness.act("create_shipment", order_number=by_hand.number)
    at_harness.with_policy(exchange={"release": "paid"}, modes={"exchange_order": "approve"})
    _, (unit,) = exchanged(at_harness)
    at_harness.plan()
    with at_harness.warehouse.transaction() as connection:
        signature = Signature("Carl", "by phone", at_harness.clock.now())
        approvals.tie_order(connection, signature, str(by_hand.number), [unit.item])
    at_harness.settle()
    assert at_harness.states("exchange_order") == {unit.item: "confirmed"}
    assert "updateShipment" not in at_harness.mutations()


@pytest.mark.slow
def test_a_release_waits_for_an_approval_unless_its_exchange_has_one(at_harness: Harness) -> None:
    at_harness.with_policy(exchange={"release": "paid"}, modes={"exchange_order": "approve"})
    exchanged(at_harness)
    at_harness.settle()
    assert at_harness.orders_of_ours() == []
    with at_harness.warehouse.transaction() as connection:
        approvals.approve(
            connection, Signature("Carl", "seen", at_harness.clock.now()), effect_types=["exchange_order"]
        )
    at_harness.settle()
    (order,) = at_harness.orders_of_ours()
    at_harness.act("create_shipment", order_number=order["number"])
    at_harness.settle()
    assert at_harness.mutations().count("updateShipment") == 1
    # Sent without an approval, in live mode: its release is for a person once the mode is "approve".
    at_harness.with_policy(exchange={"release": "paid"})
    exchanged(at_harness)
    at_harness.settle()
    other = next(row for row in at_harness.orders_of_ours() if row["number"] != order["number"])
    at_harness.with_policy(exchange={"release": "paid"}, modes={"exchange_order": "approve"})
    at_harness.act("create_shipment", order_number=other["number"])
    at_harness.settle()
    assert at_harness.mutations().count("updateShipment") == 1


def called(at_harness: Harness, order: dict[str, Any], word: str) -> None:
    """Centra gives an order a status that no document lists."""
    at_harness.store.force_word("order", order["number"], word)
    at_harness.store.set_order(order["number"], {}, at_harness.clock.now())


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before the plan", "after the plan"])
def test_a_replacement_whose_status_the_policy_does_not_know_is_not_released(at_harness: Harness, when: str) -> None:
    exchanged(at_harness)
    at_harness.settle()
    (order,) = at_harness.orders_of_ours()
    at_harness.act("create_shipment", order_number=order["number"])
    at_harness.settle()
    at_harness.with_policy(exchange={"release": "paid"})
    if when == "before the plan":
        called(at_harness, order, "VOIDED")
    at_harness.plan()
    called(at_harness, order, "VOIDED")
    at_harness.push()
    assert "updateShipment" not in at_harness.mutations()
    words = {"order_status": {"open": ["PENDING", "CONFIRMED", "VOIDED"]}}
    at_harness.with_policy(exchange={"release": "paid"}, centra={"words": words})
    at_harness.settle()
    assert at_harness.mutations().count("updateShipment") == 1


@pytest.mark.slow
def test_an_exchange_does_not_go_on_while_the_status_of_its_order_is_not_known(at_harness: Harness) -> None:
    at_harness.with_policy(centra={"words": {"order_status": {"open": ["LISTED_NOWHERE"]}}})
    sold, (unit,) = exchanged(at_harness)
    at_harness.sync()
    later(at_harness, minutes=20)
    at_harness.sync()
    (made,) = at_harness.returns_of(sold)
    assert made["status"] == "PENDING"
    assert len(at_harness.orders_of_ours()) == 1
    (why,) = at_harness.rows("select reason from push.ledger where effect_kind = 'exchange_order'")
    assert "the meaning of the order status" in str(why[0])
    at_harness.with_policy()
    at_harness.settle()
    (made,) = at_harness.returns_of(sold)
    assert made["status"] == "COMPLETED"
    assert len(at_harness.orders_of_ours()) == 1
    assert at_harness.states("exchange_order") == {unit.item: "confirmed"}


# ---------------------------------------------------------------- M6: ordered and not shipped


def test_an_exchange_that_is_ordered_and_never_shipped_is_the_warehouses_exception_until_it_is_shipped(
    at_harness: Harness,
) -> None:
    at_harness.with_policy(exchange={"release": "paid"}, modes={"exchange_order": "live"})
    _, (unit,) = exchanged(at_harness)
    at_harness.settle()
    order = replacement_of(at_harness, unit)
    later(at_harness, hours=119)
    at_harness.plan()
    assert kinds(at_harness) == []
    later(at_harness, hours=2)
    at_harness.plan()
    ((kind, item, detail),) = told(at_harness)
    assert (kind, item) == ("exchange_not_shipped", unit.item)
    assert (
        f"Replacement order {order['number']} was made on 2026-09-30 and is not shipped: Centra shows no shipment"
        in detail
    )
    owner = at_harness.rows(
        "select owner_team, amount from reconciliation.exceptions where kind = 'exchange_not_shipped'"
    )
    assert owner == [("warehouse", HUNDRED)]
    at_harness.act("ship", order_number=order["number"], captured=False)
    at_harness.settle()
    assert kinds(at_harness) == []
    assert proofs(at_harness, "exchange_not_shipped") == [
        f"replacement order {order['number']} was shipped on {at_harness.clock.now():%Y-%m-%d}"
    ]


@pytest.mark.slow
def test_one_that_is_not_shipped_because_nobody_released_it_says_so_and_becomes_canceled(at_harness: Harness) -> None:
    _, (unit,) = exchanged(at_harness)
    at_harness.settle()
    order = replacement_of(at_harness, unit)
    at_harness.act("create_shipment", order_number=order["number"])
    at_harness.with_policy(exchange={"release": "good_to_go"}, modes={"exchange_order": "dry_run"})
    later(at_harness, hours=121)
    at_harness.sync()
    ((_, _, detail),) = told(at_harness)
    assert "is not marked as good to go" in detail
    at_harness.act("cancel_order", order_number=order["number"])
    at_harness.sync()
    assert kinds(at_harness) == [("exchange_canceled", unit.item)]
    assert proofs(at_harness, "exchange_not_shipped") == ["became exchange_canceled"]


# ---------------------------------------------------------------- M5: canceled by somebody, ordered again or paid


def canceled(at_harness: Harness, **given: Any) -> tuple[Sold, Unit]:
    """Exchanged, and days later somebody cancels the replacement in Centra."""
    sold, (unit,) = exchanged(at_harness, grade="sellable", **given)
    at_harness.settle()
    later(at_harness, days=3)
    at_harness.act("cancel_order", order_number=replacement_of(at_harness, unit)["number"])
    at_harness.sync()
    assert kinds(at_harness) == [("exchange_canceled", unit.item)]
    return sold, unit


@pytest.mark.slow
def test_a_replacement_that_a_person_cancels_days_later_is_an_exception_at_once_with_the_choice(
    at_harness: Harness,
) -> None:
    sold, unit = canceled(at_harness)
    (order,) = at_harness.orders_of_ours()
    ((kind, item, detail),) = told(at_harness)
    assert (kind, item) == ("exchange_canceled", unit.item)
    assert str(order["number"]) in detail
    ((owner, amount, culprit, step),) = at_harness.rows(
        "select owner_team, amount, culprit, next_step from reconciliation.exceptions where kind = 'exchange_canceled'"
    )
    assert (owner, amount, culprit) == ("customer_service", HUNDRED, "person")
    assert f"hr-centra reorder {unit.item}" in step
    assert f"hr-centra pay-instead {unit.item}" in step
    at_harness.settle()
    assert f"{unit.code}: replacement canceled " in at_harness.comment_of(sold)
    assert at_harness.rows("select exchange, given from effects.value_given_back") == [(0, 0)]
    assert len(at_harness.orders_of_ours()) == 1  # nothing is done without a decision
    assert at_harness.refunded(sold) == 0


@pytest.mark.slow
def test_ordered_again_there_is_one_new_order_with_a_number_of_its_own_and_the_same_return(at_harness: Harness) -> None:
    sold, unit = canceled(at_harness)
    (first,) = at_harness.orders_of_ours()
    decide(at_harness, "reorder", unit)
    assert "has it ordered again" in refused(at_harness, "reorder", unit)
    assert "has it ordered again" in refused(at_harness, "pay", unit)
    at_harness.plan()
    assert kinds(at_harness) == []  # somebody has decided; what is to be sent is in the plan
    assert proofs(at_harness, "exchange_canceled") == ["to be ordered again, decided by Carla Customer"]
    at_harness.settle()
    again = replacement_of(at_harness, unit)
    assert again["number"] != first["number"]
    assert len(at_harness.orders_of_ours()) == 2
    (made,) = at_harness.returns_of(sold)
    assert again["origin"] == ["return", made["id"]]
    assert (made["status"], made["payments"]) == ("COMPLETED", [])
    assert set(at_harness.states("exchange_order").values()) == {"confirmed"}
    assert kinds(at_harness) == []
    # The grade came last; the order is named whatever the milestone is.
    assert f"{unit.code}: processed, replacement order {again['number']} " in at_harness.comment_of(sold)
    assert "not canceled" in refused(at_harness, "reorder", unit)
    assert at_harness.rows("select exchange, given, too_much from effects.value_given_back") == [(HUNDRED, HUNDRED, 0)]
    later(at_harness, minutes=1)
    assert month(at_harness, "2026-10")[unit.item] == (str(again["number"]), False)
    # The second one is canceled, too: that is another decision.
    at_harness.act("cancel_order", order_number=again["number"])
    at_harness.settle()
    assert kinds(at_harness) == [("exchange_canceled", unit.item)]
    decide(at_harness, "pay", unit)
    at_harness.settle()
    assert at_harness.refunded(sold) == HUNDRED
    assert kinds(at_harness) == []


def all_canceled(at_harness: Harness) -> list[tuple[Sold, Unit]]:
    """One exchange for each fault, and somebody has canceled every replacement."""
    at_harness.with_policy(**ONE_BY_ONE)
    units = [(sold, unit) for sold, (unit,) in (exchanged(at_harness) for _ in FAULTS)]
    at_harness.settle()
    for order in at_harness.orders_of_ours():
        at_harness.act("cancel_order", order_number=order["number"])
    at_harness.sync()
    assert len(kinds(at_harness)) == len(units)
    return units


@pytest.mark.slow
def test_whatever_is_lost_on_the_way_a_canceled_replacement_is_ordered_again_once(at_harness: Harness) -> None:
    units = all_canceled(at_harness)
    for _, unit in units:
        decide(at_harness, "reorder", unit)
    for kind in FAULTS:
        at_harness.fault(kind, "POST /order")
    at_harness.settle()
    alive = [row for row in at_harness.orders_of_ours() if row["status"] != "DELETED"]
    assert len(alive) == len(units)
    assert len({row["origin"][1] for row in alive}) == len(units)
    assert kinds(at_harness) == []


def month(at_harness: Harness, name: str) -> dict[str, tuple[str | None, bool]]:
    """By unit: the replacement order, and whether the money was given instead."""
    with at_harness.warehouse.transaction() as connection:
        compute(connection, name, at_harness.clock.now())
    rows = at_harness.rows(
        "select return_item_id, replacement_order_number, is_refunded from month_end.month_exchanges where month = ?",
        name,
    )
    return {unit: (order, is_refunded) for unit, order, is_refunded in rows}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("only_open", "operation"),
    mostly_slow(
        [(False, "RefundReturn"), (True, "RefundReturn"), (True, "UncompleteReturn")], (True, "UncompleteReturn")
    ),
)
def test_paid_instead_the_return_of_the_exchange_is_refunded_once_whatever_is_lost_on_the_way(
    tmp_path: Path, only_open: bool, operation: str
) -> None:
    with harness(tmp_path, centra=CentraSettings(refunds_only_open_returns=only_open)) as at_harness:
        units = all_canceled(at_harness)
        for _, unit in units:
            decide(at_harness, "pay", unit)
            assert "refunds the money" in refused(at_harness, "pay", unit)
            assert "refunds the money" in refused(at_harness, "reorder", unit)
        for kind in FAULTS:
            at_harness.fault(kind, operation)
        at_harness.settle()
        for sold, unit in units:
            (made,) = at_harness.returns_of(sold)
            assert (made["status"], made["payments"]) == ("COMPLETED", [["REFUND", "SUCCESS", "100.00"]])
            assert at_harness.refunded(sold) == HUNDRED
            assert f"{unit.code}: refunded " in at_harness.comment_of(sold)
            assert "replacement order" not in at_harness.comment_of(sold)
        assert len(at_harness.orders_of_ours()) == len(units)
        assert set(at_harness.states().values()) == {"confirmed"}
        assert at_harness.reconcile() == []
        paid = {f"the money was refunded instead: Return {at_harness.returns_of(sold)[0]['id']}" for sold, _ in units}
        assert set(proofs(at_harness, "exchange_canceled")) == paid


@pytest.mark.slow
def test_money_given_instead_is_explained_and_owed_and_paid_in_the_ledger(at_harness: Harness) -> None:
    _, unit = canceled(at_harness)
    decide(at_harness, "pay", unit)
    at_harness.settle()
    at_harness.settle()
    later(at_harness, minutes=1)
    rows = at_harness.rows(
        "select refund, exchange, given, too_much, is_paid_instead from effects.value_given_back where return_item_id = ?",
        unit.item,
    )
    assert rows == [(HUNDRED, 0, HUNDRED, 0, True)]
    assert at_harness.reconcile() == []
    facts = at_harness.rows(
        "select component, amount, in_goods, is_pending from reconciliation.refund_facts where side = 'centra'"
    )
    assert facts == [("exchange", HUNDRED, 0, False)]
    match = at_harness.rows(
        "select component, centra_amount, is_explained, explained_by from reconciliation.refund_match"
    )
    assert match == [("exchange", HUNDRED, True, "given_instead")]
    # As it stood at the end of September the replacement was on its way; in October the exchange is over.
    (order,) = at_harness.orders_of_ours()
    assert month(at_harness, "2026-09") == {unit.item: (str(order["number"]), False)}
    assert month(at_harness, "2026-10") == {}
    with at_harness.warehouse.transaction() as connection:
        remember(connection, at_harness.clock.now(), "policy")
        compute(connection, "2026-10", at_harness.clock.now())
    liability = at_harness.rows(
        "select became_refundable_amount, credited_amount, paid_amount, closing_amount from month_end.refund_liability"
        " where month = '2026-10'"
    )
    assert liability == [(HUNDRED, HUNDRED, HUNDRED, 0)]
    assert at_harness.rows("select return_id, balance from month_end.refund_liability_returns") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("when", "operation", "state"),
    [("person_after", "UncompleteReturn", "planned"), ("person_before", "RefundReturn", "rejected")],
)
def test_when_the_money_cannot_be_given_any_more_the_return_is_put_back_as_it_was_and_someone_is_alerted(
    tmp_path: Path, when: str, operation: str, state: str
) -> None:
    with harness(tmp_path, centra=CentraSettings(refunds_only_open_returns=True)) as at_harness:
        sold, unit = canceled(at_harness)
        decide(at_harness, "pay", unit)
        # We have opened the Return, and somebody gives money of the order back in another way.
        given = {"order_number": sold.number, "amount": "60.00"}
        at_harness.fault(when, operation, act="refund_order", given=given, after=int(operation == "RefundReturn"))
        at_harness.settle()
        (made,) = at_harness.returns_of(sold)
        assert (made["status"], made["payments"]) == ("COMPLETED", [])
        assert at_harness.refunded(sold) == Decimal("60.00")
        assert "deleteReturn" not in at_harness.mutations()
        assert at_harness.states() == {unit.item: state}
        later(at_harness, days=4)
        at_harness.plan()
        open_kinds = {row[0] for row in at_harness.reconcile()}
        credit = "rejected_write" if state == "rejected" else "return_without_credit_note"
        assert open_kinds == {"refund_without_credit_note", credit}


@pytest.mark.slow
def test_who_pays_elsewhere_or_by_hand_is_reported_and_two_pairs_of_eyes_are_needed(at_harness: Harness) -> None:
    _, unit = canceled(at_harness)
    assert "changed the policy last" in refused(at_harness, "pay", unit, by="Petra Policy")
    assert "changed the policy last" in refused(at_harness, "reorder", unit, by="petra policy")
    at_harness.with_policy(pays_through={"refund": "elsewhere", "gift-card": "gift_card"})
    at_harness.sync()
    assert 'pays_through.refund is "elsewhere"' in refused(at_harness, "pay", unit)
    assert at_harness.rows("select count(*) from push.exchange_decisions") == [(0,)]
    at_harness.with_policy()
    at_harness.sync()
    assert "there is no unit with that id" in refused(at_harness, "pay", Unit("IT-99999", "", "", unit.sold, 0))
    at_harness.change(unit, disposition="wrong-item")
    at_harness.sync()
    assert "nothing is due" in refused(at_harness, "pay", unit)
    assert kinds(at_harness) == []
    assert proofs(at_harness, "exchange_canceled") == ["refused by Happy Returns: nothing is due"]


@pytest.mark.slow
def test_both_decisions_are_commands_that_want_a_name_and_a_reason(
    at_harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = all_canceled(at_harness)
    monkeypatch.setenv("HR_CENTRA_HOME", str(at_harness.home))
    monkeypatch.setenv("HR_CENTRA_NOW", f"{at_harness.clock.now():%Y-%m-%dT%H:%M:%SZ}")
    for command, decision, (_, unit) in zip(("reorder", "pay-instead"), ("order_again", "pay"), units, strict=False):
        signed = ["--by", "Carla Customer", "--why", "she asked for it"]
        unsigned = CliRunner().invoke(app, [command, unit.item])
        assert isinstance(unsigned.exception, ConfigurationError)
        done = CliRunner().invoke(app, [command, unit.item, *signed], catch_exceptions=False)
        assert unit.item in done.output
        assert "Carla Customer" in done.output
        twice = CliRunner().invoke(app, [command, unit.item, *signed])
        assert isinstance(twice.exception, ConfigurationError)
        kept = at_harness.rows(
            "select ordinal, decision, decided_by, why from push.exchange_decisions where return_item_id = ?", unit.item
        )
        assert kept == [(1, decision, "Carla Customer", "she asked for it")]
    story = explain(at_harness, units[0][1].return_id)
    assert "has the canceled replacement ordered again: she asked for it" in story


def explain(at_harness: Harness, return_id: str) -> str:
    return CliRunner().invoke(app, ["explain", return_id, "--json"], catch_exceptions=False).output


@pytest.mark.slow
def test_a_return_of_several_units_is_paid_whole_or_not_at_all(tmp_path: Path) -> None:
    with harness(tmp_path, centra=CentraSettings(splits_orders=True)) as at_harness:
        sold = at_harness.sell(("DRESS-S", 2, "100.00"))
        first = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M")
        second = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="SHIRT-M", with_unit=first)
        at_harness.settle()
        numbers = [row["number"] for row in at_harness.orders_of_ours()]
        at_harness.act("cancel_order", order_number=numbers[0])
        at_harness.settle()
        ((_, lost, _),) = told(at_harness)
        unit, other = (first, second) if lost == first.item else (second, first)
        assert f"{other.item}: its replacement" in refused(at_harness, "pay", unit)
        at_harness.act("cancel_order", order_number=numbers[1])
        at_harness.settle()
        paid = decide(at_harness, "pay", unit)
        assert {one.return_item_id for one in paid} == {first.item, second.item}
        at_harness.settle()
        assert at_harness.refunded(sold) == 2 * HUNDRED
        assert kinds(at_harness) == []


@pytest.mark.slow
def test_happy_returns_changes_a_canceled_exchange_to_a_refund_and_it_is_paid_on_the_return_that_is_there(
    at_harness: Harness,
) -> None:
    sold, unit = canceled(at_harness)
    at_harness.change(unit, refund_type="refund")
    at_harness.settle()
    (made,) = at_harness.returns_of(sold)
    assert made["payments"] == [["REFUND", "SUCCESS", "100.00"]]
    assert kinds(at_harness) == []
    assert proofs(at_harness, "exchange_canceled") == ["Happy Returns refunds it instead"]
    assert "paid automatically" in refused(at_harness, "pay", unit) or "refunded already" in refused(
        at_harness, "pay", unit
    )


@pytest.mark.slow
def test_someone_refunds_the_return_of_a_canceled_exchange_by_hand_and_that_ends_it(at_harness: Harness) -> None:
    sold, unit = canceled(at_harness)
    (made,) = at_harness.returns_of(sold)
    at_harness.act("refund_return", return_id=made["id"])
    at_harness.settle()
    assert kinds(at_harness) == []
    assert proofs(at_harness, "exchange_canceled") == [f"the money was refunded instead: Return {made['id']}"]
    assert "it was refunded already" in refused(at_harness, "reorder", unit)
    at_harness.settle()
    assert f"{unit.code}: refunded " in at_harness.comment_of(sold)
    assert at_harness.refunded(sold) == HUNDRED


@pytest.mark.slow
def test_who_makes_the_order_again_by_hand_ties_it(at_harness: Harness) -> None:
    by_hand = at_harness.sell(("DRESS-M", 1, "100.00"))
    _, unit = canceled(at_harness)
    with (
        at_harness.warehouse.transaction() as connection,
        pytest.raises(ConfigurationError, match="changed the policy last"),
    ):
        approvals.tie_order(
            connection, Signature("Petra Policy", "by phone", at_harness.clock.now()), str(by_hand.number), [unit.item]
        )
    with at_harness.warehouse.transaction() as connection:
        approvals.tie_order(
            connection, Signature("Carl", "by phone", at_harness.clock.now()), str(by_hand.number), [unit.item]
        )
    at_harness.settle()
    assert len(at_harness.orders_of_ours()) == 1
    assert kinds(at_harness) == []
    assert "not canceled" in refused(at_harness, "pay", unit)


@pytest.mark.slow
@pytest.mark.parametrize("act", ["cancel_order", "delete_return"])
@pytest.mark.parametrize("when", ["person_before", "person_after"])
def test_who_cancels_the_order_or_deletes_the_return_right_around_our_completion_is_found(
    at_harness: Harness, act: str, when: str
) -> None:
    sold, (unit,) = exchanged(at_harness)
    at_harness.fault(when, "CompleteReturn", act=act)
    at_harness.settle()
    later(at_harness, days=2)
    at_harness.plan()
    found = [row[0] for row in at_harness.reconcile() if row[1] == unit.item]
    if act == "cancel_order":
        assert found == ["exchange_canceled"]
    elif when == "person_after":
        assert found == ["return_without_credit_note"]
        ((_, _, detail),) = told(at_harness, "return_without_credit_note")
        assert "someone deleted it" in detail
    else:
        assert found == ["write_in_doubt"]
    assert at_harness.refunded(sold) == 0


@pytest.mark.slow
@pytest.mark.parametrize("canceled_too", [False, True])
def test_the_database_is_lost_after_it_was_ordered_again(at_harness: Harness, canceled_too: bool) -> None:
    _, unit = canceled(at_harness)
    decide(at_harness, "reorder", unit)
    at_harness.settle()
    again = replacement_of(at_harness, unit)
    if canceled_too:
        at_harness.act("cancel_order", order_number=again["number"])
    before = len(at_harness.mutations())
    at_harness.forget()
    at_harness.sync()  # takes over what Centra shows
    at_harness.settle()
    assert [name for name in at_harness.mutations()[before:] if name != "updateDirectToConsumerOrder"] == []
    assert len(at_harness.orders_of_ours()) == 2
    rows = at_harness.rows("select ordinal, state from effects.replacements order by ordinal")
    assert rows == [(1, "canceled"), (2, "canceled" if canceled_too else "ordered")]
    assert kinds(at_harness) == ([("exchange_canceled", unit.item)] if canceled_too else [])


@pytest.mark.slow
def test_canceled_while_our_order_was_in_doubt_it_is_not_ordered_again_by_itself(
    at_harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold, (unit,) = exchanged(at_harness)
    at_harness.fault("dropped_after", "POST /order")
    at_harness.plan()
    with monkeypatch.context() as dies_early:
        dies_early.setattr(Sender, "look_up", lambda *_: None)
        at_harness.push()
    (order,) = at_harness.orders_of_ours()
    at_harness.act("cancel_order", order_number=order["number"])
    at_harness.settle()
    assert len(at_harness.orders_of_ours()) == 1
    assert kinds(at_harness) == [("exchange_canceled", unit.item)]
    assert at_harness.returns_of(sold)[0]["status"] == "COMPLETED"


@pytest.mark.slow
def test_someone_refunds_our_return_before_the_replacement_is_ordered_and_nothing_is_ordered(
    at_harness: Harness,
) -> None:
    sold, (unit,) = exchanged(at_harness)
    at_harness.fault("person_after", "CreateReturn", act="refund_return", given={"return_id": 1})
    at_harness.settle()
    assert at_harness.orders_of_ours() == []
    assert at_harness.refunded(sold) == HUNDRED
    assert at_harness.reconcile() == []
    assert at_harness.rows("select given, too_much, is_paid_instead from effects.value_given_back") == [
        (HUNDRED, 0, True)
    ]
    assert f"{unit.code}: refunded " in at_harness.comment_of(sold)


@pytest.mark.slow
def test_money_in_place_of_a_replacement_that_the_provider_refuses_is_an_exception(tmp_path: Path) -> None:
    with harness(tmp_path, centra=CentraSettings(refunds_in_two_steps=("card", "wallet"))) as at_harness:
        _, unit = canceled(at_harness)
        decide(at_harness, "pay", unit)
        at_harness.settle()
        at_harness.act("answer_requests", kind="refund", succeeded=False)
        later(at_harness, days=5)
        at_harness.settle()
        ((kind, _, detail),) = at_harness.reconcile()
        assert kind == "credit_note_without_refund"
        assert "the payment provider refused the refund" in detail


@pytest.mark.slow
def test_a_refund_by_hand_that_failed_before_is_not_ours_and_the_money_is_given(tmp_path: Path) -> None:
    with harness(tmp_path, centra=CentraSettings(refunds_in_two_steps=("card", "wallet"))) as at_harness:
        sold, unit = canceled(at_harness)
        at_harness.act("refund_return", return_id=at_harness.returns_of(sold)[0]["id"])
        at_harness.settle()
        at_harness.act("answer_requests", kind="refund", succeeded=False)
        at_harness.settle()
        decide(at_harness, "pay", unit)
        at_harness.settle()
        at_harness.act("answer_requests", kind="refund")
        at_harness.settle()
        assert at_harness.rows("select given, too_much from effects.value_given_back") == [(HUNDRED, 0)]
        assert at_harness.mutations().count("refundReturn") == 1


@pytest.mark.slow
def test_nothing_is_decided_while_a_refund_by_hand_is_under_way(tmp_path: Path) -> None:
    with harness(tmp_path, centra=CentraSettings(refunds_in_two_steps=("card", "wallet"))) as at_harness:
        at_harness.fault("person_after", "CreateReturn", act="refund_return", given={"return_id": 1})
        sold, (unit,) = exchanged(at_harness)
        at_harness.sync()
        later(at_harness, minutes=20)
        at_harness.sync()
        assert at_harness.orders_of_ours() == []
        assert at_harness.states("exchange_order") != {unit.item: "confirmed"}
        at_harness.act("answer_requests", kind="refund", succeeded=False)
        at_harness.settle()
        assert at_harness.states("exchange_order") == {unit.item: "confirmed"}
        assert len(at_harness.orders_of_ours()) == 1
        assert [row["status"] for row in at_harness.returns_of(sold)] == ["COMPLETED"]


@pytest.mark.slow
def test_a_shipment_that_also_holds_a_refused_unit_s_replacement_is_not_released(at_harness: Harness) -> None:
    at_harness.with_policy(exchange={"release": "good_to_go"})
    _, units = exchanged(at_harness, 2)
    at_harness.settle()
    (order,) = at_harness.orders_of_ours()
    at_harness.change(units[0], disposition="wrong-item")
    at_harness.settle()
    at_harness.act("create_shipment", order_number=order["number"])
    at_harness.settle()
    assert "updateShipment" not in at_harness.mutations()


# ---------------------------------------------------------------- M8: what the unit cost


@pytest.mark.slow
def test_the_return_of_an_exchange_carries_the_units_share_of_the_voucher(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "174.90"), voucher="22.00")
    unit = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M")
    at_harness.settle()
    (made,) = at_harness.returns_of(sold)
    assert (made["status"], made["grand_total"]) == ("COMPLETED", "152.90")
    assert at_harness.rows("select amount from push.ledger where effect_kind = 'exchange_order'") == [
        (Decimal("152.90"),)
    ]
    assert at_harness.rows("select paid, given, too_much from effects.value_given_back") == [
        (Decimal("152.90"), Decimal("152.90"), 0)
    ]
    at_harness.act("cancel_order", order_number=replacement_of(at_harness, unit)["number"])
    at_harness.sync()
    decide(at_harness, "pay", unit)
    at_harness.settle()
    assert at_harness.refunded(sold) == Decimal("152.90")
    assert at_harness.reconcile() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ways", "together"),
    mostly_slow(product(["xxx", "xrx", "rxr", "rrx"], [True, False]), ("xrx", False)),
)
def test_the_shares_of_refunds_and_exchanges_sum_back_to_the_voucher(
    at_harness: Harness, ways: str, together: bool
) -> None:
    sold = at_harness.sell(("DRESS-S", 3, "33.33"), voucher="10.00")
    for way in ways:
        at_harness.comes_back(
            sold, refund_type="exchange" if way == "x" else "refund", exchange_sku="DRESS-M" if way == "x" else None
        )
        if not together:
            at_harness.settle()
    at_harness.settle()
    made = at_harness.returns_of(sold)
    assert {row["status"] for row in made} == {"COMPLETED"}
    assert sum(Decimal(row["grand_total"]) for row in made) == 3 * Decimal("33.33") - Decimal("10.00")


@pytest.mark.slow
def test_where_an_order_has_several_shipments_the_return_of_an_exchange_carries_no_voucher_and_is_not_paid_by_us(
    at_harness: Harness,
) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"), ("SHIRT-M", 1, "100.00"), voucher="50.00", parts=(1,))
    unit = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M")
    at_harness.settle()
    (made,) = at_harness.returns_of(sold)
    assert made["grand_total"] == "100.00"
    at_harness.act("cancel_order", order_number=replacement_of(at_harness, unit)["number"])
    at_harness.sync()
    decide(at_harness, "pay", unit)
    at_harness.settle()
    assert at_harness.refunded(sold) == 0
    later(at_harness, days=2)
    at_harness.plan()
    ((_, item, detail),) = told(at_harness, "return_without_credit_note")
    assert item == unit.item
    assert "voucher on an order with several shipments" in detail


assert POLICY["changed_by"] == "Petra Policy"
