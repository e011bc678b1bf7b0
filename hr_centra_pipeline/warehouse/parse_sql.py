"""What a SQL file reads, writes and creates, read from its syntax tree. For developers: a run reads ``lineage.jsonl``."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import duckdb
import sqlglot
from sqlglot import exp

from hr_centra_pipeline.core import keys, kinds, money
from hr_centra_pipeline.warehouse import models, policy_tables
from hr_centra_pipeline.warehouse.models import Model, ModelError, PythonTable

_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Drop, exp.Alter, exp.TruncateTable)
_POLICY = "warehouse/policy_tables.py"


@dataclass(frozen=True)
class _Statement:
    target: str
    """What it creates or writes; empty for a query."""
    creates: bool
    is_macro: bool
    reads: frozenset[str]
    texts: frozenset[str]
    """Texts that it gives to macros that answer tables: one may name a table (``query_table``)."""
    comment: str


@dataclass(frozen=True)
class Parsed:
    """All that ``lineage.jsonl`` holds."""

    models: tuple[Model, ...]
    python_tables: tuple[PythonTable, ...]


def _statements(text: str) -> Iterator[_Statement]:
    for statement in sqlglot.parse(text, dialect="duckdb"):
        if statement is None:
            continue
        if isinstance(statement, exp.Command):
            raise ModelError(f"sqlglot does not understand {statement.sql()[:60]!r}: its reads would be lost")
        target: exp.Expression | None = None
        name = ""
        if isinstance(statement, exp.Create):
            made = (
                statement.this.this
                if isinstance(statement.this, (exp.Schema, exp.UserDefinedFunction))
                else statement.this
            )
            target = made if isinstance(made, exp.Table) else None
            name = _name(made) if isinstance(made, exp.Table) else made.sql(dialect="duckdb")
        elif isinstance(statement, _WRITES):
            written = statement.this or (statement.args.get("tables") or statement.expressions)[0]
            target = written.this if isinstance(written, exp.Schema) else written
            name = _name(target) if isinstance(target, exp.Table) else ""
        reads = {
            _name(table)
            for table in statement.find_all(exp.Table)
            if table is not target and isinstance(table.this, exp.Identifier) and not _is_cte(table)
        }
        calls = list(statement.find_all(exp.Anonymous))
        reads |= {_called(call) for call in calls}
        texts = {
            str(one.this)
            for call in calls
            if isinstance(call.parent, exp.Table)
            for one in call.expressions
            if isinstance(one, exp.Literal) and one.is_string
        }
        comment = " ".join(" ".join(statement.comments or []).split())
        creates = isinstance(statement, exp.Create)
        is_macro = creates and str(statement.args["kind"]).upper() not in ("TABLE", "VIEW", "SCHEMA", "SEQUENCE")
        yield _Statement(name, creates, is_macro, frozenset(reads), frozenset(texts), comment)


def _name(table: exp.Table) -> str:
    return f"{table.db}.{table.name}" if table.db else table.name


def _called(call: exp.Anonymous) -> str:
    """The name of a macro, with its schema if it has one."""
    above = call.parent
    if isinstance(above, exp.Dot) and above.expression is call:
        return f"{above.this.name}.{call.name}"
    if isinstance(above, exp.Table) and above.db:
        return f"{above.db}.{call.name}"
    return str(call.name)


def _is_cte(table: exp.Table) -> bool:
    """Whether the name is that of a CTE of the query that it is in, or of one around it."""
    if table.db:
        return False
    above = table.parent
    while above is not None:
        clause = above.args.get("with_") or above.args.get("with")
        if clause is not None and (mine := [one for one in clause.expressions if one.alias == table.name]):
            if table.find_ancestor(exp.CTE) in mine and not clause.args.get("recursive"):
                raise ModelError(f"the CTE {table.name} reads a table of the same name: give it a name of its own")
            return True
        above = above.parent
    return False


def parse(file: str, text: str, names: Collection[str] = ()) -> Model:
    """One model. Reads still hold functions of DuckDB and of ``core``: ``parse_all`` knows which are ours.

    names: what all models make; a text that is given to a macro and is one of them, or what this one creates, is read.

    Raises:
        ModelError: its head does not hold.
    """
    head = models.head_of(text, file)
    try:
        statements = list(_statements(text))
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    created = {one.target for one in statements if one.creates}
    written = {one.target for one in statements if one.target and not one.creates}
    statements = [
        replace(one, reads=one.reads | {text for text in one.texts if text in names or text in created})
        for one in statements
    ]
    reads = {name for one in statements for name in one.reads}
    flows: dict[str, set[str]] = {}
    for one in statements:
        flows.setdefault(one.target, set()).update(one.reads)
    handed_over = [*head["makes"], *head["changes"]]
    private = {name for name in created if name not in handed_over}
    whole = {name: _through(name, flows, private) for name in handed_over}
    for name in head["makes"]:
        if "." in name and name in whole[name] and name not in head["loops"]:
            raise ModelError(f"{file}: reads {name} as the last run left it: '-- loop: {name}: why'")
    if head["kind"] != "exception" and statements and (head["kind"] == "query") == bool(statements[-1].target):
        says = "answers no rows at its end" if head["kind"] == "query" else "answers rows at its end"
        raise ModelError(f"{file}: is of kind {head['kind']}, and {says}")
    return Model(
        file=file,
        **head,
        reads=tuple(sorted(reads - created)),
        writes=tuple(sorted({name for name in created if "." in name} | (written - created))),
        creates=tuple(sorted(name for name in created if "." not in name)),
        flows={name: tuple(sorted(reads - ({name} - head["loops"].keys()))) for name, reads in whole.items()},
        sha256=models.sha256_of(text),
    )


def _through(name: str, flows: dict[str, set[str]], private: Collection[str]) -> set[str]:
    """What a name is made from, where the file's own temporary tables are replaced by what they are made from."""
    found: set[str] = set()
    seen: set[str] = set()
    left = [name]
    while left:
        one = left.pop()
        if one in seen:
            continue
        seen.add(one)
        for read in flows.get(one, ()):
            if read in private:
                left.append(read)
            else:
                found.add(read)
    return found


