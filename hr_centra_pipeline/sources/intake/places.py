"""Places that files are delivered to: a folder or any fsspec address (SFTP, S3), listed and read within bounds."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.core.errors import ConfigurationError, Unreachable
from hr_centra_pipeline.sources.intake import bounds
from hr_centra_pipeline.sources.intake.contents import OTHER_FORMATS
from hr_centra_pipeline.sources.intake.deadline import TooSlow, within
from hr_centra_pipeline.sources.intake.local_files import regular_file, shown

_ENDINGS = (".csv", ".jsonl", ".ndjson", ".json", ".txt", ".tsv")
_NOT_IN_A_WORD = r"(?:(?<![0-9A-Za-z])|(?<=returns)|(?<=items)|(?<=refunds)|(?<=shipments)|(?<=export)|(?<=exports))"
_DAY_IN_NAME = re.compile(
    _NOT_IN_A_WORD + r"(20\d\d)(?:-([01]\d)-([0-3]\d)|([01]\d)([0-3]\d))(?![0-9]|[A-SU-Za-su-z])", re.IGNORECASE
)
_TIME_AFTER_DAY = re.compile(r"[T_ -]?([01]\d|2[0-3])[-:]?([0-5]\d)(?:[-:]?[0-5]\d)?Z?(?![0-9A-Za-z])")
_AT_A_TIME, _LEAST_BYTES_A_SECOND, _SECONDS_TO_HANG_UP = 1 << 20, 1_000_000, 5.0  # of remote files

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Listed:
    """A file as its folder lists it. ``name``: as text, whatever bytes it is made of; ``seen_at``: when it was listed."""

    name: str
    address: str
    size: int
    modified_at: datetime
    seen_at: datetime | None = None

    @property
    def source_time(self) -> tuple[datetime, str]:
        """The time of rows without one: in the file's name, else the file's modification time; and which it was.

        Of a range of days the last one counts. Neither is after the file was seen.
        """
        latest = self.seen_at or datetime.max.replace(tzinfo=UTC)
        if (named := _time_in(self.name, latest)) is not None:
            return min(named, latest), "name"
        return min(self.modified_at, latest), "modification"


def _time_in(name: str, latest: datetime) -> datetime | None:
    """The last day that a file's name holds, with the time after it: digits are a day only where they can be one."""
    found: list[tuple[datetime, int, int]] = []
    for match in _DAY_IN_NAME.finditer(name):
        year, month, day = (int(part) for part in match.groups() if part)
        try:
            start = datetime(year, month, day, tzinfo=UTC)
        except ValueError:
            continue
        if start - timedelta(days=1) <= latest:  # a day begins earlier in the east
            found.append((start, *match.span()))
    if not found:
        return None
    day_found, _, end = max(found)
    next_day = min((begin for _, begin, _ in found if begin >= end), default=len(name))
    time = _TIME_AFTER_DAY.match(name, end)
    if time and time.end() <= next_day:
        return day_found.replace(hour=int(time[1]), minute=int(time[2]))
    return day_found


