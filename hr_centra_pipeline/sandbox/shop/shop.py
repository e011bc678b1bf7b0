"""The simulated shop: its past is written down at once, and replayed hour by hour as its clock moves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from hr_centra_pipeline.sandbox.centra.centra_database import UnusableHome
from hr_centra_pipeline.sandbox.centra.store import CentraRefusal, CentraStore
from hr_centra_pipeline.sandbox.happy_returns import exports
from hr_centra_pipeline.sandbox.happy_returns.notices import Notices
from hr_centra_pipeline.sandbox.happy_returns.records import Happening, Records
from hr_centra_pipeline.sandbox.payouts import settlements
from hr_centra_pipeline.sandbox.sandbox_clock import SandboxClock
from hr_centra_pipeline.sandbox.shop import people, warehouse
from hr_centra_pipeline.sandbox.shop.assortment import Assortment, Order
from hr_centra_pipeline.sandbox.shop.disagreements import Disagreements
from hr_centra_pipeline.sandbox.shop.stories import ordinary
from hr_centra_pipeline.sandbox.shop.trouble import CUTOVER, Trouble
from hr_centra_pipeline.sandbox.shop.variations import Variations
from hr_centra_pipeline.sandbox.shop.variety import PLAIN, Variety
from hr_centra_pipeline.sandbox.shop.workshop import Workshop

_HOUR = timedelta(hours=1)
_AFTER = timedelta(days=14)  # how far beyond its first look the shop's future is written
_METHODS = {"return-bar": 45, "mail": 28, "in-store": 17, "mail-shopper-provided": 6, "returnless": 4}


_KEYS = frozenset({"return_id", "item_id", "refund_id", "shipment_id", "updated_at"})
"""Fields by which a row is named."""


@dataclass
class Shop:
    """A shop in a sandbox home. Everything that it does to Centra goes through the store, by Centra's rules."""

    home: Path
    store: CentraStore
    clock: SandboxClock

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self._records = Records(self.home / "happy_returns.sqlite")

    def close(self) -> None:
        """Close Happy Returns' records; Centra's store stays open."""
        self._records.close()

    @property
    def truth_path(self) -> Path:
        """What was planted."""
        return self.home / "truth.jsonl"

    def truth(self) -> list[dict[str, Any]]:
        """Every planted trouble, whether it is open yet or not."""
        if not self.truth_path.exists():
            return []
        return [json.loads(line) for line in self.truth_path.read_text(encoding="utf-8").splitlines()]

    # ---------------------------------------------------------------- making it

    def seed(
        self,
        *,
        seed: int,
        returns: int,
        start: datetime,
        until: datetime,
        trouble: bool = True,
        variety: Variety = PLAIN,
    ) -> None:
        """Make a shop with a past, and live it until ``until``; a home that was seeded before is left alone.

        Raises:
            UnusableHome: it was stopped in the middle of this before.
        """
        if self._records.fact("seeded"):
            return
        if self._records.fact("lived_until"):
            raise UnusableHome(f"{self.home} was begun and never finished: remove it and start again")
        random = Random(seed)
        self.clock.advance_to(start)
        shop = Assortment(self.store, random, variety)
        workshop = Workshop(shop, random)
        with self.store.write():
            shop.open()
            self._ordinary_returns(workshop, returns, start, until)
            planted = Trouble(workshop, until)
            disagreements = Disagreements(workshop, until)
            variations = Variations(workshop, until)
            if trouble:
                planted.plant()
                disagreements.plant()
            if variety.plants:
                variations.plant()
        truth = planted.truth + disagreements.truth + variations.truth
        self.write_down(workshop, start, seed=seed, truth=truth, quirks=disagreements.quirks)
        if variety.ships_replacements:
            self._records.keep("ships_replacements", "yes")
        moment = start
        while moment < until:
            moment = min(moment + timedelta(days=1), until)
            self._live(moment, random)
        self._records.keep("seeded", "yes")

    def write_down(
        self,
        workshop: Workshop,
        start: datetime,
        *,
        seed: int,
        truth: Sequence[dict[str, Any]] = (),
        quirks: Sequence[dict[str, Any]] = (),
    ) -> None:
        """Put all that a workshop has made on the list of what happens from ``start`` on; ``quirks``: of payment providers."""
        self.truth_path.write_text("".join(json.dumps(row) + "\n" for row in truth), encoding="utf-8")
        self._records.begin()
        self._records.plan([one for story in workshop.stories for one in story.happenings] + workshop.others)
        self._records.keep("seed", str(seed))
        self._records.keep("lived_until", start.isoformat())
        self._records.keep("settled_until", (start - timedelta(days=60)).isoformat())
        self._records.keep("payout_quirks", json.dumps(list(quirks)))
        self._records.commit()

    def _ordinary_returns(self, workshop: Workshop, returns: int, start: datetime, until: datetime) -> None:
        random = workshop.random
        future = max(1, returns // 8)
        # Before the cut-over nothing is acted on; a few returns that were over by then show that.
        first = max(start, CUTOVER)
        starts = sorted(first + (until - first) * random.random() for _ in range(returns))
        starts += [until + _AFTER * random.random() for _ in range(future)]
        orders = self._past_orders(workshop, starts, start)
        for created, mine in zip(starts, orders, strict=True):
            method = random.choices(list(_METHODS), list(_METHODS.values()))[0]
            if random.random() < 0.07:
                story = workshop.story(mine, self._pieces(workshop, mine), method, created)
                story.start()
                story.expire(created + timedelta(days=random.uniform(14, 30)))
                continue
            pieces = self._pieces(workshop, mine)
            story = workshop.story(mine, pieces, method, created)
            ordinary(story)
            kinds = {piece.refund_type for piece in pieces}
            in_time = created + timedelta(hours=5) < until
            if method == "return-bar" and kinds == {"refund"} and len(mine) == 1 and in_time and random.random() < 0.1:
                self._person_credits(workshop, story, created + timedelta(hours=4))
        if start < CUTOVER - timedelta(days=10):
            for _ in range(3):
                order = workshop.shop.sell(start - timedelta(days=12), [(workshop.any_size(), 1)])
                story = workshop.story([order], [workshop.piece(order.units[0])], "in-store", start + _HOUR)
                story.start()
                story.receive(start + 5 * _HOUR, story.pieces, approved=True)
                story.refund(start + 7 * _HOUR, story.pieces)
                story.grade(start + 30 * _HOUR, story.pieces, "sellable")

    def _person_credits(self, workshop: Workshop, story: Any, at: datetime) -> None:
        if len({piece.unit.shipment_id for piece in story.pieces}) == 1 and not story.orders[0].voucher:
            workshop.person_credits(story, at)

    def _past_orders(self, workshop: Workshop, starts: list[datetime], start: datetime) -> list[list[Order]]:
        """One order for each return, at times two; and as many again that nobody returns."""
        random = workshop.random
        wanted: list[tuple[datetime, int | None]] = []
        for number, created in enumerate(starts):
            latest = min(created, start + timedelta(days=40)) - timedelta(days=6)
            placed = latest - timedelta(days=random.uniform(0, 20))
            wanted.append((placed, number))
            if random.random() < 0.08:
                wanted.append((placed - timedelta(days=1), number))
            wanted += [
                (placed - timedelta(hours=random.uniform(1, 200)), None) for _ in range(random.choice((0, 1, 2)))
            ]
        found: dict[int, list[Order]] = {}
        customers: dict[int, int] = {}
        for placed, position in sorted(wanted, key=lambda one: one[0]):
            lines = [
                (workshop.any_size(), random.choices((1, 2, 3), (80, 16, 4))[0])
                for _ in range(random.choices((1, 2, 3), (55, 30, 15))[0])
            ]
            lines = list({size.sku: (size, quantity) for size, quantity in lines}.values())
            voucher = Decimal(random.choice((5, 10, 20))) if random.random() < 0.1 else Decimal(0)
            customer = customers.setdefault(position, random.randrange(60)) if position is not None else None
            order = workshop.shop.sell(
                placed.replace(microsecond=0), lines, voucher_euro=voucher, customer=customer,
                two_shipments=not voucher and random.random() < 0.08,
                discount_percent=random.choices((0, 20, 30), (75, 15, 10))[0],
            )  # fmt: skip
            if position is not None:
                found.setdefault(position, []).append(order)
        return [found[number] for number in range(len(starts))]

    def _pieces(self, workshop: Workshop, orders: list[Order]) -> list[Any]:
        """Which units of its orders come back, and for what."""
        random = workshop.random
        pieces = []
        for order in orders:
            count = random.choices((1, 2, len(order.units)), (60, 20, 20))[0]
            kind = random.choices(("refund", "gift-card", "exchange"), (76, 10, 14))[0]
            for unit in order.units[: max(1, min(count, len(order.units)))]:
                more: dict[str, Any] = {"refund_type": kind}
                if kind == "exchange":
                    more["exchange_sku"] = random.choice(unit.size.siblings)
                told = random.random()
                if told < 0.08:
                    more["sku"] = ""
                elif told < 0.5:
                    more["line_item_id"] = ""
                pieces.append(workshop.piece(unit, **more))
        return pieces

    # ---------------------------------------------------------------- living

    def advance(self, hours: int) -> None:
        """Let hours pass, one after another: what happens in each is exported when it ends."""
        lived = lived_until(self._records)
        random = self._chance(lived)
        for number in range(1, hours + 1):
            self._live(lived + number * _HOUR, random)

    def live_until(self, moment: datetime) -> None:
        """Let the time until a moment pass: what happens in it is exported at once when it ends."""
        self._live(moment, self._chance(moment))

    def _chance(self, moment: datetime) -> Random:
        return Random(f"{self._records.fact('seed')} {moment.isoformat()}")

    def live(self, seconds: float) -> None:
        """Let seconds pass; what happens in them is exported when their hour is over."""
        moment = lived_until(self._records)
        until = moment + timedelta(seconds=seconds)
        while (hour := moment.replace(minute=0, second=0, microsecond=0) + _HOUR) <= until:
            self._live(hour, self._chance(hour))
            moment = hour
        if moment < until or not seconds:
            self._live(until, self._chance(until), exports_rows=False)

    def correct(self, name: str, changes: dict[str, Any]) -> list[str]:
        """Change fields of the rows of a return, a unit or a refund, now; answers the rows. The next export has them.

        Raises:
            ValueError: there is no such row, or none of its rows has such a field.
        """
        found = self._records.rows(
            "select kind, key from rows where json_extract(state, '$.return_id') = :name"
            " or json_extract(state, '$.item_id') = :name or json_extract(state, '$.refund_id') = :name"
            " order by kind, key",
            {"name": name},
        )
        if not found:
            raise ValueError(f"{name}: Happy Returns has no return, unit or refund of that name")
        known = {kind: set(columns) - _KEYS for kind, columns in exports.COLUMNS.items()}
        fields = set().union(*(known[row["kind"]] for row in found))
        if unknown := sorted(set(changes) - fields):
            raise ValueError(f"{name} has no {', '.join(unknown)}: {', '.join(sorted(fields))}")
        changed = []
        self._records.begin()
        for row in found:
            if mine := {field: value for field, value in changes.items() if field in known[row["kind"]]}:
                self._records.change(row["kind"], row["key"], mine, self.clock.now())
                changed.append(f"{row['kind']} {row['key']}")
        self._records.commit()
        return changed

    def _live(self, until: datetime, random: Random, *, exports_rows: bool = True) -> None:
        """Everything up to a moment happens; the clock moves; the changed rows are exported."""
        notices = Notices.wanted(self._records)
        self._records.begin()
        moved_from = lived_until(self._records)
        files: list[tuple[str, bytes, datetime]] = []
        for at, what, arguments in self._records.take_due(until):
            if notices:
                notices.pass_until(at)
            if what == "row":
                before, after = self._records.change(arguments["kind"], arguments["key"], arguments["changes"], at)
                if notices:
                    notices.noticed(arguments["kind"], before, after, at)
            elif what == "file":
                files.append((arguments["name"], arguments["text"].encode(), at))
            elif what in people.ACTIONS:
                people.act(self.store, what, arguments, at)
            else:
                self._person(what, arguments, at)
        if notices:
            notices.pass_until(until)
        for kind in exports.COLUMNS if exports_rows else ():
            changed = self._records.changed(kind)
            if changed:
                rows = [{**state, "updated_at": exports.shown(at, random.choice((0, 2, -4)))} for state, at in changed]
                ending, data = exports.content(kind, rows)
                files.append((f"{kind}-{_stamp(until)}.{ending}", data, until))
        if exports_rows and not files and (until - moved_from >= timedelta(days=1) or until.hour == 0):
            # Nothing happened: the day's export is a header.
            ending, data = exports.content("returns", [])
            files.append((f"returns-{_stamp(until)}.{ending}", data, until))
        if exports_rows:
            files += self._repeated(files, until, random)
        for name, data, at in files:
            exports.write(self.home / "exports", name, data, at)
        if self._records.fact("ships_replacements"):
            warehouse.ship_replacements(self.store, until)
        self._settle(until)
        self._records.keep("lived_until", until.isoformat())
        self._records.commit()
        self.clock.advance_to(until)

    def _settle(self, until: datetime) -> None:
        """The payment providers write a file for each batch that is complete."""
        since = datetime.fromisoformat(self._records.fact("settled_until") or until.isoformat())
        due = list(settlements.batches(since, until))
        if not due:
            return
        self.store.let_providers_answer(until)
        payments = self.store.rows(
            "select payments.*, orders.currency from payments join orders on orders.number = payments.order_number"
            " order by payments.id"
        )
        quirks = json.loads(self._records.fact("payout_quirks") or "[]")
        lines = settlements.movements(payments, quirks)
        method = {entry["order_number"]: entry["payment_method"] for entry in payments}
        for number, begin, end in due:
            booked = [line for line in lines if begin <= line.at < end]
            wallet = [line for line in booked if method[line.order_number] == "wallet"]
            card = [line for line in booked if method[line.order_number] != "wallet"]
            at = settlements.delivered_at(end)
            if card:
                off = next(
                    (Decimal(q["amount"]) for q in quirks if q["kind"] == "broken" and q["batch"] == number), Decimal(0)
                )
                name = f"settlement_detail_report_batch_{number}.csv"
                exports.write(self.home / "payouts", name, settlements.card_file(number, card, end, off=off), at)
            if wallet:
                name = f"STL-{end:%Y%m%d}.CSV"
                exports.write(self.home / "payouts", name, settlements.wallet_file(wallet, begin, end), at)
        self._records.keep("settled_until", until.isoformat())

    def _repeated(
        self, files: list[tuple[str, bytes, datetime]], until: datetime, random: Random
    ) -> list[tuple[str, bytes, datetime]]:
        """Now and then a file comes twice under another name, or one of the days before comes again, late."""
        more = []
        items = [file for file in files if file[0].startswith("items-") and "manual" not in file[0]]
        if items and random.random() < 0.08:
            name, data, at = items[0]
            more.append((name.replace("items-", "items-copy-"), data, at))
            header, *lines = data.decode().splitlines()
            late = "\n".join([header, *lines[: max(1, len(lines) // 2)]]) + "\n"
            later = until + timedelta(days=1)
            self._records.plan(
                [Happening(later, "file", {"name": name.replace("items-", "items-late-"), "text": late})]
            )
        return more

    def _person(self, what: str, arguments: dict[str, Any], at: datetime) -> None:
        """Somebody acts in Centra's admin; if Centra refuses (somebody was faster), nothing comes of it."""
        lines = {int(line): quantity for line, quantity in arguments["lines"].items()}
        actions: dict[str, Callable[[int], Any]] = {
            "person_credits": lambda made: self.store.person_refund_return(made, at=at),
            "person_returns": lambda made: self.store.person_complete_return(made, at=at),
        }
        try:
            made = self.store.person_create_return(
                arguments["shipment_id"], lines, at=at, comment=arguments["comment"], stock="none",
                shipping=Decimal(arguments.get("shipping", "0")),
            )  # fmt: skip
            actions[what](made)
        except CentraRefusal:
            return


def lived_until(records: Records) -> datetime:
    """How far a shop's life has come.

    Raises:
        ValueError: there is no shop.
    """
    found = records.fact("lived_until")
    if found is None:
        raise ValueError("there is no shop in this home")
    return datetime.fromisoformat(found)


def _stamp(instant: datetime) -> str:
    """A moment in the name of a file; with seconds where it is not a whole minute."""
    return instant.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ" if instant.second else "%Y%m%dT%H%MZ")
