"""A header profile drafted from one export: what its names and its content show, and questions about what they do not."""

from __future__ import annotations

import csv
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.money import SQL_TYPE
from hr_centra_pipeline.core.setting_files import quoted, to_answer
from hr_centra_pipeline.sources.happy_returns import profile_synonyms
from hr_centra_pipeline.sources.happy_returns.export_intake import ingest
from hr_centra_pipeline.sources.happy_returns.export_kinds import KINDS, KindName
from hr_centra_pipeline.sources.happy_returns.export_profiles import Profile, load_profiles
from hr_centra_pipeline.sources.intake import bounds, contents, cutting
from hr_centra_pipeline.sources.intake.contents import Content
from hr_centra_pipeline.sources.intake.local_files import regular_file
from hr_centra_pipeline.sources.intake.profile_files import parsed
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse

_DELIMITERS = (",", ";", "\t", "|")
_MOST_BYTES_LOOKED_AT = 4_000_000
_ROWS_TRIED = 20
_MOST_WORDS = 40
_FORMATS = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%d-%m-%Y %H:%M", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y",
)  # fmt: skip
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_OFFSET = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")
_AMOUNT = re.compile(r"[+-]?(?:[A-Z]{3}|[€£])?\s*[+-]?\d[\d.,]*\s*(?:[A-Z]{3}|[€£])?")


@dataclass(frozen=True)
class TriedRow:
    """What one row of a file becomes. ``reason``: why it is quarantined; empty: it lands."""

    file: str
    line: int
    reason: str = ""


