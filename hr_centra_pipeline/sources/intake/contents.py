"""A file's bytes repaired before they are cut: unpacked, without a byte order mark, with line feeds that end lines."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from dataclasses import dataclass
from typing import Any

from hr_centra_pipeline.sources.intake import bounds

OTHER_FORMATS = (
    ".xlsx", ".xls", ".xlsm", ".ods", ".zip", ".7z", ".rar", ".tar", ".tgz", ".bz2", ".xz", ".zst", ".parquet", ".xml", ".pdf",
)  # fmt: skip
_UTF8_MARK = b"\xef\xbb\xbf"
_MOST_TIMES_ITS_SIZE = 200  # texts shrink to a tenth; what unpacks to more than this is not an export
_MOST_MEMBERS, _PIECE = 100_000, 16_000  # gzip archives after each other; bytes of them at a time
_ZEROS = re.compile(rb"\0*")
_MOST_BYTES_OF_AN_ARRAY = 64_000_000
NAMED_TWICE = "names a column twice"


@dataclass
class Content:
    """A file's bytes, unpacked. ``problem``: why it cannot be read at all; ``is_cut``: its archive ends too early."""

    data: bytes
    sha256: str
    problem: str | None = None
    is_cut: bool = False


def opened(raw: bytes, name: str) -> Content:
    """Unpack a file; what a cut archive still holds is kept.

    Single carriage returns that end lines become line feeds, and a JSON array one line for each of its elements.
    """
    sha256 = hashlib.sha256(raw).hexdigest()
    lower = name.lower()
    for ending in OTHER_FORMATS:
        if lower.removesuffix(".gz").endswith(ending):
            return Content(b"", sha256, f"is not a file of rows ({ending}): deliver it as .csv, .csv.gz or .jsonl")
    data, is_cut = raw, False
    if lower.endswith(".gz") and raw:
        unpacked = _unpacked(raw)
        if isinstance(unpacked, str):
            return Content(b"", sha256, unpacked)
        data, is_cut = unpacked
    data = data.removeprefix(_UTF8_MARK)
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
    return Content(data, sha256, is_cut=is_cut)


def _unpacked(raw: bytes) -> tuple[bytes, bool] | str:
    """(bytes, whether the archive ends too early) of a gzip file, or why it is none. Never more than is bounded."""
    most = min(bounds.MOST_BYTES_OF_A_FILE, max(len(raw) * _MOST_TIMES_ITS_SIZE, 10_000_000))
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
        zeros = _ZEROS.match(raw, at)  # that fill a block up are not damage
        at = zeros.end() if zeros else at
    return b"".join(parts), False


def _array_as_lines(data: bytes) -> bytes | str:
    """A JSON array as JSON lines, or why it is none."""
    if len(data) > _MOST_BYTES_OF_AN_ARRAY:
        return f"is a JSON array of more than {_MOST_BYTES_OF_AN_ARRAY:,} bytes: deliver it as .jsonl"
    try:
        rows = json.loads(data.decode(), parse_float=str, parse_int=str, object_pairs_hook=no_name_twice)
    except UnicodeDecodeError:
        return "is not UTF-8"
    except (ValueError, RecursionError):
        return "is not valid JSON"
    return "".join(json.dumps(row) + "\n" for row in rows).encode() or b"{}\n"


def no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any] | str:
    """A JSON object; ``NAMED_TWICE`` in place of one that names a column twice."""
    row = dict(pairs)
    return row if len(row) == len(pairs) else NAMED_TWICE
