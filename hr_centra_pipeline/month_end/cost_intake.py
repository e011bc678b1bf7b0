"""What units cost the shop, where somebody supplies it: ``costs.csv`` in the home, with the columns sku, currency, unit_cost."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.money import LIMIT
from hr_centra_pipeline.sources.intake import contents, cutting
from hr_centra_pipeline.sources.intake.cutting import Cut
from hr_centra_pipeline.sources.intake.local_files import regular_file
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.made import makes

NAME = "costs.csv"
_COLUMNS = ["sku", "currency", "unit_cost"]
_MOST_BYTES = 100_000_000


@makes("unit_costs", "One row per SKU: what a piece cost, from the file of costs.", kind="source")
def load(connection: Connection, path: Path | None) -> int:
    """Fill the temporary table ``unit_costs``; answers its rows (0 without a file).

    Raises:
        ConfigurationError: a file that cannot be read, a header, a row, an amount or a repeated SKU; the message names the line.
    """
    connection.execute(
        "create or replace temp table unit_costs (sku varchar, currency varchar, unit_cost decimal(18, 4))"
    )
    if path is None or not path.exists():
        return 0
    costs = _costs(path, _cut(path))
    if costs:
        connection.execute(
            "insert into unit_costs select unnest($skus), unnest($currencies), unnest($costs::varchar[])::decimal(18, 4)",
            {
                "skus": [sku for sku, _ in costs], "currencies": [currency for _, currency in costs],
                "costs": [f"{cost:f}" for cost in costs.values()],
            },
        )  # fmt: skip
    return len(costs)


def _cut(path: Path) -> Cut:
    """The file's rows, by physical line.

    Raises:
        ConfigurationError: it cannot be read, is another file, or a row of it cannot be read.
    """
    try:
        raw = regular_file(path, _MOST_BYTES)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror or error}.") from None
    if len(raw) > _MOST_BYTES:
        raise ConfigurationError(f"{path}: is larger than {_MOST_BYTES:,} bytes.")
    content = contents.opened(raw, path.name)
    # People save the last line without an end: nothing is cut off there.
    content = replace(content, data=content.data if content.data.endswith(b"\n") else content.data + b"\n")
    try:
        headers = cutting.header_of(content.data, ",")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}:1: is not UTF-8; save the file in that encoding.") from None
    if [name.lower() for name in headers] != _COLUMNS:
        raise ConfigurationError(f"{path}:1: the header has to be {','.join(_COLUMNS)}.")
    cut = cutting.cut_csv(content, ",")
    if cut.bad:
        raise ConfigurationError(f"{path}:{cut.bad[0].line}: {cut.bad[0].reason}.")
    return cut


def _costs(path: Path, cut: Cut) -> dict[tuple[str, str], Decimal]:
    """What a unit costs, by SKU and currency.

    Raises:
        ConfigurationError: a value that is none, or a SKU that is there twice.
    """
    rows: list[dict[str, Any]] = []
    for line, values in cut.rows:
        sku, currency, told = (value.strip() for value in values)
        rows.append({"line": line, "sku": sku, "currency": currency, "told": told, "unit_cost": _amount(told)})
    if rows:
        _refuse_bad(rows, path)
    return {(row["sku"], row["currency"]): row["unit_cost"] for row in rows}


def _amount(told: str) -> Decimal | None:
    try:
        return Decimal(told)
    except InvalidOperation:
        return None


def _refuse_bad(costs: list[dict[str, Any]], path: Path) -> None:
    """Nothing, when every row is a cost.

    Raises:
        ConfigurationError: one is not; the message names the first of them.
    """
    import pandera.pandas as pa  # takes its time, and few shops have such a file

    from hr_centra_pipeline.warehouse import frames

    schema = pa.DataFrameSchema(
        {
            "sku": pa.Column("string", pa.Check.str_length(min_value=1)),
            "currency": pa.Column("string", pa.Check.str_length(exact_value=3)),
            "unit_cost": pa.Column(object, pa.Check(_is_cost, element_wise=True, name="is_cost")),
        },
        unique=["sku", "currency"], report_duplicates="exclude_first",
    )  # fmt: skip
    frame = frames.frame_of_rows(costs, {"sku": "string", "currency": "string", "unit_cost": "object"})
    found = frames.failures(frame, schema)
    if not found:
        return
    first = min(one.row or 0 for one in found)
    rules = {one.rule for one in found if one.row == first}
    cost, place = costs[first], f"{path}:{costs[first]['line']}"
    if cost["unit_cost"] is None:
        raise ConfigurationError(f"{place}: {cost['told']!r} is not an amount; write it like 12.50.")
    if rules - {frames.REPEATED}:
        raise ConfigurationError(
            f"{place}: give a SKU, a currency of three letters and a cost from 0 to below {LIMIT:,}."
        )
    raise ConfigurationError(f"{place}: {cost['sku']} in {cost['currency']} is in the file twice.")


def _is_cost(amount: object) -> bool:
    return isinstance(amount, Decimal) and amount.is_finite() and 0 <= amount < LIMIT
