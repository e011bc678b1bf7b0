"""A Centra that renames something while the pipeline runs: it is named, nothing is lost, and nothing is sent wrongly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from hr_centra_pipeline.oversight.doctor import examine
from hr_centra_pipeline.sandbox.centra import order_api_server
from hr_centra_pipeline.sandbox.centra.store import CentraStore
from hr_centra_pipeline.sources.centra import contract_record
from hr_centra_pipeline_tests.harness import Harness, Sold
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY
from hr_centra_pipeline_tests.sources.centra.schemas import DOCUMENTED, edited

Edit = tuple[str, str]


def release(shop: Harness, *edits: Edit, words: Mapping[str, str] | None = None) -> None:
    """Centra has another schema from now on, and shows other words."""
    assert shop.sandbox is not None
    shop.sandbox.sandbox.configure(words=words or {})
    shop.sandbox.sandbox.api.serve(edited(*edits) if edits else DOCUMENTED, app_version="after" if edits else "before")


def hourly(shop: Harness) -> None:
    """The stages of the hourly sync, with the look at the contract in its place; a pull may fail."""
    shop.may_fail = True
    shop.plan()
    with shop.warehouse.kept_open():
        contract_record.refresh(shop.client(), shop.order_api(), shop.warehouse, shop.policy, shop.clock.now())
    shop.push()


def named_by_doctor(shop: Harness) -> set[str]:
    """Coordinates that differ, as ``hr-centra doctor`` finds them now."""
    assert shop.sandbox is not None
    (shop.home / "policy.toml").write_text(EXAMPLE_POLICY.read_text(encoding="utf-8"), encoding="utf-8")
    environment = {**shop.sandbox.environment(), "HR_CENTRA_HOME": str(shop.home), "HR_CENTRA_MODE": "live"}
    return {one.row.coordinate for one in examine(environment) if one.row and one.row.verdict == "differs"}


def refunds(shop: Harness, sold: Sold) -> int:
    """How often an order was refunded."""
    return sum(number == sold.number and kind == "REFUND" for number, _, kind, _, _ in shop.records["payments"])


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
    at_harness: Harness, edit: Edit, coordinate: str
) -> None:
    before = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(before, grade="sellable")
    hourly(at_harness)
    assert at_harness.problems == []
    release(at_harness, edit)
    during = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(during, grade="sellable")
    writes = at_harness.mutations()
    hourly(at_harness)
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(hours=1))
    hourly(at_harness)
    assert at_harness.mutations() == writes
    assert any(coordinate.partition(".")[2] in problem for problem in at_harness.problems)
    assert at_harness.rows("select coordinate from operations.contract where verdict = 'differs'") == [(coordinate,)]
    assert named_by_doctor(at_harness) == {coordinate}
    # What was known is not forgotten, and none of it is taken for undone.
    assert set(at_harness.states().values()) <= {"confirmed", "planned"}
    release(at_harness)
    hourly(at_harness)
    at_harness.settle()
    for sold in (before, during):
        assert refunds(at_harness, sold) == 1
        assert at_harness.refunded(sold) == 100
    assert at_harness.moved("DRESS-S", 1) == 2
    assert at_harness.rows("select distinct state from push.ledger where effect_kind <> 'status_update'") == [
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


@pytest.mark.slow
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
    at_harness: Harness, monkeypatch: pytest.MonkeyPatch, path: str, kind: str, told: str
) -> None:
    create: Order = order_api_server.create_order
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    with at_harness.store.write():
        (row,) = at_harness.store.rows("select address from orders where number = ?", [sold.number])
        address = json.dumps({**json.loads(row["address"]), "address2": "c/o Bea"})
        at_harness.store.rows("update orders set address = ? where number = ?", [address, sold.number])
    monkeypatch.setattr(
        order_api_server, "create_order", lambda store, body: create(store, without(body, path.split(".")))
    )
    at_harness.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M")
    for _ in range(4):
        hourly(at_harness)
        at_harness.clock.advance_to(at_harness.clock.now() + timedelta(hours=1))
    assert at_harness.mutations().count("POST /order") == 1
    assert "completeReturn" not in at_harness.mutations()
    ((found, _, detail),) = at_harness.reconcile()
    assert (found, told in detail) == (kind, True)


# ---------------------------------------------------------------- a word


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "coordinate"),
    [
        ("REFUND", "PaymentHistoryEntryType.REFUND"),
        pytest.param("SUCCESS", "PaymentHistoryEntryStatus.SUCCESS", marks=pytest.mark.slow),
    ],
)
def test_a_word_that_is_renamed_is_named_and_money_that_went_under_it_is_not_paid_again(
    at_harness: Harness, word: str, coordinate: str
) -> None:
    enum = coordinate.partition(".")[0]
    start = DOCUMENTED.index(f"enum {enum} {{")
    line = DOCUMENTED[start : DOCUMENTED.index("}", start)]
    edit = (line, line.replace(f" {word} ", " RENAMED ", 1))
    sold, later = at_harness.sell(("DRESS-S", 1, "100.00")), at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    at_harness.with_policy(settling_minutes=30)
    # The money goes; the answer is lost, and the word changes before anybody can look.
    at_harness.fault("error_after", "RefundReturn", times=1)
    hourly(at_harness)
    assert refunds(at_harness, sold) == 1
    release(at_harness, edit, words={coordinate: "RENAMED"})
    at_harness.comes_back(later)
    for _ in range(3):
        at_harness.clock.advance_to(at_harness.clock.now() + timedelta(hours=1))
        hourly(at_harness)
    # The first is known as paid by what the Return's own payment shows; the second waits, and is open with the reason.
    assert (refunds(at_harness, sold), refunds(at_harness, later)) == (1, 0)
    assert list(at_harness.states().values()) == ["confirmed", "planned"]
    (detail,) = [detail for _, _, detail in at_harness.reconcile()]
    assert coordinate in detail or "[centra.words]" in detail
    assert named_by_doctor(at_harness) == {coordinate, f"{enum}.RENAMED"}
    release(at_harness)
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=1))
    hourly(at_harness)
    at_harness.settle()
    assert [refunds(at_harness, one) for one in (sold, later)] == [1, 1]
    assert set(at_harness.states().values()) == {"confirmed"}
