from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from hr_centra_pipeline.sandbox.centra.store import CentraSettings
from hr_centra_pipeline.sandbox.centra.word_desk import PLACES
from hr_centra_pipeline.sandbox.server import RunningSandbox, running_sandbox
from hr_centra_pipeline_tests.sandbox.centra.conftest import ask, control, data, furnish, sell, shown_order, slow

EVERYTHING = """{
  orders { number status } returns { id returnStatus } orderPaymentHistory(limit: 200) { id entryType status }
  stockChangeConnection(first: 200) { edges { node { id type } } } warehouses { id status stockMaster }
}"""
UNLISTED = {f"{place.enum}.{place.unlisted}" for place in PLACES.values()}


def words(sandbox: RunningSandbox) -> list[str]:
    """Enum words of every object, as clients see them."""
    found = data(sandbox, EVERYTHING)
    changes = [edge["node"]["type"] for edge in found["stockChangeConnection"]["edges"]]
    shown = [f"OrderStatus.{row['status']}" for row in found["orders"]]
    shown += [f"ReturnStatus.{row['returnStatus']}" for row in found["returns"]]
    shown += [f"PaymentHistoryEntryType.{row['entryType']}" for row in found["orderPaymentHistory"]]
    shown += [f"PaymentHistoryEntryStatus.{row['status']}" for row in found["orderPaymentHistory"]]
    shown += [f"StockChangeType.{word}" for word in changes]
    shown += [f"Status.{row['status']}" for row in found["warehouses"]]
    return shown + [f"WarehouseStockMaster.{row['stockMaster']}" for row in found["warehouses"]]


def test_on_demand_one_object_of_each_kind_has_a_word_that_no_document_lists(tmp_path: Path) -> None:
    with running_sandbox(tmp_path, slow(1000.0, centra=CentraSettings(unknown_words=True))) as sandbox:
        furnish(sandbox.store)
        number = sell(sandbox.store).number
        for _ in range(2):
            shown = words(sandbox)
            assert {word: shown.count(word) for word in UNLISTED} == dict.fromkeys(UNLISTED, 1)
        assert shown_order(sandbox, number, "status paymentHistory { entryType status }") == {
            "status": "SHIPPED",
            "paymentHistory": [
                {"entryType": "AUTH", "status": "SUCCESS"},
                {"entryType": "CAPTURE", "status": "SUCCESS"},
            ],
        }
        listed = data(sandbox, '{ __type(name: "OrderStatus") { enumValues { name } } }')["__type"]["enumValues"]
    assert {"name": "AWAITING_REVIEW"} in listed


def test_the_switch_is_turned_while_the_sandbox_runs_and_back(sandbox: RunningSandbox) -> None:
    sell(sandbox.store)
    assert not UNLISTED & set(words(sandbox))
    assert set(control(sandbox, "unknown-words", {"on": True})) == UNLISTED
    assert set(words(sandbox)) >= UNLISTED
    assert control(sandbox, "unknown-words", {"on": False}) == []
    assert not UNLISTED & set(words(sandbox))
    assert UNLISTED - set(control(sandbox, "unknown-words", {"on": True})) == set()
    assert set(words(sandbox)) >= UNLISTED


@pytest.mark.parametrize(
    ("kind", "query", "of"),
    [
        ("order", "{ orders { number status } }", lambda found: found["orders"][0]["status"]),
        ("return", "{ returns { id returnStatus } }", lambda found: found["returns"][0]["returnStatus"]),
        (
            "payment_status",
            "{ orderPaymentHistory { status } }",
            lambda found: found["orderPaymentHistory"][0]["status"],
        ),
        ("warehouse_status", "{ warehouses { status } }", lambda found: found["warehouses"][0]["status"]),
    ],
)
def test_a_word_is_forced_on_the_object_that_a_test_names(
    sandbox: RunningSandbox, kind: str, query: str, of: Any
) -> None:
    sale = sell(sandbox.store)
    made = sandbox.store.person_create_return(sale.shipment, {sale.dresses: 1}, at=sandbox.clock.now())
    key = {"order": sale.number, "return": made}.get(kind, 1)
    before = of(data(sandbox, query))
    assert control(sandbox, "word", {"kind": kind, "id": key, "word": "NEVER_HEARD_OF"})["word"] == "NEVER_HEARD_OF"
    assert of(data(sandbox, query)) == "NEVER_HEARD_OF"
    assert "NEVER_HEARD_OF" in str(sandbox.sandbox.used()["enum_words_answered"])
    control(sandbox, "word", {"kind": kind, "id": key, "word": before})
    assert of(data(sandbox, query)) == before


def test_orders_are_found_by_a_word_that_was_forced_and_a_word_that_is_nowhere_is_refused(
    sandbox: RunningSandbox,
) -> None:
    number = sell(sandbox.store).number
    look = "{ orders(where: {status: [ODD]}) { number } }"
    assert ask(sandbox, look).status_code == 400
    control(sandbox, "word", {"kind": "order", "id": number, "word": "ODD"})
    assert data(sandbox, look)["orders"] == [{"number": number}]


@pytest.mark.parametrize("given", [{"kind": "customer", "id": 1}, {"kind": "order", "id": 99}])
def test_a_word_is_forced_only_on_what_is_there(sandbox: RunningSandbox, given: dict[str, Any]) -> None:
    answer = requests.post(f"{sandbox.control_url}/word", json={**given, "word": "ODD"}, timeout=10)
    assert answer.status_code == 400


def test_a_shop_may_have_another_word_for_the_same_thing(sandbox: RunningSandbox) -> None:
    number = sell(sandbox.store).number
    sandbox.store.set_order(number, {"status": "DELETED"})
    control(sandbox, "settings", {"words": {"OrderStatus.DELETED": "CANCELLED"}})
    assert shown_order(sandbox, number, "status") == {"status": "CANCELLED"}
    assert sandbox.sandbox.used()["enum_words_answered"] == ["OrderStatus.CANCELLED"]


def test_a_setting_that_does_not_exist_is_refused(sandbox: RunningSandbox) -> None:
    answer = requests.post(f"{sandbox.control_url}/settings", json={"captures": True}, timeout=10)
    assert (answer.status_code, "captures" in answer.json()["message"]) == (400, True)
