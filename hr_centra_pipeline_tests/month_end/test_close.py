from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.month_end import close as closing
from hr_centra_pipeline.month_end import frozen
from hr_centra_pipeline_tests.month_end.ledger_fixture import LedgerFixture, utc

MONTH = "2026-03"


@pytest.fixture
def march(ledger: LedgerFixture) -> LedgerFixture:
    """A clean March with one return, seen whole, on the second of April."""
    ledger.pulled("2026-07-01")
    ledger.three_sides("100", "2026-03-10")
    ledger.three_sides("100", "2026-04-10", return_id="RT-9")
    ledger.learn("2026-04-01")
    return ledger


def close(ledger: LedgerFixture, at: str = "2026-04-02", **more: Any) -> None:
    closing.close(ledger.connection, MONTH, utc(at), by="Pia", policy_sha256="p", **more)


def sign(ledger: LedgerFixture, role: closing.Role, by: str, at: str = "2026-04-03") -> None:
    ledger.compute(MONTH, at)
    closing.sign(ledger.connection, MONTH, utc(at), role=role, by=by)


def standing(ledger: LedgerFixture, at: str) -> closing.Certificate:
    ledger.compute("2026-04", at)
    return closing.certificate_of(ledger.connection, MONTH, utc(at))


def test_a_clean_month_is_closed_prepared_and_certified_by_two_people(march: LedgerFixture) -> None:
    close(march)
    assert standing(march, "2026-04-02").standing == "closed"
    sign(march, "preparer", "Pia")
    assert standing(march, "2026-04-03").standing == "prepared"
    sign(march, "reviewer", "Rune")
    certificate = standing(march, "2026-04-03")
    assert certificate.standing == "certified"
    assert [(one.role, one.by) for one in certificate.signatures] == [("preparer", "Pia"), ("reviewer", "Rune")]
    assert certificate.content_sha256
    assert certificate.sources_sha256


def test_the_reviewer_has_to_be_another_person_and_comes_second(march: LedgerFixture) -> None:
    with pytest.raises(RunFailed, match="is not closed"):
        sign(march, "preparer", "Pia")
    close(march)
    with pytest.raises(RunFailed, match="the preparer signs first"):
        sign(march, "reviewer", "Rune")
    sign(march, "preparer", "Pia")
    with pytest.raises(RunFailed, match="another person has to review it"):
        sign(march, "reviewer", " pia ")
    with pytest.raises(RunFailed, match="has signed 2026-03 as preparer already"):
        sign(march, "preparer", "Ada")


def test_a_month_that_is_not_over_or_closed_already_or_out_of_order_is_not_closed(march: LedgerFixture) -> None:
    with pytest.raises(RunFailed, match="from 2026-04-01 00:00 UTC on"):
        close(march, "2026-03-31")
    close(march)
    with pytest.raises(RunFailed, match="closed already"):
        close(march)
    with pytest.raises(RunFailed, match="close 2026-04 first"):
        closing.close(march.connection, "2026-05", utc("2026-06-03"), by="Pia", policy_sha256="p")


def test_a_month_that_does_not_tie_is_closed_only_with_a_reason_which_is_kept(march: LedgerFixture) -> None:
    march.fact("happy_returns", "7", "2026-03-12", return_id="RT-5")
    march.match(return_id="RT-5", expected="0", happy_returns="7", centra="0")
    march.learn("2026-04-01")
    with pytest.raises(RunFailed, match="1 does not tie"):
        close(march)
    close(march, accept="RT-5 is settled with Happy Returns in April")
    assert standing(march, "2026-04-02").accepted == "RT-5 is settled with Happy Returns in April"