@cache
def functions() -> frozenset[str]:
    """The names of all functions that a connection has from the start."""
    with duckdb.connect() as connection:
        for macros in (keys.SQL_MACROS, money.SQL_MACROS, kinds.SQL_MACROS):
            connection.execute(macros)
        return frozenset(
            name for (name,) in connection.execute("select function_name from duckdb_functions()").fetchall()
        )


def policy() -> list[PythonTable]:
    """The tables and macros of the policy, parsed from the SQL in ``policy_tables.py``."""
    found = []
    for one in _statements(policy_tables.DDL):
        if one.target.partition(".")[2]:
            kind = "macro" if one.is_macro else "policy"
            found.append(PythonTable(one.target, _POLICY, one.comment, kind, tuple(sorted(one.reads))))
    return found


def declared(file: str, text: str) -> list[PythonTable]:
    """What the functions of a Python file say that they make (``made.makes``).

    Raises:
        ModelError: an argument is not a plain text.
    """
    if "makes(" not in text:
        return []
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        for call in node.decorator_list:
            if not (isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] == "makes"):
                continue
            try:
                table, grain = (ast.literal_eval(one) for one in call.args)
                more = {one.arg or "": ast.literal_eval(one.value) for one in call.keywords}
                kind, reads, loops = more.pop("kind", "run"), more.pop("reads", ()), more.pop("loops", {})
            except ValueError as error:
                raise ModelError(f"{file}: what {node.name} makes has to be said in plain texts: {error}") from error
            found.append(PythonTable(table, file, grain, kind, tuple(sorted({*reads, *loops})), loops))
    return found


def parse_all(texts: Iterable[tuple[str, str]] | None = None, python: Iterable[PythonTable] | None = None) -> Parsed:
    """Every model of the package, or of ``(file, text)``, checked beside the others and beside what Python makes.

    Raises:
        ModelError: what does not hold, a line each.
    """
    if python is None:
        python = [*policy(), *(one for file, text in models.files(".py") for one in declared(file, text))]
    python = sorted(python, key=lambda one: one.table)
    given = list(models.files() if texts is None else texts)
    names = {name for file, text in given for name in models.head_of(text, file)["makes"]} | {
        one.table for one in python
    }
    parsed = [parse(file, text, names) for file, text in given]
    ours = {name for model in parsed for name in (*model.creates, *model.makes)} | {one.table for one in python}

    def known(model: Model, names: Iterable[str]) -> tuple[str, ...]:
        """Without functions of DuckDB and ``core``; what is private to another file, or nobody's, stays, to be reported."""
        return tuple(name for name in names if name in ours or name in model.creates or name not in functions())

    found = [
        replace(
            model,
            reads=known(model, model.reads),
            flows={name: known(model, reads) for name, reads in model.flows.items()},
        )
        for model in parsed
    ]
    if wrong := [*_wrong(found, python), *_crossings(found, python)]:
        raise ModelError("\n".join(wrong))
    return Parsed(tuple(found), tuple(python))


