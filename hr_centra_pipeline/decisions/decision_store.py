"""``decisions.sqlite``: what people decided, in order and append-only, and what came of it.

A decision is kept before anything is done about it, and what came of it is appended. Each row carries the hash of the row
before it, so that a change by hand is noticed (:meth:`DecisionStore.verify_chain`).
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from hr_centra_pipeline.core import clock, file_permissions
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.core.version import code_version
from hr_centra_pipeline.decisions.decision_kinds import Arguments, Login, parsed
from hr_centra_pipeline.decisions.decision_tables import (
    CONTENTS,
    DECISIONS,
    ERASURES,
    METADATA,
    OUTCOMES,
    SUBJECTS,
    TRIGGERS,
    VERSION,
    VERSIONS,
    WAITING,
)
from hr_centra_pipeline.inbox.inbox_engines import DeliveryIds, copy_sqlite, sqlite_engine

FILE_NAME = "decisions.sqlite"
MOST_WAITING = 10_000
"""So many decisions may wait; more are refused until some are carried out."""

State = Literal["done", "refused", "retry"]
_MOST_BYTES = 256 * 1024  # of one decision's arguments
_LONGEST_WORDS = 4_000
_BEGIN = "0" * 64


class StoreFailed(RunFailed):
    """The store could not be read or written now; the same may succeed later."""


class TooManyWaiting(RunFailed):
    """Nothing more is kept until decisions that wait are carried out."""


@dataclass(frozen=True)
class Who:
    """Who decides, as their login says. ``address``: of their browser, where there is one."""

    user_id: str
    name: str
    login: Login
    address: str | None = None


@dataclass(frozen=True)
class Decision:
    """A decision to be kept. ``key``: the same key of the same user is the same decision, kept once.

    ``about``: further subjects by which it is found, such as the return whose page it was made on.
    """

    key: str
    who: Who
    arguments: Arguments
    about: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt: ``done``, ``refused`` (for good), or ``retry``: it failed, and is tried again."""

    state: State
    code: str | None
    words: str
    at: datetime
    run_id: str


@dataclass(frozen=True)
class Kept:
    """A decision that is kept. ``outcome``: the last one; ``None``: nothing was done about it yet. ``sha256``: of its row.

    ``is_new``: ``keep`` has just written it; ``False``: it had been kept before.
    """

    number: int
    decision_id: str
    who: Who
    arguments: Arguments
    at: datetime
    program: str
    sha256: str
    outcome: Outcome | None = None
    tries: int = 0
    is_erased: bool = False
    is_new: bool = False

    @property
    def kind(self) -> str:
        """The code of its kind."""
        return self.arguments.kind

    @property
    def state(self) -> Literal["waiting", "done", "refused", "retry"]:
        """``waiting``: nothing was done about it yet; else as its outcome says."""
        return self.outcome.state if self.outcome else "waiting"


@dataclass(frozen=True)
class Chain:
    """What verifying the store found. ``problems``: places where it is not what was recorded, in words."""

    decisions: int
    outcomes: int
    erased: int
    problems: tuple[str, ...] = ()


