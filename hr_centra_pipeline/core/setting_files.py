"""Files that hold settings, as people and their editors leave them: read within bounds, and refused in one line."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from hr_centra_pipeline.core.errors import ConfigurationError

_MOST_BYTES = 1_000_000
_LARGEST = 1 << 63  # TOML's whole numbers have 64 bits


def read_setting_file(path: Path) -> bytes:
    """The bytes of a regular file; a pipe or device, which could keep us waiting for ever, is refused.

    Raises:
        OSError: it is not there, cannot be read, is not a regular file, or is too large. ``strerror`` says why.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "is a folder, pipe or device and not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            raw = file.read(_MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(raw) > _MOST_BYTES:
        raise OSError(0, f"is larger than {_MOST_BYTES:,} bytes")
    return raw


def parsed_toml(text: str, place: str) -> dict[str, Any]:
    """A file's settings. ``place``: where the text is from, for messages.

    Raises:
        ConfigurationError: it is not valid TOML, nested too deeply, or has a number that TOML cannot hold.
    """
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise ConfigurationError(f"{place}: not valid TOML: brackets are nested too deeply; close each one.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{place}: not valid TOML: {error}") from None
    except ValueError:  # Python reads at most so many digits
        raise ConfigurationError(f"{place}: has a number with thousands of digits; write a shorter one.") from None
    left: list[tuple[str, Any]] = [("", content)]
    while left:
        where, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{where}.{key}".lstrip("."), one) for key, one in value.items()]
        elif isinstance(value, list):
            left += [(where, one) for one in value]
        elif isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
            raise ConfigurationError(f"{place}: {where}: is a whole number of more than 64 bits; write a smaller one.")
    return content
