"""What was decided, as the pages of an exception and the worklist show it: at once, before the pipeline has carried it out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions.decision_store import DecisionStore, Kept
from hr_centra_pipeline.decisions.kinds import about_exception as subject_of_exception
from hr_centra_pipeline.pages.page_file import Row
from hr_centra_pipeline.pages.people import load_people
from hr_centra_pipeline.pages.worklist import Assigned

_SHOWN = 50
_TEXTS = ("note", "why", "person", "team", "name", "unit", "file_name")
"""Of a decision's arguments those that people wrote or chose."""


@lru_cache(maxsize=4)
def _store(home: Path) -> DecisionStore:
    return DecisionStore(home / "decisions.sqlite")


def waiting(settings: Settings) -> int:
    """How many decisions the pipeline has not carried out yet."""
    return _store(settings.home).waiting_count()


def assigned(settings: Settings) -> Assigned:
    """Who has which exception, by the last decision about it that was not refused."""
    return Assigned(_store(settings.home).assigned())


def about_exception(settings: Settings, exception_id: str) -> list[Row]:
    """The decisions about an exception, the newest last, that its published history does not have yet or never will."""
    kept = _store(settings.home).recent(_SHOWN, about=subject_of_exception(exception_id))
    return [_shown(one) for one in reversed(kept) if not (one.kind == "note" and one.state == "done")]


def _shown(kept: Kept) -> Row:
    given: dict[str, Any] = kept.arguments.model_dump()
    texts = [
        str(given[name]).replace("_", " ") if name == "team" else str(given[name]) for name in _TEXTS if given.get(name)
    ]
    if answer := given.get("decision"):
        texts.insert(0, str(answer).replace("_", " "))
    return {
        "at": kept.at, "kind": kept.kind, "by": kept.who.name, "state": kept.state, "text": ": ".join(texts),
        "words": kept.outcome.words if kept.outcome else "",
    }  # fmt: skip


def people(settings: Settings) -> Sequence[str]:
    """Those whom people.toml lists, to choose from."""
    listed = load_people(settings.home / "people.toml")
    return sorted(listed.people) if listed else []
