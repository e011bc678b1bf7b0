"""Tables on the screen whose cells are text: what data, a policy or a file name says is never markup."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text


class DataTable(Table):
    """A table of Rich's; a cell that is a ``str`` is shown as it is."""

    def add_row(self, *cells: RenderableType | None, **given: Any) -> None:
        """One row."""
        super().add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells), **given)
