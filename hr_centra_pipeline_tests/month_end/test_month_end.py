from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline.warehouse.database import run_sql
from hr_centra_pipeline_tests.month_end.ledger_fixture import LedgerFixture
from hr_centra_pipeline_tests.staged import put


def month_end(ledger: LedgerFixture, month: str, component: str = "items", *, late: bool = False) -> dict[str, Any]:
    rows = ledger.rows(
        f"""
        from month_end.month_end
        where month = '{month}' and component = '{component}' and is_late = {late} and currency = 'EUR'
        """
    )
    assert len(rows) == 1, rows
    return rows[0]


def told(row: dict[str, Any]) -> tuple[Any, ...]:
    """(difference, explained, within tolerance, unexplained, status)"""
    return (
        row["difference"], row["explained_amount"], row["within_tolerance_amount"], row["unexplained_amount"],
        row["status"],
    )  # fmt: skip


def money(*texts: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(text) for text in texts)


def test_sides_that_agree_tie(ledger: LedgerFixture) -> None:
    ledger.pulled("2026-05-01")
    ledger.three_sides("100", "2026-03-10")
    ledger.learn("2026-04-01")
    assert ledger.compute("2026-03", "2026-04-01").is_clean
    assert told(month_end(ledger, "2026-03")) == (*money("0", "0", "0", "0"), "ties")


def test_the_other_side_in_the_next_month_explains_both_months_and_only_as_far_as_it_goes(
    ledger: LedgerFixture,
) -> None:
    ledger.pulled("2026-05-01")
    ledger.fact("happy_returns", "100", "2026-03-31")
    ledger.fact("expected", "95", "2026-03-31")
    ledger.fact("centra", "95", "2026-04-01")
    ledger.match(expected="95", happy_returns="100", centra="95")
    ledger.learn("2026-04-02")
    ledger.compute("2026-03", "2026-04-20")
    assert told(month_end(ledger, "2026-03")) == (*money("100", "95", "0", "5"), "does_not_tie")
    assert told(month_end(ledger, "2026-04")) == (*money("-95", "-95", "0", "0"), "ties")


def test_two_differences_that_cancel_out_do_not_tie(ledger: LedgerFixture) -> None:
    ledger.pulled("2026-05-01")
    for number, (happy_returns, centra) in enumerate((("100", "95"), ("50", "55"))):
        for side, amount in (("happy_returns", happy_returns), ("centra", centra), ("expected", centra)):
            ledger.fact(side, amount, "2026-03-10", return_id=f"RT-{number}")
        ledger.match(return_id=f"RT-{number}", expected=centra, happy_returns=happy_returns, centra=centra)
    ledger.learn("2026-04-01")
    ledger.compute("2026-03", "2026-04-01")
    row = month_end(ledger, "2026-03")
    assert told(row) == (*money("0", "0", "0", "0"), "does_not_tie")
    assert row["unexplained_count"] == 2


def test_a_difference_within_the_tolerance_is_counted_and_one_beyond_it_is_not_explained(ledger: LedgerFixture) -> None:
    ledger.pulled("2026-05-01")
    for number, happy_returns in enumerate(("100.05", "100.06")):
        for side, amount in (("happy_returns", happy_returns), ("centra", "100"), ("expected", "100")):
            ledger.fact(side, amount, "2026-03-10", return_id=f"RT-{number}")
        ledger.match(
            return_id=f"RT-{number}", expected="100", happy_returns=happy_returns, centra="100", tolerance="0.05"
        )
    ledger.learn("2026-04-01")
    ledger.compute("2026-03", "2026-04-01")
    row = month_end(ledger, "2026-03")
    assert told(row) == (*money("0.11", "0", "0.05", "0.06"), "does_not_tie")
    assert (row["within_tolerance_count"], row["unexplained_count"]) == (1, 1)


def test_what_is_pending_inside_its_window_is_explained_and_an_open_exception_explains_nothing(
    ledger: LedgerFixture,
) -> None:
    ledger.pulled("2026-05-01")
    ledger.fact("happy_returns", "100", "2026-03-31", return_id="RT-1")
    ledger.match(return_id="RT-1", expected="0", happy_returns="100", centra="0", explained_by="pending")
    ledger.fact("happy_returns", "30", "2026-03-10", return_id="RT-2")
    ledger.match(return_id="RT-2", expected="0", happy_returns="30", centra="0")
    ledger.learn("2026-04-01")
    ledger.compute("2026-03", "2026-04-01")
    assert told(month_end(ledger, "2026-03")) == (*money("130", "100", "0", "30"), "does_not_tie")


