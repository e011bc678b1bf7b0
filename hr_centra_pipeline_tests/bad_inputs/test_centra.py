"""Bad answers of Centra: the pull says in one sentence what was wrong, lands nothing of that page, and takes nothing for gone."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
import simplejson

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra import pull
from hr_centra_pipeline.sources.centra.centra_errors import CentraError, Misconfigured, Transient
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.pull_progress import PullReport
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.bad_inputs.conftest import NOW, content
from hr_centra_pipeline_tests.sources.centra import payloads
from hr_centra_pipeline_tests.sources.centra.server import Respond, answering

POLICY = Policy.model_validate(
    {
        "cutover": NOW,
        "dispositions": {"sellable": {"warehouse_id": 1}},
        "pays_through": {"refund": "centra", "gift-card": "gift_card"},
    }
)
Node = dict[str, Any]


def page(connection: str, *nodes: Any, **info: Any) -> bytes:
    edges = [{"node": node} for node in nodes]
    given = {"hasNextPage": False, "endCursor": None, **info}
    return simplejson.dumps({"data": {connection: {"pageInfo": given, "edges": edges}}}, use_decimal=True).encode()


def without(node: Node, *path: str) -> Node:
    """A node that misses one field."""
    changed = deepcopy(node)
    inner: Any = changed
    for step in path[:-1]:
        inner = inner[int(step) if step.isdigit() else step]
    del inner[path[-1]]
    return changed


ORDER = payloads.order(1001)
LINE = payloads.order_line(10010, "95")
CHANGE = payloads.stock_change(1, "HR", (1, "SKU", 1))
RETURN = payloads.a_return(1, 1001)

# name -> (pull, the connection, a node beside a good one, words of the problem)
NODES: dict[str, tuple[str, str, Node, tuple[str, ...]]] = {
    "an order without a number": ("orders", "orderConnection", without(ORDER, "number"), ("Order", "number: Field required")),
    "an order whose number is a text": ("orders", "orderConnection", payloads.order(7) | {"number": "7"}, ("Order 7", "number")),
    "an order without lines": ("orders", "orderConnection", without(ORDER, "lines"), ("Order 1001", "lines: Field required")),
    "an order without totals": ("orders", "orderConnection", without(ORDER, "totals", "shipping"), ("Order 1001", "totals.shipping")),
    "a time without an offset": ("orders", "orderConnection", payloads.order(7, updatedAt="2026-09-20T10:00:00"), ("Order 7", "updatedAt", "timezone")),
    "a time that is none": ("orders", "orderConnection", payloads.order(7, createdAt="yesterday"), ("Order 7", "createdAt")),
    "a currency in small letters": ("orders", "orderConnection", payloads.order(7, grandTotal=payloads.money("1", "eur")), ("Order 7", "grandTotal.currency.code")),
    "an amount that is a word": ("orders", "orderConnection", payloads.order(7, grandTotal={"value": "much", "currency": {"code": "EUR"}}), ("Order 7", "grandTotal.value")),
    "an amount with five decimals": ("orders", "orderConnection", payloads.order(7, grandTotal=payloads.money("1.00001")), ("Order 7", "grandTotal.value", "4 decimal places")),
    "an amount that no order costs": ("orders", "orderConnection", payloads.order(7, grandTotal=payloads.money("10000000000")), ("Order 7", "grandTotal.value", "less than 10000000000")),
    "an amount beyond all": ("orders", "orderConnection", payloads.order(7, grandTotal={"value": Decimal("1e30"), "currency": {"code": "EUR"}}), ("Order 7", "grandTotal.value")),
    "a negative quantity": ("orders", "orderConnection", payloads.order(7, lines=[LINE | {"quantity": -1}]), ("Order 7", "lines.0.quantity")),
    "a quantity with a fraction": ("orders", "orderConnection", payloads.order(7, lines=[LINE | {"quantity": Decimal("1.5")}]), ("Order 7", "lines.0.quantity")),
    "a payment without a type": ("orders", "orderConnection", payloads.order(7, paymentHistory=[without(payloads.payment(1, "CAPTURE", "1"), "entryType")]), ("Order 7", "paymentHistory.0.entryType")),
    "null where an object is due": ("orders", "orderConnection", payloads.order(7, grandTotal=None), ("Order 7", "grandTotal")),
    "a shipment of no order": ("shipments", "shipmentConnection", without(payloads.shipment(5, 1001), "order"), ("Shipment", "order: Field required")),
    "a shipment with a text for a flag": ("shipments", "shipmentConnection", payloads.shipment(5, 1001, isShipped="perhaps"), ("Shipment", "isShipped")),
    "a stock change without a text": ("stock_changes", "stockChangeConnection", without(CHANGE, "comment"), ("StockChange 1", "comment: Field required")),
    "a stock change of half a piece": ("stock_changes", "stockChangeConnection", CHANGE | {"lines": [CHANGE["lines"][0] | {"deliveredQuantity": Decimal("0.5")}]}, ("StockChange 1", "deliveredQuantity")),
    "a Return without its total": ("returns", "returnConnection", without(RETURN, "grandTotal"), ("Return 1", "grandTotal: Field required")),
    "a Return of no shipment": ("returns", "returnConnection", RETURN | {"shipment": None}, ("Return 1", "shipment")),
}  # fmt: skip

# name -> (status, headers, body, kind of error, words)
ANSWERS: dict[str, tuple[int, dict[str, str], bytes, type[CentraError], tuple[str, ...]]] = {
    "an expired token": (403, {}, b'{"message": "Token expired"}', Misconfigured, ("refused: Token expired.", "make a new one in Centra", "HTTP 403")),
    "no login at all": (401, {}, b'{"message": "Unauthorized"}', Misconfigured, ("refused: Unauthorized.", "HTTP 401")),
    "a wrong address": (404, {}, b"<h1>Not found</h1>", Misconfigured, ("The address in the environment is wrong", "HTTP 404")),
    "a redirect": (302, {"Location": "https://elsewhere.example"}, b"", Misconfigured, ("It redirects elsewhere: put the final address into the environment", "HTTP 302")),
    "a query that it does not know": (400, {}, b'{"errors": [{"message": "Cannot query field x"}]}', CentraError, ("Cannot query field x", "hr-centra doctor")),
    "a missing permission": (200, {}, b'{"errors": [{"message": "Missing permission Order:read", "extensions": {"category": "authorization"}}]}', Misconfigured, ("Missing permission Order:read", "Give the token this permission in Centra")),
    "errors beside data": (200, {}, b'{"data": {"orderConnection": null}, "errors": [{"message": "Internal"}]}', CentraError, ("Internal",)),
    "a page of HTML": (200, {"Content-Type": "text/html"}, b"<html>Maintenance</html>", Transient, ("its answer is unreadable", "text/html")),
    "half an answer": (200, {}, page("orderConnection", ORDER)[:-40], Transient, ("its answer is unreadable",)),
    "a list": (200, {}, b"[]", Transient, ("no JSON object",)),
    "a number that is none": (200, {}, b'{"data": {"orderConnection": NaN}}', Transient, ("NaN is not a JSON number",)),
    "nothing at all": (200, {}, b"", Transient, ("its answer is unreadable",)),
    "no data": (200, {}, b'{"data": null}', Transient, ("the answer holds no data",)),
    "another connection": (200, {}, page("shipmentConnection"), CentraError, ("page 1 has no orderConnection",)),
    "a page without edges": (200, {}, b'{"data": {"orderConnection": {"pageInfo": {"hasNextPage": false}}}}', CentraError, ("page 1 has no orderConnection",)),
    "a page that leads nowhere": (200, {}, page("orderConnection", hasNextPage=True), CentraError, ("ends at the cursor None",)),
    "a page that leads to itself": (200, {}, page("orderConnection", hasNextPage=True, endCursor="x"), CentraError, ("ends at the cursor 'x'",)),
    "an internal error": (500, {}, b"", Transient, ("it answered 500, 4 times in a row. Nothing was changed; try again later.", "HTTP 500, request")),
    "a request that ran too long": (499, {}, b"", Transient, ("it answered 499",)),
    "a quota that is used up for hours": (429, {"Retry-After": "7200"}, b"{}", Transient, ("its quota is used up for longer than we wait", "HTTP 429")),
}  # fmt: skip

PULLS: dict[str, Callable[..., PullReport]] = {
    "orders": pull.pull_orders, "shipments": pull.pull_shipments, "returns": pull.pull_returns, "stock_changes": pull.pull_stock_changes,
}  # fmt: skip


def pulled(ledger: Warehouse, name: str, respond: Respond) -> PullReport:
    with answering(respond) as (url, _):
        client = CentraClient(url, "secret-token", sleep=lambda _: None)
        return PULLS[name](client, ledger, POLICY, NOW)


def objects(ledger: Warehouse) -> list[tuple[str, str]]:
    """Every landed object and effect; not the notes of the pulls themselves."""
    notes = ("landing.centra_pulls", "landing.centra_reached", "landing.centra_unreadable")
    return [one for one in content(ledger, "landing", "push", "effects", "staging") if one[0] not in notes]


@pytest.mark.parametrize("case", NODES)
def test_an_object_that_does_not_fit_is_named_with_its_field_and_only_the_rest_of_its_page_lands(
    case: str, ledger: Warehouse
) -> None:
    name, connection, node, words = NODES[case]
    before = objects(ledger)
    fitting = [ORDER | {"number": 1}] if name == "orders" else []
    shown = page(connection, *fitting, node)
    report = pulled(
        ledger, name, lambda asked: (200, {}, shown if connection in asked["query"] else page("shipmentConnection"))
    )
    assert not report.complete
    problem = str(report.problem)
    counted = f"1 of {len(fitting) + 1} objects were not landed"
    assert [word for word in ("Centra", counted, *words) if word not in problem] == [], problem
    assert "\n" not in problem
    if not fitting:
        assert objects(ledger) == before
    with ledger.transaction() as tables:
        landed = tables.execute("select order_number from landing.centra_orders").fetchall()
    assert landed == [(str(order["number"]),) for order in fitting]


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_that_is_none_is_reported_with_vendor_operation_request_and_next_step(
    case: str, ledger: Warehouse
) -> None:
    status, headers, body, kind, words = ANSWERS[case]
    before = objects(ledger)
    report = pulled(ledger, "orders", lambda _: (status, headers, body))
    assert not report.complete
    assert isinstance(report.error, kind)
    problem = str(report.problem)
    assert [word for word in ("Centra PullOrders: ", "request ", *words) if word not in problem] == [], problem
    assert "\n" not in problem
    assert "Traceback" not in problem
    assert "secret-token" not in problem
    assert objects(ledger) == before
    with ledger.transaction() as written:
        assert written.execute("select is_complete from landing.centra_pulls").fetchall() == [(False,)]


HALF = "Anna \\ud800"  # escaped in JSON: half a character, which no UTF-8 can hold


# name -> (pull, the connection, a node with HALF in a text)
HALVES: dict[str, tuple[str, str, Node]] = {
    "an order": ("orders", "orderConnection", payloads.order(1, status="HALF", lines=[LINE | {"productName": "HALF"}])),
    "a payment": ("orders", "orderConnection", payloads.order(1, paymentHistory=[payloads.payment(1, "CAPTURE", "1") | {"externalReference": "HALF"}])),
    "a shipment": ("shipments", "shipmentConnection", payloads.shipment(5, 1001) | {"number": "HALF"}),
    "a Return": ("returns", "returnConnection", RETURN | {"comment": "HALF RET-1", "externalId": "HALF"}),
    "a stock change": ("stock_changes", "stockChangeConnection", CHANGE | {"comment": "HALF"}),
}  # fmt: skip


@pytest.mark.parametrize("case", HALVES)
def test_a_text_with_half_a_character_is_landed_with_a_mark_in_its_place(case: str, ledger: Warehouse) -> None:
    name, connection, node = HALVES[case]
    shown = page(connection, node).replace(b"HALF", HALF.encode())
    report = pulled(
        ledger, name, lambda asked: (200, {}, shown if connection in asked["query"] else page("shipmentConnection"))
    )
    assert (report.complete, report.problem, report.rows_landed) == (True, None, 1)
    with ledger.transaction() as tables:
        landed = tables.execute(f"select payload::varchar from landing.centra_{name}").fetchall()
    assert [payload.count("\ufffd") for (payload,) in landed] == [2 if case == "an order" else 1]


@pytest.mark.parametrize(
    "params", [{"pspReference": "MOD-7"}, ["MOD-7"], 7, True, None, '{"pspReference": "MOD\\ud800"}']
)
def test_a_provider_s_answer_that_is_no_text_holds_no_references_and_its_payment_is_landed(
    params: Any, ledger: Warehouse
) -> None:
    entry = payloads.payment(1, "CAPTURE", "1") | {"paramsJSON": params}
    shown = page("orderConnection", payloads.order(1, paymentHistory=[entry]))
    report = pulled(
        ledger,
        "orders",
        lambda asked: (200, {}, shown if "orderConnection" in asked["query"] else page("shipmentConnection")),
    )
    assert (report.complete, report.problem) == (True, None)
    with ledger.transaction() as tables:
        landed = tables.execute(
            "select payload ->> '$.paymentHistory[0].providerReferences' from landing.centra_orders"
        ).fetchall()
    assert landed == [('["MOD\ufffd"]' if isinstance(params, str) else "[]",)]
