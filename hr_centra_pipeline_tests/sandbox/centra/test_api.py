from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests

from hr_centra_pipeline.sandbox.centra.store import CentraSettings, CentraStore
from hr_centra_pipeline.sandbox.sandbox_clock import SandboxClock
from hr_centra_pipeline.sandbox.server import RunningSandbox, running_sandbox
from hr_centra_pipeline_tests.sandbox.centra.conftest import SHIPPED, ask, control, data, furnish, order_api, sell, slow

# ---------------------------------------------------------------- access


def test_a_wrong_or_expired_token_gets_403(sandbox: RunningSandbox) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    expired = control(sandbox, "tokens", {"expires_at": yesterday})["token"]
    assert [ask(sandbox, "{ warehouses { id } }", token=token).status_code for token in ("wrong", expired)] == [
        403,
        403,
    ]


def test_a_missing_permission_is_named_with_its_path_and_nothing_is_shown(sandbox: RunningSandbox) -> None:
    token = control(sandbox, "tokens", {"permissions": ["Return:read"]})["token"]
    answer = ask(sandbox, "{ mine: returns { id comment } }", token=token).json()
    assert answer["errors"] == [
        {
            "message": "Missing permission Return.comment:read",
            "path": ["mine", "comment"],
            "extensions": {"category": "authorization"},
        }
    ]
    assert "data" not in answer


def test_a_mutation_without_permission_changes_nothing(sandbox: RunningSandbox) -> None:
    token = control(sandbox, "tokens", {"permissions": ["StockChange:read"]})["token"]
    change = """mutation { changeStock(input: {intoWarehouse: {id: 1}, description: "x",
        productSizes: [{productSize: {SKU: "DRESS-S"}, deliveredQuantity: 1}]}) { stockChange { id } } }"""
    assert "StockChange:write" in ask(sandbox, change, token=token).text
    assert sandbox.store.records()["stock_changes"] == []


def test_a_token_of_another_store_sees_nothing_of_this_one(sandbox: RunningSandbox) -> None:
    sell(sandbox.store)
    token = control(sandbox, "tokens", {"store_id": 2})["token"]
    answer = ask(sandbox, "{ orders { number } shipments { id } }", token=token).json()["data"]
    assert answer == {"orders": [], "shipments": []}


# ---------------------------------------------------------------- GraphQL


def test_introspection_fragments_aliases_and_variables_work_as_in_any_graphql_server(sandbox: RunningSandbox) -> None:
    sale = sell(sandbox.store)
    answer = data(
        sandbox,
        """
        query Look($number: [Int!]) {
          __type(name: "DirectToConsumerOrder") { name }
          a: orders(where: {number: $number}) { ...parts ... on DirectToConsumerOrder { customer { email } } }
        }
        fragment parts on Order { number createdAt lines { quantity unitPrice(includingTax: false) { value } } }
        """,
        {"number": [sale.number]},
    )
    assert answer["__type"] == {"name": "DirectToConsumerOrder"}
    (order,) = answer["a"]
    assert order["customer"] == {"email": "ada@example.com"}
    assert order["createdAt"] == "2026-09-01T12:00:00+02:00"
    assert order["lines"][0] == {"quantity": 2, "unitPrice": {"value": Decimal("159.92")}}


def test_bad_json_and_a_bad_query_get_400(sandbox: RunningSandbox) -> None:
    bad = requests.post(sandbox.graphql_url, data="{", headers={"Authorization": f"Bearer {sandbox.token}"}, timeout=10)
    assert (bad.status_code, ask(sandbox, "{ orders { nope } }").status_code) == (400, 400)


@pytest.mark.parametrize("limit", [0, 201])
def test_lists_refuse_a_limit_outside_1_to_200(sandbox: RunningSandbox, limit: int) -> None:
    assert "between 1 and 200" in ask(sandbox, "{ orders(limit: %d) { number } }" % limit).text