def test_a_credit_that_both_vendors_agree_on_and_the_policy_does_not_does_not_tie(ledger: LedgerFixture) -> None:
    ledger.pulled("2026-05-01")
    ledger.fact("happy_returns", "-4.95", "2026-03-10", component="fee")
    ledger.fact("centra", "-4.95", "2026-03-10", component="fee")
    ledger.match(component="fee", expected="0", happy_returns="-4.95", centra="-4.95", culprit="policy")
    ledger.learn("2026-04-01")
    ledger.compute("2026-03", "2026-04-01")
    row = month_end(ledger, "2026-03", "fee")
    assert told(row) == (*money("0", "0", "0", "0"), "does_not_tie")
    assert (row["expected_unexplained_amount"], row["unexplained_count"]) == (Decimal("4.9500"), 1)


def test_the_provider_is_a_side_as_soon_as_payouts_are_read_and_a_missing_payment_does_not_tie(
    ledger: LedgerFixture,
) -> None:
    ledger.pulled("2026-05-01")
    for number in (1, 2):
        ledger.three_sides("100", "2026-03-10", return_id=f"RT-{number}")
    ledger.learn("2026-03-20")
    ledger.compute("2026-03", "2026-04-01")
    assert month_end(ledger, "2026-03")["provider_amount"] is None
    assert month_end(ledger, "2026-03")["status"] == "ties"
    ledger.fact("provider", "100", "2026-03-12", return_id="RT-1")
    ledger.match(return_id="RT-2", expected="100", happy_returns="100", centra="100", provider="0")
    ledger.learn("2026-04-01")
    ledger.compute("2026-03", "2026-04-01")
    row = month_end(ledger, "2026-03")
    assert (row["provider_amount"], row["provider_unexplained_amount"], row["status"]) == (
        Decimal("100.0000"), Decimal("-100.0000"), "does_not_tie",
    )  # fmt: skip


def test_a_month_of_which_a_source_misses_something_is_not_covered_whatever_ties(ledger: LedgerFixture) -> None:
    ledger.pulled("2026-03-28")
    ledger.three_sides("100", "2026-03-10")
    ledger.learn("2026-04-01")
    report = ledger.compute("2026-03", "2026-04-01")
    assert month_end(ledger, "2026-03")["status"] == "not_covered"
    assert not report.is_clean
    problems = ledger.rows(
        "select source, problem from month_end.control_totals where month = '2026-03' and not is_covered"
    )
    assert {row["source"] for row in problems} == {
        "Centra orders",
        "Centra shipments",
        "Centra returns",
        "Centra stock changes",
    }
    assert {row["problem"] for row in problems} == {"not pulled since 2026-03-28 00:00"}


def test_a_hole_between_two_pulls_and_a_pull_that_did_not_end_leave_the_month_uncovered(ledger: LedgerFixture) -> None:
    insert = "insert into landing.centra_pulls values ('returns', ?, null, 5, 5, ?, ?, nextval('landing.batch_numbers'), ?, 0)"
    ledger.pulled("2026-05-01")
    ledger.connection.execute("delete from landing.centra_pulls where object = 'returns'")
    ledger.connection.execute(insert, ["2026-01-01 00:00:00+00", True, None, "2026-03-10 00:00:00+00"])
    ledger.connection.execute(insert, ["2026-03-09 23:00:00+00", False, "page 7 was capped", "2026-03-20 00:00:00+00"])
    ledger.connection.execute(insert, ["2026-03-12 00:00:00+00", True, None, "2026-05-01 00:00:00+00"])
    ledger.three_sides("100", "2026-03-10")
    ledger.learn("2026-04-01")
    ledger.compute("2026-03", "2026-05-01")
    (row,) = ledger.rows("from month_end.control_totals where month = '2026-03' and not is_covered")
    assert (row["source"], row["problem"]) == ("Centra returns", "pulls leave out 49 hours")
    assert '"incomplete":1' in row["parameters"]
    ledger.connection.execute(insert, ["2026-03-08 00:00:00+00", True, None, "2026-05-01 00:00:00+00"])
    ledger.compute("2026-03", "2026-05-01")
    assert ledger.rows("from month_end.control_totals where month = '2026-03' and not is_covered") == []


