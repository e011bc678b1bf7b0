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
from hr_centra_pipeline_tests.desk import POLICY, Desk, Sold, Unit, desk
from hr_centra_pipeline_tests.push.test_exchanges import HUNDRED, exchanged, number_of

# Done and not answered; never done.
FAULTS = ("dropped_after", "error_after", "wrong_content_type", "dropped_before", "error_before", "rate_limited")
ONE_BY_ONE: dict[str, Any] = {"centra": {"calls_per_request": 1}}


def later(at_desk: Desk, **time: float) -> None:
    at_desk.clock.advance_to(at_desk.clock.now() + timedelta(**time))


def told(at_desk: Desk, kind: str = "exchange_") -> list[tuple[str, str | None, str]]:
    """(kind, unit, detail) of the open exceptions whose kind begins so."""
    return [row for row in at_desk.reconcile() if row[0].startswith(kind)]


def kinds(at_desk: Desk) -> list[tuple[str, str | None]]:
    return [row[:2] for row in told(at_desk)]


def proofs(at_desk: Desk, kind: str) -> list[str]:
    rows = at_desk.rows(
        "select proof from reconciliation.exception_events where event = 'closed' and kind = ? order by recorded_at, proof",
        kind,
    )
    return [str(proof) for (proof,) in rows]


def decide(at_desk: Desk, what: str, unit: Unit, by: str = "Carla Customer") -> Any:
    signature = Signature(by, "the shopper was asked", at_desk.clock.now())
    with at_desk.warehouse.transaction() as connection:
        if what == "reorder":
            return approvals.order_again(connection, signature, unit.item)
        return approvals.pay_instead(connection, signature, unit.item)


def refused(at_desk: Desk, what: str, unit: Unit, by: str = "Carla Customer") -> str:
    with pytest.raises(ConfigurationError) as error:
        decide(at_desk, what, unit, by)
    return str(error.value)


def replacement_of(at_desk: Desk, unit: Unit) -> dict[str, Any]:
    """The order of ours that is alive."""
    (order,) = [row for row in at_desk.orders_of_ours() if row["status"] != "DELETED"]
    assert number_of(unit) <= order["number"] or order["number"] >= 900_000
    return order


# ---------------------------------------------------------------- what the two orders say of each other


def test_the_replacement_says_in_words_what_it_is_for_and_the_old_order_names_it(at_desk: Desk) -> None:
    sold, units = exchanged(at_desk, 2)
    at_desk.settle()
    (order,) = at_desk.orders_of_ours()
    words, *marks = order["internal_comment"].splitlines()
    assert words == f"Replacement for order {sold.number}, Happy Returns {units[0].code} {units[0].return_id}"
    ((packet, members),) = at_desk.rows("select packet_key, members from push.packets where operation = 'exchange'")
    assert marks == [packet, *members]
    assert f"{units[0].code}: exchanged, replacement order {order['number']} " in at_desk.comment_of(sold)
    # Read back, only the marks are kept; the order is known as a replacement by them.
    kept = at_desk.rows(
        "select payload ->> 'internalComment' from landing.centra_orders where order_number = ?", str(order["number"])
    )
    assert {text for (text,) in kept} == {"\n".join(marks)}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dropped_after", "error_before"])
def test_words_that_do_not_fit_are_left_out_and_the_order_is_found_by_its_marks(at_desk: Desk, kind: str) -> None:
    at_desk.with_policy(centra={"comment_limit": 60})
    sold, (unit,) = exchanged(at_desk)
    at_desk.fault(kind, "POST /order")
    at_desk.plan()
    for _ in range(2):
        at_desk.push()
    (order,) = at_desk.orders_of_ours()
    assert order["internal_comment"].splitlines()[0] == f"Replacement for order {sold.number}"
    assert len(order["internal_comment"]) <= 60
    assert at_desk.states("exchange_order") == {unit.item: "confirmed"}


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
    with desk(tmp_path, centra=CentraSettings(creates_shipments=True)) as at_desk:
        at_desk.with_policy(exchange={"release": "paid"})
        sold, (unit,) = exchanged(at_desk)
        before = at_desk.store.order(sold.number)
        at_desk.fault("person_after", "POST /order", act="change_order", given=CHANGES[field])
        at_desk.settle()
        (order,) = at_desk.orders_of_ours()
        (made,) = at_desk.returns_of(sold)
        assert (made["status"], at_desk.states("exchange_order")) == ("PENDING", {unit.item: "unknown"})
        assert "updateShipment" not in at_desk.mutations()
        ((kind, item, detail),) = told(at_desk)
        assert (kind, item) == ("exchange_differs", unit.item)
        assert f"order {order['number']} differs in {field}" in detail
        assert "write_in_doubt" not in [row[0] for row in at_desk.reconcile()]
        assert_nothing_personal_is_kept(at_desk)
        # A person corrects it in Centra: it goes on by itself.
        changes = {name: before[name] for name in ("market_id", "pricelist_id", "address")}
        at_desk.store.set_order(order["number"], {**changes, "shipping": Decimal(0)})
        at_desk.settle()
        assert at_desk.returns_of(sold)[0]["status"] == "COMPLETED"
        assert at_desk.states("exchange_order") == {unit.item: "confirmed"}
        assert at_desk.mutations().count("updateShipment") == 1
        assert kinds(at_desk) == []
        assert proofs(at_desk, "exchange_differs") == [f"the exchange order is in Centra: {order['number']}"]


