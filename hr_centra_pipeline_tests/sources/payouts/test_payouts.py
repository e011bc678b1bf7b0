from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.sources.intake import cutting
from hr_centra_pipeline.sources.intake.contents import Content
from hr_centra_pipeline.sources.payouts import settlement_profiles, settlement_reading, settlement_staging
from hr_centra_pipeline.sources.payouts.settlement_intake import PayoutReport, ingest_payouts
from hr_centra_pipeline.sources.payouts.settlement_profiles import load_payout_profiles
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
        layouts = load_payout_profiles(self.home / "payout_profiles")
        report = ingest_payouts(self.warehouse, str(self.folder), layouts, NOW)
        settlement_staging.refresh(self.warehouse, NOW, layouts)
        return report

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.warehouse.transaction() as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(
    ("told", "word", "instant"),
    [
        ("2025-10-26 02:30:00", "CEST", datetime(2025, 10, 26, 0, 30, tzinfo=UTC)),
        ("2025-10-26 02:30:00", "CET", datetime(2025, 10, 26, 1, 30, tzinfo=UTC)),
        ("2026-10-01 00:30:00", "CEST", datetime(2026, 9, 30, 22, 30, tzinfo=UTC)),
        ("2026-07-31 23:30:00", "PDT", datetime(2026, 8, 1, 6, 30, tzinfo=UTC)),
    ],
)
def test_the_hour_that_an_autumn_night_has_twice_is_read_by_the_word_of_its_zone(
    tmp_path: Path, told: str, word: str, instant: datetime
) -> None:
    place = Place(tmp_path)
    line = f"G,M,P1,1001,visa,{told},{word},Refunded,R1,EUR,125.00,,1,EUR,125.00,,,7"
    out = f"G,M,,,,{told},{word},MerchantPayout,out,,,,,EUR,,125.00,,7"
    place.deliver("batch_7.csv", "\n".join([HEADER, line, out]) + "\n")
    place.ingest()
    assert place.rows("select happened_at from staging.payout_lines where line_type = 'refund'") == [(instant,)]


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
        (7, "line_type", "is not a line type that the layout maps: Teleported", odd, "payouts")
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("CEST,Refunded,R1", "XYZ,Refunded,R1"), "is not a time, or of an unknown zone"),
        (("CEST,Refunded,R1,EUR", "CEST,Refunded,,EUR"), "is missing"),
        (("R1,EUR,125.00", "R1,,125.00"), "is missing"),
    ],
)
def test_a_line_that_cannot_be_used_says_why(place: Place, change: tuple[str, str], reason: str) -> None:
    place.deliver("batch_7.csv", GOOD.replace(*change))
    place.ingest()
    assert place.rows("select reason from quarantine.rejected_rows") == [(reason,)]
    assert place.rows("select count(*) from landing.payout_lines where set_aside is null") == [(4,)]


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
        (
            wallet(PAID, BACK, footer='"SF","USD","1e999999999","10000","0","274"'),
            "gross credits 110 USD, its total says NaN",
        ),
        (
            wallet(PAID, BACK, footer='"SF","USD","1e999999","10000","0","274"'),
            "gross credits 110 USD, its total says NaN",
        ),
        (
            wallet(PAID, BACK, footer='"SF","USD","1_1000","10000","0","274"'),
            "gross credits 110 USD, its total says NaN",
        ),
        (
            wallet(PAID, BACK, footer='"SF","USD","١١٠٠٠","10000","0","274"'),
            "gross credits 110 USD, its total says NaN",
        ),
        (wallet(PAID, BACK, footer='"XX"'), "it has no record SF with its totals"),
    ],
    ids=[
        "a line is lost",
        "another fee",
        "far too large",
        "too many figures",
        "with an underscore",
        "other digits",
        "the footer is lost",
    ],
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


def test_a_layout_of_one_s_own_wins_and_its_mistakes_are_reported_with_their_place(tmp_path: Path) -> None:
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
    assert [profile.name for profile in load_payout_profiles(tmp_path)] == [
        "card-psp",
        "invoice",
        "online-psp",
        "wallet",
        "mine",
    ]