def test_a_fact_that_vanishes_or_changes_is_reversed_in_the_journal_and_as_of_shows_how_it_was(
    ledger: LedgerFixture,
) -> None:
    ledger.pulled("2026-05-01")
    ledger.three_sides("100", "2026-03-10", return_id="RT-1")
    ledger.three_sides("40", "2026-03-11", return_id="RT-2")
    assert ledger.learn("2026-03-20") == 6
    assert ledger.learn("2026-03-21") == 0
    ledger.connection.execute("delete from reconciliation.refund_facts where return_id = 'RT-2' and side = 'centra'")
    ledger.connection.execute(
        "update reconciliation.refund_facts set amount = 90 where return_id = 'RT-1' and side = 'happy_returns'"
    )
    assert ledger.learn("2026-04-02") == 3
    ledger.compute("2026-03", "2026-04-03")
    row = month_end(ledger, "2026-03")
    assert (row["happy_returns_amount"], row["centra_amount"]) == money("130", "100")
    ledger.compute("2026-03", "2026-04-01")
    row = month_end(ledger, "2026-03")
    assert (row["happy_returns_amount"], row["centra_amount"], row["status"]) == (*money("140", "140"), "ties")


def test_the_refund_liability_clears_to_zero_when_everything_is_paid_and_comes_back_when_a_refund_fails(
    ledger: LedgerFixture,
) -> None:
    ledger.pulled("2026-07-01")
    ledger.three_sides("100", "2026-03-30")
    ledger.three_sides("20", "2026-03-30", component="tax")
    ledger.learn("2026-03-31")

    def entry(entry_id: int, entry_type: str, status: str, at: str) -> None:
        put(
            ledger.connection, "staging.payment_entries", entry_id=entry_id, order_number="1001", centra_return_id=7,
            entry_type=entry_type, status=status, amount="120", currency="EUR", created_at=at,
        )  # fmt: skip

    ledger.connection.execute(
        "insert into push.ledger by name select 'HR1' as effect_key, 'credit_note' as effect_kind, 'RT-1' as return_id,"
        " 'confirmed' as state, '7' as centra_id, now() as updated_at"
    )
    entry(1, "REFUND_REQUEST", "PENDING", "2026-04-01 00:00:00+00")
    ledger.learn("2026-04-02")
    ledger.connection.execute("update staging.payment_entries set status = 'FAILED' where entry_id = 1")
    entry(2, "REFUND_FAILED", "FAILED", "2026-05-03 00:00:00+00")
    ledger.learn("2026-05-04")
    entry(3, "REFUND", "SUCCESS", "2026-06-01 00:00:00+00")
    ledger.learn("2026-06-02")
    ledger.compute("2026-05", "2026-06-10")
    rows = ledger.rows("from month_end.refund_liability order by month")
    assert [(row["month"], row["closing_amount"], row["closing_count"]) for row in rows] == [
        ("2026-03", Decimal(120), 1), ("2026-04", Decimal(0), 0), ("2026-05", Decimal(120), 1), ("2026-06", Decimal(0), 0),
    ]  # fmt: skip
    assert [row["failed_amount"] for row in rows] == list(money("0", "0", "120", "0"))
    (owed,) = ledger.rows("from month_end.refund_liability_returns where month = '2026-05'")
    assert (owed["return_id"], owed["balance"], owed["credited_amount"]) == ("RT-1", Decimal(120), Decimal(120))


def test_a_request_that_was_granted_and_its_refund_are_one_payment(ledger: LedgerFixture) -> None:
    ledger.three_sides("120", "2026-03-30")
    for entry_id, entry_type, at in ((1, "REFUND_REQUEST", "2026-03-30"), (2, "REFUND", "2026-04-02")):
        put(
            ledger.connection, "staging.payment_entries", entry_id=entry_id, order_number="1001", centra_return_id=7,
            entry_type=entry_type, status="SUCCESS", amount="120", currency="EUR", created_at=f"{at} 00:00:00+00",
        )  # fmt: skip
    ledger.connection.execute(
        "insert into push.ledger by name select 'HR1' as effect_key, 'credit_note' as effect_kind, 'RT-1' as return_id,"
        " 'confirmed' as state, '7' as centra_id, now() as updated_at"
    )
    ledger.learn("2026-04-03")
    ledger.compute("2026-03", "2026-04-03")
    rows = ledger.rows("select month, paid_amount, closing_amount from month_end.refund_liability order by month")
    assert [tuple(row.values()) for row in rows] == [
        ("2026-03", Decimal(120), Decimal(0)), ("2026-04", Decimal(0), Decimal(0)),
    ]  # fmt: skip


PAID_BY_ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(["REFUND_REQUEST", "REFUND_REQUEST", "REFUND", "REFUND_FAILED", "REFUND_GIFT_CARD"]),
        st.sampled_from(["SUCCESS", "PENDING", "FAILED"]),
        st.sampled_from(["120", "120", "20"]),
    ),
    max_size=6,
)


