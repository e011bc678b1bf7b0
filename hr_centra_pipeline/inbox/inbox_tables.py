"""The tables of the inbox. All names begin with ``inbox_``: they may be in a database that others use, too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

VERSION = 1
METADATA = sa.MetaData()


class Instant(sa.TypeDecorator[datetime]):
    """An instant in UTC, also where the database knows no time zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """UTC; without an offset for SQLite, whose texts sort then."""
        if value is None:
            return None
        instant = value.astimezone(UTC)
        return instant.replace(tzinfo=None) if dialect.name == "sqlite" else instant

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """With its offset again."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _arrival() -> list[sa.Column[Any]]:
    return [
        sa.Column("delivery_id", sa.String(32), primary_key=True),
        sa.Column("vendor", sa.String(32), nullable=False),
        sa.Column("shop", sa.String(64), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("body_sha256", sa.String(64), nullable=False),
        sa.Column("erased_at", Instant()),
    ]


# One row per delivery that verified; kept for good.
DELIVERIES = sa.Table(
    "inbox_deliveries",
    METADATA,
    *_arrival(),
    sa.Column("verdict", sa.String(32), nullable=False),
    sa.Column("landed_at", Instant()),
)
sa.Index("inbox_deliveries_received", DELIVERIES.c.received_at)
sa.Index(
    "inbox_deliveries_waiting",
    DELIVERIES.c.vendor,
    DELIVERIES.c.received_at,
    DELIVERIES.c.delivery_id,
    sqlite_where=DELIVERIES.c.landed_at.is_(None),
    postgresql_where=DELIVERIES.c.landed_at.is_(None),
)

# One row per delivery that did not verify; the newest of each vendor and reason.
APART = sa.Table("inbox_apart", METADATA, *_arrival(), sa.Column("reason", sa.String(32), nullable=False))
sa.Index("inbox_apart_newest", APART.c.vendor, APART.c.reason, APART.c.delivery_id, APART.c.bytes)

# One number per vendor, UTC day and what is counted: `verified`, `unverified:<reason>`, `verified_later:<reason>`,
# `refused:<bound>`.
COUNTS = sa.Table(
    "inbox_day_counts",
    METADATA,
    sa.Column("vendor", sa.String(32), primary_key=True),
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("what", sa.String(64), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)

# One row: the version of these tables; when it was tried last whether they can be written; until when bodies have been looked
# through for personal data that is too old.
VERSIONS = sa.Table(
    "inbox_versions",
    METADATA,
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("written_at", Instant()),
    sa.Column("aged_until", Instant()),
)