def test_a_file_that_cannot_be_read_is_named_once_tried_again_and_stops_no_other(place: Place) -> None:
    (place.folder / "batch_6.csv").symlink_to(place.home / "nowhere.csv")
    place.deliver("batch_7.csv", GOOD)
    assert place.ingest() == PayoutReport(files=2, refused_files=1, rows_read=5, rows_landed=5)
    assert place.ingest() == PayoutReport()
    named = place.rows("select source_file from landing.payout_files where problem like 'cannot be read: %'")
    assert named == [("batch_6.csv",)]
    (place.home / "nowhere.csv").write_text(GOOD.replace(",7\n", ",6\n").replace("R1,EUR", "R9,EUR"), "utf-8")
    assert place.ingest().rows_landed == 5


def test_a_time_format_that_the_database_does_not_know_is_refused_with_the_layout(tmp_path: Path) -> None:
    shipped = Path(settlement_profiles.__file__).parent / "header_profiles" / "wallet.toml"
    (tmp_path / "mine.toml").write_text(shipped.read_text("utf-8").replace("%H:%M:%S %z", "%Q"), "utf-8")
    with pytest.raises(ConfigurationError, match=r"mine\.toml: times: format '%Y/%m/%d %Q' is none"):
        load_payout_profiles(tmp_path)


def test_a_place_that_cannot_be_read_is_named_and_no_place_at_all_is_no_trouble(place: Place) -> None:
    with pytest.raises(RunFailed, match=r"HR_CENTRA_PAYOUTS=.*is not a folder"):
        ingest_payouts(place.warehouse, str(place.home / "nowhere"), load_payout_profiles(place.home), NOW)
    assert ingest_payouts(place.warehouse, "", [], NOW) == PayoutReport()


# ---------------------------------------------------------------- accounts, versions, transactions


def money_back(place: Place) -> list[tuple[Any, ...]]:
    return place.rows(
        "select account, reference, gross_amount from staging.payout_lines where line_type = 'refund' order by all"
    )


def batch_of(account: str, *, refund: str = "R1", amount: str = "125.00", more: str = "") -> str:
    text = "\n".join([
        HEADER, f"G,{account},P-{refund},1001,visa,2026-09-05 10:00:00,CEST,Refunded,{refund},EUR,{amount},,1,EUR,{amount},,,118",
        f"G,{account},,,,2026-09-06 00:00:00,CEST,MerchantPayout,out,,,,,EUR,,{amount},,118",
    ])  # fmt: skip
    return text + "\n" + more


def test_two_accounts_with_a_batch_of_the_same_number_are_two_payouts(place: Place) -> None:
    place.deliver("shop_a_batch_118.csv", batch_of("ShopA", refund="RA"))
    place.deliver("shop_b_batch_118.csv", batch_of("ShopB", refund="RB", amount="30.00"))
    place.ingest()
    assert money_back(place) == [("ShopA", "RA", Decimal(-125)), ("ShopB", "RB", Decimal(-30))]
    place.deliver("shop_b_batch_118_again.csv", batch_of("ShopB", refund="RB", amount="31.00"))
    place.ingest()
    assert money_back(place) == [("ShopA", "RA", Decimal(-125)), ("ShopB", "RB", Decimal(-31))]


def test_both_accounts_in_one_file_each_add_up_by_themselves(place: Place) -> None:
    second = batch_of("ShopB", refund="RB", amount="30.00").split("\n", 1)[1]
    place.deliver("both.csv", batch_of("ShopA", refund="RA", more=second))
    assert place.ingest().rows_landed == 4
    wrong = second.replace(",,30.00,,118", ",,29.00,,118")
    place.deliver("wrong.csv", batch_of("ShopA", refund="RC", more=wrong))
    assert place.ingest().refused_files == 1


