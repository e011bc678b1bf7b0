"""Whichever feeds bring a unit's history, in whatever order: once the files are complete the books are those of files alone."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline_tests.sources.happy_returns.conftest import NOW, new_harness
from hr_centra_pipeline_tests.sources.happy_returns.events import Events

Row = dict[str, Any]

_BEGIN = NOW - timedelta(days=20)
_ROUNDS = 3
_UNITS = 12
_PHASES = (Phase.generate,)  # to make a failing history smaller would take minutes
_NAMES = {
    "item_id": "happyReturnsItemID", "return_id": "happyReturnsReturnID", "order_number": "orderNumber",
    "order_line_item_id": "orderLineItemID", "sku": "sku", "refund_type": "refundType", "dropoff_method": "dropoffMethod",
    "received_channel": "receivedChannel", "received_at": "receivedAt", "approved_at": "approvedAt",
    "refunded_at": "refundedAt", "disposition": "disposition", "bag_barcode": "returnBagBarcode", "updated_at": "updatedAt",
}  # fmt: skip
_OF_RETURN = {"started_at": "startedAt", "dropped_off_at": "droppedOffAt", "expired_at": "expiredAt"}
# What happens to a unit: its columns, and those of its return. Only a file takes something back.
_HAPPENS: dict[str, tuple[Row, Row]] = {
    "method": ({"dropoff_method": "mail"}, {"return_method": "mail"}),
    "method again": ({"dropoff_method": "return-bar"}, {"return_method": "return-bar"}),
    "dropped off": ({"received_channel": "return-bar"}, {"refund_status": "dropped-off", "dropped_off_at": "now"}),
    "received": ({"received_at": "now", "bag_barcode": "BAG"}, {}),
    "approved": ({"approved_at": "now"}, {"refund_status": "approved", "last_approved_at": "now"}),
    "refunded": ({"refunded_at": "now"}, {}),
    "graded": ({"disposition": "sellable"}, {}),
    "graded again": ({"disposition": "damaged"}, {}),
    "withdrawn": ({"approved_at": ""}, {"refund_status": "dropped-off", "last_approved_at": ""}),
}
_FILES_ONLY = {"withdrawn"}


class Unit:
    """One unit of a return of its own, state by state."""

    def __init__(self, name: str, steps: list[str]) -> None:
        self.states: list[tuple[Row, Row]] = []
        item: Row = {
            "item_id": f"IT-{name}", "return_id": f"RT-{name}", "order_number": f"10{name}",
            "order_line_item_id": f"7{name}-0-1", "sku": "SKU", "refund_type": "refund", "dropoff_method": "return-bar",
        }  # fmt: skip
        of: Row = {
            "return_id": f"RT-{name}", "order_number": f"10{name}", "refund_status": "started", "return_method": "return-bar",
        }  # fmt: skip
        for number, step in enumerate(["started", *steps]):
            now = (_BEGIN + timedelta(hours=7 * number)).isoformat()
            of_item, of_return = _HAPPENS.get(step, ({}, {"created_at": "now", "started_at": "now"}))
            item = {**item, **_dated(of_item, now), "updated_at": now}
            of = {**of, **_dated(of_return, now), "updated_at": now}
            self.states.append((item, of))

    def event(self, number: int, chance: random.Random) -> Row:
        """``return.asn`` about a state: what is there, now and then less of it."""
        item, of = self.states[number]
        shown = {name: item.get(column) for column, name in _NAMES.items()}
        shown |= {name: of.get(column) for column, name in _OF_RETURN.items()}
        for name in chance.sample(
            ["sku", "dropoffMethod", "returnBagBarcode", "receivedChannel"], k=chance.randrange(3)
        ):
            shown[name] = chance.choice(["", None])
        more = {"revision": chance.randrange(3)} if chance.random() < 0.3 else {}
        return {"event": "return_status_updated", "typeID": of["refund_status"], "items": [shown], **more}


def _dated(facts: Row, now: str) -> Row:
    return {name: now if value == "now" else value for name, value in facts.items()}


@pytest.fixture(scope="module")
def feeds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Events]:
    home = tmp_path_factory.mktemp("feeds")
    harness = new_harness(home)
    with harness.warehouse.kept_open():
        yield Events(harness, Inbox.open(str(home / "inbox.sqlite")), home)


def _files(feeds: Events, rows: list[tuple[Row, Row]]) -> None:
    """One file of returns and one of units."""
    if rows:
        feeds.number += 1
        shutil.rmtree(feeds.harness.folder)
        feeds.harness.folder.mkdir()
        feeds.harness.csv("returns", *(of for _, of in rows), name=f"returns-{feeds.number}.csv")
        feeds.harness.csv("items", *(item for item, _ in rows), name=f"items-{feeds.number}.csv")
        feeds.harness.ingest()


_SINCE = ("disposition_at", "approval_withdrawn_at")


def _facts(feeds: Events, world: str, without: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    """What staging says of a world's units, under their names; not by which feed and line we know it."""
    left_out = ("source_file", "source_line", "landed_batch", "feeds", "customer_token", *without)
    found = {}
    for table in ("return_items", "returns", "return_item_events"):
        if table == "return_item_events":
            rows = feeds.harness.rows(f"from staging.{table} where starts_with(return_id, 'RT-{world}') order by all")
            rows = [
                tuple(str(value).replace(world, "") for value in row)
                for row in rows
                if row[2] != "graded" or not without
            ]
        else:
            names = [name for (name,) in feeds.harness.rows(
                "select column_name from duckdb_columns() where schema_name = 'staging' and table_name = ? order by column_index",
                table,
            ) if name not in left_out]  # fmt: skip
            rows = feeds.harness.rows(
                f"select {', '.join(names)} from staging.{table} where starts_with(return_id, 'RT-{world}') order by all"
            )
            rows = [
                tuple(f"{name}={str(value).replace(world, '')}" for name, value in zip(names, row, strict=True))
                for row in rows
            ]
        found[table] = sorted(rows)
    return found


