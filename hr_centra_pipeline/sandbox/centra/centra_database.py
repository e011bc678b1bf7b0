"""The sandbox Centra's durable state in SQLite, and what its parts share."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from iso4217 import Currency

from hr_centra_pipeline.sandbox.centra.markets import MARKETS, PRICELISTS
from hr_centra_pipeline.sandbox.centra.webhook_plugin import SCHEMA as PLUGIN_SCHEMA
from hr_centra_pipeline.sandbox.centra.webhook_plugin import TYPES as PLUGIN_TYPES
from hr_centra_pipeline.sandbox.sandbox_clock import SandboxClock

Row = dict[str, Any]

_EXACT = frozenset(
    {
        "unit_price", "unit_original_price", "tax_percent", "shipping", "handling", "voucher", "return_cost", "value",
        "percent", "amount", "estimate", "worth",
    }
)  # fmt: skip
_FLAGS = frozenset(
    {
        "is_internal", "is_on_hold", "is_captured", "is_paid", "is_good_to_go", "is_registered", "captures", "is_confirmed",
    }
)  # fmt: skip
_VERSION = 5
# The members of the one-of input of gift cards are on no public page. A shop whose schema names this one can issue them.
GIFT_CARD_BY_EMAIL = ("email: String",)

_SCHEMA = """
create table if not exists warehouses (id integer primary key, name text, external_id text, status text, stock_master text);
create table if not exists variants (
    id integer primary key, product_number text, product_name text, name text, variant_number text
);
create table if not exists sizes (
    id integer primary key, variant_id integer, sku text unique, ean text, upc text, size text
);
create table if not exists stock (
    warehouse_id integer, size_id integer, physical integer, allocated integer, primary key (warehouse_id, size_id)
);
create table if not exists customers (
    id integer primary key, email text, first_name text, last_name text, country text, internal_comment text,
    created_at text, updated_at text, is_registered integer default 1, address text
);
create table if not exists markets (id integer primary key, name text unique);
create table if not exists pricelists (id integer primary key, name text unique, currency text);
create table if not exists orders (
    number integer primary key, id text unique, external_id text, status text, customer_id integer, currency text,
    country text, created_at text, updated_at text, is_internal integer default 0, is_on_hold integer default 0,
    internal_comment text default '', other_comment text default '', shipping text, handling text, voucher text,
    captures integer default 1, origin_type text, origin_id integer, store_id integer default 1, market_id integer,
    pricelist_id integer, payment_method text, address text, tax_mode text default 'included'
);
create table if not exists order_lines (
    id integer primary key, order_number integer, size_id integer, warehouse_id integer, quantity integer,
    cancelled_quantity integer default 0, unit_price text, unit_original_price text, tax_percent text, comment text,
    kind text default 'product', part_of integer, per_bundle integer, worth text
);
create table if not exists bundles (size_id integer primary key, is_flexible integer);
create table if not exists bundle_options (bundle_id integer, section integer, size_id integer);
create table if not exists shipments (
    id integer primary key, order_number integer, number text, external_id text, created_at text, updated_at text,
    shipped_at text, is_captured integer default 0, is_paid integer default 0, is_good_to_go integer default 0,
    warehouse_id integer, shipping text, handling text, voucher text
);
create table if not exists shipment_lines (
    id integer primary key, shipment_id integer, order_line_id integer, quantity integer
);
create table if not exists returns (
    id integer primary key autoincrement, order_number integer, shipment_id integer, status text, created_at text,
    created_from text, admin_user integer, comment text, stock_policy text, warehouse_id integer, shipping text,
    handling text, voucher text, return_cost text
);
create table if not exists taxes (
    subject text, subject_id integer, part text, percent text, amount text, estimate text,
    primary key (subject, subject_id, part)
);
create table if not exists return_lines (
    id integer primary key autoincrement, return_id integer, shipment_line_id integer, quantity integer
);
create table if not exists payments (
    id integer primary key autoincrement, order_number integer, return_id integer, shipment_id integer, entry_type text,
    status text, value text, external_reference text, own_reference text, params text, payment_method text, source text,
    created_at text, is_open integer default 0, answers_at text
);
create table if not exists stock_changes (
    id integer primary key autoincrement, created_at text, comment text, type text, admin_user integer,
    warehouse_id integer
);
create table if not exists stock_change_lines (
    id integer primary key autoincrement, stock_change_id integer, size_id integer, warehouse_id integer,
    quantity integer, free integer
);
create table if not exists id_conversions (
    id integer primary key autoincrement, object_type text, external_id text, internal_id integer,
    integration_name text, unique (object_type, external_id, integration_name)
);
create table if not exists attributes (
    object_type text, object_id integer, type text, key text, content text, primary key (object_type, object_id, type, key)
);
create table if not exists events (
    id integer primary key autoincrement, integration_name text, object_type text, change_type text,
    object_reference integer, created_at text, is_confirmed integer default 0
);
create index if not exists unconfirmed_events on events (integration_name, id) where not is_confirmed;
create table if not exists event_listeners (
    integration_name text, object_type text, change_types text, created_at text, updated_at text,
    primary key (integration_name, object_type)
);
create table if not exists emails (
    id integer primary key autoincrement, what text, object_id integer, created_at text
);
create table if not exists extra_words (enum text, word text, primary key (enum, word));
create table if not exists refusals (subject text, target text, message text, primary key (subject, target));
create index if not exists order_lines_of on order_lines (order_number);
create index if not exists order_lines_at on order_lines (part_of);
create index if not exists shipments_of on shipments (order_number);
create index if not exists shipment_lines_of on shipment_lines (shipment_id);
create index if not exists shipment_lines_at on shipment_lines (order_line_id);
create index if not exists returns_of on returns (order_number);
create index if not exists returns_at on returns (shipment_id);
create index if not exists return_lines_of on return_lines (return_id);
create index if not exists return_lines_at on return_lines (shipment_line_id);
create index if not exists payments_of on payments (order_number);
create index if not exists open_payments on payments (answers_at) where is_open and answers_at is not null;
create index if not exists stock_change_lines_of on stock_change_lines (stock_change_id);
"""


class CentraRefusal(Exception):
    """Centra says no: ``message``, and ``path`` to the input that it is about."""

    def __init__(self, message: str, path: Sequence[str] = (), code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = list(path)
        self.code = code


class UnusableHome(Exception):
    """A sandbox home that this version can not go on with; the message has the remedy."""


@dataclass(frozen=True)
class CentraSettings:
    """What a shop, its plugins and its payment providers can have configured. Amounts in tests and demo follow these.

    Payment methods are ``card`` (answers like Adyen) and ``wallet`` (like PayPal, or Qliro by ``wallet_answers_as``).
    """

    time_zone: str = "Europe/Stockholm"
    integration_name: str = "happy-returns"  # of tokens that have none of their own
    # Not documented, assumption: behaviour.event_queue
    event_queue: bool = False  # whether Centra has switched events on for this shop
    lists_all_listeners: bool = False  # eventListeners shows those of other integrations, too
    text_limit: int = 255
    attributes: tuple[str, ...] = ()  # "type.element" of orders and customers that are configured
    # Payments. The provider answers a request later: after so many hours, or (None) when somebody makes it answer.
    captures_in_two_steps: tuple[str, ...] = ()  # methods: CAPTURE_REQUEST first
    refunds_in_two_steps: tuple[str, ...] = ()  # methods: REFUND_REQUEST first
    refunds_only_open_returns: bool = False  # a completed Return has to be uncompleted first
    cancels_in_two_steps: bool = False  # CANCEL_REQUEST first
    provider_answers_after_hours: float | None = None
    # Not documented, assumption: behaviour.requests_are_answered_by_an_entry
    requests_stay_pending: bool = False  # an answered request keeps its status; the answer is an entry of its own
    authorisation_references: tuple[str, ...] = ()  # methods whose entries all show the authorisation's reference
    wallet_answers_as: str = "paypal"
    # Not documented, assumption: behaviour.payment_value_sign
    negative_entries: tuple[str, ...] = ("CANCEL", "CANCEL_REQUEST")  # entry types whose value has a minus
    # Not documented, assumption: behaviour.discount_sign
    # Not documented, assumption: behaviour.return_discount_sign
    # Not documented, assumption: behaviour.return_cost_sign
    negative_totals: tuple[str, ...] = ()  # of a Return's totals: discounts, returnCost
    # Taxes. Countries whose tax an engine adds to the price, by state; and those that are sold to without the tax in the price.
    # The engine settles a Return some cents off its estimate, and may fail for every so many Returns (0: never).
    tax_engine_countries: tuple[str, ...] = ()
    export_countries: tuple[str, ...] = ()
    tax_engine_taxes_return_cost: bool = True
    tax_engine_drift_cents: int = 2
    tax_engine_fails_every: int = 0
    # Not documented, assumption: behaviour.computed_values_may_be_unrounded
    shows_unrounded_tax: bool = False  # of prices that contain it: in net values, totals and rules
    refund_settles_tax_first: bool = False  # a refund completes its Return before it pays, not after
    # Shipments: made with the order or only when it ships; shipped as they are or only when good to go.
    creates_shipments: bool = False
    ships_only_good_to_go: bool = False
    # The Order API plugin: what it may create and see. ``None``: every market.
    allows_order_create: bool = True
    disabled_endpoints: tuple[str, ...] = ()  # "POST /order", "GET /orders", …
    plugin_markets: tuple[int, ...] | None = None
    plugin_statuses: tuple[str, ...] = ("PENDING", "CONFIRMED", "PROCESSING", "SHIPPED")
    splits_orders: bool = False  # one POST /order may become two orders
    closed_markets: tuple[str, ...] = ()  # countries that the Order API plugin does not serve
    # Bundles: whether the lines of their parts show what those cost alone, and whether a Return may name one of them alone.
    # Not documented, assumption: behaviour.bundle_part_prices
    bundle_parts_show_prices: bool = True
    # Not documented, assumption: behaviour.bundle_part_returns
    returns_may_name_parts: bool = False
    # The schema: members of the one-of input of gift cards as SDL; words shown in place of real ones ("OrderStatus.DELETED":
    # "CANCELLED"); whether one object of each kind has an enum word that no document lists.
    # Not documented, assumption: behaviour.gift_card_input
    gift_card_members: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    unknown_words: bool = False
    # First ids, so that a second shop in a test has other ids than the first.
    first_order_number: int = 1001


def instant_text(instant: datetime) -> str:
    """An instant as the store keeps it: UTC, sortable as text."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _smallest(currency: str) -> Decimal:
    return Decimal(1).scaleb(-(Currency(currency).exponent or 0))


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Half up to the currency's smallest unit."""
    return amount.quantize(_smallest(currency), rounding=ROUND_HALF_UP)