@dataclass
class Draft:
    """``columns``: our column -> (header, how it was found). ``words``: column -> their word -> ours, ``None``: a question."""

    name: str
    kind: KindName
    delimiter: str
    headers: list[str]
    columns: dict[str, tuple[str, str]]
    time_format: str | None = None
    decimal: str = "."
    words: dict[str, dict[str, str | None]] = field(default_factory=dict)
    questions: list[tuple[tuple[str, ...], str]] = field(default_factory=list)

    @property
    def unmapped(self) -> list[str]:
        """Headers that are not mapped to any column."""
        mapped = {header for header, _ in self.columns.values()}
        return [header for header in self.headers if header not in mapped]

    def as_toml(self) -> str:
        """The profile's file: what was found, each question as a line that the loader refuses by name."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        asked = dict(self.questions)
        yield f"# Drafted by `hr-centra profile` from a file of {self.kind}. Check each line; a line with TO ANSWER is a question:"
        yield '# state its setting below it. our column = "header in the file".'
        yield f"name = {quoted(self.name)}"
        if self.delimiter != ",":
            yield f"delimiter = {quoted(self.delimiter)}"
        yield from ("", "[times]")
        if ("times", "format") in asked:
            yield to_answer(("times", "format"), asked["times", "format"])
            yield '# format = "%d/%m/%Y %H:%M"'
        elif self.time_format:
            yield f"format = {quoted(self.time_format)}"
        if ("times", "zone") in asked:
            yield to_answer(("times", "zone"), asked["times", "zone"])
            yield '# zone = "Europe/Stockholm"'
        yield from ("", "[money]")
        if ("money", "decimal") in asked:
            yield to_answer(("money", "decimal"), asked["money", "decimal"])
            yield '# decimal = ","'
        else:
            yield f"decimal = {quoted(self.decimal)}"
        yield from ("", f"[columns.{self.kind}]")
        for column, (header, how) in self.columns.items():
            yield f"{column} = {quoted(header)}" + (f"  # by its {how}" if how != "name" else "")
        for place, question in self.questions:
            if place[0] == "columns":
                yield to_answer(place, question)
                yield f'# {place[-1]} = "…"'
        for column, words in self.words.items():
            yield from ("", f"[words.{column}]")
            for theirs, ours in words.items():
                if ours is None:
                    yield to_answer(("words", column, theirs), asked["words", column, theirs])
                    yield f'# {quoted(theirs)} = "…"'
                else:
                    yield f"{quoted(theirs)} = {quoted(ours)}"
        if self.unmapped:
            yield ""
            yield "# Headers that are not mapped. Map those of use above, and list the others here: they are not reported as new."
            yield "# [ignored]"
            yield f"# {self.kind} = [{', '.join(map(quoted, self.unmapped))}]"


def drafted(files: Sequence[Path], name: str) -> Draft:
    """Draft a profile from the beginnings of one file or of several with the same header: the more rows, the more words.

    Raises:
        ConfigurationError: one cannot be read, is not a file of rows, or has another header; the message says what to give.
    """
    first, *others = files
    delimiter, cut = _cut(_opened(first), first)
    rows = [values for _, values in cut.rows]
    for file in others:
        _, more = _cut(_opened(file), file)
        if more.headers != cut.headers:
            raise ConfigurationError(f"{file}: has another header than {first}. Draft a profile for each kind of file.")
        rows += [values for _, values in more.rows]
    samples = {
        header: [row[place].strip() for row in rows if row[place].strip()] for place, header in enumerate(cut.headers)
    }
    kind, columns = _kind_and_columns(cut.headers)
    draft = Draft(
        name, kind, delimiter, cut.headers,
        {column: (columns[column], "name") for column in _types(kind) if column in columns},
    )  # fmt: skip
    _by_content(draft, samples)
    _times(draft, samples)
    _money(draft, samples)
    _words(draft, samples)
    for column in sorted(KINDS[kind].required - set(draft.columns)):
        what = KINDS[kind].declared.declared[column].description
        draft.questions.append(
            (("columns", kind, column), f"Which header has the {what}? Not mapped yet: {_shown(draft.unmapped)}")
        )
    return draft


def tried(files: Sequence[Path], draft: Draft) -> list[TriedRow] | str:
    """What the first rows of each file become when they are landed with the draft, in a database of their own; or what is open."""
    try:
        profile = parsed(Profile, draft.as_toml(), draft.name)
    except ConfigurationError as error:
        return str(error)
    with tempfile.TemporaryDirectory() as scratch:
        exports = Path(scratch, "exports")
        exports.mkdir()
        names = {}
        for number, file in enumerate(files):
            content = _opened(file)
            is_json = cutting.is_json(content.data)
            first = b"".join(content.data.splitlines(keepends=True)[: _ROWS_TRIED + (not is_json)])
            name = f"{number}.{'jsonl' if is_json else 'csv'}"
            names[name] = file.name
            (exports / name).write_bytes(first)
        warehouse = Warehouse(Path(scratch, "tried.duckdb"))
        migrate.prepare(warehouse)
        ingest(warehouse, str(exports), [profile], datetime.now(UTC))
        with warehouse.transaction() as connection:
            landed = connection.execute(
                f"select source_file, source_line, '' from landing.happy_returns_{draft.kind}"  # noqa: S608 - our own names
            ).fetchall()
            bad = connection.execute(
                "select source_file, source_line, concat_ws(': ', column_name, reason) from quarantine.rejected_rows"
            ).fetchall()
    found = [TriedRow(names[name], line, reason) for name, line, reason in [*landed, *bad]]
    return sorted(found, key=lambda one: (one.file, one.line))


# ---------------------------------------------------------------- reading


def _opened(file: Path) -> Content:
    try:
        raw = regular_file(str(file))
    except OSError as error:
        raise ConfigurationError(
            f"{file}: cannot be read ({error.strerror or error}). Name a file of an export."
        ) from None
    if len(raw) > bounds.MOST_BYTES_OF_A_FILE:
        raise ConfigurationError(f"{file}: is larger than {bounds.MOST_BYTES_OF_A_FILE:,} bytes. Give a shorter one.")
    content = contents.opened(raw, file.name)
    if content.problem:
        raise ConfigurationError(
            f"{file}: {content.problem}. Give an export as CSV or JSON lines, packed with gzip or not."
        )
    if len(content.data) > _MOST_BYTES_LOOKED_AT:
        end = content.data.rfind(b"\n", 0, _MOST_BYTES_LOOKED_AT)
        content = Content(content.data[: end + 1], content.sha256)
    if not content.data.endswith(b"\n"):
        content = Content(content.data + b"\n", content.sha256)
    return content


def _cut(content: Content, file: Path) -> tuple[str, cutting.Cut]:
    try:
        if cutting.is_json(content.data):
            return ",", cutting.cut_json(content)
        widths = {one: len(cutting.header_of(content.data, one)) for one in _DELIMITERS}
        delimiter = max(widths, key=lambda one: widths[one])
        cut = cutting.cut_csv(content, delimiter)
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file}: is not UTF-8. Have it delivered, or save it, in that encoding.") from None
    except (csv.Error, cutting.TooManyBadRows) as error:
        raise ConfigurationError(f"{file}: cannot be cut into rows: {error}. Is it a CSV file?") from None
    if len(cut.headers) < 2 or len(cut.headers) > bounds.MOST_COLUMNS:
        raise ConfigurationError(
            f"{file}: its first line has {len(cut.headers)} columns. Give a file whose first line names the columns, "
            "apart by a comma, a semicolon, a tab or a bar."
        )
    return delimiter, cut


# ---------------------------------------------------------------- what it shows


def _kind_and_columns(headers: Sequence[str]) -> tuple[KindName, dict[str, str]]:
    """The kind of which most columns are found, and few required ones are missing; and each column's header by name."""
    shipped = load_profiles(Path("/dev/null"))
    best: tuple[int, KindName, dict[str, str]] | None = None
    for kind in KINDS.values():
        found: dict[str, str] = {}
        for column in sorted(kind.known, key=lambda one: one not in kind.required):
            spelled = {one.columns.get(kind.name, {}).get(column, "") for one in shipped} - {""}
            header = _named(headers, column, spelled, taken=set(found.values()))
            if header is not None:
                found[column] = header
        required = len(kind.required & set(found))
        score = len(found) + 3 * required - 2 * (len(kind.required) - required)
        if best is None or score > best[0]:
            best = (score, kind.name, found)
    assert best is not None  # noqa: S101 - there are kinds
    return best[1], best[2]


