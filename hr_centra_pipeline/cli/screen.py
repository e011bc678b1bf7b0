"""One screen of results, read from the warehouse: what was read, matched, sent, refused, and what is in trouble."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from hr_centra_pipeline.cli.table import DataConsole, DataTable
from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.kinds import EFFECTS
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.push.guards import is_stopped
from hr_centra_pipeline.push.packets import planned_effects
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

_VENDORS = {"centra": "Centra", "happy_returns": "Happy Returns"}


@dataclass(frozen=True)
class Sent:
    """Effects of one kind that hr-centra wrote into Centra: how many, and their amounts by currency."""

    count: int
    money: dict[str, Decimal]

    def minus(self, earlier: Sent) -> Sent:
        """What came since."""
        money = {currency: amount - earlier.money.get(currency, Decimal(0)) for currency, amount in self.money.items()}
        return Sent(self.count - earlier.count, {currency: amount for currency, amount in money.items() if amount})


NOTHING = Sent(0, {})


def sent_so_far(settings: Settings) -> dict[str, Sent]:
    """What was sent until now, by kind of effect; nothing when there is no database yet."""
    if not settings.database.exists():
        return {}
    with Warehouse(settings.database).transaction() as connection:
        return _sent_so_far(connection) if _exists(connection, "push.ledger") else {}


def _sent_so_far(connection: Connection) -> dict[str, Sent]:
    rows = connection.execute(
        """
        select effect_kind, currency, count(*), coalesce(sum(amount), 0)
        from push.ledger where state = 'confirmed' and not is_foreign group by all
        """
    ).fetchall()
    sent: dict[str, Sent] = {}
    for kind, currency, count, amount in rows:
        before = sent.get(kind, NOTHING)
        money = {**before.money, currency: amount} if currency else before.money
        sent[kind] = Sent(before.count + count, money)
    return sent


@dataclass(frozen=True)
class Left:
    """Effects of the last plan that are not in Centra: how many wait for their time only, and for anything else."""

    for_their_time: int
    for_something_else: int


def left_to_send(settings: Settings) -> Left:
    """What is planned and was not sent. Nothing is due right after a live sync: what is left waits for something."""
    with Warehouse(settings.database).transaction() as connection:
        waiting = planned_effects(connection, clock.now())
    timed = sum(effect.waits_for_its_time for effect in waiting)
    return Left(timed, len(waiting) - timed)


def stopped(settings: Settings) -> str | None:
    """A sentence about the kill switch; ``None``: it is off."""
    if not is_stopped(settings.stop_path):
        return None
    return f"The kill switch {settings.stop_path} is on: nothing is sent. Remove the file to send again."


def show_result(settings: Settings, *, before: dict[str, Sent] | None = None) -> None:
    """Print the screen. ``before``: what was sent before this command, to distinguish the two."""
    console = DataConsole(width=min(width(), 118))
    with Warehouse(settings.database).transaction() as connection:
        sent = _sent_so_far(connection)
        parts: list[Any] = [_read(connection), _sent(sent, before, settings), "", _exceptions(connection), ""]
    if (switch := stopped(settings)) is not None:
        console.print(Text(f"! {switch}", style="bold yellow"))
    console.print(Group(*parts))


def show_footer(settings: Settings, more: str = "") -> None:
    """Print where the tables are, and whatever else there is to say below the screen."""
    text = _where(settings) + (f"\n{more}" if more else "")
    DataConsole(width=min(width(), 118)).print(Text(text, style="dim"), soft_wrap=True)


def width() -> int:
    """Columns for our tables."""
    # Rich takes a pipe for 80 columns, and would break our tables in a log file.
    console = DataConsole()
    return console.width if console.is_terminal else 118


def _read(connection: Connection) -> Panel:
    files, refused, rows, landed, repeated, rejected = connection.execute(
        """
        select count(*), count(problem), coalesce(sum(rows_read), 0), coalesce(sum(rows_read - repeated - rows_rejected), 0),
            coalesce(sum(repeated), 0), coalesce(sum(rows_rejected), 0)
        from (
            -- Each file as it is now, by its last reading: one that is read again repeats all that its first reading landed.
            select *, min(rows_repeated) over (partition by source_file, file_sha256) as repeated
            from landing.files qualify row_number() over (partition by source_file order by batch desc) = 1
        )
        """
    ).fetchone() or (0, 0, 0, 0, 0, 0)
    units = _number(connection, "select count(*) from staging.return_items")
    returns = _number(connection, "select count(distinct return_id) from staging.return_items")
    orders = _number(connection, "select count(*) from staging.orders")
    matched = _number(connection, "select count(*) from matching.matched_items where shipment_line_id is not null")
    words = _new_words(connection)
    text = Text.assemble(
        ("Read     ", "bold"), f"{files:,} export files: {rows:,} rows = {landed:,} landed + {repeated:,} repeated + ",
        (f"{rejected:,} quarantined", "yellow" if rejected else ""),
        (f";  {_plural(refused, 'file')} refused" if refused else "", "yellow"),
        *_deliveries(connection),
        ("\nMatched  ", "bold"), f"{matched:,} of {units:,} units in {returns:,} returns; {orders:,} Centra orders read",
        (f";  {units - matched:,} unmatched" if units > matched else "", "yellow"),
        ("\nNew      " if words else "", "bold"), (f"words not mapped yet: {words}" if words else "", "yellow"),
    )  # fmt: skip
    return Panel(text, title="Happy Returns → Centra", title_align="left", box=box.ROUNDED)


def _deliveries(connection: Connection) -> Iterator[str | tuple[str, str]]:
    """What webhooks brought, where there are any."""
    deliveries, refused, repeated, rows, landed, again, rejected = connection.execute(
        """
        select count(*), count(problem), count(repeats), coalesce(sum(rows_read), 0), coalesce(sum(rows_landed), 0),
            coalesce(sum(rows_repeated), 0), coalesce(sum(rows_rejected), 0)
        from landing.events
        """
    ).fetchone() or (0, 0, 0, 0, 0, 0, 0)
    if not deliveries:
        return
    yield f"\n         {deliveries:,} webhook deliveries, {repeated:,} of them again: {rows:,} rows = {landed:,} landed + "
    yield f"{again:,} repeated + "
    yield f"{rejected:,} quarantined", "yellow" if rejected else ""
    if refused:
        yield f";  {refused:,} refused", "yellow"


def _new_words(connection: Connection) -> str:
    """Words without a configured meaning, by vendor: they are data, and what they are about was read nevertheless."""
    rows = connection.execute(
        "select vendor, list(distinct value order by value) from operations.vendor_drift where what = 'new word'"
        " group by vendor order by vendor"
    ).fetchall()
    return "; ".join(f"{_VENDORS[vendor]} {', '.join(words)}" for vendor, words in rows)


def _sent(sent: dict[str, Sent], before: dict[str, Sent] | None, settings: Settings) -> DataTable:
    title = (
        "Sent to Centra"
        if settings.mode == "live"
        else "Sent to Centra by hr-centra before (dry run: nothing is sent now)"
    )
    table = DataTable(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False
    )
    table.add_column("effect")
    if before is not None:
        table.add_column("this run", justify="right")
    table.add_column("in total", justify="right")
    table.add_column("amount in total")
    for kind in EFFECTS:
        total = sent.get(kind.name, NOTHING)
        if kind.is_optional and not total.count:
            continue  # a row of zeros would only puzzle
        row = [kind.called]
        if before is not None:
            row.append(f"{total.minus(before.get(kind.name, NOTHING)).count:,}")
        money = "  ".join(shown(amount, currency) for currency, amount in sorted(total.money.items()))
        table.add_row(*row, f"{total.count:,}", money if kind.has_money else "")
    return table


def _exceptions(connection: Connection) -> DataTable:
    rows = connection.execute(
        """
        select kind, any_value(owner_team), currency, count(*), sum(amount), count(*) filter (where overdue)
        from reconciliation.exceptions group by kind, currency order by kind, currency nulls last
        """
    ).fetchall()
    # A sync by events, a backfill or a compare reconcile nothing: the list is that of the last sync that did.
    reconciled = watermarks.find(connection, watermarks.RECONCILIATION)
    as_of = f" as of {reconciled.updated_at:%Y-%m-%d %H:%M} UTC" if reconciled else ""
    table = DataTable(
        title=f"Open exceptions{as_of}: {sum(row[3] for row in rows)}", title_justify="left", title_style="bold",
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False,
    )  # fmt: skip
    table.add_column("kind", no_wrap=True)
    table.add_column("owner", no_wrap=True)
    table.add_column("open", justify="right")
    table.add_column("overdue", justify="right")
    table.add_column("amount at stake")
    kinds: dict[str, list[Any]] = {}
    for kind, owner, currency, count, amount, overdue in rows:
        line = kinds.setdefault(kind, [owner, 0, 0, []])
        line[1] += count
        line[2] += overdue
        if currency and amount:
            line[3].append(shown(amount, currency))
    for kind, (owner, count, overdue, money) in kinds.items():
        table.add_row(kind, owner, str(count), Text(str(overdue), "red" if overdue else "dim"), "  ".join(money))
    caption = ["One by one, with their returns and units: hr-centra exceptions"] if kinds else []
    if dry_run := _number(connection, "select count(*) from reconciliation.dry_run_items"):
        caption.append(f"Not among them: {dry_run:,} open only because nothing is sent (dry run)")
    if reconciled is None:
        table.title = "Open exceptions: nothing was reconciled yet; `hr-centra sync` does it"
    elif not kinds:
        table.add_row("none", "", "", "", "")
    table.caption, table.caption_justify = "\n".join(caption) or None, "left"
    return table


def _where(settings: Settings) -> str:
    return f"Tables: {settings.published}/published.duckdb (and Parquet beside it); packs of the months: {settings.exported}"


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def _number(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _exists(connection: Connection, name: str) -> bool:
    schema, table = name.split(".")
    return bool(
        connection.execute(
            "select 1 from information_schema.tables where table_schema = ? and table_name = ?", [schema, table]
        ).fetchone()
    )
