"""What a year brings, in the middle of sending: settings that turn, backups put back, corrections, the shopper's bank.

Each event writes down what it makes true of the units that it touches (``Planted``, ``World``); the verdict compares
the sandbox's records with that.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from hr_centra_pipeline_tests.harness import OUTLET
from hr_centra_pipeline_tests.torture.scenario import ARTICLES, Planted, Scenario

_A_REQUEST_MAY_TAKE = 0.6  # seconds; afterwards nothing that left before still arrives
CHARGED_BACK = Decimal("20.00")


def happen(scenario: Scenario, fresh: list[Planted], run: Callable[[str], Any]) -> str:
    """One event of a year, chosen at random; ``run``: a process of the pipeline, killed as a rule. Answers its name."""
    name = scenario.random.choice(list(EVENTS))
    return name if EVENTS[name](scenario, fresh, run) else ""


# ---------------------------------------------------------------- settings turn, and turn back


@contextmanager
def _watched(scenario: Scenario, what: str) -> Iterator[None]:
    """Nobody acts meanwhile; what is given all the same, nobody has approved."""
    scenario.harness.calm_down()
    time.sleep(_A_REQUEST_MAY_TAKE)
    before = _given(scenario)
    yield
    time.sleep(_A_REQUEST_MAY_TAKE)
    for order, amount in (_given(scenario) - before).items():
        scenario.unasked.append(f"order {order}: {amount / 100:.2f} given {what}")


def _given(scenario: Scenario) -> Counter[int]:
    """Cents given back in money and store credit, by order."""
    given: Counter[int] = Counter()
    for number, _, kind, status, value in scenario.harness.records["payments"]:
        if kind in ("REFUND", "REFUND_GIFT_CARD") and status == "SUCCESS":
            given[number] += int(Decimal(value) * 100)
    return given


def _some_runs(scenario: Scenario, run: Callable[[str], Any]) -> None:
    run("plan")
    for _ in range(scenario.random.randint(1, 3)):
        run("push")


def _dry_run(scenario: Scenario, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    with _watched(scenario, "in a dry run"):
        scenario.harness.mode = "dry_run"
        _some_runs(scenario, run)
        scenario.harness.mode = "live"
    return True


def _approve(scenario: Scenario, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """For a while a person has to approve each credit."""
    with _watched(scenario, "without an approval"):
        scenario.with_policy(modes={"credit_note": "approve"})
        _some_runs(scenario, run)
        scenario.with_policy(modes={})
    return True


def _limit(scenario: Scenario, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """Finance wants to see everything for an hour."""
    with _watched(scenario, "above the limit for approval"):
        scenario.with_policy(approval_above={"EUR": 1})
        _some_runs(scenario, run)
        scenario.with_policy(approval_above={})
    return True


def _elsewhere(scenario: Scenario, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """Somebody tries out that Happy Returns pays. What is completed meanwhile counts as paid there."""
    pays = dict(scenario.harness.policy.pays_through)
    orders = {planted.unit.sold.number for planted in scenario.units if planted.way != "exchange"}
    with _watched(scenario, "by Centra although Happy Returns pays"):
        scenario.with_policy(pays_through=dict.fromkeys(pays, "elsewhere"))
        scenario.elsewhere |= orders
        _some_runs(scenario, run)
        scenario.with_policy(pays_through=pays)
    return True


def _warehouse(scenario: Scenario, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """What is sellable goes to the outlet from now on, or to the main warehouse again."""
    dispositions = {word: grade.model_dump() for word, grade in scenario.harness.policy.dispositions.items()}
    of_now = dispositions["sellable"]["warehouse_id"]
    dispositions["sellable"]["warehouse_id"] = OUTLET if of_now != OUTLET else 1
    scenario.with_policy(dispositions={word: _given_only(grade) for word, grade in dispositions.items()})
    scenario.sellable_in.add(dispositions["sellable"]["warehouse_id"])
    run("plan")
    return True


def _given_only(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _profile(scenario: Scenario, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """The warehouse begins to use a word that the profile reads only after a while."""
    planted = _one_uncorrected(scenario, fresh)
    if planted is None:
        return False
    scenario.words.append(f"prime {len(scenario.words)}")
    scenario.harness.change(planted.unit, disposition=scenario.words[-1])
    run("plan")
    run("push")
    scenario.read_words()
    planted.grade = "sellable"
    run("plan")
    return True


# ---------------------------------------------------------------- the database


def _back_up(scenario: Scenario, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    scenario.back_up()
    return True


def _restore(scenario: Scenario, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    if not scenario.restore(by_hand=scenario.random.random() < 0.3):
        return False
    # As a rule something fails in the first hour.
    if scenario.random.random() < 0.5:
        scenario.harness.fault("error_before", "", status=500, after=scenario.random.randint(0, 8))
    run("plan")
    run("push")
    return True


# ---------------------------------------------------------------- Happy Returns changes its mind


def _another_sku(scenario: Scenario, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    planted = _one_uncorrected(scenario, fresh)
    if planted is None:
        return False
    sku = scenario.random.choice([sku for sku in ARTICLES if sku not in planted.unit.sold.skus])
    scenario.harness.change(planted.unit, sku=sku)
    planted.corrected = "SKU"
    run("plan")
    return True


def _another_order(scenario: Scenario, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    planted = _one_uncorrected(scenario, fresh)
    if planted is None:
        return False
    other = scenario.random.choice(fresh).unit.sold
    if other.number == planted.unit.sold.number:
        return False
    scenario.harness.change(planted.unit, order_number=other.number)
    planted.corrected = "order"
    planted.order_of_now = other.number
    run("plan")
    return True


def _another_return(scenario: Scenario, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    planted = _one_uncorrected(scenario, fresh)
    if planted is None:
        return False
    scenario.harness.change(planted.unit, return_id=f"{planted.unit.return_id}-B")
    planted.corrected = "return"
    run("plan")
    return True


def _one_uncorrected(scenario: Scenario, fresh: list[Planted]) -> Planted | None:
    candidates = [planted for planted in fresh if not planted.corrected and not planted.refused]
    return scenario.random.choice(candidates) if candidates else None


def _came_to_nothing_first(scenario: Scenario, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """The shopper had started a return of the same piece before, and never sent it."""
    planted = scenario.random.choice(fresh)
    scenario.harness.started_only(planted.unit, status=scenario.random.choice(("expired", "started", "failed")))
    run("plan")
    return True


# ---------------------------------------------------------------- the bank


def _charge_back(scenario: Scenario, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """The shopper's bank takes something back."""
    sold = scenario.random.choice(fresh).unit.sold
    if sold.number in scenario.charged_back:
        return False
    scenario.harness.book("chargeback", sold.number, -CHARGED_BACK)
    scenario.charged_back[sold.number] = CHARGED_BACK
    run("plan")
    return True


