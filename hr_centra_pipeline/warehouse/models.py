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
  ``exception`` (what opens a kind of exception; what closes each is in ``reconciliation/closings.sql``).
- ``loop``: a table that is made from what this model makes, and read as the last run left it; with the reason.
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
KINDS = ("table", "step", "query", "exception")
_LEFT_OUT = "warehouse/migrations"
_HEAD = ("makes", "changes", "kind", "grain", "loop")


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
    sha256: str = ""

    @property
    def package(self) -> str:
        """The Python package that the file is in."""
        return ".".join([PACKAGE, *self.file.split("/")[:-1]])

    @property
    def needs(self) -> tuple[str, ...]:
        """What has to be made before it runs: its reads without the loops, and what it changes."""
        return tuple(dict.fromkeys([*(name for name in self.reads if name not in self.loops), *self.changes]))


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
        else:
            break
    for name in ("kind", "grain"):
        if len(found.get(name, ())) != 1:
            raise ModelError(f"{file}: its head needs one line '-- {name}: ...'")
    if found["kind"][0] not in KINDS:
        raise ModelError(f"{file}: kind {found['kind'][0]!r} is none of {', '.join(KINDS)}")
    loops = {}
    for one in found.get("loop", ()):
        name, colon, reason = one.partition(":")
        if not colon or not reason.strip():
            raise ModelError(f"{file}: '-- loop: {one}' needs a table and a reason: '-- loop: push.ledger: why'")
        loops[name.strip()] = reason.strip()
    return {
        "kind": found["kind"][0],
        "grain": found["grain"][0],
        "makes": _names(found.get("makes", ())),
        "changes": _names(found.get("changes", ())),
        "loops": loops,
    }


def _names(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.strip() for line in lines for name in line.split(",") if name.strip())


def files() -> Iterator[tuple[str, str]]:
    """Every SQL file of the package with its text, migrations aside, in the order of names."""

    def below(folder: Traversable, path: str) -> Iterator[tuple[str, str]]:
        for one in sorted(folder.iterdir(), key=lambda entry: entry.name):
            here = f"{path}/{one.name}" if path else one.name
            if here == _LEFT_OUT or one.name.startswith("__"):
                continue
            if one.is_dir():
                yield from below(one, here)
            elif one.name.endswith(".sql"):
                yield here, exception_kinds.sql_of(one.read_text(encoding="utf-8"))

    yield from below(resources.files(PACKAGE), "")


@cache
def models() -> Mapping[str, Model]:
    """Every model by its file, as kept in ``lineage.jsonl``.

    Raises:
        ModelError: a file was changed since its lineage was written.
    """
    kept = resources.files(f"{PACKAGE}.warehouse").joinpath(LINEAGE).read_text(encoding="utf-8")
    return {model.file: model for model in map(_model, kept.splitlines())}


def _model(line: str) -> Model:
    told = json.loads(line)
    lists = {name: tuple(told.pop(name)) for name in ("makes", "changes", "reads", "writes", "creates")}
    return Model(**{**told, **lists})


def line_of(model: Model) -> str:
    """A model as a line of ``lineage.jsonl``."""
    return json.dumps(
        {
            "file": model.file, "kind": model.kind, "grain": model.grain, "makes": model.makes, "changes": model.changes,
            "loops": dict(model.loops), "reads": model.reads, "writes": model.writes, "creates": model.creates,
            "sha256": model.sha256,
        }
    )  # fmt: skip


def sha256_of(text: str) -> str:
    """By which a changed file is known."""
    return hashlib.sha256(text.encode()).hexdigest()


def changed_files() -> list[str]:
    """Files whose lineage is not the one that is kept: empty in anything that is released."""
    known = {model.file: model.sha256 for model in models().values()}
    return [file for file, text in files() if known.pop(file, None) != sha256_of(text)] + sorted(known)


@cache
def makers() -> Mapping[str, str]:
    """The file that makes each name."""
    return {name: model.file for model in models().values() for name in model.makes}


@cache
def changers() -> Mapping[str, tuple[str, ...]]:
    """The files that change what another one makes, by name."""
    found: dict[str, tuple[str, ...]] = {}
    for model in models().values():
        for name in model.changes:
            found[name] = (*found.get(name, ()), model.file)
    return found


def order(wanted: Iterable[str], within: Collection[str], again: Collection[str] = ()) -> tuple[Model, ...]:
    """The models that make what is wanted, each after what it needs.

    Args:
        wanted: tables and temporary tables.
        within: packages whose tables are made now; those of others are there. Temporary tables are always made.
        again: tables of other packages that are made once more.

    Raises:
        ModelError: nobody makes a temporary table that is needed, or models need each other.
    """
    edges: dict[str, set[str]] = {}
    left = list(wanted)
    seen: set[str] = set()
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        file = makers().get(name)
        if file is None:
            continue  # made in Python
        for one in (file, *changers().get(name, ())):
            model = models()[one]
            is_here = _folder(model) in within or name in again or "." not in name
            if not is_here or one in edges:
                continue
            edges[one] = set()
            left += [*model.needs, *(made for made in model.makes if made in changers())]
    for one, before in edges.items():
        for name in models()[one].needs:
            before.update(set(_finished_by(name, one)) & edges.keys())
        before.discard(one)
    try:
        ordered = tuple(TopologicalSorter({one: sorted(edges[one]) for one in sorted(edges)}).static_order())
    except CycleError as error:
        raise ModelError(f"models need each other: {' → '.join(error.args[1])}") from error
    return tuple(models()[one] for one in ordered)


def _finished_by(name: str, reader: str) -> tuple[str, ...]:
    """Who has to run before ``reader`` reads a name: its maker and, unless it is one of them, those who change it."""
    maker = makers().get(name)
    if maker is None:
        return ()
    others = changers().get(name, ())
    return (maker,) if reader in others or reader == maker else (maker, *others)


def _folder(model: Model) -> str:
    return model.file.split("/", 1)[0] if model.file.count("/") == 1 else "/".join(model.file.split("/")[:-1])


def run(
    connection: Connection,
    wanted: Iterable[str],
    within: Collection[str],
    parameters: Mapping[str, Any] | None = None,
    *,
    again: Collection[str] = (),
    done: Collection[str] = (),
) -> set[str]:
    """Make what is wanted (see ``order``), but for the files that are ``done``; answers the files that are done now.

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
            run_sql(connection, model.package, model.file.rsplit("/", 1)[-1], parameters)
            finished.add(model.file)
    return finished


def upstream(table: str) -> dict[str, tuple[str, ...]]:
    """The tables with a schema that a table is made from, through temporary tables: each with the files on the way.

    Reads that close a loop are left out (``loops_of``).
    """
    found: dict[str, tuple[str, ...]] = {}
    seen: set[str] = set()

    def follow(file: str, way: tuple[str, ...]) -> None:
        if file in seen:
            return
        seen.add(file)
        model = models()[file]
        for name in model.needs:
            if "." in name and name != table:
                found.setdefault(name, way)
            elif "." not in name:
                for one in _finished_by(name, file):
                    if one != file:
                        follow(one, (*way, one))

    for file in filter(None, (makers().get(table), *changers().get(table, ()))):
        follow(file, (file,))
    return found


def loops_of(table: str) -> dict[str, str]:
    """The tables that a table's models read as the last run left them, with the reason."""
    return {
        name: reason
        for file in filter(None, (makers().get(table), *changers().get(table, ())))
        for name, reason in models()[file].loops.items()
    }
