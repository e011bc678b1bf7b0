"""Event profiles: where a webhook's body, or an answer of the partner API, holds what. Data, not code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hr_centra_pipeline.core.setting_files import parsed_toml
from hr_centra_pipeline.inbox.signatures import Signature, own_event_profile
from hr_centra_pipeline.sources.happy_returns.export_kinds import KINDS, KindName
from hr_centra_pipeline.sources.happy_returns.export_profiles import Money, Profile, Times
from hr_centra_pipeline.sources.happy_returns.parsing import STARTED_AT
from hr_centra_pipeline.sources.happy_returns.partner_facts import ApiFacts
from hr_centra_pipeline.sources.intake.profile_files import text_of, validated

_PACKAGE = "hr_centra_pipeline.sources.happy_returns.event_profiles"

Message = Literal["return", "label", "outbound"]
MESSAGES: tuple[Message, ...] = get_args(Message)

_Path = Annotated[str, Field(min_length=1, max_length=200)]
Paths = Annotated[tuple[_Path, ...], Field(max_length=20)]
Columns = dict[str, Paths]

# Without these a row says of nothing what it says.
_REQUIRED: dict[KindName, frozenset[str]] = {
    "returns": frozenset({"return_id", "order_number"}),
    "items": frozenset({"return_id", "order_number"}),
    "bags": frozenset({"return_id", "bag_barcode"}),
    "shipments": frozenset({"shipment_id", "item_id"}),
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Envelope(_Section):
    """What bodies have around their units."""

    webhook_type: Paths = ("webhookType",)
    event: Paths = ("event",)
    type_id: Paths = ("typeID",)
    retailer_id: Paths = ("retailerID", "happyReturnsRetailerID")
    other_events: Paths = ("otherEvents",)


class ReturnColumns(_Section):
    """Of the two kinds of rows that a return's event brings."""

    returns: Columns
    items: Columns


class ReturnMessage(_Section):
    """``return.asn``, and the answer of a look-up of returns. ``sets``: status -> columns of the units that its event dates."""

    webhook_types: tuple[str, ...] = ()
    status_events: tuple[str, ...]
    method_events: tuple[str, ...]
    ignored_events: tuple[str, ...] = ()
    items: Paths
    columns: ReturnColumns
    sets: dict[str, tuple[str, ...]] = {}

    @property
    def events(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.status_events, *self.method_events)

    @model_validator(mode="after")
    def _times_only(self) -> Self:
        for status, columns in self.sets.items():
            for column in columns:
                if KINDS["items"].brought.get(column) != "TIMESTAMPTZ":
                    raise ValueError(f"sets.{status}: {column}: is not a time of a unit")
        return self


class LabelMessage(_Section):
    """``return.label.update``."""

    webhook_types: tuple[str, ...] = ()
    events: tuple[str, ...]
    columns: Columns


class OutboundMessage(_Section):
    """Outbound shipments in both forms, and the contents of one."""

    webhook_types: tuple[str, ...] = ()
    events: tuple[str, ...]
    items: Paths
    columns: Columns


class EventProfile(_Section):
    """How one merchant's events spell things. ``words``: our column -> their word -> ours."""

    name: str
    signature: Signature = Field(default_factory=Signature)
    times: Times = Field(default_factory=Times)
    money: Money = Field(default_factory=Money)
    envelope: Envelope = Field(default_factory=Envelope)
    return_: ReturnMessage = Field(alias="return")
    label: LabelMessage
    outbound: OutboundMessage
    words: dict[str, dict[str, str]] = {}
    api: ApiFacts = Field(default_factory=ApiFacts)

    @cached_property
    def columns(self) -> Mapping[KindName, Columns]:
        """By kind of row."""
        return {
            "returns": self.return_.columns.returns, "items": self.return_.columns.items,
            "bags": self.label.columns, "shipments": self.outbound.columns,
        }  # fmt: skip

    @model_validator(mode="after")
    def _known_columns(self) -> Self:
        for kind, columns in self.columns.items():
            extra = {STARTED_AT} if kind == "items" else set()
            if unknown := sorted(set(columns) - KINDS[kind].known - extra):
                raise ValueError(f"{_SECTION[kind]}: {', '.join(unknown)}: no such column")
            if missing := sorted(one for one in _REQUIRED[kind] if not columns.get(one)):
                raise ValueError(f"{_SECTION[kind]}: {', '.join(missing)}: must be mapped")
        self.as_texts  # noqa: B018 - its words are checked as those of files are
        return self

    @cached_property
    def as_texts(self) -> Profile:
        """How the texts that were found are typed: as a file whose headers are our columns."""
        return Profile(
            name=f"event {self.name}",
            times=self.times,
            money=self.money,
            columns={
                kind: {column: column for column in columns if column in KINDS[kind].known}
                for kind, columns in self.headers.items()
            },
            words=self.words,
        )

    @cached_property
    def headers(self) -> Mapping[KindName, tuple[str, ...]]:
        """The columns of each kind of row that a body may fill; those that a file has to have are always among them."""
        return {
            kind: tuple(dict.fromkeys([*columns, *sorted(KINDS[kind].required), *_OF_BODY.get(kind, ())]))
            for kind, columns in self.columns.items()
        }

    @cached_property
    def sha256(self) -> str:
        """Of all that decides how a body is read."""
        return hashlib.sha256(self.model_dump_json(exclude={"signature", "api"}).encode()).hexdigest()


# What is said once for all rows of a body.
_OF_BODY: dict[KindName, tuple[str, ...]] = {"returns": ("retailer_id",)}
_SECTION: dict[KindName, str] = {
    "returns": "return.columns.returns", "items": "return.columns.items", "bags": "label.columns", "shipments": "outbound.columns",
}  # fmt: skip


def load_event_profile(folder: Path) -> EventProfile:
    """The shipped profile, changed by what the one in ``folder`` (``$HR_CENTRA_HOME/event_profiles``) says otherwise.

    Raises:
        ConfigurationError: one line per mistake, with the file; or there are two in the folder.
    """
    shipped = resources.files(_PACKAGE) / "default.toml"
    content = parsed_toml(text_of(shipped), str(shipped))
    place = str(shipped)
    if (own := own_event_profile(folder)) is not None:
        place = str(own.path)
        content = _changed(content, own.content)
    return validated(EventProfile, content, place)


def _changed(shipped: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged name by name; anything else is replaced."""
    found = dict(shipped)
    for name, value in own.items():
        before = found.get(name)
        is_table = isinstance(value, Mapping) and isinstance(before, Mapping)
        found[name] = _changed(before, value) if is_table else value  # type: ignore[arg-type]
    return found
