"""What keeps a push from doing harm: kill switch, time budget, caps, surge guard; and what live mode has to be sure of first."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.core.codes import Guard, say
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.kinds import EFFECT_TYPE_OF, signed
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.push.packets import Effect
from hr_centra_pipeline.warehouse.database import Connection, run_sql


class Halted(Exception):
    """The push has to end now; what was not sent stays planned. ``reason``: why, with its code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Gate:
    """Passed before every request that writes. The budget counts real time."""

    stop_path: Path
    budget_seconds: float

    def __post_init__(self) -> None:
        self._ends = time.monotonic() + self.budget_seconds

    @property
    def seconds_left(self) -> float:
        """Until the budget is used up."""
        return self._ends - time.monotonic()

    def check(self, *, begins: bool = True) -> None:
        """Pass, or end the push. What is half done may be finished beyond the budget; nothing passes the kill switch.

        Raises:
            Halted: the kill switch is on, or the time budget is used up.
        """
        if is_stopped(self.stop_path):
            raise Halted(say("kill_switch", self.stop_path))
        if begins and self.seconds_left <= 0:
            raise Halted(say("budget_used", f"{self.budget_seconds / 60:g}"))


def is_stopped(stop_path: Path) -> bool:
    """The kill switch is on; also when that cannot be read, or the file is a broken link."""
    try:
        os.lstat(stop_path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


# ---------------------------------------------------------------- before real money


def refuse_unguarded(settings: Settings, policy: Policy) -> None:
    """A Centra that is not on this machine is real: its guards have to be stated, not defaulted, and nobody may listen.

    Raises:
        ConfigurationError: names each setting that is missing, or the address that is not encrypted.
    """
    for variable, url in (
        ("CENTRA_GRAPHQL_URL", settings.centra_graphql_url),
        ("CENTRA_ORDER_API_URL", settings.centra_order_api_url),
    ):
        if (problem := addresses.problem(url)) is not None:
            raise ConfigurationError(f"{variable}: {problem}")
        parts = urlsplit(url)
        if not url or addresses.is_loopback(parts.hostname or ""):
            continue
        if parts.scheme != "https":
            raise ConfigurationError(f"HR_CENTRA_MODE=live is refused: {variable} must begin with https://.")
        missing = missing_guards(policy)
        if missing:
            raise ConfigurationError(
                f"HR_CENTRA_MODE=live is refused: {variable} points to {parts.hostname}, which is real money, and the "
                f"policy does not state {', '.join(missing)}. Write them down (`hr-centra doctor` prints the lines to paste), or "
                "use HR_CENTRA_MODE=dry_run to see what would be sent."
            )


def missing_guards(policy: Policy) -> list[str]:
    """Settings that a live run against a real Centra must find in the policy file itself."""
    stated = {
        "changed_by": policy.changed_by is not None,
        "approval_above": bool(policy.approval_above),
        "caps.effects_per_run": "effects_per_run" in policy.caps.model_fields_set,
        "caps.effects_per_day": "effects_per_day" in policy.caps.model_fields_set,
        "caps.money_per_run": bool(policy.caps.money_per_run),
        "caps.money_per_day": bool(policy.caps.money_per_day),
        "surge.factor": "factor" in policy.surge.model_fields_set,
    }
    return [name for name, is_stated in stated.items() if not is_stated]


def guards_to_paste(policy: Policy) -> str:
    """The lines of TOML for what :func:`missing_guards` names, with the example's figures; empty: nothing is missing.

    ``changed_by`` belongs above the first table of the file, the others at its end.
    """
    missing = set(missing_guards(policy))
    lines = ['changed_by = "your-login"  # above the first [table] of the file'] if "changed_by" in missing else []
    if "approval_above" in missing:
        lines += ["[approval_above]", 'EUR = "500"']
    caps = [f"{name} = {figure}" for name, figure in _COUNTS.items() if f"caps.{name}" in missing]
    lines += ["[caps]", *caps] if caps else []
    for name, amount in (("money_per_run", "50000"), ("money_per_day", "80000")):
        lines += [f"[caps.{name}]", f'EUR = "{amount}"'] if f"caps.{name}" in missing else []
    lines += ["[surge]", 'factor = "6"'] if "surge.factor" in missing else []
    return "\n".join(lines)


_COUNTS = {"effects_per_run": 20_000, "effects_per_day": 40_000}


# ---------------------------------------------------------------- caps and surge


@dataclass(frozen=True)
class Amounts:
    """How many effects of one type, and their money by currency (value of the goods, where no money moves)."""

    count: int = 0
    money: Mapping[str, Decimal] = field(default_factory=dict)

    def __add__(self, other: Amounts) -> Amounts:
        currencies = {*self.money, *other.money}
        return Amounts(
            self.count + other.count,
            {one: self.money.get(one, Decimal(0)) + other.money.get(one, Decimal(0)) for one in currencies},
        )


@dataclass(frozen=True)
class Breach:
    """A guard that stops an effect type: nothing of it is sent. ``currency``: of what was too much (``None``: the count)."""

    effect_type: str
    code: Guard
    guard: str
    currency: str | None
    effects: int
    amount: Decimal | None
    allowed: Decimal
    detail: str


def amounts_of(effects: Iterable[Effect]) -> dict[str, Amounts]:
    """By effect type. A fee lessens the money."""
    found: dict[str, Amounts] = {}
    for effect in effects:
        kind = EFFECT_TYPE_OF[effect.effect_kind]
        money = {}
        if effect.currency and effect.amount is not None:
            money[effect.currency] = signed(effect.effect_kind, effect.amount)
        found[kind] = found.get(kind, Amounts()) + Amounts(1, money)
    return found


def breaches(
    connection: Connection, due: Iterable[Effect], policy: Policy, now: datetime, *, since_the_poll: bool = False
) -> list[Breach]:
    """Guards that what is due now would breach: caps per run and day, and the surge guard on our own past.

    ``due``: the effects that would be sent; what is half done may leave with them. A raise by a person counts until it expires.
    ``since_the_poll``: what left since the last hourly sync counts as of this run, so that many small syncs in an hour send no
    more than one run may.
    """
    today = sent_today(connection, now, weeks=policy.surge.weeks)
    leaving = _added(amounts_of(due), under_way(connection))
    earlier = _amounts(connection, "from amounts_since_the_poll") if since_the_poll else {}
    raised = {
        (effect_type, currency): up_to
        for effect_type, currency, up_to in connection.execute("from raised_limits").fetchall()
    }
    usual: dict[tuple[str, str | None], Decimal] = {
        (effect_type, currency): amount
        for effect_type, currency, amount in connection.execute("from usual_amounts").fetchall()
    }
    found: list[Breach] = []
    for effect_type, run in leaving.items():
        day = run + today.get(effect_type, Amounts())
        for code, guard, currency, amount, allowed in [
            *_caps(run + earlier.get(effect_type, Amounts()), day, policy, with_money=effect_type == "credit_note"),
            *_surges(effect_type, day, usual, policy, now),
        ]:
            limit = max(allowed, raised.get((effect_type, currency), Decimal(0)))
            if amount > limit:
                shown_amount, shown_limit = _shown(amount, currency), _shown(allowed, currency)
                detail = f"{guard}: {shown_amount} of {effect_type}, {shown_limit} allowed"
                money = amount if currency else None
                found.append(Breach(effect_type, code, guard, currency, run.count, money, allowed, detail))
    return found


Check = tuple[Guard, str, str | None, Decimal, Decimal]  # guard's code and name, currency, amount, allowed


def _caps(run: Amounts, day: Amounts, policy: Policy, *, with_money: bool) -> list[Check]:
    caps = policy.caps
    checks: list[Check] = [
        ("cap", "caps.effects_per_run", None, Decimal(run.count), Decimal(caps.effects_per_run)),
        ("cap", "caps.effects_per_day", None, Decimal(day.count), Decimal(caps.effects_per_day)),
    ]
    for name, limits, amounts in (("run", caps.money_per_run, run), ("day", caps.money_per_day, day)):
        for currency, amount in amounts.money.items():
            # Where some currencies are capped, one that was forgotten may not pass unseen.
            if with_money and limits:
                allowed = limits.get(currency, Decimal(0))
                checks.append(("cap", f"caps.money_per_{name}.{currency}", currency, amount, allowed))
    return checks


def _surges(
    effect_type: str, day: Amounts, usual: Mapping[tuple[str, str | None], Decimal], policy: Policy, now: datetime
) -> list[Check]:
    """Today, next to the median of the same weekday; small counts never are a surge. Without enough past: none."""
    surge = policy.surge
    if day.count < surge.least_effects:
        return []
    weekday = f"{now:%A}"
    checks: list[Check] = []
    median = usual.get((effect_type, None))
    if median is None:
        return []
    allowed = max(Decimal(surge.least_effects), surge.factor * median)
    checks.append(("surge", f"surge: {median:.0f} on a usual {weekday}, today", None, Decimal(day.count), allowed))
    for currency, amount in day.money.items():
        of_currency = usual.get((effect_type, currency), Decimal(0))
        if of_currency:
            told = f"surge: {shown(of_currency, currency)} on a usual {weekday}, today"
            checks.append(("surge", told, currency, amount, surge.factor * of_currency))
    return checks


def _shown(amount: Decimal, currency: str | None) -> str:
    return shown(amount, currency) if currency else f"{amount:,.0f}"


def sent_today(connection: Connection, now: datetime, *, weeks: int = 4) -> dict[str, Amounts]:
    """What went out today by effect type, what is in doubt for good included. Fills the temporary tables of ``guards.sql``."""
    run_sql(connection, "hr_centra_pipeline.push", "guards.sql", {"now": now, "weeks": weeks})
    return _amounts(connection, "from todays_amounts")


def under_way(connection: Connection) -> dict[str, Amounts]:
    """What is half done, by effect type. Reads a temporary table that :func:`sent_today` fills."""
    return _amounts(connection, "from amounts_under_way")


def _added(some: Mapping[str, Amounts], more: Mapping[str, Amounts]) -> dict[str, Amounts]:
    return {name: some.get(name, Amounts()) + more.get(name, Amounts()) for name in {**some, **more}}


def _amounts(connection: Connection, query: str) -> dict[str, Amounts]:
    found: dict[str, Amounts] = {}
    for effect_type, currency, count, amount in connection.execute(query).fetchall():
        money = {currency: amount} if currency and amount is not None else {}
        found[effect_type] = found.get(effect_type, Amounts()) + Amounts(count, money)
    return found
