"""Landing of export files: every row is landed, repeated or rejected with a reason; the same file twice changes nothing."""

from __future__ import annotations

import csv
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb

from hr_centra_pipeline.core.errors import Unreachable
from hr_centra_pipeline.sources import files
from hr_centra_pipeline.sources.files import Content, Exports, Listed
from hr_centra_pipeline.sources.happy_returns import landing, retyping
from hr_centra_pipeline.sources.happy_returns.kinds import KINDS
from hr_centra_pipeline.sources.happy_returns.landing import Counts, ExportFile, Group
from hr_centra_pipeline.sources.happy_returns.profiles import Fingerprint, Profile, Recognised, fingerprint, recognise
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

_LOG = logging.getLogger(__name__)
_TRY_AGAIN = ""  # stands for the hash of a file that the next run looks at again
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


@dataclass(frozen=True)
class _Refused:
    """A file that is of no use as a whole. ``sha256`` may be ``_TRY_AGAIN``."""

    listed: Listed
    sha256: str
    problem: str


@dataclass(frozen=True)
class _Noted:
    """What an earlier run has noted of a file. ``is_good``: no other profile would say anything else of it."""

    sha256: str
    problem: str | None
    is_good: bool
    are_same_profiles: bool


def ingest(warehouse: Warehouse, exports_url: str, profiles: Sequence[Profile], now: datetime) -> IngestReport:
    """Land all new files of a folder or fsspec address, the oldest first; small ones of one shape in one transaction.

    A file is new by its name, size and time, its content by its SHA-256. What cannot be used is refused as a whole and
    noted once; the others go on. A file that could not be read, or not for a reason of ours, is tried again by the next run;
    one that was refused, or of which rows were, is tried again with other profiles, and every one with profiles that find
    columns under other headers. Rows that were landed are typed again by a profile that was changed otherwise.

    Each look at the place is noted in ``landing.exports_looks``, one that failed, too.

    Raises:
        Unreachable: the place cannot be read.
        ConfigurationError: the address is none.
    """
    retyping.retype(warehouse, profiles, now)
    try:
        exports = Exports(exports_url)
        try:
            listed = exports.listed(now)
        except BaseException:
            exports.close()
            raise
    except Unreachable as error:
        _note_look(warehouse, now, problem=str(error))
        raise
    try:
        run = _Run(warehouse, profiles, fingerprint(profiles), now)
        new = run.new(listed)
        report = IngestReport()
        for portion in _portions(exports, new, profiles):
            report = run.land(portion, report)
            warehouse.yield_to_others()
        _note_look(warehouse, now, listed=len(listed), new=report.files)
        return report
    finally:
        exports.close()


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
            "insert into landing.exports_looks values (?, ?, ?, ?, ?, nextval('landing.batch_numbers'))",
            [now, listed, new, problem is None, problem],
        )


def _seen(file: Listed) -> tuple[str, int, datetime]:
    return (file.name, file.size, file.modified_at)


def _portions(
    exports: Exports, new: Sequence[Listed], profiles: Sequence[Profile]
) -> Iterator[list[ExportFile | _Refused]]:
    """Files, read ahead by portions: nothing is fetched while the database is open, and memory stays bounded."""
    portion: list[ExportFile | _Refused] = []
    size = 0
    for listed in new:
        opened = _opened(exports, listed, profiles)
        portion.append(opened)
        size += len(opened.content.data) if isinstance(opened, ExportFile) else 0
        if size >= _AT_ONCE or len(portion) >= _MOST_READ_AHEAD:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _opened(exports: Exports, listed: Listed, profiles: Sequence[Profile]) -> ExportFile | _Refused:
    """Read a file and recognise its header."""
    try:
        content = files.opened(exports.content(listed), listed.name)
    except files.TooLarge as error:
        return _Refused(listed, f"size {listed.size}", f"cannot be read: {error}")
    except OSError as error:
        return _Refused(listed, _TRY_AGAIN, f"cannot be read: {error}")
    if content.problem:
        return _Refused(listed, content.sha256, content.problem)
    try:
        headers, found = recognised(content, profiles)
    except UnicodeDecodeError:
        return _Refused(listed, content.sha256, "its header is not UTF-8")
    except csv.Error as error:
        return _Refused(listed, content.sha256, f"its header cannot be read: {error}")
    if len(headers) > files.MOST_COLUMNS:
        return _Refused(listed, content.sha256, f"its header names more than {files.MOST_COLUMNS:,} columns")
    if isinstance(found, str):
        return _Refused(listed, content.sha256, found)
    mapped = set(found.profile.columns[found.kind].values())
    twice = sorted({header for header in headers if header in mapped and headers.count(header) > 1})
    if twice:
        return _Refused(listed, content.sha256, f"its header names {', '.join(twice)} twice")
    return ExportFile(listed, content, tuple(headers), found.kind, found.profile, found.unknown_headers)


def recognised(content: Content, profiles: Sequence[Profile]) -> tuple[list[str], Recognised | str]:
    """(headers, what they are or why they are nothing), tried with the delimiter of each profile."""
    if files.is_json(content.data):
        headers = files.json_headers(content)
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


# ---------------------------------------------------------------- landing


