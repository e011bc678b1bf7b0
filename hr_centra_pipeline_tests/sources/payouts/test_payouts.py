from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.sources.payouts import staging
from hr_centra_pipeline.sources.payouts.ingest import PayoutReport, ingest_payouts
from hr_centra_pipeline.sources.payouts.profiles import load_payout_profiles
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse

NOW = datetime(2026, 10, 2, 12, tzinfo=UTC)
HEADER = (
    "Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Creation Date,TimeZone,Type,"
    "Modification Reference,Gross Currency,Gross Debit (GC),Gross Credit (GC),Exchange Rate,Net Currency,Net Debit (NC),"
    "Net Credit (NC),Commission (NC),Batch Number"
)
SETTLED = "G,M,P1,1001,visa,2026-09-01 10:00:00,CEST,Settled,S1,EUR,,125.00,1,EUR,,123.50,1.50,7"
REFUND = "G,M,P1,#1001,visa,2026-09-05 10:00:00,CEST,Refunded,R1,EUR,125.00,,1,EUR,125.00,,,7"
SEK = "G,M,P2,1002,visa,2026-09-05 11:00:00,CEST,Refunded,R2,SEK,100.00,,0.09,EUR,9.00,,,7"
FEE = "G,M,,,,2026-09-06 00:00:00,CEST,Fee,Transaction Fees,,,,,EUR,0.50,,,7"
PAYOUT = "G,M,,,,2026-09-06 00:00:00,CEST,MerchantPayout,out,,,,,EUR,,11.00,,7"
GOOD = "\n".join([HEADER, SETTLED, REFUND, SEK, FEE, PAYOUT]) + "\n"


