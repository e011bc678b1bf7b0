"""Erase a person: the address, wherever it occurs, and what quarantined rows say about the person's returns. The ledger stays.

What stays is the keyed token in the return rows, which says nothing to who has not the address, and a row without a value in
``landing.personal``, so that an export that is delivered again does not bring the address back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight import decision_privacy, inbox_privacy
from hr_centra_pipeline.oversight.person_files import Holds
from hr_centra_pipeline.oversight.spellings import characters, forms
from hr_centra_pipeline.publishing.page_data import forget_in_pages
from hr_centra_pipeline.publishing.page_tables import PAGES_DATABASE
from hr_centra_pipeline.warehouse import backups
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.rewrite import rewrite

ERASED = "(erased on request)"
# Marks are patterns; the bytes of a text in UTF-16 are read past their zeros.
_SAYS = """exists (
    from (select unnest($marks::varchar[]) as mark)
    where regexp_matches(replace(raw_text, chr(0), ''), '(^|[^A-Za-z0-9])' || mark || '([^A-Za-z0-9]|$)', 'i')
)"""
_SHORTEST = 4  # characters of a name or an id: shorter texts are in anybody's rows
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")


@dataclass(frozen=True)
class Person:
    """Who is to be forgotten, as far as the database knows: tokens and addresses, and the ids of the person's returns.

    ``files``: exports whose rows landed with the person's token; ``holding``: files that were found to hold the address now;
    ``deliveries``: of webhooks, in the inbox, that hold it.
    """

    tokens: tuple[str, ...]
    emails: tuple[str, ...]
    ids: tuple[str, ...]
    files: tuple[str, ...]
    holding: tuple[Holds, ...] = ()
    deliveries: int = 0

    @property
    def is_known(self) -> bool:
        """Something here is about this person."""
        return bool(self.tokens or self.ids or self.holding or self.deliveries)

    @property
    def named(self) -> list[str]:
        """Every file that holds the person, each once."""
        found = {Path(one.path).name for one in self.holding}
        shown = [f"{one.name}{' (could not be searched completely)' if one.is_unread else ''}" for one in self.holding]
        return sorted({*shown, *(name for name in self.files if name not in found)})


@dataclass(frozen=True)
class Erased:
    """Rows that were changed, by place; ``files``: exports that still name the person; ``backups``: cleaned, too."""

    places: dict[str, int]
    files: tuple[str, ...]
    backups: tuple[Path, ...]


def find(connection: Connection, who: str, holding: Sequence[Holds] = (), deliveries: int = 0) -> Person:
    """By e-mail address, return id, express code or order number; or by any text of rows that were set aside.

    ``holding``: files that hold the address, and ``deliveries``: how many of the inbox do, should they have been searched.

    Raises:
        ConfigurationError: nothing here is about this person.
    """
    if _EMAIL.fullmatch(who):
        rows = connection.execute(
            "select substr(sha256(value || lower($email)), 1, 24) from meta.keys where name = 'personal'",
            {"email": who},
        ).fetchall()
        tokens = [token for (token,) in rows]
    else:
        rows = connection.execute(
            """
            select distinct customer_token from landing.happy_returns_returns
            where $who in (return_id, express_code, order_number) and customer_token is not null
            """,
            {"who": who.removeprefix("#")},
        ).fetchall()
        tokens = [token for (token,) in rows]
    known = connection.execute(
        "select distinct token, value from landing.personal where token in (select unnest(?::varchar[]))", [tokens]
    ).fetchall()
    mine = connection.execute(
        """
        select return_id, express_code, order_number, external_rma_id, case when feed = 'files' then source_file end
        from landing.happy_returns_returns
        where customer_token in (select unnest(?::varchar[]))
        """,
        [tokens],
    ).fetchall()
    is_read_of = bool(known or mine)
    if not is_read_of and not deliveries and not _is_in_texts(connection, who, holding):
        raise ConfigurationError(
            f"{who}: nothing is known about this person. Give an e-mail address, return, code or order, or the name as a "
            "rejected row has it."
        )
    emails = {value for _, value in known if value} | ({who} if _EMAIL.fullmatch(who) else set())
    ids = {str(one) for row in mine for one in row[:4] if one}
    if not is_read_of and not emails:
        ids.add(who)
    files = tuple(sorted({row[4] for row in mine if row[4]}))
    return Person(
        tuple(tokens) if is_read_of else (),
        tuple(sorted(emails)),
        tuple(sorted(ids)),
        files,
        tuple(holding),
        deliveries,
    )


def addresses_of(connection: Connection, who: str) -> list[str]:
    """The addresses that a person is known by: to search files for; none when nobody is known."""
    try:
        found = list(find(connection, who).emails)
    except ConfigurationError:
        found = [who] if _EMAIL.fullmatch(who) else []
    return found


def _is_in_texts(connection: Connection, who: str, holding: Sequence[Holds]) -> bool:
    """A row that was set aside says it, or any other text that we keep an address, or a file that is delivered to us."""
    query = f"select count(*) from quarantine.rejected_rows where {_SAYS}"  # noqa: S608 - our own words
    if len(who.strip()) >= _SHORTEST and _changed(connection, query, {"marks": [_mark(who)]}):
        return True
    if not _EMAIL.fullmatch(who):
        return False
    if holding:
        return True
    for table, column, _ in _texts(connection):
        query = f"select count(*) from {table} where regexp_matches({column}::varchar, $mark, 'i')"  # noqa: S608 - our own names
        if _changed(connection, query, {"mark": _mark(who)}):
            return True
    return False


def forget(
    warehouse: Warehouse,
    who: str,
    by: str,
    now: datetime,
    *,
    holding: Sequence[Holds] = (),
    deliveries: int = 0,
    settings: Settings | None = None,
) -> Erased:
    """Erase and rewrite the file, backups of upgrades as well. Hold the sync lock. ``settings``: also from its inbox and pages.

    Raises:
        ConfigurationError: nothing here is about this person.
        StoreFailed: the inbox cannot be read or written: the database is as it was then.
        RunFailed: there is no room to rewrite the file, or a copy of the database cannot be read; all else was erased then.
    """
    with warehouse.transaction() as connection:
        person = find(connection, who, holding, deliveries)
        places = _erase(connection, person)
        if settings is not None:
            places |= inbox_privacy.forget(settings, person.emails, now)
            places |= decision_privacy.forget(settings, person.emails)
            if gone := forget_in_pages(settings, person.tokens, person.emails):
                places[PAGES_DATABASE] = gone
        connection.execute(
            'insert into operations.erasures (erased_at, "by", places) values (?, ?, ?)', [now, by, json.dumps(places)]
        )
    warehouse.fold_log_in()
    rewrite(warehouse.path)
    cleaned, unreadable = [], []
    for copy in backups.existing(warehouse.path):
        try:
            with duckdb.connect(copy) as connection:
                connection.execute("begin")
                changed = _erase(connection, person)
                connection.execute("commit")
        except duckdb.Error:
            unreadable.append(copy.name)
            continue
        if changed:
            rewrite(copy)
            cleaned.append(copy)
    if unreadable:
        raise RunFailed(
            f"{', '.join(unreadable)} in {backups.folder(warehouse.path)} cannot be read and may still contain the person: delete "
            "them. The person is erased everywhere else."
        )
    return Erased(places, tuple(person.named), tuple(cleaned))


def _mark(text: str) -> str:
    """A pattern for an id, a name or an address, however a text spells its characters."""
    return "".join(f"(?:{'|'.join(map(_literal, forms(one)))})" for one in characters(text))


def _literal(text: str) -> str:
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)  # ASCII punctuation


def _erase(connection: Connection, person: Person) -> dict[str, int]:
    places = {}
    places["landing.personal"] = _changed(
        connection,
        "update landing.personal set value = null where token in (select unnest($tokens::varchar[])) and value is not null",
        {"tokens": list(person.tokens)},
    )
    # A quarantined row may hold anything: names, streets. Those about the person's returns lose their text.
    places["quarantine.rejected_rows"] = _changed(
        connection,
        f"""
        update quarantine.rejected_rows set raw_text = '{ERASED}'
        where raw_text is not null and raw_text <> '{ERASED}' and (
            {_SAYS}
            -- its address was blotted out as it was set aside: the file says which row it was on
            or exists (
                from (select unnest($files::varchar[]) as file, unnest($lines::bigint[]) as line)
                where file = source_file
                    and line between source_line
                        and source_line + length(raw_text) - length(replace(raw_text, chr(10), ''))
            )
        )
        """,  # noqa: S608 - our own words
        {
            "marks": [_mark(one) for one in (*person.ids, *person.emails)],
            "files": [Path(one.path).name for one in person.holding for _ in one.lines],
            "lines": [line for one in person.holding for line in one.lines],
        },
    )
    for table, column, sql_type in _texts(connection):
        for email in person.emails:
            text = f"{column}::varchar"
            replaced = f"regexp_replace({text}, $mark, '…@…', 'gi')"
            count = _changed(
                connection,
                f"update {table} set {column} = {replaced}::{sql_type} where regexp_matches({text}, $mark, 'i')",  # noqa: S608
                {"mark": _mark(email)},
            )
            place = f"{table}.{column}".replace('"', "")
            places[place] = places.get(place, 0) + count
    return {place: count for place, count in places.items() if count}


def _texts(connection: Connection) -> Iterator[tuple[str, str, str]]:
    """Each of our columns that can hold a text; those of ``landing.personal`` are keys."""
    rows = connection.execute(
        """
        select schema_name || '.' || table_name, '"' || column_name || '"', data_type from duckdb_columns()
        semi join duckdb_tables() using (schema_name, table_name)
        where not internal and (data_type in ('VARCHAR', 'JSON') or data_type like '%VARCHAR%[]')
            and schema_name not in ('meta', 'policy') and schema_name || '.' || table_name <> 'landing.personal'
        order by all
        """
    ).fetchall()
    yield from rows


def _changed(connection: Connection, query: str, parameters: dict[str, object]) -> int:
    row = connection.execute(query, parameters).fetchone()
    return int(row[0]) if row else 0
