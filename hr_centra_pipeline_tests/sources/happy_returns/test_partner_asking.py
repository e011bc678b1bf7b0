"""What a run asks the partner API within its budget, what it keeps of it, and what it leaves in line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.core.errors import Unreachable
from hr_centra_pipeline.core.policy import PartnerApi as Limits
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.sources.happy_returns.event_landing import Asked, Body, BodyReport
from hr_centra_pipeline.sources.happy_returns.event_reading import EventProfile, load_event_profile
from hr_centra_pipeline.sources.happy_returns.partner_asking import LookUp, PartnerReport, ask, due
from hr_centra_pipeline.sources.happy_returns.partner_client import PartnerApi, PartnerRefused
from hr_centra_pipeline.sources.happy_returns.partner_facts import ApiFacts
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests import staged
from hr_centra_pipeline_tests.receivers import free_port
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY
from hr_centra_pipeline_tests.sources.happy_returns.partner import KEY, RETAILER, Given, Request, Time, partner, unit

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
PROFILE = load_event_profile(Path(os.devnull))
LIMITS = Limits(look_back_days=4)  # the first list of shipments is of four windows


@dataclass
class PartnerHarness:
    """A database, a partner API that knows some returns and shipments, and what was landed of its answers."""

    warehouse: Warehouse
    path: Path
    profile: EventProfile
    time: Time = field(default_factory=Time)
    units: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by express code or order number
    shipments: list[dict[str, Any]] = field(default_factory=list)
    contents: dict[str, list[list[dict[str, Any]]]] = field(default_factory=dict)  # its pages
    page_size: int = 100
    odd: dict[str, Given] = field(default_factory=dict)  # by what was asked
    got: list[Request] = field(default_factory=list)
    landed: list[Body] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)  # whether the database was open when a request arrived

    def respond(self, request: Request) -> Given:
        self.held.append(self.warehouse._kept is not None)
        if request.path == "/outbound-shipments":
            start, end = request.query["startDateTime"], request.query["endDateTime"]
            return self.odd.get("list") or Given(
                body={"shipments": [one for one in self.shipments if start <= one["departedAt"] < end]}
            )
        if request.path.startswith("/outbound-shipment/"):
            shipment = request.path.rpartition("/")[2]
            pages = self.contents.get(shipment, [[]])
            place = int(request.query.get("page[after]", "0"))
            following: dict[str, Any] = {"page": {"after": str(place + 1)}} if place + 1 < len(pages) else {}
            return self.odd.get(shipment) or Given(body={"items": pages[place], **following})
        value = request.body.get("orderNumber") or request.body.get("happyReturnsExpressCode")
        if value in self.odd:
            return self.odd[value]
        if value not in self.units:
            return Given(204, content_type=None)
        place = int(request.body.get("cursor", "0"))
        found = self.units[value][place : place + self.page_size]
        more = {"cursor": str(place + self.page_size)} if place + self.page_size < len(self.units[value]) else {}
        return Given(body={"items": found, **more})

    def land(self, connection: Connection, bodies: Sequence[Body], _: EventProfile, now: datetime) -> list[BodyReport]:
        assert now == NOW or now > NOW
        connection.execute("select 1")
        self.landed += bodies
        return [BodyReport(body.name, rows_read=1, rows_landed=1, batch=77) for body in bodies]

    def ask(
        self, limits: Limits = LIMITS, now: datetime = NOW, facts: ApiFacts | None = None, **more: Any
    ) -> PartnerReport:
        with partner(self.respond) as server:
            api = PartnerApi(
                server.url, KEY, RETAILER, self.path / "bucket", facts, clock=self.time, sleep=self.time.sleep
            )
            report = ask(self.warehouse, api, self.profile, limits, now, land=self.land, **more)
            self.got = server.got
        return report

    def asked(self) -> list[str]:
        """What the last run requested, without the lists of shipments."""
        each = [
            request.body.get("orderNumber") or request.body.get("happyReturnsExpressCode") if request.body
            else request.path.rpartition("/")[2]
            for request in self.got
        ]  # fmt: skip
        return [one for one in each if one != "outbound-shipments"]

    def put(self, table: str, **given: Any) -> None:
        with self.warehouse.transaction() as connection:
            staged.put(connection, table, **given)

    def silent(self, code: str, *, days: float = 3.5, order: str = "1001") -> None:
        """A return that was started and not heard of since."""
        started = NOW - timedelta(days=days)
        self.put(
            "staging.returns", return_id=f"RT-{code}", order_number=order, refund_status="started", express_code=code,
            created_at=started, source_time=started,
        )  # fmt: skip
        self.put(
            "staging.return_items", return_item_id=f"IT-{code}", return_id=f"RT-{code}", order_number=order,
            express_code=code, return_created_at=started, return_status="started", source_time=started,
        )  # fmt: skip

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.warehouse.transaction() as connection:
            return connection.execute(sql).fetchall()

    def due(self, now: datetime = NOW) -> list[LookUp]:
        with self.warehouse.transaction() as connection:
            return due(connection, LIMITS, now)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[PartnerHarness]:
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    staged.prepare_a_copy(warehouse)
    with warehouse.kept_open():
        with warehouse.transaction() as connection:
            write_policy(connection, load_policy(EXAMPLE_POLICY).policy, "live")
        yield PartnerHarness(warehouse, tmp_path, PROFILE)


CODES = [f"HRAAAAA{letter}" for letter in "ABCDEFGHJK"]


def test_a_silent_return_is_looked_up_and_its_answer_landed_and_noted(harness: PartnerHarness) -> None:
    harness.silent(CODES[0])
    harness.units[CODES[0]] = [unit(), unit(2)]
    report = harness.ask()
    assert (report.look_ups, report.nothing_found, report.rows_landed, report.waiting, report.problem) == (
        1,
        0,
        1,
        0,
        None,
    )
    (body,) = harness.landed
    assert (body.feed, body.message, body.received_at) == ("api", "return", NOW)
    ((answer, *noted),) = harness.rows(
        "select answer_id, criterion, value, reason, page, http_status, rows_read, rows_landed, is_last, has_next, problem,"
        " asked_at, batch, bytes > 300, length(sha256) from landing.partner_answers where criterion <> 'window'"
    )
    assert body.name == f"api {answer}"
    assert noted == [
        "happyReturnsExpressCode", CODES[0], "silent_return", 1, 200, 1, 1, True, False, None, NOW, 77, True, 64,
    ]  # fmt: skip


def test_no_body_and_no_email_is_kept_of_an_answer(harness: PartnerHarness) -> None:
    harness.silent(CODES[0])
    harness.units[CODES[0]] = [unit()]
    harness.ask()
    kept = str(harness.rows("select * from landing.partner_answers")) + str(
        harness.rows("select * from landing.partner_looks")
    )
    assert "customer@example.com" not in kept
    assert KEY not in kept


def test_a_204_for_a_return_that_is_open_is_counted_and_deletes_nothing(harness: PartnerHarness) -> None:
    harness.silent(CODES[0])
    before = harness.rows("select * from staging.return_items"), harness.rows("select * from staging.returns")
    report = harness.ask()
    assert (report.look_ups, report.nothing_found, harness.landed) == (1, 1, [])
    assert harness.rows(
        "select http_status, rows_read, problem from landing.partner_answers where criterion <> 'window'"
    ) == [(204, 0, None)]
    assert (harness.rows("select * from staging.return_items"), harness.rows("select * from staging.returns")) == before


def test_every_page_is_read_and_only_the_last_one_ends_the_look_up(harness: PartnerHarness) -> None:
    harness.silent(CODES[0])
    harness.units[CODES[0]], harness.page_size = [unit(number) for number in range(5)], 2
    report = harness.ask()
    assert (report.look_ups, len(harness.landed)) == (1, 3)
    pages = "select page, is_last, has_next from landing.partner_answers where criterion <> 'window' order by page"
    assert harness.rows(pages) == [(1, False, True), (2, False, True), (3, True, False)]


def test_pages_that_go_round_end(harness: PartnerHarness) -> None:
    harness.silent(CODES[0])
    given = iter(["a", "b", "a", "b", "a"])
    harness.respond = lambda request: Given(  # type: ignore[method-assign]
        body={"shipments": []} if request.method == "GET" else {"items": [unit()], "cursor": next(given)}
    )
    assert harness.ask().look_ups == 1
    assert len([request for request in harness.got if request.method == "POST"]) == 3


def test_a_look_up_without_end_is_left_and_named(harness: PartnerHarness) -> None:
    harness.silent(CODES[0])
    harness.units[CODES[0]], harness.page_size = [unit(number) for number in range(30)], 1
    harness.ask()
    assert harness.rows("select max(page), max(problem) from landing.partner_answers where criterion <> 'window'") == [
        (20, "it has more than 20 pages: the others were not read")
    ]


def test_the_oldest_need_is_asked_first_and_what_is_over_the_budget_stays_in_line(harness: PartnerHarness) -> None:
    for number, code in enumerate(CODES):
        harness.silent(code, days=3.2 + number / 10, order=str(1000 + number))
    report = harness.ask(LIMITS.model_copy(update={"requests_per_run": 8}))
    assert report.requests == 8
    assert harness.asked() == CODES[::-1][:4]
    assert (report.look_ups, report.waiting) == (4, 6)
    assert report.waits_since == NOW - timedelta(days=0.2 + 5 / 10)
    assert harness.rows("select requests, look_ups, waiting, is_complete from landing.partner_looks") == [
        (8, 4, 6, True)
    ]
    again = harness.ask(LIMITS.model_copy(update={"requests_per_run": 8}), NOW + timedelta(hours=1))
    assert harness.asked() == CODES[::-1][4:]
    assert again.waiting == 0


def test_with_a_budget_of_nothing_nothing_is_asked(harness: PartnerHarness) -> None:
    harness.silent(CODES[0])
    assert harness.ask(LIMITS.model_copy(update={"requests_per_run": 0})) == PartnerReport()
    assert harness.got == []
    assert harness.rows("select * from landing.partner_looks") == []


def test_a_look_up_that_the_budget_cuts_short_is_first_in_line_again(harness: PartnerHarness) -> None:
    harness.silent(CODES[0])
    harness.units[CODES[0]], harness.page_size = [unit(number) for number in range(10)], 2
    report = harness.ask(LIMITS.model_copy(update={"requests_per_run": 6}))
    assert (report.look_ups, report.waiting, len(harness.landed)) == (0, 1, 3)
    assert [one.value for one in harness.due(NOW + timedelta(hours=1))] == [CODES[0]]


def test_a_run_of_forty_requests_takes_eighty_seconds_and_does_not_hold_the_database(harness: PartnerHarness) -> None:
    for number in range(40):
        harness.silent(f"HRBBBB{number:02}", order=str(number))
    began = harness.time.now
    with harness.warehouse.kept_open():
        (harness.path / "warehouse.duckdb.wanted").touch()
        with partner(harness.respond) as server:
            api = PartnerApi(
                server.url, KEY, RETAILER, harness.path / "bucket", clock=harness.time, sleep=harness.time.sleep,
                before_call=harness.warehouse.release,
            )  # fmt: skip
            report = ask(harness.warehouse, api, harness.profile, LIMITS, NOW, land=harness.land)
    assert report.requests == 40
    assert 70 < harness.time.now - began <= 80
    assert not any(harness.held)


def test_the_same_need_is_not_asked_again_within_a_day(harness: PartnerHarness) -> None:
    harness.silent(CODES[0])
    harness.ask()
    harness.ask(now=NOW + timedelta(hours=23))
    assert harness.asked() == []
    harness.ask(LIMITS.model_copy(update={"look_back_days": 9}), NOW + timedelta(hours=25))
    assert harness.asked() == [CODES[0]]


def test_an_order_is_asked_for_in_the_next_way_to_write_it_when_the_first_finds_nothing(
    harness: PartnerHarness,
) -> None:
    harness.put("staging.centra_returns", centra_return_id=7, order_number="2002", created_at=NOW - timedelta(days=1))
    harness.units["#2002"] = [unit()]
    report = harness.ask(facts=ApiFacts(order_numbers=("{}", "#{}")))
    assert harness.asked() == ["2002", "#2002"]
    assert (report.look_ups, report.nothing_found) == (1, 0)
    assert harness.rows("select distinct value from landing.partner_answers where criterion = 'orderNumber'") == [
        ("2002",)
    ]


def test_by_default_an_order_number_is_written_bare(harness: PartnerHarness) -> None:
    harness.put("staging.centra_returns", centra_return_id=7, order_number="2002", created_at=NOW - timedelta(days=1))
    assert harness.ask().nothing_found == 1
    assert harness.asked() == ["2002"]


# ---------------------------------------------------------------- outbound shipments


def shipment(number: str, at: datetime, **more: Any) -> dict[str, Any]:
    return {"shipmentID": number, "departedAt": f"{at:%Y-%m-%dT%H:%M:%SZ}", **more}


def test_the_first_look_lists_the_days_of_the_look_back_and_reads_what_it_finds(harness: PartnerHarness) -> None:
    harness.shipments = [shipment("45678", NOW - timedelta(days=3)), shipment("45679", NOW - timedelta(hours=2))]
    harness.contents = {"45678": [[{"sku": "A"}], [{"sku": "B"}]], "45679": [[{"sku": "C"}]]}
    report = harness.ask()
    assert [request.query["startDateTime"] for request in harness.got[:4]] == [
        f"{NOW - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}" for days in (4, 3, 2, 1)
    ]
    assert harness.asked() == ["45678", "45678", "45679"]
    assert (report.shipments, report.look_ups) == (2, 2)
    assert [(body.message, body.given["shipment_id"]) for body in harness.landed] == [
        ("outbound", "45678"), ("outbound", "45678"), ("outbound", "45679"),
    ]  # fmt: skip
    assert harness.rows("select shipments_until from landing.partner_looks") == [(NOW,)]


def test_the_next_look_lists_what_came_since_then_with_an_overlap(harness: PartnerHarness) -> None:
    harness.ask()
    harness.ask(now=NOW + timedelta(hours=1))
    assert [(request.query["startDateTime"], request.query["endDateTime"]) for request in harness.got] == [
        ("2026-09-30T06:00:00Z", "2026-09-30T13:00:00Z")
    ]


def test_a_shipment_that_is_known_is_not_read_again_unless_the_list_shows_another_state(
    harness: PartnerHarness,
) -> None:
    harness.shipments = [shipment("45678", NOW - timedelta(hours=1), lineItemCount=3)]
    harness.ask()
    assert harness.ask(now=NOW + timedelta(hours=1)).shipments == 0
    assert harness.asked() == []
    harness.shipments = [shipment("45678", NOW - timedelta(hours=1), lineItemCount=4)]
    assert harness.ask(now=NOW + timedelta(hours=2)).shipments == 1
    assert harness.asked() == ["45678"]
    assert harness.rows("select count(*), count(distinct shipment_id) from landing.partner_shipments") == [(2, 1)]


def test_lists_take_at_most_half_of_a_budget_and_go_on_in_the_next_run(harness: PartnerHarness) -> None:
    harness.silent(CODES[0])
    small = Limits(look_back_days=30, requests_per_run=10)
    assert harness.ask(small).look_ups == 1
    assert len(harness.got) == 6
    assert harness.rows("select max(shipments_until) from landing.partner_looks") == [(NOW - timedelta(days=25),)]
    harness.ask(small, NOW + timedelta(hours=1))
    assert harness.got[0].query["startDateTime"] == f"{NOW - timedelta(days=25, hours=6):%Y-%m-%dT%H:%M:%SZ}"


def test_a_list_with_more_pages_is_asked_for_by_shorter_windows(harness: PartnerHarness) -> None:
    listed: list[tuple[str, str]] = []

    def respond(request: Request) -> Given:
        start, end = (datetime.fromisoformat(request.query[name]) for name in ("startDateTime", "endDateTime"))
        listed.append((f"{start:%d %H}", f"{end:%d %H}"))
        more = {"cursor": "x"} if end - start > timedelta(hours=12) else {}
        return Given(body={"shipments": [shipment("45678", NOW)], **more})

    harness.respond = respond  # type: ignore[method-assign]
    report = harness.ask(Limits(look_back_days=1, requests_per_run=8))
    assert listed[:3] == [("29 12", "30 12"), ("29 12", "30 00"), ("30 00", "30 12")]
    assert report.problem is None


def test_after_a_busy_half_day_windows_grow_again(harness: PartnerHarness) -> None:
    hours: list[float] = []

    def respond(request: Request) -> Given:
        start, end = (datetime.fromisoformat(request.query[name]) for name in ("startDateTime", "endDateTime"))
        hours.append((end - start) / timedelta(hours=1))
        is_busy = start == NOW - timedelta(days=4) and end - start > timedelta(hours=6)
        return Given(body={"shipments": [shipment("45678", NOW)], **({"cursor": "x"} if is_busy else {})})

    harness.respond = respond  # type: ignore[method-assign]
    harness.ask()
    assert hours == [24, 12, 6, 12, 24, 24, 24, 6]


def test_more_shipments_than_a_page_holds_in_the_shortest_window_are_a_problem_and_listed_again(
    harness: PartnerHarness,
) -> None:
    harness.silent(CODES[0])
    busy = Given(body={"shipments": [shipment("45678", NOW)], "cursor": "x"})
    harness.odd["list"] = busy
    report = harness.ask(Limits(look_back_days=4, requests_per_run=40))
    assert "more shipments than one page holds left within 22.5 minutes" in str(report.problem)
    assert report.look_ups == 2  # the others go on
    assert harness.rows("select is_complete, shipments_until from landing.partner_looks") == [(False, None)]
    assert harness.rows("select count(*) filter (where is_last), count(problem) from landing.partner_answers"
                     " where criterion = 'window'") == [(0, 1)]  # fmt: skip


def test_a_list_that_cannot_be_read_is_listed_again_and_the_look_ups_go_on(harness: PartnerHarness) -> None:
    harness.silent(CODES[0])
    harness.odd["list"] = Given(200, b"<html>")
    report = harness.ask()
    assert (report.look_ups, report.odd_answers) == (1, 1)
    del harness.odd["list"]
    harness.ask(now=NOW + timedelta(hours=1))
    assert harness.got[0].query["startDateTime"] == f"{NOW - timedelta(days=4) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"


def test_shipments_whose_id_is_nowhere_are_named_and_listed_again(harness: PartnerHarness) -> None:
    harness.shipments = [{"number": "45678", "departedAt": f"{NOW - timedelta(days=3.5):%Y-%m-%dT%H:%M:%SZ}"}]
    harness.ask()
    assert harness.rows("select problem from landing.partner_answers") == [
        ("1 of its 1 shipments have no id that the profile knows ([api] shipment_ids)",)
    ]
    assert harness.rows("select shipments_until from landing.partner_looks") == [(None,)]


# ---------------------------------------------------------------- what goes wrong


def test_an_odd_answer_is_noted_against_its_look_up_and_the_others_go_on(harness: PartnerHarness) -> None:
    for number, code in enumerate(CODES[:3]):
        harness.silent(code, days=3.9 - number / 10, order=str(number))
    harness.odd[CODES[0]] = Given(500, b"oops")
    report = harness.ask()
    assert (report.look_ups, report.odd_answers, report.nothing_found, report.problem) == (3, 1, 2, None)
    assert harness.rows(f"select http_status, problem from landing.partner_answers where value = '{CODES[0]}'") == [
        (500, "it answered 500: oops")
    ]


def test_three_odd_answers_in_a_row_end_the_questions_of_the_run(harness: PartnerHarness) -> None:
    for number, code in enumerate(CODES):
        harness.silent(code, order=str(number))
        harness.odd[code] = Given(200, b"<html>maintenance</html>")
    report = harness.ask()
    assert isinstance(report.problem, Unreachable)
    assert "3 answers in a row cannot be used" in str(report.problem)
    assert (len(harness.asked()), report.waiting) == (3, 8)
    assert harness.rows("select is_complete from landing.partner_looks") == [(False,)]
    assert harness.rows("select count(*) from landing.partner_answers where problem is not null") == [(3,)]


def test_a_refused_key_ends_the_questions_and_keeps_what_was_answered(harness: PartnerHarness) -> None:
    for number, code in enumerate(CODES[:3]):
        harness.silent(code, days=3.9 - number / 10, order=str(number))
    harness.units[CODES[0]] = [unit()]
    harness.odd[CODES[1]] = Given(403, {})
    report = harness.ask()
    assert isinstance(report.problem, PartnerRefused)
    assert (report.rows_landed, report.look_ups, report.waiting) == (1, 1, 2)
    assert [one.value for one in harness.due(NOW + timedelta(hours=1))] == CODES[1:3]


def test_a_partner_api_that_is_away_is_said_and_nothing_is_lost(harness: PartnerHarness) -> None:
    harness.silent(CODES[0])
    api = PartnerApi(
        f"http://127.0.0.1:{free_port()}",
        KEY,
        RETAILER,
        harness.path / "bucket",
        clock=harness.time,
        sleep=harness.time.sleep,
    )
    report = ask(harness.warehouse, api, harness.profile, LIMITS, NOW, land=harness.land)
    assert isinstance(report.problem, Unreachable)
    assert harness.rows("select is_complete, shipments_until from landing.partner_looks") == [(False, None)]
    assert [one.value for one in harness.due()] == [CODES[0]]
    assert (report.waiting, report.waits_since) == (1, harness.due()[0].since)
    assert harness.rows("select waiting, waits_since is not null from landing.partner_looks") == [(1, True)]


def test_numbers_that_cannot_be_asked_by_are_not_the_vendors_fault(harness: PartnerHarness) -> None:
    for number, code in enumerate(["A\tB", "C\tD", "E\tF", CODES[0]]):
        harness.silent(code, days=3.9 - number / 10, order=str(number))
    report = harness.ask()
    assert (report.look_ups, report.odd_answers, report.problem, report.waiting) == (4, 0, None, 0)
    assert harness.asked() == [CODES[0]]
    assert harness.rows("select count(*) from landing.partner_answers where starts_with(problem, 'not asked')") == [
        (3,)
    ]


def test_a_body_that_is_refused_as_a_whole_is_noted_with_its_reason(harness: PartnerHarness) -> None:
    harness.silent(CODES[0])
    harness.units[CODES[0]] = [unit()]
    land = harness.land

    def refuse(*given: Any) -> list[BodyReport]:
        return [replace(one, problem="is of another retailer", rows_landed=0) for one in land(*given)]

    harness.land = refuse  # type: ignore[method-assign,assignment]
    harness.ask()
    assert harness.rows("select problem from landing.partner_answers where criterion <> 'window'") == [
        ("is of another retailer",)
    ]


# ---------------------------------------------------------------- a backfill


def test_a_backfill_lists_its_days_asks_what_is_open_of_them_and_moves_nothing_of_the_sync(
    harness: PartnerHarness,
) -> None:
    harness.silent(CODES[0], days=20)
    harness.silent(CODES[1], days=2, order="1002")
    window = (NOW - timedelta(days=21), NOW - timedelta(days=19))
    harness.shipments = [shipment("45678", NOW - timedelta(days=20))]
    report = harness.ask(window=window)
    assert [(request.query["startDateTime"], request.query["endDateTime"]) for request in harness.got[:2]] == [
        ("2026-09-09T12:00:00Z", "2026-09-10T12:00:00Z"), ("2026-09-10T12:00:00Z", "2026-09-11T12:00:00Z"),
    ]  # fmt: skip
    assert harness.asked() == [CODES[0], "45678"]
    assert report.waiting == 0
    assert harness.rows("select shipments_until from landing.partner_looks") == [(None,)]


def test_a_backfill_has_a_budget_of_its_own(harness: PartnerHarness) -> None:
    for number, code in enumerate(CODES):
        harness.silent(code, days=20, order=str(number))
    limits = LIMITS.model_copy(update={"requests_per_backfill": 6, "requests_per_run": 1})
    window = (NOW - timedelta(days=21), NOW - timedelta(days=19))
    report = harness.ask(limits, window=window)
    assert (report.requests, report.look_ups, report.waiting) == (6, 4, 6)


def test_a_full_bucket_holds_a_run_up_no_longer_than_the_policy_says(harness: PartnerHarness) -> None:
    for code in CODES:
        harness.silent(code)
        harness.odd[code] = Given(429, {"ErrorMessage": "leaky bucket size 60"})
    begun = harness.time.now
    report = harness.ask(LIMITS.model_copy(update={"wait_seconds_per_run": 100}))
    assert harness.time.now - begun <= 100
    assert (report.look_ups, report.waiting) == (0, len(CODES))
    assert "wait_seconds_per_run" in str(report.problem)
    harness.odd.clear()
    harness.time.now += 3_600
    assert harness.ask(now=NOW + timedelta(hours=1)).look_ups == len(CODES)


def test_an_answer_that_spoils_a_transaction_is_noted_alone_and_the_others_land(
    harness: PartnerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code in CODES[:3]:
        harness.silent(code)
        harness.units[code] = [unit(sku=code)]
    real = PartnerHarness.land

    def chokes(self: PartnerHarness, connection: Connection, bodies: Sequence[Body], *rest: Any) -> list[BodyReport]:
        if any(CODES[1].encode() in body.data for body in bodies):
            raise ZeroDivisionError("too odd")
        return real(self, connection, bodies, *rest)

    monkeypatch.setattr(PartnerHarness, "land", chokes)
    report = harness.ask()
    assert (report.look_ups, report.rows_landed, report.odd_answers, report.problem) == (3, 2, 1, None)
    assert harness.rows("select value, problem from landing.partner_answers where problem is not null") == [
        (CODES[1], "cannot be landed: too odd")
    ]
    assert harness.rows("select reason from quarantine.rejected_rows") == [("cannot be landed: too odd",)]


def test_what_an_answer_has_to_be_about_is_told_with_it(harness: PartnerHarness) -> None:
    harness.silent(CODES[0], order="1001")
    harness.units[CODES[0]] = [unit()]
    harness.ask()
    (body,) = harness.landed
    assert body.asked == Asked(
        RETAILER, express_code=CODES[0], returns=frozenset({f"RT-{CODES[0]}"}), orders=frozenset({"1001"})
    )
