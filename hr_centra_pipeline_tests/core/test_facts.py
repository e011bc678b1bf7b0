"""Each fact has one definition, in core/facts.sql; Python's twins agree with it; no file writes it out again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import duckdb
import pytest

import hr_centra_pipeline
from hr_centra_pipeline.core.kinds import EFFECT_KINDS
from hr_centra_pipeline.core.words import GIVEN_BACK, REFUNDS, CentraWords, effect_text
from hr_centra_pipeline.warehouse.tables.reconciliation_tables import AGE_BUCKETS

HERE = Path(hr_centra_pipeline.__file__).parent
FACTS = resources.files("hr_centra_pipeline.core").joinpath("facts.sql").read_text(encoding="utf-8")
# How a fact looks when it is written out once more: what it is, and the macro to use.
WRITTEN_OUT = {
    r"money (=|<>|(not )?in) \(?'(refunded|refund_pending|refund_failed|captured)'": "is_given_back and its siblings",
    r"'refund_pending', *'refunded'|'refunded', *'refund_pending'": "is_given_back, GIVEN_BACK",
    r"\binstrument (=|<>|(not )?in) \(?'": "is_original_payment, is_gift_card",
    r"from 'returnless'|(channel|method) (=|<>) 'returnless'": "is_returnless, is_received_returnless",
    r"dropoff_method ((not )?(like|in)|=|<>) \(?'": "is_by_mail, is_at_a_store, ends_at_drop_off",
    r"then coalesce\((\w+\.)?received_at, (\w+\.)?warehouse_received_at\)": "in_warehouse_at",
    r"(?<=[ (,])-(\w+\.)?(processing_)?fee\b": "taken_off",
    r"'8-14'": "age_bucket_of, AGE_BUCKETS",
}
# Lists of all words of a source, and what Python knows of them; the sandbox shares no code with the pipeline.
ALLOWED = {
    "core/facts.sql", "core/words.py", "warehouse/tables/reconciliation_tables.py",
    "oversight/drift.sql",  # asks for words of the drop-off method that nobody knows
}  # fmt: skip


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute(FACTS)
        yield opened


def code() -> Iterator[tuple[str, str]]:
    for file in sorted(HERE.rglob("*")):
        name = file.relative_to(HERE).as_posix()
        if (
            file.suffix in (".sql", ".py")
            and not name.startswith(("sandbox/", "warehouse/migrations/"))
            and name not in ALLOWED
        ):
            lines = file.read_text(encoding="utf-8").splitlines()
            yield name, "\n".join(line for line in lines if not line.lstrip().startswith("--"))


@pytest.mark.parametrize("pattern", WRITTEN_OUT)
def test_no_file_writes_a_fact_out_again(pattern: str) -> None:
    found = [
        f"{name}: {match.group(0)!r}, use {WRITTEN_OUT[pattern]}"
        for name, text in code()
        if name.endswith(".sql") or "money" in pattern or "8-14" in pattern
        for match in re.finditer(pattern, text, re.DOTALL)
    ]
    assert not found


def test_each_pattern_finds_what_it_is_to_find() -> None:
    examples = [
        "where money = 'refund_failed'", "money in ('refunded', 'refund_pending')", "entries.instrument <> 'gift_card'",
        "received_channel is distinct from 'returnless'",
        "items.dropoff_method like 'mail%'", "when is_by_mail then coalesce(received_at, warehouse_received_at)",
        "else -fee end", "when days < 15 then '8-14'",
    ]  # fmt: skip
    for pattern, example in zip(WRITTEN_OUT, examples, strict=True):
        assert re.search(pattern, example), example


@pytest.mark.parametrize(("macro", "twin"), [("is_given_back", GIVEN_BACK), ("is_about_refund", REFUNDS)])
def test_what_python_counts_as_given_back_or_a_refund_is_what_sql_does(
    connection: duckdb.DuckDBPyConnection, macro: str, twin: tuple[str, ...]
) -> None:
    every = {money for _, _, money, *_ in CentraWords().payments()} | {"refund_answered", "capture_answered"}
    counted = {money for money in every if connection.execute(f"select {macro}(?)", [money]).fetchone() == (True,)}
    assert counted == set(twin)


@pytest.mark.parametrize(
    ("method", "ends"),
    [
        ("mail", True),
        ("mail-nobox", True),
        ("in-store", True),
        ("retailer-store", True),
        ("return-bar", False),
        (None, None),
    ],
)
def test_goods_by_mail_and_goods_at_a_store_are_where_they_go_with_the_first_scan(
    connection: duckdb.DuckDBPyConnection, method: str | None, ends: bool | None
) -> None:
    assert connection.execute("select ends_at_drop_off(?)", [method]).fetchone() == (ends,)


def test_every_age_has_a_bucket_and_each_bucket_its_days(connection: duckdb.DuckDBPyConnection) -> None:
    rows = connection.execute(
        "select age_bucket_of(days), min(days), max(days) from range(0, 400) as t (days) group by 1"
    )
    spans = {bucket: (least, most) for bucket, least, most in rows.fetchall()}
    assert set(spans) == set(AGE_BUCKETS)
    for bucket, (least, most) in spans.items():
        assert bucket == (f"{least}-{most}" if most < 399 else "over 90")


def test_what_is_not_known_is_never_returnless(connection: duckdb.DuckDBPyConnection) -> None:
    rows = connection.execute(
        "select channel, method, is_returnless(channel, method), is_received_returnless(channel)"
        " from (select unnest([null, 'returnless', 'return-bar']) as channel)"
        " cross join (select unnest([null, 'returnless', 'mail']) as method)"
    ).fetchall()
    for channel, method, is_returnless, is_received in rows:
        assert is_returnless is ("returnless" in (channel, method))
        assert is_received is (channel == "returnless")


@pytest.mark.parametrize(
    ("goes_straight", "received", "warehouse", "arrived"),
    [
        (True, "2026-09-01", "2026-09-05", "2026-09-01"), (True, None, "2026-09-05", "2026-09-05"),
        (False, "2026-09-01", "2026-09-05", "2026-09-05"), (False, "2026-09-01", None, None),
        (None, "2026-09-01", "2026-09-05", "2026-09-05"),
    ],
)  # fmt: skip
def test_goods_are_in_the_warehouse_at_the_first_scan_only_where_they_go_straight_there(
    connection: duckdb.DuckDBPyConnection,
    goes_straight: bool | None,
    received: str,
    warehouse: str,
    arrived: str | None,
) -> None:
    row = connection.execute(
        "select in_warehouse_at(?::boolean, ?::varchar, ?::varchar)", [goes_straight, received, warehouse]
    ).fetchone()
    assert row == (arrived,)


@pytest.mark.parametrize("kind", EFFECT_KINDS)
def test_people_read_the_same_word_for_an_effect_from_sql_and_python(
    connection: duckdb.DuckDBPyConnection, kind: str
) -> None:
    assert connection.execute("select effect_text(?)", [kind]).fetchone() == (effect_text(kind),)
    assert (effect_text(kind) == "stock movement") == (kind == "inventory_adjustment")
