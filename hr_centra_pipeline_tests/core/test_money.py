from __future__ import annotations

from decimal import Decimal

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hr_centra_pipeline.core.money import SQL_MACROS, allocate, minor_units, rounded, shown

CURRENCIES = st.sampled_from(["EUR", "SEK", "JPY", "KWD"])


@st.composite
def amounts(draw: st.DrawFn) -> tuple[Decimal, str]:
    currency = draw(CURRENCIES)
    return Decimal(draw(st.integers(-10_000_000, 10_000_000))).scaleb(-minor_units(currency)), currency


@given(amounts(), st.lists(st.integers(0, 10_000).map(Decimal), min_size=1, max_size=12))
def test_shares_sum_back_to_the_total_and_each_is_payable(total: tuple[Decimal, str], weights: list[Decimal]) -> None:
    amount, currency = total
    shares = allocate(amount, weights, currency)
    assert sum(shares) == amount
    assert all(share == rounded(share, currency) for share in shares)


@given(amounts(), st.lists(st.integers(1, 10_000).map(Decimal), min_size=1, max_size=12))
def test_no_share_is_further_than_one_minor_unit_from_the_exact_one(
    total: tuple[Decimal, str], weights: list[Decimal]
) -> None:
    amount, currency = total
    unit = Decimal(1).scaleb(-minor_units(currency))
    for share, weight in zip(allocate(amount, weights, currency), weights, strict=True):
        assert abs(share - amount * weight / sum(weights)) < unit


def test_ties_go_to_the_earlier_weight() -> None:
    assert allocate(Decimal("10.00"), [Decimal(1)] * 3, "EUR") == [Decimal("3.34"), Decimal("3.33"), Decimal("3.33")]


def test_a_total_without_anything_to_share_it_over_is_an_error() -> None:
    assert allocate(Decimal(0), [], "EUR") == []
    with pytest.raises(ValueError, match="nothing to allocate to"):
        allocate(Decimal(1), [], "EUR")


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("1234.5", "EUR", "1234.50 EUR"), ("1000", "JPY", "1000 JPY"), ("1.234", "KWD", "1.234 KWD"), ("7", "XOF", "7 XOF"),
        ("-3.5", "IQD", "-3.500 IQD"), ("0", "UGX", "0 UGX"), ("1.0001", "CLF", "1.0001 CLF"),
        ("3.005", "EUR", "3.0050 EUR"), ("1234.5", "JPY", "1234.5000 JPY"), ("99999999999999.99", "IDR", "99999999999999.99 IDR"),
    ],
)  # fmt: skip
def test_python_and_sql_show_an_amount_alike_in_its_currency_s_decimals_and_round_nothing(
    amount: str, currency: str, text: str
) -> None:
    assert shown(Decimal(amount), currency) == text
    with duckdb.connect() as connection:
        connection.execute(SQL_MACROS)
        found = connection.execute("select money_text(?::decimal(18, 4), ?)", [Decimal(amount), currency]).fetchone()
    assert found == (text,)


@pytest.mark.parametrize(
    ("currency", "text"),
    [("JPY", "11"), ("XOF", "11"), ("PYG", "11"), ("RWF", "11"), ("EUR", "10.51"), ("HUF", "10.51"), ("KWD", "10.506"),
     ("LYD", "10.506"), ("IQD", "10.506")],
)  # fmt: skip
def test_python_and_sql_round_to_the_smallest_unit_of_each_currency(currency: str, text: str) -> None:
    assert rounded(Decimal("10.5055"), currency) == Decimal(text)
    with duckdb.connect() as connection:
        connection.execute(SQL_MACROS)
        found = connection.execute("select rounded_money(10.5055::decimal(18, 4), ?)", [currency]).fetchone()
    assert found == (Decimal(text),)


@pytest.mark.parametrize("amount", ["9999999999.9999", "10000000000", "-90000000000000"])
def test_no_amount_that_fits_its_column_overflows_when_it_is_shared(amount: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(SQL_MACROS)
        found = connection.execute(
            """
            select
                share_of(amount, amount, amount, 'IDR'),
                part_of(amount, 1::decimal(18, 4), 2::decimal(18, 4), 2::decimal(18, 4), 'VND')
                    + part_of(amount, 0::decimal(18, 4), 1::decimal(18, 4), 2::decimal(18, 4), 'VND')
            from (select ?::decimal(18, 4) as amount)
            """,
            [Decimal(amount)],
        ).fetchone()
    assert found is not None
    assert abs(found[0] - Decimal(amount)) < 1
    assert found[1] == Decimal(amount)


@given(
    st.decimals(min_value=-100000, max_value=100000, places=2),
    st.decimals(min_value=1, max_value=100, places=1),
)
def test_sql_rounds_the_tax_in_a_gross_amount_as_python_does(gross: Decimal, percent: Decimal) -> None:
    expected = rounded(gross * percent / (100 + percent), "EUR")
    with duckdb.connect() as connection:
        connection.execute(SQL_MACROS)
        found = connection.execute(
            "select tax_in(?::decimal(18, 4), ?::decimal(18, 4), 'EUR')", [gross, percent]
        ).fetchone()
    assert found == (expected,)