def test_one_transaction_in_the_files_of_two_accounts_counts_once_and_two_with_one_number_twice(place: Place) -> None:
    place.deliver("shop_a.csv", batch_of("ShopA"))
    place.deliver("shop_b.csv", batch_of("ShopB"))
    place.ingest()
    assert money_back(place) == [("ShopB", "R1", Decimal(-125))]
    place.deliver("shop_c.csv", batch_of("ShopC", amount="12.00"))
    place.ingest()
    assert len(money_back(place)) == 2


def test_lines_that_were_landed_before_accounts_were_kept_are_reported_again_with_them(place: Place) -> None:
    place.deliver("batch.csv", batch_of("ShopA"))
    place.ingest()
    with place.warehouse.transaction() as connection:
        connection.execute("update landing.payout_lines set account = ''")
    place.deliver("batch_again.csv", batch_of("ShopA", amount="120.00"))
    place.ingest()
    assert money_back(place) == [("ShopA", "R1", Decimal(-120))]


def report(version: str, *lines: str, footer: str) -> str:
    section = f'"SH","2026/09/05 00:00:00 +0000","2026/09/05 23:59:59 +0000","SHOP","{version}"'
    return wallet(section, *lines, footer=footer).replace(
        wallet().split("\n")[2] + "\n" + section, section + "\n" + wallet().split("\n")[2]
    )


FIRST = '"SB","W2","1004","W1","TXN","T1107","x","2026/09/05 12:00:00 -0700","DR","10000","USD","","",""'
SECOND = '"SB","W3","1005","W9","TXN","T1107","x","2026/09/05 13:00:00 -0700","DR","500","USD","","",""'


@pytest.mark.parametrize("order", [1, -1], ids=["a line more", "a line less"])
def test_a_report_of_a_day_in_a_newer_version_takes_the_place_of_the_older_one(place: Place, order: int) -> None:
    both = (FIRST, SECOND), '"SF","USD","0","10500","0","0"'
    one = (FIRST,), '"SF","USD","0","10000","0","0"'
    (old_lines, old_footer), (new_lines, new_footer) = (one, both)[::order]
    place.deliver("STL-20260905.01.010.CSV", report("010", *old_lines, footer=old_footer))
    place.ingest()
    place.deliver("STL-20260905.01.011.CSV", report("011", *new_lines, footer=new_footer))
    place.ingest()
    assert [row[1] for row in money_back(place)] == ["W2", "W3"][: len(new_lines)]


def test_a_transaction_counts_once_in_reports_that_do_not_say_of_which_day_they_are(place: Place) -> None:
    place.deliver("STL-20260906.01.010.CSV", wallet(FIRST, footer='"SF","USD","0","10000","0","0"'))
    place.ingest()
    place.deliver("STL-20260906.01.011.CSV", wallet(FIRST, SECOND, footer='"SF","USD","0","10500","0","0"'))
    place.ingest()
    assert [row[1] for row in money_back(place)] == ["W2", "W3"]


def test_a_numbered_transaction_in_the_reports_of_two_accounts_counts_once(place: Place) -> None:
    text = report("011", FIRST, footer='"SF","USD","0","10000","0","0"')
    place.deliver("STL-A.CSV", text)
    place.deliver("STL-B.CSV", text.replace('"SHOP"', '"GROUP"'))
    place.ingest()
    assert [row[:2] for row in money_back(place)] == [("GROUP", "W2")]


def test_a_report_that_was_landed_before_numbers_were_kept_does_not_count_beside_its_newer_version(
    place: Place,
) -> None:
    place.deliver("STL-20260905.01.010.CSV", wallet(FIRST, footer='"SF","USD","0","10000","0","0"'))
    place.ingest()
    with place.warehouse.transaction() as connection:
        connection.execute("update landing.payout_lines set transaction_id = null, account = ''")
    place.deliver("STL-20260905.01.011.CSV", report("011", FIRST, SECOND, footer='"SF","USD","0","10500","0","0"'))
    place.ingest()
    assert [row[1] for row in money_back(place)] == ["W2", "W3"]


# ---------------------------------------------------------------- types


