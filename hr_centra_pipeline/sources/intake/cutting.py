"""Contents cut into rows by hand, where the fast reader cannot: CSV and JSON lines, each bad row set aside with its reason."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hr_centra_pipeline.sources.intake import bounds
from hr_centra_pipeline.sources.intake.contents import NAMED_TWICE, Content, no_name_twice

_NUMBER = re.compile(r"[+-]?\d+(?:[.,](\d+))?")
_FIGURES = re.compile(r"[\dTZ:+., -]*")
_LONGEST_ROW = 1000  # physical lines: an open quote must not swallow the rest of a file
_HALF_A_CHARACTER = "holds half a character (a lone surrogate)"
# Blanks that no trim() knows, and what has no width at all.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]"
)
_MOST_READ = 20_000  # characters of a bad row
_MOST_SHAPES, _LONGEST_SHAPE = 1_000, 100

csv.field_size_limit(1 << 30)


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be cut: its physical line, why, and its text as far as it can be read."""

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
        if len(self.bad) > max(bounds.MOST_BAD_ROWS, row.line // 10):
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
    end = data.find(b"\n", 0, bounds.MOST_BYTES_OF_A_ROW)
    line = data[: end if end >= 0 else bounds.MOST_BYTES_OF_A_ROW]
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
        if len(line) > bounds.MOST_BYTES_OF_A_ROW:
            cut.reject(BadRow(at + 1, f"is larger than {bounds.MOST_BYTES_OF_A_ROW:,} bytes", _shown(line)))
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
        if line is None or (size := size + len(line)) > bounds.MOST_BYTES_OF_A_ROW:
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
    """Cut a JSON-lines file; lines that are not JSON objects are bad ones. The header is all names in it.

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
        if len(names) > bounds.MOST_COLUMNS:
            break
    return list(names)


def _json_lines(data: bytes) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
    """(number, row) of each line that is not blank."""
    start, number = 0, 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        number += 1
        if end - start > bounds.MOST_BYTES_OF_A_ROW:
            why = f"is larger than {bounds.MOST_BYTES_OF_A_ROW:,} bytes"
            yield number, BadRow(number, why, data[start : start + _MOST_READ].decode("utf-8", "replace") + "…")
        elif line := data[start:end].strip():
            yield number, _json_row(number, line)
        start = end + 1


def _json_row(number: int, line: bytes) -> dict[str, Any] | BadRow:
    text = line.decode("utf-8", "replace")
    try:
        row = json.loads(line.decode(), parse_float=str, parse_int=str, object_pairs_hook=no_name_twice)
    except UnicodeDecodeError as error:
        return BadRow(number, f"is not UTF-8 (byte {error.start + 1})", _shown(text))
    except (ValueError, RecursionError):
        return BadRow(number, "is not valid JSON", _shown(text))
    if not isinstance(row, dict):
        return BadRow(number, row if row == NAMED_TWICE else "is not a JSON object", _shown(text))
    if _not_utf8("".join(row)) is not None:
        return BadRow(number, _HALF_A_CHARACTER, "")
    return row


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
