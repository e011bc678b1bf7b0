from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline.warehouse.database import run_sql
from hr_centra_pipeline_tests.month_end.books import Books
from hr_centra_pipeline_tests.staged import put


def month_end(books: Books, month: str, component: str = "items", *, late: bool = False) -> dict[str, Any]:
    rows = books.rows(
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


def test_sides_that_agree_tie(books: Books) -> None:
    books.pulled("2026-05-01")
    books.three_sides("100", "2026-03-10")
    books.learn("2026-04-01")
    assert books.compute("2026-03", "2026-04-01").is_clean
    assert told(month_end(books, "2026-03")) == (*money("0", "0", "0", "0"), "ties")


def test_the_other_side_in_the_next_month_explains_both_months_and_only_as_far_as_it_goes(books: Books) -> None:
    books.pulled("2026-05-01")
    books.fact("happy_returns", "100", "2026-03-31")
    books.fact("expected", "95", "2026-03-31")
    books.fact("centra", "95", "2026-04-01")
    books.match(expected="95", happy_returns="100", centra="95")
    books.learn("2026-04-02")
    books.compute("2026-03", "2026-04-20")
    assert told(month_end(books, "2026-03")) == (*money("100", "95", "0", "5"), "does_not_tie")
    assert told(month_end(books, "2026-04")) == (*money("-95", "-95", "0", "0"), "ties")


def test_two_differences_that_cancel_out_do_not_tie(books: Books) -> None:
    books.pulled("2026-05-01")
    for number, (happy_returns, centra) in enumerate((("100", "95"), ("50", "55"))):
        for side, amount in (("happy_returns", happy_returns), ("centra", centra), ("expected", centra)):
            books.fact(side, amount, "2026-03-10", return_id=f"RT-{number}")
        books.match(return_id=f"RT-{number}", expected=centra, happy_returns=happy_returns, centra=centra)
    books.learn("2026-04-01")
    books.compute("2026-03", "2026-04-01")
    row = month_end(books, "2026-03")
    assert told(row) == (*money("0", "0", "0", "0"), "does_not_tie")
    assert row["unexplained_count"] == 2


def test_a_difference_within_the_tolerance_is_counted_and_one_beyond_it_is_not_explained(books: Books) -> None:
    books.pulled("2026-05-01")
    for number, happy_returns in enumerate(("100.05", "100.06")):
        for side, amount in (("happy_returns", happy_returns), ("centra", "100"), ("expected", "100")):
            books.fact(side, amount, "2026-03-10", return_id=f"RT-{number}")
        books.match(
            return_id=f"RT-{number}", expected="100", happy_returns=happy_returns, centra="100", tolerance="0.05"
        )
    books.learn("2026-04-01")
    books.compute("2026-03", "2026-04-01")
    row = month_end(books, "2026-03")
    assert told(row) == (*money("0.11", "0", "0.05", "0.06"), "does_not_tie")
    assert (row["within_tolerance_count"], row["unexplained_count"]) == (1, 1)


def test_what_is_pending_inside_its_window_is_explained_and_an_open_exception_explains_nothing(books: Books) -> None:
    books.pulled("2026-05-01")
    books.fact("happy_returns", "100", "2026-03-31", return_id="RT-1")
    books.match(return_id="RT-1", expected="0", happy_returns="100", centra="0", explained_by="pending")
    books.fact("happy_returns", "30", "2026-03-10", return_id="RT-2")
    books.match(return_id="RT-2", expected="0", happy_returns="30", centra="0")
    books.learn("2026-04-01")
    books.compute("2026-03", "2026-04-01")
    assert told(month_end(books, "2026-03")) == (*money("130", "100", "0", "30"), "does_not_tie")


def test_a_credit_that_both_vendors_agree_on_and_the_policy_does_not_does_not_tie(books: Books) -> None:
    books.pulled("2026-05-01")
    books.fact("happy_returns", "-4.95", "2026-03-10", component="fee")
    books.fact("centra", "-4.95", "2026-03-10", component="fee")
    books.match(component="fee", expected="0", happy_returns="-4.95", centra="-4.95", culprit="policy")
    books.learn("2026-04-01")
    books.compute("2026-03", "2026-04-01")
    row = month_end(books, "2026-03", "fee")
    assert told(row) == (*money("0", "0", "0", "0"), "does_not_tie")
    assert (row["expected_unexplained_amount"], row["unexplained_count"]) == (Decimal("4.9500"), 1)


def test_the_provider_is_a_side_as_soon_as_payouts_are_read_and_a_missing_payment_does_not_tie(books: Books) -> None:
    books.pulled("2026-05-01")
    for number in (1, 2):
        books.three_sides("100", "2026-03-10", return_id=f"RT-{number}")
    books.learn("2026-03-20")
    books.compute("2026-03", "2026-04-01")
    assert month_end(books, "2026-03")["provider_amount"] is None
    assert month_end(books, "2026-03")["status"] == "ties"
    books.fact("provider", "100", "2026-03-12", return_id="RT-1")
    books.match(return_id="RT-2", expected="100", happy_returns="100", centra="100", provider="0")
    books.learn("2026-04-01")
    books.compute("2026-03", "2026-04-01")
    row = month_end(books, "2026-03")
    assert (row["provider_amount"], row["provider_unexplained_amount"], row["status"]) == (
        Decimal("100.0000"), Decimal("-100.0000"), "does_not_tie",
    )  # fmt: skip


def test_a_month_of_which_a_source_misses_something_is_not_covered_whatever_ties(books: Books) -> None:
    books.pulled("2026-03-28")
    books.three_sides("100", "2026-03-10")
    books.learn("2026-04-01")
    report = books.compute("2026-03", "2026-04-01")
    assert month_end(books, "2026-03")["status"] == "not_covered"
    assert not report.is_clean
    problems = books.rows(
        "select source, problem from month_end.control_totals where month = '2026-03' and not is_covered"
    )
    assert {row["source"] for row in problems} == {
        "Centra orders",
        "Centra shipments",
        "Centra returns",
        "Centra stock changes",
    }
    assert {row["problem"] for row in problems} == {"not pulled since 2026-03-28 00:00"}


def test_a_hole_between_two_pulls_and_a_pull_that_did_not_end_leave_the_month_uncovered(books: Books) -> None:
    insert = "insert into landing.centra_pulls values ('returns', ?, null, 5, 5, ?, ?, nextval('landing.batch_numbers'), ?, 0)"
    books.pulled("2026-05-01")
    books.connection.execute("delete from landing.centra_pulls where object = 'returns'")
    books.connection.execute(insert, ["2026-01-01 00:00:00+00", True, None, "2026-03-10 00:00:00+00"])
    books.connection.execute(insert, ["2026-03-09 23:00:00+00", False, "page 7 was capped", "2026-03-20 00:00:00+00"])
    books.connection.execute(insert, ["2026-03-12 00:00:00+00", True, None, "2026-05-01 00:00:00+00"])
    books.three_sides("100", "2026-03-10")
    books.learn("2026-04-01")
    books.compute("2026-03", "2026-05-01")
    (row,) = books.rows("from month_end.control_totals where month = '2026-03' and not is_covered")
    assert (row["source"], row["problem"]) == ("Centra returns", "pulls leave out 49 hours")
    assert '"incomplete":1' in row["parameters"]
    books.connection.execute(insert, ["2026-03-08 00:00:00+00", True, None, "2026-05-01 00:00:00+00"])
    books.compute("2026-03", "2026-05-01")
    assert books.rows("from month_end.control_totals where month = '2026-03' and not is_covered") == []


def test_a_fact_that_vanishes_or_changes_is_reversed_in_the_journal_and_as_of_shows_how_it_was(books: Books) -> None:
    books.pulled("2026-05-01")
    books.three_sides("100", "2026-03-10", return_id="RT-1")
    books.three_sides("40", "2026-03-11", return_id="RT-2")
    assert books.learn("2026-03-20") == 6
    assert books.learn("2026-03-21") == 0
    books.connection.execute("delete from reconciliation.refund_facts where return_id = 'RT-2' and side = 'centra'")
    books.connection.execute(
        "update reconciliation.refund_facts set amount = 90 where return_id = 'RT-1' and side = 'happy_returns'"
    )
    assert books.learn("2026-04-02") == 3
    books.compute("2026-03", "2026-04-03")
    row = month_end(books, "2026-03")
    assert (row["happy_returns_amount"], row["centra_amount"]) == money("130", "100")
    books.compute("2026-03", "2026-04-01")
    row = month_end(books, "2026-03")
    assert (row["happy_returns_amount"], row["centra_amount"], row["status"]) == (*money("140", "140"), "ties")


def test_the_refund_liability_clears_to_zero_when_everything_is_paid_and_comes_back_when_a_refund_fails(
    books: Books,
) -> None:
    books.pulled("2026-07-01")
    books.three_sides("100", "2026-03-30")
    books.three_sides("20", "2026-03-30", component="tax")
    books.learn("2026-03-31")

    def entry(entry_id: int, entry_type: str, status: str, at: str) -> None:
        put(
            books.connection, "staging.payment_entries", entry_id=entry_id, order_number="1001", centra_return_id=7,
            entry_type=entry_type, status=status, amount="120", currency="EUR", created_at=at,
        )  # fmt: skip

    books.connection.execute(
        "insert into push.ledger by name select 'HR1' as effect_key, 'credit_note' as effect_kind, 'RT-1' as return_id,"
        " 'confirmed' as state, '7' as centra_id, now() as updated_at"
    )
    entry(1, "REFUND_REQUEST", "PENDING", "2026-04-01 00:00:00+00")
    books.learn("2026-04-02")
    books.connection.execute("update staging.payment_entries set status = 'FAILED' where entry_id = 1")
    entry(2, "REFUND_FAILED", "FAILED", "2026-05-03 00:00:00+00")
    books.learn("2026-05-04")
    entry(3, "REFUND", "SUCCESS", "2026-06-01 00:00:00+00")
    books.learn("2026-06-02")
    books.compute("2026-05", "2026-06-10")
    rows = books.rows("from month_end.refund_liability order by month")
    assert [(row["month"], row["closing_amount"], row["closing_count"]) for row in rows] == [
        ("2026-03", Decimal(120), 1), ("2026-04", Decimal(0), 0), ("2026-05", Decimal(120), 1), ("2026-06", Decimal(0), 0),
    ]  # fmt: skip
    assert [row["failed_amount"] for row in rows] == list(money("0", "0", "120", "0"))
    (owed,) = books.rows("from month_end.refund_liability_returns where month = '2026-05'")
    assert (owed["return_id"], owed["balance"], owed["credited_amount"]) == ("RT-1", Decimal(120), Decimal(120))


def test_a_request_that_was_granted_and_its_refund_are_one_payment(books: Books) -> None:
    books.three_sides("120", "2026-03-30")
    for entry_id, entry_type, at in ((1, "REFUND_REQUEST", "2026-03-30"), (2, "REFUND", "2026-04-02")):
        put(
            books.connection, "staging.payment_entries", entry_id=entry_id, order_number="1001", centra_return_id=7,
            entry_type=entry_type, status="SUCCESS", amount="120", currency="EUR", created_at=f"{at} 00:00:00+00",
        )  # fmt: skip
    books.connection.execute(
        "insert into push.ledger by name select 'HR1' as effect_key, 'credit_note' as effect_kind, 'RT-1' as return_id,"
        " 'confirmed' as state, '7' as centra_id, now() as updated_at"
    )
    books.learn("2026-04-03")
    books.compute("2026-03", "2026-04-03")
    rows = books.rows("select month, paid_amount, closing_amount from month_end.refund_liability order by month")
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
    books: Books,
) -> None:
    entry_of(books, 1, "REFUND_REQUEST", "PENDING", "2026-03-30")
    books.learn("2026-03-31")
    entry_of(books, 2, "REFUND", "SUCCESS", "2026-04-02")
    books.learn("2026-04-03")
    assert books.rows(
        "select fact_id, month, is_pending, sum(amount) as amount"
        " from month_end.fact_journal where side = 'paid' group by all having sum(amount) <> 0"
    ) == [{"fact_id": "entry 1", "month": "2026-03", "is_pending": False, "amount": Decimal(120)}]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shown=PAID_BY_ENTRIES, then=PAID_BY_ENTRIES)
