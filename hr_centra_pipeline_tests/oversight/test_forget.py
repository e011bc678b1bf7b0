from __future__ import annotations

import gzip
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from hr_centra_pipeline.cli.main import main
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.oversight import forget
from hr_centra_pipeline.oversight.forget import _erase, find
from hr_centra_pipeline.oversight.person_files import in_folder
from hr_centra_pipeline.sources.happy_returns.export_intake import ingest
from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles
from hr_centra_pipeline.sources.happy_returns.export_staging import refresh
from hr_centra_pipeline.warehouse import backups, migrate, versions
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.cases import mostly_slow

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
KNOWN = versions.migrations()
ANNA, BERT = "Anna.Smith@example.com", "bert@example.com"
HEADER = "return_id,order_number,express_code,refund_status,customer_email,updated_at\n"
RETURNS = (
    HEADER
    + f"RT-1,1001,HRAAAAAA,started,{ANNA},2026-09-01T08:00:00Z\n"
    + f"RT-2,1002,HRBBBBBB,started,{BERT},2026-09-01T08:00:00Z\n"
    + f"RT-1,1001,HRAAAAAA,bartered,{ANNA},2026-09-02T08:00:00Z\n"  # refused: its words are in quarantine
)
ITEMS = (
    "return_id,order_number,sku,refund_type,item_id,updated_at,recipient\n"
    "RT-1,1001,SKU-1,barter,I1,2026-09-01T08:00:00Z,Anna Smith of 5 Mill Lane\n"
    "RT-2,1002,SKU-1,barter,I2,2026-09-01T08:00:00Z,Bert Jones of 7 Mill Lane\n"
)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """Two customers' returns, landed and staged; strings are stored as they are, so that the file can be searched."""
    exports = tmp_path / "exports"
    exports.mkdir()
    (exports / "returns-20260902T0900Z.csv").write_text(RETURNS, encoding="utf-8")
    (exports / "items-20260902T0900Z.csv").write_text(ITEMS, encoding="utf-8")
    monkeypatch.setenv("HR_CENTRA_HOME", str(tmp_path))
    monkeypatch.setenv("HR_CENTRA_NOW", NOW.isoformat())
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    migrate.prepare(warehouse)
    land(warehouse)
    with warehouse.transaction() as connection:
        connection.execute(
            "insert into push.attempts (attempt_id, packet_key, step, operation, started_at, real_started_at, outcome, message,"
            " request) values ('a', 'PK1', 'create', 'CreateReturn', now(), now(), 'refused',"
            f" 'customer {ANNA.lower()} is blocked', '{{\"note\": \"{ANNA}\"}}')"
        )
    warehouse.fold_log_in()
    return warehouse


def land(warehouse: Warehouse) -> None:
    exports = warehouse.path.parent / "exports"
    with warehouse.kept_open():
        with warehouse.transaction() as connection:
            connection.execute("set force_compression = 'uncompressed'")
        ingest(warehouse, str(exports), load_profiles(Path("/nowhere")), NOW)
        refresh(warehouse, NOW)


def everything(warehouse: Warehouse) -> str:
    with warehouse.transaction() as connection:
        tables = connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables() where not temporary"
        ).fetchall()
        return "\n".join(str(connection.execute(f"from {name}").fetchall()) for (name,) in tables)


def ledger(warehouse: Warehouse) -> list[tuple[object, ...]]:
    """What has to tie before and after."""
    with warehouse.transaction() as connection:
        return [
            *connection.execute("select * from landing.files order by all").fetchall(),
            *connection.execute("select * from staging.returns order by all").fetchall(),
            *connection.execute(
                "select return_id, row_sha256, source_line from landing.happy_returns_returns order by all"
            ).fetchall(),
            *connection.execute(
                "select source_file, source_line, column_name from quarantine.rejected_rows order by all"
            ).fetchall(),
        ]


def about(text: str, *words: str) -> set[str]:
    return {word for word in words if re.search(re.escape(word), text, re.IGNORECASE)}


