"""What the push makes of Centra's quota: how much of it is used, and how many mutations a return costs, next to a simple sender.

The sandbox's quota clock runs fast, so that hours pass in minutes; the push paces itself by what Centra reports its buckets
and knows nothing of it. The hour's mutations are used up when the measurement begins (as an hour of a backlog leaves them):
what is measured is the long run, not the first full bucket.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from hr_centra_pipeline.sandbox.centra.quota import PLANS
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.rate_limiter import LEFT_TO_OTHERS
from hr_centra_pipeline_tests.bench.measured import Measured
from hr_centra_pipeline_tests.harness import MAIN, QUARANTINE, Harness, Unit, harness
from hr_centra_pipeline_tests.torture.scenario import ARTICLES, Scenario, scenario

EFFECTS = int(os.environ.get("BENCH_PUSH_EFFECTS", "1500"))  # 10,000 take a quarter of an hour
SPEED = float(os.environ.get("BENCH_PUSH_SPEED", "10"))  # how much faster than Centra's the quota clock runs
_EFFECTS_PER_RETURN = 5  # two units on average, each with credit and stock movement, and one note
_SAMPLE = 60  # returns of the simple sender: what it spends is the same for each of a kind
_WAREHOUSES = {"sellable": MAIN, "damaged": QUARANTINE}
_PLAN = "growth"  # of Centra: its quotas
_MILESTONES = ("dropped off", "processed", "refunded")


def plant(at_harness: Harness, returns: int) -> list[list[Unit]]:
    """Returns of one, two or three units of an order; one in ten becomes a gift card, one unit in four is damaged."""
    found: list[list[Unit]] = []
    graded = 0
    for number in range(returns):
        size = 1 + number % 3
        lines = [(ARTICLES[(number + line) % len(ARTICLES)], 1, "49.90") for line in range(size)]
        sold = at_harness.sell(*lines)
        units: list[Unit] = []
        for line in range(size):
            graded += 1
            units.append(
                at_harness.comes_back(
                    sold, line, refund_type="gift-card" if number % 10 == 9 else "refund",
                    grade="damaged" if graded % 4 == 0 else "sellable", with_unit=units[0] if units else None,
                )
            )  # fmt: skip
        found.append(units)
    return found


# ---------------------------------------------------------------- ours


@dataclass(frozen=True)
class Spent:
    """What a sender has spent. ``seconds`` of the push alone, ``gained``: mutations that the quota let pass meanwhile."""

    returns: int
    mutations: int
    requests: int
    limited: int
    seconds: float = 0.0
    gained: float = 0.0


def _ours(folder: Path, returns: int) -> tuple[Spent, Spent]:
    """Send a backlog of so many returns; answers what the backlog's push spent, and all until nothing is left to do."""
    with scenario(folder, 1, plan=_PLAN, speed=SPEED) as opened:
        plant(opened.harness, returns)
        _must(opened, "plan")
        assert opened.harness.sandbox
        (left,) = (
            row["remaining_quota"] for row in opened.harness.sandbox.sandbox.quotas.shown()
            if (row["type"], row["interval_seconds"]) == ("MUTATION_COUNT", "ONE_HOUR")
        )  # fmt: skip
        quota = PLANS[_PLAN]["MUTATION_COUNT"][1]
        opened.harness.sandbox.sandbox.quotas.use("MUTATION_COUNT", "ONE_HOUR", left - round(LEFT_TO_OTHERS * quota))
        _must(opened, "push")
        backlog = _pushed(opened, returns)
        for _ in range(3):
            before = len(opened.harness.mutations())
            _must(opened, "stages")
            if len(opened.harness.mutations()) == before:
                break
        states = opened.harness.rows("select state, count(*) from push.ledger group by all")
        assert {state for state, _ in states if state != "withdrawn"} == {"confirmed"}, states
        return backlog, _pushed(opened, returns)


def _must(opened: Scenario, what: str) -> None:
    status = opened.run(what)
    assert status == 0, f"{what} ended with {status}"


