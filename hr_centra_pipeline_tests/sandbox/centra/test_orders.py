from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.sandbox.centra.store import CentraSettings, NewLine, NewOrder
from hr_centra_pipeline.sandbox.server import RunningSandbox, running_sandbox
from hr_centra_pipeline_tests.sandbox.centra.conftest import (
    SHIPPED,
    SOLD,
    ask,
    control,
    data,
    furnish,
    order_api,
    sell,
    shown_order,
    slow,
)

CANCEL = """
mutation Cancel($id: String!, $input: DirectToConsumerOrderCancelInput!) {
  cancelDirectToConsumerOrder(id: $id, input: $input) {
    order { status }
    paymentHistoryEntries { entryType status value { value } }
    userErrors { message path }
    userWarnings { message path }
  }
}
"""


def place(sandbox: RunningSandbox, *, quantity: int = 2, number: int | None = None, **more: Any) -> int:
    line = NewLine("DRESS-S", quantity, Decimal("199.90"), Decimal("249.90"), Decimal(25))
    return sandbox.store.add_order(NewOrder(1, "SEK", "SE", [line], SOLD, number=number, **more)).number


def cancel(sandbox: RunningSandbox, number: int, stock: dict[str, Any] | None = None, **more: Any) -> Any:
    given = {
        "stockAction": stock or {"releaseItemsBackToWarehouse": True}, "emailOptions": {"sendEmail": False}, **more,
    }  # fmt: skip
    answer = data(sandbox, CANCEL, {"id": sandbox.store.order(number)["id"], "input": given})
    return answer["cancelDirectToConsumerOrder"]


def dresses(sandbox: RunningSandbox) -> list[Any]:
    return [row[1:] for row in sandbox.store.records()["stock"] if row[0] == "DRESS-S"]


# ---------------------------------------------------------------- reading


def test_an_order_is_found_by_its_id_and_one_of_another_store_is_not(sandbox: RunningSandbox) -> None:
    number = sell(sandbox.store).number
    look = 'query Look { order(id: "%s") { number } }'
    assert data(sandbox, look % sandbox.store.order(number)["id"]) == {"order": {"number": number}}
    assert data(sandbox, look % ("0" * 32)) == {"order": None}
    token = control(sandbox, "tokens", {"store_id": 2})["token"]
    assert ask(sandbox, look % sandbox.store.order(number)["id"], token=token).json()["data"] == {"order": None}


@pytest.mark.parametrize(
    "query", ["{ stockChanges { id } }", "{ orders(sort: [createdAt_DESC]) { id } }", "{ orders(sort: [updatedAt_ASC]) { id } }"]
)  # fmt: skip
def test_roots_and_sorts_that_no_document_has_are_refused(sandbox: RunningSandbox, query: str) -> None:
    assert ask(sandbox, query).status_code == 400


def test_an_order_shows_its_market_pricelist_payment_method_and_totals(sandbox: RunningSandbox) -> None:
    number = sell(sandbox.store).number
    shown = shown_order(
        sandbox, number,
        """market { id } pricelist { id name } paymentMethod { uri } currencyBaseRate
        totals { quantity lineValues { value valueInCents } shippingTaxIncluded { value } taxAdded { value } }""",
    )  # fmt: skip
    assert shown["market"] == {"id": 2}
    assert shown["pricelist"] == {"id": 2, "name": "Krona"}
    assert shown["paymentMethod"] == {"uri": "adyen-drop-in"}
    assert shown["totals"] == {
        "quantity": 3, "lineValues": {"value": Decimal("499.80"), "valueInCents": 49980},
        "shippingTaxIncluded": {"value": Decimal("9.80")}, "taxAdded": {"value": 0},
    }  # fmt: skip


