"""Event profiles: where a webhook's body, or an answer of the partner API, holds what. Data, not code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from hr_centra_pipeline.sources.intake.profile_files import read_profiles

_PACKAGE = "hr_centra_pipeline.sources.happy_returns.event_profiles"


class EventProfile(BaseModel):
    """How one merchant's events spell things."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    signature: dict[str, Any] = {}


def load_event_profile(folder: Path) -> EventProfile:
    """The profile in use: the one in ``folder`` (``$HR_CENTRA_HOME/event_profiles``), else the shipped one.

    Raises:
        ConfigurationError: one line per mistake, with the file; or there are two in the folder.
    """
    return read_profiles(EventProfile, _PACKAGE, folder)[-1]