@pytest.mark.parametrize(
    ("told", "line_type"),
    [
        ("ChargebackExternallyWithInfo", "chargeback"), ("SettledReversed", "chargeback"), ("RefundedBulk", "refund"),
        ("RefundedExternallyWithInfo", "refund"), ("PaidOut", "refund"), ("ReserveAdjustment", "other"),
        ("ChargebackReversedExternallyWithInfo", "chargeback_reversed"), (" chargeback ", "chargeback"), ("REFUNDED", "refund"),
    ],
)  # fmt: skip
def test_a_card_processor_s_documented_types_are_known_in_any_case(place: Place, told: str, line_type: str) -> None:
    place.deliver("batch_7.csv", GOOD.replace("CEST,Refunded,R1", f"CEST,{told},R1"))
    assert place.ingest().rows_rejected == 0
    assert place.rows("select line_type from staging.payout_lines where reference = 'R1'") == [(line_type,)]


def test_a_wallet_s_codes_are_known_by_their_family_and_reversals_only_by_themselves(place: Place) -> None:
    lines = [
        f'"SB","W{number}","1004","","TXN","{code}","x","2026/09/05 12:00:00 -0700","CR","0","USD","","",""'
        for number, code in enumerate(["T0000", "T0011", "T2105", "t0400", "T1199"])
    ]
    place.deliver("STL.CSV", wallet(*lines, footer='"SF","USD","0","0","0","0"'))
    place.ingest()
    assert place.rows("select told_type, line_type from staging.payout_lines order by source_line") == [
        ("T0000", "capture"), ("T0011", "capture"), ("T2105", "other"), ("t0400", "payout"), ("T1199", "unknown"),
    ]  # fmt: skip


def test_a_type_that_the_layout_maps_later_is_read_without_another_delivery(place: Place) -> None:
    place.deliver("batch_7.csv", GOOD.replace("CEST,Refunded,R1", "CEST,Teleported,R1"))
    place.ingest()
    assert place.rows("select line_type from staging.payout_lines where reference = 'R1'") == [("unknown",)]
    shipped = next(profile for profile in load_payout_profiles(place.home) if profile.name == "card-psp")
    mine = shipped.model_copy(update={"line_types": {**shipped.line_types, "Teleported": "chargeback"}})
    assert settlement_staging.refresh(place.warehouse, NOW, [mine]) == 1
    assert place.rows("select line_type, gross_amount from staging.payout_lines where reference = 'R1'") == [
        ("chargeback", Decimal(-125))
    ]
    assert settlement_staging.refresh(place.warehouse, NOW, [mine]) == 0


# ---------------------------------------------------------------- layouts that are added or mended

BANK = """
name = "bank"
provider = "bank"
[columns]
payout_id = "Lauf"
line_type = "Art"
reference = "Beleg"
order_number = "Auftrag"
happened_at = "Tag"
currency = "W"
gross_amount = "Betrag"
[line_types]
Aus = "refund"
[total]
rule = "none"
"""
BANK_HEADER = "Lauf;Neuer Lauf;Art;Beleg;Auftrag;Kunde;Tag;W;Betrag\n"
BANK_LINE = "1;11;Aus;B1;1001;2001;2026-09-05;EUR;-10.00\n"


def with_bank(place: Place, *changes: tuple[str, str]) -> None:
    text = BANK.replace("[columns]", 'delimiter = ";"\n[columns]')
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (place.home / "payout_profiles").mkdir(exist_ok=True)
    (place.home / "payout_profiles" / "bank.toml").write_text(text, encoding="utf-8")


def counted(place: Place) -> list[tuple[Any, ...]]:
    return place.rows("select reference, order_number, gross_amount from staging.payout_lines order by 1")


