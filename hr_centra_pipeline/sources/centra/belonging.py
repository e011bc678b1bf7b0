"""Which Centra a database is about. Another is refused: nothing that was sent would be found there, and all be due again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.pull_progress import Raw, text_of
from hr_centra_pipeline.warehouse import place
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

_ASKED = 20  # of our own Returns: people may have deleted some
_ORDERS = 5
_REMEDY = (
    "Give this Centra a home of its own (HR_CENTRA_HOME): what was sent to one Centra says nothing about another. If it is the "
    "same Centra at another address, say so by name: `hr-centra rebind --by NAME --why REASON`; then all of it is read again "
    "before anything is sent."
)


def refuse_another(warehouse: Warehouse, client: CentraClient, settings: Settings) -> None:
    """Let the Centra pass that this database is about; the first one is noted.

    At another address (or with another token, which may be of another store) it has to show what we have made there, or, if
    nothing was made yet, the orders that we know.

    Raises:
        ConfigurationError: it is another one; says what to do.
        CentraError: it cannot be asked.
    """
    with warehouse.transaction() as connection:
        known, present = _known(connection), _present(connection, settings)
        if not known:
            note(connection, present)
            return
        changed = {name for name in present if known.get(name) != present[name]}
        if not changed:
            return
        own, orders, change = _own_returns(connection), _orders(connection), _own_stock_change(connection)
    is_here = (
        _has_ours(client, own) or _has_change(client, change) if own or change
        else _has_orders(client, orders) and (changed == {"store"} or _is_local(known, present))
    )  # fmt: skip
    if "order_api" in changed and not _goes_with(present):
        is_here = False  # what one address shows says nothing of the other
    nothing_known = not (own or change or orders)
    if not (is_here or nothing_known):
        which = (
            f"{known['centra']}, and CENTRA_GRAPHQL_URL is {present['centra']}"
            if "centra" in changed
            else "another store of it: this token does not show what was seen and made there"
        )
        if "centra" not in changed and "order_api" in changed:
            which = f"{known['order_api']}, and CENTRA_ORDER_API_URL is {present['order_api']}"
        raise ConfigurationError(f"{warehouse.path} is about {which}. {_REMEDY}")
    with warehouse.transaction() as connection:
        note(connection, {name: present[name] for name in changed})


def rebind(connection: Connection, settings: Settings, *, by: str, recorded_by: str, why: str) -> None:
    """Bind the database to the Centra of the settings, as a person has decided. All of it is read again.

    Raises:
        ConfigurationError: it is bound to that one already; nothing is changed.
    """
    known, present = _known(connection), _present(connection, settings)
    if known == present:
        raise ConfigurationError(
            f"This database is bound to {present['centra']} already (Order API {present['order_api']}, and the same store). "
            "Nothing was changed."
        )
    note(connection, present, by=by, recorded_by=recorded_by, why=why)
    place.turn(connection, "rebound", by=by, recorded_by=recorded_by, why=why)


def accept_retailer(connection: Connection, retailer: str, *, by: str, recorded_by: str, why: str) -> None:
    """Accept the returns of one more retailer, of which some were rejected.

    Raises:
        ConfigurationError: it is accepted already, or no export has named it; nothing is changed.
    """
    accepted = _retailers(connection, "select value from meta.belongs_to where name = 'retailer'")
    if retailer in accepted:
        raise ConfigurationError(f"Returns of {retailer} are accepted already. Nothing was changed.")
    refused = _retailers(
        connection,
        "select word from quarantine.rejected_rows where column_name = 'retailer_id'",
    )
    if retailer not in refused:
        raise ConfigurationError(
            f"--retailer {retailer}: no export has named it. Accepted: {', '.join(accepted) or 'none yet'}; "
            f"rejected so far: {', '.join(sorted(set(refused) - set(accepted))) or 'none'}. Nothing was changed."
        )
    note(connection, {"retailer": retailer}, by=by, recorded_by=recorded_by, why=why)


def _retailers(connection: Connection, query: str) -> list[str]:
    return sorted({name for (name,) in connection.execute(query).fetchall() if name})


def note(
    connection: Connection,
    what: Raw,
    *,
    by: str | None = None,
    recorded_by: str | None = None,
    why: str | None = None,
) -> None:
    """Record what the database belongs to, one row of ``meta.belongs_to`` per name; who signed it, if a person did."""
    for name, value in what.items():
        connection.execute(
            'insert into meta.belongs_to (name, value, since, "by", recorded_by, why) values (?, ?, ?, ?, ?, ?)',
            [name, value, datetime.now(UTC), by, recorded_by, why],
        )


def address(url: str) -> str:
    """An address as it is compared: without credentials, query and trailing slash."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme.lower()}://{(parts.hostname or '').lower()}{port}{parts.path.rstrip('/')}"