def test_the_journal_sums_to_what_the_entries_of_a_return_have_given(books: Books, shown: Any, then: Any) -> None:
    books.connection.execute("delete from staging.payment_entries")
    books.connection.execute("delete from month_end.fact_journal")
    for place, entry in enumerate([*shown, *then], 1):
        entry_of(books, place, entry[0], entry[1], f"2026-04-{place:02}", amount=entry[2])
        if place == len(shown):
            books.learn("2026-05-01")
    books.learn("2026-05-02")
    (journal,) = books.rows("select coalesce(sum(amount), 0) as amount from month_end.fact_journal where side = 'paid'")
    (entries,) = books.rows(
        "select coalesce(sum(amount), 0) as amount from staging.payment_entries"
        " where money in ('refunded', 'refund_pending')"
    )
    assert journal == entries


def entry_of(books: Books, entry_id: int, entry_type: str, status: str, at: str, *, amount: str = "120") -> None:
    put(
        books.connection, "staging.payment_entries", entry_id=entry_id, order_number="1001", centra_return_id=7,
        entry_type=entry_type, status=status, amount=amount, currency="EUR", created_at=f"{at} 00:00:00+00",
    )  # fmt: skip


def rows_of(books: Books, columns: str, where: str = "true") -> list[tuple[Any, ...]]:
    return [
        tuple(row.values())
        for row in books.rows(f"select {columns} from month_end.refund_differences where {where} order by all")
    ]


