"""Webhook deliveries in the landing tables: what they say, what is set aside by name, and that twice changes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from hr_centra_pipeline.core.errors import ConfigurationError, Unreachable
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline.sources.centra import belonging
from hr_centra_pipeline.sources.happy_returns import event_intake, event_landing, row_landing
from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles
from hr_centra_pipeline.warehouse import place
from hr_centra_pipeline.warehouse.database import Warehouse, run_sql
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY
from hr_centra_pipeline_tests.sources.happy_returns.conftest import ITEM, NOW, RETURN, Harness, new_harness
from hr_centra_pipeline_tests.sources.happy_returns.events import LABEL, METHOD, OUTBOUND, STARTED, UNIT, Events, status

_AT = NOW - timedelta(hours=1)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    warehouse = new_harness(tmp_path_factory.mktemp("empty")).warehouse
    warehouse.fold_log_in()
    return warehouse.path


@pytest.fixture
def events(tmp_path: Path, empty: Path) -> Iterator[Events]:
    (tmp_path / "exports").mkdir()
    harness = Harness(
        tmp_path / "exports", Warehouse(tmp_path / "warehouse.duckdb"), load_profiles(tmp_path / "profiles")
    )
    shutil.copyfile(empty, harness.warehouse.path)
    with harness.warehouse.kept_open():
        yield Events(harness, Inbox.open(str(tmp_path / "inbox.sqlite")), tmp_path)


def test_an_event_becomes_a_row_per_return_and_a_row_per_unit(events: Events) -> None:
    second = UNIT | {"happyReturnsItemID": "IT-2", "orderLineItemID": "78-0-1"}
    report = events.stage(status("started", UNIT, second))
    assert (report.deliveries, report.rows_read, report.rows_landed) == (1, 3, 3)
    ((delivery_id,),) = events.harness.rows("select delivery_id from landing.events")
    assert events.ids == [delivery_id]
    assert events.harness.rows(
        "select return_id, order_number, refund_status, created_at, retailer_id, feeds, source_file, source_line"
        " from staging.returns"
    ) == [
        ("RT-1", "1001", "started", datetime(2026, 9, 19, 8, tzinfo=UTC), "shop", "events", f"event {delivery_id}", 1)
    ]
    assert events.harness.rows(
        "select return_item_id, base_line_item_id, refund_type, feeds, source_line from staging.return_items order by 1"
    ) == [("IT-1", "77", "refund", "events", 1), ("IT-2", "78", "refund", "events", 2)]


def test_the_address_of_a_shopper_is_in_one_table_only(events: Events) -> None:
    events.stage(STARTED, b'{"email": "shopper@example.com"', status("strange"))
    assert events.harness.rows("select value from landing.personal") == [("shopper@example.com",)]
    tables = events.harness.rows(
        "select schema_name || '.' || table_name from duckdb_tables() where table_name <> 'personal'"
    )
    for (table,) in tables:
        texts = json.dumps([[str(value) for value in row] for row in events.harness.rows(f"from {table}")])
        assert "shopper@" not in texts, table


@pytest.mark.parametrize("is_primary", [True, False])
def test_the_status_counts_wherever_its_event_is_and_so_does_the_newest_method(
    events: Events, is_primary: bool
) -> None:
    of_status = {"event": "return_status_updated", "typeID": "started"}
    newest = {"event": "return_dropoff_method_created", "typeID": "mail"}
    older = {"event": "return_dropoff_method_created", "typeID": "return-bar"}
    order = [of_status, newest, older] if is_primary else [newest, of_status, older]
    events.stage({**STARTED, **order[0], "otherEvents": order[1:]})
    assert events.harness.rows("select refund_status, dropoff_method from staging.returns") == [("started", "mail")]
    assert events.harness.rows("select dropoff_method from staging.return_items") == [("mail",)]


def test_of_a_return_with_a_method_event_alone_we_know_that_it_was_started(events: Events) -> None:
    events.stage(METHOD)
    assert events.harness.rows("select refund_status, dropoff_method from staging.returns") == [("started", "mail")]


def test_the_status_of_a_return_never_falls_by_an_event_but_by_a_file(events: Events) -> None:
    approved = UNIT | {"approvedAt": "2026-09-21T08:00:00Z"}
    events.stage(status("approved", approved), status("dropped-off", UNIT | {"droppedOffAt": "2026-09-22T08:00:00Z"}))
    assert events.harness.rows("select refund_status from staging.returns") == [("approved",)]
    row = RETURN | {"refund_status": "dropped-off", "updated_at": "2026-09-23T08:00:00Z"}
    events.harness.stage("returns", row)
    assert events.harness.rows("select refund_status, feeds from staging.returns") == [("dropped-off", "events files")]


def test_what_an_event_leaves_out_stays_as_it_was_and_a_file_is_whole(events: Events) -> None:
    row = ITEM | {"bag_barcode": "BAG", "disposition": "sellable", "approved_at": "2026-09-20T08:00:00Z"}
    events.harness.stage("items", row)
    later = {"receivedAt": "2026-09-21T08:00:00Z", "sku": None, "upc": "", "refundType": None}
    events.stage(status("dropped-off", UNIT | later))
    facts = "bag_barcode, disposition, approved_at is not null, received_at is not null, sku, feeds"
    query = f"select {facts} from staging.return_items"
    assert events.harness.rows(query) == [("BAG", "sellable", True, True, "SKU-1", "events files")]
    events.harness.stage("items", ITEM | {"updated_at": "2026-09-22T08:00:00Z"})
    assert events.harness.rows(query) == [(None, None, False, False, "SKU-1", "events files")]
    assert events.harness.rows("select approval_withdrawn_at from staging.return_items") == [
        (datetime(2026, 9, 22, 8, tzinfo=UTC),)
    ]


@pytest.mark.parametrize(
    ("told", "from_when"),
    [
        ({"updatedAt": "2026-09-25T08:00:00Z", "receivedAt": "2026-09-21T08:00:00Z"}, "2026-09-25T08:00:00Z"),
        ({"receivedAt": "2026-09-21T08:00:00Z", "approvedDate": "2026-09-22T08:00:00+02:00"}, "2026-09-22T06:00:00Z"),
        ({}, "2026-09-19T08:00:00Z"),  # when the return was started
        ({"startedAt": None}, None),  # nothing but the purchase: when it was delivered
        ({"approvedAt": "2026-09-30T20:00:00Z"}, None),  # our clocks differ: it has happened by then
    ],
)
def test_a_state_is_from_when_it_was_updated_else_from_the_latest_that_it_reports(
    events: Events, told: dict[str, Any], from_when: str | None
) -> None:
    events.stage(status("started", UNIT | told))
    expected = datetime.fromisoformat(from_when) if from_when else _AT + timedelta(seconds=1)
    assert events.harness.rows("select source_time from staging.return_items") == [(expected,)]


def test_an_approval_without_its_time_is_from_when_it_was_delivered_and_dates_units_only_where_the_profile_says_so(
    events: Events,
) -> None:
    events.stage(status("approved"))
    assert events.harness.rows("select refund_status, source_time from staging.returns") == [
        ("approved", _AT + timedelta(seconds=1))
    ]
    assert events.harness.rows("select approved_at from staging.return_items") == [(None,)]
    events.own_profile(("[return.sets]", '[return.sets]\napproved = ["approved_at"]'))
    events.stage(status("approved", UNIT | {"happyReturnsItemID": "IT-2", "orderLineItemID": "78-0-1"}))
    assert events.harness.rows("select approved_at from staging.return_items where item_id = 'IT-2'") == [
        (_AT + timedelta(seconds=2),)
    ]


def test_the_same_bytes_again_point_to_the_first_delivery(events: Events) -> None:
    events.post(STARTED, STARTED)
    report = events.take()
    events.post(STARTED)
    report = events.take()
    assert (report.deliveries, report.repeated, report.rows_read) == (1, 1, 0)
    first, *others = events.ids
    assert events.harness.rows(
        "select delivery_id, repeats from landing.events where repeats is not null order by 1"
    ) == [(one, first) for one in sorted(others)]
    assert events.harness.rows("select count(*) from landing.happy_returns_rows") == [(2,)]


def test_another_body_that_says_the_same_lands_no_rows(events: Events) -> None:
    events.post(STARTED)
    events.take()
    events.post(STARTED | {"sentTwice": True})
    report = events.take()
    assert (report.repeated, report.rows_read, report.rows_repeated) == (0, 2, 2)


def test_rows_of_events_are_compared_with_rows_of_events_alone(events: Events) -> None:
    a, b = ({"bag_barcode": bag} for bag in ("A", "B"))
    events.harness.stage("items", ITEM | a | {"updated_at": "2026-09-21T08:00:00Z"})
    events.stage(status("started", UNIT | {"returnBagBarcode": "B", "updatedAt": "2026-09-22T08:00:00Z"}))
    # The same row again is no news of the files; it was before the event, too.
    events.harness.csv("items", ITEM | a | {"updated_at": "2026-09-21T08:00:00Z"}, ITEM | b | {"item_id": "IT-9"})
    assert events.harness.ingest().rows_repeated == 1


_REFUSED: list[tuple[Any, str, str]] = [
    (b"\xff\xfe", "not_utf8", "is not UTF-8"),
    (b'{"event": ', "not_json", "is not JSON"),
    (b'{"event": NaN}', "not_json", "is not JSON"),
    (b"[" * 1_000_000, "too_deep", "is nested deeper than 100 levels"),
    (b'{"a":' * 500 + b"1" + b"}" * 500, "too_deep", "is nested deeper than 100 levels"),
    (b'"text"', "wrong_type", "is neither an object nor a list"),
    (b"17", "wrong_type", "is neither an object nor a list"),
    ({"event": "return_status_updated", "typeID": "started"}, "no_items", "holds no units (items)"),
    (STARTED | {"items": []}, "no_items", "holds no units (items)"),
    (STARTED | {"items": {"a": 1}}, "wrong_type", "its units are not a list (items)"),
    (STARTED | {"event": "nps_sent"}, "unknown_event", "is an event that the profile does not know: nps_sent"),
    ({"hello": "world"}, "unknown_event", "names no event, and holds no units"),
    (STARTED | {"items": [UNIT] * 10_001}, "too_many_items", "holds more than 10,000 units"),
    (b'{"event": "return_status_updated", "Event": "other"}', "wrong_type", "names event twice, with two values"),
]


def test_a_body_that_cannot_be_used_is_refused_by_name_and_kept(events: Events) -> None:
    events.post(STARTED)
    ids = events.post(*(body for body, _, _ in _REFUSED))
    report = events.take()
    assert (report.deliveries, report.refused, report.rows_landed) == (1 + len(ids), len(ids), 2)
    for delivery_id, (_, code, named) in zip(ids, _REFUSED, strict=True):
        ((problem, found),) = events.harness.rows(
            "select problem, problem_code from landing.events where delivery_id = ?", delivery_id
        )
        assert (problem.startswith(named), found) == (True, code), problem
        assert events.harness.rows(
            "select source_line, reason from quarantine.rejected_rows where source_file = ?", f"event {delivery_id}"
        ) == [(None, problem)]
        kept = events.inbox.find(delivery_id)
        assert kept is not None
        assert kept.landed_at is not None


_SET_ASIDE: list[tuple[dict[str, Any], str | None, str]] = [
        ({"approvedAt": "yesterday"}, "approved_at", "is not a time: yesterday"),
        ({"approvedAt": 12}, "approved_at", "is not a time: 12"),
        ({"approvedAt": "2026-10-30T08:00:00Z"}, "approved_at", "is in the future: 2026-10-30T08:00:00Z"),
        ({"happyReturnsReturnID": None}, "return_id", "is missing"),
        ({"orderNumber": ""}, "order_number", "is missing"),
        ({"refundType": "voucher"}, "refund_type", "is none of refund, gift-card, exchange: voucher"),
        ({"refundType": None}, "refund_type", "is missing, and no feed knows the unit yet"),
        ({"sku": {"a": 1}}, "sku", 'is a list or an object: {"a": "1"}'),
        ({"sku": "A", "SKU": "B"}, "sku", "is there twice, with two values: sku"),
        ({"sku": "A\nB"}, "sku", "holds a control character"),
    ({"sku": "A\0B"}, "sku", "holds a control character"),
    ({"sku": "\ud800"}, None, "holds half a character (a lone surrogate)"),
        ({"sku": "S" * 201}, "sku", f"is longer than 200 characters: {'S' * 60}"),
        ({"happyReturnsItemID": None, "orderLineItemID": None, "sku": None}, "item_id",
         "is missing, its line id has no unit offset, and the file does not hold the whole return"),
    ]  # fmt: skip


def test_a_unit_that_cannot_be_read_is_set_aside_by_name_and_the_others_land(events: Events) -> None:
    good = UNIT | {"happyReturnsItemID": "IT-2", "orderLineItemID": "78-0-1"}
    ids = events.post(*(status("started", UNIT | change, good) for change, _, _ in _SET_ASIDE))
    events.take()
    for delivery_id, (_, column, reason) in zip(ids, _SET_ASIDE, strict=True):
        assert events.harness.rows(
            "select source_line, column_name, reason from quarantine.rejected_rows where source_file = ? and kind = 'items'",
            f"event {delivery_id}",
        ) == [(1, column, reason)]
    assert events.harness.rows("select distinct return_item_id from landing.happy_returns_items") == [("IT-2",)]


def test_texts_are_cleaned_as_those_of_files_are(events: Events) -> None:
    events.stage(status("started", UNIT | {"sku": " \u00c9\u200bCLAIR\u00a0", "upc": " ", "productName": "Two\nlines"}))
    assert events.harness.rows("select sku, upc, product_name from staging.return_items") == [
        ("\u00c9CLAIR", None, "Two\nlines")
    ]


def test_an_item_that_is_not_an_object_and_an_unknown_merged_event_are_set_aside(events: Events) -> None:
    events.stage(status("started", UNIT, 7, otherEvents=[{"event": "photo_added"}, 3]))  # type: ignore[arg-type]
    assert events.rejected() == [
        ("items", 0, "otherEvents", "is an event that the profile does not know: photo_added"),
        ("items", 0, "otherEvents", "names no event"),
        ("items", 2, None, "is not a JSON object"),
    ]
    assert events.harness.rows("select count(*) from staging.return_items") == [(1,)]


def test_an_unknown_status_is_set_aside_its_units_land_and_a_profile_that_knows_it_brings_it_in(events: Events) -> None:
    received = UNIT | {"receivedAt": "2026-09-21T08:00:00Z"}
    events.stage(status("handed-over", received))
    ((_, _, column, reason),) = events.rejected()
    assert (column, reason.split(": ")[-1]) == ("refund_status", "handed-over")
    assert events.harness.rows("select received_at is not null, return_status from staging.return_items") == [
        (True, None)
    ]
    events.own_profile(("[words.refund_status]", '[words.refund_status]\n"handed-over" = "dropped-off"'))
    report = events.take()
    events.harness.refresh()
    assert (report.deliveries, report.rows_landed, report.rows_rejected) == (1, 2, 0)
    assert events.rejected() == []
    assert events.harness.rows("select refund_status from staging.returns") == [("dropped-off",)]
    assert events.harness.rows("select count(*) from landing.happy_returns_items") == [(1,)]


def test_a_corrected_word_corrects_what_was_landed(events: Events) -> None:
    events.stage(status("started", UNIT | {"disposition": "ok"}))
    events.own_profile(("[words.refund_type]", '[words.disposition]\nok = "sellable"\n[words.refund_type]'))
    events.take()
    events.harness.refresh()
    assert events.harness.rows("select disposition from staging.return_items") == [("sellable",)]


def test_a_unit_of_which_too_little_was_said_is_read_again_once_a_file_knows_it(events: Events) -> None:
    little = UNIT | {"refundType": None, "receivedAt": "2026-09-21T08:00:00Z"}
    events.stage(status("started", little))
    assert events.harness.rows("select waits_for from landing.events") == [(["IT-1"],)]
    assert events.harness.rows("select count(*) from staging.return_items") == [(0,)]
    events.take()  # nobody knows more
    events.harness.stage("items", ITEM)
    assert events.take().rows_landed == 2
    events.harness.refresh()
    assert events.harness.rows("select received_at is not null, feeds from staging.return_items") == [
        (True, "events files")
    ]
    assert events.rejected() == []
    assert events.take().deliveries == 0


def test_units_without_ids_are_those_of_their_line_whatever_comes_together(events: Events) -> None:
    nameless = {name: value for name, value in UNIT.items() if name != "happyReturnsItemID"}
    units = [nameless | {"orderLineItemID": f"77-{place}-2"} for place in (0, 1)]
    events.stage(
        status("started", *units), status("approved", units[0] | {"approvedAt": "2026-09-21T08:00:00Z"}),
        status("approved", units[1] | {"approvedAt": "2026-09-22T08:00:00Z"}),
    )  # fmt: skip
    assert events.harness.rows("select unit_offset, day(approved_at) from staging.return_items order by 1") == [
        (0, 21),
        (1, 22),
    ]
    # The id that turns up later is an alias.
    events.stage(status("started", units[0] | {"happyReturnsItemID": "IT-1", "updatedAt": "2026-09-23T08:00:00Z"}))
    assert events.harness.rows("select count(*), count(item_id) from staging.return_items") == [(2, 1)]


def test_another_retailers_delivery_is_refused_until_it_is_accepted(events: Events) -> None:
    events.stage(STARTED, STARTED | {"retailerID": "other", "items": [UNIT | {"happyReturnsItemID": "IT-2"}]})
    ((_, _, column, reason),) = events.rejected()
    assert (column, "of another retailer than this database (shop): other" in reason) == ("retailer_id", True)
    assert events.harness.rows("select return_item_id from staging.return_items") == [("IT-1",)]
    with events.harness.warehouse.transaction() as connection:
        belonging.accept_retailer(connection, "other", by="ada", recorded_by="ada", why="ours, too")
    events.take()
    events.harness.refresh()
    assert events.harness.rows("select return_item_id from staging.return_items order by 1") == [("IT-1",), ("IT-2",)]
    assert events.rejected() == []


def test_a_bag_may_come_before_its_return(events: Events) -> None:
    events.stage(LABEL)
    assert events.harness.rows("select return_id, bag_barcode, express_code from staging.return_bags") == [
        ("RT-1", "BAG-1", "HRAAAAAA")
    ]
    assert events.harness.rows("select count(*) from staging.returns") == [(0,)]


def test_outbound_shipments_come_in_two_forms(events: Events) -> None:
    events.stage([OUTBOUND, OUTBOUND | {"happyReturnsItemID": "IT-2"}])
    second = {"shipmentID": "45678", "departureDate": "2026-09-24T08:00:00Z"}
    units = [{"happyReturnsItemID": "IT-3", "returnBagBarcodes": ["BAG-1", "BAG-2"], "happyReturnsReturnID": "RT-1"}]
    events.stage(
        second | {"webhookType": "outbound_shipment.asn", "event": "outbound_shipment_created", "items": units}
    )
    assert events.harness.rows(
        "select shipment_id, return_item_id, departed_at, source_time from staging.return_shipments order by all"
    ) == [
        ("45678", "IT-3", *[datetime(2026, 9, 24, 8, tzinfo=UTC)] * 2),
        ("SB-1", "IT-1", *[datetime(2026, 9, 23, 8, tzinfo=UTC)] * 2),
        ("SB-1", "IT-2", *[datetime(2026, 9, 23, 8, tzinfo=UTC)] * 2),
    ]


def test_a_notice_without_the_shipments_id_is_about_the_one_with_its_tracking_number(events: Events) -> None:
    named = {"shipmentID": "45678", "tracking": "1Z1", "items": [{"happyReturnsItemID": "IT-1"}]}
    events.stage([OUTBOUND], named | {"webhookType": "outbound_shipment.asn", "departureDate": "2026-09-23T08:00:00Z"})
    assert events.harness.rows("select shipment_id, carrier from staging.return_shipments") == [("45678", "ups")]


def test_an_answer_of_the_api_holds_several_returns_and_names_no_event(events: Events) -> None:
    other = UNIT | {"happyReturnsReturnID": "RT-2", "happyReturnsItemID": "IT-2", "orderLineItemID": "78-0-1"}
    report = events.answer({"items": [UNIT | {"receivedAt": "2026-09-21T08:00:00Z"}, other], "cursor": "next"})
    events.harness.refresh()
    assert (report.rows_read, report.rows_landed) == (4, 4)
    assert events.harness.rows("select return_id, refund_status, feeds from staging.returns order by 1") == [
        ("RT-1", "started", "api"),
        ("RT-2", "started", "api"),
    ]
    assert events.harness.rows("select count(*) from landing.events") == [(0,)]


def _newest_reports(events: Events) -> list[tuple[Any, ...]]:
    """In which batch Happy Returns last said something new of each unit's credit and stock."""
    with events.harness.warehouse.transaction() as connection:
        write_policy(connection, load_policy(EXAMPLE_POLICY).policy, "live")
        connection.execute(
            """
            create or replace temp table desired_effects as
            select effect_key(effect_kind, [return_item_id]) as effect_key, effect_kind, return_item_id, return_id, order_number
            from (select distinct return_item_id, return_id, order_number from landing.happy_returns_items)
            cross join (select unnest(['credit_note', 'inventory_adjustment']) as effect_kind)
            """
        )
        run_sql(connection, "hr_centra_pipeline.push", "latest_reports.sql", {"is_asked": True})
        return connection.execute(
            "select batch from latest_reports join desired_effects using (effect_key) order by effect_kind"
        ).fetchall()


