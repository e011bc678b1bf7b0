"""The client of the partner API: one criterion, 204, cursors, its bucket, and every unusable answer refused by name."""

from __future__ import annotations

import itertools
import logging
import math
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from hr_centra_pipeline.core.errors import ConfigurationError, Unreachable
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.sources.calls.bounded import Received
from hr_centra_pipeline.sources.happy_returns import partner_client
from hr_centra_pipeline.sources.happy_returns.partner_bucket import LeakyBucket
from hr_centra_pipeline.sources.happy_returns.partner_client import (
    READS,
    Criterion,
    PartnerApi,
    PartnerRefused,
    rate_of,
    wait_of,
)
from hr_centra_pipeline.sources.happy_returns.partner_facts import ApiFacts
from hr_centra_pipeline_tests.receivers import free_port
from hr_centra_pipeline_tests.sources.happy_returns.partner import (
    KEY,
    RETAILER,
    Given,
    Request,
    Respond,
    Time,
    partner,
    unit,
)

FROM, TO = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 9, 2, tzinfo=UTC)


@pytest.fixture
def at(tmp_path: Path) -> Callable[..., PartnerApi]:
    """A client on a clock of its own."""

    def client(url: str, time: Time | None = None, facts: ApiFacts | None = None, key: str = KEY) -> PartnerApi:
        time = time or Time()
        return PartnerApi(url, key, RETAILER, tmp_path / "bucket", facts, clock=time, sleep=time.sleep)

    return client


def always(*given: Given) -> Respond:
    """These one after the other, then the last one again and again."""
    left = list(given)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


# ---------------------------------------------------------------- what is asked


def test_a_return_is_looked_up_by_exactly_one_criterion_with_the_key_in_its_header(
    at: Callable[..., PartnerApi],
) -> None:
    with partner(always(Given(body={"items": [unit(), unit(2)]}))) as server:
        answer = at(server.url).returns("orderNumber", "1001")
    assert (answer.rows, answer.cursor, answer.problem) == (2, None, None)
    (request,) = server.got
    assert (request.method, request.path) == ("POST", "/return")
    assert request.body == {"happyReturnsRetailerID": RETAILER, "orderNumber": "1001"}
    assert request.headers["x-hr-apikey"] == KEY


def test_a_204_is_that_there_is_nothing(at: Callable[..., PartnerApi]) -> None:
    with partner(always(Given(204, content_type=None))) as server:
        answer = at(server.url).returns("happyReturnsExpressCode", "HRVPBGPR")
    assert (answer.http_status, answer.rows, answer.body, answer.problem) == (204, 0, None, None)


def test_an_email_is_never_a_criterion(at: Callable[..., PartnerApi]) -> None:
    with partner(always(Given(204))) as server:
        client = at(server.url)
        with pytest.raises(ValueError, match="not what returns are looked up by"):
            client.returns("email", "customer@example.com")  # type: ignore[arg-type]
        assert client.returns("orderNumber", "").problem
        assert client.returns("orderNumber", "1\n2").problem
    assert server.got == []


@pytest.mark.parametrize(
    ("body", "cursor"),
    [
        ({"cursor": "c2"}, "c2"),
        ({"nextCursor": "c2"}, "c2"),
        ({"pagination": {"nextCursor": "c2"}}, "c2"),
        ({"meta": {"cursor": "c2"}}, "c2"),
        ({"paging": {"cursors": {"after": "c2"}}}, "c2"),
        ({"page": {"after": 17}}, "17"),
        ({"links": {"next": "https://partner.example.com/return?cursor=c2&x=1"}}, "c2"),
        ({"links": {"next": "/outbound-shipment/1?page%5Bafter%5D=c2"}}, "c2"),
        ({"links": {"next": "https://partner.example.com/return"}}, None),
        ({"cursor": ""}, None),
        ({"cursor": None, "next": "c2"}, "c2"),
        ({"cursor": "c2", "hasNextPage": False}, None),
        ({"pageInfo": {"endCursor": "c2", "hasNextPage": False}}, None),
        ({"pageInfo": {"endCursor": "c2", "hasNextPage": True}}, "c2"),
        ({"cursor": "c1", "next": "c3"}, "c3"),
        ({"cursor": "c1"}, None),
        ({"cursor": "a\nb"}, None),
        ({"cursor": True}, None),
    ],
)
def test_the_cursor_of_the_next_page_is_found_where_the_profile_says(
    at: Callable[..., PartnerApi], body: dict[str, Any], cursor: str | None
) -> None:
    with partner(always(Given(body={"items": [unit()], **body}))) as server:
        answer = at(server.url).returns("orderNumber", "1001", "c1")
    assert answer.cursor == cursor
    assert server.got[0].body["cursor"] == "c1"


