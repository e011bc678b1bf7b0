"""Which files hold an address: packed or not, in whatever encoding, under whatever name, and on which lines."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hr_centra_pipeline.core.errors import ConfigurationError, Unreachable
from hr_centra_pipeline.oversight.spellings import characters, forms
from hr_centra_pipeline.sources.intake.places import Place

_AT_ONCE = 1 << 20
_OVERLAP = 4096  # bytes of one piece that are looked at again with the next: longer than any address in any encoding
_MOST = 8 << 30  # unpacked bytes of a file
_DEPTH = 3  # a packed file in a packed file
_OURS = frozenset({"published", "dagster"})  # rewritten by us, or without anything personal


@dataclass(frozen=True)
class Holds:
    """One file that holds an address. ``lines``: where, counted from 1, unless it is packed in another or not text.

    ``is_unread``: it could not be searched completely.
    """

    name: str
    path: str
    lines: tuple[int, ...] = ()
    is_unread: bool = False


def in_folder(folder: Path, emails: Iterable[str], *, without: Iterable[Path] = ()) -> list[Holds]:
    """Of a folder, with all below it, whatever the files are called. ``without``: files that begin like one of these."""
    pattern = _pattern(emails)
    left_out = tuple(map(str, without))
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if parts[0] in _OURS or path.is_symlink() or not path.is_file() or str(path).startswith(left_out):
            continue
        try:
            with path.open("rb") as file:
                holds = _searched(file, pattern, str(Path(*parts)), str(path))
        except OSError:
            holds = Holds(str(Path(*parts)), str(path), is_unread=True)
        found += [holds] if holds else []
    return found


def in_place(address: str, variable: str, emails: Iterable[str]) -> list[Holds]:
    """Of a place that files are delivered to. A local folder is searched with all below it, any other as it is listed.

    Raises:
        Unreachable, ConfigurationError: the place cannot be read.
    """
    if not address:
        return []
    local = Path(address.removeprefix("file://"))
    if "://" not in address.removeprefix("file://") and local.is_dir():
        return in_folder(local, emails)
    pattern = _pattern(emails)
    with Place(address, variable) as place:
        found = []
        for listed in place.listed():
            try:
                holds = _searched(io.BytesIO(place.content(listed)), pattern, listed.name, listed.name)
            except OSError:
                holds = Holds(listed.name, listed.name, is_unread=True)
            found += [holds] if holds else []
        return found


def everywhere(
    emails: Iterable[str], places: Iterable[tuple[str, str]], home: Path, *, without: Iterable[Path]
) -> tuple[list[Holds], list[str]]:
    """In the places of deliveries (address, variable) and below our home; and why one of them could not be searched."""
    given, problems = list(emails), []
    found: dict[str, Holds] = {}
    if not given:
        return [], []
    for address, variable in places:
        try:
            found |= {holds.path: holds for holds in in_place(address, variable, given)}
        except (Unreachable, ConfigurationError) as error:
            problems.append(str(error))
    for holds in in_folder(home, given, without=without):
        found.setdefault(holds.path, holds)
    return list(found.values()), problems


def without_addresses(emails: Iterable[str]) -> Callable[[bytes], bytes]:
    """What takes these addresses out of a text, whatever their spelling, and leaves all else as it is."""
    pattern = _pattern(emails)

    def erased(text: bytes) -> bytes:
        kept, at = [], 0
        for begin, end in sorted(pattern.spans(text)):
            kept.append(text[at:begin])
            at = max(at, end)
        return b"".join((*kept, text[at:])) if at else text

    return erased


@dataclass(frozen=True)
class _Pattern:
    """Addresses as bytes in lower case. Every one has a word of ``words`` in it, or a character of that word spelled as in
    ``escaped``: only around those (``reach``: bytes) all spellings are tried. Without words: everywhere.
    """

    whole: re.Pattern[bytes]
    words: frozenset[bytes]
    escaped: re.Pattern[bytes]
    reach: int

    def hits(self, text: bytes) -> Iterator[int]:
        """Where addresses begin."""
        return (begin for begin, _ in self.spans(text))

    def spans(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Where addresses begin and end."""
        text = text.lower()
        for begin, end in self._around(text) if self.words else [(0, len(text))]:
            yield from (match.span() for match in self.whole.finditer(text, begin, end))

    def _around(self, text: bytes) -> list[tuple[int, int]]:
        places = [match.start() for match in self.escaped.finditer(text)]
        for word in self.words:
            at = text.find(word)
            while at >= 0:
                places.append(at)
                at = text.find(word, at + len(word))
        around: list[tuple[int, int]] = []
        for place in sorted(places):
            begin, end = max(0, place - self.reach), place + self.reach + 8  # what follows, too
            if around and begin <= around[-1][1]:
                around[-1] = (around[-1][0], end)
            else:
                around.append((begin, end))
        return around


