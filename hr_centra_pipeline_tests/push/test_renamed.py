"""A Centra that renames something while the pipeline runs: it is named, nothing is lost, and nothing is sent wrongly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from hr_centra_pipeline.oversight.doctor import examine
from hr_centra_pipeline.sandbox.centra import order_api
from hr_centra_pipeline.sandbox.centra.store import CentraStore
from hr_centra_pipeline.sources.centra import contract_record
from hr_centra_pipeline_tests.desk import Desk, Sold
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY
from hr_centra_pipeline_tests.sources.centra.schemas import DOCUMENTED, edited

Edit = tuple[str, str]


def release(shop: Desk, *edits: Edit, words: Mapping[str, str] | None = None) -> None:
    """Centra has another schema from now on, and shows other words."""
    assert shop.sandbox is not None
    shop.sandbox.sandbox.configure(words=words or {})
    shop.sandbox.sandbox.api.serve(edited(*edits) if edits else DOCUMENTED, app_version="after" if edits else "before")


def hourly(shop: Desk) -> None:
    """The stages of the hourly sync, with the look at the contract in its place; a pull may fail."""
    shop.may_fail = True
    shop.plan()
    with shop.warehouse.kept_open():
        contract_record.refresh(shop.client(), shop.order_api(), shop.warehouse, shop.policy, shop.clock.now())
    shop.push()


def named_by_doctor(shop: Desk) -> set[str]:
    """Coordinates that differ, as ``hr-centra doctor`` finds them now."""
    assert shop.sandbox is not None
    (shop.home / "policy.toml").write_text(EXAMPLE_POLICY.read_text(encoding="utf-8"), encoding="utf-8")
    environment = {**shop.sandbox.environment(), "HR_CENTRA_HOME": str(shop.home), "HR_CENTRA_MODE": "live"}
    return {one.row.coordinate for one in examine(environment) if one.row and one.row.verdict == "differs"}


def refunds(shop: Desk, sold: Sold) -> int:
    """How often an order was refunded."""
    return sum(number == sold.number and kind == "REFUND" for number, _, kind, _, _ in shop.books["payments"])


# ---------------------------------------------------------------- a field


@pytest.mark.parametrize(
    ("edit", "coordinate"),
    [
        (("isPaid: Boolean!  isCaptured: Boolean!", "isPaid: Boolean!  captured: Boolean!"), "Shipment.isCaptured"),
        pytest.param(
            ("returnedToStock: Boolean!", "backInStock: Boolean!"), "Return.returnedToStock", marks=pytest.mark.slow
        ),
    ],
)
def test_a_field_that_is_renamed_is_named_and_what_came_meanwhile_is_done_once_when_it_fits_again(
    at_desk: Desk, edit: Edit, coordinate: str
) -> None:
    before = at_desk.sell(("DRESS-S", 1, "100.00"))
    at_desk.comes_back(before, grade="sellable")
    hourly(at_desk)
    assert at_desk.problems == []
    release(at_desk, edit)
    during = at_desk.sell(("DRESS-S", 1, "100.00"))
    at_desk.comes_back(during, grade="sellable")
    writes = at_desk.mutations()
    hourly(at_desk)
    at_desk.clock.advance_to(at_desk.clock.now() + timedelta(hours=1))
    hourly(at_desk)
    assert at_desk.mutations() == writes
    assert any(coordinate.partition(".")[2] in problem for problem in at_desk.problems)
    assert at_desk.rows("select coordinate from operations.contract where verdict = 'differs'") == [(coordinate,)]
    assert named_by_doctor(at_desk) == {coordinate}
    # What was known is not forgotten, and none of it is taken for undone.
    assert set(at_desk.states().values()) <= {"confirmed", "planned"}
    release(at_desk)
    hourly(at_desk)
    at_desk.settle()
    for sold in (before, during):
        assert refunds(at_desk, sold) == 1
        assert at_desk.refunded(sold) == 100
    assert at_desk.moved("DRESS-S", 1) == 2
    assert at_desk.rows("select distinct state from push.ledger where effect_kind <> 'status_update'") == [
        ("confirmed",)
    ]


# ---------------------------------------------------------------- a key of the Order API


def without(body: Any, path: list[str]) -> Any:
    """A body as it is read where nobody knows a key any more."""
    name, *below = path
    if isinstance(body, list):
        return [without(one, path) for one in body]
    if not isinstance(body, Mapping):
        return body
    left = {key: value for key, value in body.items() if key != name or below}
    return {**left, name: without(body[name], below)} if below and name in body else left


Order = Callable[[CentraStore, Mapping[str, Any]], dict[str, Any]]


@pytest.mark.parametrize(
    ("path", "kind", "told"),
    [
        ("deliveryAddress.coaddress", "exchange_differs", "differs in second address line"),
        pytest.param("products.unitPrice", "exchange_differs", "differs in total", marks=pytest.mark.slow),
        # Our key is in it: the order cannot be known for ours.
        ("internalComment", "write_in_doubt", "our Return is there, but the replacement order is not"),
    ],
)
def test_a_key_that_the_order_api_does_not_read_any_more_holds_the_exchange_and_says_why(
    at_desk: Desk, monkeypatch: pytest.MonkeyPatch, path: str, kind: str, told: str
) -> None:
    create: Order = order_api.create_order
    sold = at_desk.sell(("DRESS-S", 1, "100.00"))
    with at_desk.store.write():
        (row,) = at_desk.store.rows("select address from orders where number = ?", [sold.number])
        address = json.dumps({**json.loads(row["address"]), "address2": "c/o Bea"})
        at_desk.store.rows("update orders set address = ? where number = ?", [address, sold.number])
    monkeypatch.setattr(order_api, "create_order", lambda store, body: create(store, without(body, path.split("."))))
    at_desk.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M")
    for _ in range(4):
        hourly(at_desk)
        at_desk.clock.advance_to(at_desk.clock.now() + timedelta(hours=1))
    assert at_desk.mutations().count("POST /order") == 1
    assert "completeReturn" not in at_desk.mutations()
    ((found, _, detail),) = at_desk.reconcile()
    assert (found, told in detail) == (kind, True)


# ---------------------------------------------------------------- a word


@pytest.mark.parametrize(
    ("word", "coordinate"),
    [
        ("REFUND", "PaymentHistoryEntryType.REFUND"),
        pytest.param("SUCCESS", "PaymentHistoryEntryStatus.SUCCESS", marks=pytest.mark.slow),
    ],
)
def test_a_word_that_is_renamed_is_named_and_money_that_went_under_it_is_not_paid_again(
    at_desk: Desk, word: str, coordinate: str
) -> None:
    enum = coordinate.partition(".")[0]
    start = DOCUMENTED.index(f"enum {enum} {{")
    line = DOCUMENTED[start : DOCUMENTED.index("}", start)]
    edit = (line, line.replace(f" {word} ", " RENAMED ", 1))
    sold, later = at_desk.sell(("DRESS-S", 1, "100.00")), at_desk.sell(("DRESS-S", 1, "100.00"))
    at_desk.comes_back(sold)
    at_desk.with_policy(settling_minutes=30)
    # The money goes; the answer is lost, and the word changes before anybody can look.
    at_desk.fault("error_after", "RefundReturn", times=1)
    hourly(at_desk)
    assert refunds(at_desk, sold) == 1
    release(at_desk, edit, words={coordinate: "RENAMED"})
    at_desk.comes_back(later)
    for _ in range(3):
        at_desk.clock.advance_to(at_desk.clock.now() + timedelta(hours=1))
        hourly(at_desk)
    # The first is known as paid by what the Return's own payment shows; the second waits, and is open with the reason.
    assert (refunds(at_desk, sold), refunds(at_desk, later)) == (1, 0)
    assert list(at_desk.states().values()) == ["confirmed", "planned"]
    (detail,) = [detail for _, _, detail in at_desk.reconcile()]
    assert coordinate in detail or "[centra.words]" in detail
    assert named_by_doctor(at_desk) == {coordinate, f"{enum}.RENAMED"}
    release(at_desk)
    at_desk.clock.advance_to(at_desk.clock.now() + timedelta(days=1))
    hourly(at_desk)
    at_desk.settle()
    assert [refunds(at_desk, one) for one in (sold, later)] == [1, 1]
    assert set(at_desk.states().values()) == {"confirmed"}
