"""Export files: found on a folder or any fsspec address, read as bytes, and cut into rows where the fast reader cannot."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import stat
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.core.errors import ConfigurationError, Unreachable
from hr_centra_pipeline.sources.deadline import TooSlow, within

_ENDINGS = (".csv", ".jsonl", ".ndjson", ".json", ".txt", ".tsv")
_OTHER_FORMATS = (
    ".xlsx", ".xls", ".xlsm", ".ods", ".zip", ".7z", ".rar", ".tar", ".tgz", ".bz2", ".xz", ".zst", ".parquet", ".xml", ".pdf",
)  # fmt: skip
_NOT_IN_A_WORD = r"(?:(?<![0-9A-Za-z])|(?<=returns)|(?<=items)|(?<=refunds)|(?<=shipments)|(?<=export)|(?<=exports))"
_DAY_IN_NAME = re.compile(
    _NOT_IN_A_WORD + r"(20\d\d)(?:-([01]\d)-([0-3]\d)|([01]\d)([0-3]\d))(?![0-9]|[A-SU-Za-su-z])", re.IGNORECASE
)
_TIME_AFTER_DAY = re.compile(r"[T_ -]?([01]\d|2[0-3])[-:]?([0-5]\d)(?:[-:]?[0-5]\d)?Z?(?![0-9A-Za-z])")
_UTF8_MARK = b"\xef\xbb\xbf"
_NUMBER = re.compile(r"[+-]?\d+(?:[.,](\d+))?")
_FIGURES = re.compile(r"[\dTZ:+., -]*")
_LONGEST_ROW = 1000  # physical lines: an open quote must not swallow the rest of a file
_NAMED_TWICE = "names a column twice"
_HALF_A_CHARACTER = "holds half a character (a lone surrogate)"
# Blanks that no trim() knows, and what has no width at all.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]"
)

MOST_BYTES_OF_A_FILE = 1_000_000_000
"""A file that is larger, packed or unpacked, is refused."""
MOST_BYTES_OF_A_ROW = 4_000_000
"""A row that is larger is refused."""
MOST_SECONDS_OF_A_FILE = 300.0
"""A remote file that takes longer, and a second more for each of its megabytes, is given up until the next run."""
MOST_SECONDS_OF_A_LISTING = 60.0
"""A remote place that takes longer to be reached, or to be listed, counts as unreachable."""
MOST_COLUMNS = 1_000
"""A header with more columns is refused."""
MOST_BAD_ROWS = 10_000
"""A file with more rows that cannot be read, and more than a tenth of its lines, is refused."""
_MOST_TIMES_ITS_SIZE = 200  # texts shrink to a tenth; what unpacks to more than this is no export
_MOST_MEMBERS, _PIECE = 100_000, 16_000  # gzip archives after each other; bytes of them at a time
_AT_A_TIME, _LEAST_BYTES_A_SECOND, _SECONDS_TO_HANG_UP = 1 << 20, 1_000_000, 5.0  # of remote files
_ZEROS = re.compile(rb"\0*")
_MOST_BYTES_OF_AN_ARRAY = 64_000_000
_MOST_READ = 20_000  # characters of a bad row
_MOST_SHAPES, _LONGEST_SHAPE = 1_000, 100

csv.field_size_limit(1 << 30)

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


class Exports:
    """The place that exports are delivered to; ``variable`` names the setting in messages."""

    def __init__(self, address: str, variable: str = "HAPPY_RETURNS_EXPORTS") -> None:
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

    def listed(self, now: datetime | None = None) -> list[Listed]:
        """Every export file there, the oldest first; hidden and half-delivered ones are left out.

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
            is_file = entry["type"] in ("file", "link", "other")  # a dead link is refused by name, not passed over
            if is_file and _is_export(raw_name) and not raw_name.startswith("."):
                found.append(
                    Listed(shown(raw_name), str(entry["name"]), int(entry["size"] or 0), _modified(entry), now)
                )
        return sorted(found, key=lambda file: (file.source_time[0], file.modified_at, file.name))

    def content(self, file: Listed) -> bytes:
        """Its bytes. After a remote file that failed, the next one is read over a new connection.

        Raises:
            OSError: it cannot be read, is too large or too slow, or is a pipe or device.
        """
        if file.size > MOST_BYTES_OF_A_FILE:
            raise TooLarge(f"it is larger than {MOST_BYTES_OF_A_FILE:,} bytes")
        try:
            data = regular_file(file.address) if self._is_local else self._fetched(file)
        except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
            raise OSError(self._told(error)) from None
        if len(data) > MOST_BYTES_OF_A_FILE:
            raise TooLarge(f"it is larger than {MOST_BYTES_OF_A_FILE:,} bytes")
        return data

    def close(self) -> None:
        """Hang up, where there is a line (SFTP)."""
        filesystem, self._filesystem = self._filesystem, None
        with contextlib.suppress(Exception):  # saying goodbye to a server that hangs would hang, too
            within(_SECONDS_TO_HANG_UP, lambda _: _hang_up(filesystem), "hung up")

    def _connect(self) -> None:
        place, options = _options(self._address)

        def connect(given_up: threading.Event) -> tuple[Any, str]:
            # A cached connection may have died since the last run, and a cached listing is old.
            filesystem, root = fsspec.core.url_to_fs(place, skip_instance_cache=True, **options)
            if given_up.is_set():
                _hang_up(filesystem)
            return filesystem, root

        self._filesystem, self._root = self._bounded(MOST_SECONDS_OF_A_LISTING, connect, "reached")
        protocol = self._filesystem.protocol
        self._is_local = "file" in ([protocol] if isinstance(protocol, str) else protocol)

    def _entries(self) -> tuple[bool, list[dict[str, Any]]]:
        filesystem, root = self._filesystem, self._root

        def look(_: threading.Event) -> tuple[bool, list[dict[str, Any]]]:
            is_folder = bool(filesystem.isdir(root))
            return is_folder, filesystem.ls(root, detail=True) if is_folder else []

        return self._bounded(MOST_SECONDS_OF_A_LISTING, look, "listed")

    def _fetched(self, file: Listed) -> bytes:
        if self._filesystem is None:
            self._connect()
        filesystem = self._filesystem

        def fetch(given_up: threading.Event) -> bytes:
            parts: list[bytes] = []
            size = 0
            with filesystem.open(file.address, "rb") as stream:
                # What it is listed with is no promise: a stream may have no end.
                while size <= MOST_BYTES_OF_A_FILE and not given_up.is_set() and (part := stream.read(_AT_A_TIME)):
                    parts.append(part)
                    size += len(part)
            return b"".join(parts)

        more = file.size // _LEAST_BYTES_A_SECOND
        try:
            return self._bounded(MOST_SECONDS_OF_A_FILE, fetch, "read", more)
        except (FileNotFoundError, PermissionError):
            raise
        except Exception:
            self.close()  # the line may be dead, and would fail every file after this one
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