def test_a_refund_that_the_provider_booked_as_nothing_is_no_use_of_the_tolerance_and_blocks_the_month(
    books: Books,
) -> None:
    books.pulled("2026-05-01")
    books.three_sides("1309", "2026-03-10", currency="SEK")
    books.fact("provider", "0", "2026-03-11", currency="SEK")
    books.match(currency="SEK", expected="1309", happy_returns="1309", centra="1309", provider="0", tolerance="0.05")
    # Booked, and taken back.
    books.three_sides("100", "2026-03-10", return_id="RT-2", currency="SEK")
    books.fact("provider", "100", "2026-03-11", return_id="RT-2", currency="SEK")
    books.fact("provider", "-100", "2026-03-12", return_id="RT-2", currency="SEK")
    books.match(
        return_id="RT-2",
        currency="SEK",
        expected="100",
        happy_returns="100",
        centra="100",
        provider="0",
        tolerance="0.05",
    )
    books.learn("2026-04-01")
    report = books.compute("2026-03", "2026-04-01")
    assert not report.is_clean
    assert rows_of(books, "return_id, verdict, within_tolerance, provider_unexplained_amount, tolerance_used") == [
        ("RT-1", "unexplained", False, Decimal(-1309), 0), ("RT-2", "unexplained", False, Decimal(-100), 0),
    ]  # fmt: skip


