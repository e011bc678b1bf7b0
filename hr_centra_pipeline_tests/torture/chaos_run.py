"""The chaos run: kills at random boundaries, every fault, people and corrections in between; then calm, and the verdict."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from hr_centra_pipeline.core.kinds import EFFECT_TYPE_OF
from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline_tests.torture.feed_verdict import judge_feed
from hr_centra_pipeline_tests.torture.histories import happen
from hr_centra_pipeline_tests.torture.scenario import Planted, Scenario, scenario
from hr_centra_pipeline_tests.torture.verdict import Verdict, judge

FAULTS = (
    "delay", "rate_limited", "error_before", "error_after", "dropped_after", "dropped_before", "truncated", "wrong_content_type",
    "error_half_way", "dropped_half_way",
)  # fmt: skip
# How often each is aimed at: those that happen often more often, or most faults would never meet their call.
TARGETS = {
    "CreateReturn": 6, "RefundReturn": 6, "IssueCredit": 2, "CompleteReturn": 3, "DeleteReturn": 1, "ChangeStock": 3,
    "POST /order": 3, "CancelOrder": 1, "UpdateShipment": 2, "UncompleteReturn": 1, "LookAtReplacementOrder": 1,
    "UpdateDirectToConsumerOrder": 3,
    "LookAtOrder": 3, "LookAtReturns": 1, "LookAtStockChanges": 1, "LookAtReplacements": 1, "ReadInternalComment": 1, "": 2,
}  # fmt: skip
_DELAY = 0.4  # seconds: well below the settling time, so that what is absent then does not come any more


@dataclass
class Figures:
    """What a chaos run did and what came of it."""

    seed: int
    kills: int = 0
    faults: int = 0
    acts: int = 0
    runs: int = 0
    syncs: int = 0
    lost_ledgers: int = 0
    seconds: float = 0.0
    verdict: Verdict = field(default_factory=Verdict)
    by_fault: Counter[str] = field(default_factory=Counter)
    by_act: Counter[str] = field(default_factory=Counter)
    by_event: Counter[str] = field(default_factory=Counter)
    deliveries: int = 0
    receiver_kills: int = 0
    by_fate: Counter[str] = field(default_factory=Counter)

    def told(self) -> str:
        """As ``make torture`` prints it."""
        found = self.verdict
        return "\n".join(
            [
                f"kills {self.kills:,}, faults {self.faults:,}, acts of people {self.acts:,}, lost ledgers {self.lost_ledgers}",
                f"events of a year {self.by_event.total():,}",
                f"deliveries {self.deliveries:,}, kills of the receiver {self.receiver_kills:,}",
                f"runs {self.runs:,}, whole syncs by Dagster {self.syncs}, effects {found.effects:,},"
                f" {self.seconds / 60:.1f} minutes",
                f"doubles {len(found.doubles)}, losses {len(found.losses)}, stuck {len(found.stuck)}, silent {len(found.silent)}",
                f"raced (nobody can prevent it; each is told as an exception) {len(found.raced)}",
                f"seed {self.seed}",
            ]
        )

    def add(self, other: Figures) -> None:
        """Put those of another round to them."""
        for name in (
            "kills",
            "faults",
            "acts",
            "runs",
            "syncs",
            "lost_ledgers",
            "seconds",
            "deliveries",
            "receiver_kills",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.verdict.add(other.verdict)
        self.by_fault += other.by_fault
        self.by_act += other.by_act
        self.by_event += other.by_event
        self.by_fate += other.by_fate


@dataclass
class Mix:
    """What a chaos run is made of. Probabilities per step of a wave."""

    returns: int = 12
    steps: int = 24
    kills: float = 0.9
    faults: float = 0.7  # above 1: that many
    acts: float = 0.4  # the same
    by_hand: int = 1  # how much oftener than any other act somebody returns and refunds a line by hand
    corrections: float = 0.1
    events: float = 0.0  # of a year: see histories.py
    paid_elsewhere: float = 0.0  # Happy Returns gives the money itself, while our payment may be half done
    syncs: float = 0.0
    lost_ledgers: float = 0.0


def chaos_run(
    folder: Path, seed: int, waves: int, mix: Mix, *, broken: str | None = None, until_caught: bool = False,
    keep: Path | None = None, **settings: Any,
) -> Figures:  # fmt: skip
    """Waves of returns through the chaos run, each judged after it; a new scenario every few waves keeps them small.

    ``keep``: where to keep a scenario in which something was found.
    """
    figures, started = Figures(seed), time.monotonic()
    per_scenario = 5
    for number in range(0, waves, per_scenario):
        with scenario(folder / f"scenario-{number}", seed * 1000 + number, broken=broken, **settings) as opened:
            for wave in range(min(per_scenario, waves - number)):
                _wave(opened, mix, figures)
                found = judge(opened, opened.units)
                judge_feed(opened, found)
                opened_effects = found.effects
                figures.verdict.doubles = _fresh(figures.verdict.doubles, found.doubles)
                figures.verdict.losses = _fresh(figures.verdict.losses, found.losses)
                figures.verdict.stuck = _fresh(figures.verdict.stuck, found.stuck)
                figures.verdict.silent = _fresh(figures.verdict.silent, found.silent)
                figures.verdict.raced = _fresh(figures.verdict.raced, found.raced)
                if not found.is_clean and keep is not None:
                    opened.keep(keep / f"{opened.seed}-{wave}", found.told())
                if until_caught and not found.is_clean:
                    break
            figures.verdict.effects += opened_effects
            figures.kills += opened.kills
            figures.runs += opened.runs
            if opened.feed is not None:
                figures.deliveries += len(opened.feed.accepted)
                figures.receiver_kills += opened.feed.gate.kills
                figures.by_fate += opened.feed.fates
            for entry in opened.harness.log():
                figures.by_fault[entry.get("fault") or ""] += 1
                figures.by_act[entry.get("person") or ""] += 1
        if until_caught and not figures.verdict.is_clean:
            break
    del figures.by_fault[""], figures.by_act[""], figures.by_event[""]
    figures.faults, figures.acts = figures.by_fault.total(), figures.by_act.total()
    figures.seconds = time.monotonic() - started
    return figures


def _fresh(known: list[str], found: list[str]) -> list[str]:
    return [*known, *(one for one in found if one not in known)]


def _wave(opened: Scenario, mix: Mix, figures: Figures) -> None:
    random, harness = opened.random, opened.harness
    # Short budgets, so that whoever is not killed does not send all of it at once.
    harness.policy = harness.policy.model_copy(
        update={
            "centra": harness.policy.centra.model_copy(update={"calls_per_request": random.choice((1, 1, 2, 5))}),
            "push_budget_minutes": 0.004,
        }
    )
    fresh = opened.plant(mix.returns)
    _killed_run(opened, mix, "plan")
    opened.run("plan")
    for _ in range(mix.steps):
        for _ in range(int(random.random() + mix.faults)):
            _fault(opened)
        for _ in range(int(random.random() + mix.acts)):
            _act(opened, fresh, mix.by_hand)
        if random.random() < mix.corrections:
            _correct(opened, fresh)
            fresh += opened.plant(1)
            _killed_run(opened, mix, "plan")
        if random.random() < mix.paid_elsewhere:
            _pay_elsewhere(opened, fresh)
        if random.random() < mix.lost_ledgers:
            opened.lose_the_database()
            figures.lost_ledgers += 1
            opened.run("plan")
        if random.random() < mix.events:
            figures.by_event[happen(opened, fresh, lambda what: _killed_run(opened, mix, what))] += 1
        if random.random() < mix.syncs:
            figures.syncs += 1
            opened.kills += _real_sync(opened, kill_after=random.uniform(1.0, 14.0))
        if random.random() < 0.1:
            harness.clock.advance_to(harness.clock.now() + timedelta(hours=1))
        _killed_run(opened, mix, "push")
    harness.policy = harness.policy.model_copy(update={"push_budget_minutes": 40.0})
    opened.calm()
    _decide(opened)
    _decide_about_canceled(opened)


_BOUNDARIES = {"plan": 200, "push": 40}
_SECONDS = {"plan": 1.5, "push": 0.6}


def _killed_run(opened: Scenario, mix: Mix, what: str) -> None:
    """One process, which is killed as a rule: at a boundary, or at any moment."""
    random = opened.random
    if random.random() >= mix.kills:
        opened.run(what)
    elif random.random() < 0.8:
        opened.run(what, kill_at=random.randint(1, _BOUNDARIES[what]))
    else:
        opened.run(what, kill_after=random.uniform(0.0, _SECONDS[what]))


def _fault(opened: Scenario) -> None:
    random = opened.random
    kind = random.choice(FAULTS)
    target = _target(opened)
    more: dict[str, Any] = {"after": random.choice((0, 0, 0, 1, 2))}
    if kind == "delay":
        more["seconds"] = _DELAY
    if kind in ("error_before", "error_after", "error_half_way"):
        more["status"] = random.choice((499, 500, 502, 503, 504))
    opened.harness.fault(kind, target, **more)


def _target(opened: Scenario) -> str:
    (target,) = opened.random.choices(list(TARGETS), list(TARGETS.values()))
    return target


_ACTS = (
    "return_and_refund", "refund_return", "complete_return", "delete_return", "edit_return_comment", "note", "cancel_order",
)  # fmt: skip


def _act(opened: Scenario, fresh: list[Planted], by_hand: int) -> None:
    """Somebody acts in Centra: on a line that comes back, on a Return of ours, on a replacement; now, or around a request."""
    random, harness = opened.random, opened.harness
    sold = random.choice(fresh).unit.sold
    made = [row for row in harness.records["returns"] if row["created_from"] == "API"]
    (name,) = random.choices(_ACTS, [by_hand, *[1] * (len(_ACTS) - 1)])
    given: dict[str, Any] = {}
    if name == "return_and_refund":
        if any(planted.way == "exchange" for planted in opened.of(sold)):
            return
        given = {"shipment_id": sold.shipment, "lines": {str(sold.lines[0]): 1}}
    elif name in ("refund_return", "complete_return", "delete_return", "edit_return_comment"):
        pending = [row for row in made if row["status"] == "PENDING"]
        exchanged = {row["origin"][1] for row in harness.orders_of_ours()}
        pending = [row for row in pending if row["id"] not in exchanged]
        if not pending:
            return
        row = random.choice(pending)
        if name == "refund_return" and any(
            p.way == "exchange" for p in opened.units if p.unit.sold.number == row["order_number"]
        ):
            return
        given = {"return_id": row["id"]}
    elif name == "note":
        given = {"order_number": sold.number, "text": f"Called {random.randrange(100)}"}
    else:
        live = [row for row in harness.orders_of_ours() if row["status"] != "DELETED"]
        if not live:
            return
        given = {"order_number": random.choice(live)["number"]}
    order = next((row["order_number"] for row in made if row["id"] == given.get("return_id")), sold.number)
    if random.random() < 0.5:
        harness.act(name, **given)
        opened.given_by_hand[order] = harness.given(order)
    else:
        opened.raced.add(order)
        when = random.choice(("person_before", "person_after"))
        harness.fault(when, _target(opened), act=name, given=given, after=random.choice((0, 1)))


def _correct(opened: Scenario, fresh: list[Planted]) -> None:
    """Happy Returns changes its mind about a unit."""
    planted = opened.random.choice(fresh)
    if planted.refused or planted.corrected:
        return
    if planted.grade in ("sellable", "damaged") and opened.random.random() < 0.8:
        opened.regrade(planted)
    elif opened.random.random() < 0.4:
        opened.refuse(planted)


def _pay_elsewhere(opened: Scenario, fresh: list[Planted]) -> None:
    """Happy Returns issues a gift card for a return that nothing was given for. Once a plan knows it, nothing is due from us."""
    harness = opened.harness
    unpaid = [
        planted
        for planted in fresh
        if planted.way != "exchange" and not planted.refused and not harness.given(planted.unit.sold.number)
    ]
    if not unpaid:
        return
    sold = opened.random.choice(unpaid).unit.sold
    harness.change_refund(opened.of(sold)[0].unit, gift_card_id=f"GC-{sold.number}")
    for planted in opened.of(sold):
        planted.is_paid_elsewhere = True
    opened.run("plan")
    time.sleep(2 * _DELAY)  # what was called for before is there by now
    opened.given_by_hand[sold.number] = harness.given(sold.number)


def _decide(opened: Scenario) -> None:
    """What waits for a person gets one: who deleted or canceled ours by mistake adopts the return."""
    harness = opened.harness
    _let_through(opened)
    for _ in range(3):
        doubtful = harness.rows(
            """
            select distinct ledger.return_id, packets.trouble, packets.packet_key, packets.centra_id
            from push.packets join push.ledger using (packet_key)
            where packets.state = 'unknown' and packets.trouble is not null order by 1
            """
        )
        if not doubtful:
            return
        for return_id, trouble, key, centra_id in doubtful:
            signature = Signature("Nora Night", "a slip of the hand", harness.clock.now())
            with harness.warehouse.transaction() as connection:
                if trouble in ("gone", "canceled"):
                    _quietly(lambda: approvals.adopt(connection, signature, return_id))  # noqa: B023
                elif trouble in ("unpaid", "refused"):
                    _quietly(lambda: approvals.approve(connection, signature, keys=[key]))  # noqa: B023
            if trouble == "not_ours" and centra_id:
                harness.act("delete_return", return_id=int(centra_id))
        opened.calm()


def _let_through(opened: Scenario) -> None:
    """What a changed setting makes due about the past is asked for; somebody says yes to all of it, however much it is."""
    harness = opened.harness
    for _ in range(4):
        signature = Signature("Nora Night", "seen", harness.clock.now())
        with harness.warehouse.transaction() as connection:
            keys = [effect.effect_key for effect in approvals.waiting(connection, harness.clock.now())]
            approved = bool(keys) and _quietly(lambda: approvals.approve(connection, signature, keys=keys))  # noqa: B023
        stopped = {
            str(kind)
            for (kind,) in harness.rows(
                "select distinct effect_kind from push.ledger where reason like 'guard: surge%'"
            )
        }
        for kind in stopped:
            with harness.warehouse.transaction() as connection:
                _quietly(lambda: approvals.raise_guards(connection, signature, EFFECT_TYPE_OF[kind], hours=168))  # noqa: B023
        if not approved and not stopped:
            return
        opened.calm()


def _decide_about_canceled(opened: Scenario) -> None:
    """Customer service has each canceled replacement ordered again, or gives the money; and says it twice."""
    harness = opened.harness
    for _ in range(3):
        rows = harness.rows(
            "select return_item_id from reconciliation.exceptions where kind = 'exchange_canceled' order by 1"
        )
        if not rows:
            return
        for (unit,) in rows:
            decide = opened.random.choice((approvals.order_again, approvals.pay_instead))
            signature = Signature("Carla Customer", "asked the shopper", harness.clock.now())
            for _ in range(2):
                with harness.warehouse.transaction() as connection:
                    done = _quietly(lambda: decide(connection, signature, unit))  # noqa: B023
                paid = {one.return_item_id for one in done} if isinstance(done, list) else set()
                for planted in opened.units:
                    planted.is_paid_instead |= planted.unit.item in paid
        opened.calm()


def _quietly(decide: Callable[[], Any]) -> Any:
    from hr_centra_pipeline.core.errors import ConfigurationError

    try:
        return decide()
    except ConfigurationError:
        return None


def _real_sync(opened: Scenario, *, kill_after: float) -> bool:
    """The whole hourly job through Dagster, or the one that follows events, as an operator starts it, killed after some seconds;
    answers whether it was.
    """
    harness = opened.harness
    harness.export()
    policy = harness.home / "policy.toml"
    policy.write_text(_toml(harness.policy), encoding="utf-8")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HR_CENTRA_", "DAGSTER_"))},
        "HR_CENTRA_HOME": str(harness.home), "HR_CENTRA_MODE": "live", "HR_CENTRA_NOW": f"@{harness.clock.path}",
        "HR_CENTRA_POLICY": str(policy), "HAPPY_RETURNS_EXPORTS": str(harness.note["exports"]),
        "CENTRA_GRAPHQL_URL": str(harness.note["graphql_url"]), "CENTRA_TOKEN": str(harness.note["token"]),
        "CENTRA_ORDER_API_URL": str(harness.note["order_api_url"]), "CENTRA_ORDER_API_KEY": str(harness.note["order_api_key"]),
        **harness.event_environment(),
    }  # fmt: skip
    command = [sys.executable, "-m", "hr_centra_pipeline.cli.main", "sync"]
    if opened.feed is not None and opened.random.random() < 0.5:
        command.append("--events")
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def _toml(policy: Any) -> str:
    """The policy as a file."""
    lines = [
        f"cutover = {policy.cutover.isoformat()}", f"settling_minutes = {policy.settling_minutes}",
        f'changed_by = "{policy.changed_by}"',
        "[pays_through]", *(f'{name} = "{way}"' for name, way in policy.pays_through.items()),
    ]  # fmt: skip
    for word, grade in policy.dispositions.items():
        lines.append(f"[dispositions.{word}]")
        if grade.warehouse_id is None:
            lines.append('stock = "none"')
        else:
            lines += [f"warehouse_id = {grade.warehouse_id}", f"hold_hours = {grade.hold_hours or 0}"]
    lines += ["[exchange]", f'release = "{policy.exchange.release}"']
    reserved = policy.exchange_orders
    lines += ["[exchange_orders]", f"first_number = {reserved.first_number}", f"last_number = {reserved.last_number}"]
    return "\n".join(lines) + "\n"