def _wrong(found: list[Model], python: list[PythonTable]) -> Iterator[str]:
    """Two models that make one name, reads that nobody makes, heads that say what the SQL does not do."""
    makers: dict[str, str] = {}
    for file, name in [
        *((model.file, name) for model in found for name in model.makes),
        *((one.file, one.table) for one in python),
    ]:
        if name in makers:
            yield f"{name}: made by {makers[name]} and by {file}"
        makers[name] = file
    creators: dict[str, str] = {}
    for model in found:
        made = {*model.writes, *model.creates}
        for name in model.creates:
            if name in creators and name not in makers:
                yield f"{name}: created by {creators[name]} and by {model.file}, which run on one connection"
            creators[name] = model.file
        for name in model.makes:
            if name not in made:
                yield f"{model.file}: says that it makes {name}, and does not"
        for name in model.writes:
            if name not in {*model.makes, *model.changes}:
                yield f"{model.file}: writes {name}, and its head does not say so"
        for name in model.changes:
            if name not in model.writes:
                yield f"{model.file}: says that it changes {name}, and does not"
            elif name not in makers:
                yield f"{model.file}: changes {name}, which nobody makes"
        for name in model.loops:
            if name not in {*model.reads, *model.changes}:
                yield f"{model.file}: says that it reads {name} as the last run left it, and does not read it"
        for name in model.reads:
            if name in makers or name in model.creates:
                continue
            others = [other.file for other in found if name in other.creates]
            if others:
                yield f"{model.file}: reads {name}, which is private to {', '.join(others)}: name it there in `makes`"
            else:
                yield f"{model.file}: reads {name}, which nobody makes"


def _crossings(found: list[Model], python: list[PythonTable]) -> Iterator[str]:
    """Reads and changes of what a package above makes, that are not declared as loops."""
    makers = {name: model.file for model in found for name in model.makes}
    makers = {one.table: one.file for one in python if not one.is_readable_everywhere} | makers
    for model in found:
        for name in (*model.reads, *model.changes):
            maker = makers.get(name, model.file)
            if models.layer(maker) > models.layer(model.file) and name not in model.loops:
                yield (
                    f"{model.file}: uses {name} of {maker.rpartition('/')[0]}, a package above its own: "
                    f"'-- loop: {name}: why it may read what the last run left'"
                )
    files = {model.file for model in found}
    known = {*makers, *(one.table for one in python), *files}
    for one in python:
        for name in one.reads:
            if name not in known and one.kind != "macro":  # a macro may call those of core.money
                yield f"{one.file}: {one.table} reads {name}, which nobody makes"
            maker = makers.get(name, one.file)
            if (
                not one.is_readable_everywhere
                and models.layer(maker) > models.layer(one.file)
                and name not in one.loops
            ):
                yield f"{one.file}: {one.table} reads {name} of {maker.rpartition('/')[0]}, a package above its own: loops={{...}}"


def text_of(parsed: Parsed) -> str:
    """``lineage.jsonl`` as it has to be."""
    lines = [*map(models.line_of, parsed.models), *map(models.line_of, parsed.python_tables)]
    return "".join(f"{line}\n" for line in lines)


def main(arguments: Collection[str]) -> int:
    """Write ``lineage.jsonl``; with ``--check``: say whether it is that of the SQL."""
    try:
        text = text_of(parse_all())
    except ModelError as error:
        print(error)
        return 1
    path = Path(models.__file__).with_name(models.LINEAGE)
    if "--check" not in arguments:
        path.write_text(text, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != text:
        print(f"{path.name} is not that of the SQL: make lineage")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
