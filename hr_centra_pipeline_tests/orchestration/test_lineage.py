"""What Dagster draws beside what the SQL reads: found once more from outside, statement by statement, by sqlglot alone."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlglot
from sqlglot import exp

import hr_centra_pipeline
from hr_centra_pipeline.definitions import defs
from hr_centra_pipeline.orchestration.asset_tables import INPUTS
from hr_centra_pipeline.orchestration.presentation import group_in_flow
from hr_centra_pipeline.warehouse import models, policy_tables

HERE = Path(hr_centra_pipeline.__file__).parent
GRAPH = defs.resolve_asset_graph()
BY_PYTHON = {
    name: set(one.reads) for name, one in models.python_tables().items() if one.file != "warehouse/policy_tables.py"
}
IN_PYTHON_ONLY = {"exports.month_pack", "published.tables", "published.pages"}


def name_of(key: dg.AssetKey) -> str:
    return ".".join(key.path)


MADE = sorted({name_of(key) for key in GRAPH.materializable_asset_keys} - IN_PYTHON_ONLY)
EXTERNAL = sorted(name_of(key) for key in GRAPH.external_asset_keys)


@cache
def reads_by_name() -> dict[str, set[str]]:
    """Each table, temporary table, macro and file, and the names in the statements that write it."""
    found: dict[str, set[str]] = defaultdict(set)
    texts = {
        path.relative_to(HERE).as_posix(): path.read_text(encoding="utf-8")
        for path in HERE.rglob("*.sql")
        if path.parent.name != "migrations"
    }
    texts["warehouse/policy_tables.py"] = policy_tables.DDL
    for file, text in texts.items():
        heads = re.findall(r"^-- makes: (.*(?:\n--   .*)*)$", text, re.MULTILINE)
        handed_over = {name for head in heads for name in re.findall(r"[\w.]+", head)}
        created = set(re.findall(r"create or replace temp (?:table|macro) (\w+)", text))

        def own(name: str, file: str = file, mine: frozenset[str] = frozenset(created - handed_over)) -> str:
            return f"{file}:{name}" if name in mine else name

        for statement in sqlglot.parse(text, dialect="duckdb"):
            if statement is None:
                continue
            written = written_by(statement)
            of_this = {one.alias for one in statement.find_all(exp.CTE)}
            read = {
                f"{one.db}.{one.name}" if one.db else one.name
                for one in statement.find_all(exp.Table)
                if one.name and (one.db or one.name not in of_this)
            }
            read |= {
                f"{one.parent.this.name}.{one.name}" if isinstance(one.parent, exp.Dot) else one.name
                for one in statement.find_all(exp.Anonymous)
            }
            found[own(written)] |= {own(name) for name in read} - {written}
            found[file] |= {own(name) for name in read} - created
    return {**found, **{name: reads | found.get(name, set()) for name, reads in BY_PYTHON.items()}}


def written_by(statement: Any) -> str:
    if not isinstance(statement, (exp.Create, exp.Insert, exp.Update, exp.Delete, exp.Merge)):
        return ""
    target = statement.this
    while isinstance(target, (exp.Schema, exp.UserDefinedFunction)):
        target = target.this
    return str(target.sql(dialect="duckdb")).split(" AS ")[0]


def tables_behind(name: str) -> set[str]:
    """The tables that a table is made from, through whatever is no table; itself aside."""
    found: set[str] = set()
    seen: set[str] = set()
    left = [name]
    while left:
        one = left.pop()
        if one in seen:
            continue
        seen.add(one)
        for read in reads_by_name().get(one, ()):
            is_table = re.fullmatch(r"[a-z_]+\.[a-z_]+", read) and read in {*MADE, *EXTERNAL}
            if is_table and read != name:
                found.add(read)
            elif not is_table:
                left.append(read)
    return found


@pytest.mark.parametrize("name", [*MADE, *EXTERNAL])
def test_dependencies_are_what_is_read_none_missing_and_none_unread(name: str) -> None:
    node = GRAPH.get(dg.AssetKey(name.split(".")))
    drawn = {name_of(key) for key in node.parent_keys}
    marked = node.metadata.get("reads as the last run left it")
    loops = set(marked.value) if marked else set()
    assert not drawn & loops
    assert drawn | (loops - {name}) == tables_behind(name)


def read_in_texts(text: str) -> dict[str, int]:
    """The tables that the SQL in a Python file's texts reads, each with a line; docstrings aside."""
    tree = ast.parse(text)
    docstrings = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return {
        found[1]: node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings
        for found in re.finditer(r"(?<!delete )\b(?:from|join)\s+([a-z_]+\.[a-z_]+)", node.value)
        if found[1] in {*MADE, *EXTERNAL}
    }


