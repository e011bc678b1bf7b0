"""The sandbox's own records against what was planted: doubles, losses, what is stuck, and what nobody could have prevented."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.core.keys import effect_key, effect_keys_in
from hr_centra_pipeline_tests.harness import MAIN, OUTLET, QUARANTINE, Sold
from hr_centra_pipeline_tests.torture.scenario import Planted, Scenario

_LIES_IN = {"damaged": {QUARANTINE}, "wrong-item": {QUARANTINE}, "missing": set[int](), None: set[int]()}

_A_REPLACEMENT_IS_MISSING = {
    "write_in_doubt", "exchange_without_order", "exchange_refused", "exchange_differs", "exchange_canceled", "rejected_write",
    "return_without_credit_note",
}  # fmt: skip
_CHARGED_BACK = {"double_credit", "payout_mismatch", "exchange_without_order"}
_WAITS_FOR_A_PERSON = {"write_in_doubt", "rejected_write", "return_without_credit_note", "credit_note_without_refund"}


@dataclass
class Verdict:
    """What was found. ``silent``: something is wrong, and no exception says so; ``raced``: somebody acted between
    our look and our call, and the pipeline tells it.
    """

    effects: int = 0
    doubles: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    raced: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Nothing twice, nothing lost, nothing stuck, nothing silent."""
        return not (self.doubles or self.losses or self.stuck or self.silent)

    def told(self) -> str:
        """One line per trouble."""
        names = ("doubles", "losses", "stuck", "silent", "raced")
        return "\n".join(f"  {name}: {line}" for name in names for line in getattr(self, name))

    def add(self, other: Verdict) -> None:
        """Put another one to it."""
        self.effects += other.effects
        for name in ("doubles", "losses", "stuck", "silent", "raced"):
            getattr(self, name).extend(getattr(other, name))


def judge(scenario: Scenario, units: list[Planted]) -> Verdict:
    """Compare the records with what was planted, after everything has settled."""
    ledger = scenario.harness.records
    found = Verdict()
    told = _exceptions(scenario)
    _judge_keys(ledger, units, found)
    for sold in {planted.unit.sold.number: planted.unit.sold for planted in units}.values():
        _judge_money(scenario, ledger, sold, told, found)
    _judge_exchanges(ledger, units, told, found)
    _judge_releases(scenario, units, told, found)
    _judge_stock(scenario, ledger, units, told, found)
    _judge_notes(scenario, units, found)
    _judge_silence(scenario, ledger, units, told, found)
    found.doubles += scenario.unasked
    if scenario.crashed:
        found.stuck.append(f"{scenario.crashed} processes ended in an exception: see worker.log")
    found.stuck += _stuck(scenario)
    found.effects = int(
        scenario.harness.rows("select count(*) from push.ledger where state = 'confirmed' and not is_foreign")[0][0]
    )
    return found


def _exceptions(scenario: Scenario) -> dict[str, set[str]]:
    """Kinds that are open, by unit and by order."""
    told: dict[str, set[str]] = defaultdict(set)
    for kind, unit, order in scenario.harness.rows(
        "select kind, return_item_id, order_number from reconciliation.exceptions"
    ):
        for name in filter(None, (unit, order)):
            told[str(name)].add(str(kind))
    return told


def _judge_keys(ledger: dict[str, Any], units: list[Planted], found: Verdict) -> None:
    """No key of ours is in two objects of one kind."""
    ours = {key for planted in units for key in _keys(planted)}
    for name, texts in (
        ("Returns", [row["comment"] for row in ledger["returns"]]),
        ("stock changes", [row["comment"] for row in ledger["stock_changes"]]),
    ):
        times = Counter(key for text in texts for key in set(effect_keys_in(text)) & ours)
        found.doubles += [f"{key} is in {count} {name}" for key, count in times.items() if count > 1]


def _keys(planted: Planted) -> list[str]:
    item = planted.unit.item
    moved = [effect_key("inventory_adjustment", item, str(ordinal)) for ordinal in range(1, 20)]
    return [effect_key("credit_note", item), *_replacement_keys(planted), *moved]


def _replacement_keys(planted: Planted) -> list[str]:
    """Of the first order, and of those that were made again after somebody had canceled one."""
    item = planted.unit.item
    return [effect_key("exchange_order", item), *(effect_key("exchange_order", item, str(n)) for n in range(2, 10))]