def test_cursors_stay_where_they_are_when_rows_are_added_and_pages_shift(sandbox: RunningSandbox) -> None:
    numbers = [sell(sandbox.store).number for _ in range(3)]
    first = data(sandbox, "{ orderConnection(first: 2, sort: [number_DESC]) { pageInfo { endCursor } } }")
    cursor = first["orderConnection"]["pageInfo"]["endCursor"]
    added = sell(sandbox.store).number
    after = data(
        sandbox,
        "query X($c: String) { orderConnection(first: 2, after: $c, sort: [number_DESC]) { edges { node { number } } } }",
        {"c": cursor},
    )
    page = data(sandbox, "{ orders(limit: 2, page: 2, sort: [number_DESC]) { number } }")["orders"]
    assert [edge["node"]["number"] for edge in after["orderConnection"]["edges"]] == [numbers[0]]
    assert [row["number"] for row in page] == [numbers[1], numbers[0]]
    assert added > numbers[2]


def test_the_text_of_a_stock_change_can_be_filtered_and_its_lines_default_to_20(sandbox: RunningSandbox) -> None:
    sandbox.store.person_change_stock(sku="DRESS-S", quantity=1, into=2, comment="RMA 17", at=SHIPPED)
    where = '{comment: {contains: "RMA"}}'
    look = (
        "{ stockChangeConnection(first: 5, where: %s) { edges { node { comment lines { deliveredQuantity } } } } }"
        % where
    )
    (edge,) = data(sandbox, look)["stockChangeConnection"]["edges"]
    assert edge["node"] == {"comment": "RMA 17", "lines": [{"deliveredQuantity": 1}]}
    beyond = "{ stockChangeConnection(first: 5) { edges { node { lines(limit: 500) { id } } } } }"
    assert "between 1 and 200" in ask(sandbox, beyond).text


# ---------------------------------------------------------------- quotas


def test_each_aliased_mutation_counts_and_429_names_the_time_to_come_back(tmp_path: Path) -> None:
    with running_sandbox(tmp_path, slow()) as sandbox:
        aliases = " ".join(f"m{n}: completeReturn(id: 1) {{ userErrors {{ message }} }}" for n in range(15))
        statuses = [ask(sandbox, "mutation { %s }" % aliases) for _ in range(2)]
        assert [answer.status_code for answer in statuses] == [200, 429]
        assert parsedate_to_datetime(statuses[1].headers["Retry-After"]) > datetime.now(UTC)


def test_another_integration_uses_the_same_buckets_and_rate_limits_shows_it(tmp_path: Path) -> None:
    with running_sandbox(tmp_path, slow()) as sandbox:
        control(sandbox, "quota", {"type": "MUTATION_COUNT", "interval": "ONE_HOUR", "use": 1500})
        shown = data(sandbox, "{ rateLimits { type intervalSeconds quota remainingQuota } }")["rateLimits"]
        left = {(row["type"], row["intervalSeconds"]): row["remainingQuota"] for row in shown}
    assert left["MUTATION_COUNT", "ONE_HOUR"] == 300
    assert left["REQUEST_COUNT", "TEN_SECONDS"] == 59


def test_a_query_beyond_the_bucket_is_refused_and_the_cost_is_always_reported(sandbox: RunningSandbox) -> None:
    deep = "orders(limit: 200) { shipments { lines { orderLine { productSize { stock(limit: 200) { physicalQuantity } } } } } }"
    assert ask(sandbox, "{ %s }" % deep).status_code == 400
    assert ask(sandbox, "{ warehouses { id } }").json()["extensions"]["complexity"] > 0


