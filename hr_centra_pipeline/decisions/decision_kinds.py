"""What can be decided: one model per kind, checked where a decision is kept, and read again where it is carried out.

Texts are kept as they were typed, less control characters. Amounts are decimals, written as texts in the store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from hr_centra_pipeline.core import months
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.kinds import EFFECT_TYPE_OF, OWNERS, Owner
from hr_centra_pipeline.core.setting_files import mistakes_in

Login = Literal["proxy", "password", "link", "shell"]
"""How it is known who decides: the login of a proxy, a password, a link printed on the terminal; or the machine's user."""

Answer = Literal["chase", "carry_forward", "claim", "write_off"]
TieForm = Literal["refund", "order", "return", "line", "release", "money"]
Role = Literal["preparer", "reviewer"]

LONGEST_NOTE = 2_000
LONGEST_NAME = 200
_MOST_NAMES = 500
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _printable(text: str) -> str:
    return "".join(char for char in text if char in "\n\t" or char.isprintable()).strip()


def _one_line(text: str) -> str:
    return " ".join(_printable(text).split())


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _is_month(text: str) -> str:
    if not months.is_month(text):
        raise ValueError("must be a month like 2026-09")
    return text


def _is_sha256(text: str) -> str:
    if not _SHA256.fullmatch(text):
        raise ValueError("must be a SHA-256 in 64 hexadecimal digits")
    return text


def _is_effect_type(text: str) -> str:
    if text not in EFFECT_TYPE_OF.values():
        raise ValueError(f"must be one of {', '.join(dict.fromkeys(EFFECT_TYPE_OF.values()))}")
    return text


Name = Annotated[str, AfterValidator(_one_line), AfterValidator(_not_empty), Field(max_length=LONGEST_NAME)]
Text = Annotated[str, AfterValidator(_printable), Field(max_length=LONGEST_NOTE)]
Reason = Annotated[str, AfterValidator(_one_line), AfterValidator(_not_empty), Field(max_length=LONGEST_NOTE)]
Month = Annotated[str, AfterValidator(_is_month)]
Sha256 = Annotated[str, AfterValidator(_is_sha256)]
EffectType = Annotated[str, AfterValidator(_is_effect_type)]


class _Arguments(BaseModel):
    """What a decision of one kind says. ``about``: the subjects by which it is found, like ``exception/EX-1``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_of_month_end: ClassVar[bool] = False
    """Its carrying out makes a month's pack again."""

    def about(self) -> Iterator[str]:
        """Subjects by which the decision is found: ``exception/…``, ``return/…``, ``unit/…``, ``effect/…``, ``month/…``."""
        return self._about()

    def _about(self) -> Iterator[str]:
        return iter(())


class WriteNote(_Arguments):
    """A note on an exception, with or without what is done about it."""

    kind: Literal["note"] = "note"
    exception_id: Name
    note: Text = ""
    decision: Answer | None = None

    def _about(self) -> Iterator[str]:
        yield about_exception(self.exception_id)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.note and self.decision is None:
            raise ValueError("write a note, or choose what is done about it")
        return self


class Assign(_Arguments):
    """Who takes care of an exception: a person (user id), or a team; neither: nobody any more."""

    kind: Literal["assign"] = "assign"
    exception_id: Name
    person: Name | None = None
    team: Owner | None = None
    note: Text = ""

    def _about(self) -> Iterator[str]:
        yield about_exception(self.exception_id)

    @model_validator(mode="after")
    def _to_one(self) -> Self:
        if self.person and self.team:
            raise ValueError("assign it to a person or to a team, not to both")
        return self

    @property
    def assignee(self) -> str | None:
        """The person or ``team:finance``; ``None``: nobody."""
        return f"team:{self.team}" if self.team else self.person


class Shown(BaseModel):
    """An effect as its approver saw it: with the hash of what an approval is for, and its amount."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    effect_key: Name
    approval_sha256: Sha256 | None = None
    amount: Decimal | None = None
    currency: Annotated[str, Field(max_length=3)] | None = None


class Approve(_Arguments):
    """Effects that may be sent. ``shown``: as the page showed them; one that has changed since is not approved."""

    kind: Literal["approve"] = "approve"
    names: Annotated[tuple[Name, ...], Field(max_length=_MOST_NAMES)] = ()
    effect_types: Annotated[tuple[EffectType, ...], Field(max_length=len(EFFECT_TYPE_OF))] = ()
    why: Reason
    shown: Annotated[tuple[Shown, ...], Field(max_length=_MOST_NAMES)] = ()

    def _about(self) -> Iterator[str]:
        yield from (f"effect/{one.effect_key}" for one in self.shown)
        yield from (f"effect/{name}" for name in self.names)

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not (self.names or self.effect_types):
            raise ValueError("name what is approved")
        return self


class Adopt(_Arguments):
    """A return that is included by name."""

    kind: Literal["adopt"] = "adopt"
    name: Name
    why: Reason

    def _about(self) -> Iterator[str]:
        yield about_return(self.name)


class Part(BaseModel):
    """A unit and, if it is known, its part of an amount."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: Name
    amount: Decimal | None = None