def _judge_money(
    scenario: Scenario, ledger: dict[str, Any], sold: Sold, told: dict[str, set[str]], found: Verdict
) -> None:
    units = scenario.of(sold)
    entries = [row for row in ledger["payments"] if row[0] == sold.number and row[2] in ("REFUND", "REFUND_GIFT_CARD")]
    given = sum((Decimal(value) for _, _, _, status, value in entries if status == "SUCCESS"), Decimal(0))
    due = sum((planted.due for planted in units if not planted.is_uncertain), Decimal(0))
    optional = sum((planted.due for planted in units if planted.is_uncertain), Decimal(0))
    explained = {kind for planted in units for kind in told[planted.unit.item]} | told[str(sold.number)]
    by_hand = _somebody_paid(scenario, sold)
    fees = (
        sum((planted.fee for planted in units), Decimal(0)) if by_hand else Decimal(0)
    )  # who refunds by hand forgets them
    return_level = sum((planted.shipping for planted in units), Decimal(0)) if by_hand else Decimal(0)
    # The fee of a return rides with whichever of its units is paid, not with the one that it was planted on.
    return_level += sum((planted.fee for planted in units if planted.is_uncertain), Decimal(0))
    # A person may give more than is due; whatever stood there before our process began may not be added to.
    most = max(due + optional + fees, scenario.given_by_hand.get(sold.number, Decimal(0)))
    may_be = f" (and {optional} may be)" if optional else ""
    where = f"order {sold.number}: {given} given, {due} due{may_be}, told {sorted(explained)}"
    least = Decimal(0) if sold.number in scenario.elsewhere else due - return_level - fees
    charged_back = scenario.charged_back.get(sold.number, Decimal(0))
    # Where neither money nor goods were given, what holds them says so.
    says_so = _CHARGED_BACK if given else _CHARGED_BACK | _A_REPLACEMENT_IS_MISSING | {"item_without_shipment_line"}
    # Where nothing was given and nothing is due, a chargeback repeats nothing (docs/rules.md, "a chargeback").
    if charged_back and most and given + charged_back > most and not explained & says_so:
        found.silent.append(f"{where}, and {charged_back} charged back")
    if given > most:
        is_told = explained & {"double_credit", "centra_return_without_return"}
        (found.raced if is_told and sold.number in scenario.raced else found.doubles).append(where)
    # A cost may have stayed behind with a unit that somebody refunded by hand; goods never.
    elif given < least - charged_back and not explained & _WAITS_FOR_A_PERSON:
        found.losses.append(where)


def _somebody_paid(scenario: Scenario, sold: Sold) -> bool:
    """A person has refunded something of the order."""
    mine = {row["id"] for row in scenario.harness.returns_of(sold)}
    for entry in scenario.harness.log():
        if entry.get("person") in ("return_and_refund", "refund_return", "refund_order") and entry["refused"] is None:
            given = entry["given"]
            if str(given.get("shipment_id")) == str(sold.shipment) or int(given.get("return_id") or 0) in mine:
                return True
            if str(given.get("order_number")) == str(sold.number) and entry["person"] == "refund_order":
                return True
    return False


def _judge_exchanges(ledger: dict[str, Any], units: list[Planted], told: dict[str, set[str]], found: Verdict) -> None:
    """One live replacement per unit, its Return completed and not paid."""
    live: Counter[str] = Counter()
    # By the order's origin, not by the Return's comment: somebody may have wiped that.
    completed_returns = {row["id"] for row in ledger["returns"] if row["status"] == "COMPLETED"}
    completed: set[str] = set()
    for row in ledger["orders"]:
        if row["origin"][0] == "return" and row["status"] != "DELETED":
            keys = set(effect_keys_in(row["internal_comment"]))
            live.update(keys)
            if row["origin"][1] in completed_returns:
                completed |= keys
    for planted in units:
        if planted.way != "exchange":
            continue
        keys = set(_replacement_keys(planted))
        alive = sum(live[key] for key in keys)
        explained = told[planted.unit.item] & _A_REPLACEMENT_IS_MISSING
        if alive > (0 if planted.is_paid_instead else 1):
            found.doubles.append(f"{planted.unit.item} has {alive} replacements, paid {planted.is_paid_instead}")
        elif alive == 0 and not planted.is_uncertain and not planted.is_paid_instead and not explained:
            found.losses.append(f"{planted.unit.item} has no replacement, told {sorted(told[planted.unit.item])}")
        elif alive == 1 and not keys & completed and not explained:
            found.stuck.append(f"{planted.unit.item}: its replacement is ordered, its Return is not completed")


def _judge_releases(scenario: Scenario, units: list[Planted], told: dict[str, set[str]], found: Verdict) -> None:
    """The shipment of each replacement that is alive is released, and that of no other."""
    keys = {key: planted for planted in units for key in _replacement_keys(planted)}
    rows = scenario.harness.store.rows(
        "select internal_comment, is_paid from shipments join orders on orders.number = order_number where origin_type = 'return'"
    )
    for row in rows:
        inside = [keys[key] for key in effect_keys_in(row["internal_comment"]) if key in keys]
        planted = inside[0] if inside else None
        if planted is None or planted.is_uncertain or told[planted.unit.item] & _A_REPLACEMENT_IS_MISSING:
            continue
        # One mark sends off all that a shipment holds: with a refused one in it, a person releases it.
        if any(one.refused for one in inside) and "exchange_not_shipped" in told[planted.unit.item]:
            continue
        if not row["is_paid"]:
            found.losses.append(f"{planted.unit.item}: the shipment of its replacement is not released")


