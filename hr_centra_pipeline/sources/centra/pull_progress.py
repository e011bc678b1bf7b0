"""One pull: what it read and landed, how far it came by Centra's own timestamps, and what went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra import centra_landing
from hr_centra_pipeline.sources.centra.centra_errors import CentraError
from hr_centra_pipeline.sources.centra.centra_landing import Row, Target
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.judged import identity, shown
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

Node = TypeVar("Node", bound=BaseModel)
Raw = Mapping[str, Any]

_LONGEST_ID = 40  # characters of an id that is not one
_FOLLOWED = frozenset({"orders", "shipments", "returns", "stock_changes"})  # by a watermark
NAMED_PREFIX = "event_"
"""Of the names of pulls of objects that hints name (``named_pulls.py``): no window, and no proof of anything that was not named."""
_MESSAGES = 3  # of refused objects, in one problem


@dataclass(frozen=True)
class PullReport:
    """What one pull did. ``complete``: it completed and every object fitted; else ``problem`` says why not, and
    ``error`` is what Centra's client raised, if it was that.

    ``rows_read`` and ``rows_landed`` count every object, the shipments that come along with orders too.
    """

    object: str
    rows_read: int
    rows_landed: int
    complete: bool
    problem: str | None
    error: CentraError | None = None


@dataclass
class Pull:
    """A pull under way. Every HTTP call happens between transactions, never inside one."""

    object: str
    client: CentraClient
    warehouse: Warehouse
    policy: Policy
    now: datetime
    window_from: datetime | None = None
    newest: datetime | None = None
    rows_read: int = 0
    rows_landed: int = 0
    rows_refused: int = 0
    problems: list[str] = field(default_factory=list)
    error: CentraError | None = None
    unreadable: dict[int, str] = field(default_factory=dict)  # ids of objects of the pull's own kind, and what is wrong
    has_nameless: bool = False  # one of them has no id that can be read: only the same window can show it again

    @property
    def kind(self) -> str:
        """The kind of objects that it lands, whatever it is recorded as."""
        return self.object.removeprefix(NAMED_PREFIX)

    @property
    def overlap(self) -> timedelta:
        """How far an incremental pull looks back."""
        return timedelta(minutes=self.policy.centra.overlap_minutes)

    @property
    def page_size(self) -> int:
        """Objects per page, and keys per question."""
        return self.policy.centra.page_size

    def since(self) -> datetime:
        """Where an incremental pull starts: the overlap before the watermark; the first one goes back the history.

        An object that does not fit does not hold the watermark: it is asked for by its id.

        At least to the cut-over: whatever was sent since then has to be seen before anything is sent again, should our
        database have been lost.
        """
        with self.warehouse.transaction() as connection:
            row = connection.execute(
                """
                with
                -- Before it was bound to another address it was about what may have been another Centra.
                last_binding as (select coalesce(max(batch), -1) as batch from meta.turns where reason = 'rebound'),

                complete_pulls as (
                    select coalesce(window_from, '-infinity'::timestamptz) as window_from, window_to
                    from landing.centra_pulls
                    where object = $object and is_complete and batch > (select batch from last_binding)
                    union all
                    select null, window_to from landing.centra_reached
                    where object = $object and batch > (select batch from last_binding)
                )

                -- From the watermark on only if what is before it was read: the cut-over may have been moved back.
                select case when min(window_from) > $cutover then null else max(window_to) end from complete_pulls
                """,
                {"object": self.object, "cutover": self.policy.cutover},
            ).fetchone()
        watermark = row[0] if row else None
        history = min(self.now - timedelta(days=self.policy.centra.history_days), self.policy.cutover)
        self.window_from = history if watermark is None else watermark - self.overlap
        return self.window_from

    def report(self) -> PullReport:
        """What it did so far."""
        problem = " ".join(self.problems) or None
        return PullReport(self.object, self.rows_read, self.rows_landed, problem is None, problem, self.error)

    def saw(self, at: datetime) -> None:
        """One of Centra's own timestamps."""
        if self.newest is None or at > self.newest:
            self.newest = at

    def fitting(self, model: type[Node], raws: Iterable[Raw], *, is_own: bool | None = False) -> list[Node]:
        """The objects of one page that fit; each of the others is named and makes the pull incomplete.

        ``is_own``: of the pull's own kind, with an ``id`` to ask for again (an order: its number). ``None``: the caller says
        what is to be asked for again.
        """
        given = list(raws)
        self.rows_read += len(given)
        fitting, refused = [], []
        context = {"reference_paths": self.policy.centra.reference_paths}
        for raw in given:
            try:
                fitting.append(model.model_validate(raw, context=context))
            except ValidationError as error:
                refused.append(f"{_name(model, raw)}: {_told(error)}")
                if is_own is not None:
                    self._keep_in_mind(raw, _told(error), is_own=is_own)
        self.rows_refused += len(refused)
        if refused:
            more = f" and {len(refused) - _MESSAGES} more" if len(refused) > _MESSAGES else ""
            self.problems.append(
                f"Centra {self.object}: {len(refused)} of {len(given)} objects were not landed: "
                f"{'; '.join(refused[:_MESSAGES])}{more}. "
                "Centra shows something that sources/centra/centra_objects.py does not expect."
            )
        return fitting

    def _keep_in_mind(self, raw: Raw, problem: str, *, is_own: bool) -> None:
        object_id = identity(raw, "number" if self.kind == "orders" else "id") if isinstance(raw, Mapping) else None
        if is_own and object_id is not None:
            self.unreadable[object_id] = problem
        else:
            self.has_nameless = True

    def ask_again(self) -> list[int]:
        """Ids that did not fit in an earlier pull and that this one has not shown: to be asked for."""
        with self.warehouse.transaction() as connection:
            rows = connection.execute(
                "select object_id from landing.centra_unreadable where object = ? order by object_id", [self.object]
            ).fetchall()
        return [object_id for (object_id,) in rows if object_id not in self.unreadable]

    def land(self, target: Target, rows: Sequence[Row], *, again: Collection[str] = ()) -> None:
        """Land one page in one short transaction."""
        with self.warehouse.transaction() as connection:
            self.rows_landed += centra_landing.land(connection, target, rows, self.now, again=again)


