"""What Centra answers need not be what its schema promises: it is judged, bounded, and never an exception of ours."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.calls import bounded
from hr_centra_pipeline.sources.calls.bounded import BoundedSession
from hr_centra_pipeline.sources.calls.credential import Credential
from hr_centra_pipeline.sources.centra import pull
from hr_centra_pipeline.sources.centra.centra_errors import CentraError, Permanent, Transient, UnknownOutcome
from hr_centra_pipeline.sources.centra.client import Answer, Asked, CentraClient
from hr_centra_pipeline.sources.centra.order_api import OrderApiClient
from hr_centra_pipeline.sources.centra.texts import our_marks, without_contacts
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.sources.centra import payloads
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Clock, Rows
from hr_centra_pipeline_tests.sources.centra.server import LIMITS, always, answering

READ = ("PullWarehouses", {"limit": 200, "page": 1})
WRITE = ("DeleteReturn", {"id": 1})


def client_of(url: str, clock: Clock, **bounds: Any) -> CentraClient:
    client = CentraClient(url, "token-of-a-test", clock=clock, sleep=clock.sleep)
    if bounds:
        credential = Credential("Authorization", "token-of-a-test", prefix="Bearer ", variable="CENTRA_TOKEN")
        client._transport._session = BoundedSession(credential, **bounds)
    return client


def page(nodes: Any, *, after: Any = None, goes_on: Any = False) -> dict[str, Any]:
    return {"pageInfo": {"hasNextPage": goes_on, "endCursor": after}, "edges": [{"node": node} for node in nodes]}


def as_json(value: Any) -> bytes:
    return json.dumps(value, default=str).encode()


def answers(by_operation: Mapping[str, Any]) -> Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes]]:
    """The data of each operation, or what makes it of the request; amounts as JSON numbers."""

    def respond(given: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        found = by_operation[given["operationName"]]
        data = found(given) if callable(found) else found
        text = json.dumps({"data": data}, default=lambda amount: f"<{amount}>").encode()
        return 200, {}, text.replace(b'"<', b"").replace(b'>"', b"")

    return respond


# ---------------------------------------------------------------- time, bytes, pages


@contextmanager
def dripping(head: bytes, drop: bytes) -> Iterator[str]:
    """A server that reads the rate limits' request like any other, and then sends one byte at a time, for ever."""
    listening = socket.create_server(("127.0.0.1", 0))
    is_over = threading.Event()

    def serve() -> None:
        while not is_over.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(0.02)
                text = b""
                while b"operationName" not in text:
                    try:
                        text += connection.recv(65536)
                    except TimeoutError:
                        continue
                if b"ReadRateLimits" in text:
                    body = as_json({"data": LIMITS})
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
                    )
                    continue
                try:
                    connection.sendall(head)
                    while not is_over.wait(0.02):
                        connection.sendall(drop)
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/graphql"
    finally:
        is_over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_DRIPS = {
    "body with its length": (_OK + b"Content-Length: 100000\r\n\r\n", b" "),
    "body until the end": (_OK + b"Connection: close\r\n\r\n", b" "),
    "one huge chunk": (_OK + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n", b" "),
    "small chunks": (_OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "headers": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"a"),
    "refusal": (b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n", b" "),
}


@pytest.mark.parametrize("drip", _DRIPS)
def test_an_answer_that_drips_in_byte_by_byte_is_given_up(drip: str, clock: Clock) -> None:
    with dripping(*_DRIPS[drip]) as url:
        client = client_of(url, clock, most_seconds=0.3)
        with pytest.raises(Transient, match=r"took more than 0\.3 s"):
            client.execute(*READ)
        with pytest.raises(UnknownOutcome, match="took more than"):
            client.execute(*WRITE)


@pytest.mark.parametrize("packed", [gzip.compress(b" " * 80_000_000), gzip.compress(gzip.compress(b" " * 80_000_000))])
def test_an_answer_that_unpacks_to_more_than_we_take_is_given_up(packed: bytes, clock: Clock) -> None:
    times = "gzip" if len(packed) > 10_000 else "gzip, gzip"
    with answering(lambda _: (200, {"Content-Encoding": times}, packed)) as (url, asked):
        client = client_of(url, clock)
        with pytest.raises(Transient, match=f"more than {bounded.MOST_BYTES:,} bytes"):
            client.execute(*READ)
        assert len(asked) == 1  # it would be as large again
        with pytest.raises(UnknownOutcome, match="more than"):
            client.execute(*WRITE)


def test_pages_that_are_too_large_become_smaller(clock: Clock) -> None:
    def respond(given: dict[str, Any]) -> Any:
        first = given["variables"]["first"]
        start = int(given["variables"]["after"] or 0)
        nodes = [{"id": number, "comment": "x" * 1000} for number in range(start, min(start + first, 40))]
        more = start + first < 40
        return {"stockChangeConnection": page(nodes, after=str(start + first), goes_on=more)}

    with answering(answers({"PullStockChanges": respond})) as (url, _):
        client = client_of(url, clock, most_bytes=10_000)
        found = [
            node["id"] for nodes in client.pages("PullStockChanges", {}, "stockChangeConnection", 40) for node in nodes
        ]
    assert found == list(range(40))


@pytest.mark.parametrize("nodes", [[], [{"id": 7}], ["x"], [{"id": None}]])
def test_pages_with_ever_new_cursors_and_nothing_new_on_them_end(nodes: list[Any], clock: Clock) -> None:
    count = iter(range(10**9))
    endless = answers(
        {"PullReturns": lambda _: {"returnConnection": page(nodes, after=f"c{next(count)}", goes_on=True)}}
    )
    with answering(endless) as (url, _), pytest.raises(Permanent, match="does not lead to the next page"):
        list(client_of(url, clock).pages("PullReturns", {}, "returnConnection", 10))


def test_pages_with_ever_new_objects_end_too(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hr_centra_pipeline.sources.centra.client._MOST_PAGES", 5)
    count = iter(range(10**9))
    endless = answers(
        {
            "PullReturns": lambda _: {
                "returnConnection": page([{"id": next(count)}], after=f"c{next(count)}", goes_on=True)
            }
        }
    )
    with answering(endless) as (url, asked), pytest.raises(Permanent, match="page 5"):
        list(client_of(url, clock).pages("PullReturns", {}, "returnConnection", 10))
    assert len(asked) == 5


def test_texts_of_others_are_searched_in_time_that_grows_with_their_length() -> None:
    assert without_contacts("x" * 400_000) == "x" * 400_000
    assert without_contacts("to x.y@z.de, now") == "to ***, now"
    assert our_marks("[hr-centra " * 40_000) is None


# ---------------------------------------------------------------- types

_ODD: list[Any] = ["x", 5, True, [], ["x"], [None], {}, {"x": "y"}, 1.5, "", 0, False, [[]]]


@pytest.mark.parametrize("odd", _ODD, ids=repr)
@pytest.mark.parametrize(
    "member", ["data", "errors", "extensions", "payload", "userErrors", "error", "path", "complexity"]
)
def test_an_odd_answer_is_an_answer_or_one_of_our_errors(member: str, odd: Any, clock: Clock) -> None:
    payload: Any = {"userErrors": []}
    body: dict[str, Any] = {"data": {"deleteReturn": payload, "warehouses": []}, "extensions": {"complexity": 1}}
    match member:
        case "payload":
            body["data"]["deleteReturn"] = odd
        case "userErrors":
            payload["userErrors"] = odd
        case "error":
            body["errors"] = [odd]
        case "path":
            body["errors"] = [{"message": odd, "path": odd, "extensions": odd}]
        case "complexity":
            body["extensions"] = {"complexity": odd, "appVersion": odd, "deprecatedFieldsUsed": odd}
        case _:
            body[member] = odd
    with answering(always(body)) as (url, _):
        client = client_of(url, clock)
        for name, variables in (READ, WRITE):
            try:
                assert isinstance(client.execute(name, variables), Answer)
            except CentraError as error:
                assert name == READ[0] or isinstance(error, UnknownOutcome | Permanent)  # noqa: PT017
        together = client.execute_together([Asked(*WRITE)])
        assert all(isinstance(one, Answer | CentraError) for one in together)


def test_a_write_whose_refusals_cannot_be_read_is_in_doubt(clock: Clock) -> None:
    for odd in ("x", 5, ["x"], [None], {"message": "no"}):
        with answering(always({"data": {"deleteReturn": {"userErrors": odd}}})) as (url, _):
            client = client_of(url, clock)
            with pytest.raises(UnknownOutcome, match="userErrors are not a list"):
                client.execute(*WRITE)
            (outcome,) = client.execute_together([Asked(*WRITE)])
            assert isinstance(outcome, UnknownOutcome)


def test_the_text_of_an_error_is_shown_as_it_is(clock: Clock) -> None:
    for given, expected in (
        ("nope", "nope"),
        (["no", "way"], "no; way"),
        ({"message": "not today"}, "not today"),
        (5, "5"),
    ):
        with answering(always({"errors": given})) as (url, _), pytest.raises(Permanent) as caught:
            client_of(url, clock).execute(*READ)
        assert caught.value.message.startswith(f"{expected}. `hr-centra doctor`")
        with answering(always({"errors": given}, status=400)) as (url, _), pytest.raises(Permanent) as caught:
            client_of(url, clock).execute(*READ)
        assert caught.value.message.startswith(f"refused: {expected}.")


@pytest.mark.parametrize("number", ["1e99999999999999999999", "9" * 5000, "NaN", "[" * 100_000])
def test_numbers_and_depths_that_nothing_can_hold_are_an_unreadable_answer(number: str, clock: Clock) -> None:
    with answering(always(f'{{"data": {{"deleteReturn": {number}}}}}'.encode())) as (url, _):
        client = client_of(url, clock)
        with pytest.raises(Transient, match="unreadable"):
            client.execute(*READ)
        with pytest.raises(UnknownOutcome, match="unreadable"):
            client.execute(*WRITE)


@pytest.mark.parametrize("limits", [None, "x", [], ["x"], [{}], [{"type": 5, "intervalSeconds": [], "quota": "6"}]])
def test_quotas_that_cannot_be_read_are_a_failed_call_or_no_quota(limits: Any, clock: Clock) -> None:
    client = client_of("http://127.0.0.1:9", clock)
    text = as_json({"data": {"rateLimits": limits, "warehouses": []}})

    class Session:
        def exchange(self, *_: Any, **__: Any) -> bounded.Received:
            return bounded.Received(200, text, {"Content-Type": "application/json"})

    client._transport._session = Session()  # type: ignore[assignment]
    if limits == []:
        assert client.execute(*READ).data["warehouses"] == []
    else:
        with pytest.raises(Transient, match="its quotas cannot be read"):
            client.execute(*READ)


def test_a_quota_that_stays_used_up_ends_the_wait(clock: Clock) -> None:
    row = {"type": "REQUEST_COUNT", "intervalSeconds": "ONE_HOUR", "quota": 10, "remainingQuota": 0}
    client = client_of("http://127.0.0.1:9", clock)
    client.rate_limits = lambda: [row]  # type: ignore[method-assign]
    with pytest.raises(Transient, match="more than an hour"):
        client.execute(*READ)


@pytest.mark.parametrize(
    "body",
    [
        {"orders": "123"}, {"orders": 5}, {"orders": [None]}, {"orders": [["1"]]}, {"order": {"order": []}}, {"order": True},
        {"order": "1; drop"}, {"status": "no", "orders": ["7"]}, {"status": "no", "orders": [[]]}, {}, {"status": ["no"]},
    ],
    ids=repr,
)  # fmt: skip
def test_an_order_api_that_neither_refuses_nor_names_orders_leaves_the_outcome_unknown(body: Any, clock: Clock) -> None:
    """``"123"`` is one number, and not the orders 1, 2 and 3."""
    with answering(_named(body)) as (url, _):
        client = OrderApiClient(url, "key-of-a-test", clock=clock, sleep=clock.sleep)
        if body == {"orders": "123"}:
            assert client.create_order({"operationName": ""}).numbers == ("123",)
        elif body == {"orders": 5}:
            assert client.create_order({"operationName": ""}).numbers == ("5",)
        else:
            with pytest.raises(UnknownOutcome):
                client.create_order({"operationName": ""})


def test_a_refusal_of_the_order_api_is_shown_as_it_is(clock: Clock) -> None:
    for body, refusal, code in (
        ({"status": "no", "msg": ["a", 1], "code": "abc"}, "['a', 1]", None),
        ({"status": "no", "msg": None, "code": "-5"}, "refused without a reason", -5),
        ({"status": "no", "msg": "taken", "code": {}}, "taken", None),
    ):
        with answering(_named(body)) as (url, _):
            made = OrderApiClient(url, "key-of-a-test", clock=clock, sleep=clock.sleep).create_order(
                {"operationName": ""}
            )
        assert (made.refusal, made.code, made.numbers) == (refusal, code, ())


def _named(body: Any) -> Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes]]:
    return always(body)


# ---------------------------------------------------------------- pulls


def pulled(name: str, answer: Any, warehouse: Warehouse, policy: Policy, clock: Clock, **more: Any) -> pull.PullReport:
    with answering(answers({name: answer, **more})) as (url, _):
        function = {
            "PullReturns": pull.pull_returns, "PullStockChanges": pull.pull_stock_changes, "PullOrders": pull.pull_orders,
            "PullWarehouses": pull.pull_warehouses, "PullShipments": pull.pull_shipments,
        }[name]  # fmt: skip
        report: pull.PullReport = function(client_of(url, clock), warehouse, policy, NOW)
        return report


def test_a_node_that_is_no_object_is_refused_by_name_and_the_others_land(
    warehouse: Warehouse, policy: Policy, clock: Clock, rows: Rows
) -> None:
    nodes = ["x", payloads.a_return(1, 1001), None, {**payloads.a_return(2, 1001), "lines": None}, 5]
    report = pulled("PullReturns", {"returnConnection": page(nodes)}, warehouse, policy, clock)
    assert rows("select centra_return_id from landing.centra_returns") == [(1,)]
    assert "4 of 5 objects were not landed" in (report.problem or "")
    assert "Return 2: lines" in (report.problem or "")


@pytest.mark.parametrize("typename", [None, 5, "Return", "MarketplaceReturn", ""])
def test_an_object_of_an_unknown_type_is_not_taken_for_wholesale_in_silence(
    typename: Any, warehouse: Warehouse, policy: Policy, clock: Clock
) -> None:
    given = {**payloads.a_return(1, 1001), "__typename": typename}
    report = pulled("PullReturns", {"returnConnection": page([given])}, warehouse, policy, clock)
    assert "1 of 1 objects were not landed: Return 1: __typename" in (report.problem or "")
    wholesale = {**given, "__typename": "WholesaleReturn"}
    report = pulled("PullReturns", {"returnConnection": page([wholesale])}, warehouse, policy, clock)
    assert report.problem is None


def test_a_return_that_cannot_be_read_any_more_is_not_taken_for_deleted(
    warehouse: Warehouse, policy: Policy, clock: Clock, rows: Rows
) -> None:
    pending = payloads.a_return(1, 1001, returnStatus="PENDING")
    pulled("PullReturns", {"returnConnection": page([pending])}, warehouse, policy, clock)
    for node in ("x", {**pending, "id": "1"}, {**pending, "id": None}):

        def answer(given: dict[str, Any], node: Any = node) -> dict[str, Any]:
            return {"returnConnection": page([node] if "id" in given["variables"]["where"] else [])}

        report = pulled("PullReturns", answer, warehouse, policy, clock)
        assert not report.complete
    assert rows("select count(*) from landing.centra_returns where is_deleted") == [(0,)]


@pytest.mark.parametrize("lines", [None, "x", 5, {}, ["x"] * 50, [{"id": 1}] * 50])
def test_a_stock_change_with_odd_or_endless_lines_is_refused_and_the_others_land(
    lines: Any, warehouse: Warehouse, policy: Policy, clock: Clock, rows: Rows
) -> None:
    good, bad = payloads.stock_change(1, "A"), {**payloads.stock_change(2, "B"), "lines": lines}
    report = pulled(
        "PullStockChanges", {"stockChangeConnection": page([good, bad])}, warehouse, policy, clock,
        PullStockChangeLines={"stockChangeConnection": page([{"id": 2, "lines": lines}])},
    )  # fmt: skip
    assert not report.complete
    assert rows("select stock_change_id from landing.centra_stock_changes") == [(1,)]


_CHANGES: list[tuple[str, Any]] = [
    ("createdAt", 5), ("createdAt", "0001-01-01T00:00:00Z"), ("createdAt", "9999-12-31T23:59:59-23:00"), ("id", 10**30),
    ("returnedToStock", "yes"), ("grandTotal", {"value": "100", "currency": {"code": "EUR"}}), ("grandTotal", 5),
    ("shipment", {"id": True}), ("totals", []), ("refundPaymentHistory", {}),
]  # fmt: skip


@pytest.mark.parametrize(("member", "value"), _CHANGES, ids=repr)
def test_a_member_of_the_wrong_type_is_refused_by_name(
    member: str, value: Any, warehouse: Warehouse, policy: Policy, clock: Clock, rows: Rows
) -> None:
    nodes = [payloads.a_return(1, 1001), {**payloads.a_return(2, 1001), member: value}]
    report = pulled("PullReturns", {"returnConnection": page(nodes)}, warehouse, policy, clock)
    assert f": {member}" in (report.problem or "")
    assert rows("select centra_return_id from landing.centra_returns") == [(1,)]


@pytest.mark.parametrize(
    "answer", [{"warehouses": "x"}, {"warehouses": None}, {}, {"warehouses": [{"id": 1}] * 200}], ids=str
)
def test_warehouses_that_are_no_list_or_never_end_are_not_covered(
    answer: Any, warehouse: Warehouse, policy: Policy, clock: Clock
) -> None:
    report = pulled("PullWarehouses", answer, warehouse, policy, clock)
    assert not report.complete


# ---------------------------------------------------------------- an object that never fits


@pytest.mark.parametrize(
    ("name", "connection", "good", "bad"),
    [
        (
            "PullStockChanges",
            "stockChangeConnection",
            payloads.stock_change(1, "A"),
            payloads.stock_change(2, "B", type=None),
        ),
        ("PullShipments", "shipmentConnection", payloads.shipment(1, 1001), payloads.shipment(2, 1002, lines=None)),
        ("PullOrders", "orderConnection", payloads.order(1), payloads.order(2, lines=None)),
        ("PullReturns", "returnConnection", payloads.a_return(1, 1001), payloads.a_return(2, 1001, lines=None)),
    ],
)
def test_an_object_that_never_fits_is_asked_for_by_name_and_does_not_hold_the_watermark(
    name: str, connection: str, good: Any, bad: Any, warehouse: Warehouse, policy: Policy, clock: Clock, rows: Rows
) -> None:
    asked: list[Any] = []
    mended = {**bad, "type": "IN"} if name == "PullStockChanges" else {**bad, "lines": []}

    def answer(nodes: list[Any], by_id: list[Any]) -> Callable[[dict[str, Any]], Any]:
        def page_of(given: dict[str, Any]) -> Any:
            where = given["variables"]["where"]
            asked.append(where)
            return {connection: page(nodes if {"updatedAt", "createdAt"} & set(where) else by_id)}

        return page_of

    more = {"PullShipments": {"shipmentConnection": page([])}} if name == "PullOrders" else {}
    table = {
        "PullStockChanges": "stock_changes", "PullShipments": "shipments", "PullOrders": "orders", "PullReturns": "returns",
    }[name]  # fmt: skip
    report = pulled(name, answer([good, bad], []), warehouse, policy, clock, **more)
    assert not report.complete
    assert rows("select object, object_id from landing.centra_unreadable") == [(table, 2)]
    start = min(asked[0].get("updatedAt", asked[0].get("createdAt"))["from"] for _ in asked)
    asked.clear()
    report = pulled(name, answer([], [bad]), warehouse, policy, clock, **more)
    assert not report.complete  # it is named each time
    assert rows("select object_id, since <= now() from landing.centra_unreadable") == [(2, True)]
    if name != "PullReturns":  # whose window is a fixed one
        assert (asked[0].get("updatedAt") or asked[0].get("createdAt"))["from"] > start
    assert any(2 in (where.get("id") or where.get("number") or []) for where in asked)
    report = pulled(name, answer([], [mended]), warehouse, policy, clock, **more)
    assert report.complete
    assert rows("select count(*) from landing.centra_unreadable") == [(0,)]
    landed = 3 if name == "PullReturns" else 2  # a Return that is not shown by its id was deleted
    assert rows(f"select count(*) from landing.centra_{table}") == [(landed,)]


def test_an_object_without_a_readable_id_holds_the_watermark(
    warehouse: Warehouse, policy: Policy, clock: Clock, rows: Rows
) -> None:
    good, bad = payloads.stock_change(1, "A"), payloads.stock_change(2, "B", id="x")
    pulled("PullStockChanges", {"stockChangeConnection": page([good, bad])}, warehouse, policy, clock)
    assert rows("select count(*) from landing.centra_reached") == [(0,)]