# ---------------------------------------------------------------- stock


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ('intoWarehouse: {id: 9}, productSizes: [{productSize: {SKU: "DRESS-S"}, deliveredQuantity: 1}]', "intoWarehouse"),
        ('intoWarehouse: {id: 1}, productSizes: [{productSize: {SKU: "NOPE"}, deliveredQuantity: 1}]', "productSize"),
        ('intoWarehouse: {id: 1}, productSizes: [{productSize: {SKU: "DRESS-S"}, deliveredQuantity: 0}]', "deliveredQuantity"),
        ('outFromWarehouse: {id: 1}, productSizes: [{productSize: {SKU: "DRESS-S"}, deliveredQuantity: 99}]', "deliveredQuantity"),
        ("intoWarehouse: {id: 1}, productSizes: []", "input"),
        ('productSizes: [{productSize: {SKU: "DRESS-S"}, deliveredQuantity: 1}]', "input"),
    ],
)  # fmt: skip
def test_a_stock_change_with_one_bad_part_is_refused_wholly(sandbox: RunningSandbox, given: str, path: str) -> None:
    answer = data(
        sandbox,
        'mutation { changeStock(input: {description: "x", %s}) { stockChange { id } userErrors { path } } }' % given,
    )["changeStock"]
    assert answer["stockChange"] is None
    assert answer["userErrors"][0]["path"][-1] == path
    assert sandbox.store.records()["stock_changes"] == []


def test_a_transfer_moves_both_sides_at_once(sandbox: RunningSandbox) -> None:
    data(
        sandbox,
        """mutation { changeStock(input: {description: "regrade", outFromWarehouse: {id: 1}, intoWarehouse: {id: 3},
        productSizes: [{productSize: {SKU: "DRESS-S"}, deliveredQuantity: 2}]}) { stockChange { id } } }""",
    )
    assert [row for row in sandbox.store.records()["stock"] if row[0] == "DRESS-S"] == [
        ["DRESS-S", 1, 18, 0],
        ["DRESS-S", 3, 2, 0],
    ]


# ---------------------------------------------------------------- orders


def test_the_internal_comment_is_replaced_by_graphql_and_appended_by_the_order_api(sandbox: RunningSandbox) -> None:
    number = sell(sandbox.store).number
    update = """mutation { updateDirectToConsumerOrder(order: {number: %d}, input: {internalComment: "%s"}) {
        userErrors { message } } }"""
    for text in ("one", "two"):
        data(sandbox, update % (number, text))
    requests.put(
        f"{sandbox.order_api_url}/orders", json={"order": number, "internalComment": "three"},
        headers={"API-Authorization": sandbox.order_api_key}, timeout=10,
    )  # fmt: skip
    assert sandbox.store.order(number)["internal_comment"] == "two\nthree"


def test_the_order_api_refuses_with_the_documented_codes(sandbox: RunningSandbox) -> None:
    assert order_api(sandbox, orderNumber=900001)["status"] == "ok"
    codes = [
        order_api(sandbox, orderNumber=900001)["code"],
        order_api(sandbox, products=[])["code"],
        order_api(sandbox, products=[{"sku": "NOPE", "qty": 1}])["code"],
        order_api(sandbox, products=[{"sku": "DRESS-S", "qty": 99}])["code"],
        order_api(sandbox, address={"country": "SE"})["code"],
    ]
    assert codes == [-5, -3, -1, -2, -4]
    assert sandbox.store.free(1) == 19


def test_a_split_order_answers_several_numbers(tmp_path: Path) -> None:
    settings = slow(1000.0, centra=CentraSettings(splits_orders=True))
    with running_sandbox(tmp_path, settings) as sandbox:
        furnish(sandbox.store)
        answer = order_api(
            sandbox, orderNumber=900001, products=[{"sku": "DRESS-S", "qty": 1}, {"sku": "SHIRT-M", "qty": 1}]
        )
    assert answer["orders"] == [900001, 900002]


def test_a_wrong_order_api_key_is_unauthorized(sandbox: RunningSandbox) -> None:
    answer = requests.get(f"{sandbox.order_api_url}/orders", headers={"API-Authorization": "no"}, timeout=10)
    assert answer.status_code == 401