def recorded(pull: Pull, work: Callable[[Pull], None], *, only_if_read: bool = False) -> PullReport:
    """Do the pull and write its row into ``landing.centra_pulls``, complete or not; ``only_if_read``: none if it read nothing.

    What goes wrong with Centra is reported; what goes wrong with us is raised, after the row was written.
    """
    started = time.monotonic()
    try:
        work(pull)
    except CentraError as error:
        pull.problems.append(str(error))
        pull.error = error
    except Exception as error:
        pull.problems.append(f"stopped by {type(error).__name__}: see the log of the run.")
        _write(pull, timedelta(seconds=time.monotonic() - started))
        raise
    if only_if_read and not (pull.rows_read or pull.rows_landed or pull.problems):
        return pull.report()
    return _write(pull, timedelta(seconds=time.monotonic() - started))


@makes(
    "landing.centra_pulls",
    "One row per pull of an object of Centra: its window, whether it is complete, how much it brought.",
    reads=(
        "landing.centra_orders",
        "landing.centra_shipments",
        "landing.centra_returns",
        "landing.centra_stock_changes",
        "landing.centra_warehouses",
        "meta.turns",
        "landing.centra_replacement_stock",
        "landing.centra_status_marks",
    ),
    kind="source",
)
def _write(pull: Pull, elapsed: timedelta) -> PullReport:
    problem = " ".join(pull.problems) or None
    with pull.warehouse.transaction() as connection:
        connection.execute(
            "insert into landing.centra_pulls"
            " (object, window_from, window_to, rows_read, rows_landed, is_complete, problem, batch, fetched_at,"
            " rows_refused)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                pull.object, pull.window_from, _watermark(pull, elapsed), pull.rows_read, pull.rows_landed,
                problem is None, problem, watermarks.next_batch(connection), pull.now, pull.rows_refused,
            ],
        )  # fmt: skip
        if pull.object in _FOLLOWED and (pull.unreadable or not pull.problems):
            _note_unreadable(connection, pull, _watermark(pull, elapsed))
        centra_landing.note_version(connection, pull.client.app_version, pull.client.deprecated_fields, pull.now)
    return pull.report()


def _note_unreadable(connection: Connection, pull: Pull, watermark: datetime | None) -> None:
    """What did not fit, since when; and that the window was nevertheless read completely, unless something else stopped it."""
    is_at_end = pull.error is None and not pull.has_nameless
    if is_at_end:
        connection.execute(
            "delete from landing.centra_unreadable where object = ? and object_id not in (select unnest(?::bigint[]))",
            [pull.object, list(pull.unreadable)],
        )
    keep_unreadable(connection, pull)
    if is_at_end and pull.unreadable:
        connection.execute(
            "insert into landing.centra_reached (object, window_to, batch, fetched_at) values (?, ?, ?, ?)",
            [pull.object, watermark, watermarks.next_batch(connection), pull.now],
        )


def keep_unreadable(connection: Connection, pull: Pull) -> None:
    """Objects that did not fit: the polls of their kind ask for them until they do."""
    connection.execute(
        """
        insert into landing.centra_unreadable
        select $object, object_id, $now, problem
        from (select unnest($ids::bigint[]) as object_id, unnest($problems::varchar[]) as problem)
        where object_id not in (select object_id from landing.centra_unreadable where object = $object)
        """,
        {
            "object": pull.kind,
            "now": pull.now,
            "ids": list(pull.unreadable),
            "problems": list(pull.unreadable.values()),
        },
    )


def _watermark(pull: Pull, elapsed: timedelta) -> datetime | None:
    """The newest of Centra's timestamps that was seen.

    What changes behind a pull that takes longer than the overlap must not be missed by the next one; and an object that
    is dated into the future must not hide what happens until then.
    """
    if pull.newest is None:
        return None
    covered = pull.newest - max(timedelta(0), elapsed - pull.overlap)
    return min(covered, pull.now)


def text_of(instant: datetime) -> str:
    """An instant as Centra's filters take it."""
    return instant.isoformat(timespec="seconds")


def _name(model: type[BaseModel], raw: Raw) -> str:
    known = raw.get("number") or raw.get("id") if isinstance(raw, Mapping) else None
    return f"{model.__name__} {known if isinstance(known, int) else shown(known)[:_LONGEST_ID]}"


def _told(error: ValidationError) -> str:
    """Place and mistake, without the value: it could be personal."""
    return ", ".join(
        f"{'.'.join(str(part) for part in mistake['loc'])}: {mistake['msg']}" for mistake in error.errors()[:_MESSAGES]
    )
