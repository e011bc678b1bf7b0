from __future__ import annotations

import json
import logging
import socket
import traceback
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.sources.centra import centra_calls, centra_operations
from hr_centra_pipeline.sources.centra.centra_errors import CentraError, Permanent, Transient, UnknownOutcome
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.retry_after import seconds_to_wait
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Clock, Shop
from hr_centra_pipeline_tests.sources.centra.server import always, answering

TOKEN = "very-secret-token-0815"


def client_of(url: str, clock: Clock) -> CentraClient:
    return CentraClient(url, TOKEN, clock=clock, sleep=clock.sleep)


def an_exchange(shop: Shop) -> dict[str, Any]:
    shipment, lines = shop.shipment_of(shop.add_order(at=NOW - timedelta(days=9)))
    return {
        "input": {
            "shipment": {"id": shipment},
            "lines": [{"shipmentLine": {"id": lines[0]}, "quantity": 1}],
            "returnStockActionPolicy": {"removeItemsFromStock": True},
            "returnCost": {"value": Decimal("0.10"), "currencyIsoCode": "EUR"},
            "comment": "PKAAAAAAAAAAAAA",
        }
    }


# ---------------------------------------------------------------- answers


def test_amounts_go_to_centra_and_come_back_without_losing_a_digit(clock: Clock) -> None:
    value = Decimal("12345678901234.5678")
    text = b'{"data": {"createReturn": {"return": {"grandTotal": {"value": 98765432109876.5432}}}}}'
    with answering(always(text)) as (url, asked):
        answer = client_of(url, clock).execute("CreateReturn", {"input": {"returnCost": {"value": value}}})
    assert '"value": 12345678901234.5678' in asked[0]["raw"]
    assert answer.data["createReturn"]["return"]["grandTotal"]["value"] == Decimal("98765432109876.5432")


def test_an_answer_shows_its_request_id_cost_and_refusals(shop: Shop) -> None:
    made = an_exchange(shop)
    answer = shop.client.execute("CreateReturn", made)
    assert answer.errors == []
    assert answer.data["createReturn"]["return"]["grandTotal"]["value"] == Decimal("79.85")
    assert answer.http_status == 200
    assert answer.request_id == shop.sandbox.sandbox.log[-1]["request_id"]
    assert answer.extensions["complexity"] > 0
    again = shop.client.execute("CreateReturn", made)
    assert again.data["createReturn"]["return"] is None
    assert again.errors[0]["path"]


def test_the_permissions_that_we_list_are_enough_for_every_operation(shop: Shop) -> None:
    made = an_exchange(shop)
    number = {"orderNumber": [1]}
    shop.client_with(*centra_calls.NEEDED["LookAtOrder"]).execute("LookAtOrder", number)
    shop.client_with(*centra_calls.NEEDED["ReadRecipient"]).execute("ReadRecipient", number)
    shop.client_with(*centra_calls.NEEDED["CreateReturn"]).execute("CreateReturn", made)
    with pytest.raises(Permanent, match=r"Missing permission Return:write.*Give the token this permission"):
        shop.client_with("Return:read").execute("CreateReturn", made)


# ---------------------------------------------------------------- errors, by what the caller may do next


@pytest.mark.parametrize("status", [499, 500, 502, 503, 504])
def test_a_mutation_that_ends_in_a_server_error_has_an_unknown_outcome_and_is_not_sent_again(
    shop: Shop, status: int
) -> None:
    made = an_exchange(shop)
    shop.fault(kind="error_after", target="CreateReturn", status=status)
    with pytest.raises(UnknownOutcome) as caught:
        shop.client.execute("CreateReturn", made)
    assert caught.value.http_status == status
    assert shop.asked().count("CreateReturn") == 1
    assert len(shop.store.records()["returns"]) == 1


@pytest.mark.parametrize("kind", ["dropped_after", "dropped_before", "truncated", "wrong_content_type"])
def test_a_mutation_whose_answer_does_not_arrive_has_an_unknown_outcome(shop: Shop, kind: str) -> None:
    made = an_exchange(shop)
    shop.fault(kind=kind, target="CreateReturn")
    with pytest.raises(UnknownOutcome, match="looked up before anything is sent again"):
        shop.client.execute("CreateReturn", made)
    assert shop.asked().count("CreateReturn") == 1


