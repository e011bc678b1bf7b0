from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from graphql import get_introspection_query

from hr_centra_pipeline.sandbox.centra.centra_database import UnusableHome
from hr_centra_pipeline.sandbox.centra.schema import schema_text
from hr_centra_pipeline.sandbox.server import RunningSandbox, running_sandbox
from hr_centra_pipeline_tests.sandbox.centra.conftest import ask, data, furnish, order_api, sell, slow


def altered(*changes: tuple[str, str]) -> str:
    text = schema_text()
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    return text


def served(folder: Path, text: str, name: str = "schema.graphql") -> Any:
    (folder / name).write_text(text, encoding="utf-8")
    return running_sandbox(folder / "sandbox", slow(1000.0, schema_path=folder / name))


def test_amounts_are_called_float_as_centra_calls_them_and_are_exact_all_the_same(sandbox: RunningSandbox) -> None:
    shown = data(sandbox, '{ __type(name: "MonetaryValueInput") { inputFields { name type { ofType { name } } } } }')
    assert shown["__type"]["inputFields"][0] == {"name": "value", "type": {"ofType": {"name": "Float"}}}
    sell(sandbox.store)
    (order,) = data(sandbox, "{ orders { grandTotal { value } } }")["orders"]
    assert order["grandTotal"]["value"] == Decimal("518.80")


def test_what_a_schema_of_ones_own_lacks_is_missing_for_clients_and_the_rest_works(tmp_path: Path) -> None:
    text = altered(
        ("  paramsJSON: String", ""), ("orderDate_ASC", ""), ("  issueCredit(input: CreditIssueInput!): CreditIssuePayload!", "")
    )  # fmt: skip
    with served(tmp_path, text) as sandbox:
        furnish(sandbox.store)
        number = sell(sandbox.store).number
        assert data(sandbox, "{ orders { number lines { quantity } } }")["orders"][0]["number"] == number
        for query in (
            "{ orderPaymentHistory { paramsJSON } }", "{ orders(sort: [orderDate_ASC]) { id } }",
            'mutation { issueCredit(input: {order: {number: 1}, amount: {value: 1, currencyIsoCode: "SEK"}, giftCard: {}}) '
            "{ userErrors { path } } }",
        ):  # fmt: skip
            assert ask(sandbox, query).status_code == 400


def test_another_argument_or_a_required_member_more_refuses_what_was_sent_before(tmp_path: Path) -> None:
    text = altered(
        ("cancelDirectToConsumerOrder(id: String!", "cancelDirectToConsumerOrder(order: OrderInput!"),
        (
            "  externalId: String\n}\ninput ReturnLineCreateInput",
            "  externalId: String\n  cause: String!\n}\ninput ReturnLineCreateInput",
        ),
    )
    cancel = """mutation Cancel($id: String!) { cancelDirectToConsumerOrder(id: $id, input: {
        stockAction: {releaseItemsBackToWarehouse: true}, emailOptions: {sendEmail: false}}) { userErrors { path } } }"""
    create = "mutation Create($input: ReturnCreateInput!) { createReturn(input: $input) { return { id } } }"
    with served(tmp_path, text) as sandbox:
        furnish(sandbox.store)
        sale = sell(sandbox.store)
        assert ask(sandbox, cancel, {"id": "x"}).status_code == 400
        given = {
            "shipment": {"id": sale.shipment}, "lines": [{"shipmentLine": {"id": sale.dresses}, "quantity": 1}],
            "returnStockActionPolicy": {"removeItemsFromStock": True},
        }  # fmt: skip
        answer = ask(sandbox, create, {"input": given}).json()
        assert "cause" in answer["errors"][0]["message"]
        assert sandbox.store.records()["returns"] == []


def test_a_word_that_the_schema_lacks_is_answered_all_the_same_and_can_not_be_sent(tmp_path: Path) -> None:
    text = altered(("ARCHIVED DELETED }", "ARCHIVED CANCELLED }"))
    with served(tmp_path, text) as sandbox:
        furnish(sandbox.store)
        (number,) = order_api(sandbox)["orders"]
        sandbox.store.cancel_order(number)
        assert data(sandbox, "{ orders { status } }")["orders"] == [{"status": "DELETED"}]
        assert ask(sandbox, "{ orders(where: {status: [DELETED]}) { id } }").status_code == 400


@pytest.mark.parametrize("wrapped", [True, False])
def test_the_answer_of_an_introspection_query_is_a_schema_too(
    tmp_path: Path, sandbox: RunningSandbox, wrapped: bool
) -> None:
    found = ask(sandbox, get_introspection_query()).json()["data"]
    with served(tmp_path, json.dumps({"data": found} if wrapped else found), "schema.json") as other:
        furnish(other.store)
        sale = sell(other.store)
        made = other.store.person_create_return(sale.shipment, {sale.dresses: 1}, at=other.clock.now())
        query = "mutation { refundReturn(id: %d) { return { grandTotal { value } } userErrors { path } } }" % made
        answer = data(other, query)["refundReturn"]
        assert answer == {"return": {"grandTotal": {"value": Decimal("199.90")}}, "userErrors": []}
        again = ask(other, get_introspection_query()).json()["data"]
    names = [{one["name"] for one in schema["__schema"]["types"]} for schema in (found, again)]
    assert names[0] == names[1]
    assert "Decimal" not in names[0]


def test_a_file_without_a_schema_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"schema\.json: neither SDL nor"), served(tmp_path, "{}", "schema.json"):
        pass


def test_a_home_of_another_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with running_sandbox(tmp_path) as sandbox:
        sandbox.store.rows("pragma user_version = 1")
    with pytest.raises(UnusableHome, match="another version of the sandbox: remove"), running_sandbox(tmp_path):
        pass
