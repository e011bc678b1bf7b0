"""The ledger of assumptions (``assumptions.toml``): what we rely on at each vendor, and how we know it.

A *coordinate* names one thing of Centra's interfaces, as GraphQL writes it: ``Order.status``,
``Mutation.createReturn(input:)``, ``OrderFilter.number``, ``OrderSort.number_ASC``; of the REST Order API
``POST /order deliveryAddress.zipcode``. A *behaviour* has a short id: ``behaviour.refund_completes_return``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

Tag = Literal["documented", "connector", "assumed"]
CoordinateKind = Literal["field", "argument", "input member", "word", "REST key", "REST answer"]

TAGS: tuple[str, ...] = get_args(Tag)
_ENTRY = re.compile(r"([\w.*]+)(?:\(([^)]*)\))?")
_LINE = re.compile(r"([^:]+):((?:\s+[\w.*]+(?:\([^)]*\))?)+)")
_GROUP_KEYS = {
    "schema": {"tag", "source", "remedy", "setting", "fields", "arguments", "inputs", "words", "implementations"},
    "rest": {"tag", "source", "remedy", "setting", "sends", "answers"},
    "behaviour": {"id", "vendor", "tag", "source", "relies_on", "remedy", "setting"},
}
# What the sandbox records of the requests that it got, and the kind of coordinate that each list holds.
_RECORDED: Mapping[str, CoordinateKind] = {
    "fields": "field", "arguments": "argument", "inputs": "input member", "enum_words": "word",
    "enum_words_answered": "word", "rest_keys": "REST key",
}  # fmt: skip


@dataclass(frozen=True)
class Known:
    """How we know something. ``remedy``: what to do if it is otherwise; ``setting``: what to set for that."""

    tag: Tag
    source: str
    remedy: str = ""
    setting: str = ""


@dataclass(frozen=True)
class Behaviour:
    """One thing that a vendor does and that we rely on, in a sentence."""

    id: str
    vendor: str
    relies_on: str
    known: Known


@dataclass(frozen=True)
class Ledger:
    """Coordinates by kind, behaviours by id; ``implementations``: the interface of an object type."""

    coordinates: Mapping[CoordinateKind, Mapping[str, Known]]
    behaviours: Mapping[str, Behaviour]
    implementations: Mapping[str, str] = field(default_factory=dict)

    def of(self, kind: CoordinateKind, coordinate: str) -> Known | None:
        """How we know a coordinate; ``None`` when it is not listed. Fields of an object type count as its interface's."""
        listed = self.coordinates[kind]
        owner, _, rest = coordinate.partition(".")
        names = (coordinate, f"{self.implementations.get(owner)}.{rest}", f"{owner}.*")
        return next((listed[name] for name in names if name in listed), None)

    def words_of(self, enum: str) -> list[str]:
        """The words of an enum that are listed, in their order."""
        return [name.partition(".")[2] for name in self.coordinates["word"] if name.partition(".")[0] == enum]


class Unreadable(ValueError):
    """The ledger itself is wrong; the message names the place."""


@cache
def ledger() -> Ledger:
    """The ledger that comes with the program.

    Raises:
        Unreadable: see :func:`read`.
    """
    file = resources.files("hr_centra_pipeline.sources.centra").joinpath("assumptions.toml")
    return read(file.read_text(encoding="utf-8"))


def read(text: str) -> Ledger:
    """A ledger of this text.

    Raises:
        Unreadable: a key, tag or line that is not understood, a source that is missing, or something listed twice.
    """
    given = tomllib.loads(text)
    if unknown := sorted(set(given) - set(_GROUP_KEYS)):
        raise Unreadable(f"[[{unknown[0]}]] is not a part of the ledger: {', '.join(_GROUP_KEYS)}")
    coordinates: dict[CoordinateKind, dict[str, Known]] = {kind: {} for kind in get_args(CoordinateKind)}
    implementations: dict[str, str] = {}
    for part in ("schema", "rest"):
        for group in given.get(part, []):
            known = _known(part, group)
            for kind, coordinate in _coordinates(group):
                if coordinate in coordinates[kind]:
                    raise Unreadable(f"{coordinate} is listed twice")
                coordinates[kind][coordinate] = known
            for interface, object_type, _ in _entries(group.get("implementations", [])):
                implementations[object_type] = interface
    behaviours: dict[str, Behaviour] = {}
    for group in given.get("behaviour", []):
        known, name = _known("behaviour", group), str(group.get("id", ""))
        if not re.fullmatch(r"[a-z][a-z0-9_]+", name) or name in behaviours:
            raise Unreadable(f"behaviour {name!r}: the id is missing, not in snake_case, or used twice")
        if not group.get("vendor") or not str(group.get("relies_on", "")).endswith("."):
            raise Unreadable(f"behaviour {name}: vendor, or relies_on as a sentence, is missing")
        behaviours[name] = Behaviour(name, group["vendor"], group["relies_on"], known)
    return Ledger(coordinates, behaviours, implementations)


def unlisted(used: Mapping[str, Sequence[str]], known: Ledger | None = None) -> list[str]:
    """Coordinates that were used and are not in the ledger. ``used``: what the sandbox recorded, by kind.

    Raises:
        Unreadable: a list of a kind that is not known.
    """
    known = known or ledger()
    if odd := sorted(set(used) - set(_RECORDED)):
        raise Unreadable(f"{odd[0]} is not a kind of coordinate: {', '.join(_RECORDED)}")
    return sorted(
        {
            coordinate
            for section, coordinates in used.items()
            for coordinate in coordinates
            if known.of(_RECORDED[section], coordinate) is None
        }
    )


def _known(part: str, group: Mapping[str, Any]) -> Known:
    place = f"[[{part}]] {group.get('id') or group.get('source') or ''}".rstrip()
    if odd := sorted(set(group) - _GROUP_KEYS[part]):
        raise Unreadable(f"{place}: unknown key {odd[0]}")
    if group.get("tag") not in TAGS:
        raise Unreadable(f"{place}: tag {group.get('tag')!r} is none of {', '.join(TAGS)}")
    if not group.get("source"):
        raise Unreadable(f"{place}: the source is missing")
    if group["tag"] == "assumed" and not group.get("remedy"):
        raise Unreadable(f"{place}: what is assumed needs a remedy, should it be otherwise")
    return Known(group["tag"], group["source"], group.get("remedy", ""), group.get("setting", ""))


def _coordinates(group: Mapping[str, Any]) -> Iterator[tuple[CoordinateKind, str]]:
    for owner, name, arguments in _entries(group.get("fields", [])):
        yield "field", f"{owner}.{name}"
        for argument in arguments:
            yield "argument", f"{owner}.{name}({argument}:)"
    for owner, name, _ in _entries(group.get("arguments", [])):
        yield "argument", f"{owner}({name}:)"
    for owner, name, _ in _entries(group.get("inputs", [])):
        yield "input member", f"{owner}.{name}"
    for owner, name, _ in _entries(group.get("words", [])):
        yield "word", f"{owner}.{name}"
    for owner, name, _ in _entries(group.get("sends", [])):
        yield "REST key", f"{owner} {name}"
    for owner, name, _ in _entries(group.get("answers", [])):
        yield "REST answer", f"{owner} {name}"


def _entries(lines: Sequence[str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(owner, name, arguments) of lines like ``Query: orders(where sort) rateLimits``."""
    for line in lines:
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise Unreadable(f"{line!r} does not read like `Type: name name(argument argument)`")
        for name, arguments in _ENTRY.findall(match[2]):
            yield match[1].strip(), name, tuple(arguments.split())