def test_a_file_that_no_layout_knew_is_read_when_one_is_added(place: Place) -> None:
    place.deliver("a.csv", BANK_HEADER + BANK_LINE)
    place.deliver("b.csv", "nobody;knows;this\n")
    place.deliver("c.csv", GOOD)
    assert place.ingest().refused_files == 2
    with_bank(place)
    assert place.ingest() == PayoutReport(files=2, rows_read=6, rows_landed=1), "and the good one says what it said"
    assert place.ingest() == PayoutReport()
    assert ("B1", "1001", Decimal(-10)) in counted(place)
    assert len(counted(place)) == 6
    assert place.rows("select source_file, count(*) from quarantine.rejected_rows group by all") == [("b.csv", 1)]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (('"Auftrag"', '"Kunde"'), ("B1", "2001", Decimal(-10))),
        (("[total]", '[money]\ndecimal = ","\n[total]'), None),
        (("[total]", '[money]\nin = ["Aus"]\n[total]'), ("B1", "1001", Decimal(10))),
        (('"Lauf"', '"Neuer Lauf"'), ("B1", "1001", Decimal(-10))),
    ],
    ids=["another header", "another decimal sign", "the other way", "another payout"],
)
def test_a_corrected_layout_corrects_what_has_landed_and_nothing_counts_twice(
    place: Place, change: tuple[str, str], line: tuple[Any, ...] | None
) -> None:
    with_bank(place)
    place.deliver("a.csv", BANK_HEADER + BANK_LINE)
    place.deliver("a_copy.csv", BANK_HEADER + BANK_LINE)
    place.deliver("c.csv", GOOD)
    place.ingest()
    with_bank(place, change)
    place.ingest()
    assert place.ingest() == PayoutReport()
    mine = [row for row in counted(place) if row[0] == "B1"]
    assert mine == [line or ("B1", "1001", None)], "a line that cannot be read holds its order"
    assert len(counted(place)) == 6
    assert place.rows("select count(*) from landing.payout_lines where provider <> 'bank'") == [(5,)]
    with_bank(place)
    place.ingest()
    assert [row for row in counted(place) if row[0] == "B1"] == [("B1", "1001", Decimal(-10))]
    assert place.rows("select count(*) from quarantine.rejected_rows") == [(0,)]


@pytest.mark.parametrize(
    ("column", "gone"), [("Auftrag", "a.csv"), ("Auftrag", "b.csv"), ("Lauf", "a.csv"), ("Lauf", None)]
)
def test_a_file_that_is_read_again_does_not_overtake_the_one_that_corrected_it(
    place: Place, column: str, gone: str | None
) -> None:
    with_bank(place)
    place.deliver("a.csv", BANK_HEADER + BANK_LINE)
    place.ingest()
    place.deliver("b.csv", BANK_HEADER + BANK_LINE.replace("10.00", "8.00"))
    place.ingest()
    if gone:
        (place.folder / gone).unlink()
    with_bank(place, (f'"{column}"', {"Auftrag": '"Kunde"', "Lauf": '"Neuer Lauf"'}[column]))
    place.ingest()
    assert [row[2] for row in counted(place)] == [Decimal(-8)]


def test_a_landed_file_that_a_changed_layout_refuses_keeps_what_it_said_and_is_named_once(place: Place) -> None:
    with_bank(place)
    place.deliver("a.csv", BANK_HEADER + BANK_LINE)
    place.ingest()
    with_bank(place, ('"Betrag"', '"Summe"'))
    assert place.ingest() == PayoutReport(files=1, refused_files=1)
    assert place.ingest() == PayoutReport()
    assert counted(place) == [("B1", "1001", Decimal(-10))]
    with_bank(place, ('"Betrag"', '"Summe"'), ("Aus", "Ein"))
    assert place.ingest() == PayoutReport(), "still refused, for the same reason"
    with_bank(place)
    place.ingest()
    assert place.rows("select count(*) from landing.payout_lines") == [(1,)]