def test_a_fact_is_new_in_the_batch_that_reported_it_first_whichever_feed_that_was(events: Events) -> None:
    def newest() -> int:
        ((batch,),) = events.harness.rows("select max(batch) from landing.happy_returns_rows")
        return int(batch)

    events.harness.stage("items", ITEM)
    started = newest()
    assert _newest_reports(events) == [(started,), (started,)]
    events.stage(status("approved", UNIT | {"approvedAt": "2026-09-22T08:00:00Z", "updatedAt": "2026-09-22T08:00:00Z"}))
    approved = newest()
    assert _newest_reports(events)[0] == (approved,)
    stock = _newest_reports(events)[1]
    # A file that comes later says the same: that is no news.
    known = {
        "approved_at": "2026-09-22T08:00:00Z",
        "order_line_item_id": "77-0-1",
        "updated_at": "2026-09-22T08:00:00Z",
    }
    events.harness.stage("items", ITEM | known)
    assert newest() > approved
    assert _newest_reports(events) == [(approved,), stock]
    # The grade is new, and only the event has it.
    events.stage(status("dropped-off", UNIT | {"disposition": "damaged", "updatedAt": "2026-09-23T08:00:00Z"}))
    assert _newest_reports(events)[1] == (newest(),)


def test_a_crash_between_landing_and_marking_lands_nothing_twice(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    events.post(STARTED, status("strange"))

    def dies(*_given: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Inbox, "mark_landed", dies)
        with pytest.raises(KeyboardInterrupt):
            event_intake.take_events(events.harness.warehouse, events.inbox, events.profile, NOW)
    before = events.harness.rows("select * exclude (batch, landed_at) from landing.events order by 1")
    rows = events.harness.rows("from landing.happy_returns_rows")
    events.take()
    assert events.harness.rows("select * exclude (batch, landed_at) from landing.events order by 1") == before
    assert events.harness.rows("from landing.happy_returns_rows") == rows
    assert len(events.rejected()) == 1


def test_a_restored_or_recreated_database_takes_again_what_it_lacks(events: Events) -> None:
    events.stage(STARTED, LABEL)
    with events.harness.warehouse.transaction() as connection:
        connection.execute("delete from landing.events where message = 'return'")
        connection.execute("delete from landing.happy_returns_items")
        connection.execute("delete from landing.happy_returns_returns")
    report = events.take()
    assert (report.deliveries, report.rows_landed) == (1, 2)
    assert events.take().deliveries == 0
    with events.harness.warehouse.transaction() as connection:
        connection.execute("delete from landing.events")
    report = events.take(NOW + timedelta(days=1))
    assert (report.deliveries, report.rows_read, report.rows_repeated) == (2, 3, 3)


def test_what_an_emptied_inbox_took_since_a_backup_is_taken_again_when_the_backup_is_put_back(
    events: Events, tmp_path: Path
) -> None:
    events.stage(*(status("started", UNIT | {"happyReturnsItemID": f"IT-{one}"}) for one in range(1, 6)))
    events.inbox = Inbox.open(str(tmp_path / "second.sqlite"))
    events.post(status("started", UNIT | {"happyReturnsItemID": "IT-7"}))
    events.take()
    with events.harness.warehouse.transaction() as connection:
        connection.execute("delete from landing.events where delivery_id = ?", [events.ids[-1]])
    report = events.take()
    assert (report.deliveries, report.rows_repeated) == (1, 2)
    assert events.take().deliveries == 0


def test_a_database_that_was_turned_back_compares_all_ids(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inbox, "newest_landed", lambda _self, _vendor: [])
    events.stage(STARTED, LABEL)
    with events.harness.warehouse.transaction() as connection:
        connection.execute("delete from landing.events where message = 'return'")
    assert events.take().deliveries == 0
    with events.harness.warehouse.transaction() as connection:
        place.turn(connection, "restored")
    assert events.take().deliveries == 1


def test_a_replay_with_other_paths_brings_what_they_find(events: Events) -> None:
    events.stage(status("started", UNIT | {"seenAt": "2026-09-21T08:00:00Z"}))
    events.own_profile(('received_at = ["receivedAt"', 'received_at = ["seenAt", "receivedAt"'))
    assert events.take().deliveries == 0
    events.inbox.mark_waiting(events.ids)
    report = events.take()
    events.harness.refresh()
    assert (report.rows_read, report.rows_landed, report.rows_repeated) == (2, 2, 0)
    assert events.harness.rows("select received_at from staging.return_items") == [
        (datetime(2026, 9, 21, 8, tzinfo=UTC),)
    ]


def test_deliveries_that_the_database_chokes_on_are_found_by_halves_and_refused(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = event_landing.land_bodies

    def chokes(connection: Any, bodies: Any, *rest: Any) -> Any:
        if any(b"IT-3" in body.data for body in bodies):
            raise duckdb.InvalidInputException("Invalid Input Error: too odd\nand more")
        return real(connection, bodies, *rest)

    monkeypatch.setattr(event_intake, "land_bodies", chokes)
    events.post(*(status("started", UNIT | {"happyReturnsItemID": f"IT-{one}"}) for one in range(1, 6)))
    report = events.take()
    assert (report.deliveries, report.refused, report.rows_landed) == (5, 1, 5)
    assert events.rejected() == [(None, None, None, "cannot be landed: Invalid Input Error: too odd")]


HALF = "\ud800"


@pytest.mark.parametrize("field", ["event", "typeID", "retailerID", "webhookType"])
def test_half_a_character_in_the_envelope_refuses_its_delivery_alone(events: Events, field: str) -> None:
    report = events.stage(STARTED, {**STARTED, field: HALF})
    assert (report.deliveries, report.refused, report.rows_landed) == (2, 1, 2)
    assert "half a character" in events.rejected()[0][3]


def test_half_a_character_in_a_unit_or_another_event_is_set_aside_by_name(events: Events) -> None:
    odd_unit = UNIT | {"happyReturnsItemID": "IT-2", "sku": f"a{HALF}"}
    others = [{"event": HALF, "typeID": "mail"}, {"event": "return_status_updated", "typeID": HALF}]
    report = events.stage({**STARTED, "items": [UNIT, odd_unit], "otherEvents": others})
    assert (report.refused, report.rows_landed, report.rows_rejected) == (0, 2, 3)
    assert {reason for *_, reason in events.rejected()} == {"holds half a character (a lone surrogate)"}
    assert events.stage({**STARTED, "items": [UNIT | {"happyReturnsRetailerID": HALF}]}).refused == 1


@pytest.mark.parametrize("retailer", [True, {"id": "shop"}, ["shop"], "x" * 201, "a\x00b", HALF])
def test_a_retailer_that_is_no_name_is_refused_and_never_adopted(events: Events, retailer: Any) -> None:
    assert events.stage({**STARTED, "retailerID": retailer}).refused == 1
    assert events.answer({"items": [UNIT | {"happyReturnsRetailerID": retailer}]}).problem_code == "wrong_type"
    assert events.harness.rows("select value from meta.belongs_to where name = 'retailer'") == []


def test_whatever_a_delivery_raises_refuses_it_alone_and_it_is_tried_again_the_next_day(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = event_landing.land_bodies

    def chokes(connection: Any, bodies: Any, *rest: Any) -> Any:
        if any(b"IT-2" in body.data for body in bodies):
            raise ZeroDivisionError
        return real(connection, bodies, *rest)

    events.post(*(status("started", UNIT | {"happyReturnsItemID": f"IT-{one}"}) for one in (1, 2, 3)))
    with monkeypatch.context() as patched:
        patched.setattr(event_intake, "land_bodies", chokes)
        assert events.take().refused == 1
        assert events.rejected() == [(None, None, None, "cannot be landed: ZeroDivisionError")]
        assert events.take(NOW + timedelta(hours=1)).deliveries == 0
    report = events.take(NOW + timedelta(days=1))
    assert (report.deliveries, report.refused) == (1, 0)
    assert events.rejected() == []


@pytest.mark.parametrize(
    "error", [duckdb.IOException("IO Error: No space left on device"), duckdb.InterruptException("INTERRUPT Error"),
              duckdb.TransactionException("TransactionContext Error: conflict"), OSError("No space left"), MemoryError()],
)  # fmt: skip
def test_an_error_of_this_machine_refuses_nothing_and_the_next_look_lands(
    events: Events, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: Any) -> Any:
        raise error

    events.post(STARTED, LABEL)
    with monkeypatch.context() as patched:
        patched.setattr(event_intake, "land_bodies", fails)
        with pytest.raises(Unreachable, match="cannot be written now"):
            event_intake.take_events(events.harness.warehouse, events.inbox, events.profile, NOW)
    assert events.inbox.waiting().count == 2
    assert (events.take().refused, events.rejected()) == (0, [])


def test_a_look_ends_while_deliveries_keep_coming(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = Inbox.mark_landed

    def more_comes(inbox: Inbox, ids: Any) -> None:
        marks(inbox, ids)
        events.post(LABEL, LABEL, at=NOW - timedelta(days=1))  # by a clock that is late

    events.post(STARTED, STARTED, STARTED)
    monkeypatch.setattr(event_intake, "_AT_ONCE", 2)
    monkeypatch.setattr(Inbox, "mark_landed", more_comes)
    report = event_intake.take_events(events.harness.warehouse, events.inbox, events.profile, NOW)
    assert (report.deliveries, events.inbox.waiting().count) == (3, 4)


BY_CODE = event_landing.Asked("shop", express_code="HRAAAAAA", returns=frozenset({"RT-1"}), orders=frozenset({"1001"}))
BY_ORDER = event_landing.Asked("shop", order_numbers=("1001",))
FOREIGN = UNIT | {"happyReturnsReturnID": "RT-9", "happyReturnsItemID": "IT-9", "orderNumber": "1009"}


@pytest.mark.parametrize(
    ("asked", "unit", "is_landed"),
    [
        (BY_CODE, UNIT, True),
        (BY_CODE, UNIT | {"happyReturnsExpressCode": None}, True),  # not documented: an answer may not name it
        (BY_CODE, UNIT | {"orderNumber": "1002"}, True),  # one return may be on two orders
        (BY_CODE, UNIT | {"happyReturnsExpressCode": "HRBBBBBB"}, False),
        (BY_CODE, FOREIGN, False),  # its code is the one that was asked for, and its order another
        (BY_CODE, FOREIGN | {"happyReturnsExpressCode": None}, False),
        (event_landing.Asked("shop", express_code="HRAAAAAA"), FOREIGN, True),  # nobody knows whose code it is
        (BY_ORDER, UNIT, True),
        (BY_ORDER, UNIT | {"orderNumber": "#1001"}, True),
        (BY_ORDER, FOREIGN, False),
    ],
)
def test_an_answer_lands_what_was_asked_for_and_sets_the_rest_aside(
    events: Events, asked: event_landing.Asked, unit: dict[str, Any], is_landed: bool
) -> None:
    report = events.answer({"items": [unit]}, asked=asked)
    assert (report.rows_landed, report.rows_rejected) == ((2, 0) if is_landed else (0, 1))
    reasons = events.harness.rows("select reason from quarantine.rejected_rows")
    assert all("not of the return that was asked for" in reason for (reason,) in reasons)


def test_an_answer_of_another_retailer_than_the_configured_one_is_refused(events: Events) -> None:
    row_landing.expect_retailer(events.harness.warehouse, "shop", NOW)
    row_landing.expect_retailer(events.harness.warehouse, "later", NOW)
    assert events.harness.rows("select value from meta.belongs_to where name = 'retailer'") == [("shop",)]
    other = {"items": [UNIT | {"happyReturnsRetailerID": "other"}]}
    assert events.answer(other, asked=BY_CODE).problem_code == "other_retailer"
    assert events.stage(STARTED).refused == 0
    assert events.answer({"items": [UNIT]}, asked=event_landing.Asked("later")).problem is None
    mine = {"items": [UNIT | {"happyReturnsRetailerID": "shop"}]}
    assert events.answer(mine, asked=event_landing.Asked("later")).problem_code == "other_retailer"


def test_each_look_is_noted_and_one_that_failed_too(events: Events, tmp_path: Path) -> None:
    events.take()
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"not a database" * 100)
    with pytest.raises(Unreachable):
        event_intake.take_events(
            events.harness.warehouse, Inbox.open(str(broken)), events.profile, NOW, is_only_feed=True
        )
    assert events.harness.rows(
        "select deliveries, is_only_feed, is_complete, problem is null from landing.inbox_looks order by batch"
    ) == [(0, False, True, True), (0, True, False, False)]


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        (
            'item_id = ["happyReturnsItemID"]                   # I',
            'unit = ["a"]',
            "return.columns.items: unit: no such column",
        ),
        ('return_id = ["happyReturnsReturnID"]', "return_id = []", "return_id: must be mapped"),
        ("[return.sets]", '[return.sets]\napproved = ["sku"]', "sets.approved: sku: is not a time of a unit"),
        ('"gift_card" = "gift-card"', '"gift_card" = "voucher"', "none of"),
        ('name = "default"', 'name = "default"\nsignature = {algorithm = "md5"}', "signature.algorithm"),
        ('name = "default"', 'name = "default"\nnew = 1', "new"),
    ],
)
def test_a_mistake_in_a_profile_is_named_with_its_file(events: Events, before: str, after: str, named: str) -> None:
    events.own_profile((before, after))
    with pytest.raises(ConfigurationError, match=r"default\.toml") as caught:
        _ = events.profile
    assert named in str(caught.value)


def test_a_profile_says_only_what_is_otherwise(events: Events) -> None:
    folder = events.home / "event_profiles"
    folder.mkdir()
    (folder / "ours.toml").write_text(
        '[return.columns.items]\nreceived_at = ["seen"]\n[words.refund_status]\nhanded = "dropped-off"'
    )
    events.stage(status("handed", UNIT | {"seen": "2026-09-21T08:00:00Z"}))
    assert events.harness.rows("select received_at, return_status from staging.return_items") == [
        (datetime(2026, 9, 21, 8, tzinfo=UTC), "dropped-off")
    ]


def test_there_is_one_event_profile(events: Events) -> None:
    events.own_profile()
    folder = events.home / "event_profiles"
    (folder / "other.toml").write_text((folder / "default.toml").read_text().replace('"default"', '"other"'))
    with pytest.raises(ConfigurationError, match="there is one event profile"):
        _ = events.profile


def test_the_latest_approval_of_a_return_is_found_as_the_profile_reads_times(events: Events) -> None:
    events.own_profile(('zone = "UTC"', 'zone = "Europe/Berlin"\nformat = "%H:%M %d.%m.%Y"'))
    times = ("10:00 21.09.2026", "09:00 22.09.2026")
    units = [UNIT | {"happyReturnsItemID": f"IT-{number}", "approvedAt": time} for number, time in enumerate(times)]
    events.stage(status("approved", *units))
    assert events.harness.rows("select last_approved_at from staging.returns") == [
        (datetime(2026, 9, 22, 7, tzinfo=UTC),)
    ]