@pytest.mark.parametrize("kind", ["error_before", "dropped_after", "truncated", "wrong_content_type"])
def test_a_query_is_repeated_a_few_times_and_then_given_up(shop: Shop, kind: str) -> None:
    shop.fault(kind=kind, target="PullWarehouses", times=3)
    assert shop.client.execute("PullWarehouses", {"limit": 9}).data["warehouses"]
    shop.fault(kind=kind, target="PullWarehouses", times=100)
    before = len(shop.asked())
    with pytest.raises(Transient, match="4 times in a row"):
        shop.client.execute("PullWarehouses", {"limit": 9})
    assert len(shop.asked()) - before == 4


def test_a_refused_connection_means_that_nothing_was_sent(clock: Clock) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/graphql"
        client = client_of(url, clock)
        client._limiter.observe([])
        with pytest.raises(Transient):
            client.execute("ReadRateLimits", {})
    assert clock.slept  # a query was tried more than once


def test_a_mutation_to_a_server_that_is_gone_is_transient_and_not_in_doubt(clock: Clock) -> None:
    with answering(always({"data": {"deleteReturn": {"userErrors": []}}})) as (url, _):
        client = client_of(url, clock)
        client.execute("DeleteReturn", {"id": 1})
        client._transport._session.close()
    with pytest.raises(Transient, match="nothing was sent"):
        client.execute("DeleteReturn", {"id": 1})


@pytest.mark.parametrize(
    ("status", "message"),
    [(400, "hr-centra doctor"), (401, "make a new one"), (403, "make a new one"), (404, "address")],
)
def test_a_refused_request_says_what_to_do(clock: Clock, status: int, message: str) -> None:
    with answering(always({"errors": [{"message": "No way"}]}, status)) as (url, asked):
        with pytest.raises(Permanent, match="No way") as caught:
            client_of(url, clock).execute("DeleteReturn", {"id": 1})
        assert message in str(caught.value)
        assert len(asked) == 1


def test_a_redirect_is_not_followed_with_our_token(clock: Clock) -> None:
    with (
        answering(always({}, 302, Location="http://127.0.0.1:9/elsewhere")) as (url, _),
        pytest.raises(Permanent, match="redirects elsewhere"),
    ):
        client_of(url, clock).execute("DeleteReturn", {"id": 1})


def test_errors_before_execution_are_permanent_and_after_it_the_outcome_of_a_mutation_is_unknown(clock: Clock) -> None:
    failed = {"errors": [{"message": "Internal", "path": ["deleteReturn"]}]}
    for body in ({**failed, "data": None}, {**failed, "data": {"deleteReturn": None}}, {"data": None}, {}):
        with answering(always(body)) as (url, _), pytest.raises(UnknownOutcome):
            client_of(url, clock).execute("DeleteReturn", {"id": 1})
    with answering(always(failed)) as (url, _), pytest.raises(Permanent, match=r"Internal \(at deleteReturn\)"):
        client_of(url, clock).execute("DeleteReturn", {"id": 1})
    with answering(always({**failed, "data": None})) as (url, _), pytest.raises(Permanent):
        client_of(url, clock).execute("PullWarehouses", {})


def test_every_error_carries_where_it_comes_from(shop: Shop) -> None:
    shop.fault(kind="error_after", target="DeleteReturn", status=503)
    with pytest.raises(CentraError) as caught:
        shop.client.execute("DeleteReturn", {"id": 1})
    error = caught.value
    assert (error.vendor, error.operation, error.http_status) == ("Centra", "DeleteReturn", 503)
    assert error.request_id
    assert str(error).startswith("Centra DeleteReturn: ")
    assert f"(HTTP 503, request {error.request_id})" in str(error)


# ---------------------------------------------------------------- the token


def test_the_token_is_in_no_message_log_or_repr(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = {"errors": [{"message": f"Bearer {TOKEN} is no good"}]}
    bodies = [always(echo), always(echo, 400), always({"message": TOKEN}, 403), always(TOKEN.encode(), 500)]
    told = []
    for respond in bodies:
        with answering(respond) as (url, _):
            client = client_of(url, clock)
            try:
                client.execute("DeleteReturn", {"id": 1})
            except CentraError as error:
                told += [str(error), repr(error), repr(vars(error)), "".join(traceback.format_exception(error))]
            told += [
                repr(client),
                repr(vars(client)),
                repr(vars(client._transport)),
                str(client._transport._credential),
            ]
    assert len(told) == 32
    assert not [text for text in [*told, caplog.text] if TOKEN in text]


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "umläut"])
def test_a_token_that_was_copied_badly_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(ConfigurationError, match="CENTRA_TOKEN") as caught:
        CentraClient("http://127.0.0.1:9/graphql", token)
    assert not token or token not in str(caught.value)


