from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline.sandbox.centra.store import CentraRefusal, CentraStore, Moved, NewReturn
from hr_centra_pipeline.sandbox.server import RunningSandbox
from hr_centra_pipeline_tests.sandbox.centra.conftest import SHIPPED, Sale, data, sell

CREATE = """
mutation CreateReturn($input: ReturnCreateInput!) {
  createReturn(input: $input) {
    return { id grandTotal { value } returnStatus comment externalId totals { taxIncluded { value } } }
    userErrors { message path }
  }
}
"""


def create(sandbox: RunningSandbox, sale: Sale, lines: list[tuple[int, int]], **more: Any) -> Any:
    given = {
        "shipment": {"id": sale.shipment},
        "lines": [{"shipmentLine": {"id": line}, "quantity": quantity} for line, quantity in lines],
        "returnStockActionPolicy": {"removeItemsFromStock": True},
        **more,
    }
    return data(sandbox, CREATE, {"input": given})["createReturn"]


def money(amount: str) -> dict[str, Any]:
    return {"value": Decimal(amount), "currencyIsoCode": "SEK"}


def stock(store: CentraStore, warehouse: int, sku: str = "DRESS-S") -> int:
    found = store.row(
        "select physical from stock join sizes on sizes.id = size_id where sku = ? and warehouse_id = ?",
        [sku, warehouse],
    )
    return int(found["physical"]) if found else 0


def test_a_return_gives_back_lines_and_costs_less_voucher_and_fee_with_exact_decimals(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    made = create(
        sandbox, sale, [(sale.dresses, 2)], shippingCost={"value": money("49.00")},
        voucherValue={"value": money("10.10")}, returnCost=money("4.95"),
    )  # fmt: skip
    assert made["userErrors"] == []
    assert made["return"]["grandTotal"]["value"] == Decimal("433.75")
    # 2 x 39.98, less 2.02 in the voucher, plus 9.80 in the shipping
    assert made["return"]["totals"]["taxIncluded"]["value"] == Decimal("87.74")


def test_a_line_cannot_be_returned_beyond_what_was_shipped(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    assert create(sandbox, sale, [(sale.dresses, 1)])["userErrors"] == []
    refused = create(sandbox, sale, [(sale.shirt, 1), (sale.dresses, 2)])
    assert refused["return"] is None
    assert refused["userErrors"] == [
        {"message": "Only 1 units of this line can be returned", "path": ["input", "lines", "1", "quantity"]}
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["dresses", "shirt"]), st.integers(-1, 3)), max_size=6))
def test_however_often_it_is_tried_no_more_is_returned_than_was_shipped(
    sandbox: RunningSandbox, tries: list[tuple[str, int]]
) -> None:
    store = sandbox.store
    for size in (1, 2):
        store.change_stock([Moved(size, 2)], into=1, out_of=None, description="delivery")
    sale = sell(store)
    for name, quantity in tries:
        try:
            store.create_return(NewReturn(sale.shipment, [(getattr(sale, name), quantity)], "none"))
        except CentraRefusal:
            continue
    assert store.returned(sale.dresses) <= 2
    assert store.returned(sale.shirt) <= 1


def test_a_line_of_another_shipment_is_refused(sandbox: RunningSandbox) -> None:
    one, other = sell(sandbox.store), sell(sandbox.store)
    refused = create(sandbox, one, [(other.dresses, 1)])
    assert refused["userErrors"][0]["path"] == ["input", "lines", "0", "shipmentLine"]