def test_the_place_of_cursor_and_items_is_data(at: Callable[..., PartnerApi]) -> None:
    facts = ApiFacts(items=("result.units",), cursors=("result.more",), cursor_parameter="continueAt")
    with partner(always(Given(body={"result": {"units": [unit()], "more": "x"}}))) as server:
        answer = at(server.url, facts=facts).returns("orderNumber", "1001", "y")
    assert (answer.rows, answer.cursor) == (1, "x")
    assert server.got[0].body["continueAt"] == "y"


def test_a_page_without_units_is_the_last_one(at: Callable[..., PartnerApi]) -> None:
    with partner(always(Given(body={"items": [], "cursor": "c2"}))) as server:
        answer = at(server.url).returns("orderNumber", "1001")
    assert (answer.rows, answer.cursor, answer.problem) == (0, None, None)


@pytest.mark.parametrize(
    "body",
    [
        {"shipments": [{"shipmentID": "45678"}, {"shipmentID": 210123}]},
        {"data": [{"id": "45678"}, {"id": "210123"}]},
        [{"id": "45678"}, {"id": 210123}],
        {"items": ["45678", 210123]},
    ],
)
def test_outbound_shipments_are_listed_in_whatever_of_the_known_shapes(
    at: Callable[..., PartnerApi], body: Any
) -> None:
    with partner(always(Given(body=body))) as server:
        client = at(server.url)
        answer = client.outbound_shipments(FROM, TO)
        found, nameless = client.listed(answer)
    assert ([one.shipment_id for one in found], nameless) == (["45678", "210123"], 0)
    assert server.got[0].query == {
        "retailerID": RETAILER, "startDateTime": "2026-09-01T00:00:00Z", "endDateTime": "2026-09-02T00:00:00Z",
    }  # fmt: skip


def test_a_shipment_without_an_id_that_is_one_is_counted(at: Callable[..., PartnerApi]) -> None:
    body = {"shipments": [{"shipmentID": "../rma/1/approve"}, {"id": {"a": 1}}, {}, {"id": True}, {"id": "1"}]}
    with partner(always(Given(body=body))) as server:
        client = at(server.url)
        found, nameless = client.listed(client.outbound_shipments(FROM, TO))
    assert ([one.shipment_id for one in found], nameless) == (["1"], 4)


def test_a_shipment_that_grew_is_another_content(at: Callable[..., PartnerApi]) -> None:
    bodies = [{"shipments": [{"id": "1", "lineItemCount": count}]} for count in (3, 3, 4)]
    with partner(always(*(Given(body=body) for body in bodies))) as server:
        client = at(server.url)
        first, second, third = (client.listed(client.outbound_shipments(FROM, TO))[0][0] for _ in bodies)
    assert first == second != third


def test_contents_are_read_by_id_page_by_page(at: Callable[..., PartnerApi]) -> None:
    with partner(always(Given(body={"items": [{"sku": "A"}], "page": {"after": "p2"}}))) as server:
        client = at(server.url)
        answer = client.shipment_contents("45678")
        client.shipment_contents("45678", answer.cursor)
    assert [request.path for request in server.got] == ["/outbound-shipment/45678"] * 2
    assert [request.query for request in server.got] == [
        {"page[size]": "1000"}, {"page[size]": "1000", "page[after]": "p2"},
    ]  # fmt: skip


# ---------------------------------------------------------------- nothing but reads


def test_nothing_but_the_four_reads_is_ever_requested(at: Callable[..., PartnerApi]) -> None:
    """Whatever ids and codes say: its other calls refund, expire and book."""
    nasty = ["../rma/HRVPBGPR/approve", "..", "1/../../rma/1/expire", "1?x=1", "1#", "%2e%2e", "/return-contents", ""]
    with partner(always(Given(204))) as server:
        client = at(server.url)
        for text in nasty:
            client.shipment_contents(text)
            for criterion in ("orderNumber", "happyReturnsExpressCode"):
                client.returns(criterion, text)
        client.outbound_shipments(FROM, TO)
        client.check_key()
        client.shipment_contents("45678")
    asked = {(request.method, request.path.replace("45678", "{id}")) for request in server.got}
    assert asked == set(READS.values())
    assert all(set(request.body) <= {"happyReturnsRetailerID", "orderNumber", "happyReturnsExpressCode"}
               for request in server.got if request.body)  # fmt: skip


