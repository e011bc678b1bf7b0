"""Rows and files of payment providers, changed at random: each is landed, quarantined or refused by name, and nothing stops."""

from __future__ import annotations

import csv
import gzip
import io
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.sources.payouts import settlement_staging
from hr_centra_pipeline.sources.payouts.settlement_intake import ingest_payouts
from hr_centra_pipeline.sources.payouts.settlement_profiles import load_payout_profiles
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import NOW, LedgerFixture
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY

ROWS = 50  # of a file
_CARD = (
    "Merchant Account", "Psp Reference", "Merchant Reference", "Creation Date", "TimeZone", "Type", "Modification Reference",
    "Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)", "Net Currency", "Net Debit (NC)", "Net Credit (NC)", "Batch Number",
)  # fmt: skip
_WALLET = (
    "Transaction ID", "Invoice ID", "PayPal Reference ID", "Transaction Event Code", "Transaction Completion Date",
    "Transaction Debit or Credit", "Gross Transaction Amount", "Gross Transaction Currency", "Fee Debit or Credit", "Fee Amount",
    "Fee Currency",
)  # fmt: skip
_INVOICE = (
    "type", "capture_date", "order_id", "merchant_reference1", "amount", "posting_currency", "refund_id", "detailed_type",
)  # fmt: skip
_ONLINE = (
    "automatic_payout_id", "balance_transaction_id", "created_utc", "currency", "gross", "fee", "net", "reporting_category",
    "source_id", "customer_facing_amount", "customer_facing_currency", "charge_id", "payment_metadata[order_number]",
)  # fmt: skip
_ODD_TEXTS = (
    "", " ", "\x00", "\x1b[2J", "\u200b", "\u00a0", "\ufeff", "\u202e", "'", '"', '""', ",", ";", "\t", "\r", "\n", "\r\n", "\\",
    "%s",    "{}", "[/x]", "null", "NULL", "#N/A", "n/a", "NaN", "inf", "-", "+", "5.32494E+12", "1e400", "0x10", "٣", "½", "𝟙",
    "é" * 300,
    "a" * 5000, "9" * 40, "-0", "--1", "1,234.56", "1.234,56", "12.34567", "0.0000", "99999999999999.9999", "-999999999999.9999",
    "EUR", "eur", "Euro", "XXX", "JPY", "KWD", "Refunded", "refund", "CHARGEBACK", "T1107", "T9999", "RETURN", "DR", "cr", "PST",
    "2026-02-30", "0000-00-00 00:00:00", "9999-12-31 23:59:59", "2026-09-05T10:00:00Z", "2026-09-05 10:00:00 PST",
    "2026-09-05 10:00:00+99:00", "infinity", "epoch", "now", "10/09/2026", "1757066400", "'; drop table landing.payout_lines; --",
    "order by 1", "../../etc/passwd", "=cmd|' /C calc'!A0", "\ud800", "\U0010ffff",
)  # fmt: skip


def run(count: int, seed: int) -> Counter[str]:
    """Outcomes of ``count`` rows (of files of up to :data:`ROWS`), each counted once.

    Raises:
        AssertionError: a row or file is neither landed nor named, or one file stopped another.
        Exception: something came out of a stage.
    """
    chance = random.Random(seed)
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "payouts"
        folder.mkdir()
        warehouse = Warehouse(Path(scratch) / "warehouse.duckdb")
        migrate.prepare(warehouse)
        rows: dict[str, int] = {}
        while (left := count - sum(rows.values())) > 0:
            name, some, data = _file(chance, len(rows), min(left, ROWS))
            (folder / name).write_bytes(data)
            rows[name] = some
        profiles = load_payout_profiles(Path(scratch))
        with warehouse.kept_open():
            ingest_payouts(warehouse, str(folder), profiles, NOW)
            settlement_staging.refresh(warehouse, NOW, profiles)
            with warehouse.transaction() as connection:
                for name, some in rows.items():
                    found.update(_outcomes(connection, name, some))
                _reconciled(connection)
    assert found.total() == count
    return found


