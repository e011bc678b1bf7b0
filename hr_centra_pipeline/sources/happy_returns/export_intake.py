"""Landing of export files: every row is landed, repeated or rejected with a reason; the same file twice changes nothing."""

from __future__ import annotations

import csv
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb

from hr_centra_pipeline.core.errors import Unreachable
from hr_centra_pipeline.sources.happy_returns import export_landing, retyping, row_landing
from hr_centra_pipeline.sources.happy_returns.export_kinds import KINDS
from hr_centra_pipeline.sources.happy_returns.export_landing import ExportFile, Group
from hr_centra_pipeline.sources.happy_returns.export_profiles import Profile, Recognised, fingerprint, recognise
from hr_centra_pipeline.sources.happy_returns.row_landing import Counts
from hr_centra_pipeline.sources.intake import bounds, cutting
from hr_centra_pipeline.sources.intake.arrivals import UNREAD, Arrival, Refusal, arrivals
from hr_centra_pipeline.sources.intake.contents import Content
from hr_centra_pipeline.sources.intake.file_log import FileLog, Fingerprint
from hr_centra_pipeline.sources.intake.places import Listed, Place
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

_LOG = logging.getLogger(__name__)
VARIABLE = "HAPPY_RETURNS_EXPORTS"
_AT_ONCE = 256_000_000  # bytes that are read ahead before the database is opened to land them
_MOST_TOGETHER = 16_000_000  # bytes of small files that are landed together
_MOST_FILES_TOGETHER = 500
_MOST_READ_AHEAD = 2_000  # files


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


def ingest(warehouse: Warehouse, exports_url: str, profiles: Sequence[Profile], now: datetime) -> IngestReport:
    """Land all new files of a folder or fsspec address, the oldest first; small ones of one shape in one transaction.

    A file is new by its name, size and time, its content by its SHA-256. What cannot be used is refused as a whole and
    noted once; the others go on. A file that could not be read, or failed for a reason on our side, is tried again by the next run;
    one that was refused, or of which rows were, is tried again with other profiles, and every one with profiles that find
    columns under other headers. Rows that were landed are typed again by a profile that was changed otherwise.

    Each look at the place is noted in ``landing.exports_looks``, one that failed, too.

    Raises:
        Unreachable: the place cannot be read.
        ConfigurationError: the address is none.
    """
    retyping.retype(warehouse, profiles, now)
    try:
        place = Place(exports_url, VARIABLE)
        try:
            listed = place.listed(now)
        except BaseException:
            place.close()
            raise
    except Unreachable as error:
        _note_look(warehouse, now, problem=str(error))
        raise
    with place:
        run = _Run(warehouse, fingerprint(profiles), now)
        report = IngestReport()
        for portion in _portions(place, run.log.new(listed), profiles):
            report = run.land(portion, report)
            warehouse.yield_to_others()
        _note_look(warehouse, now, listed=len(listed), new=report.files)
        return report


@makes("landing.exports_looks", "One row per look for new export files.", kind="source")
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
            "insert into landing.exports_looks (looked_at, files_listed, files_new, is_complete, problem, batch)"
            " values (?, ?, ?, ?, ?, ?)",
            [now, listed, new, problem is None, problem, watermarks.next_batch(connection)],
        )


def _portions(place: Place, new: Sequence[Listed], profiles: Sequence[Profile]) -> Iterator[list[ExportFile | Refusal]]:
    """Files, read ahead by portions: nothing is fetched while the database is open, and memory stays bounded."""
    portion: list[ExportFile | Refusal] = []
    size = 0
    for arrived in arrivals(place, new):
        file = _export(arrived, profiles) if isinstance(arrived, Arrival) else arrived
        portion.append(file)
        size += len(file.content.data) if isinstance(file, ExportFile) else 0
        if size >= _AT_ONCE or len(portion) >= _MOST_READ_AHEAD:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _export(arrived: Arrival, profiles: Sequence[Profile]) -> ExportFile | Refusal:
    """Recognise a file by its header."""
    listed, content = arrived.listed, arrived.content
    try:
        headers, found = recognised(content, profiles)
    except UnicodeDecodeError:
        return Refusal(listed, content.sha256, "its header is not UTF-8")
    except csv.Error as error:
        return Refusal(listed, content.sha256, f"its header cannot be read: {error}")
    if len(headers) > bounds.MOST_COLUMNS:
        return Refusal(listed, content.sha256, f"its header names more than {bounds.MOST_COLUMNS:,} columns")
    if isinstance(found, str):
        return Refusal(listed, content.sha256, found)
    mapped = set(found.profile.columns[found.kind].values())
    twice = sorted({header for header in headers if header in mapped and headers.count(header) > 1})
    if twice:
        return Refusal(listed, content.sha256, f"its header names {', '.join(twice)} twice")
    return ExportFile(listed, content, tuple(headers), found.kind, found.profile, found.unknown_headers)


def recognised(content: Content, profiles: Sequence[Profile]) -> tuple[list[str], Recognised | str]:
    """(headers, what they are or why they are nothing), tried with the delimiter of each profile."""
    if cutting.is_json(content.data):
        headers = cutting.json_headers(content)
        return headers, recognise(headers, profiles)
    answers: list[tuple[int, list[str], str]] = []
    for delimiter in dict.fromkeys(profile.delimiter for profile in profiles):
        headers = cutting.header_of(content.data, delimiter)
        found = recognise(headers, [profile for profile in profiles if profile.delimiter == delimiter])
        if not isinstance(found, str):
            return headers, found
        answers.append((len(headers), headers, found))
    _, headers, why = max(answers, default=(0, [], "there is no profile"))
    return headers, why