def test_the_client_has_no_other_way_to_send() -> None:
    source = Path(partner_client.__file__).read_text("utf-8")
    assert source.count(".exchange(") == 1
    assert source.count("READS[call]") == 1
    assert {method for method, _ in READS.values()} == {"GET", "POST"}
    assert [path for method, path in READS.values() if method == "POST"] == ["/return"]


# ---------------------------------------------------------------- unusable answers


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (Given(body=b"<html><body>maintenance</body></html>"), r"a page for people \(HTML\), not JSON"),
        (Given(body=b"{}", content_type="text/html"), r"a page for people \(HTML\), not JSON"),
        (Given(200, None), "it says 200 and sends no body"),
        (Given(200, b"  \n"), "it says 200 and sends no body"),
        (Given(body=[unit()]), "its answer is a JSON array, not an object"),
        (Given(body="text"), "its answer is a JSON text, not an object"),
        (Given(body=b"null"), "its answer is a JSON null, not an object"),
        (Given(body=b"7"), "its answer is a JSON number, not an object"),
        (Given(body=b'{"items": [{"a": 1}'), "not JSON, or is cut off"),
        (Given(body=b'{"items": [], "cut": 1', cut=50), "the connection broke before the answer was complete"),
        (Given(body=b'{"items": NaN}'), "NaN is not a JSON number"),
        (Given(body=b"\xff\xfe\x00"), "not JSON, or is cut off"),
        (Given(body=b"[" * 200_000), "not JSON, or is cut off"),
        (Given(body={"items": {"a": 1}}), "its answer has no list of items"),
        (Given(body={"message": "fine"}), "its answer has no list of items"),
        (Given(400, {"ErrorMessage": "exactly one of orderNumber, email"}), "it answered 400: .*exactly one of"),
        (Given(500, b"oops"), "it answered 500: oops"),
        (Given(503, b"<h1>down</h1>", "text/html"), r"it answered 503: a page for people"),
        (Given(202, {"items": []}), "it answered 202"),
    ],
)
def test_an_odd_answer_is_refused_by_name_and_not_asked_again(
    at: Callable[..., PartnerApi], given: Given, problem: str
) -> None:
    with partner(always(given)) as server:
        answer = at(server.url).returns("orderNumber", "1001")
    assert answer.problem is not None
    assert re.search(problem, answer.problem), answer.problem
    assert (answer.rows, answer.cursor) == (0, None)
    assert len(server.got) == 1


def test_a_204_with_a_body_is_refused_by_name(at: Callable[..., PartnerApi]) -> None:
    """HTTP forbids it, so that most stacks drop the body: what is left of it is judged all the same."""
    client = at("http://127.0.0.1:1")
    answer = client._read("returns", Received(204, b'{"items": []}'))
    assert answer.problem == "it says 204 (nothing) and sends a body"


def test_an_endless_answer_is_given_up(at: Callable[..., PartnerApi], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partner_client, "_MOST_BYTES", 10_000)
    with partner(always(Given(body={"items": [unit(number) for number in range(100)]}))) as server:
        answer = at(server.url).returns("orderNumber", "1001")
    assert answer.problem == "its answer has more than 10,000 bytes; reading stopped"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_says_what_to_do(at: Callable[..., PartnerApi], status: int) -> None:
    refuses = always(Given(status, {"message": f"key {KEY} unknown"}))
    with partner(refuses) as server, pytest.raises(PartnerRefused, match=r"the key is refused.*_API_KEY") as raised:
        at(server.url).check_key()
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("given", [Given(404, {}), Given(301, None, location="https://evil.example.com/return")])
def test_a_wrong_address_is_refused_and_no_redirect_is_followed(at: Callable[..., PartnerApi], given: Given) -> None:
    with partner(always(given)) as server, pytest.raises(PartnerRefused, match="Correct HAPPY_RETURNS_API_URL"):
        at(server.url).returns("orderNumber", "1001")
    assert len(server.got) == 1


def test_a_shipment_that_is_gone_is_no_wrong_address(at: Callable[..., PartnerApi]) -> None:
    with partner(always(Given(404, {"ErrorMessage": "unknown"}))) as server:
        answer = at(server.url).shipment_contents("1")
    assert answer.problem is not None
    assert answer.problem.startswith("it answered 404")