def test_the_worst_difference_of_any_two_sides_decides_whether_the_tolerance_covers_it(books: Books) -> None:
    books.pulled("2026-05-01")
    for return_id, expected, happy_returns, verdict in (
        ("RT-1", "100.03", "99.98", "within_tolerance"), ("RT-2", "100.03", "99.97", "unexplained"),
    ):  # fmt: skip
        for side, amount in (("expected", expected), ("happy_returns", happy_returns), ("centra", "100")):
            books.fact(side, amount, "2026-03-10", return_id=return_id)
        books.match(return_id=return_id, expected=expected, happy_returns=happy_returns, centra="100", tolerance="0.05")
        books.learn("2026-04-01")
        books.compute("2026-03", "2026-04-01")
        assert rows_of(books, "verdict", f"return_id = '{return_id}'") == [(verdict,)]
    row = month_end(books, "2026-03")
    assert (row["within_tolerance_count"], row["unexplained_count"], row["worst_unexplained_amount"]) == (
        1,
        1,
        Decimal("0.06"),
    )


def test_two_components_that_are_off_by_the_opposite_are_two_rows_with_their_amounts(books: Books) -> None:
    books.pulled("2026-05-01")
    for component, told_, centra in (("items", "80", "85"), ("tax", "20", "15")):
        for side, amount in (("expected", told_), ("happy_returns", told_), ("centra", centra)):
            books.fact(side, amount, "2026-03-10", component=component)
        books.match(component=component, expected=told_, happy_returns=told_, centra=centra, culprit="centra")
    books.learn("2026-04-01")
    books.compute("2026-03", "2026-04-01")
    assert rows_of(books, "component, unexplained_amount, worst_unexplained_amount, verdict") == [
        ("items", Decimal(-5), Decimal(5), "unexplained"), ("tax", Decimal(5), Decimal(5), "unexplained"),
    ]  # fmt: skip
    for component in ("items", "tax"):
        row = month_end(books, "2026-03", component)
        assert (row["unexplained_count"], row["worst_unexplained_amount"]) == (1, Decimal(5))


