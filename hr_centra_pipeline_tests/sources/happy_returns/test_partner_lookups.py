"""Which returns, orders and shipments are due to be asked about: rows in, rows out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hr_centra_pipeline.core.policy import PartnerApi
from hr_centra_pipeline.sources.happy_returns.partner_asking import LookUp, due
from hr_centra_pipeline_tests.rows import NOW, Rows, rows_of

LIMITS = PartnerApi()
CODE = "HRVPBGPR"


@pytest.fixture
def rows() -> Iterator[Rows]:
    with rows_of("sources/happy_returns/partner_lookups.sql") as these:
        yield these


def ago(**since: float) -> datetime:
    return NOW - timedelta(**since)


def asked(rows: Rows, limits: PartnerApi = LIMITS, **window: Any) -> list[LookUp]:
    return due(rows.connection, limits, NOW, window.get("window"))


def reasons(rows: Rows, limits: PartnerApi = LIMITS) -> list[tuple[str, str, str]]:
    return [(one.criterion, one.value, one.reason) for one in asked(rows, limits)]


def put_return(rows: Rows, *, started: datetime, status: str = "started", code: str | None = CODE, **more: Any) -> None:
    rows.put(
        "staging.returns", return_id="RT-1", order_number="1001", refund_status=status, express_code=code,
        created_at=started, source_time=more.pop("told", started), **more,
    )  # fmt: skip


def put_unit(
    rows: Rows, *, started: datetime, events: dict[str, datetime] | None = None, unit: str = "IT-1", code: str | None = CODE,
    **more: Any,
) -> None:  # fmt: skip
    more = {"return_status": "started", "dropoff_method": "return-bar", "source_time": started, **more}
    rows.put(
        "staging.return_items", return_item_id=unit, return_id="RT-1", order_number="1001", express_code=code,
        return_created_at=started, **more,
    )  # fmt: skip
    for event, happened_at in (events or {}).items():
        rows.put(
            "staging.return_item_events", return_item_id=unit, return_id="RT-1", event=event, happened_at=happened_at,
            is_physical=event not in ("started", "approved"),
        )  # fmt: skip


def put_answer(
    rows: Rows, at: datetime, *, criterion: str = "happyReturnsExpressCode", value: str = CODE, **more: Any
) -> None:
    given = {
        "http_status": 204, "bytes": 0, "rows_read": 0, "rows_landed": 0, "rows_rejected": 0, "rows_repeated": 0,
        "is_last": True, "has_next": False, "page": 1, "batch": 1, "reason": "silent_return", **more,
    }  # fmt: skip
    rows.put("landing.partner_answers", answer_id=f"{at:%d%H}", criterion=criterion, value=value, asked_at=at, **given)


# ---------------------------------------------------------------- silent returns


def test_a_return_that_was_started_and_never_handed_in_is_due_after_the_hours_of_the_policy(rows: Rows) -> None:
    put_return(rows, started=ago(hours=73))
    put_unit(rows, started=ago(hours=73))
    assert asked(rows) == [LookUp("happyReturnsExpressCode", CODE, "silent_return", ago(hours=1))]


def test_a_return_that_was_started_yesterday_is_not_due(rows: Rows) -> None:
    put_return(rows, started=ago(hours=71))
    put_unit(rows, started=ago(hours=71))
    assert asked(rows) == []


def test_without_an_express_code_a_return_is_asked_by_its_order(rows: Rows) -> None:
    put_return(rows, started=ago(days=4), code=None)
    put_unit(rows, started=ago(days=4), code=None)
    assert reasons(rows) == [("orderNumber", "1001", "silent_return")]


def test_the_express_code_of_the_return_does_for_its_units(rows: Rows) -> None:
    put_return(rows, started=ago(days=4))
    put_unit(rows, started=ago(days=4), code=None)
    assert reasons(rows) == [("happyReturnsExpressCode", CODE, "silent_return")]


def test_units_of_one_return_are_asked_about_once(rows: Rows) -> None:
    put_return(rows, started=ago(days=5))
    for unit in ("IT-1", "IT-2", "IT-3"):
        put_unit(rows, started=ago(days=5), unit=unit)
    assert len(asked(rows)) == 1


def test_goods_on_their_way_are_due_when_they_take_longer_than_is_usual_for_their_stage(rows: Rows) -> None:
    put_return(rows, started=ago(days=5), status="dropped-off")
    put_unit(
        rows, started=ago(days=5), received_at=ago(days=3), approved_at=ago(days=3),
        events={"received": ago(days=3), "approved": ago(days=3)},
    )  # fmt: skip
    assert asked(rows) == []  # 18 days, as the kind says, as long as nothing was learned
    rows.put(
        "reconciliation.lateness", stage="received", dropoff_method="return-bar", units=300, weeks=10, p50_hours=30,
        p95_hours=40, policy_hours=432, is_learned=True, window_hours=60,
    )  # fmt: skip
    assert asked(rows) == [LookUp("happyReturnsExpressCode", CODE, "silent_return", ago(hours=12))]


def test_a_unit_that_nobody_approves_is_due_after_the_days_of_the_policy(rows: Rows) -> None:
    put_return(rows, started=ago(days=12), status="dropped-off")
    put_unit(
        rows, started=ago(days=12), dropoff_method="mail", received_at=ago(days=8), disposition="sellable",
        events={"received": ago(days=8), "graded": ago(days=8)},
    )  # fmt: skip
    assert asked(rows) == [LookUp("happyReturnsExpressCode", CODE, "silent_return", ago(days=1))]


@pytest.mark.parametrize(
    "over",
    [
        {"return_status": "expired"},
        {"return_status": "failed"},
        {"approval_withdrawn_at": NOW - timedelta(days=9)},
        {"disposition": "wrong-item", "approved_at": None},
        {"disposition": "sellable", "approved_at": NOW - timedelta(days=9)},
        {"dropoff_method": "returnless", "approved_at": NOW - timedelta(days=9)},
    ],
)
def test_what_is_over_is_not_asked_about(rows: Rows, over: dict[str, Any]) -> None:
    put_return(rows, started=ago(days=30))
    put_unit(rows, started=ago(days=30), **over)
    assert asked(rows) == []


def test_what_has_been_silent_for_longer_than_the_look_back_is_given_up(rows: Rows) -> None:
    put_return(rows, started=ago(days=70))
    put_unit(rows, started=ago(days=70))
    assert asked(rows) == []


# ---------------------------------------------------------------- again, and at most so often


@pytest.mark.parametrize(
    ("hours_ago", "is_due"),
    [([23], False), ([25], True), ([47, 23], False), ([80, 47], False), ([80, 49], True), ([90, 80, 95], False)],
)
def test_a_look_up_is_repeated_after_a_day_then_after_two_then_after_four(
    rows: Rows, hours_ago: list[int], is_due: bool
) -> None:
    put_return(rows, started=ago(days=10))
    put_unit(rows, started=ago(days=10))
    for hours in hours_ago:
        put_answer(rows, ago(hours=hours))
    assert bool(asked(rows)) == is_due


def test_a_look_up_is_made_at_most_so_often(rows: Rows) -> None:
    put_return(rows, started=ago(days=50))
    put_unit(rows, started=ago(days=50))
    for days in (45, 44, 42, 40, 39):
        put_answer(rows, ago(days=days))
    assert len(asked(rows)) == 1
    put_answer(rows, ago(days=38))
    assert asked(rows) == []


def test_after_news_a_return_is_asked_about_anew(rows: Rows) -> None:
    put_return(rows, started=ago(days=50), status="dropped-off")
    put_unit(
        rows,
        started=ago(days=50),
        received_at=ago(days=20),
        approved_at=ago(days=20),
        events={"received": ago(days=20)},
    )
    for days in range(40, 30, -1):
        put_answer(rows, ago(days=days))
    assert len(asked(rows)) == 1


@pytest.mark.parametrize(
    ("answer", "is_due"),
    [
        ({"http_status": 200, "is_last": False, "has_next": True}, True),
        ({"http_status": 500, "problem": "it answered 500", "is_last": False}, False),
        ({"http_status": None, "problem": "the connection broke", "is_last": False}, False),
        ({"http_status": 200, "problem": "not JSON", "is_last": False}, False),
    ],
)
def test_what_was_cut_short_was_not_asked_and_what_broke_was(rows: Rows, answer: dict[str, Any], is_due: bool) -> None:
    put_return(rows, started=ago(days=10))
    put_unit(rows, started=ago(days=10))
    put_answer(rows, ago(hours=1), **answer)
    assert bool(asked(rows)) == is_due


def test_an_order_number_in_two_ways_at_one_time_was_asked_once(rows: Rows) -> None:
    put_return(rows, started=ago(days=10), code=None)
    put_unit(rows, started=ago(days=10), code=None)
    for _ in range(6):
        put_answer(rows, ago(hours=25), criterion="orderNumber", value="1001")
    assert len(asked(rows)) == 1


# ---------------------------------------------------------------- what only Centra knows


def put_centra_return(rows: Rows, **more: Any) -> None:
    rows.put(
        "staging.centra_returns", **{"centra_return_id": 7, "order_number": "2002", "created_at": ago(days=2), **more}
    )


def test_an_external_return_on_an_order_that_no_feed_knows_is_asked_by_its_order(rows: Rows) -> None:
    put_centra_return(rows)
    assert asked(rows) == [LookUp("orderNumber", "2002", "unknown_in_feeds", ago(days=2))]


def test_an_express_code_in_its_comment_is_what_it_is_asked_by(rows: Rows) -> None:
    put_centra_return(rows, express_codes=["HRGDRQP5"])
    assert reasons(rows) == [("happyReturnsExpressCode", "HRGDRQP5", "unknown_in_feeds")]


@pytest.mark.parametrize(("units", "is_due"), [(1, False), (2, True)])
def test_an_external_return_of_more_units_than_the_feeds_know_of_its_order_is_asked_about(
    rows: Rows, units: int, is_due: bool
) -> None:
    put_return(rows, started=ago(hours=1))
    put_unit(rows, started=ago(hours=1))
    put_centra_return(rows, order_number="1001")
    rows.put("staging.centra_return_lines", centra_return_id=7, order_number="1001", quantity=units)
    assert reasons(rows) == [("orderNumber", "1001", "unknown_in_feeds")] * is_due


@pytest.mark.parametrize(
    "more",
    [
        {"packet_key": "PKABCDEFGHIJKLM"},
        {"effect_keys": ["HRABCDEFGHIJKLM"]},
        {"deleted_at": NOW - timedelta(days=1)},
        {"order_number": "1001"},
        {"express_codes": [CODE]},
        {"created_at": NOW - timedelta(days=61)},
    ],
)
def test_our_own_known_deleted_and_old_returns_are_not_asked_about(rows: Rows, more: dict[str, Any]) -> None:
    put_return(rows, started=ago(hours=1))
    put_unit(rows, started=ago(hours=1))
    put_centra_return(rows, **more)
    assert asked(rows) == []


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (["HRGDRQP5"], [("happyReturnsExpressCode", "HRGDRQP5", "unknown_in_feeds")]),
        (["3003"], [("orderNumber", "3003", "unknown_in_feeds")]),
        (["4004"], []),  # no order of this shop
        ([CODE, "1001"], []),
        ([], []),
    ],
)
def test_a_stock_change_that_is_called_a_customer_return_names_what_to_ask(
    rows: Rows, named: list[str], expected: list[tuple[str, str, str]]
) -> None:
    put_return(rows, started=ago(hours=1))
    put_unit(rows, started=ago(hours=1))
    rows.put("staging.orders", order_number="3003")
    rows.put(
        "staging.stock_changes", stock_change_line_id=1, stock_change_id=1, created_at=ago(days=1),
        is_customer_return=True, named=named,
    )  # fmt: skip
    assert reasons(rows) == expected


# ---------------------------------------------------------------- what a feed knows in part


def test_units_without_their_return_are_due_a_day_later(rows: Rows) -> None:
    put_unit(rows, started=ago(hours=25))
    assert reasons(rows) == [("happyReturnsExpressCode", CODE, "return_not_reported")]
    assert asked(rows)[0].since == ago(hours=1)


def test_units_that_came_within_the_day_may_still_be_followed_by_their_return(rows: Rows) -> None:
    put_unit(rows, started=ago(hours=23))
    assert asked(rows) == []


def test_a_return_without_units_is_due(rows: Rows) -> None:
    put_return(rows, started=ago(days=2))
    assert reasons(rows) == [("happyReturnsExpressCode", CODE, "units_not_reported")]


def test_an_expired_return_without_units_is_not(rows: Rows) -> None:
    put_return(rows, started=ago(days=2), status="expired")
    assert asked(rows) == []


def test_a_parcel_with_a_unit_that_nobody_reported_is_due(rows: Rows) -> None:
    rows.put(
        "staging.return_shipments", shipment_id="45678", return_item_id="IT-9", express_code="HRGDRQP5",
        order_number="5005", source_time=ago(days=2),
    )  # fmt: skip
    assert reasons(rows) == [("happyReturnsExpressCode", "HRGDRQP5", "unit_not_reported")]


# ---------------------------------------------------------------- outbound shipments


def put_shipment(rows: Rows, listed: datetime, content: str = "a") -> None:
    rows.put("landing.partner_shipments", shipment_id="45678", content_sha256=content, listed_at=listed, batch=1)


def read(rows: Rows, at: datetime, landed: int) -> None:
    put_answer(rows, at, criterion="shipment", value="45678", http_status=200, rows_landed=landed)


def test_a_shipment_that_was_listed_is_read(rows: Rows) -> None:
    put_shipment(rows, ago(hours=2))
    assert asked(rows) == [LookUp("shipment", "45678", "shipment_contents", ago(hours=2))]


def test_it_is_read_once_more_a_day_later_and_left_when_nothing_is_new(rows: Rows) -> None:
    put_shipment(rows, ago(days=6))
    read(rows, ago(days=5), 20)
    assert len(asked(rows)) == 1
    read(rows, ago(days=3), 0)
    assert asked(rows) == []


def test_it_is_read_again_as_long_as_it_grows(rows: Rows) -> None:
    put_shipment(rows, ago(days=6))
    read(rows, ago(days=5), 20)
    read(rows, ago(days=3), 4)
    assert len(asked(rows)) == 1


def test_it_is_not_read_twice_within_a_day(rows: Rows) -> None:
    put_shipment(rows, ago(days=6))
    read(rows, ago(hours=5), 20)
    assert asked(rows) == []


def test_it_is_read_again_when_the_list_shows_another_state(rows: Rows) -> None:
    put_shipment(rows, ago(days=9))
    read(rows, ago(days=8), 20)
    read(rows, ago(days=5), 0)
    put_shipment(rows, ago(days=1), "b")
    assert len(asked(rows)) == 1


# ---------------------------------------------------------------- a backfill, and the order


def test_a_backfill_asks_about_what_is_open_of_its_days_however_short_it_was_silent(rows: Rows) -> None:
    put_return(rows, started=ago(hours=30))
    put_unit(rows, started=ago(hours=30))
    window = (ago(days=2), NOW)
    assert [one.reason for one in asked(rows, window=window)] == ["silent_return"]
    assert asked(rows, window=(ago(days=9), ago(days=2))) == []


def test_a_backfill_asks_about_orders_of_its_days_that_only_centra_shows_as_returned(rows: Rows) -> None:
    rows.put("staging.orders", order_number="2002", created_at=datetime(2026, 3, 5, tzinfo=UTC))
    put_centra_return(rows, created_at=datetime(2026, 4, 1, tzinfo=UTC))
    march = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    assert [(one.value, one.reason) for one in asked(rows, window=march)] == [("2002", "unknown_in_feeds")]
    assert asked(rows, window=(datetime(2026, 5, 1, tzinfo=UTC), NOW)) == []
    assert asked(rows) == []


def test_the_oldest_need_comes_first(rows: Rows) -> None:
    put_shipment(rows, ago(hours=2))
    put_centra_return(rows, created_at=ago(days=3))
    put_return(rows, started=ago(days=5))
    put_unit(rows, started=ago(days=5))
    assert [one.value for one in asked(rows)] == ["2002", CODE, "45678"]
