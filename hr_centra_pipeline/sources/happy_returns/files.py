"""Export files: found on a folder or any fsspec address, read as bytes, cut into rows with their physical lines."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed

_ENDINGS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".txt", ".tsv")
_TIME_IN_NAME = re.compile(r"(20\d\d)-?([01]\d)-?([0-3]\d)(?:[T_-]?([0-2]\d)-?:?([0-5]\d)(?:[0-5]\d)?Z?)?")
_UTF8_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Listed:
    """A file as its folder lists it."""

    name: str
    address: str
    size: int
    modified_at: datetime

    @property
    def source_time(self) -> tuple[datetime, str]:
        """The time of rows without one: in the file's name, else the file's modification time; and which it was."""
        match = _TIME_IN_NAME.search(self.name)
        if match:
            year, month, day, hour, minute = (int(part or 0) for part in match.groups())
            try:
                return datetime(year, month, day, hour, minute, tzinfo=UTC), "name"
            except ValueError:
                pass
        return self.modified_at, "modification"


class Exports:
    """The place that exports are delivered to."""

    def __init__(self, address: str) -> None:
        try:
            self._filesystem, self._root = fsspec.core.url_to_fs(address)
        except (ValueError, ImportError) as error:
            raise ConfigurationError(f"HAPPY_RETURNS_EXPORTS={_without_password(address)}: {error}") from None
        except OSError as error:
            raise RunFailed(f"HAPPY_RETURNS_EXPORTS={_without_password(address)} cannot be reached: {error}") from error
        self._shown = _without_password(address)

    def listed(self) -> list[Listed]:
        """Every export file there, the oldest first; hidden and half-delivered ones are left out.

        Raises:
            RunFailed: the place cannot be read.
        """
        try:
            if not self._filesystem.isdir(self._root):
                raise RunFailed(f"HAPPY_RETURNS_EXPORTS={self._shown} is no folder.")
            entries = self._filesystem.ls(self._root, detail=True)
        except OSError as error:
            raise RunFailed(f"HAPPY_RETURNS_EXPORTS={self._shown} cannot be read: {error}") from error
        found = []
        for entry in entries:
            name = Path(str(entry["name"])).name
            if entry["type"] == "file" and name.lower().endswith(_ENDINGS) and not name.startswith("."):
                found.append(Listed(name, str(entry["name"]), int(entry["size"]), _modified(entry)))
        return sorted(found, key=lambda file: (file.source_time[0], file.name))

    def content(self, file: Listed) -> bytes:
        """Its bytes.

        Raises:
            OSError: it cannot be read.
        """
        data: bytes = self._filesystem.cat_file(file.address)
        return data

    def local_path(self, file: Listed) -> Path | None:
        """Where it lies on this machine, if it does."""
        path = Path(file.address)
        return path if "file" in _protocols(self._filesystem) and path.exists() else None


def _protocols(filesystem: Any) -> tuple[str, ...]:
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _without_password(address: str) -> str:
    return re.sub(r"://([^:/@]+):[^@]*@", r"://\1:…@", address)


def _modified(entry: dict[str, Any]) -> datetime:
    given = entry.get("mtime") or entry.get("LastModified") or entry.get("modified") or entry.get("created") or 0
    if isinstance(given, datetime):
        return given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
    return datetime.fromtimestamp(float(given), UTC)


@dataclass
class Content:
    """A file's text. ``problem``: why it cannot be read at all; ``stump``: it was cut off."""

    data: bytes
    sha256: str
    problem: str | None = None
    is_cut: bool = False


def opened(raw: bytes, name: str) -> Content:
    """Unpack a file; what a cut archive still holds is kept."""
    sha256 = hashlib.sha256(raw).hexdigest()
    data, is_cut = raw, False
    if name.lower().endswith(".gz"):
        try:
            data = gzip.decompress(raw)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            unpacker = zlib.decompressobj(wbits=31)
            try:
                data = unpacker.decompress(raw)
            except zlib.error:
                return Content(b"", sha256, "is no gzip file")
            is_cut = True
    if data.startswith(_UTF8_MARK):
        data = data[len(_UTF8_MARK) :]
    if not data.strip():
        return Content(data, sha256, "is empty")
    return Content(data, sha256, is_cut=is_cut)


