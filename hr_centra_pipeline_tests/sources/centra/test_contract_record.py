"""The contract as the sync keeps it: asked of a Centra over HTTP, once a day, with what old objects show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, graphql_sync

from hr_centra_pipeline.core.policy import GiftCards, Policy
from hr_centra_pipeline.sandbox.centra import order_api_server
from hr_centra_pipeline.sandbox.server import SandboxSettings, running_sandbox
from hr_centra_pipeline.sources.centra import centra_calls, centra_contract, contract_record, old_objects
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.contract_record import ContractReport
from hr_centra_pipeline.sources.centra.order_api import OrderApiClient
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests import recorded
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Rows, Shop
from hr_centra_pipeline_tests.sources.centra.schemas import FIVE, edited, write_introspection


def order_api(shop: Shop) -> OrderApiClient:
    return OrderApiClient(shop.sandbox.order_api_url, shop.sandbox.order_api_key)


class Sync:
    """The step of the sync that looks at the contract."""

    def __init__(self, shop: Shop, warehouse: Warehouse, policy: Policy) -> None:
        self.shop, self.warehouse, self.policy = shop, warehouse, policy

    def __call__(self, now: datetime = NOW, **policy: Any) -> ContractReport:
        given = self.policy.model_copy(update=policy)
        return contract_record.refresh(self.shop.client, order_api(self.shop), self.warehouse, given, now)

    def looks(self) -> int:
        """Introspections that arrived."""
        return self.shop.asked().count("IntrospectionQuery")


@pytest.fixture
def sync(shop: Shop, warehouse: Warehouse, policy: Policy) -> Sync:
    return Sync(shop, warehouse, policy)


# ---------------------------------------------------------------- when it is looked at


def test_the_contract_is_looked_at_once_a_day_and_kept_with_its_date(sync: Sync, rows: Rows) -> None:
    assert sync().looked
    assert not sync(NOW + timedelta(hours=23)).looked
    assert sync(NOW + timedelta(hours=24)).looked
    assert sync.looks() == 2
    ((checked_at, version),) = rows("select distinct checked_at, app_version from operations.contract")
    assert (checked_at, version) == (NOW + timedelta(hours=24), "sandbox")
    assert rows("select count(*) from operations.contract where verdict = 'differs'") == [(0,)]
    assert rows("select count(*) > 300 from operations.contract where verdict = 'as_assumed'") == [(True,)]


def test_another_policy_or_another_version_of_centra_is_looked_at_at_once(sync: Sync, warehouse: Warehouse) -> None:
    sync()
    assert sync(pays_through={"refund": "elsewhere", "gift-card": "elsewhere"}).looked
    assert sync().looked
    assert not sync().looked
    with warehouse.transaction() as connection:
        connection.execute("insert into landing.centra_versions values ('2.0', [], now(), 1)")
    assert sync().looked


def test_a_centra_that_does_not_answer_leaves_what_was_known(sync: Sync, rows: Rows) -> None:
    sync()
    before = rows("from operations.contract order by all")
    sync.shop.fault(kind="error_before", target="IntrospectionQuery", times=4, status=503)
    report = sync(NOW + timedelta(days=1))
    assert (report.looked, "503" in str(report.problem)) == (False, True)
    assert rows("from operations.contract order by all") == before
    assert sync(NOW + timedelta(days=1, hours=1)).looked


def test_a_centra_that_refuses_the_introspection_is_one_row_and_no_difference(sync: Sync, rows: Rows) -> None:
    sync.shop.fault(kind="error_before", target="IntrospectionQuery", times=2, status=400)
    assert sync().looked
    ((kind, verdict, remedy),) = rows("select kind, verdict, remedy from operations.contract where kind = 'schema'")
    assert (kind, verdict) == ("schema", "cannot_be_seen")
    assert str(remedy).startswith("Ask Centra to allow introspection")
    assert rows("select count(*) from operations.contract where verdict = 'differs'") == [(0,)]


def test_a_centra_that_refuses_the_introspection_later_is_still_known_by_its_last_schema(
    odd_shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    sync = Sync(odd_shop, warehouse, policy)
    sync()
    differing = "select coordinate, checked_at from operations.contract where verdict = 'differs' order by all"
    before = rows(differing)
    assert before
    odd_shop.fault(kind="error_before", target="IntrospectionQuery", times=2, status=403)
    assert sync(NOW + timedelta(days=1)).looked
    assert rows(differing) == before
    assert rows("select count(*) from operations.contract where kind = 'schema'") == [(1,)]
    assert sync(NOW + timedelta(days=1, hours=1)).looked  # it is asked again at each sync
    assert rows("select count(*) from operations.contract where kind = 'schema'") == [(0,)]


def test_a_deprecated_member_works_as_well_and_is_no_difference(tmp_path: Path, policy: Policy) -> None:
    edit = (
        "input DirectToConsumerOrderUpdateInput {",
        "input DirectToConsumerOrderUpdateInput { old: Int @deprecated ",
    )
    fullest, plainest = centra_contract._INTROSPECTIONS
    assert "includeDeprecated" in fullest
    text = edited(edit).replace("internalComment: String", "internalComment: String @deprecated")
    answer = graphql_sync(build_schema(text, assume_valid=True), fullest).data
    looked = contract_record.look_at_file(answer, policy)
    assert [row.coordinate for row in looked.rows if row.verdict == "differs"] == []
    assert graphql_sync(build_schema(text, assume_valid=True), plainest).errors is None


def test_gift_cards_wait_until_the_schema_was_seen_to_have_them(
    sync: Sync, warehouse: Warehouse, policy: Policy
) -> None:
    cards = policy.model_copy(update={"gift_card": GiftCards(template={"email": "{email}"})})

    def stopped() -> set[str]:
        with warehouse.transaction() as connection:
            return set(contract_record.reasons(connection, cards))

    assert stopped() == {"credit_note by gift_card"}
    sync.shop.fault(kind="error_before", target="IntrospectionQuery", times=2, status=400)
    sync(gift_card=cards.gift_card)
    assert stopped() == {"credit_note by gift_card"}
    sync.shop.sandbox.sandbox.configure(gift_card_members=["email: String"])
    sync(NOW + timedelta(days=1), gift_card=cards.gift_card)
    assert stopped() == set()


def test_what_no_effect_of_the_policy_needs_stops_nothing(tmp_path: Path, policy: Policy) -> None:
    elsewhere = policy.model_copy(update={"pays_through": {"refund": "centra", "gift-card": "elsewhere"}})
    file = write_introspection(tmp_path / "schema.json", ("issueCredit(", "issueOtherCredit("))
    looked = contract_record.look_at_file(json.loads(file.read_text()), elsewhere)
    (row,) = [row for row in looked.rows if row.coordinate == "Mutation.issueCredit"]
    assert (row.verdict, row.stops, row.effect_types) == ("differs", False, ())


def test_a_word_by_which_nothing_is_decided_stops_nothing_when_it_is_missing(tmp_path: Path, policy: Policy) -> None:
    file = write_introspection(tmp_path / "schema.json", ("PENDING CONFIRMED PROCESSING SHIPPED", "RECEIVED COMPLETED"))
    looked = contract_record.look_at_file(json.loads(file.read_text()), policy)
    missing = {row.coordinate: row.stops for row in looked.rows if row.verdict == "differs"}
    assert {"OrderStatus.PENDING", "OrderStatus.SHIPPED"} <= set(missing)
    assert not any(missing.values())


def test_a_token_with_the_least_permissions_is_enough(sync: Sync, rows: Rows) -> None:
    sync.shop.add_order(at=NOW - timedelta(days=9))
    sync.shop.client = sync.shop.client_with(*centra_calls.least())
    sync()
    assert rows("select * from operations.contract where contains(found, 'could not be queried')") == []


# ---------------------------------------------------------------- another schema


@pytest.fixture
def odd_shop(tmp_path: Path) -> Iterator[Shop]:
    """A Centra whose schema differs in five places."""
    file = write_introspection(tmp_path / "schema.json", *FIVE)
    with running_sandbox(tmp_path / "odd", SandboxSettings(speed=1000.0, schema_path=file)) as sandbox:
        sandbox.store.add_warehouse("Main")
        yield Shop(sandbox, CentraClient(sandbox.graphql_url, sandbox.token, sleep=lambda _: None))


def test_five_differences_of_a_centra_are_kept_with_their_remedies(
    odd_shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    policy = policy.model_copy(update={"gift_card": GiftCards(template={"email": "{email}"})})
    Sync(odd_shop, warehouse, policy)()
    found = dict(rows("select coordinate, remedy from operations.contract where verdict = 'differs' and stops"))
    assert set(found) == {
        "OrderSort.orderDate_DESC", "Mutation.cancelDirectToConsumerOrder(id:)",
        "Mutation.cancelDirectToConsumerOrder(order:)", "Mutation.issueCredit", "StockChangeInput.reason",
        "PaymentHistoryEntryType.REFUND_FAILED",
    }  # fmt: skip
    assert all(found.values())
    with warehouse.transaction() as connection:
        reasons = contract_record.reasons(connection, policy)
    assert set(reasons) == {
        "credit_note", "exchange_order", "inventory_adjustment", "credit_note by centra", "credit_note by gift_card",
    }  # fmt: skip


# ---------------------------------------------------------------- old objects


def seen(shop: Shop, policy: Policy) -> dict[str, tuple[str, str]]:
    """What old objects show: (verdict, found) by behaviour."""
    rows = old_objects.look(shop.client, order_api(shop), policy, ["DELETED", "PENDING"])
    return {row.coordinate.removeprefix("behaviour."): (row.verdict, row.found) for row in rows}


def test_an_empty_shop_shows_nothing(shop: Shop, policy: Policy) -> None:
    assert {verdict for verdict, _ in seen(shop, policy).values()} == {"cannot_be_seen"}


def test_an_order_api_that_is_not_set_up_is_not_asked(shop: Shop, policy: Policy) -> None:
    rows = {row.coordinate: row.found for row in old_objects.look(shop.client, None, policy, ["DELETED"])}
    assert rows["behaviour.order_api_shows_order_id"] == "there is no access to the Order API"


def old_shop(shop: Shop) -> None:
    """A refund with a fee, a voucher, goods that left, a cancelled order."""
    number = shop.add_order(at=NOW - timedelta(days=40), voucher="5.00")
    shipment, lines = shop.shipment_of(number)
    made = {
        "shipment": {"id": shipment}, "lines": [{"shipmentLine": {"id": lines[0]}, "quantity": 1}],
        "returnStockActionPolicy": {"removeItemsFromStock": True}, "returnCost": {"value": 3, "currencyIsoCode": "EUR"},
        "voucherValue": {"value": {"value": 2, "currencyIsoCode": "EUR"}},
    }  # fmt: skip
    created = shop.client.execute("CreateReturn", {"input": made}).data["createReturn"]
    assert created["userErrors"] == []
    shop.client.execute("RefundReturn", {"id": created["return"]["id"], "input": {"sendEmail": False}})
    cancelled = shop.add_order(at=NOW - timedelta(days=30))
    shop.store.rows("update orders set status = 'DELETED' where number = ?", [cancelled])


def test_old_objects_show_signs_words_and_keys(shop: Shop, policy: Policy) -> None:
    old_shop(shop)
    assert seen(shop, policy) == {
        "payment_value_sign": ("as_assumed", "refunds: 1 positive"),
        "return_cost_sign": ("as_assumed", "return costs: 1 positive"),
        "external_reference": ("as_assumed", "the refund's own reference in 1 of 1 refunds"),
        "params_json": (
            "as_assumed",
            "a reference in 1 of 1; keys: additionalData, amount, eventCode, merchantReference, originalReference, pspReference, "
            "success",
        ),
        "discount_sign": ("as_assumed", "discounts: 1 positive"),
        "return_discount_sign": ("as_assumed", "discounts: 1 positive"),
        "order_api_shows_order_id": ("as_assumed", "orderId is the order's number"),
        "cancelled_order": ("as_assumed", "DELETED"),
        "cancelled_order_keeps_quantities": ("as_assumed", "1 of 1 cancelled orders keep theirs"),
        "stock_out_is_negative": ("as_assumed", "SHIPMENT: negative"),
    }


def test_other_signs_and_references_are_reported_as_they_are(shop: Shop, policy: Policy) -> None:
    shop.sandbox.sandbox.configure(
        negative_entries=["REFUND"], negative_totals=["returnCost"], authorisation_references=["card"]
    )
    old_shop(shop)
    found = seen(shop, policy)
    assert found["payment_value_sign"] == ("as_assumed", "refunds: 1 negative")
    assert found["return_cost_sign"] == ("as_assumed", "return costs: 1 negative")
    assert found["external_reference"] == ("as_assumed", "the refund's own reference in 0 of 1 refunds")


def test_a_reference_that_no_path_finds_differs_and_names_the_keys(shop: Shop, policy: Policy) -> None:
    old_shop(shop)
    limits = policy.centra.model_copy(update={"reference_paths": ["nowhere"]})
    verdict, found = seen(shop, policy.model_copy(update={"centra": limits}))["params_json"]
    assert (verdict, "pspReference" in found) == ("differs", True)


def test_an_order_api_whose_orders_have_no_order_id_differs(
    shop: Shop, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_shop(shop)
    as_documented = order_api_server._shown
    monkeypatch.setattr(
        order_api_server, "_shown",
        lambda store, row: {("order" if key == "orderId" else key): value for key, value in as_documented(store, row).items()},
    )  # fmt: skip
    verdict, found = seen(shop, policy)["order_api_shows_order_id"]
    assert (verdict, "have no orderId" in found) == ("differs", True)


def test_nothing_of_old_objects_is_kept_but_signs_words_and_keys(sync: Sync, rows: Rows) -> None:
    old_shop(sync.shop)
    sync()
    kept = json.dumps(rows("from operations.contract"), default=str)
    references = sync.shop.store.rows("select external_reference from payments where external_reference is not null")
    assert references
    for secret in ("jane@doe.example", "Jane", "Doe", *(str(one["external_reference"]) for one in references)):
        assert secret not in kept


def test_an_odd_answer_is_said_and_stops_nothing(shop: Shop, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = {**old_objects.QUESTIONS, "OldOrders": ("query OldOrders { warehouses(limit: 1) { id } }", {})}
    monkeypatch.setattr(old_objects, "QUESTIONS", questions)
    assert seen(shop, policy)["discount_sign"] == ("cannot_be_seen", "an unusable answer (KeyError)")


# ---------------------------------------------------------------- the Order API: keys that no document lists


def test_a_key_of_the_order_api_that_is_renamed_is_reported(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = order_api_server.KEYS["POST /order"]["deliveryAddress"]
    monkeypatch.delitem(keys, "zipcode")
    monkeypatch.setitem(keys, "postcode", None)
    address = {"email": "jane@doe.example", "country": "DE", "zipcode": "10115"}
    body = {"orderNumber": 900_000_001, "products": [{"sku": "SKU-1", "qty": 1}], "deliveryAddress": address}
    order_api(shop).create_order({**body, "invoiceAddress": address})
    assert recorded.not_in_the_ledger() == [
        "POST /order deliveryAddress.zipcode (in no document)", "POST /order invoiceAddress.zipcode (in no document)",
    ]  # fmt: skip


def test_what_a_client_uses_beyond_the_ledger_is_reported(shop: Shop) -> None:
    text = "query Odd($n: [Int!]) { orders(where: {number: $n, isOnHold: true}, sort: [number_DESC]) { isOnHold } }"
    shop.client.ask("Odd", text, {"n": [1]})
    assert recorded.not_in_the_ledger() == ["Order.isOnHold", "OrderFilter.isOnHold", "OrderSort.number_DESC"]