_steps = st.lists(st.sampled_from(sorted(_HAPPENS)), min_size=2, max_size=6)
_worlds = iter(f"{number:04d}" for number in range(10_000))


_mixed = given(
    steps=st.lists(_steps, min_size=_UNITS, max_size=_UNITS), seed=st.integers(0, 2**32), may_drop=st.booleans()
)


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=_PHASES)
@_mixed
def test_files_events_and_answers_in_any_order_end_in_the_books_of_files_alone(
    feeds: Events, steps: list[list[str]], seed: int, may_drop: bool
) -> None:
    _end_in_the_same_books(feeds, steps, seed, may_drop)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=_PHASES)
@_mixed
def test_so_do_many_more(feeds: Events, steps: list[list[str]], seed: int, may_drop: bool) -> None:
    _end_in_the_same_books(feeds, steps, seed, may_drop)


def _end_in_the_same_books(feeds: Events, steps: list[list[str]], seed: int, may_drop: bool) -> None:
    chance = random.Random(seed)
    alone, mixed = next(_worlds), next(_worlds)
    _files(feeds, [state for number, one in enumerate(steps) for state in Unit(f"{alone}{number}", one).states])
    files: list[list[tuple[Row, Row]]] = [[] for _ in range(_ROUNDS)]
    events: list[list[Row]] = [[] for _ in range(_ROUNDS)]
    answers: list[list[Row]] = [[] for _ in range(_ROUNDS)]
    for number, one in enumerate(steps):
        unit = Unit(f"{mixed}{number}", one)
        for place, step in enumerate(["started", *one]):
            is_last = place == len(one)
            by = {feed for feed in ("file", "event", "answer") if chance.random() < 0.45}
            if is_last or step in _FILES_ONLY:
                by.add("file")
            if not by and not may_drop:
                by.add("event")
            for feed in by:
                for _ in range(chance.choice((1, 1, 1, 2))):
                    at = chance.randrange(_ROUNDS)
                    match feed:
                        case "file":
                            files[at].append(unit.states[place])
                        case "event":
                            events[at].append(unit.event(place, chance))
                        case _:
                            answers[at] += unit.event(place, chance)["items"]
    for at in range(_ROUNDS):
        chance.shuffle(events[at])
        feeds_now = ["files", "events", "api"]
        chance.shuffle(feeds_now)
        for feed in feeds_now:
            if feed == "files":
                _files(feeds, files[at])
            elif feed == "events" and events[at]:
                feeds.post(*events[at])
                feeds.take()
            elif feed == "api" and answers[at]:
                feeds.answer({"items": answers[at]}, NOW)
        if chance.random() < 0.5:
            feeds.harness.refresh()
    feeds.harness.refresh()
    without = _SINCE if may_drop else ()
    assert _facts(feeds, mixed, without) == _facts(feeds, alone, without)
    assert feeds.harness.rows(
        f"select count(*) from quarantine.rejected_rows where contains(raw_text, 'RT-{mixed}')"
    ) == [(0,)]


@settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=_PHASES)
@given(steps=st.lists(_steps, min_size=_UNITS, max_size=_UNITS), seed=st.integers(0, 2**32))
def test_events_alone_say_the_same_in_any_order(feeds: Events, steps: list[list[str]], seed: int) -> None:
    in_order, shuffled = next(_worlds), next(_worlds)
    found = []
    for world in (in_order, shuffled):
        chance = random.Random(seed)
        bodies = []
        for number, one in enumerate(steps):
            unit = Unit(f"{world}{number}", [step for step in one if step not in _FILES_ONLY])
            bodies += [unit.event(place, chance) for place in range(len(unit.states))]
        if world == shuffled:
            bodies += chance.sample(bodies, k=len(bodies) // 3)
            chance.shuffle(bodies)
        for portion in (bodies[::2], bodies[1::2]) if world == shuffled else (bodies,):
            if portion:
                feeds.post(*portion)
                feeds.take()
                feeds.harness.refresh()
        found.append(_facts(feeds, world))
    assert found[0] == found[1]


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=_PHASES)
@given(steps=st.lists(_steps, min_size=_UNITS, max_size=_UNITS), seed=st.integers(0, 2**32))
def test_news_without_times_of_their_own_count_where_they_come_in_order(
    feeds: Events, steps: list[list[str]], seed: int
) -> None:
    alone, mixed = next(_worlds), next(_worlds)
    chance = random.Random(seed)
    # Without times a grade that was told before is the old one.
    histories = [[step for place, step in enumerate(one) if _is_told_first(step, one[:place])] for one in steps]
    _files(feeds, [state for number, one in enumerate(histories) for state in Unit(f"{alone}{number}", one).states])
    units = [Unit(f"{mixed}{number}", one) for number, one in enumerate(histories)]
    for place in range(max(len(unit.states) for unit in units)):
        rows = []
        for unit, history in zip(units, histories, strict=True):
            if place < len(unit.states):
                step = ["started", *history][place]
                if step in _FILES_ONLY or chance.random() < 0.4:
                    rows.append(unit.states[place])
                else:
                    _deliver(feeds, unit, place, step)
        _files(feeds, rows)
        feeds.take()
    feeds.harness.refresh()
    words = "dropoff_method, disposition, approved_at, received_at, refunded_at, bag_barcode, refund_type"
    facts = [
        feeds.harness.rows(
            f"select replace(return_id, '{world}', ''), {words} from staging.return_items where return_id like 'RT-{world}%'"
            " order by all"
        )
        for world in (alone, mixed)
    ]
    assert facts[0] == facts[1]


def _is_told_first(step: str, before: list[str]) -> bool:
    return not step.startswith("graded") or step not in before


def _deliver(feeds: Events, unit: Unit, place: int, step: str) -> None:
    """The event of a state, a minute after it, without the time of the state."""
    body = unit.event(place, random.Random(0))
    item = unit.states[place][0]
    shown = {name: item.get(column) for column, name in _NAMES.items()} | {"startedAt": _BEGIN.isoformat()}
    body["items"] = [{**body["items"][0], **shown, "updatedAt": None}]
    if step.startswith("method"):
        body |= {"event": "return_dropoff_method_created", "typeID": item["dropoff_method"]}
    feeds.post(body, at=datetime.fromisoformat(item["updated_at"]) + timedelta(minutes=1))
