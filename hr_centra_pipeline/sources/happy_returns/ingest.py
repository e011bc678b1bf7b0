"""Landing of export files: every row is landed, repeated or rejected with a reason; the same file twice changes nothing."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from hr_centra_pipeline.core.errors import Unreachable
from hr_centra_pipeline.sources import files
from hr_centra_pipeline.sources.files import Content, Exports, Listed
from hr_centra_pipeline.sources.happy_returns import landing
from hr_centra_pipeline.sources.happy_returns.kinds import KINDS
from hr_centra_pipeline.sources.happy_returns.landing import Counts, ExportFile
from hr_centra_pipeline.sources.happy_returns.profiles import Profile, Recognised, recognise
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

_LOG = logging.getLogger(__name__)
_TRY_AGAIN = ""  # stands for the hash of a file that the next run looks at again
_AT_ONCE = 256_000_000  # bytes that are read ahead before the database is opened to land them


@dataclass(frozen=True)
class IngestReport:
    """Counts of one ingest. ``files``: looked at for the first time; ``refused_files``: of these, refused as a whole."""

    files: int = 0
    refused_files: int = 0
    rows_read: int = 0
    rows_landed: int = 0
    rows_rejected: int = 0
    rows_repeated: int = 0

    def plus(self, counts: Counts, *, refused: bool = False) -> IngestReport:
        """With one file more."""
        return IngestReport(
            self.files + 1,
            self.refused_files + refused,
            self.rows_read + counts.read,
            self.rows_landed + counts.landed,
            self.rows_rejected + counts.rejected,
            self.rows_repeated + counts.repeated,
        )


@dataclass(frozen=True)
class _Refused:
    """A file that is of no use as a whole. ``sha256`` may be ``_TRY_AGAIN``."""

    listed: Listed
    sha256: str
    problem: str


def ingest(warehouse: Warehouse, exports_url: str, profiles: Sequence[Profile], now: datetime) -> IngestReport:
    """Land all new files of a folder or fsspec address, the oldest first, one transaction per file.

    A file is new by its name, size and time, its content by its SHA-256. What cannot be used is refused as a whole and
    noted once; the others go on. A file that could not be read, or not for a reason of ours, is tried again by the next run.

    Each look at the place is noted in ``landing.exports_looks``, one that failed, too.

    Raises:
        Unreachable: the place cannot be read.
        ConfigurationError: the address is none.
    """
    try:
        exports = Exports(exports_url)
        try:
            listed = exports.listed()
        except BaseException:
            exports.close()
            raise
    except Unreachable as error:
        _note_look(warehouse, now, problem=str(error))
        raise
    try:
        with warehouse.transaction() as connection:
            noted = connection.execute(
                "select source_file, byte_size, modified_at, file_sha256 from landing.files"
            ).fetchall()
        known = {row[:3] for row in noted if row[3]}
        unreadable = {row[:3] for row in noted if not row[3]}
        new = [file for file in listed if _seen(file) not in known]
        report = IngestReport()
        with tempfile.TemporaryDirectory() as scratch:
            for portion in _portions(exports, new, profiles, Path(scratch)):
                fresh = [
                    one for one in portion
                    if not (isinstance(one, _Refused) and not one.sha256 and _seen(one.listed) in unreadable)
                ]  # fmt: skip
                report = _land_portion(warehouse, fresh, report, now)
                warehouse.yield_to_others()
        _note_look(warehouse, now, listed=len(listed), new=report.files)
        return report
    finally:
        exports.close()


def _note_look(
    warehouse: Warehouse,
    now: datetime,
    *,
    listed: int | None = None,
    new: int | None = None,
    problem: str | None = None,
) -> None:
    with warehouse.transaction() as connection:
        connection.execute(
            "insert into landing.exports_looks values (?, ?, ?, ?, ?, nextval('landing.batch_numbers'))",
            [now, listed, new, problem is None, problem],
        )


def _seen(file: Listed) -> tuple[str, int, datetime]:
    return (file.name, file.size, file.modified_at)


def _portions(
    exports: Exports, new: Sequence[Listed], profiles: Sequence[Profile], scratch: Path
) -> Iterator[list[ExportFile | _Refused]]:
    """Files, read ahead by portions: nothing is fetched while the database is open, and memory stays bounded."""
    portion: list[ExportFile | _Refused] = []
    size = 0
    for number, listed in enumerate(new):
        opened = _opened(exports, listed, profiles, scratch / f"{number}.csv")
        portion.append(opened)
        size += len(opened.content.data) if isinstance(opened, ExportFile) else 0
        if size >= _AT_ONCE:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _opened(exports: Exports, listed: Listed, profiles: Sequence[Profile], scratch: Path) -> ExportFile | _Refused:
    """Read a file and recognise its header."""
    try:
        content = files.opened(exports.content(listed), listed.name)
    except OSError as error:
        return _Refused(listed, _TRY_AGAIN, f"cannot be read: {error}")
    if content.problem:
        return _Refused(listed, content.sha256, content.problem)
    try:
        headers, found = recognised(content, profiles)
    except UnicodeDecodeError:
        return _Refused(listed, content.sha256, "its header is not UTF-8")
    if isinstance(found, str):
        return _Refused(listed, content.sha256, found)
    mapped = set(found.profile.columns[found.kind].values())
    twice = sorted({header for header in headers if header in mapped and headers.count(header) > 1})
    if twice:
        return _Refused(listed, content.sha256, f"its header names {', '.join(twice)} twice")
    # The bytes that were hashed are those that are landed, although the folder may change meanwhile.
    local = exports.local_path(listed)
    is_plain = local is not None and not content.had_mark and not listed.name.lower().endswith(".gz")
    path = local if local is not None and is_plain else scratch
    file = ExportFile(listed, content, path, tuple(headers), found.kind, found.profile, found.unknown_headers)
    if files.is_json(content.data) or not files.is_simple(content):
        return by_hand(file, scratch)
    if path == scratch:
        scratch.write_bytes(content.data)
    return file


def recognised(content: Content, profiles: Sequence[Profile]) -> tuple[list[str], Recognised | str]:
    """(headers, what they are or why they are nothing), tried with the delimiter of each profile."""
    if files.is_json(content.data):
        headers = files.cut_json(content).headers
        return headers, recognise(headers, profiles)
    answers: list[tuple[int, list[str], str]] = []
    for delimiter in dict.fromkeys(profile.delimiter for profile in profiles):
        headers = files.header_of(content.data, delimiter)
        found = recognise(headers, [profile for profile in profiles if profile.delimiter == delimiter])
        if not isinstance(found, str):
            return headers, found
        answers.append((len(headers), headers, found))
    _, headers, why = max(answers, default=(0, [], "there is no profile"))
    return headers, why


def by_hand(file: ExportFile, scratch: Path) -> ExportFile:
    """Cut a file row by row in Python, for those that the fast reader cannot do; bad rows are set aside."""
    cut = (
        files.cut_json(file.content)
        if files.is_json(file.content.data)
        else files.cut_csv(file.content, file.profile.delimiter)
    )
    scratch.write_bytes(files.as_csv(cut))
    return file.cut(scratch, cut)


# ---------------------------------------------------------------- one transaction per file


def _land_portion(
    warehouse: Warehouse, portion: Sequence[ExportFile | _Refused], report: IngestReport, now: datetime
) -> IngestReport:
    """Land files that were read. Returns come first among equals: they tell how many units a return has."""
    order = list(KINDS)

    def place(one: ExportFile | _Refused) -> tuple[datetime, int, str]:
        kind = order.index(one.kind) if isinstance(one, ExportFile) else len(order)
        return (one.listed.source_time[0], kind, one.listed.name)

    if not portion:
        return report
    with warehouse.transaction() as connection:  # opening the file anew for each export would cost more than landing it
        for one in sorted(portion, key=place):
            if isinstance(one, _Refused):
                report = report.plus(_refuse(connection, one, now), refused=True)
            else:
                counts, refused = _land(connection, one, now)
                report = report.plus(counts, refused=refused)
            _next_transaction(connection, "commit")
    return report


def _next_transaction(connection: Connection, how_this_one_ends: str) -> None:
    connection.execute(how_this_one_ends)
    connection.execute("begin")


def _land(connection: Connection, file: ExportFile, now: datetime) -> tuple[Counts, bool]:
    """Land one file: the fast way, else cut by hand, else it is refused. Answers counts, and whether it was refused."""
    if landing.is_landed(connection, file.content.sha256):
        return landing.note_repeated(connection, file, now), False
    try:
        if landing.read(connection, file):
            return landing.land(connection, file, now), False
    except duckdb.Error as error:
        _LOG.info("export %s is cut by hand: %s", file.listed.name, type(error).__name__)
    _next_transaction(connection, "rollback")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            file = file if file.is_cut_by_hand else by_hand(file, Path(scratch) / "cut.csv")
            landing.read(connection, file)
            return landing.land(connection, file, now), False
    except duckdb.Error as error:
        _next_transaction(connection, "rollback")
        problem = f"cannot be landed: {str(error).splitlines()[0]}"
        return _refuse(connection, _Refused(file.listed, _TRY_AGAIN, problem), now), True


def _refuse(connection: Connection, refused: _Refused, now: datetime) -> Counts:
    """One row in quarantine without a line, and a line in the log."""
    _LOG.warning("export %s is refused: %s", refused.listed.name, landing.without_addresses(refused.problem))
    return landing.note_refused(connection, refused.listed, refused.sha256, refused.problem, now)
