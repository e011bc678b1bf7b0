"""Export files: found on a folder or any fsspec address, read as bytes, and cut into rows where the fast reader cannot."""

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

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.core.errors import ConfigurationError, Unreachable

_ENDINGS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".txt", ".txt.gz", ".tsv", ".tsv.gz")
_TIME_IN_NAME = re.compile(r"(20\d\d)-?([01]\d)-?([0-3]\d)(?:[T_-]?([0-2]\d)-?:?([0-5]\d)(?:[0-5]\d)?Z?)?")
_UTF8_MARK = b"\xef\xbb\xbf"
_NUMBER = re.compile(r"[+-]?\d+(?:[.,](\d+))?")
_FIGURES = re.compile(r"[\dTZ:+., -]*")
_LONGEST_ROW = 1000  # physical lines: an open quote must not swallow the rest of a file
_HALF_A_CHARACTER = "holds half a character (a lone surrogate)"

csv.field_size_limit(1 << 30)


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
    """The place that exports are delivered to; ``variable`` names the setting in messages."""

    def __init__(self, address: str, variable: str = "HAPPY_RETURNS_EXPORTS") -> None:
        self._address = address
        self._shown = f"{variable}={addresses.shown(address)}"
        if (problem := addresses.problem(address)) is not None:
            raise ConfigurationError(f"{self._shown}: {problem}")
        place, options = _options(address)
        try:
            # A cached connection may have died since the last run, and a cached listing is old.
            self._filesystem, self._root = fsspec.core.url_to_fs(place, skip_instance_cache=True, **options)
        except (ValueError, ImportError) as error:
            raise ConfigurationError(f"{self._shown}: {self._told(error)}") from None
        except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
            raise Unreachable(f"{self._shown} cannot be reached: {self._told(error)}") from None

    def listed(self) -> list[Listed]:
        """Every export file there, the oldest first; hidden and half-delivered ones are left out.

        Raises:
            Unreachable: the place cannot be read.
        """
        try:
            is_folder = self._filesystem.isdir(self._root)
            entries = self._filesystem.ls(self._root, detail=True) if is_folder else []
        except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
            raise Unreachable(f"{self._shown} cannot be read: {self._told(error)}") from None
        if not is_folder:
            raise Unreachable(f"{self._shown} is no folder.")
        found = []
        for entry in entries:
            name = Path(str(entry["name"])).name
            is_file = entry["type"] in ("file", "link", "other")  # a dead link is refused by name, not passed over
            if is_file and name.lower().endswith(_ENDINGS) and not name.startswith("."):
                found.append(Listed(name, str(entry["name"]), int(entry["size"] or 0), _modified(entry)))
        return sorted(found, key=lambda file: (file.source_time[0], file.name))

    def content(self, file: Listed) -> bytes:
        """Its bytes.

        Raises:
            OSError: it cannot be read.
        """
        try:
            data: bytes = self._filesystem.cat_file(file.address)
        except Exception as error:  # noqa: BLE001 - every filesystem has its own errors
            raise OSError(self._told(error)) from None
        return data

    def local_path(self, file: Listed) -> Path | None:
        """Where it lies on this machine, if it does."""
        protocol = self._filesystem.protocol
        path = Path(file.address)
        return path if "file" in ([protocol] if isinstance(protocol, str) else protocol) and path.exists() else None

    def _told(self, error: Exception) -> str:
        """An error's text, in which a filesystem may have repeated the address. Without its cause, which would, too."""
        return addresses.hide(str(error), self._address) or type(error).__name__

    def close(self) -> None:
        """Hang up, where there is a line (SFTP)."""
        for part in ("ftp", "client"):
            line: Any = getattr(self._filesystem, part, None)
            if hasattr(line, "close"):
                line.close()


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
    """Unpack a file; what a cut archive still holds is kept."""
    sha256 = hashlib.sha256(raw).hexdigest()
    data, is_cut = raw, False
    if name.lower().endswith(".gz") and raw:
        try:
            data = gzip.decompress(raw)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            unpacker = zlib.decompressobj(wbits=31)
            try:
                data = unpacker.decompress(raw)
            except zlib.error:
                return Content(b"", sha256, "is no gzip file, or a damaged one")
            is_cut = True
    marked = data.startswith(_UTF8_MARK)
    if marked:
        data = data[len(_UTF8_MARK) :]
    if not data.strip():
        return Content(data, sha256, "is empty")
    return Content(data, sha256, is_cut=is_cut, had_mark=marked)


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