def _judge_stock(
    scenario: Scenario, ledger: dict[str, Any], units: list[Planted], told: dict[str, set[str]], found: Verdict
) -> None:
    """Each graded unit lies once where its grade says: by our stock changes, or by a Return that somebody made."""
    lies: Counter[tuple[str, int]] = Counter()
    keys = {key: planted for planted in units for key in _keys(planted)}
    for change in ledger["stock_changes"]:
        for planted in [keys[key] for key in effect_keys_in(change["comment"]) if key in keys]:
            for sku, warehouse, quantity in change["lines"]:
                if sku == planted.unit.sold.skus[planted.unit.line]:
                    lies[planted.unit.item, warehouse] += 1 if quantity > 0 else -1
    for planted in units:
        item = planted.unit.item
        places = scenario.sellable_in if planted.grade == "sellable" else _LIES_IN[planted.grade]
        # Refused, and its piece is another's by now: the exception says that its goods wait to be booked.
        waits = {"item_without_shipment_line"} if planted.refused else set()
        explained = told[item] & {"write_in_doubt", "rejected_write", "return_without_stock_movement", *waits}
        counts = {warehouse: lies[item, warehouse] for warehouse in (MAIN, OUTLET, QUARANTINE)}
        what = f"{item} graded {planted.grade} lies {counts} (warehouse: times)"
        should = bool(places)
        if planted.corrected:
            # Whether it is taken out again under the SKU that it had depends on what was sent before.
            if sum(counts.values()) > 1:
                found.doubles.append(what)
            continue
        if any(count > (warehouse in places) for warehouse, count in counts.items()) or sum(counts.values()) > should:
            found.doubles.append(what)
        elif sum(counts.values()) < should and not explained:
            found.losses.append(what)


def _judge_notes(scenario: Scenario, units: list[Planted], found: Verdict) -> None:
    """One line of ours per return on each order."""
    comments = {row["number"]: str(row["internal_comment"]) for row in scenario.harness.records["orders"]}
    corrected = {planted.unit.return_id for planted in units if planted.corrected}
    for return_id, number, code in {(p.unit.return_id, p.unit.sold.number, p.unit.code) for p in units}:
        lines = [line for line in comments[number].splitlines() if f" {code}: " in line]
        if len(lines) > 1:
            found.doubles.append(f"{return_id} has {len(lines)} notes on order {number}")
        elif not lines and return_id not in corrected:
            found.losses.append(f"{return_id} has no note on order {number}")


def _judge_silence(
    scenario: Scenario, ledger: dict[str, Any], units: list[Planted], told: dict[str, set[str]], found: Verdict
) -> None:
    """Whatever is wrong has an exception."""
    paid = {
        key
        for row in ledger["returns"]
        if any(kind in ("REFUND", "REFUND_GIFT_CARD") and status == "SUCCESS" for kind, status, _ in row["payments"])
        for key in effect_keys_in(row["comment"])
    }
    for planted in units:
        unit = planted.unit
        explained = told[unit.item] | told[str(unit.sold.number)] | told[str(planted.order_of_now)]
        if planted.refused and effect_key("credit_note", unit.item) in paid and not told[unit.item]:
            found.silent.append(f"{unit.item} was refunded, and is graded {planted.grade}")
        if planted.corrected in ("SKU", "order") and not explained:
            found.silent.append(f"{unit.item} has another {planted.corrected}, at which nothing of the kind was sold")
    for number in scenario.bounced:
        if "payout_mismatch" not in told[str(number)]:
            found.silent.append(f"order {number}: its refund bounced, told {sorted(told[str(number)])}")


def _stuck(scenario: Scenario) -> list[str]:
    """Effects in doubt that no packet looks after, or that wait for nobody; packets that are never finished."""
    lost = scenario.harness.rows(
        """
        select effect_key, effect_kind, state, reason from push.ledger
        where state in ('sending', 'unknown') and not exists (
            select 1 from push.packets where packets.state = 'unknown' and list_contains(packets.members, ledger.effect_key)
        )
        """
    )
    waiting = scenario.harness.rows(
        "select packet_key, step, state, message from push.packets where state in ('sending', 'unknown') and trouble is null"
    )
    due = scenario.harness.rows(
        """
        select ledger.effect_key, ledger.effect_kind, ledger.state, ledger.reason
        from push.ledger
        join (
            select effect_key, blocked_by from effects.pending_credit_notes
            union all select effect_key, blocked_by from effects.pending_exchange_orders
            union all select effect_key, blocked_by from effects.pending_inventory_adjustments
            union all select effect_key, blocked_by from effects.pending_status_updates
        ) as pending using (effect_key)
        where ledger.state = 'planned' and blocked_by is null
            and coalesce(reason, '') not like 'waits for a unit%' and coalesce(reason, '') not like 'the fee is larger%'
            -- A Return of several units is paid whole: one of them is held, and a person is told to settle the others by hand.
            and not (reason like 'amount_mismatch%' and return_item_id in (
                select return_item_id from reconciliation.exceptions where kind = 'return_without_credit_note'
            ))
        """
    )
    return [" ".join(str(part) for part in row) for row in [*lost, *waiting, *due]]