@dataclass(frozen=True)
class BadRow:
    """A row that is no row: its physical line, why, and its text as far as it can be read."""

    line: int
    reason: str
    text: str


@dataclass
class Cut:
    """A file cut by hand, row by row: (physical line, values); for files that the fast reader refuses."""

    headers: list[str]
    rows: list[tuple[int, list[str]]] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)


def header_of(data: bytes, delimiter: str) -> list[str]:
    """The header of a CSV file.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    first = data.split(b"\n", 1)[0].rstrip(b"\r").decode()
    return next(csv.reader([first], delimiter=delimiter), [])


def is_json(data: bytes) -> bool:
    """A file of JSON lines."""
    return data.lstrip()[:1] == b"{"


def json_header(data: bytes) -> list[str]:
    """The names in the first readable line of a JSON-lines file."""
    for line in data.split(b"\n")[:20]:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            return list(row)
    return []


def cut_csv(content: Content, delimiter: str) -> Cut:
    """Cut a CSV file row by row, keeping what is good: lines that are not UTF-8, short or long rows are bad ones."""
    lines: list[str] = []
    bad: list[BadRow] = []
    physical = content.data.split(b"\n")
    for number, line in enumerate(physical, start=1):
        try:
            lines.append(line.decode() + "\n")
        except UnicodeDecodeError as error:
            bad.append(
                BadRow(number, f"is not UTF-8 (byte {error.start + 1})", line.decode("utf-8", "replace").rstrip())
            )
            lines.append("\n")
    if not physical[-1]:
        lines.pop()  # what follows the last line break is no row
    reader = csv.reader(lines, delimiter=delimiter)
    cut = Cut(next(reader, []), bad=bad)
    before = reader.line_num
    for row in reader:
        start, before = before + 1, reader.line_num
        if not row:
            continue
        is_last = reader.line_num == len(lines)
        if len(row) != len(cut.headers):
            cut.bad.append(
                BadRow(
                    start, f"has {len(row)} of {len(cut.headers)} columns", "".join(lines[start - 1 : before]).rstrip()
                )
            )
        elif is_last and content.is_cut:
            cut.bad.append(BadRow(start, "is where the file was cut off", "".join(lines[start - 1 : before]).rstrip()))
        else:
            cut.rows.append((start, row))
    return cut


def cut_json(content: Content, headers: list[str]) -> Cut:
    """Cut a JSON-lines file row by row; lines that are no JSON object are bad ones."""
    cut = Cut(headers)
    for number, line in enumerate(content.data.split(b"\n"), start=1):
        if not line.strip():
            continue
        text = line.decode("utf-8", "replace")
        try:
            row = json.loads(line.decode(), parse_float=str, parse_int=str)
        except UnicodeDecodeError as error:
            cut.bad.append(BadRow(number, f"is not UTF-8 (byte {error.start + 1})", text))
            continue
        except ValueError:
            cut.bad.append(BadRow(number, "is no JSON", text))
            continue
        if not isinstance(row, dict):
            cut.bad.append(BadRow(number, "is no JSON object", text))
            continue
        cut.rows.append((number, [_plain(row.get(header)) for header in headers]))
    return cut


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(_plain(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_csv(cut: Cut) -> bytes:
    """A cut file as a clean CSV with its physical lines in a first column."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["", *cut.headers])
    writer.writerows([line, *row] for line, row in cut.rows)
    return buffer.getvalue().encode()


def lines_of(data: bytes, wanted: set[int]) -> Iterator[tuple[int, str]]:
    """The raw text of some physical lines, as bytes of the file."""
    for number, line in enumerate(data.split(b"\n"), start=1):
        if number in wanted:
            yield number, line.decode("utf-8", "replace").rstrip("\r")