def assert_nothing_personal_is_kept(at_desk: Desk) -> None:
    texts = at_desk.rows(
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
def test_a_line_that_someone_changes_is_a_difference_and_one_that_is_canceled_is_none(at_desk: Desk) -> None:
    sold, (unit,) = exchanged(at_desk)
    at_desk.fault("error_before", "LookAtReplacementOrder", times=50)
    at_desk.sync()
    at_desk.calm_down()
    (order,) = at_desk.orders_of_ours()
    other = at_desk.store.size_by("SHIRT-M")
    assert other is not None
    at_desk.store.rows("update order_lines set size_id = ? where order_number = ?", [other["id"], order["number"]])
    at_desk.settle()
    assert [detail for _, _, detail in told(at_desk)] == [
        f"The replacement is not what was meant: order {order['number']} differs in lines"
    ]
    assert at_desk.returns_of(sold)[0]["status"] == "PENDING"
    at_desk.act("cancel_order", order_number=order["number"])
    at_desk.settle()
    assert kinds(at_desk) == [("exchange_canceled", unit.item)]
    assert proofs(at_desk, "exchange_differs") == ["became exchange_canceled"]


@pytest.mark.slow
def test_a_difference_is_accepted_as_it_is_by_name_and_another_one_is_held_again(at_desk: Desk) -> None:
    sold, (unit,) = exchanged(at_desk)
    at_desk.fault("person_after", "POST /order", act="change_order", given=CHANGES["street"])
    at_desk.settle()
    (order,) = at_desk.orders_of_ours()
    ((packet,),) = at_desk.rows("select packet_key from push.packets where trouble = 'differs'")
    at_desk.act("change_order", order_number=order["number"], shipping="4.90")
    with at_desk.warehouse.transaction() as connection:
        with pytest.raises(ConfigurationError, match="changed the policy last"):
            approvals.approve(connection, Signature("Petra Policy", "fine", at_desk.clock.now()), keys=[packet])
        approvals.approve(connection, Signature("Carl", "she has moved", at_desk.clock.now()), keys=[packet])
    at_desk.settle()
    # What has changed since is not what was accepted.
    assert at_desk.states("exchange_order") == {unit.item: "unknown"}
    assert "differs in street, total" in told(at_desk)[0][2]
    at_desk.act("change_order", order_number=order["number"], shipping="0")
    at_desk.settle()
    assert at_desk.states("exchange_order") == {unit.item: "confirmed"}
    assert at_desk.returns_of(sold)[0]["status"] == "COMPLETED"
    assert kinds(at_desk) == []


@pytest.mark.slow
def test_a_return_that_someone_completes_meanwhile_does_not_end_what_differs(at_desk: Desk) -> None:
    sold, (unit,) = exchanged(at_desk)
    at_desk.fault("person_after", "POST /order", act="change_order", given=CHANGES["market"])
    at_desk.settle()
    (made,) = at_desk.returns_of(sold)
    at_desk.act("complete_return", return_id=made["id"])
    at_desk.settle()
    assert at_desk.states("exchange_order") == {unit.item: "unknown"}
    assert kinds(at_desk) == [("exchange_differs", unit.item)]
    (order,) = at_desk.orders_of_ours()
    at_desk.act("change_order", order_number=order["number"], market_id=1)
    at_desk.settle()
    assert at_desk.states("exchange_order") == {unit.item: "confirmed"}
    assert at_desk.mutations().count("completeReturn") == 0


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
    at_desk: Desk, operation: str
) -> None:
    at_desk.with_policy(**ONE_BY_ONE)
    orders = [exchanged(at_desk)[0] for _ in FAULTS]
    # The first reading of these is before the order is made.
    after = 1 if operation in ("ReadRecipient", "LookAtReplacements") else 0
    for kind in FAULTS:
        at_desk.fault(kind, operation, after=after)
    at_desk.settle()
    assert len(at_desk.orders_of_ours()) == len(FAULTS)
    for sold in orders:
        (made,) = at_desk.returns_of(sold)
        assert (made["status"], made["payments"]) == ("COMPLETED", [])
    assert set(at_desk.states("exchange_order").values()) == {"confirmed"}


@pytest.mark.slow
def test_a_state_that_is_written_otherwise_is_no_difference(at_desk: Desk) -> None:
    sold, (unit,) = exchanged(at_desk)
    address = {"state_code": None, "state_or_province": "BY", "phone_number": "+49 (30) 1234-56", "city": " Riverton "}
    at_desk.act("change_order", order_number=sold.number, address=address)
    at_desk.settle()
    assert at_desk.states("exchange_order") == {unit.item: "confirmed"}
    assert kinds(at_desk) == []


# ---------------------------------------------------------------- released, once there is a shipment


@pytest.mark.slow
@pytest.mark.parametrize(
    ("release", "mark"),
    mostly_slow([("paid", "is_paid"), ("good_to_go", "is_good_to_go")], ("good_to_go", "is_good_to_go")),
)
def test_once_there_is_a_shipment_it_is_released_as_the_policy_says_and_that_once(
    at_desk: Desk, release: str, mark: str
) -> None:
    at_desk.with_policy(exchange={"release": release}, **ONE_BY_ONE)
    units = [unit for _ in FAULTS for unit in exchanged(at_desk, 2)[1]]
    at_desk.settle()
    orders = at_desk.orders_of_ours()
    assert at_desk.states("exchange_release") == {}
    for order in orders:
        at_desk.act("create_shipment", order_number=order["number"])
    for kind in FAULTS:
        at_desk.fault(kind, "UpdateShipment")
    at_desk.settle()
    shipments = at_desk.store.rows(f"select * from shipments where order_number >= 900000 and {mark}")
    assert len(shipments) == len(FAULTS) == len(orders)
    assert at_desk.mutations().count("updateShipment") == len(FAULTS)
    assert at_desk.states("exchange_release") == dict.fromkeys([unit.item for unit in units], "confirmed")
    at_desk.settle()
    assert at_desk.rows("select distinct is_paid or is_good_to_go from effects.replacements") == [(True,)]


