"""What is true of a kind of effect is said once, in core/kinds.py; SQL asks for it by its name."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import resources
from pathlib import Path

import duckdb
import pytest

from hr_centra_pipeline.core.kinds import (
    EFFECT_KINDS,
    EFFECTS,
    FACTS,
    SQL_MACROS,
    STATUS_PATIENCE,
    signed,
    status_may_wait,
)

HERE = Path(str(resources.files("hr_centra_pipeline")))
ONCE = {
    "effects/fees_charged.sql": "what may carry a fee: the unit's with its credit, and the return's own",
    "effects/paid_in_part.sql": "what adds to a payment: a fee takes off, and is no part of what is left to be paid",
}

# What is about the fee of a whole return itself: when it is due, beside fees of units, and its part of its Return. That it takes
# off is asked of the kind: takes_off, signed_amount.
ABOUT_THE_RETURN_FEE = {
    "effects/credit_notes.sql", "effects/unit_credits.sql", "effects/fees_charged.sql", "effects/return_fees.sql",
    "reconciliation/expected_costs.sql", "push/settled_amounts.sql", "core/kinds.py",
}  # fmt: skip


@pytest.mark.parametrize("fact", FACTS)
def test_sql_knows_of_a_kind_what_python_knows(fact: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(SQL_MACROS)
        # a column that is called like the parameter is not taken for it
        rows = connection.execute(
            f"select kind, {fact}(kind) from (select unnest(?) as kind, 'credit_note' as effect_kind)",
            [list(EFFECT_KINDS)],
        ).fetchall()
        assert dict(rows) == {effect.name: getattr(effect, fact) for effect in EFFECTS}
        assert connection.execute(f"select {fact}(null)").fetchone() == (None,)


def test_no_list_of_kinds_stands_in_sql() -> None:
    found = {
        path.relative_to(HERE).as_posix()
        for path in HERE.rglob("*.sql")
        if "migrations" not in path.parts
        and re.search(r"\beffect_kind\s+(not\s+)?in\s*\(\s*'", path.read_text("utf-8"))
    }
    assert found == set(ONCE)


def test_only_what_is_about_the_fee_of_a_return_names_its_kind() -> None:
    found = {
        path.relative_to(HERE).as_posix()
        for path in HERE.rglob("*")
        if path.suffix in (".sql", ".py")
        and not {"migrations", "sandbox"} & set(path.parts)
        and re.search(r"['\"]return_fee['\"]", path.read_text("utf-8"))
    }
    assert found == ABOUT_THE_RETURN_FEE


@pytest.mark.parametrize("kind", EFFECT_KINDS)
def test_an_amount_has_the_same_sign_in_sql_and_in_python(kind: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(SQL_MACROS)
        row = connection.execute("select signed_amount(?, 12.5), signed_amount(?, null)", [kind, kind]).fetchone()
    sign = -1 if kind == "return_fee" else 1
    assert row == (sign * Decimal("12.5"), None)
    assert signed(kind, Decimal("12.5")) == sign * Decimal("12.5")


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_a_status_waits_as_long_in_sql_as_in_python(seconds: int) -> None:
    since = datetime(2026, 10, 25, 1, tzinfo=UTC)
    now = since + STATUS_PATIENCE + timedelta(seconds=seconds)
    with duckdb.connect() as connection:
        connection.execute(SQL_MACROS)
        row = connection.execute("select status_may_wait(?::timestamptz, ?::timestamptz)", [since, now]).fetchone()
    assert row == (status_may_wait(since, now),) == (seconds < 0,)


def test_what_is_on_a_return_of_centra_is_a_units_or_the_returns() -> None:
    assert {effect.name for effect in EFFECTS if effect.is_on_a_return} == {
        "credit_note", "exchange_order", "shipping_refund", "return_fee",
    }  # fmt: skip
    assert not {effect.name for effect in EFFECTS if effect.gives_value and effect.is_of_the_return}