def header_of(data: bytes, delimiter: str) -> list[str]:
    """The header of a CSV file: its first line.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    first = data.split(b"\n", 1)[0].rstrip(b"\r").decode()
    return [header.strip() for header in next(csv.reader([first], delimiter=delimiter), [])]


def is_json(data: bytes) -> bool:
    """A file of JSON lines."""
    return data.lstrip()[:1] == b"{"


def is_simple(content: Content) -> bool:
    """Each line may be one row, so that the fast reader can do it: no stray line ends, and the last line is ended."""
    data = content.data
    return not content.is_cut and data.endswith(b"\n") and data.count(b"\r") == data.count(b"\r\n")


def cut_csv(content: Content, delimiter: str) -> Cut:
    """Cut a CSV file row by row, keeping what is good.

    Bad rows: not UTF-8, too few or too many columns, an open quote (which costs its own line only), a stump at the end.
    """
    lines = content.data.decode("utf-8", "surrogateescape").split("\n")
    is_ended = lines[-1] == ""
    if is_ended:
        lines.pop()
    cut = Cut(header_of(content.data, delimiter))
    at = 1
    while at < len(lines):
        if not lines[at].strip("\r"):
            at += 1
            continue
        values, end = _row_at(lines, at, delimiter, len(cut.headers))
        raw = "\n".join(lines[at:end])
        is_stump = end == len(lines) and not is_ended
        if (position := _not_utf8(raw)) is not None:
            cut.bad.append(BadRow(at + 1, f"is not UTF-8 (character {position + 1})", _shown(raw)))
        elif len(values) != len(cut.headers):
            why = f"has {len(values)} of {len(cut.headers)} columns" if values else "has a quote that is never closed"
            cut.bad.append(BadRow(at + 1, why + (": the file ends inside it" if is_stump else ""), _shown(raw)))
        elif is_stump and (content.is_cut or not _is_whole(values[-1], cut)):
            cut.bad.append(BadRow(at + 1, "is cut off: the file ends inside it", _shown(raw)))
        else:
            cut.rows.append((at + 1, values))
        at = end
    if content.is_cut and is_ended:
        cut.bad.append(BadRow(len(lines) + 1, "is cut off: the archive ends here", ""))
    return cut


def _row_at(lines: list[str], start: int, delimiter: str, width: int) -> tuple[list[str], int]:
    """(values, line after it) of the row that begins at a line; none where its quote is never closed.

    Over several lines only with the right number of columns: else a stray quote would take its neighbours with it.
    """
    if '"' not in lines[start]:
        return lines[start].rstrip("\r").split(delimiter), start + 1
    quotes = 0
    for end in range(start + 1, min(start + 1 + _LONGEST_ROW, len(lines) + 1)):
        quotes += lines[end - 1].count('"')
        if quotes % 2:
            continue
        try:
            values = next(csv.reader(["\n".join(lines[start:end]).rstrip("\r")], delimiter=delimiter, strict=True))
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
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").rstrip("\r")


def _is_whole(last: str, cut: Cut) -> bool:
    """Without a line end only the last value can be short: figures must look like those of another row."""
    others = {_shape(values[-1]) for _, values in cut.rows}
    return not others or not _FIGURES.fullmatch(last) or _shape(last) in others


def _shape(value: str) -> str:
    number = _NUMBER.fullmatch(value)
    return f"number with {len(number[1] or '')} decimals" if number else re.sub(r"\d", "0", value)


def cut_json(content: Content) -> Cut:
    """Cut a JSON-lines file row by row; lines that are no JSON object are bad ones. The header is all names in it."""
    found: list[tuple[int, dict[str, Any]]] = []
    cut = Cut([])
    lines = content.data.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        text = line.decode("utf-8", "replace").rstrip("\r")
        try:
            row = json.loads(line.decode(), parse_float=str, parse_int=str)
        except UnicodeDecodeError as error:
            cut.bad.append(BadRow(number, f"is not UTF-8 (byte {error.start + 1})", text))
        except (ValueError, RecursionError):
            cut.bad.append(BadRow(number, "is no JSON", text))
        else:
            if not isinstance(row, dict):
                cut.bad.append(BadRow(number, "is no JSON object", text))
            elif _not_utf8("".join(row)) is not None:
                cut.bad.append(BadRow(number, _HALF_A_CHARACTER, ""))
            else:
                found.append((number, row))
    if content.is_cut and not lines[-1]:
        cut.bad.append(BadRow(len(lines), "is cut off: the archive ends here", ""))
    cut.headers = list(dict.fromkeys(name for _, row in found for name in row))
    for number, row in found:
        values = [_plain(row.get(header)) for header in cut.headers]
        if _not_utf8("".join(values)) is not None:
            cut.bad.append(BadRow(number, _HALF_A_CHARACTER, ""))
        else:
            cut.rows.append((number, values))
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


def raw_rows(content: Content, delimiter: str, wanted: set[int]) -> Iterator[tuple[int, str]]:
    """The raw text of the rows that begin at some physical lines, from the bytes of the file."""
    lines = content.data.decode("utf-8", "surrogateescape").split("\n")
    width = 0 if is_json(content.data) else len(header_of(content.data, delimiter))
    for number in sorted(wanted):
        end = _row_at(lines, number - 1, delimiter, width)[1] if width else number
        yield number, _shown("\n".join(lines[number - 1 : end]))