@pytest.mark.slow
def test_by_default_nothing_is_released_and_what_someone_has_released_is_not_released_again(at_desk: Desk) -> None:
    _, (unit,) = exchanged(at_desk)
    at_desk.settle()
    (order,) = at_desk.orders_of_ours()
    shipment = at_desk.act("create_shipment", order_number=order["number"])["made"]
    at_desk.settle()
    assert "updateShipment" not in at_desk.mutations()
    at_desk.with_policy(exchange={"release": "paid"})
    at_desk.plan()
    assert at_desk.states("exchange_release") == {unit.item: "planned"}
    at_desk.store.mark_shipment(shipment, paid=True)
    at_desk.settle()
    assert "updateShipment" not in at_desk.mutations()
    at_desk.settle()
    assert at_desk.rows("select effect_kind from effects.pending_exchange_orders") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "what",
    mostly_slow(
        ["canceled before the plan", "canceled after the plan", "refused", "shipped"], "canceled after the plan"
    ),
)
def test_what_is_canceled_refused_or_shipped_is_not_released(at_desk: Desk, what: str) -> None:
    _, (unit,) = exchanged(at_desk)
    at_desk.settle()
    (order,) = at_desk.orders_of_ours()
    at_desk.act("create_shipment", order_number=order["number"])
    at_desk.settle()
    at_desk.with_policy(exchange={"release": "good_to_go"})
    if what == "refused":
        at_desk.change(unit, disposition="wrong-item")
    if what == "canceled before the plan":
        at_desk.act("cancel_order", order_number=order["number"])
    if what == "shipped":
        at_desk.act("ship", order_number=order["number"])
    at_desk.plan()
    if what == "canceled after the plan":
        at_desk.act("cancel_order", order_number=order["number"])
    at_desk.push()
    at_desk.settle()
    assert "updateShipment" not in at_desk.mutations()
    assert "confirmed" not in at_desk.states("exchange_release").values()


@pytest.mark.slow
def test_a_shipment_that_also_holds_a_refused_replacement_is_held_and_says_why(at_desk: Desk) -> None:
    sold = at_desk.sell(("DRESS-S", 2, "100.00"))
    kept = at_desk.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M")
    other = at_desk.comes_back(sold, refund_type="exchange", exchange_sku="SHIRT-M", with_unit=kept)
    at_desk.settle()
    (order,) = at_desk.orders_of_ours()
    at_desk.act("create_shipment", order_number=order["number"])
    at_desk.with_policy(exchange={"release": "good_to_go"})
    at_desk.change(other, disposition="wrong-item")
    at_desk.settle()
    assert "updateShipment" not in at_desk.mutations()
    at_desk.clock.advance_to(at_desk.clock.now() + timedelta(days=20))
    at_desk.sync()
    at_desk.reconcile()
    ((detail, next_step),) = at_desk.rows(
        "select detail, next_step from reconciliation.exceptions where kind = 'exchange_not_shipped'"
        f" and return_item_id = '{kept.item}'"
    )
    assert f"is held, since it also holds the replacement of {other.item}, which was refused" in detail
    assert next_step.startswith("Take the refused replacement out of the order")


@pytest.mark.slow
def test_a_release_by_another_mark_is_another_release(at_desk: Desk) -> None:
    at_desk.with_policy(exchange={"release": "paid"})
    exchanged(at_desk)
    at_desk.settle()
    (order,) = at_desk.orders_of_ours()
    shipment = at_desk.act("create_shipment", order_number=order["number"])["made"]
    at_desk.settle()
    at_desk.with_policy(exchange={"release": "good_to_go"})
    at_desk.settle()
    assert at_desk.mutations().count("updateShipment") == 2
    (marked,) = at_desk.store.rows(f"select is_paid, is_good_to_go from shipments where id = {shipment}")
    assert (marked["is_paid"], marked["is_good_to_go"]) == (True, True)


@pytest.mark.slow
def test_an_order_that_someone_made_by_hand_is_theirs_to_release(at_desk: Desk) -> None:
    by_hand = at_desk.sell(("DRESS-M", 1, "100.00"), parts=())
    at_desk.act("create_shipment", order_number=by_hand.number)
    at_desk.with_policy(exchange={"release": "paid"}, modes={"exchange_order": "approve"})
    _, (unit,) = exchanged(at_desk)
    at_desk.plan()
    with at_desk.warehouse.transaction() as connection:
        signature = Signature("Carl", "by phone", at_desk.clock.now())
        approvals.tie_order(connection, signature, str(by_hand.number), [unit.item])
    at_desk.settle()
    assert at_desk.states("exchange_order") == {unit.item: "confirmed"}
    assert "updateShipment" not in at_desk.mutations()


@pytest.mark.slow
def test_a_release_waits_for_an_approval_unless_its_exchange_has_one(at_desk: Desk) -> None:
    at_desk.with_policy(exchange={"release": "paid"}, modes={"exchange_order": "approve"})
    exchanged(at_desk)
    at_desk.settle()
    assert at_desk.orders_of_ours() == []
    with at_desk.warehouse.transaction() as connection:
        approvals.approve(connection, Signature("Carl", "seen", at_desk.clock.now()), effect_types=["exchange_order"])
    at_desk.settle()
    (order,) = at_desk.orders_of_ours()
    at_desk.act("create_shipment", order_number=order["number"])
    at_desk.settle()
    assert at_desk.mutations().count("updateShipment") == 1
    # Sent without an approval, in live mode: its release is for a person once the mode is "approve".
    at_desk.with_policy(exchange={"release": "paid"})
    exchanged(at_desk)
    at_desk.settle()
    other = next(row for row in at_desk.orders_of_ours() if row["number"] != order["number"])
    at_desk.with_policy(exchange={"release": "paid"}, modes={"exchange_order": "approve"})
    at_desk.act("create_shipment", order_number=other["number"])
    at_desk.settle()
    assert at_desk.mutations().count("updateShipment") == 1


