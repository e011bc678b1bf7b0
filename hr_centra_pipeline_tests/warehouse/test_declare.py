from __future__ import annotations

import duckdb
import pandas as pd
import pandera.errors
import pytest

from hr_centra_pipeline.warehouse.declare import table, text, whole
from hr_centra_pipeline.warehouse.frames import schema_of
from hr_centra_pipeline.warehouse.tables import DERIVED

EXAMPLE = table(
    "main.example",
    "One row per unit.",
    ["id"],
    {
        "id": text("id"),
        "word": text("closed list", null=True, values=("a", "it's")),
        "code": text("pattern", null=True, pattern="[A-Z]{3}"),
        "units": whole("units", null=True, at_least=1),
    },
)
ROWS = [
    ("good", "a", "EUR", 1),
    ("quoted", "it's", None, None),
    (None, "a", "EUR", 1),
    ("word", "b", "EUR", 1),
    ("code", "a", "EURO", 1),
    ("units", "a", "EUR", 0),
]


def test_generated_predicates_reject_exactly_what_pandera_rejects() -> None:
    connection = duckdb.connect()
    connection.execute(EXAMPLE.ddl.replace(" not null", ""))
    connection.executemany("insert into example values (?, ?, ?, ?)", ROWS)
    bad = {
        (column, id)
        for column, _, predicate in EXAMPLE.predicates()
        for (id,) in connection.execute(f"select id from example where {predicate}").fetchall()
    }
    frame = pd.DataFrame(ROWS, columns=list(EXAMPLE.columns)).astype(
        {"id": "string", "word": "string", "code": "string", "units": "Int64"}
    )
    with pytest.raises(pandera.errors.SchemaErrors) as caught:
        schema_of(EXAMPLE).validate(frame, lazy=True)
    cases = caught.value.failure_cases
    by_pandera = {(row.column, ROWS[int(row.index)][0]) for row in cases.itertuples(index=False)}
    assert bad == by_pandera == {("id", None), ("word", "word"), ("code", "code"), ("units", "units")}


def test_each_table_says_its_grain_in_a_sentence_and_its_key_is_among_its_columns() -> None:
    for name, declared in DERIVED.items():
        assert declared.grain.startswith("One row per "), name
        assert declared.grain.endswith("."), name
        assert set(declared.key) <= set(declared.columns), name
        assert all(column.description for column in declared.declared.values()), name