@pytest.mark.parametrize(
    "who", mostly_slow([ANNA, ANNA.upper(), "RT-1", "HRAAAAAA", "1001", "#1001"], ANNA.upper(), "#1001")
)
def test_a_person_is_gone_from_every_table_and_every_block_still_ties(shop: Warehouse, who: str) -> None:
    before = ledger(shop)
    assert about(everything(shop), ANNA, "Mill Lane", "5 Mill") == {ANNA, "Mill Lane", "5 Mill"}
    erased = forget.forget(shop, who, "dpo", NOW)
    after = everything(shop)
    assert about(after, ANNA, "Anna Smith", "5 Mill Lane") == set()
    assert about(after, BERT, "Bert Jones", "7 Mill Lane") == {BERT, "Bert Jones", "7 Mill Lane"}
    assert ledger(shop) == before
    assert erased.files == ("returns-20260902T0900Z.csv",)
    assert erased.places["landing.personal"] == 1
    assert erased.places["quarantine.rejected_rows"] == 2
    assert set(erased.places) >= {"push.attempts.message", "push.attempts.request"}
    content = shop.path.read_bytes()
    assert b"Mill Lane" in content
    assert about(content.decode("latin-1"), ANNA, "5 Mill Lane") == set()


def test_the_old_file_did_hold_the_person_so_that_the_search_of_its_bytes_can_fail(shop: Warehouse) -> None:
    assert about(shop.path.read_bytes().decode("latin-1"), ANNA, "5 Mill Lane") == {ANNA, "5 Mill Lane"}


@pytest.mark.slow
def test_an_export_that_is_delivered_again_does_not_bring_the_address_back(shop: Warehouse) -> None:
    forget.forget(shop, ANNA, "dpo", NOW)
    later = HEADER + f"RT-1,1001,HRAAAAAA,approved,{ANNA},2026-09-05T08:00:00Z\n"
    (shop.path.parent / "exports" / "returns-20260905T0900Z.csv").write_text(later, encoding="utf-8")
    land(shop)
    with shop.transaction() as connection:
        assert connection.execute("select refund_status from staging.returns where return_id = 'RT-1'").fetchall() == [
            ("approved",)
        ]
    assert about(everything(shop), ANNA) == set()


@pytest.mark.slow
def test_backups_of_upgrades_are_cleaned_too(shop: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "migrations", lambda: (*KNOWN, (9000, "create table push.more (x int)")))
    migrate.prepare(Warehouse(shop.path))
    (copy,) = backups.existing(shop.path)
    erased = forget.forget(Warehouse(shop.path), ANNA, "dpo", NOW)
    assert erased.backups == (copy,)
    with duckdb.connect(copy, read_only=True) as connection:
        rows = connection.execute("select value from landing.personal order by value nulls first").fetchall()
    assert rows == [(None,), (BERT,)]
    assert about(copy.read_bytes().decode("latin-1"), ANNA) == set()


def test_who_is_not_known_is_said_and_nothing_is_changed(shop: Warehouse) -> None:
    before = everything(shop)
    with pytest.raises(ConfigurationError, match=r"nobody@example\.com: nothing is known about this person"):
        forget.forget(shop, "nobody@example.com", "dpo", NOW)
    assert everything(shop) == before