def called(at_desk: Desk, order: dict[str, Any], word: str) -> None:
    """Centra gives an order a status that no document lists."""
    at_desk.store.force_word("order", order["number"], word)
    at_desk.store.set_order(order["number"], {}, at_desk.clock.now())


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before the plan", "after the plan"])
def test_a_replacement_whose_status_the_policy_does_not_know_is_not_released(at_desk: Desk, when: str) -> None:
    exchanged(at_desk)
    at_desk.settle()
    (order,) = at_desk.orders_of_ours()
    at_desk.act("create_shipment", order_number=order["number"])
    at_desk.settle()
    at_desk.with_policy(exchange={"release": "paid"})
    if when == "before the plan":
        called(at_desk, order, "VOIDED")
    at_desk.plan()
    called(at_desk, order, "VOIDED")
    at_desk.push()
    assert "updateShipment" not in at_desk.mutations()
    words = {"order_status": {"open": ["PENDING", "CONFIRMED", "VOIDED"]}}
    at_desk.with_policy(exchange={"release": "paid"}, centra={"words": words})
    at_desk.settle()
    assert at_desk.mutations().count("updateShipment") == 1


@pytest.mark.slow
def test_an_exchange_does_not_go_on_while_the_status_of_its_order_is_not_known(at_desk: Desk) -> None:
    at_desk.with_policy(centra={"words": {"order_status": {"open": ["LISTED_NOWHERE"]}}})
    sold, (unit,) = exchanged(at_desk)
    at_desk.sync()
    later(at_desk, minutes=20)
    at_desk.sync()
    (made,) = at_desk.returns_of(sold)
    assert made["status"] == "PENDING"
    assert len(at_desk.orders_of_ours()) == 1
    (why,) = at_desk.rows("select reason from push.ledger where effect_kind = 'exchange_order'")
    assert "the meaning of the order status" in str(why[0])
    at_desk.with_policy()
    at_desk.settle()
    (made,) = at_desk.returns_of(sold)
    assert made["status"] == "COMPLETED"
    assert len(at_desk.orders_of_ours()) == 1
    assert at_desk.states("exchange_order") == {unit.item: "confirmed"}


# ---------------------------------------------------------------- M6: ordered and not shipped


def test_an_exchange_that_is_ordered_and_never_shipped_is_the_warehouses_exception_until_it_is_shipped(
    at_desk: Desk,
) -> None:
    at_desk.with_policy(exchange={"release": "paid"}, modes={"exchange_order": "live"})
    _, (unit,) = exchanged(at_desk)
    at_desk.settle()
    order = replacement_of(at_desk, unit)
    later(at_desk, hours=119)
    at_desk.plan()
    assert kinds(at_desk) == []
    later(at_desk, hours=2)
    at_desk.plan()
    ((kind, item, detail),) = told(at_desk)
    assert (kind, item) == ("exchange_not_shipped", unit.item)
    assert (
        f"Replacement order {order['number']} was made on 2026-09-30 and is not shipped: Centra shows no shipment"
        in detail
    )
    owner = at_desk.rows("select owner_team, amount from reconciliation.exceptions where kind = 'exchange_not_shipped'")
    assert owner == [("warehouse", HUNDRED)]
    at_desk.act("ship", order_number=order["number"], captured=False)
    at_desk.settle()
    assert kinds(at_desk) == []
    assert proofs(at_desk, "exchange_not_shipped") == [
        f"replacement order {order['number']} was shipped on {at_desk.clock.now():%Y-%m-%d}"
    ]


@pytest.mark.slow
def test_one_that_is_not_shipped_because_nobody_released_it_says_so_and_becomes_canceled(at_desk: Desk) -> None:
    _, (unit,) = exchanged(at_desk)
    at_desk.settle()
    order = replacement_of(at_desk, unit)
    at_desk.act("create_shipment", order_number=order["number"])
    at_desk.with_policy(exchange={"release": "good_to_go"}, modes={"exchange_order": "dry_run"})
    later(at_desk, hours=121)
    at_desk.sync()
    ((_, _, detail),) = told(at_desk)
    assert "is not marked as good to go" in detail
    at_desk.act("cancel_order", order_number=order["number"])
    at_desk.sync()
    assert kinds(at_desk) == [("exchange_canceled", unit.item)]
    assert proofs(at_desk, "exchange_not_shipped") == ["became exchange_canceled"]


# ---------------------------------------------------------------- M5: canceled by somebody, ordered again or paid


def canceled(at_desk: Desk, **given: Any) -> tuple[Sold, Unit]:
    """Exchanged, and days later somebody cancels the replacement in Centra."""
    sold, (unit,) = exchanged(at_desk, grade="sellable", **given)
    at_desk.settle()
    later(at_desk, days=3)
    at_desk.act("cancel_order", order_number=replacement_of(at_desk, unit)["number"])
    at_desk.sync()
    assert kinds(at_desk) == [("exchange_canceled", unit.item)]
    return sold, unit


@pytest.mark.slow
def test_a_replacement_that_a_person_cancels_days_later_is_an_exception_at_once_with_the_choice(at_desk: Desk) -> None:
    sold, unit = canceled(at_desk)
    (order,) = at_desk.orders_of_ours()
    ((kind, item, detail),) = told(at_desk)
    assert (kind, item) == ("exchange_canceled", unit.item)
    assert str(order["number"]) in detail
    ((owner, amount, culprit, step),) = at_desk.rows(
        "select owner_team, amount, culprit, next_step from reconciliation.exceptions where kind = 'exchange_canceled'"
    )
    assert (owner, amount, culprit) == ("customer_service", HUNDRED, "person")
    assert f"hr-centra reorder {unit.item}" in step
    assert f"hr-centra pay-instead {unit.item}" in step
    at_desk.settle()
    assert f"{unit.code}: replacement canceled " in at_desk.comment_of(sold)
    assert at_desk.rows("select exchange, given from effects.value_given_back") == [(0, 0)]
    assert len(at_desk.orders_of_ours()) == 1  # nothing is done without a decision
    assert at_desk.refunded(sold) == 0