class DecisionStore:
    """The store of a home. Safe for several processes and threads; writes are one transaction each."""

    def __init__(self, settings: Settings | Path) -> None:
        self.file = settings if isinstance(settings, Path) else settings.home / FILE_NAME
        self._engine = sqlite_engine(self.file)
        self._ids = DeliveryIds()
        self._is_made = False
        self._making = threading.Lock()

    def close(self) -> None:
        """Give connections back; the next use opens them again."""
        self._engine.dispose()

    @property
    def exists(self) -> bool:
        """Whether anything was ever decided here."""
        return self.file.exists()

    # ---------------------------------------------------------------- writing

    def keep(self, decision: Decision) -> Kept:
        """Keep a decision; when this answers, it is on disk. The same key of the same user again answers the first one.

        Raises:
            ConfigurationError: the key was used for another decision, or the arguments are too long.
            TooManyWaiting: carry out some that wait first.
            StoreFailed: it is not kept.
        """
        who, arguments = decision.who, _canonical(decision.arguments)
        if not (decision.key.strip() and who.user_id.strip() and who.name.strip()):
            raise ConfigurationError("A decision says who decides, and has a key of its own.")
        if len(arguments.encode()) > _MOST_BYTES:
            raise ConfigurationError(f"{decision.arguments.kind}: its texts are longer than {_MOST_BYTES // 1024} KB.")
        with self._writing() as connection:
            earlier = connection.execute(
                sa.select(DECISIONS.c.number).where(
                    DECISIONS.c.user_id == who.user_id, DECISIONS.c.idempotency_key == decision.key
                )
            ).scalar()
            if earlier is not None:
                kept = self._found(connection, [earlier])[0]
                if not kept.is_erased and _canonical(kept.arguments) != arguments:
                    raise ConfigurationError("This form was sent before, with other content: load the page again.")
                return kept
            waiting = connection.execute(sa.select(sa.func.count()).select_from(WAITING)).scalar() or 0
            if waiting >= MOST_WAITING:
                raise TooManyWaiting(f"{waiting:,} decisions wait to be carried out: run `hr-centra sync` first.")
            salt = secrets.token_hex(16)
            number = self._append(
                connection, DECISIONS, decision_id=self._ids.next(), idempotency_key=decision.key,
                kind=decision.arguments.kind, content_sha256=_content_sha256(salt, arguments), user_id=who.user_id,
                user_name=who.name, login=who.login, address=who.address, at=_text_of(clock.now()), program=code_version(),
            )  # fmt: skip
            connection.execute(sa.insert(CONTENTS).values(number=number, salt=salt, arguments=arguments))
            subjects = sorted({*decision.about, *decision.arguments.about()})
            if subjects:
                connection.execute(
                    sa.insert(SUBJECTS), [{"subject": subject[:220], "number": number} for subject in subjects]
                )
            connection.execute(sa.insert(WAITING).values(number=number))
            kept = self._found(connection, [number])[0]
        return Kept(**{**kept.__dict__, "is_new": True})

    def outcome(self, decision_id: str, state: State, words: str, *, code: str | None = None, run_id: str = "") -> None:
        """Append what came of a decision; after ``done`` or ``refused`` it waits no longer, and nothing more is appended.

        Raises:
            ConfigurationError: there is no such decision.
            StoreFailed: it is not recorded.
        """
        with self._writing() as connection:
            number = connection.execute(
                sa.select(DECISIONS.c.number).where(DECISIONS.c.decision_id == decision_id)
            ).scalar()
            if number is None:
                raise ConfigurationError(f"{decision_id}: no such decision.")
            if not connection.execute(sa.select(WAITING.c.number).where(WAITING.c.number == number)).scalar():
                return
            self._append(
                connection, OUTCOMES, number=number, state=state, code=code, words=words[:_LONGEST_WORDS],
                at=_text_of(clock.now()), run_id=run_id,
            )  # fmt: skip
            if state != "retry":
                connection.execute(sa.delete(WAITING).where(WAITING.c.number == number))

    def erase(self, erased: Callable[[str], str]) -> int:
        """Rewrite each text of a decision in which ``erased`` changes something; answers how many decisions were.

        An erasure is recorded with the hash of what is left, so that the chain can be verified afterwards.

        Raises:
            StoreFailed: the store cannot be read or written; nothing is rewritten then.
        """
        if not self.exists:
            return 0
        count = 0
        with self._writing() as connection:
            for number, text in connection.execute(sa.select(CONTENTS.c.number, CONTENTS.c.arguments)).all():
                left = json.dumps(_mapped(json.loads(text), erased), sort_keys=True, ensure_ascii=False)
                if left == text:
                    continue
                salt = secrets.token_hex(16)
                self._append(
                    connection, ERASURES, number=number, content_sha256=_content_sha256(salt, left), salt=salt,
                    at=_text_of(clock.now()),
                )  # fmt: skip
                connection.execute(
                    sa.update(CONTENTS).where(CONTENTS.c.number == number).values(salt=salt, arguments=left)
                )
                count += 1
        if count:
            with self._failing("rewritten"), self._engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                driver.execute("pragma wal_checkpoint(truncate)").fetchall()
        return count

    # ---------------------------------------------------------------- reading

    def count_texts(self, says: Callable[[str], bool]) -> int:
        """How many decisions have a text of which this is true.

        Raises:
            StoreFailed: the store cannot be read.
        """
        if not self.exists:
            return 0
        with self._reading() as connection:
            texts = connection.execute(sa.select(CONTENTS.c.arguments)).scalars()
            return sum(says(text) for text in texts)

    def waiting_count(self) -> int:
        """How many decisions wait; an empty or missing store costs next to nothing.

        Raises:
            StoreFailed: the store cannot be read.
        """
        return self._scalar(sa.select(sa.func.count()).select_from(WAITING)) if self.exists else 0

    def waiting_numbers(self) -> list[int]:
        """The numbers of the decisions that wait, in order: read from an index that holds nothing else.

        Raises:
            StoreFailed: the store cannot be read.
        """
        if not self.exists:
            return []
        with self._reading() as connection:
            return list(connection.execute(sa.select(WAITING.c.number).order_by(WAITING.c.number)).scalars())

    def waiting(self) -> list[Kept]:
        """Decisions without a final outcome, in the order in which they were kept.

        Raises:
            StoreFailed: the store cannot be read.
        """
        return self._list(sa.select(WAITING.c.number).order_by(WAITING.c.number))

    def recent(self, limit: int = 50, before: int | None = None, *, about: str | None = None) -> list[Kept]:
        """The newest decisions first. ``before``: only those with a smaller number; ``about``: only those of a subject.

        Raises:
            StoreFailed: the store cannot be read.
        """
        source = DECISIONS.c.number if about is None else SUBJECTS.c.number
        query = sa.select(source)
        if about is not None:
            query = query.where(SUBJECTS.c.subject == about[:220])
        if before is not None:
            query = query.where(source < before)
        return self._list(query.order_by(source.desc()).limit(max(0, min(limit, 1_000))))

    def of(self, decision_id: str) -> Kept | None:
        """One decision; ``None``: there is none with this id.

        Raises:
            StoreFailed: the store cannot be read.
        """
        found = self._list(sa.select(DECISIONS.c.number).where(DECISIONS.c.decision_id == decision_id))
        return found[0] if found else None

    def outcomes(self, decision_id: str) -> list[Outcome]:
        """Every attempt to carry a decision out, the first one first.

        Raises:
            StoreFailed: the store cannot be read.
        """
        if not self.exists:
            return []
        query = (
            sa.select(OUTCOMES)
            .join(DECISIONS, DECISIONS.c.number == OUTCOMES.c.number)
            .where(DECISIONS.c.decision_id == decision_id)
            .order_by(OUTCOMES.c.outcome_number)
        )
        with self._reading() as connection:
            return [_outcome(row) for row in connection.execute(query)]

    def assigned(self) -> dict[str, str]:
        """Who has which exception, by the last assignment of each that was not refused; a team as ``team:finance``.

        Raises:
            StoreFailed: the store cannot be read.
        """
        if not self.exists:
            return {}
        refused = sa.select(OUTCOMES.c.number).where(OUTCOMES.c.state == "refused")
        query = (
            sa.select(CONTENTS.c.arguments)
            .join(DECISIONS, DECISIONS.c.number == CONTENTS.c.number)
            .where(DECISIONS.c.kind == "assign", DECISIONS.c.number.not_in(refused))
            .order_by(DECISIONS.c.number)
        )
        found: dict[str, str | None] = {}
        with self._reading() as connection:
            for text in connection.execute(query).scalars():
                given = json.loads(text)
                team = given.get("team")
                found[given["exception_id"]] = f"team:{team}" if team else given.get("person")
        return {exception_id: who for exception_id, who in found.items() if who}

    def refused_since(self, since: datetime) -> int:
        """How many decisions were refused after an instant.

        Raises:
            StoreFailed: the store cannot be read.
        """
        refused = (OUTCOMES.c.state == "refused") & (OUTCOMES.c.at > _text_of(since))
        return self._scalar(sa.select(sa.func.count()).where(refused)) if self.exists else 0

    def done_ids(self) -> list[str]:
        """The ids of all decisions that were carried out, in order.

        Raises:
            StoreFailed: the store cannot be read.
        """
        if not self.exists:
            return []
        query = (
            sa.select(DECISIONS.c.decision_id)
            .join(OUTCOMES, OUTCOMES.c.number == DECISIONS.c.number)
            .where(OUTCOMES.c.state == "done")
            .order_by(DECISIONS.c.number)
        )
        with self._reading() as connection:
            return list(connection.execute(query).scalars())

    def hashes(self, decision_ids: Sequence[str]) -> dict[str, str]:
        """The hashes of those decisions that are kept here.

        Raises:
            StoreFailed: the store cannot be read.
        """
        if not self.exists:
            return {}
        found: dict[str, str] = {}
        with self._reading() as connection:
            for start in range(0, len(decision_ids), 500):
                some = decision_ids[start : start + 500]
                query = sa.select(DECISIONS.c.decision_id, DECISIONS.c.sha256).where(DECISIONS.c.decision_id.in_(some))
                found.update((one, sha256) for one, sha256 in connection.execute(query))
        return found

    def verify_chain(self) -> Chain:
        """Read everything, and compute every hash again.

        Raises:
            StoreFailed: the store cannot be read.
        """
        if not self.exists:
            return Chain(0, 0, 0)
        with self._reading() as connection:
            problems = [
                problem for table in (DECISIONS, OUTCOMES, ERASURES) for problem in _broken_links(connection, table)
            ]
            erasures = sa.select(ERASURES.c.number, ERASURES.c.content_sha256).order_by(ERASURES.c.erasure_number)
            left: dict[int, str] = {}
            for number, sha256 in connection.execute(erasures):
                left[number] = sha256
            contents = sa.select(
                DECISIONS.c.number, DECISIONS.c.content_sha256, CONTENTS.c.salt, CONTENTS.c.arguments
            ).outerjoin(CONTENTS, CONTENTS.c.number == DECISIONS.c.number)
            for number, sha256, salt, arguments in connection.execute(contents):
                if arguments is None or _content_sha256(salt, arguments) != left.get(number, sha256):
                    problems.append(f"decision {number}: what it says was changed after it was recorded")
            over = sa.select(OUTCOMES.c.number).where(OUTCOMES.c.state != "retry")
            waits = set(connection.execute(sa.select(WAITING.c.number)).scalars())
            due = set(
                connection.execute(sa.select(DECISIONS.c.number).where(DECISIONS.c.number.not_in(over))).scalars()
            )
            problems += [f"decision {number}: the list of those that wait is wrong about it" for number in waits ^ due]
            counts = [
                connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() or 0
                for table in (DECISIONS, OUTCOMES)
            ]
        return Chain(counts[0], counts[1], len(left), tuple(problems))

    def copy_to(self, target: Path) -> None:
        """Copy the store as it is now, while decisions go on; the copy is one file, on disk when this answers.

        Raises:
            StoreFailed: it cannot be read, or the copy cannot be written.
        """
        with self._failing("copied"):
            damage = copy_sqlite(self._engine, target)
        if damage is not None:
            raise StoreFailed(f"{self.file}: the copy of the decisions is damaged ({damage}).")

    # ---------------------------------------------------------------- inside

    def _append(self, connection: sa.Connection, table: sa.Table, **fields: Any) -> int:
        """One row at the end of a table's chain; answers its number."""
        key = next(iter(table.primary_key.columns))
        last = connection.execute(sa.select(key, table.c.sha256).order_by(key.desc()).limit(1)).first()
        number, previous = (last[0] + 1, last[1]) if last else (1, _BEGIN)
        row = {key.name: number, **fields, "previous_sha256": previous}
        connection.execute(sa.insert(table).values(**row, sha256=_row_sha256(row)))
        return int(number)

    def _list(self, numbers: sa.Select[Any]) -> list[Kept]:
        if not self.exists:
            return []
        with self._reading() as connection:
            return self._found(connection, list(connection.execute(numbers).scalars()))

    def _found(self, connection: sa.Connection, numbers: Sequence[int]) -> list[Kept]:
        """Decisions by number, in the order that is asked for."""
        found: dict[int, Kept] = {}
        for start in range(0, len(numbers), 500):
            some = numbers[start : start + 500]
            outcomes: dict[int, list[Outcome]] = {}
            query = sa.select(OUTCOMES).where(OUTCOMES.c.number.in_(some)).order_by(OUTCOMES.c.outcome_number)
            for row in connection.execute(query):
                outcomes.setdefault(row.number, []).append(_outcome(row))
            erased = set(connection.execute(sa.select(ERASURES.c.number).where(ERASURES.c.number.in_(some))).scalars())
            decisions = (
                sa.select(DECISIONS, CONTENTS.c.arguments)
                .join(CONTENTS, CONTENTS.c.number == DECISIONS.c.number)
                .where(DECISIONS.c.number.in_(some))
            )
            for row in connection.execute(decisions):
                attempts = outcomes.get(row.number, [])
                arguments = {name: value for name, value in json.loads(row.arguments).items() if name != "kind"}
                found[row.number] = Kept(
                    row.number, row.decision_id, Who(row.user_id, row.user_name, row.login, row.address),
                    parsed(row.kind, arguments), datetime.fromisoformat(row.at), row.program, row.sha256,
                    attempts[-1] if attempts else None, len(attempts), row.number in erased,
                )  # fmt: skip
        return [found[number] for number in numbers if number in found]

    def _scalar(self, query: sa.Select[Any]) -> int:
        with self._reading() as connection:
            return int(connection.execute(query).scalar() or 0)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._failing("read"):
            self._make()
            with self._engine.connect() as connection:
                yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._failing("written"):
            self._make()
            with (
                self._engine.connect().execution_options(writes=True) as connection,
                connection.begin(),
            ):
                yield connection

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            said = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise StoreFailed(f"{self.file}: the decisions could not be {what} ({said}).") from error

    def _make(self) -> None:
        """Make the file and its tables, for its owner only."""
        with self._making:
            if self._is_made and self.file.exists():
                return
            file_permissions.keep()
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
                METADATA.create_all(connection)
                for trigger in TRIGGERS:
                    connection.exec_driver_sql(trigger)
                version = connection.execute(sa.select(sa.func.max(VERSIONS.c.version))).scalar()
                if version is None:
                    connection.execute(sa.insert(VERSIONS).values(version=VERSION))
                elif version > VERSION:
                    raise StoreFailed(f"{self.file}: was written by a newer hr-centra; use that one.")
            self._is_made = True


