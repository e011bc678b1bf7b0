"""The contract with this Centra as it is kept: looked at once a day. ``doctor`` looks at it too, and keeps nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from graphql import GraphQLEnumType, GraphQLSchema

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.core.version import code_version
from hr_centra_pipeline.sources.centra import centra_calls, centra_contract, old_objects
from hr_centra_pipeline.sources.centra.centra_contract import Row
from hr_centra_pipeline.sources.centra.centra_errors import CentraError, Permanent
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.order_api import OrderApiClient
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

_LOOKED_AT_EVERY = timedelta(hours=24)


@dataclass(frozen=True)
class Looked:
    """What one look at a Centra showed. ``introspection``: its schema as it was answered; ``None``: it was not."""

    rows: Sequence[Row]
    introspection: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ContractReport:
    """What the sync did about the contract. ``rows``: how many are kept, by verdict; ``problem``: why the look failed, so
    that what was known before is kept.
    """

    looked: bool
    rows: Mapping[str, int]
    problem: str | None = None


# ---------------------------------------------------------------- looking


def look(client: CentraClient, order_api: OrderApiClient | None, policy: Policy) -> Looked:
    """Ask a Centra for its schema, compare it, and look at old objects.

    A Centra that refuses the introspection is a row of its own, and nothing else.

    Raises:
        Transient: it does not answer now.
    """
    introspection: Mapping[str, Any] | None = None
    try:
        introspection = centra_contract.asked(client)
        schema = centra_contract.schema_of(introspection)
        rows = _compared(schema, policy)
        words = schema.get_type("OrderStatus")
        order_words = list(words.values) if isinstance(words, GraphQLEnumType) else []
    except (Permanent, centra_contract.NotASchema) as error:
        rows, order_words = [centra_contract.without_schema(str(error))], policy.centra.words.order_status.cancelled[:1]
        introspection = None
    rows += old_objects.look(client, order_api, policy, order_words)
    return Looked([*rows, *centra_contract.unseen(row.coordinate for row in rows)], introspection)


def look_at_file(introspection: Any, policy: Policy) -> Looked:
    """The same for a schema that was saved: nothing is asked.

    Raises:
        NotASchema: it is not the result of an introspection.
    """
    rows = _compared(centra_contract.schema_of(introspection), policy)
    return Looked([*rows, *centra_contract.unseen()], introspection)


def _compared(schema: GraphQLSchema, policy: Policy) -> list[Row]:
    words = centra_contract.words_read(policy.centra.words)
    return centra_contract.compared(schema, centra_calls.needed(policy), words, centra_calls.widest(policy))


# ---------------------------------------------------------------- keeping


def refresh(
    client: CentraClient, order_api: OrderApiClient, warehouse: Warehouse, policy: Policy, now: datetime
) -> ContractReport:
    """Look when the last look is a day old, or was made with another policy, program or version of Centra; keep it."""
    with warehouse.transaction() as connection:
        if not _is_due(connection, _made_with(policy), now):
            return ContractReport(False, _counts(connection))
    try:
        looked = look(client, order_api, policy)
    except CentraError as error:
        with warehouse.transaction() as connection:
            return ContractReport(False, _counts(connection), str(error))
    with warehouse.transaction() as connection:
        keep(connection, looked, policy, now, app_version=client.app_version)
        return ContractReport(True, _counts(connection))


@makes(
    "operations.contract",
    "One row per coordinate or behaviour of Centra that hr-centra relies on: as assumed, different, or unknown.",
    reads=("landing.centra_versions",),
    kind="source",
)
def keep(connection: Connection, looked: Looked, policy: Policy, now: datetime, *, app_version: str | None) -> None:
    """Replace what the last look showed. What the last schema showed stays while Centra refuses to show the present one."""
    made_with = _made_with(policy)
    connection.execute(
        """
        delete from operations.contract
        where $has_schema or kind in ('schema', 'behaviour', 'REST key', 'REST answer')
        """,
        {"has_schema": looked.introspection is not None},
    )
    connection.executemany(
        "insert into operations.contract"
        " (kind, coordinate, basis, operations, effect_types, expected, found, verdict, stops, remedy, checked_at,"
        " app_version, made_with)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                row.kind, row.coordinate, row.basis, list(row.operations), list(row.effect_types), row.expected,
                row.found, row.verdict, row.stops, row.remedy, now, app_version, made_with,
            )
            for row in looked.rows
        ],
    )  # fmt: skip


def _made_with(policy: Policy) -> str:
    parts = [
        code_version(), policy.centra.words.model_dump_json(), ",".join(sorted(policy.pays_through.values())),
        policy.status.model_dump_json(), policy.gift_card.model_dump_json(), policy.exchange.release,
    ]  # fmt: skip
    return hashlib.sha256("\x1f".join([*parts, *policy.centra.reference_paths]).encode()).hexdigest()


def _is_due(connection: Connection, made_with: str, now: datetime) -> bool:
    row = connection.execute(
        "select checked_at, made_with, app_version from operations.contract order by checked_at limit 1"
    ).fetchone()
    if row is None or row[1] != made_with or now - row[0] >= _LOOKED_AT_EVERY or row[0] > now:
        return True
    last = connection.execute("select app_version from landing.centra_versions order by batch desc limit 1").fetchone()
    return last is not None and last[0] != row[2]


def _counts(connection: Connection) -> dict[str, int]:
    return dict(connection.execute("select verdict, count(*) from operations.contract group by all").fetchall())


# ---------------------------------------------------------------- what it means for sending


def reasons(connection: Connection, policy: Policy) -> dict[str, str]:
    """Why an effect type of :func:`centra_calls.needed` cannot be sent, by the last look. Before the first look only gift cards."""
    rows = connection.execute(
        "select coordinate, operations, found, remedy from operations.contract where verdict = 'differs' and stops"
        " order by coordinate"
    ).fetchall()
    found: dict[str, list[str]] = {}
    for coordinate, operations, there, remedy in rows:
        for effect_type, needed in centra_calls.needed(policy).items():
            if needed & set(operations):
                found.setdefault(effect_type, []).append(f"{coordinate} (this Centra: {there}). {remedy}")
    gift_cards = centra_calls.paid_by("gift_card")
    if (
        gift_cards in centra_calls.needed(policy)
        and gift_cards not in found
        and not _has_seen(connection, "Mutation.issueCredit")
    ):
        found[gift_cards] = [
            "Mutation.issueCredit was not seen in its schema, and its input is not documented. "
            "`hr-centra doctor` says why; until it is seen, issue the gift cards by hand."
        ]
    return {effect_type: _reason(of) for effect_type, of in found.items()}


def _has_seen(connection: Connection, coordinate: str) -> bool:
    seen = "select 1 from operations.contract where coordinate = ? and verdict = 'as_assumed'"
    return connection.execute(seen, [coordinate]).fetchone() is not None


def _reason(reasons: Sequence[str]) -> str:
    more = f" And {len(reasons) - 1} more: hr-centra doctor lists them." if len(reasons) > 1 else ""
    return say("does_not_fit", f"{reasons[0]}{more}")
