from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline_tests.month_end.books import Books
from hr_centra_pipeline_tests.staged import put


def month_end(books: Books, month: str, component: str = "items", *, late: bool = False) -> dict[str, Any]:
    rows = books.rows(
        f"""
        from reconciliation.month_end
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
        "select source, problem from reconciliation.control_totals where month = '2026-03' and not is_covered"
    )
    assert {row["source"] for row in problems} == {
        "Centra orders",
        "Centra shipments",
        "Centra returns",
        "Centra stock changes",
    }
    assert {row["problem"] for row in problems} == {"not pulled since 2026-03-28 00:00"}


def test_a_hole_between_two_pulls_and_a_pull_that_did_not_end_leave_the_month_uncovered(books: Books) -> None:
    insert = (
        "insert into landing.centra_pulls values ('returns', ?, null, 5, 5, ?, ?, nextval('landing.batch_numbers'), ?)"
    )
    books.pulled("2026-05-01")
    books.connection.execute("delete from landing.centra_pulls where object = 'returns'")
    books.connection.execute(insert, ["2026-01-01 00:00:00+00", True, None, "2026-03-10 00:00:00+00"])
    books.connection.execute(insert, ["2026-03-09 23:00:00+00", False, "page 7 was capped", "2026-03-20 00:00:00+00"])
    books.connection.execute(insert, ["2026-03-12 00:00:00+00", True, None, "2026-05-01 00:00:00+00"])
    books.three_sides("100", "2026-03-10")
    books.learn("2026-04-01")
    books.compute("2026-03", "2026-05-01")
    (row,) = books.rows("from reconciliation.control_totals where month = '2026-03' and not is_covered")
    assert (row["source"], row["problem"]) == ("Centra returns", "pulls leave out 49 hours")
    assert '"incomplete":1' in row["parameters"]
    books.connection.execute(insert, ["2026-03-08 00:00:00+00", True, None, "2026-05-01 00:00:00+00"])
    books.compute("2026-03", "2026-05-01")
    assert books.rows("from reconciliation.control_totals where month = '2026-03' and not is_covered") == []


def test_a_fact_that_vanishes_or_changes_is_reversed_in_the_journal_and_as_of_tells_how_it_was(books: Books) -> None:
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
    rows = books.rows("from reconciliation.refund_liability order by month")
    assert [(row["month"], row["closing_amount"], row["closing_count"]) for row in rows] == [
        ("2026-03", Decimal(120), 1), ("2026-04", Decimal(0), 0), ("2026-05", Decimal(120), 1), ("2026-06", Decimal(0), 0),
    ]  # fmt: skip
    assert [row["failed_amount"] for row in rows] == list(money("0", "0", "120", "0"))
    (owed,) = books.rows("from reconciliation.refund_liability_returns where month = '2026-05'")
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
    rows = books.rows("select month, paid_amount, closing_amount from reconciliation.refund_liability order by month")
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
        " from reconciliation.fact_journal where side = 'paid' group by all having sum(amount) <> 0"
    ) == [{"fact_id": "entry 1", "month": "2026-03", "is_pending": False, "amount": Decimal(120)}]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shown=PAID_BY_ENTRIES, then=PAID_BY_ENTRIES)
def test_the_journal_sums_to_what_the_entries_of_a_return_have_given(books: Books, shown: Any, then: Any) -> None:
    books.connection.execute("delete from staging.payment_entries")
    books.connection.execute("delete from reconciliation.fact_journal")
    for place, entry in enumerate([*shown, *then], 1):
        entry_of(books, place, entry[0], entry[1], f"2026-04-{place:02}", amount=entry[2])
        if place == len(shown):
            books.learn("2026-05-01")
    books.learn("2026-05-02")
    (journal,) = books.rows(
        "select coalesce(sum(amount), 0) as amount from reconciliation.fact_journal where side = 'paid'"
    )
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
