"""The tables of ``decisions.sqlite``, and the triggers that refuse every change of what was recorded."""

from __future__ import annotations

import sqlalchemy as sa

VERSION = 1
METADATA = sa.MetaData()


def _chain() -> list[sa.Column[str]]:
    return [
        sa.Column("previous_sha256", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
    ]


# One row per decision. `content_sha256` is of its salt and arguments, which can be blanked (table `contents`): the row stays.
DECISIONS = sa.Table(
    "decisions",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("decision_id", sa.String(32), nullable=False, unique=True),
    sa.Column("idempotency_key", sa.String(100), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("content_sha256", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(200), nullable=False),
    sa.Column("user_name", sa.String(200), nullable=False),
    sa.Column("login", sa.String(16), nullable=False),
    sa.Column("address", sa.String(64)),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("program", sa.String(64), nullable=False),
    *_chain(),
    sa.UniqueConstraint("user_id", "idempotency_key"),
)

# One row per decision: what it says. Rewritten only where an erasure says so.
CONTENTS = sa.Table(
    "contents",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("salt", sa.String(32), nullable=False),
    sa.Column("arguments", sa.Text, nullable=False),
)

# One row per decision and subject: an index by which decisions are found.
SUBJECTS = sa.Table(
    "subjects",
    METADATA,
    sa.Column("subject", sa.String(220), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sqlite_with_rowid=False,
)

# One row per attempt to carry a decision out, in order; the last one counts.
OUTCOMES = sa.Table(
    "outcomes",
    METADATA,
    sa.Column("outcome_number", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("code", sa.String(64)),
    sa.Column("words", sa.Text, nullable=False),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    *_chain(),
)

# One row per text that was blanked for a person who is to be forgotten. `content_sha256` is of what is left.
ERASURES = sa.Table(
    "erasures",
    METADATA,
    sa.Column("erasure_number", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False, index=True),
    sa.Column("content_sha256", sa.String(64), nullable=False),
    sa.Column("salt", sa.String(32), nullable=False),
    sa.Column("at", sa.String(32), nullable=False),
    *_chain(),
)

# Decisions without a final outcome: an index, made and removed together with the rows that it follows from.
WAITING = sa.Table("waiting", METADATA, sa.Column("number", sa.Integer, primary_key=True))

VERSIONS = sa.Table("versions", METADATA, sa.Column("version", sa.Integer, primary_key=True))


def _refused(table: sa.Table, verb: str, called: str, when: str = "") -> str:
    words = f"{table.name} is append-only: nothing that was recorded is changed or deleted"
    return (
        f"create trigger if not exists {table.name}_{called}_refused before {verb} on {table.name}{when}"
        f" begin select raise(abort, '{words}'); end"
    )


def _is_there(table: sa.Table) -> str:
    key = next(iter(table.primary_key.columns)).name
    return f" when exists (select 1 from {table.name} where {key} = new.{key})"  # noqa: S608 - our own names


_IS_NO_ERASURE = (
    " when new.number <> old.number"
    " or not exists (select 1 from erasures where number = new.number and salt = new.salt)"
)
TRIGGERS: tuple[str, ...] = (
    *(
        _refused(table, verb, verb)
        for table in (DECISIONS, OUTCOMES, ERASURES, SUBJECTS)
        for verb in ("update", "delete")
    ),
    # "insert or replace" would delete a row without asking the triggers above.
    *(_refused(table, "insert", "replace", _is_there(table)) for table in (DECISIONS, CONTENTS, OUTCOMES, ERASURES)),
    _refused(CONTENTS, "delete", "delete"),
    _refused(CONTENTS, "update", "update", _IS_NO_ERASURE),
)
"""Statements that make the tables append-only for every writer, this program included."""
