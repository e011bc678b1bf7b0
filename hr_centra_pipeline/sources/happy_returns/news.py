"""What rows without a time of their own are: news as of their delivery, or what sets back nothing that is known since."""

from __future__ import annotations

from hr_centra_pipeline.sources.happy_returns.export_kinds import Kind, KindName
from hr_centra_pipeline.warehouse.database import Connection

TIMES: dict[KindName, tuple[str, ...]] = {
    "returns": ("dropped_off_at", "last_approved_at"),
    "items": ("received_at", "hub_received_at", "warehouse_received_at", "approved_at", "refunded_at"),
}
"""What happens once, in this order, and is reported with its time."""

# What may change at any time, without a time of its own.
_WORDS: dict[KindName, tuple[str, ...]] = {
    "returns": ("dropoff_method",),
    "items": (
        "dropoff_method", "refund_type", "exchange_sku", "received_channel", "condition", "inspection_outcome", "disposition",
        "bag_barcode",
    ),
}  # fmt: skip


def date_news(connection: Connection, kind: Kind) -> None:
    """Set the source time of rows in ``identified`` that are news without a time of their own to that of their delivery.

    Such a row has no ``updated_at``, its times are known already, and the newest file still knows them. It is news if it knows
    of everything that is known to have happened, and either comes because the method was chosen or holds a word that nobody
    has reported its unit before; or if it adds words of which nothing was reported, and contradicts nothing.
    """
    key, times, words = ", ".join(kind.key), TIMES[kind.name], _WORDS[kind.name]
    table = f"landing.happy_returns_{kind.name}"
    columns = ", ".join([*times, *words])
    ours = ", ".join([f"identified.{name}" for name in kind.key] + [f"lines.{name}" for name in [*times, *words]])
    before = "over (partition by {key} order by batch, source_line rows between unbounded preceding and 1 preceding)"
    before = before.format(key=key)
    last_words = ", ".join(f"last_value({name} ignore nulls) {before} as last_{name}" for name in words)
    first_tellings = " or ".join(
        f"({name} is not null and row_number() over (partition by {key}, {name} order by batch, source_line) = 1)"
        for name in words
    )
    adds = " or ".join(f"({name} is not null and last_{name} is null)" for name in words)
    contradicts = " or ".join(f"coalesce({name} <> last_{name}, false)" for name in words)
    of_files = ", ".join(f"arg_max_null({name}, (source_time, batch, source_line)) as file_{name}" for name in times)
    sets_back = " or ".join(f"({name} is not null and {name} is distinct from file_{name})" for name in times)
    connection.execute(
        f"""
        create or replace temp table news as
        with
        -- One row per row of these bodies that reports when something happened last, and not when it was updated.
        candidate_rows as (
            select
                {ours}, lines.source_line, members.batch, lines.source_time, members.file_time, members.tells_method,
                lines.told_time.updated_at is null and lines.source_time < members.file_time as may_be_news
            from lines
            join (from identified semi join new_lines using (source_line)) as identified using (source_line)
            join members on members.place = lines.file
        ),

        -- These and what was landed of the same before, in the order of arrival.
        reported_rows as (
            select {key}, {columns}, source_line, batch, source_time, file_time, tells_method, may_be_news from candidate_rows
            union all by name
            select {key}, {columns}, source_line, batch, source_time, false as may_be_news
            from {table} semi join (from candidate_rows where may_be_news) as candidates using ({key})
        ),

        -- By the newest file.
        whole_states as (
            select {key}, max(source_time) as whole_at, {of_files}
            from {table} semi join (from candidate_rows where may_be_news) as candidates using ({key})
            where feed = 'files'
            group by {key}
        ),

        -- known_at: what has happened last by that file and all since.
        compared_rows as (
            select
                *, greatest({", ".join(times)}) as last_at,
                max(case when coalesce(source_time >= whole_at, true) then greatest({", ".join(times)}) end) {before} as known_at,
                count(*) {before} > 0 as is_known, {first_tellings} as tells_first, {last_words}
            from reported_rows
            left join whole_states using ({key})
        )

        select source_line, file_time
        from compared_rows
        where may_be_news and is_known and coalesce(last_at <= known_at, last_at is null)
            and not (coalesce(whole_at >= source_time, false) and ({sets_back}))
            and (
                (last_at is not distinct from known_at and (tells_method or tells_first))
                or (({adds}) and not ({contradicts}))
            )
        """  # noqa: S608 - our own names
    )
    connection.execute(
        "update identified set source_time = news.file_time from news where news.source_line = identified.source_line"
    )


def find_parts(connection: Connection, kind: Kind) -> None:
    """``parts``: rows of files that have no time of their own, and take back nothing that the row of a file before them told.

    Such a row may be older than an event that was received by the time of its file: what it leaves out stays as it was.
    """
    key, columns = ", ".join(kind.key), [*TIMES[kind.name], *_WORDS[kind.name]]
    if kind.name == "returns":
        columns.append("refund_status")
    ours = ", ".join([f"identified.{name}" for name in kind.key] + [f"lines.{name}" for name in columns])
    takes_back = " or ".join(f"({name} is null and lag({name}) over earlier is not null)" for name in columns)
    if kind.name == "returns":
        takes_back += " or return_status_rank(refund_status) < return_status_rank(lag(refund_status) over earlier)"
    connection.execute(
        f"""
        create or replace temp table parts as
        with
        new_rows as (
            select {ours}, lines.source_line, lines.source_time, lines.batch, lines.told_time is null as is_undated
            from lines
            join (from identified semi join new_lines using (source_line)) as identified using (source_line)
        ),

        reported_rows as (
            from new_rows
            union all by name
            select {key}, {", ".join(columns)}, source_line, source_time, batch, false as is_undated
            from landing.happy_returns_{kind.name}
            semi join (from new_rows where is_undated) as undated using ({key})
            where feed = 'files'
        ),

        compared_rows as (
            select source_line, is_undated, coalesce({takes_back}, false) as takes_back
            from reported_rows
            window earlier as (partition by {key} order by source_time, batch, source_line)
        )

        select source_line from compared_rows where is_undated and not takes_back
        """  # noqa: S608 - our own names
    )


def was_dated(column: str) -> str:
    """SQL: a row's time is only that of its delivery, and the unit had one before. Of ``lines`` and ``identified``."""
    return f"""lines.{column} = (select file_time from members where members.place = lines.file) and exists (
        select 1 from landing.happy_returns_items as landed
        where landed.return_item_id = identified.return_item_id and landed.{column} is not null
    )"""  # noqa: S608 - our own names