def _bounce(scenario: Scenario, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """A refund comes back to the payment provider: the card is closed."""
    orders = {planted.unit.sold.number for planted in fresh} - scenario.bounced
    paid = [
        entry
        for entry in scenario.harness.store.rows(
            "select * from payments where entry_type = 'REFUND' and status = 'SUCCESS'"
        )
        if entry["order_number"] in orders
    ]
    if not paid:
        return False
    entry = scenario.random.choice(paid)
    value = abs(Decimal(entry["value"]))
    for kind, amount in (("refund", -value), ("refund_reversed", value)):
        scenario.harness.book(kind, entry["order_number"], amount, reference=entry["own_reference"])
    scenario.bounced.add(entry["order_number"])
    return True


EVENTS: dict[str, Callable[[Scenario, list[Planted], Callable[[str], Any]], bool]] = {
    "dry run": _dry_run,
    "approve": _approve,
    "limit for approval": _limit,
    "paid elsewhere": _elsewhere,
    "another warehouse": _warehouse,
    "a word that a later profile reads": _profile,
    "backup": _back_up,
    "restore": _restore,
    "another SKU": _another_sku,
    "another order": _another_order,
    "another return": _another_return,
    "an earlier return that came to nothing": _came_to_nothing_first,
    "chargeback": _charge_back,
    "bounced refund": _bounce,
}