def _outcomes(connection: Connection, name: str, rows: int) -> Counter[str]:
    """What became of the rows of a file."""
    told = connection.execute(
        "select rows_read, rows_landed, rows_rejected, problem from landing.payout_files where source_file = ?", [name]
    ).fetchall()
    assert len(told) == 1, f"{name} is not named"
    read, landed, rejected, problem = told[0]
    named = connection.execute(
        "select count(*) filter (where source_line is not null), count(*), count(*) filter (where coalesce(reason, '') = '')"
        " from quarantine.rejected_rows where source_file = ?",
        [name],
    ).fetchone() or (0, 0, 0)
    good = connection.execute(
        "select count(*) from landing.payout_lines where source_file = ? and set_aside is null", [name]
    ).fetchone() or (0,)
    assert not named[2], f"{name}: set aside without a reason"
    if problem is not None:
        assert (bool(problem), named[1] >= 1, good[0]) == (True, True, 0), (
            f"{name}: refused, and not whole or not by name"
        )
        return Counter({f"refused: {problem.split(';')[0].split(' (')[0].split(':')[0][:60]}": rows})
    assert read == landed + rejected, f"{name}: {read} rows are not {landed} + {rejected}"
    assert (rejected, landed) == (named[0], good[0]), f"{name}: what is counted is not what is kept"
    reasons = connection.execute(
        "select coalesce(column_name, 'row') || ' ' || regexp_replace(regexp_extract(reason, '^[^:,]*'), '[0-9]+', 'n', 'g'),"
        " count(*) from quarantine.rejected_rows where source_file = ? group by all",
        [name],
    ).fetchall()
    # A change of bytes may make more rows or fewer of those that were written: they count as what most of the file became.
    outcomes = Counter({"landed": landed, **{f"quarantined: {reason[:60]}": number for reason, number in reasons}})
    whole: Counter[str] = Counter()
    for outcome, number in outcomes.most_common():
        whole[outcome] = min(number, rows - whole.total())
    whole["landed" if landed or not reasons else outcomes.most_common(1)[0][0]] += rows - whole.total()
    return +whole


def _reconciled(connection: Connection) -> None:
    """Plan and reconcile orders that the rows name: what was landed must not stop a later stage."""
    write_policy(connection, load_policy(EXAMPLE_POLICY).policy, "dry_run")
    ledger = LedgerFixture(connection)
    for number in ("1001", "1002", "1003"):
        ledger.sold(number)
        ledger.told(number, ledger.returned(number))
    ledger.credited("1001", ["1001-0"], 1001, reference="R-1001")
    ledger.reconcile(NOW)


# ---------------------------------------------------------------- files