def test_what_was_due_before_the_cut_over_is_explained_by_it_with_its_rows(books: Books) -> None:
    books.pulled("2026-05-01")
    books.fact("happy_returns", "100", "2026-01-02")
    books.fact("expected", "100", "2026-01-02")
    books.match(expected="100", happy_returns="100", centra="0", explained_by="before_cutover")
    books.learn("2026-02-01")
    books.compute("2026-01", "2026-02-01")
    row = month_end(books, "2026-01")
    assert told(row) == (*money("100", "100", "0", "0"), "ties")
    assert rows_of(books, "explained_amount, verdict, explained_by") == [(Decimal(100), "explained", "before_cutover")]


def test_an_explained_figure_has_its_rows_in_the_pack_of_its_month(books: Books) -> None:
    """The credit is the next month's: both months have a row, and each says why."""
    books.pulled("2026-05-01")
    books.fact("happy_returns", "100", "2026-03-31")
    books.fact("expected", "100", "2026-03-31")
    books.fact("centra", "100", "2026-04-01")
    books.match(expected="100", happy_returns="100", centra="100", explained_by="other_month")
    books.learn("2026-04-02")
    for month, amount in (("2026-03", 100), ("2026-04", -100)):
        books.compute(month, "2026-04-20")
        assert month_end(books, month)["explained_amount"] == amount
        assert rows_of(books, "explained_amount, explained_by", f"month = '{month}'") == [
            (Decimal(amount), "other_month")
        ]


def test_each_figure_of_the_month_is_the_sum_of_its_rows_and_one_that_is_not_is_named(books: Books) -> None:
    books.pulled("2026-05-01")
    books.three_sides("100", "2026-03-10")
    books.fact("provider", "100", "2026-03-11")
    books.fact("happy_returns", "30", "2026-03-12", return_id="RT-2")
    books.learn("2026-04-01")
    report = books.compute("2026-03", "2026-04-01")
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
        books.connection.execute(f"update month_end.month_end set {cell} = {cell} + 1 where month = '2026-03'")
    texts = [row[0] for row in run_sql(books.connection, "hr_centra_pipeline.month_end", "footing.sql").fetchall()]
    named = [text.partition(": ")[2].partition(" is ")[0].replace(" ", "_") for text in texts]
    assert named == sorted(cells)


def test_a_month_s_sums_in_a_currency_of_small_units_do_not_overflow(books: Books) -> None:
    books.pulled("2026-05-01")
    for number in range(3):
        books.three_sides("90000000000000", "2026-03-10", return_id=f"RT-{number}", currency="VND")
    books.learn("2026-04-01")
    books.compute("2026-03", "2026-04-01")
    (row,) = books.rows("select centra_amount, status from month_end.month_end where currency = 'VND'")
    assert row == {"centra_amount": Decimal(270000000000000), "status": "ties"}