def _named(headers: Sequence[str], column: str, spelled: set[str], taken: set[str]) -> str | None:
    free = [header for header in headers if header not in taken and headers.count(header) == 1]
    names = profile_synonyms.names_of(column)
    for matches in (
        lambda header: header == column,
        lambda header: header in spelled,
        lambda header: profile_synonyms.normal(header) in names,
    ):
        if (header := next(filter(matches, free), None)) is not None:
            return header
    return None


def _by_content(draft: Draft, samples: dict[str, list[str]]) -> None:
    """Columns of few words, and currencies, that no name gave away: only where one header alone looks like them."""
    kind = KINDS[draft.kind]
    for column in ("refund_type", "refund_status", "status", "currency", "disposition", "dropoff_method"):
        if column in draft.columns or column not in kind.known:
            continue
        fits = [header for header in draft.unmapped if _looks_like(column, samples[header])]
        if len(fits) == 1:
            draft.columns[column] = (fits[0], "content")


def _looks_like(column: str, values: list[str]) -> bool:
    distinct = set(values)
    if not distinct or len(distinct) > _MOST_WORDS:
        return False
    if column == "currency":
        from hr_centra_pipeline.core.money import is_currency

        return all(is_currency(value) for value in distinct)
    return all(profile_synonyms.word_of(column, value) for value in distinct)


def _times(draft: Draft, samples: dict[str, list[str]]) -> None:
    columns = [name for name, sql in _types(draft.kind).items() if sql == "TIMESTAMPTZ" and name in draft.columns]
    values = [value for name in columns for value in samples[draft.columns[name][0]]]
    if not values:
        return
    read = [value for value in values if _ISO.match(value)]
    if not _is_most(len(read), len(values)):
        fits = {one: [value for value in values if _parses(value, one)] for one in _FORMATS}
        good = [one for one, found in fits.items() if _is_most(len(found), len(values))]
        if len(good) == 1:
            draft.time_format = good[0]
            read = fits[good[0]]
        else:
            why = "day and month may be either way round" if good else "no usual format reads them"
            draft.questions.append((("times", "format"), f"How are times like {values[0]!r} written ({why})?"))
            read = values
    if without := [value for value in read if not _OFFSET.search(value)]:
        draft.questions.append(
            (
                ("times", "zone"),
                f"In which zone are times without an offset, like {without[0]!r}? Like Europe/Stockholm, or UTC.",
            )
        )


def _is_most(part: int, whole: int) -> bool:
    """What is left is what a sync would set aside, row by row."""
    return 20 * part >= 19 * whole


def _parses(value: str, form: str) -> bool:
    try:
        datetime.strptime(value, form)  # noqa: DTZ007 - only whether it can be read
    except ValueError:
        return False
    return True


def _money(draft: Draft, samples: dict[str, list[str]]) -> None:
    columns = [name for name, sql in _types(draft.kind).items() if sql == SQL_TYPE and name in draft.columns]
    values = [value for name in columns for value in samples[draft.columns[name][0]] if _AMOUNT.fullmatch(value)]
    comma = any(re.search(r",(?:\d|\d\d|\d{4})(?!\d)|\..*,", value) for value in values)
    point = any(re.search(r"\.(?:\d|\d\d|\d{4})(?!\d)|,.*\.", value) for value in values)
    if comma and not point:
        draft.decimal = ","
    elif (comma and point) or (not point and any("," in value or "." in value for value in values)):
        shown = next(value for value in values if "," in value or "." in value)
        draft.questions.append((("money", "decimal"), f'Which sign is before the cents in {shown!r}: "." or ","?'))


def _words(draft: Draft, samples: dict[str, list[str]]) -> None:
    kind = KINDS[draft.kind]
    for column in profile_synonyms.WORD_COLUMNS:
        if column not in draft.columns:
            continue
        declared = kind.declared.declared.get(column)
        closed = set(declared.values or ()) if declared is not None else set()
        ours = closed or set(profile_synonyms.known_words(column))
        distinct = list(dict.fromkeys(samples[draft.columns[column][0]]))[: _MOST_WORDS + 1]
        theirs = [word for word in distinct if word not in ours]
        if len(distinct) > _MOST_WORDS:
            header = draft.columns.pop(column)[0]
            if column not in kind.required:
                continue
            theirs = []
            draft.questions.append(
                (
                    ("columns", draft.kind, column),
                    f"{header!r} has more than {_MOST_WORDS} words: which header has the {column}?",
                )
            )
        for word in theirs:
            known = profile_synonyms.word_of(column, word)
            draft.words.setdefault(column, {})[word] = known
            if known is None:
                rest = "" if closed else ", or a word of your own that the policy lists"
                question = f"What does it mean: {', '.join(sorted(ours))}{rest}?"
                draft.questions.append((("words", column, word), question))


def _types(kind: KindName) -> dict[str, Any]:
    more = {"customer_email": "VARCHAR"} if kind == "returns" else {}
    return {**KINDS[kind].brought, **more, "updated_at": "TIMESTAMPTZ"}


def _shown(headers: Sequence[str]) -> str:
    return (
        ", ".join(header[:40] for header in headers[:20]) + (", …" if len(headers) > 20 else "") if headers else "none"
    )
