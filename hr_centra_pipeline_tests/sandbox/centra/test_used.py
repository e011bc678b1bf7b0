from __future__ import annotations

from hr_centra_pipeline.sandbox.server import RunningSandbox
from hr_centra_pipeline_tests.sandbox.centra.conftest import ask, control, data, order_api, sell


def test_every_coordinate_that_a_request_uses_is_recorded(sandbox: RunningSandbox) -> None:
    sell(sandbox.store)
    query = """
    query Look($where: OrderFilter, $first: Int = 5) {
      orderConnection(where: $where, sort: [number_DESC], first: $first) { edges { node { ...parts } } }
    }
    fragment parts on Order {
      status grandTotal(includingTax: true) { value }
      ... on DirectToConsumerOrder { customer { id } }
      paymentHistory(where: {entryType: [CAPTURE]}) { status }
    }
    """
    where = {"status": ["SHIPPED"], "createdAt": {"from": "2020-01-01T00:00:00Z"}}
    data(sandbox, query, {"where": where})
    used = control(sandbox, "used")
    assert used == sandbox.sandbox.used()
    assert used["fields"] == [
        "Customer.id", "DirectToConsumerOrder.customer", "MonetaryValue.value", "Order.grandTotal", "Order.paymentHistory",
        "Order.status", "OrderConnection.edges", "OrderEdge.node", "PaymentHistoryEntry.status", "Query.orderConnection",
    ]  # fmt: skip
    assert used["arguments"] == [
        "Order.grandTotal(includingTax:)", "Order.paymentHistory(where:)", "Query.orderConnection(first:)",
        "Query.orderConnection(sort:)", "Query.orderConnection(where:)",
    ]  # fmt: skip
    assert used["inputs"] == [
        "DateRange.from", "OrderFilter.createdAt", "OrderFilter.status", "PaymentHistoryEntryFilter.entryType",
    ]  # fmt: skip
    assert used["enum_words"] == [
        "OrderSort.number_DESC", "OrderStatus.SHIPPED", "PaymentHistoryEntryType.CAPTURE",
    ]  # fmt: skip
    assert used["enum_words_answered"] == ["OrderStatus.SHIPPED", "PaymentHistoryEntryStatus.SUCCESS"]


def test_members_of_inputs_count_wherever_they_stand(sandbox: RunningSandbox) -> None:
    query = """mutation Move($size: ProductSizeInput!, $of: [StockChangeProductSizeInput!]) {
      a: changeStock(input: {intoWarehouse: {id: 1}, description: "x",
        productSizes: [{productSize: $size, deliveredQuantity: 1}]}) { userErrors { path } }
      b: changeStock(input: {outFromWarehouse: {id: 1}, description: "x", productSizes: $of}) { userErrors { path } }
    }"""
    of = [{"productSize": {"any": "DRESS-S"}, "deliveredQuantity": 1}]
    data(sandbox, query, {"size": {"SKU": "DRESS-S"}, "of": of})
    assert sandbox.sandbox.used()["inputs"] == [
        "ProductSizeInput.SKU", "ProductSizeInput.any", "StockChangeInput.description", "StockChangeInput.intoWarehouse",
        "StockChangeInput.outFromWarehouse", "StockChangeInput.productSizes", "StockChangeProductSizeInput.deliveredQuantity",
        "StockChangeProductSizeInput.productSize", "WarehouseInput.id",
    ]  # fmt: skip


def test_what_was_not_executed_and_introspection_do_not_count(sandbox: RunningSandbox) -> None:
    token = control(sandbox, "tokens", {"permissions": []})["token"]
    ask(sandbox, "{ orders { id } }", token=token)
    ask(sandbox, "{ orders { nope } }")
    ask(sandbox, '{ __schema { types { name } } __type(name: "Order") { name } }')
    assert {name: found for name, found in sandbox.sandbox.used().items() if found} == {}


def test_only_the_operation_that_is_executed_counts(sandbox: RunningSandbox) -> None:
    query = "query A { orders { id } } query B { warehouses { name } }"
    for _ in range(2):
        answer = sandbox.sandbox.api.prepare(
            sandbox.sandbox.api.tokens[sandbox.token], {"query": query, "operationName": "B"}
        )
        sandbox.sandbox.api.execute(answer)  # type: ignore[arg-type] # it is a valid request
    assert sandbox.sandbox.used()["fields"] == ["Query.warehouses", "Warehouse.name"]


def test_keys_of_the_order_api_are_recorded_by_call(sandbox: RunningSandbox) -> None:
    order_api(sandbox, orderNumber=900001, nonsense=1, createdFromOrigin={"type": "plugin", "id": 1})
    order_api(sandbox, "GET", "orders", order=900001)
    order_api(sandbox, "PUT", "orders", order=900001, internalComment="x")
    order_api(sandbox, path="order/900001", comment="x")
    assert control(sandbox, "used")["rest_keys"] == [
        "GET /orders order", "POST /order address.country", "POST /order address.email", "POST /order createdFromOrigin.id",
        "POST /order createdFromOrigin.type", "POST /order nonsense", "POST /order orderNumber", "POST /order products.qty",
        "POST /order products.sku", "POST /order products.unitPrice", "POST /order shippingValue",
        "POST /order/{number} comment", "PUT /orders internalComment", "PUT /orders order",
    ]  # fmt: skip
