"""A returns harness for tests of the push: a sandbox with the orders that a test wants, exports written by hand, the stages.

Sales and returns are put down here from what a test says, not by rules of the pipeline.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import requests

from hr_centra_pipeline.core.keys import effect_keys_in
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.effects.plan import plan
from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline.matching.match import match
from hr_centra_pipeline.push.record import record_plan
from hr_centra_pipeline.push.sender import PushReport, push
from hr_centra_pipeline.reconciliation.reconcile import reconcile
from hr_centra_pipeline.sandbox.centra.store import (
    GIFT_CARD_BY_EMAIL,
    CentraSettings,
    CentraStore,
    NewLine,
    NewOrder,
    NewPart,
)
from hr_centra_pipeline.sandbox.payouts.settlements import Movement, card_file
from hr_centra_pipeline.sandbox.sandbox_clock import SandboxClock
from hr_centra_pipeline.sandbox.server import RunningSandbox, SandboxSettings, running_sandbox
from hr_centra_pipeline.sources.centra import centra_staging as centra_staging
from hr_centra_pipeline.sources.centra import hints, named_pulls, pull
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.hints import Hint, HintReport
from hr_centra_pipeline.sources.centra.order_api import OrderApiClient
from hr_centra_pipeline.sources.happy_returns import export_staging as happy_returns_staging
from hr_centra_pipeline.sources.happy_returns.event_intake import take_events
from hr_centra_pipeline.sources.happy_returns.event_landing import Body, land_bodies
from hr_centra_pipeline.sources.happy_returns.event_reading import load_event_profile
from hr_centra_pipeline.sources.happy_returns.export_intake import ingest
from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles
from hr_centra_pipeline.sources.payouts import settlement_staging as payout_staging
from hr_centra_pipeline.sources.payouts.settlement_intake import ingest_payouts
from hr_centra_pipeline.sources.payouts.settlement_profiles import load_payout_profiles
from hr_centra_pipeline.warehouse import migrate, watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.derived import forget_stale
from hr_centra_pipeline.warehouse.policy_tables import write_policy

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
MAIN, OUTLET, QUARANTINE = 1, 2, 3
POLICY: dict[str, Any] = {
    "cutover": datetime(2026, 8, 1, tzinfo=UTC),
    "pays_through": {"refund": "centra", "gift-card": "gift_card"},
    "dispositions": {
        "sellable": {"warehouse_id": MAIN, "hold_hours": 0},
        "damaged": {"warehouse_id": QUARANTINE, "hold_hours": 0},
        "missing": {"stock": "none"},
        "wrong-item": {"warehouse_id": QUARANTINE, "hold_hours": 0},
    },
    "exchange_orders": {"first_number": 900_000, "last_number": 999_999},
    "gift_card": {"template": {"email": "{email}"}},
    "changed_by": "Petra Policy",
    "settling_minutes": 0,
}  # fmt: skip
_PULLS = (
    pull.pull_stock_changes, pull.pull_orders, pull.pull_named_orders, pull.pull_shipments, pull.pull_returns,
    pull.pull_replacement_stock, pull.pull_status_marks,
)  # fmt: skip
NAMED_PULLS = (
    named_pulls.stock_changes, named_pulls.orders, named_pulls.shipments, named_pulls.returns, named_pulls.replacement_stock,
)  # fmt: skip
_KINDS = {
    "returns": "return_id order_number express_code refund_status return_method created_at updated_at",
    "items": (
        "return_id order_number sku item_id express_code refund_type exchange_sku dropoff_method received_channel"
        " received_at approved_at disposition hub_received_at warehouse_received_at updated_at"
    ),
    "refunds": (
        "refund_id return_id order_number refund_type issued_at status currency item_subtotal discount tax"
        " shipping_refund processing_fee fee_basis total_refunded gift_card_id item_ids updated_at"
    ),
}


Key = tuple[str, str]  # kind of export, key of a row in it


class Feed(Protocol):
    """Brings to the pipeline what has changed at Happy Returns."""

    def send(self) -> None:
        """Send what changed since the last time, and what was held back until now."""
        ...


@dataclass(frozen=True)
class Sold:
    """An order that was shipped whole: ids of its shipment and of its lines, prices with tax."""

    number: int
    shipment: int
    lines: tuple[int, ...]
    skus: tuple[str, ...]
    prices: tuple[Decimal, ...]
    currency: str


@dataclass(frozen=True)
class Unit:
    """One unit on its way back."""

    item: str
    return_id: str
    code: str
    sold: Sold
    line: int

    @property
    def price(self) -> Decimal:
        return self.sold.prices[self.line]


@dataclass
class Harness:
    """``policy`` may be changed between two syncs; ``mode`` too."""

    home: Path
    store: CentraStore
    clock: SandboxClock
    note: Mapping[str, Any]
    policy: Policy = field(default_factory=lambda: Policy.model_validate(POLICY))
    mode: str = "live"
    sandbox: RunningSandbox | None = None  # behind it, when it runs in this process
    may_fail: bool = False  # whether a pull may
    problems: list[str] = field(default_factory=list)  # of the pulls that did
    _rows: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _changed: dict[tuple[str, str], None] = field(default_factory=dict)
    _shared: Warehouse | None = None
    _count: int = 0
    _states: int = 0
    _files: int = 0
    feed: Feed | None = None  # what brings changes of Happy Returns to the pipeline; none: export files

    # ---------------------------------------------------------------- Centra

    def furnish(self, *skus: str, stock: int = 50) -> None:
        """Three warehouses, a customer, and articles."""
        for name in ("Main", "Outlet", "Quarantine"):
            self.store.add_warehouse(name)
        for sku in skus:
            self.article(sku, stock=stock)
        self.store.add_customer(email="ada@example.com", first_name="Ada", last_name="L", country="DE")

    def article(self, sku: str, *, stock: int = 50) -> None:
        """An article with stock in the main warehouse."""
        self.store.add_product_size(
            sku=sku, ean=None, upc=None, product_number=sku, product_name=sku, variant_name="Ink", size="M",
            stock={MAIN: stock},
        )  # fmt: skip

    def sell(
        self, *lines: tuple[str, int, str], voucher: str = "0", shipping: str = "0", captured: bool = True, currency: str = "EUR",
        parts: Sequence[int] = (), country: str = "DE", state: str | None = None,
    ) -> Sold:  # fmt: skip
        """Lines of (SKU, quantity, unit price as the price list has it); ``parts``: how many lines go into the first shipment."""
        at = NOW - timedelta(days=20)
        sold = [NewLine(sku, count, Decimal(price), Decimal(price), Decimal(25)) for sku, count, price in lines]
        address = {"country": country, "email": "ada@example.com", "city": "Springfield", "state_code": state}
        placed = self.store.add_order(
            NewOrder(
                1, currency, country, sold, at, shipping=Decimal(shipping), voucher=Decimal(voucher), captured=captured,
                address=address if state else None,
            )
        )  # fmt: skip
        if parts:
            first = dict(zip(placed.line_ids[: parts[0]], [count for _, count, _ in lines], strict=False))
            self.store.ship(placed.number, first, at=at, warehouse_id=MAIN, captured=captured)
        self.store.ship(placed.number, at=at, warehouse_id=MAIN, captured=captured)
        rows = self.store.rows(
            "select shipment_lines.id, shipment_id from shipment_lines join order_lines on order_lines.id = order_line_id"
            " where order_number = ? order by order_lines.id",
            [placed.number],
        )
        return Sold(
            placed.number, rows[0]["shipment_id"], tuple(row["id"] for row in rows), tuple(sku for sku, _, _ in lines),
            tuple(Decimal(price) for _, _, price in lines), currency,
        )  # fmt: skip

    def sell_bundle(
        self, price: str, *parts: tuple[str, str, int], quantity: int = 1, twice: bool = False,
        alone: Sequence[tuple[str, str]] = (), voucher: str = "0", country: str = "DE", state: str | None = None,
    ) -> Sold:  # fmt: skip
        """A bundle of parts (SKU, what it costs alone, pieces in one bundle), and articles that are sold ``alone`` before it.
        ``twice``: as two lines. Its own line is the first, then its parts follow.
        """
        at = NOW - timedelta(days=20)
        sku = f"SET-{self._count}-{len(self.store.rows('select * from bundles'))}"
        self.store.add_bundle(sku, sku, [[part] for part, _, _ in parts], is_flexible=True)
        made = [NewPart(part, Decimal(own), count) for part, own, count in parts]
        sold = [NewLine(one, 1, Decimal(own), Decimal(own), Decimal(25)) for one, own in alone]
        sold += [NewLine(sku, quantity, Decimal(price), Decimal(price), Decimal(25), made)] * (2 if twice else 1)
        currency = "USD" if country == "US" else "EUR"
        address = {"country": country, "email": "ada@example.com", "city": "Springfield", "state_code": state}
        placed = self.store.add_order(
            NewOrder(1, currency, country, sold, at, voucher=Decimal(voucher), address=address if state else None)
        )
        self.store.ship(placed.number, at=at, warehouse_id=MAIN)
        rows = self.store.rows(
            "select shipment_lines.id, shipment_id, sku, unit_price from shipment_lines join order_lines"
            " on order_lines.id = order_line_id join sizes on sizes.id = size_id where order_number = ? order by order_lines.id",
            [placed.number],
        )
        return Sold(
            placed.number, rows[0]["shipment_id"], tuple(row["id"] for row in rows), tuple(row["sku"] for row in rows),
            tuple(row["unit_price"] for row in rows), currency,
        )  # fmt: skip

    def act(self, name: str, **given: Any) -> dict[str, Any]:
        """Somebody acts in Centra's admin."""
        answer = requests.post(f"{self.note['control_url']}/person", json={"act": name, "given": given}, timeout=30)
        answer.raise_for_status()
        done: dict[str, Any] = answer.json()
        return done

    def fault(self, kind: str, target: str = "", **given: Any) -> None:
        """Arm a fault."""
        body = {"kind": kind, "target": target, **given}
        requests.post(f"{self.note['control_url']}/faults", json=body, timeout=30).raise_for_status()

    def calm_down(self) -> None:
        """Disarm every fault."""
        requests.delete(f"{self.note['control_url']}/faults", timeout=30).raise_for_status()

    def log(self) -> list[dict[str, Any]]:
        """Every request and every act of a person, in order."""
        found: list[dict[str, Any]] = requests.get(f"{self.note['control_url']}/log", timeout=30).json()
        return found

    def mutations(self) -> list[str]:
        """Every mutation that reached Centra, in order."""
        return [name for entry in self.log() for name in entry["mutations"]]

    @property
    def records(self) -> dict[str, Any]:
        """The sandbox's own records."""
        return self.store.records()

    def returns_of(self, sold: Sold) -> list[dict[str, Any]]:
        """The Returns of an order."""
        return [row for row in self.records["returns"] if row["order_number"] == sold.number]

    def refunded(self, sold: Sold) -> Decimal:
        """What was given back on an order, in money and store credit."""
        return self.given(sold.number)

    def given(self, order_number: int) -> Decimal:
        """The same, by the order's number."""
        return sum(
            (
                Decimal(value)
                for number, _, kind, status, value in self.records["payments"]
                if number == order_number and kind in ("REFUND", "REFUND_GIFT_CARD") and status == "SUCCESS"
            ),
            Decimal(0),
        )

    def moved(self, sku: str, warehouse: int) -> int:
        """Units of an article that stock changes with our keys have put into a warehouse, net."""
        return sum(
            quantity
            for change in self.records["stock_changes"]
            if effect_keys_in(change["comment"])
            for of, where, quantity in change["lines"]
            if (of, where) == (sku, warehouse)
        )

    def orders_of_ours(self) -> list[dict[str, Any]]:
        """Replacement orders."""
        return [row for row in self.records["orders"] if row["origin"][0] == "return"]

    def comment_of(self, sold: Sold) -> str:
        """An order's internal comment."""
        return next(str(row["internal_comment"]) for row in self.records["orders"] if row["number"] == sold.number)

    # ---------------------------------------------------------------- Happy Returns

    def comes_back(
        self, sold: Sold, line: int = 0, *, refund_type: str = "refund", method: str = "return-bar", grade: str | None = None,
        exchange_sku: str | None = None, shipping: str = "0", fee: str = "0", row: bool = True, approved: bool = True,
        with_unit: Unit | None = None, days_ago: float = 2, started_days_ago: float = 3, **columns: Any,
    ) -> Unit:  # fmt: skip
        """A unit that was dropped off two days ago and approved; ``with_unit``: in the same return and refund row."""
        self._count += 1
        return_id = with_unit.return_id if with_unit else f"RT-{self._count:04d}"
        code = with_unit.code if with_unit else f"HRTST{self._count:03d}"
        unit = Unit(f"IT-{self._count:05d}", return_id, code, sold, line)
        received = NOW - timedelta(days=days_ago)
        started = NOW - timedelta(days=started_days_ago)
        self._put(
            "returns", f"{return_id}/{sold.number}", return_id=return_id, order_number=sold.number, express_code=code,
            refund_status="approved" if approved else "dropped-off", return_method=method, created_at=_text(started),
        )  # fmt: skip
        self._put(
            "items", unit.item, return_id=return_id, order_number=sold.number, sku=sold.skus[line], item_id=unit.item,
            express_code=code, refund_type=refund_type, exchange_sku=exchange_sku, dropoff_method=method,
            received_channel=method, received_at=_text(received), approved_at=_text(received) if approved else "",
            warehouse_received_at=_text(received), disposition=grade, **columns,
        )  # fmt: skip
        if row and refund_type != "exchange":
            self._refund_row(unit, refund_type, shipping, fee, with_unit)
        return unit

    def started_only(self, unit: Unit, *, status: str = "expired", days_ago: float = 10) -> Unit:
        """An earlier return of the same piece, whose goods never came."""
        self._count += 1
        earlier = Unit(
            f"IT-{self._count:05d}", f"RT-{self._count:04d}", f"HRTST{self._count:03d}", unit.sold, unit.line
        )
        self._put(
            "returns", f"{earlier.return_id}/{unit.sold.number}", return_id=earlier.return_id, order_number=unit.sold.number,
            express_code=earlier.code, refund_status=status, return_method="mail",
            created_at=_text(NOW - timedelta(days=days_ago)),
        )  # fmt: skip
        self._put(
            "items", earlier.item, return_id=earlier.return_id, order_number=unit.sold.number, sku=unit.sold.skus[unit.line],
            item_id=earlier.item, express_code=earlier.code, refund_type="refund", dropoff_method="mail",
        )  # fmt: skip
        return earlier

    def _refund_row(self, unit: Unit, refund_type: str, shipping: str, fee: str, with_unit: Unit | None) -> None:
        key = f"RF-{with_unit.item if with_unit else unit.item}"
        before = self._rows.get(("refunds", key), {})
        tax = (unit.price / 5).quantize(Decimal("0.01"))
        items = Decimal(before.get("item_subtotal", 0)) + unit.price - tax
        taxes = Decimal(before.get("tax", 0)) + tax
        ids = ";".join(filter(None, [before.get("item_ids"), unit.item]))
        self._put(
            "refunds", key, refund_id=key, return_id=unit.return_id, order_number=unit.sold.number, refund_type=refund_type,
            issued_at=_text(NOW - timedelta(hours=2)), status="issued", currency=unit.sold.currency, item_subtotal=str(items),
            discount="0.00", tax=str(taxes), shipping_refund=shipping, processing_fee=fee, fee_basis="return",
            total_refunded=str(items + taxes + Decimal(shipping) - Decimal(fee)), item_ids=ids,
        )  # fmt: skip

    def change(self, unit: Unit, **columns: Any) -> None:
        """Happy Returns corrects a unit's row."""
        self._put("items", unit.item, **columns)

    def move_to(self, unit: Unit, sold: Sold) -> None:
        """Happy Returns corrects which order a unit is of, in all of its files."""
        of_return = self._rows["returns", f"{unit.return_id}/{unit.sold.number}"]
        self._put("returns", f"{unit.return_id}/{sold.number}", **{**of_return, "order_number": sold.number})
        self.change(unit, order_number=sold.number)
        if ("refunds", f"RF-{unit.item}") in self._rows:
            self.change_refund(unit, order_number=sold.number)

    def change_refund(self, unit: Unit, **columns: Any) -> None:
        """Happy Returns corrects the refund row that began with a unit."""
        self._put("refunds", f"RF-{unit.item}", **columns)

    def _put(self, kind: str, key: str, **columns: Any) -> None:
        self._rows.setdefault((kind, key), {}).update(columns)
        self._changed[kind, key] = None

    def export(self) -> None:
        """What changed since the last time leaves Happy Returns: as files, unless there is another feed."""
        if self.feed is not None:
            self.feed.send()
        elif self._changed:
            self.write_files(self.take_changes())

    def take_changes(self) -> list[Key]:
        """What changed since the last time, as (kind, key); from now on each row has the time of its state."""
        if not self._changed:
            return []
        self._states += 1
        at = max(NOW - timedelta(hours=1), self.clock.now() - timedelta(hours=1)) + timedelta(seconds=self._states)
        for one in self._changed:
            self._rows[one]["updated_at"] = _text(at)
        taken = list(self._changed)
        self._changed.clear()
        return taken

    def row(self, key: Key) -> dict[str, Any]:
        """A row of Happy Returns as it is now."""
        return self._rows[key]

    def units(self) -> Iterator[tuple[Key, dict[str, Any]]]:
        """Every unit of Happy Returns as it is now."""
        return ((key, row) for key, row in self._rows.items() if key[0] == "items")

    def has(self, key: Key) -> bool:
        """Whether Happy Returns has such a row."""
        return key in self._rows

    def write_files(self, keys: Iterable[Key]) -> None:
        """An export of these rows, whole, one file per kind."""
        self._files += 1
        chosen = list(keys)
        for kind, columns in _KINDS.items():
            rows = [self._rows[one] for one in chosen if one[0] == kind]
            if not rows:
                continue
            file = Path(self.note["exports"]) / f"{kind}-{self._files:04d}.csv"
            with file.with_suffix(".part").open("w", encoding="utf-8", newline="") as text:
                writer = csv.DictWriter(text, columns.split(), restval="")
                writer.writeheader()
                writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
            file.with_suffix(".part").rename(file)

    # ---------------------------------------------------------------- the payment provider

    def book(
        self, kind: str, order_number: int, amount: Decimal, *, reference: str = "", currency: str = "EUR"
    ) -> None:
        """The payment provider books something now, and delivers a settlement file; ``amount``: positive when it comes in."""
        self._files += 1
        now = self.clock.now()
        line = Movement(kind, order_number, reference or f"dash-{self._files:04d}", "", currency, amount, now)
        file = Path(self.note["payouts"]) / f"card_settlement_{self._files:04d}.csv"
        file.with_suffix(".part").write_bytes(card_file(self._files, [line], now))
        file.with_suffix(".part").rename(file)

    # ---------------------------------------------------------------- the pipeline

    @property
    def settings(self) -> Settings:
        return Settings.from_environment(
            {
                "HR_CENTRA_HOME": str(self.home), "HR_CENTRA_MODE": self.mode,
                "HAPPY_RETURNS_EXPORTS": str(self.note["exports"]), "CENTRA_GRAPHQL_URL": self.note["graphql_url"],
                "CENTRA_TOKEN": self.note["token"], "CENTRA_ORDER_API_URL": self.note["order_api_url"],
                "CENTRA_ORDER_API_KEY": self.note["order_api_key"], **self.event_environment(),
            }
        )  # fmt: skip

    def event_environment(self) -> dict[str, str]:
        """The variables that switch on deliveries, where there is an inbox."""
        if "inbox" not in self.note:
            return {}
        return {"HR_CENTRA_INBOX": self.note["inbox"], "HAPPY_RETURNS_WEBHOOK_SECRET": self.note["webhook_secret"]}

    @property
    def warehouse(self) -> Warehouse:
        return self._shared or Warehouse(self.settings.database)

    @contextmanager
    def one_connection(self) -> Iterator[None]:
        """What happens inside shares a connection: to open one costs more than most steps of a shop of this size."""
        if self._shared is not None:
            yield
            return
        self._shared = self.warehouse
        try:
            with self._shared.kept_open():
                yield
        finally:
            self._shared = None

    def client(self) -> CentraClient:
        return CentraClient(self.note["graphql_url"], self.note["token"])

    def order_api(self) -> OrderApiClient:
        return OrderApiClient(self.note["order_api_url"], self.note["order_api_key"])

    def hint(self, object_type: str, *ids: int) -> None:
        """Centra announces that something changed."""
        now, report = self.clock.now(), HintReport()
        with self.warehouse.transaction() as connection:
            batch = watermarks.next_batch(connection)
            rows = [("d", now, Hint(place, object_type, one, "update", now)) for place, one in enumerate(ids, start=1)]
            hints.insert(connection, hints.WEBHOOK, rows, batch, report, now)

    def plan(self, *, follows_events: bool = False) -> None:
        """Everything up to the recorded plan; ``follows_events``: no polls, only what hints and new rows name."""
        self.export()
        now, warehouse, client = self.clock.now(), self.warehouse, self.client()
        with warehouse.kept_open():
            migrate.prepare(warehouse)
            with warehouse.transaction() as connection:
                forget_stale(connection, self.policy.model_dump_json())
                write_policy(connection, self.policy, self.settings.mode)
                _have_seen_gift_cards(connection, now)
            ingest(warehouse, self.settings.exports, load_profiles(self.home / "profiles"), now)
            if self.settings.has_events:
                self._land_bodies(warehouse, now)
            happy_returns_staging.refresh(warehouse, now)
            if any(Path(self.note["payouts"]).iterdir()):
                ingest_payouts(
                    warehouse, self.note["payouts"], load_payout_profiles(self.home / "payout_profiles"), now
                )
                payout_staging.refresh(warehouse, now)
            follow = named_pulls.Follow(client, warehouse, self.policy, now, touches=follows_events)
            polls = () if follows_events else _PULLS
            reports = [one(client, warehouse, self.policy, now) for one in polls] + [one(follow) for one in NAMED_PULLS]
            for report in reports:
                assert report.complete or self.may_fail, report.problem
                if report.problem:
                    self.problems.append(report.problem)
            centra_staging.refresh(warehouse, now)
            with warehouse.transaction() as connection:
                match(connection, now)
                plan(connection, now)
                record_plan(connection, now)

    def _land_bodies(self, warehouse: Warehouse, now: datetime) -> None:
        """What waits in the inbox, and answers of the partner API that somebody has put down."""
        profile = load_event_profile(self.home / "event_profiles")
        take_events(warehouse, Inbox.open(self.settings.inbox), profile, now)
        for file in sorted(Path(self.note["answers"]).glob("*.json")):
            body = Body(f"api {file.stem}", "api", now, file.read_bytes(), "return")
            with warehouse.transaction() as connection:
                (report,) = land_bodies(connection, [body], profile, now)
            assert report.problem is None, report.problem
            file.unlink()

    def push(self, *, follows_events: bool = False) -> PushReport:
        """The push alone."""
        warehouse = self.warehouse
        with warehouse.kept_open():
            return push(
                warehouse, self.client(), self.order_api(), self.policy, self.settings, self.clock.now(),
                follows_events=follows_events,
            )  # fmt: skip

    def sync(self) -> PushReport:
        """Plan and push."""
        with self.one_connection():
            self.plan()
            return self.push()

    def event_sync(self) -> PushReport:
        """A sync because something happened: the new rows of the exports are in the place of events."""
        with self.one_connection():
            self.plan(follows_events=True)
            return self.push(follows_events=True)

    def settle(self, most: int = 6) -> None:
        """Sync until a sync writes nothing."""
        with self.one_connection():
            for _ in range(most):
                before = len(self.mutations())
                self.sync()
                if len(self.mutations()) == before:
                    return
        raise AssertionError(f"{most} syncs in a row, and each still writes: {self.mutations()[-10:]}")

    def reconcile(self) -> list[tuple[str, str | None, str]]:
        """(kind, unit, detail) of what is open now."""
        with self.warehouse.transaction() as connection:
            reconcile(connection, self.clock.now())
        return [
            (str(kind), unit, str(detail))
            for kind, unit, detail in self.rows(
                "select kind, return_item_id, detail from reconciliation.exceptions order by kind, return_item_id, detail"
            )
        ]

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of the pipeline's database."""
        with self.warehouse.transaction() as connection:
            return connection.execute(query, list(parameters)).fetchall()

    def states(self, kind: str = "credit_note") -> dict[str, str]:
        """State of each unit's effects of a kind (the last one of several)."""
        return dict(
            self.rows(
                "select return_item_id, state from push.ledger where effect_kind = ? order by planned_at, effect_key",
                kind,
            )
        )

    def forget(self) -> None:
        """The database is lost."""
        for file in self.settings.database.parent.glob(self.settings.database.name + "*"):
            file.unlink()

    def with_policy(self, **changes: Any) -> None:
        """Another policy from now on."""
        self.policy = Policy.model_validate({**POLICY, **changes})