def _is_export(name: str) -> bool:
    plain = name.lower().removesuffix(".gz")
    return plain.endswith((*_ENDINGS, *_OTHER_FORMATS))


def regular_file(path: str | Path, most_bytes: int = MOST_BYTES_OF_A_FILE) -> bytes:
    """A file's bytes, at most one more than ``most_bytes``; a pipe, which would keep us waiting for ever, is none.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("it is a folder, pipe, socket or device and not a regular file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(most_bytes + 1)
    finally:
        os.close(handle)


def shown(text: str) -> str:
    """A text as every reader can take it: bytes that are not UTF-8 as escapes, line ends and control characters, too."""
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    readable = readable.encode("utf-8", "backslashreplace").decode()
    return "".join(
        one if one.isprintable() or one == "\xa0" else one.encode("unicode_escape").decode() for one in readable
    )


def _options(address: str) -> tuple[str, dict[str, Any]]:
    """The address as fsspec takes it, and its options: it does not decode user names and passwords."""
    if not address.startswith(("sftp://", "ssh://")):
        return address, {}
    from hr_centra_pipeline.sources.happy_returns.sftp import KnownHostsOnly  # paramiko takes its time

    place, login = addresses.without_login(address)
    return place, {"host_key_policy": KnownHostsOnly(), **login}


def _modified(entry: dict[str, Any]) -> datetime:
    given = entry.get("mtime") or entry.get("LastModified") or entry.get("modified") or entry.get("created") or 0
    if isinstance(given, datetime):
        return given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
    return datetime.fromtimestamp(float(given), UTC)


@dataclass
class Content:
    """A file's bytes, unpacked. ``problem``: why it cannot be read at all; ``is_cut``: its archive ends too early."""

    data: bytes
    sha256: str
    problem: str | None = None
    is_cut: bool = False
    had_mark: bool = False  # a byte order mark, which was taken off