@pytest.mark.slow
def test_the_command_erases_and_names_the_files_that_still_hold_the_person(
    shop: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["hr-centra", "forget", ANNA, "--by", "dpo", "--yes"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "1 in landing.personal" in printed
    assert "delete them yourself.\n  exports/returns-20260902T0900Z.csv\n" in printed
    with shop.transaction() as connection:
        ((by, places),) = connection.execute('select "by", places from operations.erasures').fetchall()
    assert by == "dpo"
    assert ANNA not in places


# ---------------------------------------------------------------- who is only in what was set aside, and every file

CARLA = "carla.o'hara+x@example.com"


def run_forget(who: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr("sys.argv", ["hr-centra", "forget", who, "--by", "dpo", "--yes"])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    return printed.out


@pytest.mark.slow
@pytest.mark.parametrize("who", mostly_slow([CARLA, CARLA.upper(), "RT-9", "Carla O'Hara"], CARLA.upper(), "RT-9"))
def test_a_person_who_is_only_in_a_rejected_row_is_found_and_forgotten(
    shop: Warehouse, who: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rejected = (
        HEADER.replace("\n", ",name\n") + f"RT-9,1009,HRCCCCCC,bartered,{CARLA},2026-09-02T08:00:00Z,Carla O'Hara\n"
    )
    rejected += "RT-8,1008,HRDDDDDD,bartered,d@example.com,2026-09-02T08:00:00Z,Dora\n"
    (shop.path.parent / "exports" / "returns-20260903T0900Z.csv").write_text(rejected, encoding="utf-8")
    land(shop)
    assert about(everything(shop), "O'Hara", "Dora") == {"O'Hara", "Dora"}
    printed = run_forget(who, monkeypatch, capsys)
    assert about(everything(shop), "O'Hara", "Dora") == {"Dora"}
    assert ("exports/returns-20260903T0900Z.csv" in printed) == ("@" in who)


@pytest.mark.slow
def test_a_person_who_is_only_in_a_settlement_row_is_found_and_forgotten(
    shop: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with shop.transaction() as connection:
        connection.execute(
            "insert into quarantine.rejected_rows values ('pay.csv', 2, 'payouts', null, 'cut', ?, null, 1, now(), null)",
            ['{"buyer": "carla.o\'hara+x\\u0040example.com", "name": "C. O\'Hara"}'],
        )
    run_forget(CARLA, monkeypatch, capsys)
    assert about(everything(shop), "O'Hara") == set()


@pytest.mark.slow
def test_an_address_whose_letters_are_escaped_is_erased_from_every_text(shop: Warehouse) -> None:
    escaped = [
        "\\u0063arla.o'hara+x@example.com",
        "%63arla.o%27hara%2Bx%40example.com",
        "&#99;arla.o'hara+x@example.com",
    ]
    with shop.transaction() as connection:
        for text in escaped:
            connection.execute(
                "insert into landing.exports_looks (looked_at, is_complete, problem, batch) values (now(), false, ?, 1)",
                [text],
            )
        person = find(connection, CARLA)
        assert person.is_known or person.emails == (CARLA,)
        assert _erase(connection, person) == {"landing.exports_looks.problem": 3}
        left = connection.execute(
            "select distinct problem from landing.exports_looks where problem is not null"
        ).fetchall()
    assert left == [("…@…",)]


@pytest.mark.slow
def test_every_file_that_holds_the_address_is_named_whatever_it_is_packed_and_written_in(
    shop: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    exports, payouts = tmp_path / "exports", tmp_path / "elsewhere"
    (exports / "aside" / "deep").mkdir(parents=True)
    payouts.mkdir()
    row = f"1,{ANNA.upper()},x\n".encode()
    with zipfile.ZipFile(exports / "aside" / "all.zip", "w") as archive:
        archive.writestr("a.csv.gz", gzip.compress(row))
    (exports / "items.csv.gz").write_bytes(gzip.compress(b"x" * 3_000_000 + b"\n" + row))
    (exports / "wide.csv").write_bytes(row.decode().encode("utf-16"))
    (exports / "aside" / "deep" / "returns.csv.bak").write_bytes(b"x" * (2**20 - 5) + row)
    (exports / "escaped.jsonl").write_bytes(row.replace(b"@", b"\\u0040").replace(b"A", b"\\u0041"))
    (payouts / "pay.csv").write_bytes(row.replace(b"@", b"%40"))
    (exports / "broken.csv.gz").write_bytes(gzip.compress(row)[:-12])
    (exports / "others.csv").write_bytes(b"1,joanna.smith@example.com,anna.smith@example.com.org\n")
    monkeypatch.setenv("HAPPY_RETURNS_EXPORTS", str(exports))
    monkeypatch.setenv("HR_CENTRA_PAYOUTS", str(payouts))
    printed = run_forget(ANNA, monkeypatch, capsys)
    named = printed.split("delete them yourself.\n")[1].split()
    for name in (
        "returns-20260902T0900Z.csv", "items.csv.gz", "wide.csv", "aside/all.zip", "aside/deep/returns.csv.bak", "escaped.jsonl",
        "pay.csv", "broken.csv.gz",
    ):  # fmt: skip
        assert name in named
    assert "others.csv" not in named


_SPELLED = {
    "as it is": "jörg+a@x.de", "upper case": "JÖRG+A@X.DE", "JSON": "j\\u00f6rg\\u002ba@x.de",
    "JSON in upper case": "J\\u00D6RG+A@X.DE",
    "two characters": "jo\u0308rg+a@x.de", "percent": "j%C3%B6rg%2Ba%40x.de", "percent of Latin-1": "j%F6rg%2ba%40x.de",
    "markup": "j&#246;rg+a&#064;x.de",
}  # fmt: skip


@pytest.mark.parametrize("spelled", _SPELLED.values(), ids=_SPELLED)
def test_an_address_is_found_however_its_characters_are_spelled(tmp_path: Path, spelled: str) -> None:
    (tmp_path / "it.csv").write_text(f"1,{spelled},x", encoding="utf-8")
    (tmp_path / "other.csv").write_text(f"1,a{spelled},{spelled}n", encoding="utf-8")
    (tmp_path / "wide.csv").write_text(f"1,{spelled},x", encoding="utf-16")
    found = in_folder(tmp_path, ["jörg+a@x.de"])
    assert [one.name for one in found] == ["it.csv", "wide.csv"]
    mark = forget._mark("jörg+a@x.de")
    assert duckdb.sql("select regexp_matches($1, $2, 'i')", params=[spelled, mark]).fetchone() == (True,)
