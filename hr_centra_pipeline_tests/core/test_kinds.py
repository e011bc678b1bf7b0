"""What is true of a kind of effect is said once, in core/kinds.py; SQL asks for it by its name."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import duckdb
import pytest

from hr_centra_pipeline.core.kinds import EFFECT_KINDS, EFFECTS, FACTS, SQL_MACROS

HERE = Path(str(resources.files("hr_centra_pipeline")))
ONCE = {
    "effects/fees_charged.sql": "what may carry a fee: the unit's with its credit, and the return's own",
    "effects/paid_in_part.sql": "what adds to a payment: a fee takes off, and is no part of what is left to be paid",
}


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


def test_what_is_on_a_return_of_centra_is_a_units_or_the_returns() -> None:
    assert {effect.name for effect in EFFECTS if effect.is_on_a_return} == {
        "credit_note", "exchange_order", "shipping_refund", "return_fee",
    }  # fmt: skip
    assert not {effect.name for effect in EFFECTS if effect.gives_value and effect.is_of_the_return}
