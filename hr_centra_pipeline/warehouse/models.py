"""The SQL models: what each file makes, needs and changes, and the order in which they run.

The head of a file says what nobody can read off its SQL::

    -- makes: effects.pending_credit_notes, order_blocks
    -- kind:  table
    -- grain: one row per credit that is due and not in Centra
    -- loop:  push.ledger: planning reads what the last push committed

What it reads and writes is parsed from the SQL (``parse_sql.py``) and kept beside it in ``lineage.jsonl``, so that a run parses
nothing; ``make lineage`` writes that file, and a test compares it with the SQL.

- ``makes``: tables of a schema that the file fills, and temporary tables and macros that other files may read. Whatever
  else the file creates is its own.
- ``changes``: tables that another file makes and this one adds to or corrects. Everybody else reads them afterwards.
- ``kind``: ``table`` (fills tables that stay), ``step`` (temporary tables for later models), ``query`` (answers rows),
  ``macro`` (macros that every connection of the database has, created when it is opened), ``exception`` (what opens a kind of
  exception: ``core/exception_kinds.py``; what closes them all is ``reconciliation/closings.sql``).
- ``loop``: a table that is made later in a run, and read as the last run left it; with the reason. A model reads tables of
  its own package and of those below it (``LAYERS``); any other read has to be such a loop. What the policy says and what
  people decided may be read from everywhere.

Tables that Python makes are declared beside the function that does (``made.py``) and kept in the same file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from hr_centra_pipeline.core import exception_kinds
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.warehouse.database import Connection, run_sql

PACKAGE = "hr_centra_pipeline"
LINEAGE = "lineage.jsonl"
KINDS = ("table", "step", "query", "macro", "exception")
LAYERS = (
    "core", "warehouse", "inbox", "sources", "matching", "effects", "push", "reconciliation", "month_end", "publishing",
    "decisions", "oversight", "pages", "orchestration", "cli",
)  # fmt: skip
"""The packages from the lowest to the highest, as import-linter holds them (a test compares)."""
_LEFT_OUT = "warehouse/migrations"
_HEAD = ("makes", "changes", "kind", "grain", "loop")
_MISTAKEN = ("make", "change", "kinds", "grains", "loops", "reads", "writes", "creates")
"""What one may take for a line of the head."""


class ModelError(Exception):
    """A model's head or lineage does not hold; the message names the file."""


