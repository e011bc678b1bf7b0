"""The month's workbook: twelve sheets, formatted for reading and printing. The same tables give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlsxwriter

from hr_centra_pipeline.core import months
from hr_centra_pipeline.core.exception_kinds import COUNTERPARTS, EXCEPTION_KINDS, REPORTED_BY_CENTRA
from hr_centra_pipeline.publishing.content import Content, Row
from hr_centra_pipeline.publishing.sheet import HEADER_ROW, Book, Column, Sheet, columns
from hr_centra_pipeline.reconciliation.notes import DECISIONS
from hr_centra_pipeline.warehouse.tables.reconciliation_tables import AGE_BUCKETS

SUMMARY, ROLLFORWARD, LIABILITY, GOODS = "1 Summary", "2 Roll-forward", "3 Refund liability", "4 Goods in transit"
OPEN_ITEMS, MISMATCHES, ORPHANS = "5 Open items", "6 Refund mismatches", "7 Orphans"
EXCHANGES, LATE, ADJUSTMENTS = "8 Exchanges", "9 Late items", "10 Adjustments"
SIGN_OFF, ABOUT = "11 Sign-off", "12 About"
INPUTS = ("Note", "Decision", "By")
"""The columns of the open items that people fill in."""
EXCEPTION, CHECK = "Exception", "Check"
"""The column that names an open item, and the hidden one by which its row is known again."""


def write_workbook(content: Content, path: Path) -> None:
    """Write the workbook to a new file."""
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(str(path), options) as workbook:
        workbook.set_properties(
            {
                "title": f"Returns, month end {content.month}",
                "subject": "Happy Returns to Centra",
                "author": "hr-centra",
                "created": content.cut_off.astimezone(UTC).replace(tzinfo=None),
            }
        )
        workbook.set_size(2400, 1400)
        book = Book(workbook)
        for name, write in _SHEETS.items():
            write(Sheet(book, workbook.add_worksheet(name), name, content.month), content)


# ---------------------------------------------------------------- 1

_SUMMARY = columns(
    """
    Currency                   | currency                | 10 | text
    Component                  | component               | 14 | text
    Expected by policy         | expected_amount         | 13 | money
    Happy Returns              | happy_returns_amount    | 13 | money
    Centra                     | centra_amount           | 13 | money
    Payment provider           | provider_amount         | 13 | money
    Happy Returns − Centra     | difference              | 13 | money
    Explained                  | explained_amount        | 13 | money
    Within tolerance           | within_tolerance_amount | 11 | money
    Unexplained                | unexplained_amount      | 12 | alarm
    Expected − Centra          | expected_difference     | 13 | money
    Expected: explained        | expected_explained_amount        | 13 | money
    Expected: within tolerance | expected_within_tolerance_amount | 11 | money
    Expected: unexplained      | expected_unexplained_amount      | 12 | alarm
    Provider − Centra          | provider_difference     | 13 | money
    Provider: explained        | provider_explained_amount        | 13 | money
    Provider: within tolerance | provider_within_tolerance_amount | 11 | money
    Provider: unexplained      | provider_unexplained_amount      | 12 | alarm
    Explained (returns)        | explained_count         | 10 | count
    Within tolerance (returns) | within_tolerance_count  | 10 | count
    Unexplained (returns)      | unexplained_count       | 12 | alarm
    Unexplained, worst of any two sides | worst_unexplained_amount | 14 | alarm
    Centra, month before       | before                  | 13 | money
    Change                     | change                  | 13 | money
    Change %                   | percent                 | 9  | right
    Status                     | status                  | 13 | status
    """
)
_CONTENTS = {
    ROLLFORWARD: "what was open, what was added, what was resolved, what is open at the end",
    LIABILITY: "what is owed to shoppers at the cut-off, and each return behind it",
    GOODS: "units that are not in stock again at the cut-off, by stage and age",
    OPEN_ITEMS: "every open exception: whose it is, since when, what to do; three yellow columns to fill in",
    MISMATCHES: "every return whose sides differ, with the four amounts",
    ORPHANS: "one side without the other, in both directions",
    EXCHANGES: "exchanges of the month, and those that are not finished",
    LATE: "facts of closed months that turned up afterwards, with their effect",
    ADJUSTMENTS: "differences within the tolerance, and those that repeat",
    SIGN_OFF: "who closed and signed, and what the signatures cover",
    ABOUT: "every file and query behind these figures, and what is missing",
}


def _summary(sheet: Sheet, content: Content) -> None:
    what = (
        "What was refunded, by currency and component, as each side reports it. "
        "Compared return by return, never on totals alone: each figure is the sum of its rows in refund_differences.csv, "
        "of which sheet 6 has those that differ."
    )
    end = "the whole month" if content.is_over else f"until {content.cut_off:%Y-%m-%d %H:%M}, the month is not over"
    standing = f"Data: {end}. State: {content.certificate.standing}. Times are UTC."
    sheet.begin("Month end", what, _SUMMARY, third_line=standing)
    sheet.table(_SUMMARY, summary_rows(content), filters=False, empty="No refund of this month is known.")
    sheet.heading("The other sheets")
    for name, told in _CONTENTS.items():
        sheet.link(sheet.row, 0, name, name)
        sheet.row += 1
        sheet.quiet(told, column=2)


_SUMMED = (
    "expected_amount", "happy_returns_amount", "centra_amount", "provider_amount", "before", "change",
    "difference", "explained_amount", "within_tolerance_amount", "unexplained_amount",
    "expected_difference", "expected_explained_amount", "expected_within_tolerance_amount", "expected_unexplained_amount",
    "provider_difference", "provider_explained_amount", "provider_within_tolerance_amount", "provider_unexplained_amount",
    "explained_count", "within_tolerance_count", "unexplained_count", "worst_unexplained_amount",
)  # fmt: skip
_COMPONENTS = ("items", "tax", "shipping", "fee", "exchange")


def summary_rows(content: Content) -> Iterator[Row]:
    """Rows of the first sheet: each component next to the month before, then the total of its currency."""
    before = {
        (row["currency"], row["component"]): row["centra_amount"]
        for row in content.rows("month_end", where="not is_late", month=months.before(content.month))
    }
    by_currency: dict[str, list[Row]] = {}
    for row in content.rows("month_end"):
        earlier = Decimal(0) if row["is_late"] else before.pop((row["currency"], row["component"]), Decimal(0))
        by_currency.setdefault(row["currency"], []).append(
            {
                **row,
                **_change(earlier, row["centra_amount"]),
                "status": row["status"].replace("_", " "),
                "part": row["component"],
                "component": f"{row['component']} (late)" if row["is_late"] else row["component"],
                "_link component": (LATE if row["is_late"] else MISMATCHES, "A1"),
            }
        )
    for (currency, component), earlier in before.items():
        gone = {"currency": currency, "component": component, "part": component, "is_late": False}
        by_currency.setdefault(currency, []).append({**gone, **_change(earlier, Decimal(0))})
    for currency, rows in sorted(by_currency.items()):
        yield from sorted(rows, key=lambda row: (row["is_late"], _COMPONENTS.index(row["part"])))
        total: Row = {"currency": currency, "component": "total", "_total": True}
        for name in _SUMMED:
            values = [row[name] for row in rows if row.get(name) is not None]
            total[name] = sum(values[1:], values[0]) if values else None
        yield total


def _change(earlier: Decimal, now: Decimal) -> Row:
    change = now - earlier
    return {
        "before": earlier, "change": change, "percent": f"{100 * change / abs(earlier):+.0f} %" if earlier else None,
    }  # fmt: skip


# ---------------------------------------------------------------- 2

_ROLLFORWARD = columns(
    """
    Kind                | kind                | 30 | text
    Owner               | owner_team          | 17 | text
    Currency            | currency            | 9  | text
    Opening             | opening_count       | 9  | count
    Opening amount      | opening_amount      | 13 | money
    New                 | new_count           | 8  | count
    New amount          | new_amount          | 13 | money
    Resolved            | resolved_count      | 9  | count
    Resolved amount     | resolved_amount     | 13 | money
    of which written off | written_off_count  | 10 | count
    Written off amount  | written_off_amount  | 12 | money
    Written off by      | written_off_by      | 16 | text
    Reclassified        | reclassified_count  | 11 | count
    Reclassified amount | reclassified_amount | 13 | money
    Closing             | closing_count       | 9  | count
    Closing amount      | closing_amount      | 13 | money
    Ties to prior       | ties_prior          | 8  | status
    Ties to sheet 5     | ties_open           | 8  | status
    """
)


def _rollforward(sheet: Sheet, content: Content) -> None:
    what = (
        "Opening + new − resolved + reclassified = closing, by kind, owner and currency. "
        "Reclassified: became another kind or owner, or its amount changed."
    )
    sheet.begin("Roll-forward of exceptions", what, _ROLLFORWARD)
    sheet.table(_ROLLFORWARD, rollforward_rows(content), empty="No open items.")
    for text in content.report.breaks:
        sheet.line("Does not tie", text, font_color="#9C1C1C")


def rollforward_rows(content: Content) -> Iterator[Row]:
    """Rows of the second sheet, with what they tie to."""

    def key(row: Row) -> tuple[Any, ...]:
        return (row["kind"], row["owner_team"], row["currency"])

    before = {
        key(row): (row["closing_count"], row["closing_amount"])
        for row in content.rows("rollforward", month=months.before(content.month))
    }
    is_first = not before
    nothing = (0, Decimal(0))
    open_items: dict[tuple[Any, ...], tuple[int, Decimal]] = {}
    place: dict[str, int] = {}
    for number, row in enumerate(content.rows("open_items", order="kind")):
        count, amount = open_items.get(key(row), nothing)
        open_items[key(row)] = (count + 1, amount + (row["amount"] or Decimal(0)))
        place.setdefault(row["kind"], number)
    for row in content.rows("rollforward"):
        opening = (row["opening_count"], row["opening_amount"])
        closing = (row["closing_count"], row["closing_amount"])
        has_items = row["kind"] != "before_cutover"
        yield {
            **row,
            "ties_prior": "✓" if is_first or opening == before.get(key(row), nothing) else "✗",
            "ties_open": ("✓" if closing == open_items.get(key(row), nothing) else "✗") if has_items else None,
            "_link kind": (OPEN_ITEMS, f"A{HEADER_ROW + 2 + place[row['kind']]}") if row["kind"] in place else None,
        }


# ---------------------------------------------------------------- 3, 4

_LIABILITY = columns(
    """
    Currency                    | currency                    | 14 | text
    Opening                     | opening_amount              | 14 | money
    Became refundable           | became_refundable_amount    | 14 | money
    Paid                        | paid_amount                 | 14 | money
    Failed or reversed          | failed_amount               | 14 | money
    Closing                     | closing_amount              | 14 | money
    of which not credited       | closing_not_credited_amount | 16 | money
    of which credited, not paid | closing_credited_amount     | 16 | money
    Returns behind it           | closing_count               | 10 | count
    Credited in the month       | credited_amount             | 14 | money
    """
)
_OWED = columns(
    """
    Return     | return_id         | 12 | text
    Order      | order_number      | 12 | text
    Currency   | currency          | 12 | text
    Refundable | refundable_amount | 12 | money
    Credited   | credited_amount   | 12 | money
    Paid       | paid_amount       | 12 | money
    Balance    | balance           | 12 | money
    Since      | since             | 16 | instant
    """
)


def _liability(sheet: Sheet, content: Content) -> None:
    what = (
        "Opening + became refundable − paid + failed = closing: what is owed to shoppers. "
        "Exchanges owe goods and are left out, unless the money was refunded instead."
    )
    sheet.begin("Refund liability", what, _LIABILITY, is_one_table=False)
    sheet.table(_LIABILITY, content.rows("refund_liability"), filters=False, freeze=False)
    sheet.heading("Returns whose balance is not zero at the cut-off")
    rows = content.rows("refund_liability_returns", order="currency, abs(balance) desc")
    sheet.table(_OWED, rows, freeze=False, empty="None: it clears to zero.")


_GOODS = columns(
    """
    Stage                    | stage              | 20 | text
    Age in days              | age_bucket         | 11 | text
    Currency                 | currency           | 10 | text
    Units                    | units              | 12 | count
    Selling value            | selling_value      | 14 | money
    Cost                     | cost               | 18 | money
    Units without cost       | units_without_cost | 14 | count
    Refunded before received | refunded_units     | 14 | count
    Their value              | refunded_value     | 14 | money
    Oldest                   | oldest_at          | 16 | instant
    ·                        | ·                  | 16 | text
    """
)
_UNITS = columns(
    """
    Stage         | stage          | 20 | text
    Age in days   | age_days       | 11 | count
    Currency      | currency       | 10 | text
    Selling value | selling_value  | 12 | money
    Cost          | cost           | 14 | money
    SKU           | sku            | 18 | text
    Unit          | return_item_id | 14 | text
    Return        | return_id      | 14 | text
    Order         | order_number   | 14 | text
    Since         | since          | 16 | instant
    Credited      | credited_at    | 16 | instant
    """
)
_STAGES = (
    "list_position(['not_handed_over', 'on_its_way', 'at_bar', 'at_hub', 'outbound', 'arrived_not_booked'], stage)"
)
_AGES = f"list_position({list(AGE_BUCKETS)}, age_bucket)"


def _goods(sheet: Sheet, content: Content) -> None:
    what = (
        "Units that were handed over or credited and are not in stock again at the cut-off. "
        "Selling value with tax, less vouchers; cost where costs.csv has it."
    )
    sheet.begin("Goods in transit", what, _GOODS, is_one_table=False)
    summed = content.rows("goods_in_transit", order=f"{_STAGES}, {_AGES}")
    sheet.table(_GOODS[:-1], _spoken(summed), filters=False, freeze=False, empty="Every unit is in stock again.")
    sheet.heading("The units")
    rows = content.rows("goods_in_transit_units", order=f"{_STAGES}, age_days desc")
    sheet.table(_UNITS, _spoken(rows), freeze=False, empty="None.")


def _spoken(rows: Iterable[Row]) -> Iterator[Row]:
    return ({**row, "stage": str(row["stage"]).replace("_", " ")} for row in rows)


# ---------------------------------------------------------------- 5, 6, 7

_ITEM = columns(
    """
    Kind          | kind         | 28 | text
    Owner         | owner_team   | 16 | text
    Currency      | currency     | 9  | text
    Amount        | amount       | 12 | money
    Return        | return_id    | 13 | text
    Order         | order_number | 12 | text
    Opened        | opened_at    | 15 | instant
    Age in days   | age_days     | 7  | count
    Overdue       | is_overdue   | 9  | bad
    What is wrong | detail       | 46 | words
    What to do    | next_step    | 46 | words
    """
)
_ENTERED = columns(
    f"""
    {INPUTS[0]} | note     | 34 | input
    {INPUTS[1]} | decision | 15 | input
    {INPUTS[2]} | noted_by | 14 | input
    """
)
_CODED = columns(
    f"""
    Due           | due_at       | 15 | instant
    Age           | age_bucket   | 8  | text
    Carried from  | carried_from | 10 | text
    Class         | class        | 17 | text
    Cause         | cause        | 16 | text
    Who deviates  | culprit      | 14 | text
    Unit          | return_item_id | 14 | text
    SKU           | sku          | 18 | text
    {EXCEPTION}   | exception_id | 19 | text
    Evidence      | evidence     | 40 | text
    {CHECK}       | check        | 18 | hidden
    """
)


def _open_items(sheet: Sheet, content: Content) -> None:
    what = (
        "Fill in the three yellow columns, save, and drop the file into the folder workbooks: "
        "the next sync imports the notes. Nothing else is read."
    )
    shape = [*_ITEM, *_ENTERED, *_CODED]
    sheet.begin("Open items", what, shape)
    decision = len(_ITEM) + 1
    sheet.sheet.data_validation(
        HEADER_ROW + 1, decision, HEADER_ROW + 100_000, decision,
        {
            "validate": "list", "source": list(DECISIONS), "error_title": "Decision",
            "error_message": f"One of {', '.join(DECISIONS)}, or leave it empty.",
        },
    )  # fmt: skip
    rows = content.rows("open_items", order="kind")
    sheet.table(shape, ({**row, "check": content.check_of(row["exception_id"])} for row in rows), empty="None.")
    if content.report.dry_run_items:
        sheet.heading(
            "Open only because nothing was sent (dry run): in no other figure, and nothing to do before going live"
        )
        sheet.table(_ITEM[:-1], content.rows("open_in_dry_run", order="kind"), filters=False, freeze=False)
    sheet.sheet.print_area(0, 0, sheet.row, len(_ITEM) + len(_ENTERED) - 1)


_MISMATCHES = columns(
    """
    Return                 | return_id            | 13 | text
    Order                  | order_number         | 12 | text
    Component              | component            | 11 | text
    Currency               | currency             | 9  | text
    Late                   | late                 | 6  | text
    Expected by policy     | expected_amount      | 13 | money
    Happy Returns          | happy_returns_amount | 13 | money
    Centra                 | centra_amount        | 13 | money
    Payment provider       | provider_amount      | 13 | money
    Happy Returns − Centra | difference           | 13 | money
    Explained              | explained_amount     | 12 | money
    Within tolerance       | within_tolerance_amount     | 11 | money
    Unexplained            | unexplained_amount          | 12 | money
    Expected − Centra      | expected_difference         | 13 | money
    Expected: explained    | expected_explained_amount   | 12 | money
    Expected: within tolerance | expected_within_tolerance_amount | 11 | money
    Expected: unexplained  | expected_unexplained_amount | 12 | money
    Provider − Centra      | provider_difference         | 13 | money
    Provider: explained    | provider_explained_amount   | 12 | money
    Provider: within tolerance | provider_within_tolerance_amount | 11 | money
    Provider: unexplained  | provider_unexplained_amount | 12 | money
    Unexplained, worst of any two sides | worst_unexplained_amount | 14 | money
    Who deviates           | culprit              | 14 | text
    Verdict                | verdict              | 16 | status
    Explained by           | explained_by         | 22 | text
    Tolerance used         | tolerance_used       | 11 | money
    Since                  | since                | 15 | instant
    """
)


def _mismatches(sheet: Sheet, content: Content) -> None:
    what = (
        "Returns whose sides differ in the month, by component: the rows behind sheet 1. The worst difference of any two sides "
        "decides. An open exception explains nothing."
    )
    sheet.begin("Refund mismatches", what, _MISMATCHES)
    sheet.table(_MISMATCHES, mismatch_rows(content), empty="All sides agree.")


def mismatch_rows(content: Content) -> Iterator[Row]:
    """Rows of the sixth sheet: what is left comes first."""
    order = "is_explained, within_tolerance, currency, abs(difference) desc"
    for row in content.rows("refund_differences", where="verdict is distinct from 'agrees'", order=order):
        verdict = "within tolerance" if row["within_tolerance"] else "does not tie"
        explained_by = (row["explained_by"] or "").replace("_", " ") or None
        yield {
            **row, "verdict": "explained" if row["is_explained"] else verdict, "explained_by": explained_by,
            "late": "late" if row["is_late"] else None,
        }  # fmt: skip


_COUNTERPARTS = {name: kind.counterpart for name, kind in EXCEPTION_KINDS.items() if kind.counterpart}
_FROM_CENTRA = tuple(name for name, missing in _COUNTERPARTS.items() if missing in REPORTED_BY_CENTRA)
_ORPHAN = (
    columns(
        """
    Direction       | direction | 27 | text
    What is missing | missing   | 30 | text
    """
    )
    + _ITEM
)


def _orphans(sheet: Sheet, content: Content) -> None:
    what = "One side without the other: what Happy Returns reports and Centra does not have, and the reverse."
    sheet.begin("Orphans", what, _ORPHAN)
    rows = (
        {
            **row,
            "missing": COUNTERPARTS[_COUNTERPARTS[row["kind"]]],
            "direction": f"{' → '.join(_ends(row['kind']))}",
        }
        for row in content.rows(
            "open_items", where=f"kind in {tuple(_COUNTERPARTS)}", order=f"kind in {_FROM_CENTRA}, kind"
        )
    )
    sheet.table(_ORPHAN, rows, empty="None: each record has its counterpart.")


def _ends(kind: str) -> tuple[str, str]:
    return ("Centra", "Happy Returns") if kind in _FROM_CENTRA else ("Happy Returns", "Centra")


# ---------------------------------------------------------------- 8, 9, 10

_EXCHANGES = columns(
    """
    Unit               | return_item_id           | 14 | text
    Return             | return_id                | 13 | text
    Order              | order_number             | 12 | text
    Root order         | root_order_number        | 12 | text
    Chain              | chain_depth              | 7  | count
    Comes back         | sku                      | 18 | text
    Replacement        | exchange_sku             | 18 | text
    Class              | exchange_class           | 13 | text
    Currency           | currency                 | 9  | text
    Price              | unit_price               | 11 | money
    Price difference   | price_difference         | 11 | money
    Difference settled | is_settled               | 10 | text
    Approved           | approved_at              | 15 | instant
    Replacement order  | replacement_order_number | 13 | text
    Shipped            | is_shipped               | 9  | text
    Refunded instead   | is_refunded              | 10 | text
    Item back          | is_back                  | 9  | text
    """
)


def _exchanges(sheet: Sheet, content: Content) -> None:
    what = (
        "Approved in the month, or not finished at the cut-off. "
        "Root order: where the chain of exchanges began, and the money was paid."
    )
    sheet.begin("Exchanges", what, _EXCHANGES)
    sheet.table(_EXCHANGES, content.rows("month_exchanges"), empty="No exchanges.")


_LATE = columns(
    """
    Belongs to           | of_month            | 11 | text
    Reported by          | source              | 15 | text
    Fact                 | fact_id             | 34 | text
    Component or kind    | component           | 28 | text
    Return               | return_id           | 13 | text
    Order                | order_number        | 12 | text
    Currency             | currency            | 9  | text
    Effect on that month | effect              | 13 | money
    Happened             | happened_at         | 15 | instant
    Learnt               | recorded_at         | 15 | instant
    Beyond tolerance     | is_beyond_tolerance | 11 | bad
    """
)


def _late(sheet: Sheet, content: Content) -> None:
    what = (
        "Facts of closed months that became known after their close. They are part of this month; "
        "beyond the tolerance the old month is no longer certified."
    )
    sheet.begin("Late items", what, _LATE)
    sheet.table(_LATE, content.rows("late_items"), empty="None.")


_ADJUSTMENTS = columns(
    """
    Return         | return_id            | 13 | text
    Order          | order_number         | 12 | text
    Component      | component            | 12 | text
    Currency       | currency             | 10 | text
    Expected by policy | expected_amount  | 13 | money
    Happy Returns  | happy_returns_amount | 13 | money
    Centra         | centra_amount        | 13 | money
    Payment provider | provider_amount    | 13 | money
    Happy Returns − Centra | difference   | 12 | money
    Within tolerance | within_tolerance_amount | 12 | money
    Tolerance used | tolerance_used       | 12 | money
    Returns with the very same difference | repeats | 18 | count
    """
)
_REPEATED = columns(
    """
    Currency   | currency   | 12 | text
    Component  | component  | 12 | text
    Difference | difference | 12 | money
    Returns    | repeats    | 10 | count
    Together   | amount     | 12 | money
    """
)


def _adjustments(sheet: Sheet, content: Content) -> None:
    what = "Small differences within the policy's tolerance, listed so that they can be counted."
    sheet.begin("Adjustments by tolerance", what, _ADJUSTMENTS, is_one_table=False)
    passed = content.rows(
        "refund_differences", where="within_tolerance and not is_explained", order="currency, component, difference"
    )
    sheet.table(_ADJUSTMENTS, passed, empty="None.")
    sheet.heading(
        "Differences that repeat: one sign, one amount, three returns or more. Usually one rule, not many errors."
    )
    repeated = content.ask(
        """
        select currency, component, difference, count(*) as repeats, sum(difference) as amount
        from month_end.refund_differences
        where month = $month and difference <> 0 and not is_explained
        group by currency, component, difference having count(*) >= 3
        order by repeats desc, currency, component, difference
        """,
        {"month": content.month},
    )
    sheet.table(_REPEATED, repeated, filters=False, freeze=False, empty="None.")


# ---------------------------------------------------------------- 11, 12

_SIGN_OFF = [Column("", "", width) for width in (32, 30, 20, 44, 10)]
_SIGNATURES = columns(
    """
    Role    | role    | 12 | text
    Name    | by      | 40 | text
    Signed  | at      | 20 | instant
    Comment | comment | 44 | words
    """
)
_MOVED = columns(
    """
    Component or kind   | component | 28 | text
    Reported by         | source    | 12 | text
    Currency            | currency  | 9  | text
    Effect on the month | amount    | 14 | money
    Facts               | facts     | 8  | count
    """
)
_VIOLATIONS = columns(
    """
    Kind     | kind       | 28 | text
    Owner    | owner_team | 12 | text
    Currency | currency   | 9  | text
    Amount   | amount     | 14 | money
    Items    | items      | 8  | count
    """
)


def _sign_off(sheet: Sheet, content: Content) -> None:
    certificate = content.certificate
    what = "Who closed the month and who signed it. A signature covers the hash of the frozen tables."
    sheet.begin("Sign-off", what, _SIGN_OFF, is_one_table=False)
    sheet.line("Month", content.month, bold=True)
    sheet.line("State", certificate.standing, bold=True)
    sheet.line("Status of its figures", content.status)
    if certificate.closed_at is not None:
        sheet.line("Closed", f"{certificate.closed_at:%Y-%m-%d %H:%M} UTC by {certificate.closed_by}")
        sheet.line("Accepted as it is, because", certificate.accepted or "–")
        sheet.line("Hash of the frozen tables", certificate.content_sha256 or "")
        sheet.line("Hash of their sources", certificate.sources_sha256 or "")
    sheet.heading("Signatures")
    signatures = [{**vars(one), "by": one.signer} for one in certificate.signatures]
    sheet.table(_SIGNATURES, signatures, filters=False, freeze=False, empty="Not signed yet.")
    if certificate.moved:
        sheet.heading("Changed after the close, beyond the tolerance: no longer certified")
        sheet.table(_MOVED, [vars(one) for one in certificate.moved], filters=False, freeze=False)
    sheet.heading("Open violations: overdue at the cut-off")
    violations = content.ask(
        """
        select owner_team, kind, currency, sum(coalesce(amount, 0)) as amount, count(*) as items
        from month_end.open_items where month = $month and is_overdue
        group by owner_team, kind, currency order by owner_team, kind, currency
        """,
        {"month": content.month},
    )
    sheet.table(_VIOLATIONS, violations, filters=False, freeze=False, empty="None.")


_ABOUT = columns(
    """
    Source          | source        | 42 | text
    Brings          | source_kind   | 11 | text
    Covered         | is_covered    | 9  | covered
    What is missing | problem       | 34 | words
    Rows read       | rows_read     | 10 | count
    Rejected        | rows_rejected | 9  | count
    Repeated        | rows_repeated | 9  | count
    Landed          | rows_landed   | 10 | count
    Sum by currency | sums          | 34 | words
    Covers from     | covers_from   | 15 | instant
    Covers to       | covers_to     | 15 | instant
    Received        | received_at   | 15 | instant
    Times           | time_zone     | 28 | text
    Parameters      | parameters    | 40 | text
    SHA-256         | file_sha256   | 30 | text
    Program         | code_version  | 20 | text
    Policy          | policy_sha256 | 20 | text
    """
)


def _about(sheet: Sheet, content: Content) -> None:
    what = (
        "Every file and query about the month: rows read = landed + repeated + rejected. "
        "A month is not clean while anything is not covered."
    )
    sheet.begin("About these figures", what, _ABOUT)
    rows = content.rows("control_totals", order="is_covered, source_kind = 'query' desc")
    sheet.table(_ABOUT, rows, empty="Nothing was read.")


_SHEETS = {
    SUMMARY: _summary,
    ROLLFORWARD: _rollforward,
    LIABILITY: _liability,
    GOODS: _goods,
    OPEN_ITEMS: _open_items,
    MISMATCHES: _mismatches,
    ORPHANS: _orphans,
    EXCHANGES: _exchanges,
    LATE: _late,
    ADJUSTMENTS: _adjustments,
    SIGN_OFF: _sign_off,
    ABOUT: _about,
}
