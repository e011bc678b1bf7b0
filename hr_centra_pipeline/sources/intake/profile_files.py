"""Layouts of files as TOML: those that are shipped, and those of the home, which win over shipped ones of the same name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.setting_files import mistakes_in, parsed_toml, read_setting_file, unanswered

Profile = TypeVar("Profile", bound=BaseModel)


def read_profiles(model: type[Profile], package: str, folder: Path) -> list[Profile]:
    """The profiles of a package and of a folder, by their ``name``.

    Raises:
        ConfigurationError: one line per mistake, with the file.
    """
    found: dict[str, Profile] = {}
    shipped = [entry for entry in resources.files(package).iterdir() if entry.name.endswith(".toml")]
    own = sorted(folder.glob("*.toml")) if folder.is_dir() else []
    for entry in [*sorted(shipped, key=lambda one: one.name), *own]:
        profile = parsed(model, text_of(entry), str(entry))
        found[profile.model_dump(include={"name"})["name"]] = profile
    return list(found.values())


def text_of(entry: Path | Traversable) -> str:
    """The text of a profile's file.

    Raises:
        ConfigurationError: it cannot be read, or is not UTF-8.
    """
    try:
        raw = read_setting_file(entry) if isinstance(entry, Path) else entry.read_bytes()
        return raw.decode("utf-8-sig")  # editors on Windows begin with a byte order mark
    except OSError as error:
        raise ConfigurationError(
            f"{entry}: cannot read this layout ({error.strerror}). Move it out of the folder, or put the file there."
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{entry}: is not UTF-8; save it again in that encoding.") from None


def parsed(model: type[Profile], text: str, place: str) -> Profile:
    """A profile's text. ``place``: where it is from, for messages.

    Raises:
        ConfigurationError: one line per mistake, with the place.
    """
    content = parsed_toml(text, place)
    if asked := unanswered(text, content):
        told = [f"{place}:{line}: {'.'.join(where)} is not answered yet: {what}" for line, where, what in asked]
        raise ConfigurationError("\n".join(told))
    return validated(model, content, place)


def validated(model: type[Profile], content: Mapping[str, Any], place: str) -> Profile:
    """A profile's content. ``place``: where it is from, for messages.

    Raises:
        ConfigurationError: one line per mistake, with the place.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_mistakes(place, error))) from None


def _mistakes(place: str, error: ValidationError) -> list[str]:
    return [
        ": ".join(part for part in (place, ".".join(map(str, where)), what) if part)
        for where, what in mistakes_in(error)
    ]
