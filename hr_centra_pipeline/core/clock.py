"""The one clock of every decision about windows, holds, ages and months."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.setting_files import read_setting_file

VARIABLE = "HR_CENTRA_NOW"


def now(environment: Mapping[str, str] | None = None) -> datetime:
    """Return the decision time, in UTC.

    ``HR_CENTRA_NOW`` unset: the real clock. ISO 8601 text: that instant. ``@file``: the instant in the file, read again.

    Raises:
        ConfigurationError: the text is not an instant with an offset, the file cannot be read, or it is in the future
            (Dagster's partitions follow the real clock, so a decision time after it would have none).
    """
    given = (os.environ if environment is None else environment).get(VARIABLE, "").strip()
    real = datetime.now(UTC)
    if not given:
        return real
    text, place = given, VARIABLE
    if given.startswith("@"):
        place = f"{VARIABLE}={given}"
        try:
            text = read_setting_file(Path(given[1:])).decode("utf-8-sig").strip()
        except OSError as error:
            raise ConfigurationError(f"{place}: cannot read the clock file ({error.strerror}).") from error
        except UnicodeDecodeError:
            raise ConfigurationError(f"{place}: the clock file is not UTF-8; save it again in that encoding.") from None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{place}: {text!r} is not an ISO 8601 time like 2026-09-30T12:00:00Z.") from None
    if instant.tzinfo is None:
        raise ConfigurationError(f"{place}: {text!r} has no UTC offset; write 2026-09-30T12:00:00Z.")
    try:
        instant = instant.astimezone(UTC)
    except OverflowError:
        raise ConfigurationError(
            f"{place}: {text} is not a time in UTC; write one like 2026-09-30T12:00:00Z."
        ) from None
    if instant > real:
        raise ConfigurationError(f"{place}: {text} is in the future; the clock may only be set back.")
    return instant


def instant_text(at: datetime) -> str:
    """A time in a text: ``2026-09-30T12:00:00Z``, UTC, to the second, so that it sorts. Its SQL twin: ``instant_text``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
