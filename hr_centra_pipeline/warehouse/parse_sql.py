"""What a SQL file reads, writes and creates, read from its syntax tree. For developers: a run reads ``lineage.jsonl``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import sqlglot
from sqlglot import exp

from hr_centra_pipeline.warehouse import models
from hr_centra_pipeline.warehouse.models import Model, ModelError

_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)


def parse(file: str, text: str) -> Model:
    """One model. Reads still hold macros of DuckDB and of ``core``: ``parse_all`` knows which are ours.

    Raises:
        ModelError: its head does not hold.
    """
    created: list[str] = []
    writes: dict[str, None] = {}
    reads: dict[str, None] = {}
    for statement in sqlglot.parse(text, dialect="duckdb"):
        if statement is None:
            continue
        target: exp.Expression | None = None
        if isinstance(statement, exp.Create):
            made = (
                statement.this.this
                if isinstance(statement.this, (exp.Schema, exp.UserDefinedFunction))
                else statement.this
            )
            target = made if isinstance(made, exp.Table) else None
            created.append(_name(made) if isinstance(made, exp.Table) else made.name)
        elif isinstance(statement, _WRITES):
            target = statement.this.this if isinstance(statement.this, exp.Schema) else statement.this
            if isinstance(target, exp.Table):
                writes[_name(target)] = None
        for table in statement.find_all(exp.Table):
            if table is not target and isinstance(table.this, exp.Identifier) and not _is_cte(table):
                reads[_name(table)] = None
        for call in statement.find_all(exp.Anonymous):
            reads[call.name] = None
    permanent = [name for name in [*writes, *created] if "." in name]
    temporary = [name for name in created if "." not in name]
    return Model(
        file=file,
        **models.head_of(text, file),
        reads=tuple(sorted(name for name in reads if name not in created)),
        writes=tuple(sorted({*permanent, *(name for name in writes if name not in created)})),
        creates=tuple(sorted(set(temporary))),
        sha256=models.sha256_of(text),
    )


def _name(table: exp.Table) -> str:
    return f"{table.db}.{table.name}" if table.db else table.name


def _is_cte(table: exp.Table) -> bool:
    """Whether the name is that of a CTE of the query that it is in, or of one around it."""
    if table.db:
        return False
    above = table.parent
    while above is not None:
        clause = above.args.get("with_") or above.args.get("with")
        if clause is not None and any(one.alias == table.name for one in clause.expressions):
            return True
        above = above.parent
    return False


def parse_all(texts: Iterable[tuple[str, str]] | None = None) -> list[Model]:
    """Every model of the package, or of ``(file, text)``, checked beside the others.

    Raises:
        ModelError: what does not hold, a line each.
    """
    parsed = [parse(file, text) for file, text in (models.files() if texts is None else texts)]
    ours = {name for model in parsed for name in model.creates}
    found = [
        replace(
            model, reads=tuple(name for name in model.reads if "." in name or name in ours or _is_table(name, model))
        )
        for model in parsed
    ]
    if wrong := list(_wrong(found)):
        raise ModelError("\n".join(wrong))
    return found


def _is_table(name: str, model: Model) -> bool:
    return name in MADE_IN_PYTHON


MADE_IN_PYTHON = frozenset({"graded_once", "payout_types", "unit_costs"})
"""Temporary tables that Python fills before a model reads them."""


def _wrong(found: list[Model]) -> Iterable[str]:
    makers: dict[str, str] = {}
    for model in found:
        for name in model.makes:
            if name in makers:
                yield f"{name}: made by {makers[name]} and by {model.file}"
            makers[name] = model.file
    for model in found:
        made = {*model.writes, *model.creates}
        for name in model.makes:
            if name not in made:
                yield f"{model.file}: says that it makes {name}, and does not"
        for name in model.writes:
            if name not in {*model.makes, *model.changes}:
                yield f"{model.file}: writes {name}, and its head does not say so"
        for name in model.changes:
            if name not in model.writes:
                yield f"{model.file}: says that it changes {name}, and does not"
        for name in model.loops:
            if name not in model.reads:
                yield f"{model.file}: says that it reads {name} as the last run left it, and does not read it"
        for name in model.reads:
            if "." not in name and name not in makers and name not in MADE_IN_PYTHON:
                others = [other.file for other in found if name in other.creates]
                yield f"{model.file}: reads {name}, which is private to {', '.join(others) or 'nobody'}: name it in `makes`"


def write() -> list[Model]:
    """Parse every file and keep what was found in ``lineage.jsonl``."""
    found = parse_all()
    path = Path(models.__file__).with_name(models.LINEAGE)
    path.write_text("".join(models.line_of(model) + "\n" for model in found), encoding="utf-8")
    return found


if __name__ == "__main__":
    print(f"{len(write())} models")
