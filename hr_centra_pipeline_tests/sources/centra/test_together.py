"""Several operations in one request: each has an outcome of its own, also when the request fails half way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from graphql import parse, validate
from hypothesis import given, settings
from hypothesis import strategies as st

from hr_centra_pipeline.sandbox.centra.api import load_schema
from hr_centra_pipeline.sources.centra import centra_operations
from hr_centra_pipeline.sources.centra.centra_errors import Limited, Permanent, Transient, UnknownOutcome
from hr_centra_pipeline.sources.centra.client import Answer, Asked, CentraClient
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Clock, Shop
from hr_centra_pipeline_tests.sources.centra.server import always, answering

SCHEMA = load_schema()
QUERIES = [name for name in centra_operations.names() if not centra_operations.load(name).is_mutation]
MUTATIONS = [name for name in centra_operations.names() if centra_operations.load(name).is_mutation]


def returns_of(shop: Shop, count: int) -> list[Asked]:
    asked = []
    for _ in range(count):
        shipment, lines = shop.shipment_of(shop.add_order(at=NOW - timedelta(days=9)))
        made = {
            "shipment": {"id": shipment},
            "lines": [{"shipmentLine": {"id": lines[0]}, "quantity": 1}],
            "returnStockActionPolicy": {"removeItemsFromStock": True},
        }
        asked.append(Asked("CreateReturn", {"input": made}))
    return asked


def kinds(outcomes: list[Any]) -> list[str]:
    return [
        "refused"
        if isinstance(one, Answer) and one.errors
        else "done"
        if isinstance(one, Answer)
        else type(one).__name__
        for one in outcomes
    ]


@settings(deadline=None)
@given(
    names=st.lists(st.sampled_from(QUERIES), min_size=1, max_size=5)
    | st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=5)
)
def test_whatever_goes_together_is_valid_and_costs_each_of_its_mutations(names: list[str]) -> None:
    whole = centra_operations.together(tuple(names))
    assert validate(SCHEMA, parse(whole.text)) == []
    assert len(whole.fields) == len(set(whole.fields))
    assert len(whole.mutations) == sum(len(centra_operations.load(name).mutations) for name in names)


def test_a_query_and_a_mutation_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="do not go together"):
        centra_operations.together(("LookAtOrder", "DeleteReturn"))


def test_each_gets_its_own_answer_and_a_refused_one_leaves_the_others_done(shop: Shop) -> None:
    asked = returns_of(shop, 3)
    asked[1].variables["input"]["lines"][0]["quantity"] = 2
    outcomes = shop.client.execute_together(asked)
    assert kinds(outcomes) == ["done", "refused", "done"]
    assert "lines" in outcomes[1].errors[0]["path"]  # type: ignore[union-attr]
    ids = [outcome.data["createReturn"]["return"]["id"] for outcome in (outcomes[0], outcomes[2])]  # type: ignore[union-attr]
    assert ids == [row["id"] for row in shop.store.records()["returns"]]
    assert shop.asked() == ["CreateReturn"]
    assert len({outcome.request_id for outcome in outcomes}) == 1


def test_queries_together_are_one_request(shop: Shop) -> None:
    numbers = [shop.add_order(at=NOW - timedelta(days=9)) for _ in range(3)]
    outcomes = shop.client.execute_together([Asked("LookAtOrder", {"orderNumber": [number]}) for number in numbers])
    assert [outcome.data["orders"][0]["number"] for outcome in outcomes] == numbers  # type: ignore[union-attr]
    assert shop.asked() == ["LookAtOrder"]


@pytest.mark.parametrize("kind", ["error_half_way", "dropped_half_way", "error_after", "dropped_before", "truncated"])
def test_when_the_request_fails_each_of_them_is_in_doubt_and_none_is_sent_again(shop: Shop, kind: str) -> None:
    asked = returns_of(shop, 4)
    shop.fault(kind=kind, target="CreateReturn")
    assert kinds(shop.client.execute_together(asked)) == ["UnknownOutcome"] * 4
    done = {"error_half_way": 2, "dropped_half_way": 2, "dropped_before": 0}.get(kind, 4)
    assert len(shop.store.records()["returns"]) == done
    assert shop.asked().count("CreateReturn") == 1


def test_a_limited_request_that_was_reserved_is_reported_at_once_and_nothing_was_done(shop: Shop) -> None:
    asked = returns_of(shop, 2)
    shop.client.reserve(2)
    shop.fault(kind="rate_limited", target="CreateReturn", seconds=3)
    outcomes = shop.client.execute_together(asked, reserved=True)
    assert kinds(outcomes) == ["Limited", "Limited"]
    assert isinstance(outcomes[0], Limited)
    assert 0 < outcomes[0].seconds < 10
    assert shop.client.limited == 1
    assert shop.store.records()["returns"] == []


def test_what_comes_before_the_request_can_stop_it_and_nothing_leaves(shop: Shop) -> None:
    def stop() -> None:
        raise RuntimeError("stop")

    before = len(shop.asked())
    with pytest.raises(RuntimeError, match="stop"):
        shop.client.execute_together(returns_of(shop, 2), gate=stop)
    assert len(shop.asked()) == before


def payload(**more: Any) -> dict[str, Any]:
    return {"userErrors": [], "userWarnings": [], **more}


def outcomes_of(body: dict[str, Any], clock: Clock) -> list[str]:
    with answering(always(body)) as (url, _):
        client = CentraClient(url, "token", clock=clock, sleep=clock.sleep)
        return kinds(client.execute_together([Asked("DeleteReturn", {"id": 1}), Asked("DeleteReturn", {"id": 2})]))


def test_an_error_about_one_of_them_says_nothing_about_the_others(clock: Clock) -> None:
    one = {"deleteReturn_0": payload(), "deleteReturn_1": None}
    about = {"message": "Internal", "path": ["deleteReturn_1"]}
    assert outcomes_of({"data": one, "errors": [about]}, clock) == ["done", "UnknownOutcome"]
    assert outcomes_of({"data": one, "errors": [{"message": "Internal"}]}, clock) == ["done", "UnknownOutcome"]
    assert outcomes_of({"data": one}, clock) == ["done", "UnknownOutcome"]
    deep = {"deleteReturn_0": payload(), "deleteReturn_1": payload()}
    inside = {"message": "Internal", "path": ["deleteReturn_1", "return"]}
    assert outcomes_of({"data": deep, "errors": [inside]}, clock) == ["done", "UnknownOutcome"]


def test_a_permission_that_is_missing_for_one_of_them_may_have_let_the_others_through(clock: Clock) -> None:
    missing = {"message": "Missing", "path": ["deleteReturn_1"], "extensions": {"category": "authorization"}}
    assert outcomes_of({"data": None, "errors": [missing]}, clock) == ["UnknownOutcome"] * 2
    assert outcomes_of({"errors": [missing]}, clock) == ["Misconfigured"] * 2


def test_a_query_without_data_is_tried_again_later(clock: Clock) -> None:
    with answering(always({"data": {"productSizes_0": [], "productSizes_1": None}})) as (url, _):
        client = CentraClient(url, "token", clock=clock, sleep=clock.sleep)
        found = client.execute_together([Asked("LookAtReplacementStock", {"sku": ["A"]})] * 2)
    assert [type(one) for one in found] == [Answer, Transient]
    assert not isinstance(found[1], UnknownOutcome | Permanent)