@pytest.mark.slow
def test_ordered_again_there_is_one_new_order_with_a_number_of_its_own_and_the_same_return(at_desk: Desk) -> None:
    sold, unit = canceled(at_desk)
    (first,) = at_desk.orders_of_ours()
    decide(at_desk, "reorder", unit)
    assert "has it ordered again" in refused(at_desk, "reorder", unit)
    assert "has it ordered again" in refused(at_desk, "pay", unit)
    at_desk.plan()
    assert kinds(at_desk) == []  # somebody has decided; what is to be sent is in the plan
    assert proofs(at_desk, "exchange_canceled") == ["to be ordered again, decided by Carla Customer"]
    at_desk.settle()
    again = replacement_of(at_desk, unit)
    assert again["number"] != first["number"]
    assert len(at_desk.orders_of_ours()) == 2
    (made,) = at_desk.returns_of(sold)
    assert again["origin"] == ["return", made["id"]]
    assert (made["status"], made["payments"]) == ("COMPLETED", [])
    assert set(at_desk.states("exchange_order").values()) == {"confirmed"}
    assert kinds(at_desk) == []
    # The grade came last; the order is named whatever the milestone is.
    assert f"{unit.code}: processed, replacement order {again['number']} " in at_desk.comment_of(sold)
    assert "not canceled" in refused(at_desk, "reorder", unit)
    assert at_desk.rows("select exchange, given, too_much from effects.value_given_back") == [(HUNDRED, HUNDRED, 0)]
    later(at_desk, minutes=1)
    assert month(at_desk, "2026-10")[unit.item] == (str(again["number"]), False)
    # The second one is canceled, too: that is another decision.
    at_desk.act("cancel_order", order_number=again["number"])
    at_desk.settle()
    assert kinds(at_desk) == [("exchange_canceled", unit.item)]
    decide(at_desk, "pay", unit)
    at_desk.settle()
    assert at_desk.refunded(sold) == HUNDRED
    assert kinds(at_desk) == []


def all_canceled(at_desk: Desk) -> list[tuple[Sold, Unit]]:
    """One exchange for each fault, and somebody has canceled every replacement."""
    at_desk.with_policy(**ONE_BY_ONE)
    units = [(sold, unit) for sold, (unit,) in (exchanged(at_desk) for _ in FAULTS)]
    at_desk.settle()
    for order in at_desk.orders_of_ours():
        at_desk.act("cancel_order", order_number=order["number"])
    at_desk.sync()
    assert len(kinds(at_desk)) == len(units)
    return units


@pytest.mark.slow
def test_whatever_is_lost_on_the_way_a_canceled_replacement_is_ordered_again_once(at_desk: Desk) -> None:
    units = all_canceled(at_desk)
    for _, unit in units:
        decide(at_desk, "reorder", unit)
    for kind in FAULTS:
        at_desk.fault(kind, "POST /order")
    at_desk.settle()
    alive = [row for row in at_desk.orders_of_ours() if row["status"] != "DELETED"]
    assert len(alive) == len(units)
    assert len({row["origin"][1] for row in alive}) == len(units)
    assert kinds(at_desk) == []


def month(at_desk: Desk, name: str) -> dict[str, tuple[str | None, bool]]:
    """By unit: the replacement order, and whether the money was given instead."""
    with at_desk.warehouse.transaction() as connection:
        compute(connection, name, at_desk.clock.now())
    rows = at_desk.rows(
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
    with desk(tmp_path, centra=CentraSettings(refunds_only_open_returns=only_open)) as at_desk:
        units = all_canceled(at_desk)
        for _, unit in units:
            decide(at_desk, "pay", unit)
            assert "gives the money" in refused(at_desk, "pay", unit)
            assert "gives the money" in refused(at_desk, "reorder", unit)
        for kind in FAULTS:
            at_desk.fault(kind, operation)
        at_desk.settle()
        for sold, unit in units:
            (made,) = at_desk.returns_of(sold)
            assert (made["status"], made["payments"]) == ("COMPLETED", [["REFUND", "SUCCESS", "100.00"]])
            assert at_desk.refunded(sold) == HUNDRED
            assert f"{unit.code}: refunded " in at_desk.comment_of(sold)
            assert "replacement order" not in at_desk.comment_of(sold)
        assert len(at_desk.orders_of_ours()) == len(units)
        assert set(at_desk.states().values()) == {"confirmed"}
        assert at_desk.reconcile() == []
        paid = {f"the money was given instead: Return {at_desk.returns_of(sold)[0]['id']}" for sold, _ in units}
        assert set(proofs(at_desk, "exchange_canceled")) == paid


@pytest.mark.slow
def test_money_given_instead_is_explained_and_owed_and_paid_in_the_books(at_desk: Desk) -> None:
    _, unit = canceled(at_desk)
    decide(at_desk, "pay", unit)
    at_desk.settle()
    at_desk.settle()
    later(at_desk, minutes=1)
    rows = at_desk.rows(
        "select refund, exchange, given, too_much, is_paid_instead from effects.value_given_back where return_item_id = ?",
        unit.item,
    )
    assert rows == [(HUNDRED, 0, HUNDRED, 0, True)]
    assert at_desk.reconcile() == []
    facts = at_desk.rows(
        "select component, amount, in_goods, is_pending from reconciliation.refund_facts where side = 'centra'"
    )
    assert facts == [("exchange", HUNDRED, 0, False)]
    match = at_desk.rows("select component, centra_amount, is_explained, explained_by from reconciliation.refund_match")
    assert match == [("exchange", HUNDRED, True, "given_instead")]
    # As it stood at the end of September the replacement was on its way; in October the exchange is over.
    (order,) = at_desk.orders_of_ours()
    assert month(at_desk, "2026-09") == {unit.item: (str(order["number"]), False)}
    assert month(at_desk, "2026-10") == {}
    with at_desk.warehouse.transaction() as connection:
        remember(connection, at_desk.clock.now(), "policy")
        compute(connection, "2026-10", at_desk.clock.now())
    liability = at_desk.rows(
        "select became_refundable_amount, credited_amount, paid_amount, closing_amount from month_end.refund_liability"
        " where month = '2026-10'"
    )
    assert liability == [(HUNDRED, HUNDRED, HUNDRED, 0)]
    assert at_desk.rows("select return_id, balance from month_end.refund_liability_returns") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("when", "operation", "state"),
    [("person_after", "UncompleteReturn", "planned"), ("person_before", "RefundReturn", "rejected")],
)
def test_when_the_money_cannot_be_given_any_more_the_return_is_put_back_as_it_was_and_someone_is_alerted(
    tmp_path: Path, when: str, operation: str, state: str
) -> None:
    with desk(tmp_path, centra=CentraSettings(refunds_only_open_returns=True)) as at_desk:
        sold, unit = canceled(at_desk)
        decide(at_desk, "pay", unit)
        # We have opened the Return, and somebody gives money of the order back in another way.
        given = {"order_number": sold.number, "amount": "60.00"}
        at_desk.fault(when, operation, act="refund_order", given=given, after=int(operation == "RefundReturn"))
        at_desk.settle()
        (made,) = at_desk.returns_of(sold)
        assert (made["status"], made["payments"]) == ("COMPLETED", [])
        assert at_desk.refunded(sold) == Decimal("60.00")
        assert "deleteReturn" not in at_desk.mutations()
        assert at_desk.states() == {unit.item: state}
        later(at_desk, days=4)
        at_desk.plan()
        open_kinds = {row[0] for row in at_desk.reconcile()}
        credit = "rejected_write" if state == "rejected" else "return_without_credit_note"
        assert open_kinds == {"refund_without_credit_note", credit}


