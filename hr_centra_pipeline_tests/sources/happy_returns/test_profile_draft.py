"""``hr-centra profile``: columns by name and content, what rows become, and questions about what a file cannot show."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hr_centra_pipeline.cli.profile_command import draft_profile
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.policy import Triggers
from hr_centra_pipeline.sources.happy_returns.export_profiles import Profile, load_profiles
from hr_centra_pipeline.sources.happy_returns.profile_draft import drafted, tried
from hr_centra_pipeline.sources.happy_returns.profile_synonyms import known_words
from hr_centra_pipeline.sources.intake.profile_files import parsed

GERMAN = (
    "Erstattungsnummer;Retoure;Bestellnummer;Erstattungsart;Statut;Betrag;Währung;Erstattet am;Kasse\n"
    "F-1;R-1;1001;Gutschein;erstattet;1.234,50;EUR;27.08.2026 10:15;7\n"
    "F-2;R-2;1002;Erstattung;offen;12,00;SEK;28.08.2026 11:20;8\n"
)
SWEDISH = (
    "Retur-ID\tOrdernummer\tArtikelnr\tÅtgärd\tSkick\tGodkänd\n"
    "R1\t1001\tA-1\tutbyte\tskadad\t2026-08-27T10:00:00+02:00\n"
    "R2\t1002\tA-2\tåterbetalning\ttrasigt hörn\t2026-08-27T10:00:00Z\n"
)


def export(folder: Path, text: str, name: str = "export.csv") -> Path:
    file = folder / name
    raw = text.encode()
    file.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return file


def test_a_german_file_with_semicolons_is_mapped_by_name_and_content(tmp_path: Path) -> None:
    draft = drafted([export(tmp_path, GERMAN, "erstattungen.csv.gz")], "ours")
    assert (draft.kind, draft.delimiter, draft.decimal, draft.time_format) == ("refunds", ";", ",", "%d.%m.%Y %H:%M")
    assert {column: header for column, (header, _) in draft.columns.items()} == {
        "refund_id": "Erstattungsnummer", "return_id": "Retoure", "order_number": "Bestellnummer", "refund_type": "Erstattungsart",
        "status": "Statut", "total_refunded": "Betrag", "currency": "Währung", "issued_at": "Erstattet am",
    }  # fmt: skip
    assert draft.words["refund_type"] == {"Gutschein": "gift-card", "Erstattung": "refund"}
    assert draft.words["status"] == {"erstattet": "issued", "offen": "pending"}
    assert draft.unmapped == ["Kasse"]
    assert [place for place, _ in draft.questions] == [("times", "zone")]


def test_what_the_file_cannot_show_is_refused_by_name_until_it_is_answered_and_then_rows_land(tmp_path: Path) -> None:
    draft = drafted([export(tmp_path, GERMAN)], "ours")
    why = tried([tmp_path / "export.csv"], draft)
    assert isinstance(why, str)
    assert "times.zone is not answered yet: In which zone" in why
    text = draft.as_toml().replace('# zone = "Europe/Stockholm"', 'zone = "Europe/Berlin"')
    profile = parsed(Profile, text, "ours")
    assert (profile.times.zone, profile.money.decimal) == ("Europe/Berlin", ",")


def test_the_first_rows_are_landed_or_quarantined_as_a_sync_would(tmp_path: Path) -> None:
    text = GERMAN.replace("27.08.2026 10:15", "2026-08-27T10:15:00Z").replace(
        "28.08.2026 11:20", "2026-08-28T11:20:00Z"
    )
    file = export(tmp_path, text + "F-3;;1003;Erstattung;offen;5,00;SEK;2026-08-28T11:20:00Z;9\n")
    rows = tried([file], drafted([file], "ours"))
    assert not isinstance(rows, str)
    assert [(row.line, row.reason.partition(":")[0]) for row in rows] == [(2, ""), (3, ""), (4, "return_id")]


def test_a_word_that_nobody_knows_is_a_question_and_a_missing_column_too(tmp_path: Path) -> None:
    draft = drafted([export(tmp_path, SWEDISH)], "ours")
    assert (draft.kind, draft.delimiter) == ("items", "\t")
    assert draft.words["disposition"] == {"skadad": "damaged", "trasigt hörn": None}
    assert draft.words["refund_type"] == {"utbyte": "exchange", "återbetalning": "refund"}
    assert [place for place, _ in draft.questions] == [("words", "disposition", "trasigt hörn")]
    without_order = drafted([export(tmp_path, SWEDISH.replace("Ordernummer", "Nr X"), "b.csv")], "ours")
    (place, question) = without_order.questions[-1]
    assert place == ("columns", "items", "order_number")
    assert "Nr X" in question


def test_currencies_and_words_are_found_by_content(tmp_path: Path) -> None:
    text = "refund_id,return_id,order_number,X,status,total_refunded,Y\nF1,R1,1,Umtausch,issued,5.00,EUR\n"
    draft = drafted([export(tmp_path, text)], "ours")
    assert draft.columns["refund_type"] == ("X", "content")
    assert draft.columns["currency"] == ("Y", "content")


def test_an_amount_that_reads_two_ways_and_a_day_that_does_are_questions(tmp_path: Path) -> None:
    text = GERMAN.replace("1.234,50", "1,234").replace("12,00", "2,345").replace("27.08.2026", "07/08/2026")
    draft = drafted([export(tmp_path, text.replace("28.08.2026", "08/07/2026"))], "ours")
    assert {place for place, _ in draft.questions} == {("money", "decimal"), ("times", "format"), ("times", "zone")}


def test_headers_and_words_of_any_kind_stay_data(tmp_path: Path) -> None:
    text = 'return_id,order_number,sku,refund_type,"Skick ""]\n# x"\nR1,1,A,"x""\\\n[y]",ok\n'.replace("\n#", "#")
    draft = drafted([export(tmp_path, text)], "ours")
    with pytest.raises(ConfigurationError, match="is not answered yet"):
        parsed(Profile, draft.as_toml(), "ours")


@pytest.mark.parametrize(
    ("name", "raw", "told"),
    [
        ("a.csv", b"", "is empty"),
        ("a.xlsx", b"PK", "deliver it as .csv"),
        ("a.csv", "Größe;b\nä;1\n".encode("latin-1"), "not UTF-8"),
        ("a.csv", b"one line of words\n", "first line names the columns"),
    ],
)
def test_a_file_that_is_none_is_refused_with_what_to_deliver(tmp_path: Path, name: str, raw: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(ConfigurationError, match="a\\.") as caught:
        drafted([tmp_path / name], "ours")
    assert told in str(caught.value)


def test_the_command_writes_only_when_asked_and_never_over_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HR_CENTRA_HOME", str(tmp_path / "home"))
    file = export(tmp_path, GERMAN.replace("27.08.2026 10:15", "").replace("28.08.2026 11:20", ""))
    draft_profile([file], "ours", is_written=False)
    assert not (tmp_path / "home").exists()
    assert "2 would land, 0 would be quarantined" in capsys.readouterr().out
    draft_profile([file], "ours", is_written=True)
    assert "ours" in {one.name for one in load_profiles(tmp_path / "home" / "profiles")}
    with pytest.raises(ConfigurationError, match="exists already"):
        draft_profile([file], "ours", is_written=True)


def test_several_files_of_one_header_show_more_words_and_another_header_is_refused(tmp_path: Path) -> None:
    one = export(tmp_path, GERMAN, "a.csv")
    two = export(tmp_path, GERMAN.replace("Gutschein", "Umtausch"), "b.csv")
    assert set(drafted([one, two], "ours").words["refund_type"]) == {"Gutschein", "Umtausch", "Erstattung"}
    with pytest.raises(ConfigurationError, match="another header"):
        drafted([one, export(tmp_path, SWEDISH, "c.csv")], "ours")


def test_the_methods_that_the_policy_s_triggers_name_are_known() -> None:
    assert set(Triggers().by_method) == set(known_words("dropoff_method"))


def test_one_bad_time_among_many_is_no_question(tmp_path: Path) -> None:
    good = "".join(f"F{number},R1,1,refund,issued,5.00,EUR,2026-08-27T10:00:00Z\n" for number in range(30))
    text = "refund_id,return_id,order_number,refund_type,status,total_refunded,currency,issued_at\n" + good
    assert drafted([export(tmp_path, text + "F99,R1,1,refund,issued,5.00,EUR,yesterday\n")], "ours").questions == []