def opened(raw: bytes, name: str) -> Content:
    """Unpack a file; what a cut archive still holds is kept.

    Single carriage returns that end lines become line feeds, and a JSON array one line for each of its elements.
    """
    sha256 = hashlib.sha256(raw).hexdigest()
    lower = name.lower()
    for ending in _OTHER_FORMATS:
        if lower.removesuffix(".gz").endswith(ending):
            return Content(b"", sha256, f"is not a file of rows ({ending}): deliver it as .csv, .csv.gz or .jsonl")
    data, is_cut = raw, False
    if lower.endswith(".gz") and raw:
        unpacked = _unpacked(raw)
        if isinstance(unpacked, str):
            return Content(b"", sha256, unpacked)
        data, is_cut = unpacked
    marked = data.startswith(_UTF8_MARK)
    if marked:
        data = data[len(_UTF8_MARK) :]
    if not data or data.isspace():
        return Content(b"", sha256, "is empty")
    first = re.search(rb"[\r\n]", data)
    if first and first[0] == b"\r" and data[first.end() : first.end() + 1] != b"\n":
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if data[:200].lstrip()[:1] == b"[" and lower.removesuffix(".gz").endswith((".json", ".jsonl", ".ndjson")):
        lines = _array_as_lines(data)
        if isinstance(lines, str):
            return Content(b"", sha256, lines)
        data = lines
    return Content(data, sha256, is_cut=is_cut, had_mark=marked)


def _unpacked(raw: bytes) -> tuple[bytes, bool] | str:
    """(bytes, whether the archive ends too early) of a gzip file, or why it is none. Never more than is bounded."""
    most = min(MOST_BYTES_OF_A_FILE, max(len(raw) * _MOST_TIMES_ITS_SIZE, 10_000_000))
    parts: list[bytes] = []
    view = memoryview(raw)
    size = at = members = whole = 0
    while at < len(raw):
        members += 1
        if members > _MOST_MEMBERS:
            return f"is made of more than {_MOST_MEMBERS:,} archives"
        unpacker = zlib.decompressobj(wbits=31)
        try:
            while not unpacker.eof:
                # In small pieces: what is left of one after a member's end is copied.
                piece: bytes | memoryview = unpacker.unconsumed_tail
                if not piece:
                    piece = view[at : at + _PIECE]
                    at += len(piece)
                part = unpacker.decompress(piece, 16_000_000)
                size += len(part)
                parts.append(part)
                if size > most:
                    return f"unpacks to more than {most:,} bytes"
                if not part and not piece:
                    break
        except zlib.error:
            # Whole members, then something else.
            kept = b"".join(parts[:whole])
            return (kept, True) if kept else "is not a gzip file, or is damaged"
        if not unpacker.eof:
            return b"".join(parts), True
        whole = len(parts)
        at -= len(unpacker.unused_data)
        zeros = _ZEROS.match(raw, at)  # that fill a block up are no damage
        at = zeros.end() if zeros else at
    return b"".join(parts), False


def _array_as_lines(data: bytes) -> bytes | str:
    """A JSON array as JSON lines, or why it is none."""
    if len(data) > _MOST_BYTES_OF_AN_ARRAY:
        return f"is a JSON array of more than {_MOST_BYTES_OF_AN_ARRAY:,} bytes: deliver it as .jsonl"
    try:
        rows = json.loads(data.decode(), parse_float=str, parse_int=str, object_pairs_hook=_no_name_twice)
    except UnicodeDecodeError:
        return "is not UTF-8"
    except (ValueError, RecursionError):
        return "is not valid JSON"
    return "".join(json.dumps(row) + "\n" for row in rows).encode() or b"{}\n"


@dataclass(frozen=True)
class BadRow:
    """A row that is no row: its physical line, why, and its text as far as it can be read."""

    line: int
    reason: str
    text: str