def test_nobody_there_is_unreachable(at: Callable[..., PartnerApi]) -> None:
    with pytest.raises(Unreachable, match="no connection"):
        at(f"http://127.0.0.1:{free_port()}").returns("orderNumber", "1001")


# ---------------------------------------------------------------- the bucket

FULL = '{ ErrorMessage: "too many requests: limit 0.500000 requests/sec, leaky bucket size 30" }'


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (FULL, 30),
        ('{"ErrorMessage": "too many requests: limit 0.500000 requests/sec, leaky bucket size 7.5"}', 7.5),
        ('{"errorMessage":"Too Many Requests","leakyBucketSize":12}', 12),
        ('{"bucket_size": "40"}', 40),
        ("leaky bucket size of 9", 9),
        ("LEAKY BUCKET SIZE: 9", 9),
        ("Retry in 5 seconds", 5),
        ('{"retryAfter": 25}', 25),
        ("try again in 8s", 8),
        ("please wait 1500 ms", 1.5),
        ('{"waitSeconds": 3}', 3),
        ('{"seconds": 4}', 4),
        ("leaky bucket size 999999", 120),
        ("leaky bucket size 0", 0),
        ("too many requests", 10),
        ("", 10),
        ("<html>429</html>", 10),
    ],
)
def test_the_wait_is_read_from_the_body_of_a_429_however_it_is_spelled(text: str, seconds: float) -> None:
    assert wait_of(text) == seconds


def test_the_rate_is_read_from_it_too() -> None:
    assert rate_of(FULL) == 0.5
    assert rate_of("limit 0.250000 requests/sec") == 0.25
    assert rate_of("limit 2 requests per second") == 2
    assert rate_of("limit 0 requests/sec") is None
    assert rate_of("nothing") is None


def test_requests_leave_two_seconds_apart(at: Callable[..., PartnerApi]) -> None:
    time, left = Time(), []
    with partner(always(Given(204))) as server:
        client = at(server.url, time)
        for number in range(4):
            client.returns("orderNumber", str(number))
            left.append(time.now)
    assert [round(after - before, 3) for before, after in itertools.pairwise(left)] == [2, 2, 2]
    assert client.requests == 4


def test_a_full_bucket_is_waited_out_as_its_body_says_and_nothing_leaves_meanwhile(
    at: Callable[..., PartnerApi],
) -> None:
    time = Time()
    with partner(always(Given(429, FULL.encode()), Given(body={"items": [unit()]}))) as server:
        client = at(server.url, time)
        assert client.returns("orderNumber", "1001").rows == 1
    assert (client.requests, client.limited) == (2, 1)
    assert time.slept == [30]


def test_each_further_429_waits_longer_and_the_wait_is_bounded(at: Callable[..., PartnerApi]) -> None:
    time = Time()
    with partner(always(Given(429, b"leaky bucket size 20"))) as server:
        client = at(server.url, time)
        with pytest.raises(Unreachable, match="its bucket stays full"):
            client.returns("orderNumber", "1001")
    assert len(server.got) <= 4
    assert time.slept == [20, 40, 80]


def test_a_bucket_that_leaks_more_slowly_slows_us_down(at: Callable[..., PartnerApi]) -> None:
    time = Time()
    full = Given(429, b"too many requests: limit 0.100000 requests/sec, leaky bucket size 3")
    with partner(always(full, Given(204))) as server:
        client = at(server.url, time)
        client.returns("orderNumber", "1")
        client.returns("orderNumber", "2")
        client.returns("orderNumber", "3")
    assert time.slept == [10, 10, 10]


def test_two_clients_of_one_home_keep_the_rate_together(tmp_path: Path) -> None:
    time = Time()
    one, other = (LeakyBucket(tmp_path / "bucket", 0.5, clock=time, sleep=time.sleep) for _ in range(2))
    start = time.now
    for bucket in (one, other, other, one):
        bucket.take()
    assert time.now - start == pytest.approx(6)


def test_a_run_that_begins_right_after_another_waits_for_its_last_request(tmp_path: Path) -> None:
    time = Time()
    LeakyBucket(tmp_path / "bucket", 0.5, clock=time, sleep=time.sleep).take()
    assert LeakyBucket(tmp_path / "bucket", 0.5, clock=time, sleep=time.sleep).take() == pytest.approx(2)


