"""pandera at the edges: frames are validated against a declaration before they leave, and when they arrive from people.

Inside DuckDB the same declarations are checked as SQL predicates over whole tables (``checks.py``). Importing this module costs
most of a second (pandas, pandera): only functions that validate a frame import it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import pandas as pd
import pandera.errors
import pandera.pandas as pa
import pyarrow

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.money import SQL_TYPE, SUM_TYPE
from hr_centra_pipeline.warehouse.declare import Column, Table

_DTYPES: dict[str, object] = {
    "VARCHAR": "string", "BIGINT": "Int64", "BOOLEAN": "boolean", "TIMESTAMPTZ": pd.DatetimeTZDtype(unit="us", tz="UTC"),
    "DATE": "object", "VARCHAR[]": "object", SQL_TYPE: "object", SUM_TYPE: "object",
}  # fmt: skip
_FROM_ARROW = {
    pyarrow.string(): pd.StringDtype(), pyarrow.int64(): pd.Int64Dtype(), pyarrow.bool_(): pd.BooleanDtype()
}  # fmt: skip
_MOST_DECIMALS = 4
_SAID, _LONGEST_RULE = 3, 100
REPEATED = "multiple_fields_uniqueness"
"""The rule of a ``Failure`` whose key is repeated."""


class BadFrame(RunFailed):
    """A frame does not hold what its table is declared to hold; the message names table, column and rule."""


@dataclass(frozen=True)
class Failure:
    """One value (or, with ``row`` None, one column) that breaks a rule."""

    row: int | None
    """Position in the frame."""
    column: str
    rule: str
    value: object


def schema_of(declared: Table) -> pa.DataFrameSchema:
    """The pandera schema of a declared table: columns, types, rules, key; any other column is refused."""
    return pa.DataFrameSchema(
        {name: _column(column) for name, column in declared.declared.items()},
        unique=list(declared.key), strict=True, name=declared.name, description=declared.grain,
    )  # fmt: skip


def _column(column: Column) -> pa.Column:
    checks = []
    if column.values is not None:
        checks.append(pa.Check.isin(list(column.values)))
    if column.pattern is not None:
        checks.append(pa.Check.str_matches(f"(?:{column.pattern})$"))  # pandera matches at the start only
    if column.sql in (SQL_TYPE, SUM_TYPE):
        checks.append(pa.Check(_is_exact, name="is_exact", error="an exact amount with at most four decimals"))
    if column.at_least is not None:
        checks.append(pa.Check.ge(column.at_least))
    return pa.Column(_DTYPES[column.sql], checks, nullable=column.nullable, description=column.description)


def _is_exact(amounts: pd.Series) -> pd.Series:
    return amounts.map(lambda amount: isinstance(amount, Decimal) and -_scale(amount) <= _MOST_DECIMALS).astype(bool)


def _scale(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    return exponent if isinstance(exponent, int) else -_MOST_DECIMALS - 1  # not a number, or infinite


def frame_of(rows: pyarrow.Table) -> pd.DataFrame:
    """Arrow rows as a frame without loss: amounts stay Decimal, whole numbers may be missing."""
    frame: pd.DataFrame = rows.to_pandas(types_mapper=_FROM_ARROW.get)
    return frame


def frame_of_rows(rows: Sequence[Mapping[str, object]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Rows that people wrote as a frame of these columns."""
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=dtype) for name, dtype in dtypes.items()})


def failures(frame: pd.DataFrame, schema: pa.DataFrameSchema) -> list[Failure]:
    """All that is wrong with a frame; empty when it holds."""
    try:
        schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        return list(_failures(error.failure_cases))
    return []


def _failures(cases: pd.DataFrame) -> Iterator[Failure]:
    for case in cases.to_dict("records"):
        is_column = case["check"] in ("column_in_schema", "column_in_dataframe")  # the name is what fails
        column = case["failure_case"] if is_column else case["column"]
        row = None if pd.isna(case["index"]) else int(case["index"])
        yield Failure(row, str(column), _shortened(str(case["check"])), case["failure_case"])


def _shortened(rule: str) -> str:
    return rule if len(rule) <= _LONGEST_RULE else f"{rule[:_LONGEST_RULE]}…"


def refuse_bad(frame: pd.DataFrame, declared: Table) -> None:
    """Nothing, when a frame holds what its table is declared to hold.

    Raises:
        BadFrame: it does not; the message names the table, and each column with the rule that it breaks.
    """
    found = failures(frame, schema_of(declared))
    if not found:
        return
    rules = dict.fromkeys(f"{one.column}: {one.rule}" for one in found)
    more = f" and {len(rules) - _SAID} more" if len(rules) > _SAID else ""
    raise BadFrame(f"{declared.name} is not as declared ({'; '.join(list(rules)[:_SAID])}{more}); it was not written.")