def _pushed(opened: Scenario, returns: int) -> Spent:
    requests, limited, seconds = opened.harness.rows(
        """
        select sum(requests), sum(limited), sum(epoch(real_ended_at - real_started_at)) from push.pushes
        """
    )[0]
    mutations = len([name for name in opened.harness.mutations() if not name.startswith("POST ")])
    gained = float(seconds) * SPEED * PLANS[_PLAN]["MUTATION_COUNT"][1] / 3600
    return Spent(returns, mutations, int(requests), int(limited), float(seconds), gained)


# ---------------------------------------------------------------- the simple sender


def _simple(folder: Path, returns: int) -> Spent:
    """Each unit by itself: its Return, its refund, its stock change, and a note per milestone, as one writes it first."""
    with harness(folder) as at_harness:
        for sku in ARTICLES:
            at_harness.article(sku, stock=5000)
        planted = plant(at_harness, returns)
        client = at_harness.client()
        graded = 0
        for number, units in enumerate(planted):
            is_card = number % 10 == 9
            for unit in units:
                graded += 1
                _send_simply(client, unit, "damaged" if graded % 4 == 0 else "sellable", is_card=is_card)
        paid = sum((at_harness.refunded(units[0].sold) for units in planted), Decimal(0))
        assert paid == sum((unit.price for units in planted for unit in units), Decimal(0))
        return Spent(returns, len(at_harness.mutations()), client.requests, client.limited)


def _send_simply(client: CentraClient, unit: Unit, grade: str, *, is_card: bool) -> None:
    sold = unit.sold
    made = client.execute(
        "CreateReturn",
        {
            "input": {
                "shipment": {"id": sold.shipment},
                "lines": [{"shipmentLine": {"id": sold.lines[unit.line]}, "quantity": 1}],
                "returnStockActionPolicy": {"removeItemsFromStock": True},
                "comment": unit.code,
            }
        },
    )
    return_id = made.data["createReturn"]["return"]["id"]
    if is_card:
        amount = {"value": unit.price, "currencyIsoCode": sold.currency}
        credit = {"order": {"number": sold.number}, "return": {"id": return_id}, "amount": amount, "giftCard": {}}
        client.execute("IssueCredit", {"input": credit})
        client.execute("CompleteReturn", {"id": return_id, "input": {"sendEmail": False}})
    else:
        client.execute("RefundReturn", {"id": return_id, "input": {"sendEmail": False}})
    size = {"productSize": {"SKU": sold.skus[unit.line]}, "deliveredQuantity": 1}
    change = {"description": unit.code, "intoWarehouse": {"id": _WAREHOUSES[grade]}, "productSizes": [size]}
    client.execute("ChangeStock", {"input": change})
    for milestone in _MILESTONES:
        present = client.execute("ReadInternalComment", {"orderNumber": [sold.number]})
        text = f"{present.data['orders'][0]['internalComment'] or ''}\n{unit.item} {milestone}".strip()
        order = {"order": {"number": sold.number}, "input": {"internalComment": text}}
        client.execute("UpdateDirectToConsumerOrder", order)


# ---------------------------------------------------------------- side by side


def measure() -> list[Measured]:
    """Figures of the push next to the quota, and next to the simple sender."""
    returns = EFFECTS // _EFFECTS_PER_RETURN
    with tempfile.TemporaryDirectory() as name:
        backlog, ours = _ours(Path(name) / "ours", returns)
        simple = _simple(Path(name) / "simple", _SAMPLE)
    hours = backlog.mutations / PLANS[_PLAN]["MUTATION_COUNT"][1]
    what = f"push of {EFFECTS:,} effects ({hours:.1f} hours of quota): mutations"
    return [
        Measured(what, backlog.mutations, "that the quota let pass meanwhile", backlog.gained, ">= 0.90", ""),
        Measured("the same: answers 429", ours.limited, "requests", ours.requests, "0", ""),
        Measured(
            "mutations per return, to the end", ours.mutations / ours.returns, "simple sender",
            simple.mutations / simple.returns, "<= 0.33", "",
        ),
        Measured(
            "requests per return, to the end", ours.requests / ours.returns, "simple sender",
            simple.requests / simple.returns, "", "",
        ),
    ]  # fmt: skip