@pytest.mark.slow
def test_who_pays_elsewhere_or_by_hand_is_reported_and_two_pairs_of_eyes_are_needed(at_desk: Desk) -> None:
    _, unit = canceled(at_desk)
    assert "changed the policy last" in refused(at_desk, "pay", unit, by="Petra Policy")
    assert "changed the policy last" in refused(at_desk, "reorder", unit, by="petra policy")
    at_desk.with_policy(pays_through={"refund": "elsewhere", "gift-card": "gift_card"})
    at_desk.sync()
    assert 'pays_through.refund is "elsewhere"' in refused(at_desk, "pay", unit)
    assert at_desk.rows("select count(*) from push.exchange_decisions") == [(0,)]
    at_desk.with_policy()
    at_desk.sync()
    assert "there is no unit with that id" in refused(at_desk, "pay", Unit("IT-99999", "", "", unit.sold, 0))
    at_desk.change(unit, disposition="wrong-item")
    at_desk.sync()
    assert "nothing is due" in refused(at_desk, "pay", unit)
    assert kinds(at_desk) == []
    assert proofs(at_desk, "exchange_canceled") == ["refused by Happy Returns: nothing is due"]


@pytest.mark.slow
def test_both_decisions_are_commands_that_want_a_name_and_a_reason(
    at_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = all_canceled(at_desk)
    monkeypatch.setenv("HR_CENTRA_HOME", str(at_desk.home))
    monkeypatch.setenv("HR_CENTRA_NOW", f"{at_desk.clock.now():%Y-%m-%dT%H:%M:%SZ}")
    for command, decision, (_, unit) in zip(("reorder", "pay-instead"), ("order_again", "pay"), units, strict=False):
        signed = ["--by", "Carla Customer", "--why", "she asked for it"]
        unsigned = CliRunner().invoke(app, [command, unit.item])
        assert isinstance(unsigned.exception, ConfigurationError)
        done = CliRunner().invoke(app, [command, unit.item, *signed], catch_exceptions=False)
        assert unit.item in done.output
        assert "Carla Customer" in done.output
        twice = CliRunner().invoke(app, [command, unit.item, *signed])
        assert isinstance(twice.exception, ConfigurationError)
        kept = at_desk.rows(
            "select ordinal, decision, decided_by, why from push.exchange_decisions where return_item_id = ?", unit.item
        )
        assert kept == [(1, decision, "Carla Customer", "she asked for it")]
    story = explain(at_desk, units[0][1].return_id)
    assert "has the canceled replacement ordered again: she asked for it" in story


def explain(at_desk: Desk, return_id: str) -> str:
    return CliRunner().invoke(app, ["explain", return_id, "--json"], catch_exceptions=False).output


@pytest.mark.slow
def test_a_return_of_several_units_is_paid_whole_or_not_at_all(tmp_path: Path) -> None:
    with desk(tmp_path, centra=CentraSettings(splits_orders=True)) as at_desk:
        sold = at_desk.sell(("DRESS-S", 2, "100.00"))
        first = at_desk.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M")
        second = at_desk.comes_back(sold, refund_type="exchange", exchange_sku="SHIRT-M", with_unit=first)
        at_desk.settle()
        numbers = [row["number"] for row in at_desk.orders_of_ours()]
        at_desk.act("cancel_order", order_number=numbers[0])
        at_desk.settle()
        ((_, lost, _),) = told(at_desk)
        unit, other = (first, second) if lost == first.item else (second, first)
        assert f"{other.item}: its replacement" in refused(at_desk, "pay", unit)
        at_desk.act("cancel_order", order_number=numbers[1])
        at_desk.settle()
        paid = decide(at_desk, "pay", unit)
        assert {one.return_item_id for one in paid} == {first.item, second.item}
        at_desk.settle()
        assert at_desk.refunded(sold) == 2 * HUNDRED
        assert kinds(at_desk) == []


@pytest.mark.slow
def test_happy_returns_changes_a_canceled_exchange_to_a_refund_and_it_is_paid_on_the_return_that_is_there(
    at_desk: Desk,
) -> None:
    sold, unit = canceled(at_desk)
    at_desk.change(unit, refund_type="refund")
    at_desk.settle()
    (made,) = at_desk.returns_of(sold)
    assert made["payments"] == [["REFUND", "SUCCESS", "100.00"]]
    assert kinds(at_desk) == []
    assert proofs(at_desk, "exchange_canceled") == ["Happy Returns gives the money instead"]
    assert "paid by itself" in refused(at_desk, "pay", unit) or "money was given" in refused(at_desk, "pay", unit)


@pytest.mark.slow
def test_someone_refunds_the_return_of_a_canceled_exchange_by_hand_and_that_ends_it(at_desk: Desk) -> None:
    sold, unit = canceled(at_desk)
    (made,) = at_desk.returns_of(sold)
    at_desk.act("refund_return", return_id=made["id"])
    at_desk.settle()
    assert kinds(at_desk) == []
    assert proofs(at_desk, "exchange_canceled") == [f"the money was given instead: Return {made['id']}"]
    assert "money was given already" in refused(at_desk, "reorder", unit)
    at_desk.settle()
    assert f"{unit.code}: refunded " in at_desk.comment_of(sold)
    assert at_desk.refunded(sold) == HUNDRED


@pytest.mark.slow
def test_who_makes_the_order_again_by_hand_ties_it(at_desk: Desk) -> None:
    by_hand = at_desk.sell(("DRESS-M", 1, "100.00"))
    _, unit = canceled(at_desk)
    with (
        at_desk.warehouse.transaction() as connection,
        pytest.raises(ConfigurationError, match="changed the policy last"),
    ):
        approvals.tie_order(
            connection, Signature("Petra Policy", "by phone", at_desk.clock.now()), str(by_hand.number), [unit.item]
        )
    with at_desk.warehouse.transaction() as connection:
        approvals.tie_order(
            connection, Signature("Carl", "by phone", at_desk.clock.now()), str(by_hand.number), [unit.item]
        )
    at_desk.settle()
    assert len(at_desk.orders_of_ours()) == 1
    assert kinds(at_desk) == []
    assert "not canceled" in refused(at_desk, "pay", unit)


@pytest.mark.slow
@pytest.mark.parametrize("act", ["cancel_order", "delete_return"])
@pytest.mark.parametrize("when", ["person_before", "person_after"])
def test_who_cancels_the_order_or_deletes_the_return_right_around_our_completion_is_found(
    at_desk: Desk, act: str, when: str
) -> None:
    sold, (unit,) = exchanged(at_desk)
    at_desk.fault(when, "CompleteReturn", act=act)
    at_desk.settle()
    later(at_desk, days=2)
    at_desk.plan()
    found = [row[0] for row in at_desk.reconcile() if row[1] == unit.item]
    if act == "cancel_order":
        assert found == ["exchange_canceled"]
    elif when == "person_after":
        assert found == ["return_without_credit_note"]
        ((_, _, detail),) = told(at_desk, "return_without_credit_note")
        assert "somebody deleted it" in detail
    else:
        assert found == ["write_in_doubt"]
    assert at_desk.refunded(sold) == 0


@pytest.mark.slow
@pytest.mark.parametrize("canceled_too", [False, True])
def test_the_database_is_lost_after_it_was_ordered_again(at_desk: Desk, canceled_too: bool) -> None:
    _, unit = canceled(at_desk)
    decide(at_desk, "reorder", unit)
    at_desk.settle()
    again = replacement_of(at_desk, unit)
    if canceled_too:
        at_desk.act("cancel_order", order_number=again["number"])
    before = len(at_desk.mutations())
    at_desk.forget()
    at_desk.sync()  # takes over what Centra shows
    at_desk.settle()
    assert [name for name in at_desk.mutations()[before:] if name != "updateDirectToConsumerOrder"] == []
    assert len(at_desk.orders_of_ours()) == 2
    rows = at_desk.rows("select ordinal, state from effects.replacements order by ordinal")
    assert rows == [(1, "canceled"), (2, "canceled" if canceled_too else "ordered")]
    assert kinds(at_desk) == ([("exchange_canceled", unit.item)] if canceled_too else [])


@pytest.mark.slow
def test_canceled_while_our_order_was_in_doubt_it_is_not_ordered_again_by_itself(
    at_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold, (unit,) = exchanged(at_desk)
    at_desk.fault("dropped_after", "POST /order")
    at_desk.plan()
    with monkeypatch.context() as dies_early:
        dies_early.setattr(Sender, "look_up", lambda *_: None)
        at_desk.push()
    (order,) = at_desk.orders_of_ours()
    at_desk.act("cancel_order", order_number=order["number"])
    at_desk.settle()
    assert len(at_desk.orders_of_ours()) == 1
    assert kinds(at_desk) == [("exchange_canceled", unit.item)]
    assert at_desk.returns_of(sold)[0]["status"] == "COMPLETED"


@pytest.mark.slow
def test_someone_refunds_our_return_before_the_replacement_is_ordered_and_nothing_is_ordered(at_desk: Desk) -> None:
    sold, (unit,) = exchanged(at_desk)
    at_desk.fault("person_after", "CreateReturn", act="refund_return", given={"return_id": 1})
    at_desk.settle()
    assert at_desk.orders_of_ours() == []
    assert at_desk.refunded(sold) == HUNDRED
    assert at_desk.reconcile() == []
    assert at_desk.rows("select given, too_much, is_paid_instead from effects.value_given_back") == [(HUNDRED, 0, True)]
    assert f"{unit.code}: refunded " in at_desk.comment_of(sold)


@pytest.mark.slow
def test_money_in_place_of_a_replacement_that_the_provider_refuses_is_an_exception(tmp_path: Path) -> None:
    with desk(tmp_path, centra=CentraSettings(refunds_in_two_steps=("card", "wallet"))) as at_desk:
        _, unit = canceled(at_desk)
        decide(at_desk, "pay", unit)
        at_desk.settle()
        at_desk.act("answer_requests", kind="refund", succeeded=False)
        later(at_desk, days=5)
        at_desk.settle()
        ((kind, _, detail),) = at_desk.reconcile()
        assert kind == "credit_note_without_refund"
        assert "the payment provider refused the refund" in detail


@pytest.mark.slow
def test_a_refund_by_hand_that_failed_before_is_not_ours_and_the_money_is_given(tmp_path: Path) -> None:
    with desk(tmp_path, centra=CentraSettings(refunds_in_two_steps=("card", "wallet"))) as at_desk:
        sold, unit = canceled(at_desk)
        at_desk.act("refund_return", return_id=at_desk.returns_of(sold)[0]["id"])
        at_desk.settle()
        at_desk.act("answer_requests", kind="refund", succeeded=False)
        at_desk.settle()
        decide(at_desk, "pay", unit)
        at_desk.settle()
        at_desk.act("answer_requests", kind="refund")
        at_desk.settle()
        assert at_desk.rows("select given, too_much from effects.value_given_back") == [(HUNDRED, 0)]
        assert at_desk.mutations().count("refundReturn") == 1


@pytest.mark.slow
def test_nothing_is_decided_while_a_refund_by_hand_is_under_way(tmp_path: Path) -> None:
    with desk(tmp_path, centra=CentraSettings(refunds_in_two_steps=("card", "wallet"))) as at_desk:
        at_desk.fault("person_after", "CreateReturn", act="refund_return", given={"return_id": 1})
        sold, (unit,) = exchanged(at_desk)
        at_desk.sync()
        later(at_desk, minutes=20)
        at_desk.sync()
        assert at_desk.orders_of_ours() == []
        assert at_desk.states("exchange_order") != {unit.item: "confirmed"}
        at_desk.act("answer_requests", kind="refund", succeeded=False)
        at_desk.settle()
        assert at_desk.states("exchange_order") == {unit.item: "confirmed"}
        assert len(at_desk.orders_of_ours()) == 1
        assert [row["status"] for row in at_desk.returns_of(sold)] == ["COMPLETED"]


@pytest.mark.slow
def test_a_shipment_that_also_holds_a_refused_unit_s_replacement_is_not_released(at_desk: Desk) -> None:
    at_desk.with_policy(exchange={"release": "good_to_go"})
    _, units = exchanged(at_desk, 2)
    at_desk.settle()
    (order,) = at_desk.orders_of_ours()
    at_desk.change(units[0], disposition="wrong-item")
    at_desk.settle()
    at_desk.act("create_shipment", order_number=order["number"])
    at_desk.settle()
    assert "updateShipment" not in at_desk.mutations()


# ---------------------------------------------------------------- M8: what the unit cost


@pytest.mark.slow
def test_the_return_of_an_exchange_carries_the_units_share_of_the_voucher(at_desk: Desk) -> None:
    sold = at_desk.sell(("DRESS-S", 1, "174.90"), voucher="22.00")
    unit = at_desk.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M")
    at_desk.settle()
    (made,) = at_desk.returns_of(sold)
    assert (made["status"], made["grand_total"]) == ("COMPLETED", "152.90")
    assert at_desk.rows("select amount from push.ledger where effect_kind = 'exchange_order'") == [(Decimal("152.90"),)]
    assert at_desk.rows("select paid, given, too_much from effects.value_given_back") == [
        (Decimal("152.90"), Decimal("152.90"), 0)
    ]
    at_desk.act("cancel_order", order_number=replacement_of(at_desk, unit)["number"])
    at_desk.sync()
    decide(at_desk, "pay", unit)
    at_desk.settle()
    assert at_desk.refunded(sold) == Decimal("152.90")
    assert at_desk.reconcile() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ways", "together"),
    mostly_slow(product(["xxx", "xrx", "rxr", "rrx"], [True, False]), ("xrx", False)),
)
def test_the_shares_of_refunds_and_exchanges_sum_back_to_the_voucher(at_desk: Desk, ways: str, together: bool) -> None:
    sold = at_desk.sell(("DRESS-S", 3, "33.33"), voucher="10.00")
    for way in ways:
        at_desk.comes_back(
            sold, refund_type="exchange" if way == "x" else "refund", exchange_sku="DRESS-M" if way == "x" else None
        )
        if not together:
            at_desk.settle()
    at_desk.settle()
    made = at_desk.returns_of(sold)
    assert {row["status"] for row in made} == {"COMPLETED"}
    assert sum(Decimal(row["grand_total"]) for row in made) == 3 * Decimal("33.33") - Decimal("10.00")


@pytest.mark.slow
def test_where_an_order_has_several_shipments_the_return_of_an_exchange_carries_no_voucher_and_is_not_paid_by_us(
    at_desk: Desk,
) -> None:
    sold = at_desk.sell(("DRESS-S", 1, "100.00"), ("SHIRT-M", 1, "100.00"), voucher="50.00", parts=(1,))
    unit = at_desk.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M")
    at_desk.settle()
    (made,) = at_desk.returns_of(sold)
    assert made["grand_total"] == "100.00"
    at_desk.act("cancel_order", order_number=replacement_of(at_desk, unit)["number"])
    at_desk.sync()
    decide(at_desk, "pay", unit)
    at_desk.settle()
    assert at_desk.refunded(sold) == 0
    later(at_desk, days=2)
    at_desk.plan()
    ((_, item, detail),) = told(at_desk, "return_without_credit_note")
    assert item == unit.item
    assert "voucher on an order with several shipments" in detail


assert POLICY["changed_by"] == "Petra Policy"