class Tie(_Arguments):
    """What a refund, order or Return made by hand was for; or which line a unit is of."""

    kind: Literal["tie"] = "tie"
    form: TieForm
    name: Name
    units: Annotated[tuple[Part, ...], Field(max_length=_MOST_NAMES)] = ()
    unrelated: bool = False
    why: Reason

    def _about(self) -> Iterator[str]:
        yield from (about_unit(part.unit) for part in self.units)
        yield about_unit(self.name) if self.form in ("release", "money") else f"{self.form}/{self.name}"


class RaiseGuard(_Arguments):
    """One effect type that may pass its caps and its surge guard, until it expires."""

    kind: Literal["raise"] = "raise"
    effect_type: EffectType
    hours: float = 24
    effects: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    why: Reason


class Reorder(_Arguments):
    """A canceled replacement that is ordered again."""

    kind: Literal["reorder"] = "reorder"
    unit: Name
    why: Reason

    def _about(self) -> Iterator[str]:
        yield about_unit(self.unit)


class PayInstead(_Arguments):
    """A canceled replacement whose money is refunded instead."""

    kind: Literal["pay_instead"] = "pay_instead"
    unit: Name
    why: Reason

    def _about(self) -> Iterator[str]:
        yield about_unit(self.unit)


class _OfMonth(_Arguments):
    is_of_month_end: ClassVar[bool] = True

    month: Month

    def _about(self) -> Iterator[str]:
        yield about_month(self.month)


class Close(_OfMonth):
    """A month that is frozen. ``accept``: why, although something does not tie or is not covered."""

    kind: Literal["close"] = "close"
    accept: Text = ""


class Reopen(_OfMonth):
    """The last closed month, opened again."""

    kind: Literal["reopen"] = "reopen"
    why: Reason


class Sign(_OfMonth):
    """A signature under a closed month. ``content_sha256``: the hash of what was closed, as the page showed it."""

    kind: Literal["sign"] = "sign"
    role: Role
    comment: Text = ""
    content_sha256: Sha256 | None = None


class _File(_Arguments):
    sha256: Sha256
    file_name: Name
    media_type: Name
    bytes: Annotated[int, Field(ge=1)]


class TakeWorkbook(_File):
    """A workbook that was filled in, kept by its hash."""

    kind: Literal["workbook"] = "workbook"
    month: Month | None = None

    def _about(self) -> Iterator[str]:
        if self.month:
            yield about_month(self.month)


class AddDocument(_File):
    """A supporting document of a month or of an exception, kept by its hash."""

    kind: Literal["document"] = "document"
    title: Text = ""
    month: Month | None = None
    exception_id: Name | None = None

    def _about(self) -> Iterator[str]:
        if self.month:
            yield about_month(self.month)
        if self.exception_id:
            yield about_exception(self.exception_id)

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if bool(self.month) == bool(self.exception_id):
            raise ValueError("a document supports a month or an exception: name one of them")
        return self


Arguments = Annotated[
    WriteNote | Assign | Approve | Adopt | Tie | RaiseGuard | Reorder | PayInstead | Close | Reopen | Sign | TakeWorkbook
    | AddDocument,
    Field(discriminator="kind"),
]  # fmt: skip
KINDS: tuple[str, ...] = (
    "note", "assign", "approve", "adopt", "tie", "raise", "reorder", "pay_instead", "close", "reopen", "sign", "workbook",
    "document",
)  # fmt: skip
"""Code of each kind of decision."""
MONTH_END = ("close", "reopen", "sign")
"""Kinds whose carrying out makes a month's pack again."""
TEAMS = OWNERS

_ANY: TypeAdapter[Any] = TypeAdapter(Arguments)


def parsed(kind: str, arguments: dict[str, Any]) -> Arguments:
    """The arguments of a kind, checked: of a form, or as they were kept.

    Raises:
        ConfigurationError: names the argument and what to write.
    """
    if kind not in KINDS:
        raise ConfigurationError(f"{kind}: no such decision; one of {', '.join(KINDS)}.")
    try:
        found: Arguments = _ANY.validate_python({**arguments, "kind": kind})
    except ValidationError as error:
        mistakes = [(tuple(part for part in place if part != kind), what) for place, what in mistakes_in(error)]
        said = "; ".join(f"{'.'.join(map(str, place))}: {what}" if place else what for place, what in mistakes)
        raise ConfigurationError(f"{kind}: {said}.") from None
    return found


def about_exception(exception_id: str) -> str:
    """The subject of decisions about an exception."""
    return f"exception/{exception_id}"


def about_return(return_id: str) -> str:
    """The subject of decisions about a return."""
    return f"return/{return_id}"


def about_unit(return_item_id: str) -> str:
    """The subject of decisions about a unit."""
    return f"unit/{return_item_id}"


def about_month(month: str) -> str:
    """The subject of decisions about a month."""
    return f"month/{month}"