class _Run:
    """One ingest: what was landed before it, and how files are landed in it."""

    def __init__(self, warehouse: Warehouse, profiles: Sequence[Profile], present: Fingerprint, now: datetime) -> None:
        self._warehouse = warehouse
        self._present = present
        self._now = now
        with warehouse.transaction() as connection:
            # of files that an earlier version landed
            connection.execute(
                "update landing.files set columns_sha256 = ? where columns_sha256 is null", [present.columns]
            )
            self._landed = landing.landed_hashes(connection)
            self._noted: dict[tuple[str, int, datetime], _Noted] = {
                (name, size, modified): _Noted(sha256, problem, is_good, profiles == present.whole)
                for name, size, modified, sha256, problem, is_good, profiles in connection.execute(
                    """
                    select
                        source_file, byte_size, modified_at, file_sha256, problem,
                        -- its columns are still where they were; of one that repeats another they are of no account
                        problem is null and rows_rejected = 0 and (rows_read = 0 or columns_sha256 = $columns),
                        profiles_sha256
                    from landing.files order by batch
                    """,
                    {"columns": present.columns},
                ).fetchall()
            }

    def new(self, listed: Sequence[Listed]) -> list[Listed]:
        """Files that were not looked at, that could not be read, that were refused, in part or whole, by other profiles, or whose
        columns were found elsewhere.
        """
        return [file for file in listed if not self._is_known(file)]

    def _is_known(self, file: Listed) -> bool:
        noted = self._noted.get(_seen(file))
        return noted is not None and noted.sha256 != _TRY_AGAIN and (noted.is_good or noted.are_same_profiles)

    def land(self, portion: Sequence[ExportFile | _Refused], report: IngestReport) -> IngestReport:
        """Land files that were read: the oldest first within a kind, returns before others: they tell how many units they have."""
        portion = [one for one in portion if not self._is_unread_as_before(one)]
        if not portion:
            return report
        order = list(KINDS)

        def place(one: ExportFile | _Refused) -> tuple[datetime, int, datetime, str]:
            kind = order.index(one.kind) if isinstance(one, ExportFile) else len(order)
            return (one.listed.source_time[0], kind, one.listed.modified_at, one.listed.name)

        # Opening the database again for each export would cost more than landing it.
        with self._warehouse.transaction() as connection:
            batches = landing.next_batches(connection, len(portion))
            fresh: list[ExportFile] = []
            repeated: list[ExportFile] = []
            refused: list[tuple[Listed, str, str, int]] = []
            for one, batch in zip(sorted(portion, key=place), batches, strict=True):
                if isinstance(one, _Refused):
                    refused.append((one.listed, one.sha256, one.problem, batch))
                    continue
                is_again = _seen(one.listed) in self._noted
                file = replace(one, batch=batch, is_again=is_again and one.content.sha256 in self._landed)
                is_known = one.content.sha256 in self._landed and not file.is_again
                (repeated if is_known else fresh).append(file)
                self._landed.add(one.content.sha256)
            report = self._refuse(connection, refused, report)
            landing.note_repeated(connection, repeated, self._now, self._present)
            for _ in repeated:
                report = report.plus(Counts())
            _next_transaction(connection, "commit")
            for kind in KINDS:
                for group in _groups([file for file in fresh if file.kind == kind]):
                    report = self._land_group(connection, group, report)
        return report

    def _is_unread_as_before(self, one: ExportFile | _Refused) -> bool:
        noted = self._noted.get(_seen(one.listed))
        return (
            isinstance(one, _Refused) and one.sha256 == _TRY_AGAIN and noted is not None and noted.sha256 == _TRY_AGAIN
        )

    def _is_refused_as_before(self, listed: Listed, sha256: str, problem: str) -> bool:
        """Nothing new to say of it: other profiles say the same of the same bytes."""
        noted = self._noted.get(_seen(listed))
        return noted is not None and (noted.sha256, noted.problem) == (sha256, landing.kept_text(problem))

    def _land_group(self, connection: Connection, group: Group, report: IngestReport) -> IngestReport:
        """Land files together, the fast way; those that spoil it are found by halves, cut by hand, else refused."""
        try:
            counts = self._landed_together(connection, group)
        except (duckdb.Error, UnicodeError, MemoryError, files.TooManyBadRows) as error:
            _next_transaction(connection, "rollback")
            if len(group.members) > 1:
                return self._halves(connection, group, report)
            (file,) = group.members
            if isinstance(error, files.TooManyBadRows):
                report = self._refuse(connection, [(file.listed, file.content.sha256, str(error), file.batch)], report)
                _next_transaction(connection, "commit")
                return report
            if not group.is_cut_by_hand:
                _LOG.info("export %s is cut by hand: %s", file.listed.name, type(error).__name__)
                return self._land_group(connection, Group([file], is_cut_by_hand=True), report)
            problem = f"cannot be landed: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            refused = [(file.listed, _TRY_AGAIN, problem, file.batch)]
            report = self._refuse(connection, refused, report)
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
            if not landing.read(connection, group, Path(scratch), self._now) and not group.is_cut_by_hand:
                return None
            # A unit without an id is known by what was landed before it, file by file.
            if len(group.members) > 1 and group.kind.name == "items" and landing.some_have_no_id(connection):
                return None
            return landing.land(connection, group, self._now, self._present)

    def _refuse(
        self, connection: Connection, refused: Sequence[tuple[Listed, str, str, int]], report: IngestReport
    ) -> IngestReport:
        """One row in quarantine without a line, and a line in the log, each; of one that is refused as before a note only."""
        as_before = [one for one in refused if self._is_refused_as_before(*one[:3])]
        landing.note_refused_again(connection, [(listed, sha256) for listed, sha256, *_ in as_before], self._present)
        refused = [one for one in refused if one not in as_before]
        for listed, _, problem, _ in refused:
            _LOG.warning("export %s is refused: %s", listed.name, landing.kept_text(problem))
            report = report.plus(Counts(), refused=True)
        landing.note_refused(connection, refused, self._now, self._present)
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