class Place:
    """A place that files are delivered to; ``variable`` names its setting in messages.

    Raises:
        ConfigurationError: the address is none.
        Unreachable: it cannot be reached.
    """

    def __init__(self, address: str, variable: str) -> None:
        self._address = address
        self._shown = f"{variable}={addresses.shown(address)}"
        if (problem := addresses.problem(address)) is not None:
            raise ConfigurationError(f"{self._shown}: {problem}")
        self._too_slow = 0  # times that we gave up waiting
        self._filesystem: Any = None  # none yet, or hung up
        self._root = ""
        try:
            self._connect()
        except (ValueError, ImportError) as error:
            raise ConfigurationError(f"{self._shown}: {self._told(error)}") from None
        except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
            raise Unreachable(f"{self._shown} cannot be reached: {self._told(error)}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def listed(self, now: datetime | None = None) -> list[Listed]:
        """Every file of rows there, the oldest first; hidden and half-delivered ones are left out.

        ``now``: no file is from after it.

        Raises:
            Unreachable: the place cannot be read.
        """
        try:
            is_folder, entries = self._entries()
        except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
            raise Unreachable(f"{self._shown} cannot be read: {self._told(error)}") from None
        if not is_folder:
            raise Unreachable(f"{self._shown} is not a folder.")
        found = []
        for entry in entries:
            raw_name = Path(str(entry["name"])).name
            is_file = entry["type"] in ("file", "link", "other")  # a broken link is refused by name, not skipped
            if is_file and _may_hold_rows(raw_name) and not raw_name.startswith("."):
                found.append(
                    Listed(shown(raw_name), str(entry["name"]), int(entry["size"] or 0), _modified(entry), now)
                )
        return sorted(found, key=lambda file: (file.source_time[0], file.modified_at, file.name))

    def content(self, file: Listed) -> bytes:
        """Its bytes. After a remote file that failed, the next one is read over a new connection.

        Raises:
            OSError: it cannot be read, is too large or too slow, or is a pipe or device.
        """
        if file.size > bounds.MOST_BYTES_OF_A_FILE:
            raise TooLarge(f"it is larger than {bounds.MOST_BYTES_OF_A_FILE:,} bytes")
        try:
            data = regular_file(file.address) if self._is_local else self._fetched(file)
        except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
            raise OSError(self._told(error)) from None
        if len(data) > bounds.MOST_BYTES_OF_A_FILE:
            raise TooLarge(f"it is larger than {bounds.MOST_BYTES_OF_A_FILE:,} bytes")
        return data

    def close(self) -> None:
        """Hang up, where there is a line (SFTP)."""
        filesystem, self._filesystem = self._filesystem, None
        with contextlib.suppress(Exception):  # saying goodbye to a server that hangs would hang, too
            within(_SECONDS_TO_HANG_UP, lambda _: _hang_up(filesystem), "hung up")

    def _connect(self) -> None:
        import fsspec  # only where files are read: plain commands do not wait for it

        place, options = _options(self._address)

        def connect(given_up: threading.Event) -> tuple[Any, str]:
            # A cached connection may have died since the last run, and a cached listing is old.
            filesystem, root = fsspec.core.url_to_fs(place, skip_instance_cache=True, **options)
            if given_up.is_set():
                _hang_up(filesystem)
            return filesystem, root

        self._filesystem, self._root = self._bounded(bounds.MOST_SECONDS_OF_A_LISTING, connect, "reached")
        protocol = self._filesystem.protocol
        self._is_local = "file" in ([protocol] if isinstance(protocol, str) else protocol)

    def _entries(self) -> tuple[bool, list[dict[str, Any]]]:
        filesystem, root = self._filesystem, self._root

        def look(_: threading.Event) -> tuple[bool, list[dict[str, Any]]]:
            is_folder = bool(filesystem.isdir(root))
            return is_folder, filesystem.ls(root, detail=True) if is_folder else []

        return self._bounded(bounds.MOST_SECONDS_OF_A_LISTING, look, "listed")

    def _fetched(self, file: Listed) -> bytes:
        if self._filesystem is None:
            self._connect()
        filesystem = self._filesystem

        def fetch(given_up: threading.Event) -> bytes:
            parts: list[bytes] = []
            size = 0
            with filesystem.open(file.address, "rb") as stream:
                # The listed size is not a promise: a stream may have no end.
                while (
                    size <= bounds.MOST_BYTES_OF_A_FILE and not given_up.is_set() and (part := stream.read(_AT_A_TIME))
                ):
                    parts.append(part)
                    size += len(part)
            return b"".join(parts)

        more = file.size // _LEAST_BYTES_A_SECOND
        try:
            return self._bounded(bounds.MOST_SECONDS_OF_A_FILE, fetch, "read", more)
        except (FileNotFoundError, PermissionError):
            raise
        except Exception:
            self.close()  # the connection may be broken, and would fail every file after this one
            raise

    def _bounded(self, seconds: float, work: Callable[[threading.Event], _Result], done: str, more: int = 0) -> _Result:
        """Wait for it; each time that this was in vain, the next wait is half as long: a place that hangs at each file ends."""
        try:
            return within(max(seconds / 2**self._too_slow, seconds / 30) + more, work, done)
        except TooSlow:
            self._too_slow += 1
            raise

    def _told(self, error: Exception) -> str:
        """An error's text, in which a filesystem may have repeated the address. Without its cause, which would, too."""
        if isinstance(error, ImportError) and self._address.lower().startswith(("s3://", "s3a://")):
            return "a package that reads S3 is not installed. Install it: pip install 'hr-centra-pipeline[s3]'"
        return addresses.hide(str(error), self._address) or type(error).__name__


def _hang_up(filesystem: Any) -> None:
    for part in ("ftp", "client"):
        line: Any = getattr(filesystem, part, None)
        if hasattr(line, "close"):
            line.close()


class TooLarge(OSError):
    """A file that is larger than what is read."""


def _may_hold_rows(name: str) -> bool:
    plain = name.lower().removesuffix(".gz")
    return plain.endswith((*_ENDINGS, *OTHER_FORMATS))


def _options(address: str) -> tuple[str, dict[str, Any]]:
    """The address as fsspec takes it, and its options: it does not decode user names and passwords."""
    if not address.startswith(("sftp://", "ssh://")):
        return address, {}
    from hr_centra_pipeline.sources.intake.known_hosts import KnownHostsOnly  # paramiko takes its time

    place, login = addresses.without_login(address)
    return place, {"host_key_policy": KnownHostsOnly(), **login}


def _modified(entry: dict[str, Any]) -> datetime:
    given = entry.get("mtime") or entry.get("LastModified") or entry.get("modified") or entry.get("created") or 0
    if isinstance(given, datetime):
        return given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
    return datetime.fromtimestamp(float(given), UTC)