@dataclass(frozen=True)
class Model:
    """One SQL file: its head, and what was parsed from it. ``file`` is below the package, as ``effects/units.sql``."""

    file: str
    kind: str
    grain: str
    makes: tuple[str, ...]
    changes: tuple[str, ...] = ()
    loops: Mapping[str, str] = field(default_factory=dict)
    """Table that is read as the last run left it → why."""
    reads: tuple[str, ...] = ()
    """Tables and macros that it reads and does not create itself, parsed."""
    writes: tuple[str, ...] = ()
    """Tables with a schema that it writes, parsed."""
    creates: tuple[str, ...] = ()
    """Temporary tables and macros that it creates, parsed."""
    flows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What it makes or changes → those of its reads that this comes from, statement by statement."""
    sha256: str = ""

    @property
    def package(self) -> str:
        """The Python package that the file is in."""
        return ".".join([PACKAGE, *self.file.split("/")[:-1]])

    @property
    def needs(self) -> tuple[str, ...]:
        """What has to be made before it runs: its reads without the loops, and what it changes."""
        return tuple(dict.fromkeys([*(name for name in self.reads if name not in self.loops), *self.changes]))


@dataclass(frozen=True)
class PythonTable:
    """What Python makes: as declared beside the function (``made.makes``), or a table or macro of ``policy``."""

    table: str
    file: str
    grain: str
    kind: str
    """``source``, ``policy``, ``people``, ``run`` (see ``made.makes``), or ``macro``: that is not a table, but what it reads."""
    reads: tuple[str, ...] = ()
    loops: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_readable_everywhere(self) -> bool:
        """It is there before any run: no package comes before it."""
        return self.kind in ("policy", "people", "macro")


@dataclass(frozen=True)
class Flow:
    """One of the ways by which a name is filled: the file, what it reads for it, and which of that as the last run left it."""

    file: str
    reads: tuple[str, ...]
    loops: Mapping[str, str]


def head_of(text: str, file: str) -> dict[str, Any]:
    """The head of a file: ``makes``, ``changes``, ``kind``, ``grain`` and ``loops``.

    Raises:
        ModelError: a line of it is missing or says nothing that is known.
    """
    found: dict[str, list[str]] = {}
    last = ""
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        body = line[2:].strip()
        name, colon, rest = body.partition(":")
        if colon and name in _HEAD:
            found.setdefault(name, []).append(rest.strip())
            last = name
        elif last and line.startswith("--   ") and body:
            found[last][-1] += " " + body
        elif found.get("kind") == ["exception"]:
            last = ""  # a line of the kind's own (core/exception_kinds.py)
        elif colon and name in _MISTAKEN:
            raise ModelError(f"{file}: its head has no line '-- {name}:'; it has {', '.join(_HEAD)}")
        else:
            break
    for name in ("kind", "grain"):
        if len(found.get(name, ())) != 1:
            raise ModelError(f"{file}: its head needs one line '-- {name}: ...'")
    if found["kind"][0] not in KINDS:
        raise ModelError(f"{file}: kind {found['kind'][0]!r} is none of {', '.join(KINDS)}")
    loops = {}
    for one in found.get("loop", ()):
        names, colon, reason = one.partition(":")
        if not colon or not reason.strip():
            raise ModelError(f"{file}: '-- loop: {one}' needs a table and a reason: '-- loop: push.ledger: why'")
        loops.update({name: reason.strip() for name in _names([names])})
    return {
        "kind": found["kind"][0],
        "grain": found["grain"][0],
        "makes": _names(found.get("makes", ())),
        "changes": _names(found.get("changes", ())),
        "loops": loops,
    }


def _names(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.strip() for line in lines for name in line.split(",") if name.strip())


def files(ending: str = ".sql") -> Iterator[tuple[str, str]]:
    """Every SQL file of the package with its text, migrations aside, in the order of names; or the files of another ending."""

    def below(folder: Traversable, path: str) -> Iterator[tuple[str, str]]:
        for one in sorted(folder.iterdir(), key=lambda entry: entry.name):
            here = f"{path}/{one.name}" if path else one.name
            if here == _LEFT_OUT or one.name.startswith("__"):
                continue
            if one.is_dir():
                yield from below(one, here)
            elif one.name.endswith(ending):
                yield here, exception_kinds.sql_of(one.read_text(encoding="utf-8"))

    yield from below(resources.files(PACKAGE), "")


@cache
def _kept() -> tuple[dict[str, Any], ...]:
    text = resources.files(f"{PACKAGE}.warehouse").joinpath(LINEAGE).read_text(encoding="utf-8")
    return tuple(json.loads(line) for line in text.splitlines())


@cache
def models() -> Mapping[str, Model]:
    """Every model by its file, as kept in ``lineage.jsonl``."""
    return {line["file"]: _model(dict(line)) for line in _kept() if "table" not in line}


@cache
def python_tables() -> Mapping[str, PythonTable]:
    """What Python makes, by name."""
    return {
        line["table"]: PythonTable(**{**line, "reads": tuple(line["reads"])}) for line in _kept() if "table" in line
    }


def _model(told: dict[str, Any]) -> Model:
    lists = ("makes", "changes", "reads", "writes", "creates")
    flows = {name: tuple(reads) for name, reads in told["flows"].items()}
    return Model(**{**told, **{name: tuple(told[name]) for name in lists}, "flows": flows})


def line_of(one: Model | PythonTable) -> str:
    """A model as a line of ``lineage.jsonl``."""
    return json.dumps(vars(one), default=dict)


def sha256_of(text: str) -> str:
    """By which a changed file is known."""
    return hashlib.sha256(text.encode()).hexdigest()


def changed_files() -> list[str]:
    """SQL files whose lineage is not the one that is kept: empty in anything that is released."""
    known = {model.file: model.sha256 for model in models().values()}
    return [file for file, text in files() if known.pop(file, None) != sha256_of(text)] + sorted(known)


def refuse_changed() -> None:
    """What is drawn and run in order is what the SQL says.

    Raises:
        ModelError: files have changed since their lineage was read.
    """
    if changed := changed_files():
        raise ModelError(f"the lineage of {', '.join(changed)} is not that of the SQL: make lineage")


@cache
def makers() -> Mapping[str, str]:
    """The file that makes each name."""
    found = {name: model.file for model in models().values() for name in model.makes}
    return found | {name: one.file for name, one in python_tables().items() if name not in found}


@cache
def changers() -> Mapping[str, tuple[str, ...]]:
    """The files that change what another one makes, by name."""
    found: dict[str, tuple[str, ...]] = {}
    for model in models().values():
        for name in model.changes:
            found[name] = (*found.get(name, ()), model.file)
    return found


def _model_that_makes(name: str) -> Model | None:
    return models().get(makers().get(name, ""))


def order(wanted: Iterable[str], within: Iterable[str], again: Iterable[str] = ()) -> tuple[Model, ...]:
    """The models that make what is wanted, each after what it needs.

    Args:
        wanted: tables and temporary tables; or a file (``push/sendable_effects.sql``), with what it needs.
        within: packages whose tables are made now; those of others are there. Temporary tables are always made.
        again: tables of other packages that are made once more.

    Raises:
        ModelError: what is wanted is made by no model, or models need each other.
    """
    return _order(tuple(wanted), frozenset(within), frozenset(again))


@cache
def _order(wanted: tuple[str, ...], within: frozenset[str], again: frozenset[str]) -> tuple[Model, ...]:
    edges: dict[str, set[str]] = {}
    left: list[str] = []

    def is_made_now(name: str, file: str) -> bool:
        return "." not in name or name in again or _folder(models()[file]) in within

    def add(file: str) -> None:
        if file not in edges:
            edges[file] = set()
            model = models()[file]
            left.extend([*model.needs, *(made for made in model.makes if made in changers())])

    for name in wanted:
        if name in models():
            add(name)
        elif _model_that_makes(name) is not None:
            left.append(name)
        else:
            raise ModelError(f"no SQL model makes {name}")
    seen: set[str] = set()
    while left:
        name = left.pop()
        maker = _model_that_makes(name)
        if name in seen or maker is None or maker.kind == "macro":
            continue  # made in Python, or there since the database was opened
        seen.add(name)
        for one in (maker.file, *changers().get(name, ())):
            if is_made_now(name, one):
                add(one)
    for one, before in edges.items():
        for name in models()[one].needs:
            before.update(file for file in _finished_by(name, one) if file in edges and is_made_now(name, file))
        before.discard(one)
    try:
        ordered = tuple(TopologicalSorter({one: sorted(edges[one]) for one in sorted(edges)}).static_order())
    except CycleError as error:
        raise ModelError(f"models need each other: {' → '.join(error.args[1])}") from error
    return tuple(models()[one] for one in ordered)


def _finished_by(name: str, reader: str) -> tuple[str, ...]:
    """Who has to run before ``reader`` reads a name: its maker and, unless it is one of them, those who change it."""
    maker = _model_that_makes(name)
    others = changers().get(name, ())
    if reader in others:
        return (maker.file,) if maker else ()
    if maker is None:
        return others
    return (maker.file,) if reader == maker.file else (maker.file, *others)


def _folder(model: Model) -> str:
    return model.file.rpartition("/")[0]


def run(
    connection: Connection,
    wanted: Iterable[str],
    within: Iterable[str] = (),
    parameters: Mapping[str, Any] | None = None,
    *,
    again: Iterable[str] = (),
    done: Collection[str] = (),
) -> frozenset[str]:
    """Make what is wanted (see ``order``), but for the files that are ``done``; answers the files that are done now.

    Where a file is wanted that answers rows, they can be fetched afterwards: nothing runs after it.

    Raises:
        RunFailed: the lineage that is kept is not that of the SQL.
    """
    try:
        todo = order(wanted, within, again)
    except ModelError as error:
        raise RunFailed(f"{error}. `make lineage` reads the SQL again.") from error
    finished = set(done)
    for model in todo:
        if model.file not in finished:
            run_file(connection, model.file, parameters)
            finished.add(model.file)
    return frozenset(finished)


def run_file(connection: Connection, file: str, parameters: Mapping[str, Any] | None = None) -> Connection:
    """Run one model by itself; returns the connection, so that its rows can be fetched."""
    model = models()[file]
    return run_sql(connection, model.package, file.rpartition("/")[2], parameters)


@cache
def made_in(folder: str) -> tuple[str, ...]:
    """The tables that stay and that the SQL of a folder makes, in the order of their names."""
    return tuple(
        sorted(name for model in models().values() if _folder(model) == folder for name in model.makes if "." in name)
    )


@cache
def layer(file: str) -> int:
    """The place of a file's package in ``LAYERS``."""
    return LAYERS.index(file.split("/", 1)[0])


