"""Commands by which people decide about the push: approve, raise, adopt, tie, reorder, pay-instead.

Each decision has a name and a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import Literal

import simplejson
from rich import box

from hr_centra_pipeline.cli.screen import width
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo
from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.policy_tables import is_written

TieKind = Literal["refund", "order", "return", "line", "release", "money"]
_NAMED_BY_NUMBER = {
    "refund": "a refund is named by its payment entry id", "return": "a Return is named by its id in Centra",
    "line": "a line is named by its shipment line id in Centra",
}  # fmt: skip
_CLEARS = "The next sync acts on it."


@contextmanager
def opened() -> Iterator[Connection]:
    """The database, in one transaction; a running push releases it between two requests."""
    settings = Settings.from_environment()
    if not settings.database.exists():
        raise ConfigurationError(f"{settings.database}: there is no database yet; run `hr-centra sync` first.")
    warehouse = Warehouse(settings.database)
    migrate.prepare(warehouse)
    with warehouse.transaction() as connection:
        if not is_written(connection):
            raise ConfigurationError(f"{settings.database}: no sync has run on it yet; run `hr-centra sync` first.")
        yield connection


def signed(by: str | None, why: str | None) -> Signature:
    """Who decides and why.

    Raises:
        ConfigurationError: one of the two is missing.
    """
    if not by or not why:
        raise ConfigurationError("--by and --why: say who decides and why; both are recorded.")
    return Signature(by, why, clock.now())


def approve(
    keys: Sequence[str], effect_types: Sequence[str], by: str | None, why: str | None, *, as_json: bool = False
) -> None:
    """List what waits for an approval; or approve what is named.

    Raises:
        ConfigurationError: who approves planned or configured it, or nothing of what is named waits.
    """
    unknown = [name for name in effect_types if name not in approvals.EFFECT_TYPES]
    if unknown:
        raise ConfigurationError(f"--all {unknown[0]}: one of {', '.join(approvals.EFFECT_TYPES)}.")
    if not keys and not effect_types:
        _list_waiting(as_json=as_json)
        return
    if as_json:
        raise ConfigurationError("--json lists what waits: give it without names, --all, --by and --why.")
    signature = signed(by, why)
    with opened() as connection:
        found = approvals.approve(connection, signature, keys=keys, effect_types=effect_types)
    money: dict[str, Decimal] = {}
    for effect in found:
        if effect.currency and effect.amount is not None:
            money[effect.currency] = money.get(effect.currency, Decimal(0)) + effect.amount
    told = ", ".join(shown(amount, currency) for currency, amount in sorted(money.items()))
    echo(f"{len(found) or len(keys)} approved by {signature.by}{f' ({told})' if told else ''}. {_CLEARS}")


def _list_waiting(*, as_json: bool) -> None:
    with opened() as connection:
        found = approvals.waiting(connection, clock.now())
    if as_json:
        listed = [
            {**effect.names, "amount": effect.amount, "currency": effect.currency, "why": effect.waits_for}
            for effect in found
        ]
        echo(simplejson.dumps(listed, indent=2, use_decimal=True))
        return
    if not found:
        echo("Nothing waits for an approval.")
        return
    table = DataTable(
        "effect", "type", "return", "order", "amount", "why it waits", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for effect in found:
        amount = shown(effect.amount, effect.currency) if effect.currency and effect.amount is not None else ""
        table.add_row(
            effect.effect_key, effect.effect_kind, effect.return_id, effect.order_number, amount, effect.waits_for or ""
        )
    DataConsole(width=width()).print(table)
    if any(effect.waits_for_its_time for effect in found):
        echo('What "waits until" a time is sent automatically then: approving it ends its restock hold early.')
    echo("Approve by effect, unit, return or order: hr-centra approve RT-1 --by NAME --why REASON")


def raise_guard(effect_type: str, hours: float, effects: int | None, by: str | None, why: str | None) -> None:
    """Let one effect type through its guards once."""
    signature = signed(by, why)
    with opened() as connection:
        given = approvals.raise_guards(connection, signature, effect_type, hours=hours, effects=effects)
    money = ", ".join(shown(amount, currency) for currency, amount in sorted(given.money.items()))
    echo(
        f"{effect_type}: up to {given.effects:,} effects{f' and {money}' if money else ''} on one day, until "
        f"{given.expires_at:%Y-%m-%d %H:%M UTC}. {_CLEARS}"
    )


def adopt(named: str, by: str | None, why: str | None) -> None:
    """Include a return by name."""
    signature = signed(by, why)
    with opened() as connection:
        done = approvals.adopt(connection, signature, named)
    what = []
    if done.was_before_cutover:
        what.append("it was started before the cut-over, and is included from now on")
    if done.reopened:
        what.append(f"{len(done.reopened)} effects that were deleted in Centra are sent again")
    echo(f"{done.return_id} adopted by {signature.by}: {'; '.join(what)}. {_CLEARS}")


def tie(named: str, units: Sequence[str], *, kind: TieKind, unrelated: bool, by: str | None, why: str | None) -> None:
    """Say what another user's refund, order or Return was for; or which line a unit is of.

    Raises:
        ConfigurationError: neither units nor a way is given, or both; or what is named does not fit.
    """
    signature = signed(by, why)
    if (problem := _misfit(kind, units, unrelated=unrelated)) is not None:
        raise ConfigurationError(problem)
    if kind in ("refund", "return", "line") and not named.isdecimal():
        raise ConfigurationError(f"{named}: {_NAMED_BY_NUMBER[kind]}, a whole number.")
    names = [unit for unit, _ in _parts(units)]
    with opened() as connection:
        match kind:
            case "release":
                approvals.release_exchange(connection, signature, named)
            case "money":
                approvals.take_money_instead(connection, signature, named)
            case "order":
                approvals.tie_order(connection, signature, named, names)
            case "return":
                approvals.tie_return(connection, signature, int(named), names)
            case "line":
                approvals.tie_line(connection, signature, int(named), names)
            case "refund":
                approvals.tie_refund(connection, signature, int(named), dict(_parts(units)))
    said = {"release": "its exchange is released", "money": "the money replaces its replacement"}
    told = ", ".join(units) or said.get(kind, "unrelated to any return")
    echo(f"{named}: {told}, signed off by {signature.by}. {_CLEARS}")


def _misfit(kind: TieKind, units: Sequence[str], *, unrelated: bool) -> str | None:
    """Why the options do not go together; ``None``: they do."""
    match kind:
        case "release" | "money":
            if units or unrelated:
                return f"--{kind} goes with neither --unit nor --unrelated: write `hr-centra tie UNIT --{kind}`."
        case "order" | "line":
            if unrelated or not units:
                what = "the units that belong to that line" if kind == "line" else "the units that the order replaces"
                no = f" --unrelated does not go with --{kind}." if unrelated else ""
                return f"--{kind} needs --unit, once or more: {what}.{no}"
        case "refund" | "return":
            if bool(units) == unrelated:
                what = "Return" if kind == "return" else "refund"
                return f"Give either --unit, once or more, for the units that the {what} was for, or --unrelated, not both."
    return None


def reorder(unit: str, by: str | None, why: str | None) -> None:
    """Have a canceled replacement ordered again."""
    signature = signed(by, why)
    with opened() as connection:
        canceled = approvals.order_again(connection, signature, unit)
    echo(
        f"{unit}: {', '.join(canceled.order_numbers)} was canceled; {signature.by} has the replacement ordered again. {_CLEARS}"
    )


def pay_instead(unit: str, by: str | None, why: str | None) -> None:
    """Refund a unit whose replacement was canceled."""
    signature = signed(by, why)
    with opened() as connection:
        paid = approvals.pay_instead(connection, signature, unit)
    units = ", ".join(one.return_item_id for one in paid)
    echo(f"{units}: {signature.by} has the money refunded instead, on Return {paid[0].centra_return_id}. {_CLEARS}")


def _parts(units: Sequence[str]) -> list[tuple[str, Decimal | None]]:
    """``UNIT`` or ``UNIT=12.50``."""
    found: list[tuple[str, Decimal | None]] = []
    for given in units:
        unit, _, amount = given.partition("=")
        try:
            found.append((unit, Decimal(amount) if amount else None))
        except InvalidOperation:
            raise ConfigurationError(f"--unit {given}: {amount!r} is not an amount; write IT-1=12.50.") from None
    if len(found) > len(dict(found)):
        raise ConfigurationError("--unit: name each unit once.")
    return found