def test_a_late_fact_stays_out_of_the_closed_month_and_takes_its_certification(march: LedgerFixture) -> None:
    close(march)
    sign(march, "preparer", "Pia")
    sign(march, "reviewer", "Rune")
    before = march.rows(f"from month_end.month_end where month = '{MONTH}'")
    march.fact("centra", "12.30", "2026-03-20", return_id="RT-2")
    march.learn("2026-04-15")
    certificate = standing(march, "2026-04-16")
    assert certificate.standing == "decertified"
    (moved,) = certificate.moved
    assert (moved.source, moved.component, moved.currency, moved.amount) == (
        "centra",
        "items",
        "EUR",
        Decimal("12.3000"),
    )
    assert march.rows(f"from month_end.month_end where month = '{MONTH}'") == before
    (late,) = march.rows("from month_end.month_end where is_late")
    assert (late["month"], late["centra_amount"], late["status"]) == ("2026-04", Decimal("12.3000"), "late")
    assert standing(march, "2026-04-10").standing == "certified"


def test_a_return_deleted_in_centra_after_the_close_is_a_late_item_with_the_exact_amount(march: LedgerFixture) -> None:
    close(march)
    march.connection.execute("delete from reconciliation.refund_facts where side = 'centra' and return_id = 'RT-1'")
    march.learn("2026-04-15")
    certificate = standing(march, "2026-04-16")
    assert certificate.standing == "decertified"
    (late,) = march.rows("from month_end.late_items")
    assert (late["of_month"], late["month"], late["effect"]) == (MONTH, "2026-04", Decimal("-100.0000"))


def test_a_late_change_within_the_tolerance_is_listed_and_the_certification_holds(march: LedgerFixture) -> None:
    close(march)
    march.connection.execute(
        "update reconciliation.refund_facts set amount = 100.05 where side = 'happy_returns' and return_id = 'RT-1'"
    )
    march.learn("2026-04-15")
    assert standing(march, "2026-04-16").standing == "closed"
    effects = [row["effect"] for row in march.rows("from month_end.late_items order by effect")]
    assert effects == [Decimal("-100.0000"), Decimal("100.0500")]


def test_after_a_reopening_late_facts_belong_to_the_month_again_and_signatures_are_void(march: LedgerFixture) -> None:
    close(march)
    sign(march, "preparer", "Pia")
    march.fact("centra", "12.30", "2026-03-20", return_id="RT-2")
    march.learn("2026-04-15")
    with pytest.raises(RunFailed, match="--why is empty"):
        closing.reopen(march.connection, MONTH, utc("2026-04-16"), by="Ada", why=" ")
    closing.reopen(march.connection, MONTH, utc("2026-04-16"), by="Ada", why="a Return of March came late")
    assert standing(march, "2026-04-16").standing == "open"
    assert march.rows("from month_end.late_items") == []
    (row,) = march.rows(f"from month_end.month_end where month = '{MONTH}'")
    assert row["centra_amount"] == Decimal("112.3000")
    close(march, "2026-04-17", accept="known")
    certificate = standing(march, "2026-04-18")
    assert (certificate.standing, certificate.signatures) == ("closed", ())


def test_the_same_month_closed_twice_has_the_same_hash_and_another_fact_another(march: LedgerFixture) -> None:
    close(march)
    first = standing(march, "2026-04-02").content_sha256
    closing.reopen(march.connection, MONTH, utc("2026-04-03"), by="Ada", why="to look")
    close(march, "2026-04-04")
    assert standing(march, "2026-04-04").content_sha256 == first
    closing.reopen(march.connection, MONTH, utc("2026-04-05"), by="Ada", why="to change")
    march.three_sides("1", "2026-03-11", return_id="RT-3")
    march.learn("2026-04-06")
    close(march, "2026-04-07")
    assert standing(march, "2026-04-07").content_sha256 != first


def test_frozen_rows_that_someone_changed_in_the_database_are_not_signed(march: LedgerFixture) -> None:
    close(march)
    march.connection.execute(
        """
        update month_end.closed_rows
        set content = replace(content::varchar, '100.0000', '10.0000')::json where table_name = 'month_end'
        """
    )
    with pytest.raises(RunFailed, match="changed by hand"):
        sign(march, "preparer", "Pia")


def test_no_frozen_table_has_a_column_for_names_or_addresses() -> None:
    columns = {column for declared in frozen.COVERED.values() for column in declared.columns}
    assert not {
        name for name in columns if any(part in name for part in ("email", "customer", "address", "phone", "token"))
    }