def _pattern(emails: Iterable[str]) -> _Pattern:
    """Addresses whatever their case and form, in UTF-8, Latin-1 and UTF-16, escaped or not."""
    parts: list[bytes] = []
    words: set[bytes] = set()
    escaped: list[bytes] = []
    reach = 0
    is_everywhere = False
    for email in emails:
        for encoding, before, after in (
            ("utf-8", rb"(?<![a-z0-9._%+-])", rb"(?![a-z0-9-]|\.[a-z0-9])"),
            ("latin-1", rb"(?<![a-z0-9._%+-])", rb"(?![a-z0-9-]|\.[a-z0-9])"),
            ("utf-16-le", rb"(?<![a-z0-9._%+-]\x00)", rb"(?![a-z0-9-]\x00|\.\x00[a-z0-9])"),
            ("utf-16-be", rb"(?<!\x00[a-z0-9._%+-])", rb"(?!\x00[a-z0-9-]|\x00\.\x00[a-z0-9])"),
        ):
            each = [_encoded(forms(one), encoding) for one in characters(email)]
            if all(each):
                parts.append(before + b"".join(b"(?:" + b"|".join(one) + b")" for one in each) + after)
                reach = max(reach, sum(max(map(len, one)) for one in each))
        word = _rarest_word(email)
        is_everywhere = is_everywhere or not word
        for between in ("", "\0"):  # in UTF-16 of either order
            words.add(between.join(word).encode())
            escaped += [
                re.escape(between.join(one).encode())
                for letter in sorted(set(word))
                for one in forms(letter)
                if len(one) > 1
            ]
    return _Pattern(
        re.compile(b"|".join(dict.fromkeys(parts)) or rb"(?!)"),
        frozenset() if is_everywhere else frozenset(words),
        re.compile(b"|".join(dict.fromkeys(escaped)) or rb"(?!)"),
        reach,
    )


def _rarest_word(email: str) -> str:
    """An address's longest run of ASCII letters and digits: before its @, if that is more than initials: many share a domain."""
    local, _, domain = email.lower().rpartition("@")
    mine, all_runs = (re.findall("[a-z0-9]+", text) for text in (local, f"{local} {domain}"))
    longest = max(mine, key=len, default="")
    return longest if len(longest) > 2 else max(all_runs, key=len, default="")


def _encoded(texts: Iterable[str], encoding: str) -> list[bytes]:
    found = []
    for text in texts:
        try:
            found.append(re.escape(text.encode(encoding).lower()))
        except UnicodeEncodeError:
            continue
    return list(dict.fromkeys(found))


def _searched(file: IO[bytes], pattern: _Pattern, name: str, path: str) -> Holds | None:
    lines: list[int] = []
    hit = False
    try:
        for depth, stream in _unpacked(file, _DEPTH):
            for line in _hits(stream, pattern):
                hit = True
                if depth <= 1:
                    lines.append(line)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        return Holds(name, path, tuple(dict.fromkeys(lines)), is_unread=True)
    return Holds(name, path, tuple(dict.fromkeys(lines))) if hit else None


def _unpacked(file: IO[bytes], depth: int) -> Iterator[tuple[int, IO[bytes]]]:
    """The file itself, or what is packed in it, each with how often it was packed."""
    head = file.read(6)
    file.seek(0)
    opener: Any = None
    if head[:2] == b"\x1f\x8b":
        opener = gzip.open
    elif head[:3] == b"BZh":
        opener = bz2.open
    elif head == b"\xfd7zXZ\x00":
        opener = lzma.open
    if depth and opener is not None:
        with opener(file, "rb") as inner:
            yield from ((packed + 1, stream) for packed, stream in _unpacked(inner, depth - 1))
    elif depth and head[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                with archive.open(info) as inner:
                    yield from ((packed + 2, stream) for packed, stream in _unpacked(inner, depth - 1))
    else:
        yield 0, file


def _hits(stream: IO[bytes], pattern: _Pattern) -> Iterator[int]:
    """The line of each hit."""
    rest, line, size = b"", 1, 0
    while piece := stream.read(_AT_ONCE):
        size += len(piece)
        if size > _MOST:
            raise OSError("too large to be searched")
        text = rest + piece
        for begin in pattern.hits(text):
            yield line + text.count(b"\n", 0, begin)
        keep = text[-_OVERLAP:]
        line += text.count(b"\n", 0, len(text) - len(keep))
        rest = keep