@dataclass
class Cut:
    """A file cut by hand, row by row: (physical line, values)."""

    headers: list[str]
    rows: list[tuple[int, list[str]]] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)

    def reject(self, row: BadRow) -> None:
        """Set a row aside.

        Raises:
            TooManyBadRows: so many that the file is of no use as a whole.
        """
        self.bad.append(row)
        if len(self.bad) > max(MOST_BAD_ROWS, row.line // 10):
            raise TooManyBadRows(self)


class TooManyBadRows(ValueError):
    """A file of which hardly a row can be read; its text says how many, and why the first."""

    def __init__(self, cut: Cut) -> None:
        first, last = cut.bad[0], cut.bad[-1]
        super().__init__(
            f"{len(cut.bad):,} of its first {last.line:,} lines cannot be read: line {first.line} {first.reason[:200]}"
        )
        self.headers = cut.headers


def header_of(data: bytes, delimiter: str) -> list[str]:
    """The header of a CSV file: its first line, without what cannot be seen.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    end = data.find(b"\n", 0, MOST_BYTES_OF_A_ROW)
    line = data[: end if end >= 0 else MOST_BYTES_OF_A_ROW]
    first = line.rstrip(b"\r").decode().replace("\r", " ")
    return [_INVISIBLE.sub("", header).strip() for header in next(csv.reader([first], delimiter=delimiter), [])]


def is_json(data: bytes) -> bool:
    """A file of JSON lines."""
    return data[:200].lstrip()[:1] == b"{"


def is_simple(content: Content) -> bool:
    """Each line may be one row, so that the fast reader can do it: no stray line ends, and the last line is ended."""
    data = content.data
    if content.is_cut or not data.endswith(b"\n"):
        return False
    returns = data.count(b"\r")
    return not returns or returns == data.count(b"\r\n")


Keep = Callable[[int, list[str]], object]


def cut_csv(content: Content, delimiter: str, keep: Keep | None = None) -> Cut:
    """Cut a CSV file row by row, keeping what is good: in ``rows``, or given to ``keep`` one by one.

    Bad rows: not UTF-8, too few or too many columns, too large, an open quote (which costs its own line only), a stump
    at the end.
    """
    cut = Cut(header_of(content.data, delimiter))
    kept = keep or (lambda line, values: cut.rows.append((line, values)))
    shapes: set[str] = set()
    lines = _Lines(content.data)
    at = 1
    while (line := lines.at(at)) is not None:
        if not line.strip("\r"):
            at += 1
            continue
        if len(line) > MOST_BYTES_OF_A_ROW:
            cut.reject(BadRow(at + 1, f"is larger than {MOST_BYTES_OF_A_ROW:,} bytes", _shown(line)))
            at += 1
            continue
        values, end = _row_at(lines, at, delimiter, len(cut.headers))
        raw = line if end == at + 1 else "\n".join(str(lines.at(one)) for one in range(at, end))
        is_stump = not lines.is_ended and lines.at(end) is None
        if (position := _not_utf8(raw)) is not None:
            cut.reject(BadRow(at + 1, f"is not UTF-8 (character {position + 1})", _shown(raw)))
        elif not values or len(values) != len(cut.headers):
            why = f"has {len(values)} of {len(cut.headers)} columns" if values else "has a quote that is never closed"
            cut.reject(BadRow(at + 1, why + (": the file ends inside it" if is_stump else ""), _shown(raw)))
        elif is_stump and (content.is_cut or not _is_whole(values[-1], shapes)):
            cut.reject(BadRow(at + 1, "is cut off: the file ends inside it", _shown(raw)))
        else:
            if len(shapes) < _MOST_SHAPES:
                shapes.add(_shape(values[-1][:_LONGEST_SHAPE]))
            kept(at + 1, values)
        at = end
    if content.is_cut and lines.is_ended:
        cut.reject(BadRow(at + 1, "is cut off: the archive ends here", ""))
    return cut


class _Lines:
    """The lines of a file, decoded as they are asked for: a window of them, as far as the longest row."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._next = 0  # byte at which the line after the window begins
        self._first = 0  # number of the first line of the window
        self._window: deque[str] = deque()
        self.is_ended = data.endswith(b"\n")

    def at(self, number: int) -> str | None:
        """The line of a number, from 0; none after the last. Lines are asked for upwards, but for those of one row."""
        while self._first + len(self._window) <= number:
            if self._next >= len(self._data):
                return None
            end = self._data.find(b"\n", self._next)
            end = len(self._data) if end < 0 else end
            self._window.append(self._data[self._next : end].decode("utf-8", "surrogateescape"))
            self._next = end + 1
            if len(self._window) > 2 * _LONGEST_ROW:
                self._window.popleft()
                self._first += 1
        return self._window[number - self._first]


def _row_at(lines: _Lines, start: int, delimiter: str, width: int) -> tuple[list[str], int]:
    """(values, line after it) of the row that begins at a line; none where its quote is never closed.

    Over several lines only with the right number of columns: else a stray quote would take its neighbours with it.
    """
    first = lines.at(start) or ""
    if '"' not in first:
        return first.rstrip("\r").split(delimiter), start + 1
    quotes = size = 0
    for end in range(start + 1, start + 1 + _LONGEST_ROW):
        line = lines.at(end - 1)
        if line is None or (size := size + len(line)) > MOST_BYTES_OF_A_ROW:
            break
        quotes += line.count('"')
        if quotes % 2:
            continue
        raw = "\n".join(str(lines.at(one)) for one in range(start, end))
        try:
            values = next(csv.reader([raw.rstrip("\r")], delimiter=delimiter, strict=True))
        except csv.Error:
            break
        if len(values) == width or end == start + 1:
            return values, end
        break
    return [], start + 1


def _not_utf8(text: str) -> int | None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def _shown(text: str) -> str:
    """A bad row's text for people to look at; the rest of a long one is counted."""
    start = text[:_MOST_READ].encode("utf-8", "surrogateescape").decode("utf-8", "replace").rstrip("\r")
    return start if len(text) <= _MOST_READ else f"{start}… ({len(text):,} characters)"


def _is_whole(last: str, shapes: set[str]) -> bool:
    """Without a line end only the last value can be short: figures must look like those of another row."""
    return not shapes or not _FIGURES.fullmatch(last) or _shape(last) in shapes


def _shape(value: str) -> str:
    number = _NUMBER.fullmatch(value)
    return f"number with {len(number[1] or '')} decimals" if number else re.sub(r"\d", "0", value)


def cut_json(content: Content, keep: Keep | None = None, headers: list[str] | None = None) -> Cut:
    """Cut a JSON-lines file; lines that are no JSON object are bad ones. The header is all names in it.

    Rows are in ``rows``, or given to ``keep`` one by one, as the ``headers`` that an earlier cut found say.
    """
    cut = Cut(headers if headers is not None else json_headers(content))
    kept = keep or (lambda line, values: cut.rows.append((line, values)))
    lines = _json_lines(content.data)
    number = 0
    for number, row in lines:
        if isinstance(row, BadRow):
            cut.reject(row)
            continue
        values = [_plain(row.get(header)) for header in cut.headers]
        if _not_utf8("".join(values)) is not None:
            cut.reject(BadRow(number, _HALF_A_CHARACTER, ""))
        else:
            kept(number, values)
    if content.is_cut and content.data.endswith(b"\n"):
        cut.reject(BadRow(number + 1, "is cut off: the archive ends here", ""))
    return cut


def json_headers(content: Content) -> list[str]:
    """All names in a JSON-lines file, as far as more of them than any export has."""
    names: dict[str, None] = {}
    for _, row in _json_lines(content.data):
        if isinstance(row, dict):
            names.update(dict.fromkeys(row))
        if len(names) > MOST_COLUMNS:
            break
    return list(names)


def _json_lines(data: bytes) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
    """(number, row) of each line that is not blank."""
    start, number = 0, 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        number += 1
        if end - start > MOST_BYTES_OF_A_ROW:
            why = f"is larger than {MOST_BYTES_OF_A_ROW:,} bytes"
            yield number, BadRow(number, why, data[start : start + _MOST_READ].decode("utf-8", "replace") + "…")
        elif line := data[start:end].strip():
            yield number, _json_row(number, line)
        start = end + 1


def _json_row(number: int, line: bytes) -> dict[str, Any] | BadRow:
    text = line.decode("utf-8", "replace")
    try:
        row = json.loads(line.decode(), parse_float=str, parse_int=str, object_pairs_hook=_no_name_twice)
    except UnicodeDecodeError as error:
        return BadRow(number, f"is not UTF-8 (byte {error.start + 1})", _shown(text))
    except (ValueError, RecursionError):
        return BadRow(number, "is not valid JSON", _shown(text))
    if not isinstance(row, dict):
        return BadRow(number, row if row == _NAMED_TWICE else "is not a JSON object", _shown(text))
    if _not_utf8("".join(row)) is not None:
        return BadRow(number, _HALF_A_CHARACTER, "")
    return row


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any] | str:
    row = dict(pairs)
    return row if len(row) == len(pairs) else _NAMED_TWICE


def _plain(value: Any) -> str:
    """A value as a CSV would hold it; a list of several, or an object, as JSON."""
    if value is None:
        return ""
    if isinstance(value, list) and len(value) < 2:
        return _plain(value[0]) if value else ""
    if isinstance(value, list | dict):
        try:
            return json.dumps(value, ensure_ascii=False)
        except RecursionError:
            return "["
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_csv(cut: Cut) -> bytes:
    """A cut file as a clean CSV with its physical lines in a first column."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["", *cut.headers])
    writer.writerows([line, *row] for line, row in cut.rows)
    return buffer.getvalue().encode()


def raw_rows(content: Content, delimiter: str, wanted: Iterable[int]) -> Iterator[tuple[int, str]]:
    """The raw text of the rows that begin at some physical lines, from the bytes of the file."""
    lines = _Lines(content.data)
    width = 0 if is_json(content.data) else len(header_of(content.data, delimiter))
    for number in sorted(set(wanted)):
        end = _row_at(lines, number - 1, delimiter, width)[1] if width else number
        yield number, _shown("\n".join(str(lines.at(one)) for one in range(number - 1, end)))