# ---------------------------------------------------------------- 429


@pytest.mark.parametrize("style", ["http_date", "iso", "unix"])
def test_a_limited_mutation_waits_as_long_as_the_answer_says_and_is_then_sent_once(clock: Clock, style: str) -> None:
    until = datetime.fromtimestamp(clock.now + 42, UTC)
    text = {
        "http_date": format_datetime(until, usegmt=True),
        "iso": until.isoformat(),
        "unix": str(int(until.timestamp())),
    }[style]
    replies = iter([(429, {"Retry-After": text}, b"{}"), (200, {}, b'{"data": {"deleteReturn": {"userErrors": []}}}')])
    with answering(lambda _: next(replies)) as (url, asked):
        client_of(url, clock).execute("DeleteReturn", {"id": 1})
    assert clock.slept == [42.0]
    assert len(asked) == 2


def test_a_limit_that_lasts_too_long_is_transient(clock: Clock) -> None:
    with (
        answering(always({}, 429, **{"Retry-After": "7200"})) as (url, asked),
        pytest.raises(Transient, match="quota is used up"),
    ):
        client_of(url, clock).execute("DeleteReturn", {"id": 1})
    assert (len(asked), clock.slept) == (1, [])


def test_a_limit_that_never_ends_is_given_up(clock: Clock) -> None:
    with answering(always({}, 429, **{"Retry-After": "0"})) as (url, asked), pytest.raises(Transient):
        client_of(url, clock).execute("PullWarehouses", {})
    assert len(asked) == 6
    assert clock.slept == sorted(clock.slept)


def test_retry_after_is_read_in_every_likely_format() -> None:
    now = datetime(2026, 9, 30, 12, tzinfo=UTC)
    at = now.timestamp()
    assert seconds_to_wait("17", at) == 17
    assert seconds_to_wait("0.5", at) == 0.5
    assert seconds_to_wait("Wed, 30 Sep 2026 12:00:05 GMT", at) == 5
    assert seconds_to_wait("2026-09-30T14:00:05+02:00", at) == 5
    assert seconds_to_wait("2026-09-30T12:00:05Z", at) == 5
    assert seconds_to_wait(str(int(at) + 5), at) == 5
    assert seconds_to_wait(str((int(at) + 5) * 1000), at) == 5
    assert seconds_to_wait("Wed, 30 Sep 2026 11:00:00 GMT", at) == 0  # it is over
    for unreadable in (None, "", "soon", "-1", "nan", "inf"):
        assert seconds_to_wait(unreadable, at) is None


# ---------------------------------------------------------------- pages


def _page(cursor: str | None, *, more: bool) -> dict[str, Any]:
    return {"data": {"orderConnection": {"pageInfo": {"hasNextPage": more, "endCursor": cursor}, "edges": []}}}


@pytest.mark.parametrize("cursors", [["a", "a"], ["a", "b", "a"], [None], [""]])
def test_a_cursor_that_leads_nowhere_new_stops_the_reading_loudly(clock: Clock, cursors: list[str | None]) -> None:
    pages = iter([_page(cursor, more=True) for cursor in cursors])
    with (
        answering(lambda _: (200, {}, json.dumps(next(pages)).encode())) as (url, asked),
        pytest.raises(Permanent, match="does not lead to the next page"),
    ):
        list(client_of(url, clock).pages("PullOrders", {}, "orderConnection", 10))
    assert len(asked) == len(cursors)


def test_a_page_without_its_connection_is_no_end(clock: Clock) -> None:
    with (
        answering(always({"data": {"orderConnection": None}})) as (url, _),
        pytest.raises(Permanent, match="page 1 has no orderConnection"),
    ):
        list(client_of(url, clock).pages("PullOrders", {}, "orderConnection", 10))


def test_pages_go_on_from_where_the_last_one_ended(clock: Clock) -> None:
    pages = iter([_page("a", more=True), _page("b", more=True), _page("c", more=False)])
    with answering(lambda _: (200, {}, json.dumps(next(pages)).encode())) as (url, asked):
        assert len(list(client_of(url, clock).pages("PullOrders", {"where": {}}, "orderConnection", 10))) == 3
    assert [request["variables"]["after"] for request in asked] == [None, "a", "b"]
    assert {request["variables"]["first"] for request in asked} == {10}
    assert centra_operations.load("PullOrders").text == asked[0]["query"]
