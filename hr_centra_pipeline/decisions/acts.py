"""One function per kind of decision: what the command line and the pipeline both do. Each answers what was done, in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions import decision_files, identities
from hr_centra_pipeline.decisions import decision_kinds as kinds
from hr_centra_pipeline.decisions.decision_store import Who
from hr_centra_pipeline.month_end import close as closing
from hr_centra_pipeline.month_end import cost_intake
from hr_centra_pipeline.month_end.compute import compute
from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.push.approvals import AsShown, Signature
from hr_centra_pipeline.reconciliation import notes
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.made import makes

CLEARS = "The next sync acts on it."
_NAMED_BY_NUMBER = {
    "refund": "a refund is named by its payment entry id", "return": "a Return is named by its id in Centra",
    "line": "a line is named by its shipment line id in Centra",
}  # fmt: skip


@dataclass(frozen=True)
class Act:
    """A decision that is being carried out: by whom, when, in which home, by which policy."""

    decision_id: str
    who: Who
    settings: Settings
    policy_sha256: str
    now: datetime

    def signed(self, why: str) -> Signature:
        """Who decides and why."""
        return identities.signature(self.settings, self.who, why, self.now)


def carry_out(connection: Connection, arguments: kinds.Arguments, act: Act) -> str:
    """Do what a decision says, in the transaction of the connection; answers what was done.

    Raises:
        ConfigurationError: it is refused; the message says why, ``code`` which rule did.
        RunFailed: so with a month.
    """
    return _ACTS[arguments.kind](connection, arguments, act)


# ---------------------------------------------------------------- exceptions


def _note(connection: Connection, wanted: kinds.WriteNote, act: Act) -> str:
    note = notes.Note(
        wanted.exception_id, wanted.note or None, wanted.decision, act.who.name, f"decision {act.decision_id[:8]}"
    )
    report = notes.append(connection, [note], act.now)
    if report.refused:
        raise ConfigurationError(report.refused[0].partition(": ")[2])
    done = " and written off: it is closed" if wanted.decision == "write_off" and report.taken else ""
    return f"{wanted.exception_id}: noted by {act.who.name}{done}."


def _assign(connection: Connection, wanted: kinds.Assign, act: Act) -> str:
    notes.assign(
        connection, wanted.exception_id, wanted.assignee, by=act.who.name, note=wanted.note or None, now=act.now
    )
    return f"{wanted.exception_id}: assigned to {wanted.assignee or 'nobody'} by {act.who.name}."


# ---------------------------------------------------------------- effects


def _approve(connection: Connection, wanted: kinds.Approve, act: Act) -> str:
    seen = {one.effect_key: AsShown(one.approval_sha256, one.amount, one.currency) for one in wanted.shown}
    found = approvals.approve(
        connection, act.signed(wanted.why), keys=wanted.names, effect_types=wanted.effect_types,
        as_shown=None if act.who.login == "shell" else seen,
    )  # fmt: skip
    money: dict[str, Decimal] = {}
    for effect in found:
        if effect.currency and effect.amount is not None:
            money[effect.currency] = money.get(effect.currency, Decimal(0)) + effect.amount
    told = ", ".join(shown(amount, currency) for currency, amount in sorted(money.items()))
    return f"{len(found) or len(wanted.names)} approved by {act.who.name}{f' ({told})' if told else ''}. {CLEARS}"


def _raise(connection: Connection, wanted: kinds.RaiseGuard, act: Act) -> str:
    given = approvals.raise_guards(
        connection, act.signed(wanted.why), wanted.effect_type, hours=wanted.hours, effects=wanted.effects
    )
    money = ", ".join(shown(amount, currency) for currency, amount in sorted(given.money.items()))
    return (
        f"{wanted.effect_type}: up to {given.effects:,} effects{f' and {money}' if money else ''} on one day, until "
        f"{given.expires_at:%Y-%m-%d %H:%M UTC}. {CLEARS}"
    )


def _adopt(connection: Connection, wanted: kinds.Adopt, act: Act) -> str:
    done = approvals.adopt(connection, act.signed(wanted.why), wanted.name)
    what = []
    if done.was_before_cutover:
        what.append("it was started before the cut-over, and is included from now on")
    if done.reopened:
        what.append(f"{len(done.reopened)} effects that were deleted in Centra are sent again")
    return f"{done.return_id} adopted by {act.who.name}: {'; '.join(what)}. {CLEARS}"


def _tie(connection: Connection, wanted: kinds.Tie, act: Act) -> str:
    signature, name, parts = act.signed(wanted.why), wanted.name, {part.unit: part.amount for part in wanted.units}
    refuse_misfit(wanted)
    units = list(parts)
    match wanted.form:
        case "release":
            approvals.release_exchange(connection, signature, name)
        case "money":
            approvals.take_money_instead(connection, signature, name)
        case "order":
            approvals.tie_order(connection, signature, name, units)
        case "return":
            approvals.tie_return(connection, signature, int(name), units)
        case "line":
            approvals.tie_line(connection, signature, int(name), units)
        case "refund":
            approvals.tie_refund(connection, signature, int(name), parts)
    said = {"release": "its exchange is released", "money": "the money replaces its replacement"}
    named = [part.unit if part.amount is None else f"{part.unit}={part.amount}" for part in wanted.units]
    told = ", ".join(named) or said.get(wanted.form, "unrelated to any return")
    return f"{name}: {told}, signed off by {act.who.name}. {CLEARS}"


def refuse_misfit(wanted: kinds.Tie) -> None:
    """Refuse a tie whose parts do not go together.

    Raises:
        ConfigurationError: neither units nor a way is given, or both; or a unit twice; or what has to be a number is not one.
    """
    if (problem := _misfit(wanted)) is not None:
        raise ConfigurationError(problem, code="misfit")
    if wanted.form in _NAMED_BY_NUMBER and not (wanted.name.isascii() and wanted.name.isdecimal()):
        raise ConfigurationError(f"{wanted.name}: {_NAMED_BY_NUMBER[wanted.form]}, a whole number.", code="misfit")
    if len({part.unit for part in wanted.units}) < len(wanted.units):
        raise ConfigurationError("--unit: name each unit once.", code="misfit")


def _misfit(wanted: kinds.Tie) -> str | None:
    units, unrelated = wanted.units, wanted.unrelated
    match wanted.form:
        case "release" | "money":
            if units or unrelated:
                return f"--{wanted.form} goes with neither --unit nor --unrelated: write `hr-centra tie UNIT --{wanted.form}`."
        case "order" | "line":
            if unrelated or not units:
                is_line = wanted.form == "line"
                what = "the units that belong to that line" if is_line else "the units that the order replaces"
                no = f" --unrelated does not go with --{wanted.form}." if unrelated else ""
                return f"--{wanted.form} needs --unit, once or more: {what}.{no}"
        case "refund" | "return":
            if bool(units) == unrelated:
                what = "Return" if wanted.form == "return" else "refund"
                return f"Give either --unit, once or more, for the units that the {what} was for, or --unrelated, not both."
    return None


def _reorder(connection: Connection, wanted: kinds.Reorder, act: Act) -> str:
    canceled = approvals.order_again(connection, act.signed(wanted.why), wanted.unit)
    orders = ", ".join(canceled.order_numbers)
    return f"{wanted.unit}: {orders} was canceled; {act.who.name} has the replacement ordered again. {CLEARS}"


def _pay_instead(connection: Connection, wanted: kinds.PayInstead, act: Act) -> str:
    paid = approvals.pay_instead(connection, act.signed(wanted.why), wanted.unit)
    units = ", ".join(one.return_item_id for one in paid)
    return f"{units}: {act.who.name} has the money refunded instead, on Return {paid[0].centra_return_id}. {CLEARS}"


# ---------------------------------------------------------------- months


def _close(connection: Connection, wanted: kinds.Close, act: Act) -> str:
    closing.close(
        connection, wanted.month, act.now, by=act.who.name, policy_sha256=act.policy_sha256, accept=wanted.accept or None,
        cost_file=act.settings.home / cost_intake.NAME, recorder=identities.recorder(act.settings, act.who),
    )  # fmt: skip
    return f"{wanted.month} is closed by {act.who.name}."


def _reopen(connection: Connection, wanted: kinds.Reopen, act: Act) -> str:
    closing.reopen(
        connection, wanted.month, act.now, by=act.who.name, why=wanted.why,
        recorder=identities.recorder(act.settings, act.who),
    )  # fmt: skip
    return f"{wanted.month} is open again; its signatures are void."


def _sign(connection: Connection, wanted: kinds.Sign, act: Act) -> str:
    compute(connection, wanted.month, act.now, policy_sha256=act.policy_sha256)
    closing.sign(
        connection, wanted.month, act.now, role=wanted.role, by=act.who.name, comment=wanted.comment or None,
        recorder=identities.recorder(act.settings, act.who), content_sha256=wanted.content_sha256,
    )  # fmt: skip
    return f"{act.who.name} has signed {wanted.month} as {wanted.role}."


# ---------------------------------------------------------------- files


@makes("operations.documents", "One row per supporting document that a person added.", kind="people")
def _document(connection: Connection, wanted: kinds.AddDocument, act: Act) -> str:
    decision_files.load(act.settings, wanted.sha256)
    connection.execute(
        "insert into operations.documents (document_id, sha256, file_name, media_type, bytes, title, month, exception_id,"
        " added_by, user_id, added_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            act.decision_id, wanted.sha256, wanted.file_name, wanted.media_type, wanted.bytes, wanted.title or None,
            wanted.month, wanted.exception_id, act.who.name, act.who.user_id, act.now,
        ],
    )  # fmt: skip
    return f"{wanted.file_name} was added to {wanted.month or wanted.exception_id} by {act.who.name}."


def _workbook(_connection: Connection, wanted: kinds.TakeWorkbook, act: Act) -> str:
    """Handed to the folder that the reconciliation reads, under the decision's id: twice, it is the same file."""
    content = decision_files.load(act.settings, wanted.sha256)
    folder = act.settings.workbooks
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / f".{act.decision_id}.part"
    part.write_bytes(content)
    part.replace(folder / f"uploaded-{act.decision_id}.xlsx")
    return f"{wanted.file_name}: handed in by {act.who.name}. The next sync imports its notes."


_ACTS: Mapping[str, Callable[[Connection, Any, Act], str]] = {
    "note": _note, "assign": _assign, "approve": _approve, "adopt": _adopt, "tie": _tie, "raise": _raise,
    "reorder": _reorder, "pay_instead": _pay_instead, "close": _close, "reopen": _reopen, "sign": _sign,
    "workbook": _workbook, "document": _document,
}  # fmt: skip