def _file(chance: random.Random, number: int, rows: int) -> tuple[str, int, bytes]:
    maker = chance.choice((_card, _wallet, _invoice, _online))
    text = maker(chance, number, rows, _changed(chance, chance.choice((0.0, 0.002, 0.01, 0.1))))
    data = text.encode("utf-8", "surrogatepass")
    if chance.random() < 0.3:
        data = _damaged(chance, data)
    name = chance.choice(("batch_{}.csv", "STL-2026090{}.CSV", "[{}]*.csv", "%20 {}.csv", "é{}.txt")).format(number)
    if chance.random() < 0.1:
        packed = gzip.compress(data)
        data, name = packed[: chance.choice((len(packed), len(packed) // 2, 5))], f"{name}.gz"
    return name, rows, data


def _changed(chance: random.Random, often: float) -> Callable[[str], str]:
    def cell(text: str) -> str:
        if chance.random() >= often:
            return text
        odd = chance.choice(_ODD_TEXTS)
        return chance.choice((odd, text + odd, odd + text, text[: len(text) // 2] + odd + text[len(text) // 2 :]))

    return cell


def _damaged(chance: random.Random, data: bytes) -> bytes:
    place = chance.randrange(len(data) + 1)
    odd = chance.choice((b"\x00", b"\xff", b"\r", b'"', b"\n\n", b"\xef\xbb\xbf", b"\xe2\x80", b"\x1b", b"," * 50))
    return chance.choice(
        (
            data[:place], data[place:], data[:place] + odd + data[place:], data.replace(b"\n", b"\r"), data.replace(b"\n", b"\r\n"),
            b"\xef\xbb\xbf" + data, data.decode("utf-8", "replace").encode("utf-16"), data + data, b"", data.replace(b",", b";"),
            data.rstrip(b"\n"), odd + data,
        )
    )  # fmt: skip


def _written(header: tuple[str, ...], lines: list[list[str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return buffer.getvalue()


def _about(chance: random.Random) -> tuple[str, str, Decimal, datetime]:
    """Order, reference, amount, time."""
    order = chance.choice(("1001", "#1002", "1003", "77", ""))
    amount = Decimal(chance.choice((1, 100, 12500, 10**9, 10**12))) / 100
    return (
        order,
        f"R-{chance.randrange(5000)}",
        amount,
        datetime(2026, 9, 1, tzinfo=UTC) + timedelta(hours=chance.randrange(400)),
    )


def _card(chance: random.Random, number: int, rows: int, cell: Callable[[str], str]) -> str:
    types = (
        "Settled",
        "Refunded",
        "Chargeback",
        "ChargebackReversed",
        "RefundedReversed",
        "Fee",
        "Teleported",
        "SettledReversed",
    )
    lines, total = [], Decimal(0)
    for _ in range(max(0, rows - 1)):
        order, reference, amount, at = _about(chance)
        kind = chance.choice(types)
        out = kind not in ("Settled", "ChargebackReversed", "RefundedReversed")
        total += -amount if out else amount
        debit, credit = (str(amount), "") if out else ("", str(amount))
        lines.append(
            [
                "ShopA", f"P-{order}", order, f"{at:%Y-%m-%d %H:%M:%S}", "CEST", kind, reference, "EUR", debit, credit, "EUR",
                debit, credit, str(number),
            ]
        )  # fmt: skip
    side = [str(total), ""] if total >= 0 else ["", str(-total)]
    payout = [
        "ShopA",
        "",
        "",
        "2026-09-20 00:00:00",
        "CEST",
        "MerchantPayout",
        "out",
        "",
        "",
        "",
        "EUR",
        *side,
        str(number),
    ]
    # what is changed in an amount mostly makes the file refused: most changes are elsewhere
    amounts = {8, 9, 11, 12} if chance.random() < 0.8 else set()
    changed = [[text if place in amounts else cell(text) for place, text in enumerate(line)] for line in lines]
    return _written(_CARD, [*changed, payout])


def _wallet(chance: random.Random, number: int, rows: int, cell: Callable[[str], str]) -> str:
    lines, credits, debits = [], 0, 0
    for place in range(rows):
        order, _, amount, at = _about(chance)
        code = chance.choice(("T0006", "T1107", "T1201", "T1202", "T0400", "T2105", "T1199", "X"))
        out = code in ("T1107", "T1201", "T0400")
        cents = int(amount * 100)
        credits, debits = credits + (0 if out else cents), debits + (cents if out else 0)
        lines.append(
            [
                f"W-{number}-{place}", order, f"P-{order}", code, f"{at:%Y/%m/%d %H:%M:%S} +0000", "DR" if out else "CR",
                str(cents), "USD", "", "", "",
            ]
        )  # fmt: skip
    amounts = {5, 6, 7} if chance.random() < 0.8 else set()
    changed = [["SB", *(text if place in amounts else cell(text) for place, text in enumerate(line))] for line in lines]
    head = [["RH", "x", "A"], ["FH", "1"], ["SH", f"2026/09/{number % 28 + 1:02} 00:00:00 +0000", "x", "SHOP"]]
    return _written(("RF",), [*head, ["CH", *_WALLET], *changed, ["SF", "USD", str(credits), str(debits), "0", "0"]])


def _invoice(chance: random.Random, number: int, rows: int, cell: Callable[[str], str]) -> str:
    lines = []
    for _ in range(rows):
        order, reference, amount, at = _about(chance)
        kind = chance.choice(("SALE", "RETURN", "FEE", "REVERSAL", "REVERSAL_MERCHANT_PROTECTION", "CORRECTION", "NEW"))
        lines.append(
            [
                cell(text)
                for text in (kind, f"{at:%Y-%m-%dT%H:%M:%SZ}", f"P-{order}", order, str(amount), "EUR", reference, "x")
            ]
        )
    standing = chance.choice(("GROSS", "GROSS", "GROSS", "NET"))
    above = (
        f"payment_reference,payout_date,settlement_currency,merchant_id,merchant_settlement_type,total_settlement_amount\n"
        f"PAY-{number},2026-09-20,EUR,N1,{standing},{cell('10.00')}\n\n"
    )
    return above + _written(_INVOICE, lines)


def _online(chance: random.Random, number: int, rows: int, cell: Callable[[str], str]) -> str:
    lines = []
    for place in range(rows):
        order, reference, amount, at = _about(chance)
        kind = chance.choice(("charge", "refund", "refund_failure", "dispute", "dispute_reversal", "fee", "new_thing"))
        signed = -amount if kind in ("refund", "dispute", "fee") else amount
        seen = chance.choice(("eur", "sek"))
        lines.append(
            [
                cell(text)
                for text in (
                    f"po_{number}", f"txn_{number}_{place}", f"{at:%Y-%m-%d %H:%M:%S}", "eur", str(signed), "0.10", str(signed),
                    kind, reference, str(signed), seen, f"P-{order}", order,
                )
            ]
        )  # fmt: skip
    return _written(_ONLINE, lines)
