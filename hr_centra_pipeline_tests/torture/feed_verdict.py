"""What became of the deliveries, and whether the units that the pipeline knows are those of Happy Returns, whatever the feed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline_tests.torture.event_feed import EventFeed
from hr_centra_pipeline_tests.torture.scenario import Scenario
from hr_centra_pipeline_tests.torture.verdict import Verdict

# Column of a staged unit -> column of Happy Returns' row.
_COMPARED = {
    "return_id": "return_id", "order_number": "order_number", "sku": "sku", "express_code": "express_code",
    "refund_type": "refund_type", "exchange_sku": "exchange_sku", "dropoff_method": "dropoff_method",
    "received_at": "received_at", "approved_at": "approved_at", "disposition": "disposition",
    "warehouse_received_at": "warehouse_received_at",
}  # fmt: skip


def judge_feed(scenario: Scenario, found: Verdict) -> None:
    """After everything has settled: each delivery landed once, and each unit is as Happy Returns has it."""
    if scenario.feed is None:
        return
    _judge_deliveries(scenario, scenario.feed, found)
    found.losses += _differences(scenario)


def _judge_deliveries(scenario: Scenario, feed: EventFeed, found: Verdict) -> None:
    inbox = Inbox.open(scenario.harness.note["inbox"])
    kept = {one.delivery_id: one.state for one in inbox.deliveries(vendor="happy_returns", most=None)}
    inbox.close()
    found.losses += [f"delivery {one} was answered 2xx and is not kept" for one in feed.accepted if one not in kept]
    found.silent += feed.let_in
    rows = scenario.harness.rows("select delivery_id, body_sha256 from landing.events")
    landed = {str(delivery_id): str(sha256) for delivery_id, sha256 in rows}
    for delivery_id, state in kept.items():
        if delivery_id not in landed and state == "landed":
            found.losses.append(f"delivery {delivery_id} is marked as landed and is not in landing.events")
        elif state == "waiting":
            found.stuck.append(f"delivery {delivery_id} still waits, {'' if delivery_id in landed else 'not '}landed")
    found.doubles += landed_twice(scenario.harness.rows)
    found.doubles += [f"delivery {one} landed and is not in the inbox" for one in landed if one not in kept]
    found.losses += [
        f"delivery {one} landed with another body"
        for one, sha256 in feed.accepted.items()
        if landed.get(one, sha256) != sha256
    ]


def landed_twice(rows: Callable[[str], list[tuple[Any, ...]]]) -> list[str]:
    """Rows of deliveries that are there twice: landing.events cannot tell, it has one row per delivery, however often it lands."""
    found = rows(
        """
        select source_file, kind, source_line, count(*) from landing.happy_returns_rows
        where feed = 'events' group by source_file, kind, source_line, row_sha256 having count(*) > 1 order by all
        """
    )
    return [f"{source}: row {line} of {kind} landed {times} times" for source, kind, line, times in found]


def _differences(scenario: Scenario) -> Iterator[str]:
    """Units whose staged state is not that of Happy Returns' own row."""
    columns = ", ".join(_COMPARED)
    staged = {
        str(row[0]): dict(zip(_COMPARED, row[1:], strict=True))
        for row in scenario.harness.rows(f"select return_item_id, {columns} from staging.return_items")
    }
    # Of two returns that one unit is said to belong to, the one that landed first keeps it, and the other's rows are refused.
    doubtful = {planted.unit.item for planted in scenario.units if planted.corrected == "return"}
    words = dict.fromkeys(scenario.words, "sellable")
    for key, row in scenario.harness.units():
        if key[1] in doubtful:
            continue
        mine = staged.get(key[1])
        if mine is None:
            yield f"{key[1]} is not staged"
            continue
        for column, name in _COMPARED.items():
            want = _comparable(words.get(str(row.get(name)), row.get(name)))
            if (have := _comparable(mine[column])) != want:
                yield f"{key[1]}: its {column} is {have}, Happy Returns has {want}"


def _comparable(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return "" if value is None else str(value)