def test_a_request_that_stays_pending_beside_its_refund_is_one_payment_on_the_day_it_was_asked_for(
    ledger: LedgerFixture,
) -> None:
    entry_of(ledger, 1, "REFUND_REQUEST", "PENDING", "2026-03-30")
    ledger.learn("2026-03-31")
    entry_of(ledger, 2, "REFUND", "SUCCESS", "2026-04-02")
    ledger.learn("2026-04-03")
    assert ledger.rows(
        "select fact_id, month, is_pending, sum(amount) as amount"
        " from month_end.fact_journal where side = 'paid' group by all having sum(amount) <> 0"
    ) == [{"fact_id": "entry 1", "month": "2026-03", "is_pending": False, "amount": Decimal(120)}]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shown=PAID_BY_ENTRIES, then=PAID_BY_ENTRIES)
def test_the_journal_sums_to_what_the_entries_of_a_return_have_given(
    ledger: LedgerFixture, shown: Any, then: Any
) -> None:
    ledger.connection.execute("delete from staging.payment_entries")
    ledger.connection.execute("delete from month_end.fact_journal")
    for place, entry in enumerate([*shown, *then], 1):
        entry_of(ledger, place, entry[0], entry[1], f"2026-04-{place:02}", amount=entry[2])
        if place == len(shown):
            ledger.learn("2026-05-01")
    ledger.learn("2026-05-02")
    (journal,) = ledger.rows(
        "select coalesce(sum(amount), 0) as amount from month_end.fact_journal where side = 'paid'"
    )
    (entries,) = ledger.rows(
        "select coalesce(sum(amount), 0) as amount from staging.payment_entries"
        " where money in ('refunded', 'refund_pending')"
    )
    assert journal == entries


def entry_of(
    ledger: LedgerFixture, entry_id: int, entry_type: str, status: str, at: str, *, amount: str = "120"
) -> None:
    put(
        ledger.connection, "staging.payment_entries", entry_id=entry_id, order_number="1001", centra_return_id=7,
        entry_type=entry_type, status=status, amount=amount, currency="EUR", created_at=f"{at} 00:00:00+00",
    )  # fmt: skip


def rows_of(ledger: LedgerFixture, columns: str, where: str = "true") -> list[tuple[Any, ...]]:
    return [
        tuple(row.values())
        for row in ledger.rows(f"select {columns} from month_end.refund_differences where {where} order by all")
    ]


def test_a_refund_that_the_provider_booked_as_nothing_is_no_use_of_the_tolerance_and_blocks_the_month(
    ledger: LedgerFixture,
) -> None:
    ledger.pulled("2026-05-01")
    ledger.three_sides("1309", "2026-03-10", currency="SEK")
    ledger.fact("provider", "0", "2026-03-11", currency="SEK")
    ledger.match(currency="SEK", expected="1309", happy_returns="1309", centra="1309", provider="0", tolerance="0.05")
    # Booked, and taken back.
    ledger.three_sides("100", "2026-03-10", return_id="RT-2", currency="SEK")
    ledger.fact("provider", "100", "2026-03-11", return_id="RT-2", currency="SEK")
    ledger.fact("provider", "-100", "2026-03-12", return_id="RT-2", currency="SEK")
    ledger.match(
        return_id="RT-2",
        currency="SEK",
        expected="100",
        happy_returns="100",
        centra="100",
        provider="0",
        tolerance="0.05",
    )
    ledger.learn("2026-04-01")
    report = ledger.compute("2026-03", "2026-04-01")
    assert not report.is_clean
    assert rows_of(ledger, "return_id, verdict, within_tolerance, provider_unexplained_amount, tolerance_used") == [
        ("RT-1", "unexplained", False, Decimal(-1309), 0), ("RT-2", "unexplained", False, Decimal(-100), 0),
    ]  # fmt: skip


def test_the_worst_difference_of_any_two_sides_decides_whether_the_tolerance_covers_it(ledger: LedgerFixture) -> None:
    ledger.pulled("2026-05-01")
    for return_id, expected, happy_returns, verdict in (
        ("RT-1", "100.03", "99.98", "within_tolerance"), ("RT-2", "100.03", "99.97", "unexplained"),
    ):  # fmt: skip
        for side, amount in (("expected", expected), ("happy_returns", happy_returns), ("centra", "100")):
            ledger.fact(side, amount, "2026-03-10", return_id=return_id)
        ledger.match(
            return_id=return_id, expected=expected, happy_returns=happy_returns, centra="100", tolerance="0.05"
        )
        ledger.learn("2026-04-01")
        ledger.compute("2026-03", "2026-04-01")
        assert rows_of(ledger, "verdict", f"return_id = '{return_id}'") == [(verdict,)]
    row = month_end(ledger, "2026-03")
    assert (row["within_tolerance_count"], row["unexplained_count"], row["worst_unexplained_amount"]) == (
        1,
        1,
        Decimal("0.06"),
    )