def test_each_customer_lives_elsewhere_and_one_in_ten_has_a_state_and_a_mobile_number(sandbox: RunningSandbox) -> None:
    fields = "shippingAddress { address1 address2 zipCode city state { id code name } stateOrProvince phoneNumber cellPhoneNumber }"
    shown = []
    for customer in range(1, 21):
        if customer > 1:
            sandbox.store.add_customer(email=f"{customer}@example.com", first_name="A", last_name="B", country="US")
        line = NewLine("DRESS-S", 1, Decimal(1), Decimal(1), Decimal(0))
        placed = sandbox.store.add_order(NewOrder(customer, "USD", "US", [line], SOLD))
        shown.append(shown_order(sandbox, placed.number, fields)["shippingAddress"])
    assert len({(address["address1"], address["zipCode"]) for address in shown}) == 20
    assert len([address for address in shown if address["address2"]]) == 6
    structured = [address for address in shown[1:] if address["state"]]
    assert len(structured) == 2
    for address in shown[1:]:
        assert (address["state"] is None) != (address["stateOrProvince"] is None)
        assert (address["cellPhoneNumber"] is None) == (address["state"] is None) != (address["phoneNumber"] is None)
    assert set(structured[0]["state"]) == {"id", "code", "name"}


# ---------------------------------------------------------------- cancelling


def test_a_cancelled_order_is_deleted_keeps_its_quantities_and_gives_its_stock_back(sandbox: RunningSandbox) -> None:
    before = dresses(sandbox)
    number = place(sandbox)
    assert dresses(sandbox) == [[1, 20, 2]]
    answer = cancel(sandbox, number)
    assert (answer["order"], answer["userErrors"], answer["userWarnings"]) == ({"status": "DELETED"}, [], [])
    shown = shown_order(sandbox, number, "status lines { quantity cancelledQuantity } grandTotal { value }")
    assert shown["lines"] == [{"quantity": 2, "cancelledQuantity": 0}]
    assert shown["grandTotal"]["value"] == Decimal("399.80")
    assert dresses(sandbox) == before
    assert "cancelled already" in cancel(sandbox, number)["userErrors"][0]["message"]


@pytest.mark.parametrize(
    ("stock", "left"),
    [
        ({"removeItemsFromStock": True}, [[1, 18, 0]]),
        ({"sendItemsToDifferentWarehouse": {"id": 3}}, [[1, 18, 0], [3, 2, 0]]),
    ],
)
def test_the_stock_of_a_cancelled_order_goes_where_its_action_says(
    sandbox: RunningSandbox, stock: dict[str, Any], left: list[Any]
) -> None:
    assert cancel(sandbox, place(sandbox), stock)["userErrors"] == []
    assert dresses(sandbox) == left


def test_units_of_a_line_that_are_cancelled_one_by_one_leave_its_quantity(sandbox: RunningSandbox) -> None:
    number = place(sandbox)
    (line,) = sandbox.store.rows("select id from order_lines where order_number = ?", [number])
    assert control(sandbox, "person", {"act": "cancel_line", "given": {"order_line_id": line["id"]}})["refused"] is None
    shown = shown_order(sandbox, number, "status lines { quantity cancelledQuantity }")
    assert shown["lines"] == [{"quantity": 1, "cancelledQuantity": 1}]
    assert dresses(sandbox) == [[1, 20, 1]]


def test_an_order_is_named_by_its_id_when_it_is_cancelled_never_by_its_number(sandbox: RunningSandbox) -> None:
    number = place(sandbox)
    mutation = "mutation { cancelDirectToConsumerOrder(%s, input: {stockAction: {releaseItemsBackToWarehouse: true}, "
    mutation += "emailOptions: {sendEmail: false}}) { userErrors { path } } }"
    assert ask(sandbox, mutation % f"order: {{number: {number}}}").status_code == 400
    refused = data(sandbox, mutation % f'id: "{number}"')["cancelDirectToConsumerOrder"]
    assert refused["userErrors"] == [{"path": ["id"]}]
    assert sandbox.store.order(number)["status"] == "CONFIRMED"