# Python that makes a table and reads others for something else.
NO_INPUT = {
    "month_end/close.py": ({"month_end.late_items"}, "whether a month may be closed"),
    "reconciliation/shadow.py": ({"reconciliation.shadow"}, "the report on a period"),
    "sources/centra/centra_landing.py": ({"landing.centra_returns"}, "whether what came is what is there"),
}


def test_whatever_python_reads_for_the_tables_it_makes_is_declared() -> None:
    """Of what people decide nothing is made: an approval is checked beside many tables."""
    by_file: dict[str, list[models.PythonTable]] = defaultdict(list)
    for table in models.python_tables().values():
        by_file[table.file].append(table)
    undeclared = {}
    for file, text in models.files(".py"):
        made = by_file.get(file, [])
        if not made or all(one.is_readable_everywhere for one in made):
            continue
        declared = {name for one in made for name in (one.table, *one.reads)} | NO_INPUT.get(file, (set(),))[0]
        if left := read_in_texts(text).keys() - declared:
            undeclared[file] = left
    assert undeclared == {}


def test_a_loop_is_said_with_its_reason_where_the_table_is_described() -> None:
    node = GRAPH.get(dg.AssetKey(["effects", "pending_credit_notes"]))
    assert "Reads as the last run left it" in str(node.description)
    assert "`push.ledger`: a due credit says whether an earlier push has begun it" in str(node.description)


def test_no_loop_is_left_in_the_graph() -> None:
    left = {key: set(GRAPH.get(key).parent_keys) for key in GRAPH.get_all_asset_keys()}
    while ready := [key for key, parents in left.items() if not parents & left.keys()]:
        for key in ready:
            del left[key]
    assert not left


def test_what_is_read_through_an_external_table_is_made_before_its_reader() -> None:
    """Dagster orders steps by the edges between assets that it makes; those of external ones it only draws."""

    def made_before(key: dg.AssetKey) -> set[dg.AssetKey]:
        return {
            parent
            for parent in GRAPH.get_ancestor_asset_keys(key)
            if parent in GRAPH.materializable_asset_keys and parent.path[0] != "exports"
        }

    steps: dict[str, set[str]] = defaultdict(set)
    for key in GRAPH.materializable_asset_keys:
        step = GRAPH.get(key).assets_def.op.name
        parents = GRAPH.get(key).parent_keys & GRAPH.materializable_asset_keys
        steps[step] |= {GRAPH.get(parent).assets_def.op.name for parent in parents} - {step}

    def steps_before(step: str, seen: frozenset[str] = frozenset()) -> set[str]:
        return {one for before in steps[step] - seen for one in (before, *steps_before(before, seen | {before}))}

    for key in GRAPH.external_asset_keys:
        needed = {GRAPH.get(parent).assets_def.op.name for parent in made_before(key)}
        for reader in GRAPH.get(key).child_keys & GRAPH.materializable_asset_keys:
            step = GRAPH.get(reader).assets_def.op.name
            if step not in ("read_history", "month_tables"):  # jobs of their own
                assert needed <= {step, *steps_before(step)}, f"{step} reads {key.to_user_string()}"


def test_what_nobody_makes_in_a_run_is_described_in_a_group_of_its_own() -> None:
    for key in GRAPH.external_asset_keys:
        assert GRAPH.get(key).description
    inputs = {name_of(key) for key in GRAPH.external_asset_keys if GRAPH.get(key).group_name == group_in_flow(INPUTS)}
    assert inputs >= {"policy.parameters", "push.ties", "push.adoptions", "month_end.closes"}
    assert all(name.startswith("policy.") or models.python_tables()[name].kind == "people" for name in inputs)