def test_costs_end_at_what_is_left_of_them_and_from_shipment_takes_the_rest(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    create(sandbox, sale, [(sale.dresses, 1)], shippingCost={"value": money("20.00")})
    refused = create(sandbox, sale, [(sale.dresses, 1)], shippingCost={"value": money("29.01")})
    assert refused["userErrors"][0]["path"] == ["input", "shippingCost"]
    made = create(sandbox, sale, [(sale.dresses, 1)], shippingCost={"fromShipment": True})
    assert made["return"]["grandTotal"]["value"] == Decimal("228.90")


def test_a_cost_is_a_value_or_from_the_shipment_never_both(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    refused = create(sandbox, sale, [(sale.dresses, 1)], shippingCost={"value": money("1"), "fromShipment": True})
    assert "exactly one" in refused["userErrors"][0]["message"]


@pytest.mark.parametrize(
    ("policy", "main", "outlet"),
    [
        ({"releaseItemsBackToWarehouse": True}, 1, 0),
        ({"sendItemsToDifferentWarehouse": {"id": 2}}, 0, 1),
        ({"removeItemsFromStock": True}, 0, 0),
    ],
)
def test_stock_follows_the_policy_of_the_return_and_deleting_it_takes_it_back(
    sandbox: RunningSandbox, policy: dict[str, Any], main: int, outlet: int
) -> None:
    sale = sell(sandbox.store)
    before = stock(sandbox.store, 1)
    made = create(sandbox, sale, [(sale.dresses, 1)], returnStockActionPolicy=policy)
    assert (stock(sandbox.store, 1) - before, stock(sandbox.store, 2)) == (main, outlet)
    data(sandbox, "mutation { deleteReturn(id: %d) { userErrors { message } } }" % made["return"]["id"])
    assert (stock(sandbox.store, 1) - before, stock(sandbox.store, 2)) == (0, 0)
    assert sandbox.store.records()["returns"] == []


def test_completing_pays_nothing_and_is_refused_the_second_time(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    made = create(sandbox, sale, [(sale.dresses, 1)])["return"]["id"]
    complete = "mutation { completeReturn(id: %d) { return { returnStatus } userErrors { message } } }" % made
    assert data(sandbox, complete)["completeReturn"]["return"]["returnStatus"] == "COMPLETED"
    assert data(sandbox, complete)["completeReturn"]["userErrors"] == [{"message": "Return is completed already"}]
    assert sandbox.store.money_of(sale.number)[1] == 0


def test_a_careless_second_refund_pays_again_until_the_captured_money_is_used_up(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    made = create(sandbox, sale, [(sale.dresses, 1)])["return"]["id"]
    refund = (
        "mutation { refundReturn(id: %d) { paymentHistoryEntries { value { value } } userErrors { message } } }" % made
    )
    answers = [data(sandbox, refund)["refundReturn"] for _ in range(3)]
    assert [len(answer["paymentHistoryEntries"]) for answer in answers] == [1, 1, 0]
    assert sandbox.store.money_of(sale.number) == (Decimal("518.80"), Decimal("399.80"))
    assert "can be refunded" in answers[2]["userErrors"][0]["message"]


def test_nothing_is_refunded_where_nothing_was_captured(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store, captured=False)
    made = create(sandbox, sale, [(sale.dresses, 1)])["return"]["id"]
    with pytest.raises(CentraRefusal, match="Only 0 SEK"):
        sandbox.store.refund_return(made)


def test_a_used_external_id_makes_a_second_return_and_points_to_it_from_then_on(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    first = create(sandbox, sale, [(sale.dresses, 1)], externalId="PK1")["return"]["id"]
    second = create(sandbox, sale, [(sale.dresses, 1)], externalId="PK1")["return"]["id"]
    found = data(sandbox, '{ returns(where: {externalId: ["PK1"]}) { id } }')["returns"]
    assert first != second
    assert found == [{"id": second}]


def test_one_failed_alias_leaves_the_others_done(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    answer = data(
        sandbox,
        """
        mutation Two($a: ReturnCreateInput!, $b: ReturnCreateInput!) {
          first: createReturn(input: $a) { return { id } userErrors { message } }
          second: createReturn(input: $b) { return { id } userErrors { message } }
        }
        """,
        {
            name: {
                "shipment": {"id": sale.shipment},
                "lines": [{"shipmentLine": {"id": sale.dresses}, "quantity": quantity}],
                "returnStockActionPolicy": {"removeItemsFromStock": True},
            }
            for name, quantity in (("a", 3), ("b", 2))
        },
    )
    assert answer["first"]["return"] is None
    assert answer["second"]["return"] is not None


def test_what_people_do_is_visible_as_theirs(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    sandbox.store.person_create_return(sale.shipment, {sale.shirt: 1}, at=SHIPPED, comment="came by post")
    (shown,) = data(sandbox, "{ returns { createdFrom adminUser { name } comment } }")["returns"]
    assert shown == {"createdFrom": "AMS", "adminUser": {"name": "Customer service"}, "comment": "came by post"}


def test_a_refund_that_the_provider_answers_later_is_a_request_first(sandbox: RunningSandbox) -> None:
    store = sandbox.store
    object.__setattr__(store.settings, "refunds_in_two_steps", ("card", "wallet"))
    sale = sell(store)
    made = store.create_return(NewReturn(sale.shipment, [(sale.dresses, 1)], "none"))
    entry = store.refund_return(made)
    assert store.money_of(sale.number)[1] == Decimal("199.90")
    store.settle_refund_request(entry, succeeded=False, at=SHIPPED)
    assert store.money_of(sale.number)[1] == 0
    assert [row[2:4] for row in store.records()["payments"][2:]] == [
        ["REFUND_REQUEST", "FAILED"],
        ["REFUND_FAILED", "FAILED"],
    ]
