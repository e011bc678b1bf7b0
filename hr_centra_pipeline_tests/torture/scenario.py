"""What is planted: orders, returns and what has to be true of each in the end, written down when it is planted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any, Literal

from hr_centra_pipeline.sandbox.centra.store import CentraSettings
from hr_centra_pipeline.warehouse import backups
from hr_centra_pipeline_tests.harness import MAIN, POLICY, Harness, Sold, Unit, harness
from hr_centra_pipeline_tests.torture.event_feed import EventFeed, Gate
from hr_centra_pipeline_tests.torture.gates import ServedGate, ServedInbox, StoreGate

ARTICLES = [f"ART-{number:02d}" for number in range(24)]
REPLACEMENTS = [f"NEW-{number:02d}" for number in range(24)]
_OVER_ALL_HOLDS = timedelta(
    hours=97
)  # longer than each restock hold, and than the windows of whatever has to be reported


@dataclass
class Planted:
    """One unit. ``way``: refund, gift-card or exchange; ``refused``: it was refused at some moment, before or after;
    ``is_paid_instead``: its replacement was canceled, and a person gives the money; ``is_paid_elsewhere``: Happy Returns does;
    ``corrected``: what Happy Returns changed of its identity (SKU, order, return), after which it fits nothing that was sold.
    """

    unit: Unit
    way: str
    grade: str | None = None
    refused: bool = False
    shipping: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)
    replacement: str | None = None
    is_paid_instead: bool = False
    is_paid_elsewhere: bool = False
    corrected: str = ""
    order_of_now: int = 0

    @property
    def is_uncertain(self) -> bool:
        """Whether money and goods may be given for it or not: that depends on what came first."""
        return self.refused or bool(self.corrected)

    @property
    def due(self) -> Decimal:
        """Money that has to be given back for it, all in all."""
        if self.way == "exchange":
            return self.unit.price if self.is_paid_instead else Decimal(0)
        if self.is_paid_elsewhere:
            return Decimal(0)
        return self.unit.price + self.shipping - self.fee


@dataclass
class Scenario:
    """A harness whose pipeline runs in processes of its own."""

    harness: Harness
    seed: int
    random: Random
    broken: str | None
    zygote: subprocess.Popen[str]
    feed: EventFeed | None = None  # none: export files
    units: list[Planted] = field(default_factory=list)
    given_by_hand: dict[int, Decimal] = field(default_factory=dict)  # order -> all given on it, right after such an act
    raced: set[int] = field(default_factory=set)  # orders on which somebody was to act around one of our requests
    charged_back: dict[int, Decimal] = field(default_factory=dict)  # order -> what the shopper's bank took
    bounced: set[int] = field(default_factory=set)  # orders of which a refund came back to the provider
    elsewhere: set[int] = field(default_factory=set)  # orders whose money was to be paid outside Centra for a while
    sellable_in: set[int] = field(
        default_factory=lambda: {MAIN}
    )  # where sellable units went, by the policies of all times
    unasked: list[str] = field(default_factory=list)  # money that was given while nothing was to be given
    backups: list[Path] = field(default_factory=list)
    words: list[str] = field(default_factory=list)  # of grades that only a later profile reads
    kills: int = 0
    runs: int = 0
    refused: int = 0
    crashed: int = 0
    _articles: int = 0

    # ---------------------------------------------------------------- planting

    def plant(self, count: int) -> list[Planted]:
        """Orders of which units come back."""
        found: list[Planted] = []
        for _ in range(count):
            found += self._plant_one()
        self.units += found
        self.harness.export()
        return found

    def _plant_one(self) -> list[Planted]:
        random = self.random
        self._articles += 1
        sku = ARTICLES[self._articles % len(ARTICLES)]
        way = random.choices(("refund", "gift-card", "exchange"), (6, 2, 3))[0]
        quantity, back = random.choice(((1, 1), (2, 1), (2, 2), (3, 2)))
        shipping = Decimal("4.90") if way == "refund" and random.random() < 0.3 else Decimal(0)
        fee = Decimal("3.00") if way == "refund" and random.random() < 0.3 else Decimal(0)
        sold = self.harness.sell((sku, quantity, random.choice(("49.90", "100.00", "19.99"))), shipping="4.90")
        found: list[Planted] = []
        for number in range(back):
            replacement = REPLACEMENTS[self._articles % len(REPLACEMENTS)] if way == "exchange" else None
            grade = random.choice(("sellable", "damaged", None))
            unit = self.harness.comes_back(
                sold, refund_type=way, grade=grade, exchange_sku=replacement, shipping=str(shipping), fee=str(fee),
                with_unit=found[0].unit if found else None,
            )  # fmt: skip
            first = number == 0
            found.append(
                Planted(
                    unit, way, grade, shipping=shipping if first else Decimal(0), fee=fee if first else Decimal(0),
                    replacement=replacement,
                )
            )  # fmt: skip
        return found

    def regrade(self, planted: Planted) -> None:
        """The warehouse looks again."""
        planted.grade = "damaged" if planted.grade == "sellable" else "sellable"
        self.harness.change(planted.unit, disposition=planted.grade)

    def read_words(self) -> None:
        """The profiles of files and of events read every word of a grade that was reported so far."""
        words = "".join(f'"{word}" = "sellable"\n' for word in self.words)
        for shipped, name in (("header_profiles", "profiles"), ("event_profiles", "event_profiles")):
            text = resources.files(f"hr_centra_pipeline.sources.happy_returns.{shipped}").joinpath("default.toml")
            folder = self.harness.home / name
            folder.mkdir(exist_ok=True)
            file = folder / ("shop.toml" if name == "profiles" else "default.toml")
            file.write_text(f"{text.read_text('utf-8')}\n[words.disposition]\n{words}", encoding="utf-8")

    def refuse(self, planted: Planted) -> None:
        """It was another article, or nothing was in the bag."""
        planted.refused = True
        planted.grade = self.random.choice(("wrong-item", "missing"))
        self.harness.change(planted.unit, disposition=planted.grade)

    def of(self, sold: Sold) -> list[Planted]:
        """The units of an order."""
        return [planted for planted in self.units if planted.unit.sold.number == sold.number]

    def with_policy(self, **changes: Any) -> None:
        """Another setting from now on; the others stay."""
        policy = self.harness.policy
        self.harness.policy = type(policy).model_validate({**policy.model_dump(exclude_unset=True), **changes})

    # ---------------------------------------------------------------- the database

    def back_up(self) -> None:
        """As an operator does it each night."""
        self.backups.append(
            backups.take(self.harness.settings.database, self.harness.home / f"backup-{len(self.backups)}.duckdb").path
        )

    def lose_the_database(self) -> None:
        """The file is gone from its place."""
        self.copy_what_is_lost()
        self.harness.forget()

    def copy_what_is_lost(self) -> None:
        """A finding may have to be traced in a database that is put away later in the chaos run."""
        database = self.harness.settings.database
        folder = self.harness.home / "lost" / str(self.runs)
        folder.mkdir(parents=True, exist_ok=True)
        for file in database.parent.glob(database.name + "*"):
            shutil.copy(file, folder)

    def restore(self, *, by_hand: bool) -> bool:
        """Put one of the last backups back, if there is one: with the command's functions, or by copying the file over it."""
        if not self.backups:
            return False
        backup, database = self.random.choice(self.backups[-2:]), self.harness.settings.database
        if by_hand:
            self.lose_the_database()
            shutil.copy(backup, database)
        else:
            self.copy_what_is_lost()
            backups.put_into_place(
                database,
                backups.examine(database, backup),
                by="Olga Operator",
                recorded_by="olga",
                why="the disk was full",
            )
        return True

    # ---------------------------------------------------------------- processes

    def run(self, what: str, *, kill_at: int | None = None, kill_after: float | None = None) -> int:
        """Run a process of the pipeline; answers how it ended (minus a signal's number when it was killed)."""
        self.harness.export()
        # Most syncs of a shop with deliveries pull only what these name.
        follows_events = self.feed is not None and what != "stages" and self.feed.random.random() < 0.6
        policy = json.loads(self.harness.policy.model_dump_json())
        command = {
            "what": what, "kill_at": kill_at, "kill_after": kill_after, "broken": self.broken, "home": str(self.harness.home),
            "clock": str(self.harness.clock.path), "note": dict(self.harness.note), "policy": policy, "mode": self.harness.mode,
            "follows_events": follows_events,
        }  # fmt: skip
        assert self.zygote.stdin
        assert self.zygote.stdout
        self.zygote.stdin.write(json.dumps(command) + "\n")
        self.zygote.stdin.flush()
        told = json.loads(self.zygote.stdout.readline())
        status = int(told["status"])
        self.runs += 1
        self.kills += status == -9
        self.refused += status == 3
        self.crashed += status == 1
        return status

    def calm(self) -> None:
        """No faults, nobody acts, holds and windows pass: whatever can be settled settles, the rest is reported."""
        self.harness.calm_down()
        self.harness.clock.advance_to(self.harness.clock.now() + _OVER_ALL_HOLDS)
        if self.feed is not None:
            self.feed.settle()
        for _ in range(8):
            before = len(self.harness.mutations())
            if self.run("stages") == 0 and len(self.harness.mutations()) == before and not self._in_doubt():
                return

    def keep(self, folder: Path, told: str) -> None:
        """Put down what a person needs to understand a verdict: the database, the sandbox's records, every request."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "verdict.txt").write_text(told + "\n", encoding="utf-8")
        self.harness.warehouse.fold_log_in()
        shutil.copy(self.harness.settings.database, folder)
        shutil.copy(self.harness.home.parent / "worker.log", folder)
        if self.feed is not None:
            shutil.copy(self.harness.note["inbox"], folder)
        if (lost := self.harness.home / "lost").exists():
            shutil.copytree(lost, folder / "lost", dirs_exist_ok=True)
        (folder / "records.json").write_text(json.dumps(self.harness.records, default=str, indent=1), encoding="utf-8")
        (folder / "log.json").write_text(json.dumps(self.harness.log(), default=str, indent=1), encoding="utf-8")

    def _in_doubt(self) -> bool:
        found = self.harness.rows(
            "select 1 from push.packets where state in ('sending', 'unknown') and trouble is null limit 1"
        )
        return bool(found)


FeedKind = Literal["files", "events"]


@contextmanager
def scenario(
    folder: Path, seed: int, *, broken: str | None = None, policy: dict[str, Any] | None = None, feed: FeedKind = "files",
    serves_inbox: bool = True, **settings: Any,
) -> Iterator[Scenario]:  # fmt: skip
    """A prepared scenario; its processes are forked from one that has everything imported.

    ``feed``: what brings Happy Returns' states to the pipeline. ``serves_inbox``: over HTTP, by the real receiver.
    """
    # A shipment is made with each order, and the policy asks for it to be released.
    settings.setdefault("centra", CentraSettings(creates_shipments=True))
    with harness(folder, **settings) as opened:
        for sku in (*ARTICLES, *REPLACEMENTS):
            opened.article(sku, stock=5000)
        opened.with_policy(**{"settling_minutes": 0.02, "exchange": {"release": "paid"}, **(policy or {})})
        assert POLICY["settling_minutes"] == 0
        log = (folder / "worker.log").open("w", encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "hr_centra_pipeline_tests.torture.worker"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        found = _event_feed(opened, seed, serves_inbox=serves_inbox) if feed == "events" else None
        opened.feed = found
        try:
            yield Scenario(opened, seed, Random(seed), broken, process, found)
        finally:
            if found is not None:
                found.gate.close()
            assert process.stdin
            process.stdin.close()
            process.wait(timeout=30)
            log.close()


def _event_feed(opened: Harness, seed: int, *, serves_inbox: bool) -> EventFeed:
    """Deliveries into an inbox beside the database; chance of its own, so that the same is planted whatever the feed."""
    secret, random, answers = f"secret of {seed}", Random(f"feed {seed}"), opened.home / "answers"
    answers.mkdir()
    opened.note = {
        **opened.note, "inbox": str(opened.home / "inbox.sqlite"), "webhook_secret": secret, "answers": str(answers),
    }  # fmt: skip
    gate: Gate = StoreGate(opened.note["inbox"], secret, opened.clock)
    if serves_inbox:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("HR_CENTRA_", "DAGSTER_"))}
        own |= {
            "HR_CENTRA_HOME": str(opened.home), "HR_CENTRA_NOW": f"@{opened.clock.path}", **opened.event_environment(),
        }  # fmt: skip
        gate = ServedGate(ServedInbox(own), random)
    return EventFeed(opened, gate, secret, random, answers)
