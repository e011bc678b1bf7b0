"""A settlement file next to its own total: its lines have to add up to what it says they sum to."""

from __future__ import annotations

from decimal import Decimal

from hr_centra_pipeline.core.money import minor_units
from hr_centra_pipeline.sources.payouts.settlement_reading import Settlement, exact
from hr_centra_pipeline.warehouse.database import Connection


def total_problem(connection: Connection, read: Settlement) -> str | None:
    """Why a file's lines are not what it says they sum to; ``None``: they are, or the layout has no total."""
    match read.profile.total.rule:
        case "balances":
            rows = connection.execute(
                """
                select payout_id, account, settlement_currency, sum(net_amount) from payout_rows
                where settlement_currency is not null group by all having sum(net_amount) <> 0 order by all
                """
            ).fetchall()
            several = len({(payout, account) for payout, account, *_ in rows}) > 1
            told = [
                f"payout {payout}{f' of {account}' if account and several else ''} is off by"
                f" {abs(amount).normalize():f} {currency}"
                for payout, account, currency, amount in rows
            ]
        case "footer":
            told = _footer_problems(connection, read)
        case "summary":
            told = _summary_problems(connection, read)
        case _:
            told = []
    if not told:
        return None
    bad = len(read.cut.bad) + count(connection, "select count(*) from payout_rows where problem is not null")
    unread = f" ({bad} lines cannot be read)" if bad else ""
    return f"its lines do not add up to its own total: {'; '.join(told[:3])}{unread}"


def _footer_problems(connection: Connection, read: Settlement) -> list[str]:
    if not read.footers:
        return [f"it has no record {read.profile.records.total if read.profile.records else ''} with its totals"]
    found = {
        row[0]: dict(zip(("gross_credits", "gross_debits", "fee_credits", "fee_debits"), row[1:], strict=True))
        for row in connection.execute(
            """
            select currency,
                coalesce(sum(gross_amount) filter (where gross_amount > 0), 0),
                coalesce(-sum(gross_amount) filter (where gross_amount < 0), 0),
                coalesce(sum(fee_amount) filter (where fee_amount > 0), 0),
                coalesce(-sum(fee_amount) filter (where fee_amount < 0), 0)
            from payout_rows where currency is not null group by currency
            """
        ).fetchall()
    }
    told = []
    for currency in sorted({*found, *read.footers}):
        sums = found.get(currency, {})
        for name, amount in read.footers.get(currency, {"gross_credits": Decimal(0)}).items():
            ours = sums.get(name, Decimal(0))
            if ours != amount:
                words = name.replace("_", " ")
                told.append(f"{words} {ours.normalize():f} {currency}, its total says {amount.normalize():f}")
    return told


def _summary_problems(connection: Connection, read: Settlement) -> list[str]:
    """Where the block above the header is about all lines, and in their currency: what it says other than they do."""
    total = read.profile.total
    if total.when is not None and read.told_above(total.when) not in (None, *total.is_one_of):
        return []
    row = connection.execute(
        """
        select coalesce(sum(gross_amount), 0), any_value(settlement_currency),
            coalesce(bool_and(currency is null or currency = settlement_currency), true)
        from payout_rows
        """
    ).fetchone()
    said = read.told_above(total.amount)
    if said is None:
        return [f"it has no {total.amount} above its header"]
    amount, currency, is_comparable = row or (Decimal(0), None, True)
    if not is_comparable:
        return []
    whole = exact(said.strip(), read.profile.money.decimal)
    if whole is None:
        return [f"its {total.amount} is not an amount: {said[:40]}"]
    if read.profile.money.smallest_units:
        whole = whole.scaleb(-minor_units(currency or ""))
    if amount == whole:
        return []
    return [f"{amount.normalize():f} {currency or ''}, its {total.amount} says {said[:40]}"]


def count(connection: Connection, query: str) -> int:
    """The one number that a query answers."""
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
