"""What units cost the shop, where somebody supplies it: ``costs.csv`` in the home, with the columns sku, currency, unit_cost."""

from __future__ import annotations

import csv
from decimal import Decimal, InvalidOperation
from pathlib import Path

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.money import LIMIT
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.made import makes

NAME = "costs.csv"
_COLUMNS = ["sku", "currency", "unit_cost"]


@makes("unit_costs", "One row per SKU: what a piece cost, from the file of costs.", kind="source")
def load(connection: Connection, path: Path | None) -> int:
    """Fill the temporary table ``unit_costs``; answers its rows (0 without a file).

    Raises:
        ConfigurationError: a header, an amount or a repeated SKU; the message names the line.
    """
    connection.execute(
        "create or replace temp table unit_costs (sku varchar, currency varchar, unit_cost decimal(18, 4))"
    )
    if path is None or not path.exists():
        return 0
    rows: dict[tuple[str, str], Decimal] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames is None or [name.strip().lower() for name in reader.fieldnames] != _COLUMNS:
            raise ConfigurationError(f"{path}:1: the header has to be {','.join(_COLUMNS)}.")
        for row in reader:
            place = f"{path}:{reader.line_num}"
            sku, currency, told = ((row[name] or "").strip() for name in reader.fieldnames)
            try:
                cost = Decimal(told)
            except InvalidOperation:
                raise ConfigurationError(f"{place}: {told!r} is not an amount; write it like 12.50.") from None
            if not sku or len(currency) != 3 or not cost.is_finite() or not 0 <= cost < LIMIT:
                raise ConfigurationError(
                    f"{place}: give a SKU, a currency of three letters and a cost from 0 to below {LIMIT:,}."
                )
            if (sku, currency) in rows:
                raise ConfigurationError(f"{place}: {sku} in {currency} stands in the file twice.")
            rows[sku, currency] = cost
    if rows:
        connection.executemany(
            "insert into unit_costs values (?, ?, ?)", [(*names, cost) for names, cost in rows.items()]
        )
    return len(rows)
