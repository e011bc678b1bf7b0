"""One id in two writings: the second is refused by name, and is no other unit, return or refund."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import pytest

from hr_centra_pipeline.sources.happy_returns.writings import folded
from hr_centra_pipeline_tests.sources.happy_returns.conftest import COMPLETE, ITEM, REFUND, RETURN, SHIPMENT, Harness

WRITINGS: dict[str, Callable[[str], str]] = {
    "lower case": str.lower,
    "full width": lambda text: "".join(chr(ord(letter) + 0xFEE0) for letter in text),
    "hyphens that do not break": lambda text: text.replace("-", "\u2011"),
    "minus signs": lambda text: text.replace("-", "\u2212"),
    "mixed": lambda text: text.lower().replace("-", "\u2013"),
}
IDS = [("items", "item_id"), ("returns", "return_id"), ("refunds", "refund_id"), ("shipments", "shipment_id")]
LETTERS = {"shipments": {"shipment_id": "SH-1"}}


def told(kind: str, **columns: Any) -> dict[str, Any]:
    return {**COMPLETE[kind], **LETTERS.get(kind, {}), **columns}


@pytest.mark.parametrize(("kind", "column"), IDS)
def test_an_id_in_another_writing_is_refused_and_names_the_known_one_within_one_file_and_over_files(
    harness: Harness, kind: str, column: str
) -> None:
    known = told(kind)[column]
    others = [writing(known) for writing in WRITINGS.values()]
    again = [told(kind, **{column: other, "updated_at": "2026-09-24T08:00:00Z"}) for other in others]
    harness.csv(kind, told(kind), *again, name=f"{kind}-2026-09-20.csv")
    harness.ingest()
    harness.csv(kind, *again, told(kind, updated_at="2026-09-25T08:00:00Z"), name=f"{kind}-2026-09-21.csv")
    harness.ingest()
    rejected = harness.rejected()
    assert {named for _, named, _, _ in rejected} == {column}
    assert sorted(reason for _, _, reason, _ in rejected) == sorted(
        f"differs only in its letters' case or form from {known}: {other}" for other in others * 2
    )
    assert harness.totals() == (12, 2, 10, 0)


def test_the_writing_that_was_landed_first_stays_the_known_one_whatever_it_is(harness: Harness) -> None:
    for number, item in enumerate(["it-1", "IT-1", "It-1", "it-1", "\uff49\uff54-\uff11"]):
        harness.csv(
            "items",
            ITEM | {"item_id": item, "updated_at": f"2026-09-2{number}T08:00:00Z"},
            name=f"items-2026-09-2{number}.csv",
        )
        harness.ingest()
    assert harness.rows("select distinct item_id from landing.happy_returns_items") == [("it-1",)]
    assert len(harness.rejected()) == 3
    assert all("from it-1: " in reason for _, _, reason, _ in harness.rejected())


def test_what_refers_to_an_id_in_another_writing_is_refused(harness: Harness) -> None:
    harness.csv("returns", RETURN, name="returns-2026-09-20.csv")
    harness.csv("items", ITEM, name="items-2026-09-20.csv")
    harness.csv("items", ITEM | {"item_id": "IT-2", "return_id": "rt-1"}, name="items-2026-09-21.csv")
    harness.csv("refunds", REFUND | {"return_id": "rt-1"}, name="refunds-2026-09-22.csv")
    harness.csv("refunds", REFUND | {"item_ids": "IT-9;it-1"}, name="refunds-2026-09-23.csv")
    harness.csv("shipments", SHIPMENT | {"item_id": "it-1"}, name="shipments-2026-09-24.csv")
    harness.ingest()
    assert sorted((named, reason) for _, named, reason, _ in harness.rejected()) == [
        ("item_id", "differs only in its letters' case or form from IT-1: it-1"),
        ("item_ids", "differs only in its letters' case or form from IT-1: it-1"),
        ("return_id", "differs only in its letters' case or form from RT-1: rt-1"),
        ("return_id", "differs only in its letters' case or form from RT-1: rt-1"),
    ]


def test_a_unit_without_an_id_whose_line_is_in_another_case_is_no_other_unit(harness: Harness) -> None:
    nameless = ITEM | {"item_id": "", "order_line_item_id": "line-a-0-2"}
    harness.csv("items", nameless, name="items-2026-09-20.csv")
    harness.ingest()
    again = nameless | {"order_line_item_id": "LINE-A-0-2", "updated_at": "2026-09-24T08:00:00Z"}
    harness.csv("items", again, name="items-2026-09-21.csv")
    harness.ingest()
    ((_, named, reason, _),) = harness.rejected()
    assert named == "order_line_item_id"
    assert reason == "differs only in its letters' case or form from line-a: LINE-A"


def test_a_reference_alone_makes_no_writing_the_known_one(harness: Harness) -> None:
    harness.csv("refunds", REFUND | {"item_ids": "it-1", "return_id": "rt-1"}, name="refunds-2026-09-20.csv")
    harness.ingest()
    harness.csv("items", ITEM, name="items-2026-09-21.csv")
    harness.csv("returns", RETURN, name="returns-2026-09-21.csv")
    harness.csv("shipments", SHIPMENT, name="shipments-2026-09-23.csv")
    harness.ingest()
    assert harness.rejected() == []


def test_ids_that_differ_in_more_than_their_writing_are_different() -> None:
    ids = [f"it{letter}1" for letter in string.ascii_lowercase + string.digits + "-_./"]
    assert len({folded(text) for text in ids}) == len(ids)
    assert folded("i\u200bt\u2010\uff11") == "it-1"
