"""Commands by which people decide about the push: approve, raise, adopt, tie, reorder, pay-instead; and the list of decisions.

Each decision has a name and a reason. It is recorded beside those of the pages, and carried out by the same functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import Any

import simplejson
from rich import box

from hr_centra_pipeline.cli.screen import width
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo
from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions import acts, carry_out
from hr_centra_pipeline.decisions import decision_kinds as kinds
from hr_centra_pipeline.decisions.carry_out import Carrier
from hr_centra_pipeline.decisions.decision_kinds import TieForm
from hr_centra_pipeline.decisions.decision_store import DecisionStore, Kept
from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline.warehouse import lock, migrate
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.policy_tables import is_written


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


def _decide(arguments: kinds.Arguments, signature: Signature) -> None:
    """Record a decision, carry it out, and say what was done."""
    settings = Settings.from_environment()
    with opened():  # there is a database, of this version
        pass

    def carry(store: DecisionStore, kept: Kept) -> str:
        return Carrier(store, Warehouse(settings.database), settings, "", clock.now()).once(kept)

    echo(carry_out.on_the_command_line(settings, signature.by, arguments, carry))


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
    arguments = {"names": tuple(keys), "effect_types": tuple(effect_types), "why": signature.why}
    _decide(kinds.parsed("approve", arguments), signature)


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
    if effect_type not in approvals.EFFECT_TYPES:
        raise ConfigurationError(f"{effect_type}: one of {', '.join(approvals.EFFECT_TYPES)}.")
    arguments = {"effect_type": effect_type, "hours": hours, "effects": effects, "why": signature.why}
    _decide(kinds.parsed("raise", arguments), signature)


def adopt(named: str, by: str | None, why: str | None) -> None:
    """Include a return by name."""
    signature = signed(by, why)
    _decide(kinds.parsed("adopt", {"name": named, "why": signature.why}), signature)


def tie(named: str, units: Sequence[str], *, kind: TieForm, unrelated: bool, by: str | None, why: str | None) -> None:
    """Say what another user's refund, order or Return was for; or which line a unit is of.

    Raises:
        ConfigurationError: neither units nor a way is given, or both; or what is named does not fit.
    """
    signature = signed(by, why)
    arguments = {"form": kind, "name": named, "units": _parts(units), "unrelated": unrelated, "why": signature.why}
    wanted = kinds.parsed("tie", arguments)
    if isinstance(wanted, kinds.Tie):
        acts.refuse_misfit(wanted)
    _decide(wanted, signature)


def reorder(unit: str, by: str | None, why: str | None) -> None:
    """Have a canceled replacement ordered again."""
    signature = signed(by, why)
    _decide(kinds.parsed("reorder", {"unit": unit, "why": signature.why}), signature)


def pay_instead(unit: str, by: str | None, why: str | None) -> None:
    """Refund a unit whose replacement was canceled."""
    signature = signed(by, why)
    _decide(kinds.parsed("pay_instead", {"unit": unit, "why": signature.why}), signature)


def _parts(units: Sequence[str]) -> list[dict[str, Any]]:
    """``UNIT`` or ``UNIT=12.50``."""
    found: list[dict[str, Any]] = []
    for given in units:
        unit, _, amount = given.partition("=")
        try:
            part = Decimal(amount) if amount else None
        except InvalidOperation:
            raise ConfigurationError(f"--unit {given}: {amount!r} is not an amount; write IT-1=12.50.") from None
        if part is not None and not part.is_finite():
            raise ConfigurationError(f"--unit {given}: the part of a unit is an amount above zero.")
        found.append({"unit": unit, "amount": part})
    return found


# ---------------------------------------------------------------- the list of decisions


def show_decisions(*, only_waiting: bool, limit: int, as_json: bool) -> None:
    """The newest decisions with what came of them; or those that wait, in order."""
    store = DecisionStore(Settings.from_environment())
    try:
        found = store.waiting() if only_waiting else store.recent(limit)
    finally:
        store.close()
    if as_json:
        echo(simplejson.dumps([_as_json(one) for one in found], indent=2, ensure_ascii=False))
        return
    if not found:
        echo("No decision waits." if only_waiting else "Nobody has decided anything yet.")
        return
    table = DataTable(
        "number", "decided", "who", "what", "state", "what came of it", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for one in found:
        table.add_row(
            str(one.number), f"{one.at:%Y-%m-%d %H:%M}", f"{one.who.name} ({one.who.user_id}, {one.who.login})",
            " ".join([one.kind, *one.arguments.about()]), one.state, one.outcome.words if one.outcome else "",
        )  # fmt: skip
    DataConsole(width=width()).print(table)


def _as_json(one: Kept) -> dict[str, Any]:
    return {
        "number": one.number, "decision_id": one.decision_id, "kind": one.kind, "at": one.at.isoformat(),
        "user_id": one.who.user_id, "name": one.who.name, "login": one.who.login, "state": one.state,
        "code": one.outcome.code if one.outcome else None, "words": one.outcome.words if one.outcome else None,
        "arguments": one.arguments.model_dump(mode="json", exclude={"kind"}, exclude_none=True),
    }  # fmt: skip


def carry_out_now() -> None:
    """Carry out what waits, behind the run lock, without a sync.

    Raises:
        RunFailed: a sync is under way and did not end within 30 seconds.
    """
    settings = Settings.from_environment()
    with lock.held(settings.lock_path, "hr-centra decisions carry-out", wait_seconds=30):
        report = carry_out.now(settings)
    for line in report.lines:
        echo(line)
    left = f" {report.left} wait. {report.why_left}".rstrip() if report.left else ""
    echo(f"{report.done} done, {report.refused} refused, {report.failed} failed.{left}")