def _broken_links(connection: sa.Connection, table: sa.Table) -> Iterator[str]:
    key = next(iter(table.primary_key.columns))
    previous, expected = _BEGIN, 1
    for row in connection.execute(sa.select(table).order_by(key)).mappings():
        fields = {name: value for name, value in row.items() if name != "sha256"}
        if row[key.name] != expected:
            yield f"{table.name}: rows {expected} to {row[key.name] - 1} are missing"
        elif row["previous_sha256"] != previous:
            yield f"{table.name}: row {expected} does not follow the row before it"
        if _row_sha256(fields) != row["sha256"]:
            yield f"{table.name}: row {row[key.name]} was changed after it was recorded"
        previous, expected = row["sha256"], row[key.name] + 1


def _outcome(row: Any) -> Outcome:
    return Outcome(row.state, row.code, row.words, datetime.fromisoformat(row.at), row.run_id)


def _canonical(arguments: Arguments) -> str:
    """JSON with its keys in order; decimals are texts."""
    return json.dumps(arguments.model_dump(mode="json", exclude_none=True), sort_keys=True, ensure_ascii=False)


def _content_sha256(salt: str, arguments: str) -> str:
    return hashlib.sha256(f"{salt}\n{arguments}".encode()).hexdigest()


def _row_sha256(row: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(dict(row), sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_mapped(one, change) for one in value]
    if isinstance(value, dict):
        return {name: _mapped(one, change) for name, one in value.items()}
    return value


def _text_of(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds")
