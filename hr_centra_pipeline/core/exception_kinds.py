"""The kinds of exception: one SQL file each in ``reconciliation/kinds/``, named after the kind.

The head of such a file says whose the trouble is and when it counts, in comment lines after those of every model::

    -- exception:    stalled_return
    -- subject:      stock, credit
    -- owner:        warehouse
    -- window_hours: 432
    -- precedence:   110
    -- severity:     warning
    -- family:       stalled_returns
    -- opens:        the first sentence of its entry in docs/exceptions.md
    -- closes:       what closes it, as that entry says

and, before ``opens``, what of these is said of it (their meanings: ``ExceptionKind``)::

    -- awaits:       goods, grade
    -- component:    items, tax, shipping, fee, exchange
    -- asks:         goods_or_money
    -- outranked:    told
    -- counterpart:  credit, stock_movement, ... (``COUNTERPARTS``)
    -- measure:      over_credits_found, unbooked_units_value

Nothing else asks for a kind by its name, but for a few places that are about one (``test_names_of_kinds.py`` lists them).

Then come two parts: what opens it (rows for ``findings``), and after the line ``-- closing`` what closes it: one statement that
inserts into ``proofs`` the exceptions of its kind in ``unseen`` that are over, each with its ``proof``. The closings of all kinds
are run as one statement (``reconciliation/closings.sql``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import pairwise
from typing import Literal, cast, get_args

from hr_centra_pipeline.core.kinds import COMPONENTS, OWNERS, Component, Owner

Subject = Literal[
    "unit", "credit", "stock", "exchange", "status",  # of a unit or a return
    "return", "refund", "payout", "goods",  # of what is in Centra, or was booked by a provider
    "items", "tax", "shipping", "fee", "row_currency", "row_instead_of_goods", "settled_tax",  # of an amount
    "source",
]  # fmt: skip
Severity = Literal["warning", "error"]
"""``error`` at once, or a ``warning`` until it is overdue. What only waits (``timing``, the dry run) is ``info``."""
Stage = Literal["goods", "grade"]
Question = Literal["goods_or_money"]
Outranked = Literal["told"]
Counterpart = Literal[
    "credit", "stock_movement", "replacement_order", "order", "shipped_piece", "refund",
    "return_in_centra", "return_at_happy_returns",
]  # fmt: skip
COUNTERPARTS: Mapping[Counterpart, str] = {
    "credit": "no credit in Centra",
    "stock_movement": "no stock movement in Centra",
    "replacement_order": "no replacement order in Centra",
    "order": "no order in Centra",
    "shipped_piece": "no shipped piece in Centra",
    "refund": "the money of a Return",
    "return_in_centra": "the Return of a refund",
    "return_at_happy_returns": "the return at Happy Returns",
}
"""What can be missing of what one side reports, as the month's list of orphans calls it."""
REPORTED_BY_CENTRA: frozenset[Counterpart] = frozenset({"return_in_centra", "return_at_happy_returns"})
"""What is missing of what Centra reports; the others are missing of what Happy Returns reports."""
Measure = Literal["over_credits_found", "unbooked_units_value"]
MEASURES: tuple[str, ...] = get_args(Measure)
FAMILIES = ("orphaned_returns", "stock_gaps", "exchange_gaps", "stalled_returns")
_CLOSING = "\n-- closing\ninsert into proofs by name\n"
_EVERY_CLOSING = "-- and the closing of every kind\n"
_NAMES = ("exception", "subject", "owner", "window_hours", "precedence", "severity", "family", "opens", "closes")
_OPTIONAL = ("awaits", "component", "asks", "outranked", "counterpart", "measure")
_OF_EVERY_MODEL = ("changes", "kind", "grain", "loop")


class ExceptionKindError(Exception):
    """A kind's file does not hold; the message names it."""


@dataclass(frozen=True)
class ExceptionKind:
    """One kind of exception, as the head of its file says."""

    name: str
    subjects: tuple[Subject, ...]
    """What of a return it can be about: of one unit and subject the kind that comes first is shown."""
    owner_team: Owner
    """Whose it usually is; the policy may name another team."""
    window_hours: int
    """Usual hours from the fact until it opens."""
    precedence: int
    """Its place among the kinds: the lower wins."""
    severity: Severity
    family: str | None
    """The list in ``reconciliation`` that holds it, too."""
    opens: str
    closes: str
    awaits: Stage | None = None
    """The stage of the way of which its window is the usual time, until our own history reports it."""
    component: Component | None = None
    """The component of a refund on which the sides do not agree."""
    asks: Question | None = None
    """What a person is asked with it: who refunds the customer afterwards depends on the answer."""
    outranked: Outranked | None = None
    """``told``: its detail is added to that of the kind that comes first, where one does; otherwise it waits its turn."""
    counterpart: Counterpart | None = None
    """What is missing, where it is a record of one side without that of the other."""
    measure: Measure | None = None
    """The figure of the month that counts it."""