def rounded_down(amount: Decimal, currency: str) -> Decimal:
    """To whole smallest units, the rest left out."""
    return amount.quantize(_smallest(currency), rounding=ROUND_DOWN)


def tax_in(gross: Decimal, percent: Decimal, currency: str) -> Decimal:
    """The tax that a gross amount contains."""
    return rounded(gross * percent / (100 + percent), currency)


def unrounded_tax_in(gross: Decimal, percent: Decimal) -> Decimal:
    """The same as a program computes it that rounds only what it shows to people."""
    return (gross * percent / (100 + percent)).quantize(Decimal("1e-15"))


def problem_with(path: Path) -> str | None:
    """Why this version can not open a store's file; one that is not there yet has no problem."""
    if not path.exists():
        return None
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("pragma user_version").fetchone()
        is_new = connection.execute("select 1 from sqlite_master limit 1").fetchone() is None
    if is_new or version == _VERSION:
        return None
    return f"{path} was made by another version of the sandbox: remove {path.parent} and start again"


class Database:
    """SQLite behind one lock; every public write commits before it returns.

    Raises:
        UnusableHome: the file was made by another version of the sandbox.
    """

    def __init__(self, path: Path, clock: SandboxClock, settings: CentraSettings | None = None) -> None:
        if problem := problem_with(path):
            raise UnusableHome(problem)
        self.clock = clock
        self.settings = settings or CentraSettings()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
        self._connection.row_factory = _row
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = normal")
        self._connection.executescript(f"{_SCHEMA}; {PLUGIN_SCHEMA}; pragma user_version = {_VERSION};")
        for market_id, name in MARKETS.items():
            self.rows("insert or ignore into markets values (?, ?)", [market_id, name])
        for pricelist_id, (name, currency) in PRICELISTS.items():
            self.rows("insert or ignore into pricelists values (?, ?, ?)", [pricelist_id, name, currency])
        self._pushes = False
        self.push_changes()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def write(self) -> Iterator[None]:
        """One transaction; a refusal or error inside leaves nothing behind."""
        with self._lock:
            if self._depth:
                yield
                return
            self._connection.execute("begin immediate")
            self._depth = 1
            try:
                yield
            except BaseException:
                self._connection.execute("rollback")
                raise
            else:
                self._connection.execute("commit")
            finally:
                self._depth = 0

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Rows as dictionaries; amounts as decimals."""
        with self._lock:
            return list(self._connection.execute(sql, [_plain(value) for value in parameters]))

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """The first row, if any."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def insert(self, table: str, values: Mapping[str, Any]) -> int:
        """Insert one row; answers its id."""
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        with self._lock:
            cursor = self._connection.execute(
                f"insert into {table} ({names}) values ({marks})",  # noqa: S608 - our own names
                [_plain(value) for value in values.values()],
            )
        return int(cursor.lastrowid or 0)

    def update(self, table: str, key: str, value: Any, changes: Mapping[str, Any]) -> None:
        """Change the rows of one key."""
        sets = ", ".join(f"{name} = ?" for name in changes)
        with self._lock:
            self._connection.execute(
                f"update {table} set {sets} where {key} = ?",  # noqa: S608 - our own names
                [*(_plain(change) for change in changes.values()), value],
            )

    def delete(self, table: str, key: str, value: Any) -> None:
        """Delete the rows of one key."""
        with self._lock:
            self._connection.execute(f"delete from {table} where {key} = ?", [value])  # noqa: S608 - our own names

    def push_changes(self) -> None:
        """Note what changes for the webhook plugin as well, if it has a subscriber."""
        with self._lock:
            named = self.row("select 1 as x from sqlite_master where name = 'subscriptions'")
            self._pushes = named is not None and self.row("select 1 as x from subscriptions limit 1") is not None

    def happened(self, object_type: str, change_type: str, reference: int, at: datetime | None = None) -> None:
        """Keep an event for the webhook plugin and for each integration that listens for it."""
        if self._pushes and object_type in PLUGIN_TYPES:
            self.insert(
                "plugin_events",
                {
                    "type": PLUGIN_TYPES[object_type], "action": change_type, "reference": reference,
                    "at": instant_text(at or self.clock.now()),
                },
            )  # fmt: skip
        if not self.settings.event_queue:
            return
        for listener in self.rows("select * from event_listeners where object_type = ?", [object_type]):
            if not listener["change_types"] or change_type in listener["change_types"].split(","):
                self.insert(
                    "events",
                    {
                        "integration_name": listener["integration_name"], "object_type": object_type,
                        "change_type": change_type, "object_reference": reference,
                        "created_at": instant_text(at or self.clock.now()),
                    },
                )  # fmt: skip

    def consume_events(self, integration: str, most: int) -> list[int]:
        """Another program with this integration name confirms the oldest events; answers their ids."""
        with self.write():
            found = self.rows(
                "select id from events where integration_name = ? and not is_confirmed order by id limit ?",
                [integration, most],
            )
            for row in found:
                self.update("events", "id", row["id"], {"is_confirmed": 1})
            return [row["id"] for row in found]

    def send_email(self, what: str, object_id: int, asked: bool | None) -> None:
        """An e-mail to the customer: sent unless the caller said no, as a careless shop has it configured."""
        if asked is not False:
            self.insert("emails", {"what": what, "object_id": object_id, "created_at": self.clock.now()})

    def refusal_of(self, subject: str, target: Any) -> str | None:
        """A planted refusal: Centra will not do this, no matter who asks."""
        found = self.row("select message from refusals where subject = ? and target = ?", [subject, str(target)])
        return found["message"] if found else None

    def refuse(self, subject: str, target: Any, message: str) -> None:
        """Plant a refusal."""
        with self.write():
            self._connection.execute(
                "insert or replace into refusals values (?, ?, ?)", [subject, str(target), message]
            )

    def allow(self, subject: str, target: Any) -> None:
        """Somebody corrects what was refused.

        Raises:
            CentraRefusal: nothing of the kind is refused.
        """
        with self.write():
            if self.refusal_of(subject, target) is None:
                raise CentraRefusal(f"Nothing is refused: {subject} {target}", ["target"])
            self._connection.execute("delete from refusals where subject = ? and target = ?", [subject, str(target)])


def _row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Row:
    row: Row = {}
    for (name, *_), value in zip(cursor.description, values, strict=True):
        if name in _EXACT and value is not None:
            row[name] = Decimal(value)
        else:
            row[name] = bool(value) if name in _FLAGS and value is not None else value
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return instant_text(value)
    return value