def test_a_shipped_order_can_not_be_cancelled(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    answer = cancel(sandbox, sale.number)
    assert answer["order"] is None
    assert "shipped" in answer["userErrors"][0]["message"]
    assert sandbox.store.order(sale.number)["status"] == "SHIPPED"


def test_a_reason_is_refused_because_no_value_of_it_is_known(sandbox: RunningSandbox) -> None:
    assert cancel(sandbox, place(sandbox), reason="OTHER")["userErrors"][0]["path"] == ["input", "reason"]


def test_the_authorisation_is_cancelled_only_when_asked_for_with_a_negative_value(sandbox: RunningSandbox) -> None:
    assert cancel(sandbox, place(sandbox))["paymentHistoryEntries"] == []
    answer = cancel(sandbox, place(sandbox), cancelAuthorization=True)
    assert answer["paymentHistoryEntries"] == [
        {"entryType": "CANCEL", "status": "SUCCESS", "value": {"value": Decimal("-399.80")}}
    ]


def test_a_cancellation_in_two_steps_is_a_request_first(tmp_path: Path) -> None:
    with running_sandbox(tmp_path, slow(1000.0, centra=CentraSettings(cancels_in_two_steps=True))) as sandbox:
        furnish(sandbox.store)
        number = place(sandbox)
        (entry,) = cancel(sandbox, number, cancelAuthorization=True)["paymentHistoryEntries"]
        assert entry == {"entryType": "CANCEL_REQUEST", "status": "PENDING", "value": {"value": Decimal("-399.80")}}
        control(sandbox, "person", {"act": "answer_requests", "given": {"kind": "cancel", "order_number": number}})
        shown = shown_order(sandbox, number, "status paymentHistory { entryType status value { value } }")
    assert [(row["entryType"], row["status"]) for row in shown["paymentHistory"]] == [
        ("AUTH", "SUCCESS"),
        ("CANCEL_REQUEST", "SUCCESS"),
        ("CANCEL", "SUCCESS"),
    ]
    assert shown["paymentHistory"][2]["value"]["value"] == Decimal("-399.80")


def test_an_authorisation_that_stays_is_a_warning_and_an_entry_and_the_order_is_cancelled_all_the_same(
    sandbox: RunningSandbox,
) -> None:
    number = place(sandbox)
    sandbox.store.refuse_cancelling_authorisation_of(number, "Provider did not answer")
    answer = cancel(sandbox, number, cancelAuthorization=True)
    assert (answer["userErrors"], answer["order"]) == ([], {"status": "DELETED"})
    assert answer["userWarnings"] == [{"message": "Provider did not answer", "path": ["input", "cancelAuthorization"]}]
    assert [(entry["entryType"], entry["status"]) for entry in answer["paymentHistoryEntries"]] == [
        ("CANCEL", "FAILED")
    ]


def test_an_order_without_a_payment_has_no_authorisation_to_cancel(sandbox: RunningSandbox) -> None:
    (number,) = order_api(sandbox)["orders"]
    answer = cancel(sandbox, number, cancelAuthorization=True)
    assert (answer["order"], answer["paymentHistoryEntries"]) == ({"status": "DELETED"}, [])
    assert len(answer["userWarnings"]) == 1


def test_an_email_about_a_cancellation_is_sent_as_asked(sandbox: RunningSandbox) -> None:
    for asked in (False, True):
        cancel(sandbox, place(sandbox), emailOptions={"sendEmail": asked})
    assert [what for what, _ in sandbox.store.records()["emails"]] == ["order cancelled"]


# ---------------------------------------------------------------- shipments

MARK = """mutation Mark($id: Int!, $input: ShipmentUpdateInput!) {
  updateShipment(id: $id, input: $input) {
    shipment { isPaid isGoodToGo isShipped order { status } } userErrors { path message }
  }
}"""


def test_a_shipment_exists_before_it_ships_and_is_marked_as_paid_and_good_to_go(sandbox: RunningSandbox) -> None:
    (number,) = order_api(sandbox)["orders"]
    (line,) = shown_order(sandbox, number, "lines { id }")["lines"]
    create = """mutation Pack($input: ShipmentCreateInput!) {
        createShipment(input: $input) { shipment { id isGoodToGo isPaid isShipped shippedAt } userErrors { path } } }"""
    packed = {"order": {"number": number}, "lines": [{"orderLine": {"id": line["id"]}, "quantity": 1}]}
    made = data(sandbox, create, {"input": packed})["createShipment"]["shipment"]
    assert {name: made[name] for name in made if name != "id"} == {
        "isGoodToGo": False, "isPaid": False, "isShipped": False, "shippedAt": None,
    }  # fmt: skip
    assert data(sandbox, create, {"input": packed})["createShipment"]["userErrors"] == [{"path": ["input", "lines"]}]
    for input_, flags in (({"isPaid": True}, (True, False)), ({"isGoodToGo": True}, (True, True))):
        marked = data(sandbox, MARK, {"id": made["id"], "input": input_})["updateShipment"]["shipment"]
        assert (marked["isPaid"], marked["isGoodToGo"]) == flags
        assert (marked["isShipped"], marked["order"]["status"]) == (False, "PROCESSING")
    shown = data(sandbox, "{ shipments(where: {isShipped: false}) { id } }")["shipments"]
    assert shown == [{"id": made["id"]}]


def test_a_shipment_that_is_not_there_or_has_left_is_not_marked(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    for shipment, path in ((999, ["id"]), (sale.shipment, ["input", "isGoodToGo"])):
        answer = data(sandbox, MARK, {"id": shipment, "input": {"isGoodToGo": True}})["updateShipment"]
        assert (answer["shipment"], answer["userErrors"][0]["path"]) == (None, path)


def test_an_order_is_over_only_when_each_shipment_is_paid_too(sandbox: RunningSandbox) -> None:
    (number,) = order_api(sandbox)["orders"]
    shipment = sandbox.store.ship(number, at=SHIPPED)
    assert shown_order(sandbox, number, "status")["status"] == "PROCESSING"
    marked = data(sandbox, MARK, {"id": shipment, "input": {"isPaid": True}})["updateShipment"]
    assert marked["shipment"]["order"]["status"] == "SHIPPED"


def test_only_what_is_good_to_go_ships_where_the_shop_asks_for_that(tmp_path: Path) -> None:
    centra = CentraSettings(ships_only_good_to_go=True, creates_shipments=True)
    with running_sandbox(tmp_path, slow(1000.0, centra=centra)) as sandbox:
        furnish(sandbox.store)
        (number,) = order_api(sandbox)["orders"]
        act = {"act": "ship", "given": {"order_number": number}}
        assert "not good to go" in control(sandbox, "person", act)["refused"]
        (shipment,) = shown_order(sandbox, number, "shipments { id isShipped }")["shipments"]
        data(sandbox, MARK, {"id": shipment["id"], "input": {"isGoodToGo": True}})
        assert control(sandbox, "person", act)["made"] == shipment["id"]
        assert shown_order(sandbox, number, "shipments { isShipped }")["shipments"] == [{"isShipped": True}]


def test_a_shipment_that_has_not_left_goes_with_its_cancelled_order(sandbox: RunningSandbox) -> None:
    number = place(sandbox)
    sandbox.store.create_shipment(number, at=SHIPPED)
    assert cancel(sandbox, number)["userErrors"] == []
    assert shown_order(sandbox, number, "shipments { id }")["shipments"] == []
    assert dresses(sandbox) == [[1, 20, 0]]


# ---------------------------------------------------------------- notes and attributes


def test_only_configured_attributes_are_assigned_to_orders_by_number_and_customers_by_id(tmp_path: Path) -> None:
    assign = """mutation Assign($input: AttributesAssignGenericInput!) { assignAttributes(input: $input) {
        object { ... on DirectToConsumerOrder { attributes { type { name } elements { key value } } }
                 ... on Customer { attributes { type { name } elements { key value } } } }
        userErrors { path } } }"""
    with running_sandbox(tmp_path, slow(1000.0, centra=CentraSettings(attributes=("returns.status",)))) as sandbox:
        furnish(sandbox.store)
        number = place(sandbox)
        given = {"attributeTypeName": "returns", "attributeElementKey": "status", "attributeElementValue": "refunded"}
        for kind, object_id in (("Order", number), ("Customer", 1)):
            answer = data(
                sandbox, assign, {"input": {"objectType": kind, "objectId": object_id, "dynamicAttributes": [given]}}
            )["assignAttributes"]
            assert answer["userErrors"] == []
            assert answer["object"]["attributes"] == [
                {"type": {"name": "returns"}, "elements": [{"key": "status", "value": "refunded"}]}
            ]
        unknown = {
            "objectType": "Order",
            "objectId": number,
            "dynamicAttributes": [{**given, "attributeElementKey": "x"}],
        }
        refused = data(sandbox, assign, {"input": unknown})["assignAttributes"]
    assert (refused["object"], refused["userErrors"]) == (None, [{"path": ["input", "dynamicAttributes", "0"]}])


def test_the_comment_on_a_customer_is_replaced(sandbox: RunningSandbox) -> None:
    update = """mutation { updateCustomer(customer: {id: 1}, input: {internalComment: "%s"}) {
        customer { internalComment } userErrors { path } } }"""
    for text in ("one", "two"):
        answer = data(sandbox, update % text)["updateCustomer"]
    assert answer == {"customer": {"internalComment": "two"}, "userErrors": []}


# ---------------------------------------------------------------- permissions


@pytest.mark.parametrize(
    ("query", "permission"),
    [
        ("{ orders { market { id } } }", "Market:read"),
        ("{ orders { pricelist { id } } }", "Pricelist:read"),
        ("{ orders { ... on DirectToConsumerOrder { customer { id } } } }", "Purchaser:read"),
        ("{ returns { adminUser { id } } }", "AdminUser:read"),
        ("mutation { refundReturn(id: 1) { userErrors { path } } }", "Payment.refund:write"),
        ("mutation { updateShipment(id: 1, input: {isPaid: true}) { userErrors { path } } }", "Shipment:write"),
    ],
)
def test_what_is_read_or_written_needs_its_permission(sandbox: RunningSandbox, query: str, permission: str) -> None:
    token = control(sandbox, "tokens", {"permissions": ["Order:read", "Return:read", "Customer:read", "Return:write"]})[
        "token"
    ]
    messages = [error["message"] for error in ask(sandbox, query, token=token).json()["errors"]]
    assert f"Missing permission {permission}" in messages


@pytest.mark.parametrize("asked", [False, True])
def test_cancelling_an_authorisation_needs_a_permission_of_its_own(sandbox: RunningSandbox, asked: bool) -> None:
    token = control(sandbox, "tokens", {"permissions": ["Order:read", "Order:write", "PaymentHistory:read"]})["token"]
    order_id = sandbox.store.order(place(sandbox))["id"]
    given = {
        "stockAction": {"releaseItemsBackToWarehouse": True}, "emailOptions": {"sendEmail": False},
        "cancelAuthorization": asked,
    }  # fmt: skip
    answer = ask(sandbox, CANCEL, {"id": order_id, "input": given}, token=token).json()
    assert ("Missing permission Payment.cancel:write" in str(answer)) == asked


def test_introspection_needs_no_permission(sandbox: RunningSandbox) -> None:
    token = control(sandbox, "tokens", {"permissions": []})["token"]
    answer = ask(sandbox, '{ __type(name: "OrderStatus") { enumValues { name } } }', token=token).json()
    assert "DELETED" in str(answer["data"])
