"""Files on their way in: each one fetched and repaired, or refused with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hr_centra_pipeline.sources.intake import contents
from hr_centra_pipeline.sources.intake.contents import Content
from hr_centra_pipeline.sources.intake.places import Listed, Place, TooLarge

UNREAD = ""
"""In place of the hash of a file that the next run looks at again: it could not be read, or not landed for a reason on our side."""


@dataclass(frozen=True)
class Arrival:
    """One file that was read."""

    listed: Listed
    content: Content


@dataclass(frozen=True)
class Refusal:
    """A file that is of no use as a whole, and why.

    ``sha256`` may be ``UNREAD``; ``was_fetched``: its bytes are not the trouble; ``more``: columns of its row in the log.
    """

    listed: Listed
    sha256: str
    problem: str
    was_fetched: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)


def arrivals(place: Place, files: Iterable[Listed]) -> Iterator[Arrival | Refusal]:
    """Fetch files one after the other, as they are asked for: memory holds one of them at a time."""
    for listed in files:
        yield _arrival(place, listed)


def _arrival(place: Place, listed: Listed) -> Arrival | Refusal:
    try:
        content = contents.opened(place.content(listed), listed.name)
    except TooLarge as error:
        return Refusal(listed, f"size {listed.size}", f"cannot be read: {error}", was_fetched=False)
    except OSError as error:
        return Refusal(listed, UNREAD, f"cannot be read: {error}", was_fetched=False)
    if content.problem:
        return Refusal(listed, content.sha256, content.problem)
    return Arrival(listed, content)