def test_two_components_that_are_off_by_the_opposite_are_two_rows_with_their_amounts(ledger: LedgerFixture) -> None:
    ledger.pulled("2026-05-01")
    for component, told_, centra in (("items", "80", "85"), ("tax", "20", "15")):
        for side, amount in (("expected", told_), ("happy_returns", told_), ("centra", centra)):
            ledger.fact(side, amount, "2026-03-10", component=component)
        ledger.match(component=component, expected=told_, happy_returns=told_, centra=centra, culprit="centra")
    ledger.learn("2026-04-01")
    ledger.compute("2026-03", "2026-04-01")
    assert rows_of(ledger, "component, unexplained_amount, worst_unexplained_amount, verdict") == [
        ("items", Decimal(-5), Decimal(5), "unexplained"), ("tax", Decimal(5), Decimal(5), "unexplained"),
    ]  # fmt: skip
    for component in ("items", "tax"):
        row = month_end(ledger, "2026-03", component)
        assert (row["unexplained_count"], row["worst_unexplained_amount"]) == (1, Decimal(5))


def test_what_was_due_before_the_cut_over_is_explained_by_it_with_its_rows(ledger: LedgerFixture) -> None:
    ledger.pulled("2026-05-01")
    ledger.fact("happy_returns", "100", "2026-01-02")
    ledger.fact("expected", "100", "2026-01-02")
    ledger.match(expected="100", happy_returns="100", centra="0", explained_by="before_cutover")
    ledger.learn("2026-02-01")
    ledger.compute("2026-01", "2026-02-01")
    row = month_end(ledger, "2026-01")
    assert told(row) == (*money("100", "100", "0", "0"), "ties")
    assert rows_of(ledger, "explained_amount, verdict, explained_by") == [(Decimal(100), "explained", "before_cutover")]


def test_an_explained_figure_has_its_rows_in_the_pack_of_its_month(ledger: LedgerFixture) -> None:
    """The credit is the next month's: both months have a row, and each says why."""
    ledger.pulled("2026-05-01")
    ledger.fact("happy_returns", "100", "2026-03-31")
    ledger.fact("expected", "100", "2026-03-31")
    ledger.fact("centra", "100", "2026-04-01")
    ledger.match(expected="100", happy_returns="100", centra="100", explained_by="other_month")
    ledger.learn("2026-04-02")
    for month, amount in (("2026-03", 100), ("2026-04", -100)):
        ledger.compute(month, "2026-04-20")
        assert month_end(ledger, month)["explained_amount"] == amount
        assert rows_of(ledger, "explained_amount, explained_by", f"month = '{month}'") == [
            (Decimal(amount), "other_month")
        ]


def test_each_figure_of_the_month_is_the_sum_of_its_rows_and_one_that_is_not_is_named(ledger: LedgerFixture) -> None:
    ledger.pulled("2026-05-01")
    ledger.three_sides("100", "2026-03-10")
    ledger.fact("provider", "100", "2026-03-11")
    ledger.fact("happy_returns", "30", "2026-03-12", return_id="RT-2")
    ledger.learn("2026-04-01")
    report = ledger.compute("2026-03", "2026-04-01")
    assert report.breaks == []
    cells = (
        "expected_amount",
        "centra_amount",
        "provider_amount",
        "unexplained_count",
        "explained_amount",
        "worst_unexplained_amount",
    )
    for cell in cells:
        ledger.connection.execute(f"update month_end.month_end set {cell} = {cell} + 1 where month = '2026-03'")
    texts = [row[0] for row in run_sql(ledger.connection, "hr_centra_pipeline.month_end", "footing.sql").fetchall()]
    named = [text.partition(": ")[2].partition(" is ")[0].replace(" ", "_") for text in texts]
    assert named == sorted(cells)


def test_a_month_s_sums_in_a_currency_of_small_units_do_not_overflow(ledger: LedgerFixture) -> None:
    ledger.pulled("2026-05-01")
    for number in range(3):
        ledger.three_sides("90000000000000", "2026-03-10", return_id=f"RT-{number}", currency="VND")
    ledger.learn("2026-04-01")
    ledger.compute("2026-03", "2026-04-01")
    (row,) = ledger.rows("select centra_amount, status from month_end.month_end where currency = 'VND'")
    assert row == {"centra_amount": Decimal(270000000000000), "status": "ties"}