# ---------------------------------------------------------------- landing


class _Run:
    """One ingest: what was landed before it, and how files are landed in it."""

    def __init__(self, warehouse: Warehouse, present: Fingerprint, now: datetime) -> None:
        self._warehouse = warehouse
        self._now = now
        with warehouse.transaction() as connection:
            self.log = FileLog(connection, export_landing.FILES, present)
            self._landed = export_landing.landed_hashes(connection)

    def land(self, portion: Sequence[ExportFile | Refusal], report: IngestReport) -> IngestReport:
        """Land files that were read: the oldest first within a kind, returns before others: they state how many units they have."""
        portion = [one for one in portion if isinstance(one, ExportFile) or not self.log.is_still_unread(one)]
        if not portion:
            return report
        order = list(KINDS)

        def place(one: ExportFile | Refusal) -> tuple[datetime, int, datetime, str]:
            kind = order.index(one.kind) if isinstance(one, ExportFile) else len(order)
            return (one.listed.source_time[0], kind, one.listed.modified_at, one.listed.name)

        # Opening the database again for each export would cost more than landing it.
        with self._warehouse.transaction() as connection:
            batches = watermarks.next_batches(connection, len(portion))
            fresh: list[ExportFile] = []
            repeated: list[ExportFile] = []
            refused: dict[int, Refusal] = {}
            for one, batch in zip(sorted(portion, key=place), batches, strict=True):
                if isinstance(one, Refusal):
                    refused[batch] = one
                    continue
                is_again = self.log.was_seen(one.listed)
                file = replace(one, batch=batch, is_again=is_again and one.content.sha256 in self._landed)
                is_known = one.content.sha256 in self._landed and not file.is_again
                (repeated if is_known else fresh).append(file)
                self._landed.add(one.content.sha256)
            report = self._refuse(connection, refused, report)
            export_landing.note_repeated(connection, self.log, repeated, self._now)
            for _ in repeated:
                report = report.plus(Counts())
            _next_transaction(connection, "commit")
            for kind in KINDS:
                for group in _groups([file for file in fresh if file.kind == kind]):
                    report = self._land_group(connection, group, report)
        return report

    def _land_group(self, connection: Connection, group: Group, report: IngestReport) -> IngestReport:
        """Land files together, the fast way; those that spoil it are found by halves, cut by hand, else refused."""
        try:
            counts = self._landed_together(connection, group)
        except (duckdb.Error, UnicodeError, MemoryError, cutting.TooManyBadRows) as error:
            _next_transaction(connection, "rollback")
            if len(group.members) > 1:
                return self._halves(connection, group, report)
            (file,) = group.members
            if isinstance(error, cutting.TooManyBadRows):
                refusal = Refusal(file.listed, file.content.sha256, str(error))
                report = self._refuse(connection, {file.batch: refusal}, report)
                _next_transaction(connection, "commit")
                return report
            if not group.is_cut_by_hand:
                _LOG.info("export %s is cut by hand: %s", file.listed.name, type(error).__name__)
                return self._land_group(connection, Group([file], is_cut_by_hand=True), report)
            problem = f"cannot be landed: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            report = self._refuse(connection, {file.batch: Refusal(file.listed, UNREAD, problem)}, report)
            _next_transaction(connection, "commit")
            return report
        if counts is None:
            if len(group.members) > 1:
                return self._halves(connection, group, report)
            return self._land_group(connection, Group(group.members, is_cut_by_hand=True), report)
        _next_transaction(connection, "commit")
        for one in counts:
            report = report.plus(one)
        return report

    def _halves(self, connection: Connection, group: Group, report: IngestReport) -> IngestReport:
        middle = len(group.members) // 2
        for half in (group.members[:middle], group.members[middle:]):
            report = self._land_group(connection, Group(half, is_cut_by_hand=group.is_cut_by_hand), report)
        return report

    def _landed_together(self, connection: Connection, group: Group) -> list[Counts] | None:
        """Counts of each file; none: they are not to be read so, and nothing was landed."""
        with tempfile.TemporaryDirectory() as scratch:
            if not export_landing.read(connection, group, Path(scratch), self._now) and not group.is_cut_by_hand:
                return None
            # A unit without an id is known by what was landed before it, file by file.
            if len(group.members) > 1 and group.kind.name == "items" and row_landing.some_have_no_id(connection):
                return None
            return export_landing.land(connection, group, self.log, self._now)

    def _refuse(self, connection: Connection, refused: Mapping[int, Refusal], report: IngestReport) -> IngestReport:
        for _ in range(self.log.refuse(connection, refused, self._now)):
            report = report.plus(Counts(), refused=True)
        return report


def _groups(fresh: Sequence[ExportFile]) -> Iterator[Group]:
    """Files that can be read together: those of one shape that come after each other, as far as they are small."""
    members: list[ExportFile] = []
    size = 0
    for file in fresh:
        fits = members and (
            file.shape == members[0].shape
            and file.is_simple == members[0].is_simple
            and not file.is_again
            and not members[0].is_again
            and size + len(file.content.data) <= _MOST_TOGETHER
            and len(members) < _MOST_FILES_TOGETHER
        )
        if members and not fits:
            yield Group(members, is_cut_by_hand=not members[0].is_simple)
            members, size = [], 0
        members.append(file)
        size += len(file.content.data)
    if members:
        yield Group(members, is_cut_by_hand=not members[0].is_simple)


def _next_transaction(connection: Connection, how_this_one_ends: str) -> None:
    connection.execute(how_this_one_ends)
    connection.execute("begin")