def flows(name: str) -> Iterator[Flow]:
    """By which a table or temporary table is filled: its maker, those who change it, and Python; or what a file reads."""
    if model := models().get(name):
        yield Flow(name, model.reads, model.loops)
    for file in dict.fromkeys(filter(None, (makers().get(name), *changers().get(name, ())))):
        if model := models().get(file):
            yield Flow(file, model.flows.get(name, ()), model.loops)
    if python := python_tables().get(name):
        yield Flow(python.file, python.reads, python.loops)


def is_table(name: str) -> bool:
    """Whether it is a table that stays: no temporary table, no macro and no file."""
    if "." not in name or name in models():
        return False
    python = python_tables().get(name)
    return python is None or python.kind != "macro"


@dataclass(frozen=True)
class Lineage:
    """What a table is made from: each table with the files by which it gets there."""

    upstream: Mapping[str, tuple[str, ...]]
    loops: Mapping[str, str]
    """Tables that are read as the last run left them, with the reason."""


@cache
def lineage(table: str) -> Lineage:
    """The tables that a table is made from, through temporary tables and macros; itself only as a loop.

    A read that a head declares as a loop is one as long as the table that is made belongs to a package that runs before the
    one of the table that is read: the same step that plans by what the last push committed is repeated after the push, and
    reads there what this push committed. What a table's own model reads as a loop is one on every way to that table.
    """
    found: dict[str, tuple[str, ...]] = {}
    loops: dict[str, str] = {}
    home = layer(makers()[table])
    own: dict[str, str] = {}
    for flow in flows(table):
        own = {**flow.loops, **own}  # where several files fill it, its maker's reason
    seen: set[str] = set()

    def follow(name: str, way: tuple[str, ...]) -> None:
        if name in seen:
            return
        seen.add(name)
        for flow in flows(name):
            here = way if way[-1:] == (flow.file,) else (*way, flow.file)
            for read in flow.reads:
                if read == table:
                    if why := flow.loops.get(read):
                        loops.setdefault(read, why)
                    continue
                if not is_table(read):
                    follow(read, here)
                elif (why := own.get(read) or flow.loops.get(read)) and home <= layer(makers()[read]):
                    loops.setdefault(read, why)
                else:
                    found.setdefault(read, here)

    follow(table, ())
    return Lineage(dict(sorted(found.items())), {name: why for name, why in sorted(loops.items()) if name not in found})


def files_behind(names: Iterable[str]) -> frozenset[str]:
    """Every file, SQL or Python, that takes part in tables: those that make them, and what these read, and so on."""
    found: set[str] = set()
    seen: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            for flow in flows(name):
                found.add(flow.file)
                left += flow.reads
    return frozenset(found)


@cache
def downstream(table: str) -> Mapping[str, tuple[str, ...]]:
    """The tables that are made from a table, each with the files on the way; reads that are loops aside."""
    return {other: lineage(other).upstream[table] for other in sorted(tables()) if table in lineage(other).upstream}


@cache
def looped_by(table: str) -> Mapping[str, str]:
    """The tables for which this one is read as the last run left it, with the reason."""
    return {other: lineage(other).loops[table] for other in sorted(tables()) if table in lineage(other).loops}


@cache
def tables() -> frozenset[str]:
    """Every table that stays."""
    return frozenset(name for name in makers() if is_table(name))
