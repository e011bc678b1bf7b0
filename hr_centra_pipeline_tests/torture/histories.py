"""What a year brings, in the middle of sending: settings that turn, backups put back, corrections, the shopper's bank.

Each event writes down what it makes true of the units that it touches (``Planted``, ``World``); the verdict compares
Centra's books with that.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from hr_centra_pipeline_tests.desk import OUTLET
from hr_centra_pipeline_tests.torture.world import ARTICLES, Planted, World

_A_REQUEST_MAY_TAKE = 0.6  # seconds; afterwards nothing that left before still arrives
CHARGED_BACK = Decimal("20.00")


def happen(world: World, fresh: list[Planted], run: Callable[[str], Any]) -> str:
    """One event of a year, chosen at random; ``run``: a process of the pipeline, killed as a rule. Answers its name."""
    name = world.random.choice(list(EVENTS))
    return name if EVENTS[name](world, fresh, run) else ""


# ---------------------------------------------------------------- settings turn, and turn back


@contextmanager
def _watched(world: World, what: str) -> Iterator[None]:
    """Nobody acts meanwhile; what is given all the same, nobody has approved."""
    world.desk.calm_down()
    time.sleep(_A_REQUEST_MAY_TAKE)
    before = _given(world)
    yield
    time.sleep(_A_REQUEST_MAY_TAKE)
    for order, amount in (_given(world) - before).items():
        world.unasked.append(f"order {order}: {amount / 100:.2f} given {what}")


def _given(world: World) -> Counter[int]:
    """Cents given back in money and store credit, by order."""
    given: Counter[int] = Counter()
    for number, _, kind, status, value in world.desk.books["payments"]:
        if kind in ("REFUND", "REFUND_GIFT_CARD") and status == "SUCCESS":
            given[number] += int(Decimal(value) * 100)
    return given


def _some_runs(world: World, run: Callable[[str], Any]) -> None:
    run("plan")
    for _ in range(world.random.randint(1, 3)):
        run("push")


def _dry_run(world: World, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    with _watched(world, "in a dry run"):
        world.desk.mode = "dry_run"
        _some_runs(world, run)
        world.desk.mode = "live"
    return True


def _approve(world: World, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """For a while a person has to approve each credit."""
    with _watched(world, "without an approval"):
        world.with_policy(modes={"credit_note": "approve"})
        _some_runs(world, run)
        world.with_policy(modes={})
    return True


def _limit(world: World, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """Finance wants to see everything for an hour."""
    with _watched(world, "above the limit for approval"):
        world.with_policy(approval_above={"EUR": 1})
        _some_runs(world, run)
        world.with_policy(approval_above={})
    return True


def _elsewhere(world: World, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """Somebody tries out that Happy Returns pays. What is completed meanwhile counts as paid there."""
    pays = dict(world.desk.policy.pays_through)
    orders = {planted.unit.sold.number for planted in world.units if planted.way != "exchange"}
    with _watched(world, "by Centra although Happy Returns pays"):
        world.with_policy(pays_through=dict.fromkeys(pays, "elsewhere"))
        world.elsewhere |= orders
        _some_runs(world, run)
        world.with_policy(pays_through=pays)
    return True


def _warehouse(world: World, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """What is sellable goes to the outlet from now on, or to the main warehouse again."""
    dispositions = {word: grade.model_dump() for word, grade in world.desk.policy.dispositions.items()}
    of_now = dispositions["sellable"]["warehouse_id"]
    dispositions["sellable"]["warehouse_id"] = OUTLET if of_now != OUTLET else 1
    world.with_policy(dispositions={word: _given_only(grade) for word, grade in dispositions.items()})
    world.sellable_in.add(dispositions["sellable"]["warehouse_id"])
    run("plan")
    return True


def _given_only(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _profile(world: World, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """The warehouse begins to use a word that the profile reads only after a while."""
    planted = _one_uncorrected(world, fresh)
    if planted is None:
        return False
    world.words.append(f"prime {len(world.words)}")
    world.desk.change(planted.unit, disposition=world.words[-1])
    run("plan")
    run("push")
    world.read_words()
    planted.grade = "sellable"
    run("plan")
    return True


# ---------------------------------------------------------------- the database


def _back_up(world: World, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    world.back_up()
    return True


def _restore(world: World, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    if not world.restore(by_hand=world.random.random() < 0.3):
        return False
    # As a rule something fails in the first hour.
    if world.random.random() < 0.5:
        world.desk.fault("error_before", "", status=500, after=world.random.randint(0, 8))
    run("plan")
    run("push")
    return True


# ---------------------------------------------------------------- Happy Returns changes its mind


def _another_sku(world: World, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    planted = _one_uncorrected(world, fresh)
    if planted is None:
        return False
    sku = world.random.choice([sku for sku in ARTICLES if sku not in planted.unit.sold.skus])
    world.desk.change(planted.unit, sku=sku)
    planted.corrected = "SKU"
    run("plan")
    return True


def _another_order(world: World, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    planted = _one_uncorrected(world, fresh)
    if planted is None:
        return False
    other = world.random.choice(fresh).unit.sold
    if other.number == planted.unit.sold.number:
        return False
    world.desk.change(planted.unit, order_number=other.number)
    planted.corrected = "order"
    planted.order_of_now = other.number
    run("plan")
    return True


def _another_return(world: World, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    planted = _one_uncorrected(world, fresh)
    if planted is None:
        return False
    world.desk.change(planted.unit, return_id=f"{planted.unit.return_id}-B")
    planted.corrected = "return"
    run("plan")
    return True


def _one_uncorrected(world: World, fresh: list[Planted]) -> Planted | None:
    candidates = [planted for planted in fresh if not planted.corrected and not planted.refused]
    return world.random.choice(candidates) if candidates else None


def _came_to_nothing_first(world: World, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """The shopper had started a return of the same piece before, and never sent it."""
    planted = world.random.choice(fresh)
    world.desk.started_only(planted.unit, status=world.random.choice(("expired", "started", "failed")))
    run("plan")
    return True


# ---------------------------------------------------------------- the bank


def _charge_back(world: World, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """The shopper's bank takes something back."""
    sold = world.random.choice(fresh).unit.sold
    if sold.number in world.charged_back:
        return False
    world.desk.book("chargeback", sold.number, -CHARGED_BACK)
    world.charged_back[sold.number] = CHARGED_BACK
    run("plan")
    return True


def _bounce(world: World, fresh: list[Planted], run: Callable[[str], Any]) -> bool:
    """A refund comes back to the payment provider: the card is closed."""
    orders = {planted.unit.sold.number for planted in fresh} - world.bounced
    paid = [
        entry
        for entry in world.desk.store.rows("select * from payments where entry_type = 'REFUND' and status = 'SUCCESS'")
        if entry["order_number"] in orders
    ]
    if not paid:
        return False
    entry = world.random.choice(paid)
    value = abs(Decimal(entry["value"]))
    for kind, amount in (("refund", -value), ("refund_reversed", value)):
        world.desk.book(kind, entry["order_number"], amount, reference=entry["own_reference"])
    world.bounced.add(entry["order_number"])
    return True


EVENTS: dict[str, Callable[[World, list[Planted], Callable[[str], Any]], bool]] = {
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