def folder() -> Traversable:
    """Where the files of the kinds are."""
    return resources.files("hr_centra_pipeline").joinpath("reconciliation", "kinds")


def load(files: Traversable | None = None) -> dict[str, ExceptionKind]:
    """Every kind by its name, in the order of precedence.

    Raises:
        ExceptionKindError: a head misses a line or says nothing that is known, or two kinds have one place.
    """
    found = [_kind(name, text) for name, text in _texts(files)]
    ordered = sorted(found, key=lambda kind: kind.precedence)
    for one, other in pairwise(ordered):
        if one.precedence == other.precedence:
            raise ExceptionKindError(f"{one.name} and {other.name} have the same precedence, {one.precedence}")
    for stage in get_args(Stage):
        several = [kind.name for kind in ordered if kind.awaits == stage]
        if len(several) > 1:
            raise ExceptionKindError(f"{' and '.join(several)} await the same, {stage}: which window is it?")
    return {kind.name: kind for kind in ordered}


def sql_of(text: str, files: Traversable | None = None) -> str:
    """What of a SQL file is run by itself: of a kind what opens it, of ``closings.sql`` with the closing of every kind."""
    if _EVERY_CLOSING in text:
        closings = "".join(
            f"union all by name (select *, '{file.removesuffix('.sql')}' as kind from (\n{closing_of(kind)}\n))\n"  # noqa: S608 - our own files
            for file, kind in _texts(files)
        )
        return text.replace(_EVERY_CLOSING, closings)
    return text.partition(_CLOSING)[0]


def closing_of(text: str) -> str:
    """The query with what closes a kind; empty if there is none."""
    return text.partition(_CLOSING)[2].strip().removesuffix(";")


def _texts(files: Traversable | None) -> list[tuple[str, str]]:
    entries = sorted((files or folder()).iterdir(), key=lambda entry: entry.name)
    return [(entry.name, entry.read_text(encoding="utf-8")) for entry in entries if entry.name.endswith(".sql")]


def _kind(file: str, text: str) -> ExceptionKind:
    head = _head(file, text)
    if head["exception"] != file.removesuffix(".sql"):
        raise ExceptionKindError(f"{file}: its head is that of {head['exception']!r}")
    if not closing_of(text):
        raise ExceptionKindError(f"{file}: nothing closes it: after the line '-- closing' it has to insert into proofs")
    subjects = tuple(name.strip() for name in head["subject"].split(","))
    family = None if head["family"] == "none" else head["family"]
    for name, said, known in (
        ("owner", (head["owner"],), OWNERS),
        ("subject", subjects, get_args(Subject)),
        ("severity", (head["severity"],), get_args(Severity)),
        ("family", (family,), (None, *FAMILIES)),
        ("awaits", (head.get("awaits"),), (None, *get_args(Stage))),
        ("component", (head.get("component"),), (None, *COMPONENTS)),
        ("asks", (head.get("asks"),), (None, *get_args(Question))),
        ("outranked", (head.get("outranked"),), (None, *get_args(Outranked))),
        ("counterpart", (head.get("counterpart"),), (None, *COUNTERPARTS)),
        ("measure", (head.get("measure"),), (None, *MEASURES)),
    ):
        for word in said:
            if word not in known:
                raise ExceptionKindError(f"{file}: {name} {word!r} is none of {', '.join(map(str, known))}")
    for name in ("window_hours", "precedence"):
        if not head[name].isdecimal():
            raise ExceptionKindError(f"{file}: {name} {head[name]!r} is not a whole number")
    return ExceptionKind(
        name=head["exception"],
        subjects=cast(tuple[Subject, ...], subjects),
        owner_team=cast(Owner, head["owner"]),
        window_hours=int(head["window_hours"]),
        precedence=int(head["precedence"]),
        severity=cast(Severity, head["severity"]),
        family=family,
        opens=head["opens"],
        closes=head["closes"],
        awaits=cast(Stage | None, head.get("awaits")),
        component=cast(Component | None, head.get("component")),
        asks=cast(Question | None, head.get("asks")),
        outranked=cast(Outranked | None, head.get("outranked")),
        counterpart=cast(Counterpart | None, head.get("counterpart")),
        measure=cast(Measure | None, head.get("measure")),
    )


def _head(file: str, text: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        name, colon, rest = line[2:].strip().partition(":")
        if colon and " " not in name:
            last = name
            found[last] = rest.strip()
        elif last and line.startswith("--   "):
            found[last] += " " + line[2:].strip()
    for name in found:
        if name not in (*_NAMES, *_OPTIONAL, *_OF_EVERY_MODEL):
            raise ExceptionKindError(f"{file}: nobody reads the line '-- {name}: ...' of its head")
    for name in _NAMES:
        if not found.get(name):
            raise ExceptionKindError(f"{file}: its head needs a line '-- {name}: ...'")
    return found


EXCEPTION_KINDS: Mapping[str, ExceptionKind] = load()
"""The kinds of this program, in the order of precedence."""