def _have_seen_gift_cards(connection: Connection, now: datetime) -> None:
    """As after a look at the sandbox's schema, which takes long: without one no gift card is issued."""
    if not connection.execute("select 1 from operations.contract limit 1").fetchone():
        seen: tuple[Any, ...] = (
            "root field",
            "Mutation.issueCredit",
            "assumed",
            ["IssueCredit"],
            [],
            "",
            "",
            "as_assumed",
            False,
            "",
            now,
            None,
            "",
        )
        connection.execute("insert into operations.contract values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", seen)


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def harness(folder: Path, *, centra: CentraSettings | None = None, **settings: Any) -> Iterator[Harness]:
    """An empty shop on a sandbox of its own, with three warehouses and three articles."""
    home = folder / "data"
    home.mkdir(parents=True, exist_ok=True)
    shop = centra or CentraSettings()
    shop = replace(shop, gift_card_members=shop.gift_card_members or GIFT_CARD_BY_EMAIL)
    given = SandboxSettings(**{"plan": "enterprise", "speed": 1000.0, **settings}, centra=shop)
    with running_sandbox(folder / "sandbox", given) as sandbox:
        note = {
            "graphql_url": sandbox.graphql_url, "order_api_url": sandbox.order_api_url, "control_url": sandbox.control_url,
            "token": sandbox.token, "order_api_key": sandbox.order_api_key, "exports": str(sandbox.exports),
            "payouts": str(sandbox.payouts), "pid": os.getpid(),
        }  # fmt: skip
        opened = Harness(home, sandbox.store, sandbox.clock, note, sandbox=sandbox)
        opened.furnish("DRESS-S", "DRESS-M", "SHIRT-M")
        yield opened