def test_a_line_that_was_set_aside_is_read_again_when_its_word_is_mapped(place: Place) -> None:
    with_bank(place)
    place.deliver("a.csv", BANK_HEADER + BANK_LINE + BANK_LINE.replace("Aus", "Gebühr").replace("B1", "B2"))
    place.ingest()
    with_bank(place, ('Aus = "refund"', 'Aus = "refund"\n"Gebühr" = "fee"'))
    assert place.ingest().rows_rejected == 0
    assert place.rows("select reference, line_type from staging.payout_lines order by 1") == [
        ("B1", "refund"),
        ("B2", "fee"),
    ]
    assert place.rows("select count(*) from quarantine.rejected_rows") == [(0,)]
    assert place.rows("select source_file, rows_landed, rows_rejected from landing.payout_files order by batch") == [
        ("a.csv", 1, 1),
        ("a.csv", 2, 0),
    ]


# ---------------------------------------------------------------- cells


def test_currency_codes_are_upper_cased(place: Place) -> None:
    place.deliver("batch_7.csv", GOOD.replace("EUR", " eur ").replace("SEK", "sek"))
    assert place.ingest().rows_landed == 5
    assert place.rows(
        "select distinct currency, settlement_currency from staging.payout_lines where line_type = 'refund' order by 1"
    ) == [("EUR", "EUR"), ("SEK", "EUR")]


@pytest.mark.parametrize(
    ("change", "column"),
    [
        (("EUR,125.00,,1,EUR,125.00", "EUR,125.00,,1,EUR,n/a"), "net_amount"),
        (("EUR,125.00,,1,EUR,125.00", "EUR,n/a,,1,EUR,125.00"), "gross_amount"),
        (("EUR,125.00,,1,EUR,125.00", "EUR,,,1,EUR,125.00"), "gross_amount"),
        (("EUR,125.00,,1,EUR,125.00", "Euro,125.00,,1,EUR,125.00"), "currency"),
        (("2026-09-05 10:00:00,CEST,Refunded", "2026-09-05 10:00:00 PST,CEST,Refunded"), "happened_at"),
        (("2026-09-05 10:00:00,CEST,Refunded", "2026-09-05 10:00:00+99:00,CEST,Refunded"), "happened_at"),
        (("2026-09-05 10:00:00,CEST,Refunded", "2062-09-05 10:00:00,CEST,Refunded"), "happened_at"),
        (("#1001", "5.32494E+12"), "order_number"),
        (("Refunded,R1", "Refunded,#N/A"), "reference"),
    ],
)
def test_a_cell_that_is_there_and_cannot_be_read_sets_its_line_aside(
    place: Place, change: tuple[str, str], column: str
) -> None:
    assert change[0] in GOOD
    text = GOOD.replace(*change)
    if column == "net_amount":
        text = text.replace(",,11.00,,7", ",114.00,,,7")  # the others add up by themselves
    place.deliver("batch_7.csv", text)
    assert place.ingest() == PayoutReport(files=1, rows_read=5, rows_landed=4, rows_rejected=1)
    assert place.rows("select source_line, column_name from quarantine.rejected_rows") == [(3, column)]
    assert place.rows("select line_type from staging.payout_lines where source_line = 3") == [("unknown",)]


def test_a_wallet_s_amount_has_to_say_which_way_it_goes(place: Place) -> None:
    place.deliver(
        "STL.CSV", wallet(PAID, BACK.replace('"DR","10000"', '"","10000"'), footer='"SF","USD","21000","0","0","274"')
    )
    place.ingest()
    assert place.rows("select column_name from quarantine.rejected_rows") == [("gross_amount",)]


def test_an_offset_in_the_time_itself_counts_and_blanks_around_a_reference_do_not(place: Place) -> None:
    place.deliver(
        "batch_7.csv",
        GOOD.replace("2026-09-05 10:00:00,CEST,Refunded,R1", "2026-09-05 10:00:00-07:00,CEST,Refunded,\u200bR1\u00a0"),
    )
    place.ingest()
    assert place.rows("select happened_at from staging.payout_lines where reference = 'R1'") == [
        (datetime(2026, 9, 5, 17, tzinfo=UTC),)
    ]


# ---------------------------------------------------------------- other providers


