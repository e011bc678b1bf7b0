"""The SQL models: what their heads have to say, what is refused, and the order in which they run."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from hr_centra_pipeline.warehouse import models, parse_sql
from hr_centra_pipeline.warehouse.models import ModelError, PythonTable

ROOT = Path(__file__).parents[2]
LEDGER = PythonTable("push.ledger", "push/ledger.py", "One row per effect.", "run")
TIES = PythonTable("push.ties", "push/approvals.py", "One row per decision.", "people")


def model(sql: str, *, makes: str = "", kind: str = "table", more: str = "") -> str:
    makes = f"-- makes: {makes}\n" if makes else ""
    return f"{makes}-- kind:  {kind}\n-- grain: one row per unit\n{more}\n{sql};\n"


def parsed(**files: str) -> dict[str, models.Model]:
    """Models by name: ``effects__units`` is the file effects/units.sql."""
    texts = [(f"{name.replace('__', '/')}.sql", text) for name, text in files.items()]
    return {one.file: one for one in parse_sql.parse_all(texts, [LEDGER, TIES]).models}


def refusal(**files: str) -> str:
    with pytest.raises(ModelError) as error:
        parsed(**files)
    return str(error.value)


def test_what_a_model_reads_is_parsed_and_what_it_makes_is_what_its_head_says() -> None:
    sql = """
        create temp table mine as select * from effects.units where unit in (select unit from push.ties);
        insert into effects.due by name with named as (from mine) select * from named
    """
    found = parsed(
        effects__units=model("insert into effects.units select 1", makes="effects.units"),
        effects__due=model(sql, makes="effects.due"),
    )["effects/due.sql"]
    assert found.reads == ("effects.units", "push.ties")
    assert found.creates == ("mine",)
    assert found.flows == {"effects.due": ("effects.units", "push.ties")}


def test_each_table_of_a_file_comes_from_what_its_own_statements_read() -> None:
    sql = "insert into effects.one from push.ties; insert into effects.two select 2"
    found = parsed(effects__both=model(sql, makes="effects.one, effects.two"))["effects/both.sql"]
    assert found.flows == {"effects.one": ("push.ties",), "effects.two": ()}


def test_two_models_that_make_one_name_are_refused() -> None:
    one = model("create temp table done as select 1", makes="done", kind="step")
    assert refusal(effects__a=one, push__b=one) == "done: made by effects/a.sql and by push/b.sql"


def test_a_read_that_nobody_makes_is_refused() -> None:
    reads = model("insert into effects.due from effects.gone", makes="effects.due")
    assert refusal(effects__a=reads) == "effects/a.sql: reads effects.gone, which nobody makes"


@pytest.mark.parametrize("text", ["from nothing", "select is_returnles(1)", "from policy.resaon(1)"])
def test_a_temporary_table_or_macro_that_nobody_makes_is_refused_too(text: str) -> None:
    said = refusal(effects__a=model(f"create temp table one as {text}", makes="one", kind="step"))
    assert re.fullmatch(r"effects/a\.sql: reads (nothing|is_returnles|policy\.resaon), which nobody makes", said)


@pytest.mark.parametrize("call", ["query_table('effects.due')", "my_macro('due')"])
def test_a_table_that_is_named_in_a_text_is_read(call: str) -> None:
    due = model("create temp table due as select 1; insert into effects.due from due", makes="effects.due, due")
    macro = "create macro my_macro(name) as table from query_table(name);"
    reads = model(f"{macro} create temp table one as from {call}", makes="one", kind="step")
    assert {"due", "effects.due"} & set(parsed(effects__a=due, effects__b=reads)["effects/b.sql"].flows["one"])


@pytest.mark.parametrize(
    "statement", ["drop table effects.due", "truncate effects.due", "alter table effects.due add column a int"]
)
def test_what_is_dropped_emptied_or_altered_is_written(statement: str) -> None:
    due = model("insert into effects.due select 1", makes="effects.due")
    other = model(f"create temp table one as select 1; {statement}", makes="one", kind="step")
    assert (
        refusal(effects__a=due, effects__b=other) == "effects/b.sql: writes effects.due, and its head does not say so"
    )


def test_a_line_that_is_none_of_the_head_is_refused() -> None:
    text = model("create temp table one as select 1", makes="one", kind="step", more="-- reads: effects.due\n")
    assert refusal(effects__a=text).startswith("effects/a.sql: its head has no line '-- reads:'")


def test_a_private_temporary_table_of_another_file_is_refused() -> None:
    mine = model("create temp table mine as select 1; insert into effects.one from mine", makes="effects.one")
    reads = model("insert into effects.two from mine", makes="effects.two")
    assert refusal(effects__a=mine, effects__b=reads) == (
        "effects/b.sql: reads mine, which is private to effects/a.sql: name it there in `makes`"
    )


def test_a_read_of_a_package_above_is_refused_until_it_is_declared_as_a_loop() -> None:
    reads = "insert into effects.due from push.ledger"
    assert refusal(effects__a=model(reads, makes="effects.due")) == (
        "effects/a.sql: uses push.ledger of push, a package above its own: "
        "'-- loop: push.ledger: why it may read what the last run left'"
    )
    loop = model(reads, makes="effects.due", more="-- loop:  push.ledger: what was sent\n--        is not due again\n")
    assert parsed(effects__a=loop)["effects/a.sql"].loops == {"push.ledger": "what was sent is not due again"}


def test_a_table_made_from_its_own_last_rows_is_refused_until_it_is_declared_as_a_loop() -> None:
    reads = "create temp table before as from effects.due; delete from effects.due; insert into effects.due from before"
    assert refusal(effects__a=model(reads, makes="effects.due")) == (
        "effects/a.sql: reads effects.due as the last run left it: '-- loop: effects.due: why'"
    )
    loop = model(reads, makes="effects.due", more="-- loop:  effects.due: other orders keep theirs\n")
    assert parsed(effects__a=loop)["effects/a.sql"].flows == {"effects.due": ("effects.due",)}


def test_what_python_reads_of_a_package_above_is_refused_until_it_is_declared_as_a_loop() -> None:
    text = '@makes("landing.one", "One row.", reads=("push.ledger",))\ndef one() -> None: ...'
    (table,) = parse_sql.declared("sources/a.py", text)
    (_, ledger) = (table, PythonTable("push.ledger", "push/ledger.py", "", "run"))
    with pytest.raises(
        ModelError, match=r"sources/a\.py: landing\.one reads push\.ledger of push, a package above its own"
    ):
        parse_sql.parse_all([], [table, ledger])


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("create temp table one as select 1; from one", "step", "is of kind step, and answers rows at its end"),
        ("create temp table one as select 1", "query", "is of kind query, and answers no rows at its end"),
        (
            "create temp table one as with two as (from two) from two",
            "step",
            "the CTE two reads a table of the same name",
        ),
        ("create temp table one as pivot two on three", "step", "sqlglot does not understand"),
    ],
)
def test_what_would_be_read_wrongly_is_refused(text: str, kind: str, says: str) -> None:
    assert says in refusal(effects__a=model(text, makes="one", kind=kind))


def test_a_change_of_what_a_package_above_makes_is_refused_too() -> None:
    above = model("insert into reconciliation.settled select 1", makes="reconciliation.settled")
    changes = model("delete from reconciliation.settled", more="-- changes: reconciliation.settled")
    assert "uses reconciliation.settled of reconciliation, a package above" in refusal(
        reconciliation__a=above, sources__b=changes
    )


def test_what_people_decided_may_be_read_from_everywhere() -> None:
    parsed(matching__a=model("insert into matching.matched from push.ties", makes="matching.matched"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (model("insert into effects.b select 1", makes="effects.a"), "says that it makes effects.a, and does not"),
        (model("insert into effects.a select 1"), "writes effects.a, and its head does not say so"),
        (model("select 1", kind="query", more="-- loop: push.ledger: no reason"), "says that it reads push.ledger as"),
        (model("select 1", kind="query", more="-- loop: push.ledger"), "needs a table and a reason"),
        (model("select 1", kind="view"), "kind 'view' is none of table, step, query, macro"),
        ("-- kind: query\nselect 1;\n", "its head needs one line '-- grain: ...'"),
    ],
)
def test_a_head_that_does_not_hold_is_refused(text: str, says: str) -> None:
    assert says in refusal(effects__a=text)


def test_a_loop_is_read_wherever_it_is_in_the_head_of_a_kind() -> None:
    head = "-- kind:  exception\n-- grain: one row per unit\n-- exception: late\n-- opens: when it\n--        is late\n"
    assert models.head_of(f"{head}-- loop: push.ledger: why\n", "a.sql")["loops"] == {"push.ledger": "why"}


def test_the_lineage_that_is_kept_is_that_of_the_sql() -> None:
    """Write it again with: make lineage"""
    kept = Path(models.__file__).with_name(models.LINEAGE).read_text(encoding="utf-8")
    assert kept == parse_sql.text_of(parse_sql.parse_all())
    assert not models.changed_files()


def test_a_changed_file_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [(file, text + "-- more\n" if file == "effects/units.sql" else text) for file, text in models.files()]
    monkeypatch.setattr(models, "files", lambda: iter(texts))
    assert models.changed_files() == ["effects/units.sql"]
    with pytest.raises(ModelError, match=r"the lineage of effects/units\.sql is not that of the SQL: make lineage"):
        models.refuse_changed()


def test_layers_are_those_that_imports_are_held_to() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    held = [
        name.removeprefix("hr_centra_pipeline.") for name in project["tool"]["importlinter"]["contracts"][0]["layers"]
    ]
    assert [name for name in reversed(held) if name != "definitions"] == list(models.LAYERS)


def test_every_model_runs_after_what_it_needs() -> None:
    there = {one.file for one in models.models().values() if one.kind == "macro"}  # since the database was opened
    for folder in ("effects", "matching", "reconciliation", "oversight", "sources/centra"):
        done: list[str] = []
        for one in models.order(models.made_in(folder), {folder}):
            late = [name for name in one.needs if models.makers().get(name, "").endswith(".sql")]
            needed = {models.makers()[name] for name in late if "." not in name} - {one.file}
            assert needed - there <= set(done), one.file
            done.append(one.file)


def test_what_changes_a_table_runs_before_those_that_read_it() -> None:
    files = [one.file for one in models.order(models.made_in("reconciliation"), {"reconciliation"})]
    for changer in models.changers()["findings"]:
        assert (
            files.index("reconciliation/findings.sql")
            < files.index(changer)
            < files.index("reconciliation/open_now.sql")
        )


def test_a_file_that_answers_rows_runs_last() -> None:
    files = [one.file for one in models.order(["push/sendable_effects.sql"], ())]
    assert files == ["effects/pending_effects.sql", "push/desired_effects.sql", "push/sendable_effects.sql"]


def test_nothing_is_made_for_a_name_that_no_model_makes() -> None:
    with pytest.raises(ModelError, match=r"no SQL model makes push\.ledger"):
        models.order(["push.ledger"], {"push"})


def test_no_table_is_made_from_itself_by_way_of_others() -> None:
    left = {name: set(models.lineage(name).upstream) for name in models.tables()}
    while ready := [name for name, reads in left.items() if not reads & left.keys()]:
        for name in ready:
            del left[name]
    assert not left


def test_the_plan_reads_the_ledger_as_the_last_push_left_it_and_the_reconciliation_as_this_one_did() -> None:
    planned, found = models.lineage("effects.pending_credit_notes"), models.lineage("reconciliation.exceptions")
    assert "push.ledger" in planned.loops
    assert "push.ledger" not in planned.upstream
    assert "push.ledger" in found.upstream
    assert planned.upstream.keys() >= {"staging.payout_lines", "effects.units", "effects.value_given_back"}


def test_downstream_is_the_other_side_of_upstream() -> None:
    assert "effects.chargebacks" in models.downstream("staging.payout_lines")
    assert "effects.observed" in models.looped_by("push.packets")


NO_NOUNS = (
    "adopted again announced answered approved asked backfilled begun beyond booked bound called charged_back claimed "
    "compared complete concerned considered contradicted counted covered credited current dated decided delivered "
    "departed derived desired differing done doubtful due ended entered estimated every exchanged filled finished first "
    "gave given gone good graded graded_once grouped happened held instead judged known landed laned late latest learned "
    "left_over looked_at made made_of made_with measured mine missed moved named nameless nearest netted newest numbered "
    "observed opened ours paid_otherwise paired paying pending pivoted placed planned possible present promised "
    "questioned raised reached reasoned recorded refunded refused replaced resolved returned running said seen sendable "
    "sent settled_before shipped shown small standing summed systematic taken_back taxed theirs tied timed together told "
    "told_again told_before told_gaps told_stock_changes too_much troubled twice typed under_way understood unfinished "
    "unfound waiting walked wanted withdrawn written wrong"
)
NO_NOUN_BEGINS = ("by_", "of_", "on_", "not_", "left_to_", "paid_to_", "put_back_", "booked_by_")


def named_rows(text: str) -> tuple[set[str], set[str]]:
    """The names of the temporary tables and of the common table expressions of a file, as sqlfluff lays them out."""
    tables = re.findall(r"^ *create or replace temp (?:table|view) (\w+)", text, re.MULTILINE)
    queries = re.findall(r"^ *(?:with )?(\w+) as (?:materialized )?\((?!\s*(?:partition|order) by)", text, re.MULTILINE)
    return set(tables), set(queries)


def test_rows_are_named_by_nouns_and_one_name_is_one_thing() -> None:
    rows = {file: named_rows(text) for file, text in models.files()}
    in_python = {file: named_rows("\n".join(string_literals(text))) for file, text in python_files().items()}
    wrong = {
        (file, name)
        for file, (tables, queries) in (rows | in_python).items()
        for name in tables | queries
        if name in NO_NOUNS.split() or name.startswith(NO_NOUN_BEGINS)
    }
    assert not wrong, "say what the rows are: told -> reported_payments"
    tables, queries = (set().union(*(one[place] for one in rows.values())) for place in (0, 1))
    assert not tables & queries, "a temporary table in one file, a common table expression in another"


def test_two_models_that_create_one_temporary_table_are_refused() -> None:
    sql = "create or replace temp table mine as select 1 as one"
    assert "mine: created by effects/a.sql and by effects/b.sql" in refusal(
        effects__a=model(sql, kind="step"), effects__b=model(sql, kind="step")
    )


def python_files() -> dict[str, str]:
    return {file: text for file, text in models.files(".py") if not file.startswith("sandbox/")}


def test_python_reads_no_temporary_table_that_a_model_keeps_for_itself() -> None:
    private = {
        name for model in models.models().values() for name in model.creates if name not in models.makers()
    }  # fmt: skip
    statement = re.compile(r"\b(?:from|join|update|using)\s+(\w+)\b")
    read = {
        (file, name)
        for file, text in python_files().items()
        for name in statement.findall("\n".join(string_literals(text)))
        if name in private and not re.search(rf"temp table {name}\b|\b{name} as \(", text)
    }
    assert read == set()


def string_literals(text: str) -> list[str]:
    return [
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def test_a_model_that_python_runs_to_write_a_table_of_the_push_is_named_as_what_the_table_is_made_from() -> None:
    run = {
        text
        for file, source in python_files().items()
        if file.startswith("push/")
        for text in string_literals(source)
        if text in models.models()
    }
    named = {read for one in models.python_tables().values() for read in one.reads}
    # They fill the journal of the settings and of identities, or are asked before a call; no table of the push is made from them.
    assert run - named <= {"push/recover_identity.sql"}


def test_python_inserts_values_by_the_names_of_their_columns() -> None:
    package = Path(models.__file__).parents[1]
    found = [
        f"{path.relative_to(package)}: {insert}"
        for path in package.rglob("*.py")
        if "sandbox" not in path.parts
        for insert in re.findall(r"insert into [\w.]+\s+values", path.read_text(encoding="utf-8"))
    ]
    assert not found