# ---------------------------------------------------------------- events, faults, durability


def test_events_come_back_oldest_first_until_they_are_confirmed(sandbox: RunningSandbox) -> None:
    control(sandbox, "settings", {"event_queue": True})
    sell(sandbox.store)
    assert data(sandbox, "{ events { id } }")["events"] == []
    data(
        sandbox,
        "mutation { setEventListeners(input: [{objectType: Order, changeTypes: [CREATED]}]) { eventListeners { objectType } } }",
    )
    numbers = [sell(sandbox.store).number for _ in range(2)]
    look = "{ events { id objectReference object { ... on DirectToConsumerOrder { number } } } }"
    shown = data(sandbox, look)["events"]
    assert [event["objectReference"] for event in shown] == numbers
    data(sandbox, "mutation { confirmEvents(input: {eventsIds: [%d]}) { events { id } } }" % shown[0]["id"])
    assert [event["objectReference"] for event in data(sandbox, look)["events"]] == numbers[1:]


@pytest.mark.parametrize("kind", ["error_after", "dropped_after", "truncated", "wrong_content_type"])
def test_a_fault_after_the_effect_leaves_the_effect_done(sandbox: RunningSandbox, kind: str) -> None:
    control(sandbox, "faults", {"kind": kind, "target": "Move"})
    change = """mutation Move { changeStock(input: {intoWarehouse: {id: 1}, description: "x",
        productSizes: [{productSize: {SKU: "DRESS-S"}, deliveredQuantity: 1}]}) { stockChange { id } } }"""
    try:
        answer = ask(sandbox, change)
        is_good = answer.status_code == 200 and "data" in answer.json()
    except (requests.ConnectionError, ValueError):
        is_good = False
    assert not is_good
    assert len(sandbox.store.records()["stock_changes"]) == 1
    assert ask(sandbox, change).status_code == 200


@pytest.mark.parametrize("kind", ["error_before", "dropped_before", "rate_limited"])
def test_a_fault_before_the_effect_leaves_nothing(sandbox: RunningSandbox, kind: str) -> None:
    control(sandbox, "faults", {"kind": kind})
    change = """mutation { changeStock(input: {intoWarehouse: {id: 1}, description: "x",
        productSizes: [{productSize: {SKU: "DRESS-S"}, deliveredQuantity: 1}]}) { stockChange { id } } }"""
    try:
        assert ask(sandbox, change).status_code in (429, 500)
    except requests.ConnectionError:
        assert kind == "dropped_before"
    assert sandbox.store.records()["stock_changes"] == []


def test_the_log_shows_which_requests_could_have_written(sandbox: RunningSandbox) -> None:
    ask(sandbox, "query Look { warehouses { id } }")
    ask(sandbox, "mutation Do { completeReturn(id: 1) { userErrors { message } } }")
    log = control(sandbox, "log")
    assert [(entry["operations"], entry["mutations"]) for entry in log] == [
        (["Look"], []),
        (["Do"], ["completeReturn"]),
    ]


def test_what_was_acknowledged_survives_a_restart(tmp_path: Path) -> None:
    with running_sandbox(tmp_path) as sandbox:
        furnish(sandbox.store)
        ledger, token = sell(sandbox.store) and sandbox.store.records(), sandbox.token
    with running_sandbox(tmp_path) as again:
        assert again.token == token
        assert again.store.records() == ledger


def test_credentials_are_for_this_user_only(sandbox: RunningSandbox) -> None:
    assert sandbox.sandbox.credentials_path.stat().st_mode & 0o077 == 0


def test_explicit_order_numbers_do_not_move_the_series_of_the_shop(tmp_path: Path) -> None:
    clock = SandboxClock(tmp_path / "clock")
    clock.advance_to(SHIPPED)
    store = CentraStore(tmp_path / "centra.sqlite", clock)
    furnish(store)
    assert [sell(store).number for _ in range(2)] == [1001, 1002]