INVOICE = """payment_reference,payout_date,settlement_currency,merchant_id,merchant_settlement_type,total_settlement_amount
PAY-9,2026-09-10,EUR,N100,NET,65.50

type,capture_date,sale_date,order_id,merchant_reference1,amount,posting_currency,detailed_type
SALE,2026-09-05T10:00:00Z,2026-09-01,K-1,1001,200.00,EUR,PURCHASE
FEE,2026-09-05T10:00:00Z,2026-09-01,K-1,1001,4.50,EUR,PURCHASE_FEE
RETURN,2026-09-07T10:00:00Z,2026-09-01,K-1,1001,100.00,EUR,PURCHASE_RETURN
REVERSAL,2026-09-08,2026-09-01,K-2,1002,30.00,EUR,CHARGEBACK
"""


@pytest.mark.parametrize("sign", ["", "-"], ids=["without signs", "with signs"])
def test_a_pay_later_provider_s_file_is_read_below_its_summary(place: Place, sign: str) -> None:
    text = INVOICE
    for amount in ("4.50", "100.00", "30.00"):
        text = text.replace(f",{amount},", f",{sign}{amount},")
    place.deliver("settlement.csv", text)
    assert place.ingest() == PayoutReport(files=1, rows_read=4, rows_landed=4)
    assert place.rows(
        "select payout_id, account, line_type, payment_reference, order_number, gross_amount, source_line"
        " from staging.payout_lines order by source_line"
    ) == [
        ("PAY-9", "N100", "capture", "K-1", "1001", Decimal(200), 5),
        ("PAY-9", "N100", "fee", "K-1", "1001", Decimal("-4.50"), 6),
        ("PAY-9", "N100", "refund", "K-1", "1001", Decimal(-100), 7),
        ("PAY-9", "N100", "chargeback", "K-2", "1002", Decimal(-30), 8),
    ]


def test_a_pay_later_provider_s_file_that_lost_a_line_is_refused_where_its_total_is_of_all_lines(place: Place) -> None:
    short = "\n".join(line for line in INVOICE.splitlines() if not line.startswith("REVERSAL")) + "\n"
    place.deliver("net.csv", short)
    place.deliver("gross.csv", short.replace(",NET,", ",GROSS,"))
    assert place.ingest().refused_files == 1
    assert place.rows("select source_file, problem from landing.payout_files where problem is not null") == [
        ("net.csv", "its lines do not add up to its own total: 95.5 EUR, its total_settlement_amount says 65.50")
    ]


ONLINE = """automatic_payout_id,balance_transaction_id,created_utc,currency,gross,fee,net,reporting_category,source_id,\
customer_facing_amount,customer_facing_currency,charge_id,payment_metadata[order_number]
po_1,txn_1,2026-09-01 10:00:00,eur,125.00,2.10,122.90,charge,ch_1,125.00,eur,ch_1,1001
po_1,txn_2,2026-09-05 10:00:00,eur,-125.00,0.00,-125.00,refund,re_1,-125.00,eur,ch_1,1001
po_1,txn_3,2026-09-06 10:00:00,eur,-11.20,0.00,-11.20,refund,re_2,-100.00,sek,ch_2,1002
po_1,txn_4,2026-09-07 10:00:00,eur,-50.00,15.00,-65.00,dispute,du_1,-50.00,eur,ch_3,1003
po_1,txn_5,2026-09-07 11:00:00,eur,100.00,0.00,100.00,refund_failure,re_1,100.00,eur,ch_1,1001
"""