def _known(connection: Connection) -> dict[str, str]:
    return dict(
        connection.execute(
            """
            select name, arg_max(value, (since, rowid)) from meta.belongs_to
            where name in ('centra', 'order_api', 'store') group by name
            """
        ).fetchall()
    )


def _present(connection: Connection, settings: Settings) -> dict[str, str]:
    row = connection.execute("select database_id from meta.place").fetchone()
    salted = f"{row[0] if row else ''} {settings.centra_token.get_secret_value()}"
    # A token is of one store; nothing of it can be read from a few characters of a salted hash.
    token = hashlib.sha256(salted.encode()).hexdigest()[:8]
    return {
        "centra": address(settings.centra_graphql_url),
        "order_api": address(settings.centra_order_api_url),
        "store": token,
    }


def _goes_with(present: Raw) -> bool:
    hosts = {name: urlsplit(present[name]).hostname or "" for name in ("centra", "order_api")}
    return hosts["centra"] == hosts["order_api"] or all(addresses.is_loopback(host) for host in hosts.values())


def _is_local(*bound: Raw) -> bool:
    return all(addresses.is_loopback(urlsplit(one["centra"]).hostname or "") for one in bound)


# ---------------------------------------------------------------- what the Centra of this database must show


def _own_returns(connection: Connection) -> dict[int, str]:
    rows = connection.execute(
        f"""
        select try_cast(centra_id as bigint), packet_key from push.packets
        where operation in ('credit', 'exchange') and state = 'confirmed' and (payload ->> 'first_step') is null
            and try_cast(centra_id as bigint) is not null
        order by updated_at desc limit {_ASKED}
        """  # noqa: S608 - our own number
    ).fetchall()
    return dict(rows)


def _own_stock_change(connection: Connection) -> tuple[int, datetime] | None:
    return connection.execute(
        """
        select stock_change_id, created_at from landing.centra_stock_changes
        where regexp_matches(payload::varchar, '\\bPK[A-Z2-7]{13}\\b') order by batch desc limit 1
        """
    ).fetchone()


def _orders(connection: Connection) -> dict[int, str]:
    rows = connection.execute(
        f"""
        select try_cast(order_number as bigint), payload ->> 'createdAt' from landing.centra_orders
        where try_cast(order_number as bigint) is not null order by batch desc limit {_ORDERS}
        """  # noqa: S608 - our own number
    ).fetchall()
    return {number: created for number, created in rows if created}


def _has_ours(client: CentraClient, own: dict[int, str]) -> bool:
    """Whether one of our Returns is there, with our key in its texts."""
    return any(
        own[raw["id"]] in f"{raw.get('comment') or ''} {raw.get('externalId') or ''}"
        for raw in _all(client, "PullReturns", {"where": {"id": sorted(own)}}, "returnConnection", _ASKED)
        if raw.get("id") in own
    )


def _has_change(client: CentraClient, change: tuple[int, datetime] | None) -> bool:
    if change is None:
        return False
    at = text_of(change[1])
    variables = {"where": {"createdAt": {"from": at, "to": at}}, "lines": 1}
    return any(
        raw.get("id") == change[0] for raw in _all(client, "PullStockChanges", variables, "stockChangeConnection", 50)
    )


def _has_orders(client: CentraClient, orders: dict[int, str]) -> bool:
    """Whether every order that we know is there, made when ours was."""
    found = {
        raw.get("number"): str(raw.get("createdAt"))
        for raw in _all(client, "PullOrders", {"where": {"number": sorted(orders)}}, "orderConnection", _ORDERS)
    }
    return bool(orders) and all(
        number in found and datetime.fromisoformat(found[number]) == datetime.fromisoformat(created)
        for number, created in orders.items()
    )


def _all(client: CentraClient, operation: str, variables: Raw, connection: str, size: int) -> Sequence[Raw]:
    return [raw for page in client.pages(operation, variables, connection, size) for raw in page]
