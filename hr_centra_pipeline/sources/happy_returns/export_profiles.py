"""Header profiles: how one merchant's exports spell columns, words, amounts and times. Data, not code."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hr_centra_pipeline.sources.happy_returns.export_kinds import KINDS, KindName
from hr_centra_pipeline.sources.intake.file_log import Fingerprint
from hr_centra_pipeline.sources.intake.profile_files import read_profiles

_PACKAGE = "hr_centra_pipeline.sources.happy_returns.header_profiles"


_TEXT_COLUMNS = {name for kind in KINDS.values() for name, sql in kind.brought.items() if sql == "VARCHAR"}
_CLOSED_LISTS: dict[str, set[str]] = {
    name: set(column.values)
    for kind in KINDS.values()
    for name, column in kind.declared.declared.items()
    if column.values is not None
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Times(_Section):
    """``zone``: of times without an offset. ``format``: strptime's, when they are not ISO 8601."""

    zone: str = "UTC"
    format: str | None = None

    @model_validator(mode="after")
    def _a_zone(self) -> Self:
        if self.zone == "UTC":
            return self  # nothing to ask the database, which would load pandas for it
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"zone {self.zone!r} is not in the IANA list (like Europe/Berlin)") from None
        try:
            duckdb.execute("select timezone(?, timestamp '2026-01-01 00:00:00')", [self.zone])
        except duckdb.Error:
            raise ValueError(f"zone {self.zone!r} is not a zone by name (like Europe/Berlin)") from None
        return self

    @model_validator(mode="after")
    def _a_format(self) -> Self:
        if self.format is None:
            return self
        if "%Z" in self.format:
            raise ValueError("format: %Z reads names of zones, which are ambiguous; use %z, or zone without it")
        try:
            duckdb.execute("select try_strptime('', ?)", [self.format])
        except duckdb.Error:
            raise ValueError(
                f"format {self.format!r} is none that the database knows (like %Y-%m-%d %H:%M:%S)"
            ) from None
        return self


class Money(_Section):
    """``decimal``: the sign before the cents. Currency letters around an amount are left out."""

    decimal: Literal[".", ","] = "."


class Profile(_Section):
    """One merchant's way to spell. ``columns``: kind -> our column -> header. ``words``: our column -> their word -> ours.

    ``ignored``: kind -> headers that are known and of no use to us; any other header that is not mapped is reported as new.
    """

    name: str
    delimiter: Literal[",", ";", "\t", "|"] = ","
    times: Times = Field(default_factory=Times)
    money: Money = Field(default_factory=Money)
    columns: dict[KindName, dict[str, str]]
    words: dict[str, dict[str, str]] = {}
    ignored: dict[KindName, list[str]] = {}

    @model_validator(mode="after")
    def _known_columns(self) -> Self:
        for kind, mapped in self.columns.items():
            unknown = sorted(set(mapped) - KINDS[kind].known)
            if unknown:
                raise ValueError(f"columns.{kind}: {', '.join(unknown)}: no such column")
            missing = sorted(KINDS[kind].required - set(mapped))
            if missing:
                raise ValueError(f"columns.{kind}: {', '.join(missing)}: must be mapped")
            twice = sorted(header for header, times in Counter(mapped.values()).items() if times > 1)
            if twice:
                raise ValueError(f"columns.{kind}: the header {twice[0]!r} is mapped to two columns")
        return self

    @model_validator(mode="after")
    def _known_words(self) -> Self:
        for column, words in self.words.items():
            if column not in _TEXT_COLUMNS:
                raise ValueError(f"words.{column}: no such text column")
            allowed = _CLOSED_LISTS.get(column)
            for theirs, ours in words.items():
                if allowed is not None and ours not in allowed:
                    known = ", ".join(sorted(allowed))
                    raise ValueError(f"words.{column}: {theirs!r} is mapped to {ours!r}, which is none of {known}")
        return self


@dataclass(frozen=True)
class Recognised:
    """What a header is: the profile and kind, and headers that the profile does not know."""

    profile: Profile
    kind: KindName
    unknown_headers: tuple[str, ...]


def fingerprint(profiles: Sequence[Profile]) -> Fingerprint:
    """A change of ``columns`` is one that only the file itself can answer."""
    said = [one.model_dump(mode="json") for one in profiles]
    mapped = [{name: one[name] for name in ("name", "delimiter", "columns")} for one in said]
    return Fingerprint(_hash(said), _hash(mapped))


def _hash(said: Sequence[Mapping[str, Any]]) -> str:
    return hashlib.sha256("\x1f".join(sorted(json.dumps(one) for one in said)).encode()).hexdigest()


def load_profiles(folder: Path) -> list[Profile]:
    """The shipped profiles, and those in a folder (which win over shipped ones of the same name).

    Raises:
        ConfigurationError: one line per mistake, with the file.
    """
    return read_profiles(Profile, _PACKAGE, folder)


def recognise(headers: Sequence[str], profiles: Sequence[Profile]) -> Recognised | str:
    """The profile and kind of a header, or why it is none: what the closest one misses.

    A header fits when every required column is there; of several that fit, the one with the most known headers.
    """
    present = set(headers)
    fits: list[tuple[int, Recognised]] = []
    misses: list[tuple[int, str]] = []
    for profile in profiles:
        for kind, mapped in profile.columns.items():
            known = present & set(mapped.values())
            missing = [mapped[column] for column in sorted(KINDS[kind].required) if mapped[column] not in present]
            if missing:
                misses.append((len(known), f"the closest is {profile.name}/{kind}, which needs {', '.join(missing)}"))
            else:
                told = known | set(profile.ignored.get(kind, ()))
                unknown = tuple(header for header in headers if header not in told)
                fits.append((len(known), Recognised(profile, kind, unknown)))
    if fits:
        return max(fits, key=lambda fit: fit[0])[1]
    closest = max(misses, key=lambda miss: miss[0])[1] if misses else "there is no profile"
    shown = ", ".join(header[:40] for header in headers[:6]) + (", …" if len(headers) > 6 else "")
    return f"no profile knows the header ({shown}); {closest}"