def test_requests_that_want_to_leave_at_once_get_places_of_their_own(tmp_path: Path) -> None:
    """By threads with a descriptor each, which the kernel's lock keeps apart like processes."""
    waits: list[float] = []

    def take(_: int) -> None:
        LeakyBucket(tmp_path / "bucket", 0.5, clock=lambda: 1_000.0, sleep=waits.append).take()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take, range(40)))
    assert sorted(round(wait) for wait in waits) == [2 * place for place in range(1, 40)]


@pytest.mark.parametrize("text", ["", "nonsense", "nan", "inf", "1e300", "\x00\x00", "9" * 60])
def test_a_bucket_file_that_is_not_ours_stops_nobody(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bucket"
    path.write_bytes(text.encode())
    time = Time()
    bucket = LeakyBucket(path, 0.5, clock=time, sleep=time.sleep)
    assert bucket.take() == 0
    assert bucket.take() == pytest.approx(2)
    assert math.isfinite(float(path.read_text()))


def test_a_clock_that_was_set_back_does_not_hold_requests_up_for_hours(tmp_path: Path) -> None:
    time = Time()
    bucket = LeakyBucket(tmp_path / "bucket", 0.5, clock=time, sleep=time.sleep)
    bucket.take()
    time.now -= 86_400
    assert bucket.take() == 0


def test_the_bucket_file_is_for_its_owner_only(tmp_path: Path) -> None:
    LeakyBucket(tmp_path / "bucket", 0.5, clock=Time(), sleep=lambda _: None).take()
    assert (tmp_path / "bucket").stat().st_mode & 0o077 == 0


# ---------------------------------------------------------------- the key


def test_the_key_is_in_no_log_text_or_error(at: Callable[..., PartnerApi], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    texts = []
    with partner(always(Given(400, {"ErrorMessage": f"bad key {KEY} of anna@example.com"}))) as server:
        client = at(server.url)
        texts += [repr(client), str(client.returns("orderNumber", "1001").problem)]
    try:
        at(f"http://127.0.0.1:{free_port()}").check_key()
    except Unreachable as error:
        texts += [str(error), repr(error)]
    assert len(texts) == 4
    assert not any(KEY in text or "anna@" in text for text in [*texts, caplog.text])


def test_a_key_with_a_line_break_is_refused_without_showing_it(at: Callable[..., PartnerApi]) -> None:
    with pytest.raises(ConfigurationError, match="HAPPY_RETURNS_API_KEY: empty, or with blanks") as raised:
        at("https://partner.happyreturns.com", key="secret one\n")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://partner.happyreturns.com", "http://127.0.0.1.example.com", "ftp://partner.happyreturns.com", "", "partner",
        "https://", "https://partner.happyreturns.com/?key=1", "https://anna:pw@partner.happyreturns.com", "http://[::1",
        "https://partner.happyreturns.com:notaport",
    ],
)  # fmt: skip
def test_the_key_is_sent_to_nobody_in_the_clear_and_to_no_odd_address(at: Callable[..., PartnerApi], url: str) -> None:
    with pytest.raises(ConfigurationError, match="HAPPY_RETURNS_API_URL") as raised:
        at(url)
    assert "pw" not in str(raised.value)


def test_without_a_key_there_is_no_api_and_without_a_retailer_it_says_so(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database=tmp_path / "w", policy_path=tmp_path / "p")
    assert PartnerApi.from_settings(settings) is None
    with pytest.raises(ConfigurationError, match="HAPPY_RETURNS_RETAILER_ID: not set"):
        PartnerApi.from_settings(settings.model_copy(update={"partner_api_key": SecretStr("k")}))
    given = {"partner_api_key": SecretStr("k"), "retailer_id": RETAILER}
    assert (
        repr(PartnerApi.from_settings(settings.model_copy(update=given)))
        == "PartnerApi('https://partner.happyreturns.com')"
    )


def test_whatever_is_asked_is_a_criterion_of_the_vendor() -> None:
    assert set(partner_client.CRITERIA) == {"orderNumber", "happyReturnsExpressCode"}
    one: Criterion = "orderNumber"
    assert one in partner_client.CRITERIA


def test_each_request_gives_back_what_the_caller_holds_first(tmp_path: Path) -> None:
    order: list[str] = []

    def respond(_: Request) -> Given:
        order.append("asked")
        return Given(204)

    with partner(respond) as server:
        time = Time()
        client = PartnerApi(
            server.url, KEY, RETAILER, tmp_path / "bucket", clock=time, sleep=time.sleep,
            before_call=lambda: order.append("given back"),
        )  # fmt: skip
        client.check_key()
    assert order == ["given back", "asked"]