class Place:
    """A folder of settlement files and a database."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "payouts"
        self.folder.mkdir()
        self.warehouse = Warehouse(home / "warehouse.duckdb")
        migrate.prepare(self.warehouse)

    def deliver(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def ingest(self) -> PayoutReport:
        report = ingest_payouts(
            self.warehouse, str(self.folder), load_payout_profiles(self.home / "payout_profiles"), NOW
        )
        staging.refresh(self.warehouse, NOW)
        return report

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.warehouse.transaction() as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_lines_are_landed_signed_as_the_merchant_sees_them_in_both_currencies(place: Place) -> None:
    place.deliver("settlement_detail_report_batch_7.csv", GOOD)
    assert place.ingest() == PayoutReport(files=1, rows_read=5, rows_landed=5)
    assert place.rows(
        "select line_type, reference, order_number, gross_amount, currency, net_amount, settlement_currency"
        " from staging.payout_lines where line_type in ('refund', 'capture', 'payout') order by source_line"
    ) == [
        ("capture", "S1", "1001", Decimal(125), "EUR", Decimal("123.50"), "EUR"),
        ("refund", "R1", "1001", Decimal(-125), "EUR", Decimal(-125), "EUR"),
        ("refund", "R2", "1002", Decimal(-100), "SEK", Decimal(-9), "EUR"),
        ("payout", "out", None, Decimal(0), None, Decimal(11), "EUR"),
    ]
    assert place.rows("select min(happened_at) from staging.payout_lines") == [
        (datetime(2026, 9, 1, 8, tzinfo=UTC),)  # the summer time that the file says
    ]


def test_a_file_whose_lines_do_not_add_up_is_refused_by_name_and_nothing_of_it_is_landed(place: Place) -> None:
    place.deliver(
        "settlement_detail_report_batch_7.csv", GOOD.replace(",125.00,,1,EUR,125.00", ",125.00,,1,EUR,120.00")
    )
    assert place.ingest() == PayoutReport(files=1, refused_files=1)
    assert place.rows("select count(*) from landing.payout_lines") == [(0,)]
    problem = "its lines do not add up to its own total: payout 7 is off by 5 EUR"
    assert place.rows("select source_file, problem from landing.payout_files") == [
        ("settlement_detail_report_batch_7.csv", problem)
    ]
    assert place.rows("select source_line, reason from quarantine.rejected_rows") == [(None, problem)]


def test_the_same_bytes_again_change_nothing_and_a_corrected_file_takes_the_place_of_its_payout(place: Place) -> None:
    place.deliver("batch_7.csv", GOOD)
    place.ingest()
    place.deliver("batch_7_copy.csv", GOOD)
    place.ingest()
    assert place.rows("select count(*) from staging.payout_lines") == [(5,)]
    corrected = GOOD.replace("R1,EUR,125.00,,1,EUR,125.00", "R1,EUR,120.00,,1,EUR,120.00").replace(
        ",,11.00,,7", ",,6.00,,7"
    )
    place.deliver("batch_7_corrected.csv", corrected)
    place.ingest()
    assert place.rows("select count(*), min(gross_amount) from staging.payout_lines") == [(5, Decimal(-120))]
    assert place.rows("select count(*) from landing.payout_lines") == [(10,)]


def test_a_line_of_an_unknown_type_is_quarantined_with_its_text_and_the_others_are_landed(place: Place) -> None:
    odd = "G,M,P9,1009,visa,2026-09-05 10:00:00,CEST,Teleported,T1,EUR,,0.00,1,EUR,,0.00,,7"
    place.deliver("batch_7.csv", GOOD + odd + "\n")
    assert place.ingest() == PayoutReport(files=1, rows_read=6, rows_landed=5, rows_rejected=1)
    assert place.rows("select source_line, column_name, reason, raw_text, kind from quarantine.rejected_rows") == [
        (7, "line_type", "is no line type that the layout maps: Teleported", odd, "payouts")
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("CEST,Refunded,R1", "XYZ,Refunded,R1"), "is no time, or of an unknown zone"),
        (("CEST,Refunded,R1,EUR", "CEST,Refunded,,EUR"), "is missing"),
        (("R1,EUR,125.00", "R1,,125.00"), "is missing"),
    ],
)
def test_a_line_that_cannot_be_used_says_why(place: Place, change: tuple[str, str], reason: str) -> None:
    place.deliver("batch_7.csv", GOOD.replace(*change))
    place.ingest()
    assert place.rows("select reason from quarantine.rejected_rows") == [(reason,)]
    assert place.rows("select count(*) from landing.payout_lines") == [(4,)]


def test_a_header_that_no_layout_knows_is_refused_with_what_the_closest_misses(place: Place) -> None:
    place.deliver("odd.csv", GOOD.replace("Batch Number", "Stapel"))
    place.deliver("empty.csv", "")
    place.ingest()
    assert place.rows("select source_file, problem from landing.payout_files order by 1") == [
        ("empty.csv", "is empty"),
        (
            "odd.csv",
            "no layout of settlement files knows its header; the closest is card-psp, which needs Batch Number",
        ),
    ]


def wallet(*lines: str, footer: str = '"SF","USD","11000","10000","0","274"') -> str:
    head = (
        '"CH","Transaction ID","Invoice ID","PayPal Reference ID","PayPal Reference ID Type","Transaction Event Code",'
        '"Transaction Initiation Date","Transaction Completion Date","Transaction Debit or Credit",'
        '"Gross Transaction Amount","Gross Transaction Currency","Fee Debit or Credit","Fee Amount","Fee Currency"'
    )
    return "\n".join(['"RH","2026/09/06 00:00:00 +0000","A"', '"FH",1', head, *lines, footer, '"SC",2']) + "\n"


PAID = '"SB","W1","1004","","TXN","T0006","x","2026/09/01 12:00:00 -0700","CR","11000","USD","DR","274","USD"'
BACK = '"SB","W2","1004","W1","TXN","T1107","x","2026/09/05 12:00:00 -0700","DR","10000","USD","","",""'


def test_a_wallet_s_records_are_read_in_cents_with_their_signs_and_checked_against_the_footer(place: Place) -> None:
    place.deliver("STL-20260906.CSV", wallet(PAID, BACK))
    assert place.ingest() == PayoutReport(files=1, rows_read=2, rows_landed=2)
    assert place.rows(
        "select provider, payout_id, line_type, payment_reference, gross_amount, fee_amount, happened_at"
        " from staging.payout_lines order by source_line"
    ) == [
        (
            "wallet",
            "STL-20260906.CSV",
            "capture",
            None,
            Decimal(110),
            Decimal("-2.74"),
            datetime(2026, 9, 1, 19, tzinfo=UTC),
        ),
        ("wallet", "STL-20260906.CSV", "refund", "W1", Decimal(-100), None, datetime(2026, 9, 5, 19, tzinfo=UTC)),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (wallet(PAID), "gross debits 0 USD, its total says 100"),
        (wallet(PAID, BACK, footer='"SF","USD","11000","10000","0","275"'), "fee debits 2.74 USD, its total says 2.75"),
        (wallet(PAID, BACK, footer='"XX"'), "it has no record SF with its totals"),
    ],
    ids=["a line is lost", "another fee", "the footer is lost"],
)
def test_a_wallet_s_file_that_differs_from_its_footer_is_refused(place: Place, text: str, problem: str) -> None:
    place.deliver("STL-20260906.CSV", text)
    assert place.ingest().refused_files == 1
    assert place.rows("select problem from landing.payout_files") == [
        (f"its lines do not add up to its own total: {problem}",)
    ]


def test_no_line_is_lost_of_a_large_file(place: Place) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(HEADER.split(","))
    for number in range(2000):
        writer.writerow(
            f"G,M,P{number},{number},visa,2026-09-05 10:00:00,CEST,Refunded,R{number},EUR,0.37,,1,EUR,0.37,,,8".split(
                ","
            )
        )
    writer.writerow([*PAYOUT.removesuffix("11.00,,7").split(",")[:-1], "740.00", "", "8"])
    place.deliver("batch_8.csv", buffer.getvalue())
    assert place.ingest().rows_landed == 2001
    assert place.rows("select count(distinct reference), sum(gross_amount) from staging.payout_lines") == [
        (2001, Decimal(-740))
    ]


def test_a_layout_of_one_s_own_wins_and_its_mistakes_are_told_with_their_place(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_text(
        'name = "mine"\nprovider = "bank"\n[columns]\nreference = "Ref"\nhappened_at = "Day"\n'
        'line_type = "Kind"\ncurrency = "Cur"\n[line_types]\nOut = "refund"\n[total]\nrule = "balances"\n',
        encoding="utf-8",
    )
    with pytest.raises(
        ConfigurationError, match=r"mine\.toml: columns: map gross_amount, or gross_debit and gross_credit"
    ):
        load_payout_profiles(tmp_path)
    own.write_text(own.read_text("utf-8").replace('"balances"', '"none"') + '\n[money]\ndecimal = ","\n', "utf-8")
    own.write_text(
        own.read_text("utf-8").replace('currency = "Cur"', 'currency = "Cur"\ngross_amount = "Sum"'), "utf-8"
    )
    assert [profile.name for profile in load_payout_profiles(tmp_path)] == ["card-psp", "wallet", "mine"]


def test_a_place_that_cannot_be_read_is_named_and_no_place_at_all_is_no_trouble(place: Place) -> None:
    with pytest.raises(RunFailed, match=r"HR_CENTRA_PAYOUTS=.*is no folder"):
        ingest_payouts(place.warehouse, str(place.home / "nowhere"), load_payout_profiles(place.home), NOW)
    assert ingest_payouts(place.warehouse, "", [], NOW) == PayoutReport()