def test_an_online_processor_s_itemized_payout_is_read_in_what_the_shopper_saw_and_each_transaction_once(
    place: Place,
) -> None:
    place.deliver("itemized.csv", ONLINE)
    place.deliver("itemized_later.csv", ONLINE.replace("po_1,txn_5", "po_2,txn_5"))
    place.ingest()
    assert place.rows(
        "select line_type, reference, payment_reference, order_number, gross_amount, currency, net_amount, settlement_currency,"
        " fee_amount from staging.payout_lines order by happened_at"
    ) == [
        ("capture", "ch_1", "ch_1", "1001", Decimal(125), "EUR", Decimal("122.90"), "EUR", Decimal("-2.10")),
        ("refund", "re_1", "ch_1", "1001", Decimal(-125), "EUR", Decimal(-125), "EUR", Decimal(0)),
        ("refund", "re_2", "ch_2", "1002", Decimal(-100), "SEK", Decimal("-11.20"), "EUR", Decimal(0)),
        ("chargeback", "du_1", "ch_3", "1003", Decimal(-50), "EUR", Decimal(-65), "EUR", Decimal(-15)),
        ("refund_reversed", "re_1", "ch_1", "1001", Decimal(100), "EUR", Decimal(100), "EUR", Decimal(0)),
    ]  # fmt: skip


def test_a_file_of_lines_that_cannot_be_read_is_refused_with_their_number_and_stops_no_other(place: Place) -> None:
    place.deliver("a.csv", HEADER + "\n" + "x\n" * 1_001)
    place.deliver("b.csv", HEADER + "\n" + "x\n" * 20_000)
    place.deliver("c.csv", GOOD + "x\n" * 900)
    assert place.ingest() == PayoutReport(files=3, refused_files=2, rows_read=905, rows_landed=5, rows_rejected=900)
    assert place.rows("select source_file, problem from landing.payout_files order by 1") == [
        ("a.csv", "1,001 of its lines cannot be read: line 2 has 1 of 18 columns"),
        ("b.csv", "10,001 of its first 10,002 lines cannot be read: line 2 has 1 of 18 columns"),
        ("c.csv", None),
    ]
    assert place.rows("select source_file, count(*) from quarantine.rejected_rows group by all order by 1") == [
        ("a.csv", 1),
        ("b.csv", 1),
        ("c.csv", 900),
    ]


def test_whatever_goes_wrong_with_a_file_is_named_once_and_stops_no_other(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def runs_out(content: Content, *_: object) -> str:
        if content.data.startswith(b"x"):
            raise duckdb.OutOfMemoryException("16 KiB more than there is")
        return "is of no use"

    monkeypatch.setattr(settlement_reading, "recognised", runs_out)
    place.deliver("a.csv", "x")
    place.deliver("b.csv", "y")
    assert place.ingest() == PayoutReport(files=2, refused_files=2)
    assert place.ingest() == PayoutReport()
    assert place.rows("select source_file, problem from landing.payout_files order by 1") == [
        ("a.csv", "cannot be landed: OutOfMemoryException"),
        ("b.csv", "is of no use"),
    ]


def test_lines_of_more_columns_than_any_header_are_not_searched_for_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[int] = []
    header_of = cutting.header_of

    def searching(data: bytes, delimiter: str) -> list[str]:
        searched.append(len(data))
        return header_of(data, delimiter)

    monkeypatch.setattr(cutting, "header_of", searching)
    place.deliver("wide.csv", ("," * 5_000 + ";" * 5_000 + "\t" * 5_000 + "\n") * 10)
    assert place.ingest() == PayoutReport(files=1, refused_files=1)
    assert not any(searched)


STRIPE = "source_id,balance_transaction_id,reporting_category,charge_id,created_utc,currency,gross,fee,net"


@pytest.mark.parametrize("is_last", [True, False])
@pytest.mark.parametrize("category", ["refund", "dispute"])
def test_a_booking_counts_once_where_one_of_two_reports_has_no_order_number(
    tmp_path: Path, category: str, is_last: bool
) -> None:
    place = Place(tmp_path)
    line = f"re_1,txn_1,{category},ch_1,2026-09-05 10:00:00,eur,-125.00,0.00,-125.00"
    reports = {
        "activity.csv": f"{STRIPE}\n{line}\n",
        "payout.csv": f"{STRIPE},automatic_payout_id,payment_metadata[order_number]\n{line},po_1,1001\n",
    }
    for name in reports if is_last else reversed(reports):
        place.deliver(name, reports[name])
        place.ingest()
    assert place.rows("select order_number, gross_amount from staging.payout_lines") == [("1001", -125)]
