from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hr_centra_pipeline.core import keys

IDS = st.lists(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00\x1f"), max_size=40), min_size=1, max_size=3
)


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(keys.SQL_MACROS)
    return connection


@given(ids=IDS)
def test_sql_makes_the_same_keys_as_python(connection: duckdb.DuckDBPyConnection, ids: list[str]) -> None:
    row = connection.execute("select effect_key('credit_note', $ids), packet_key($ids)", {"ids": ids}).fetchone()
    assert row == (keys.effect_key("credit_note", *ids), keys.packet_key(ids))


def test_a_key_never_changes_between_releases() -> None:
    assert keys.effect_key("credit_note", "5035789d-f873-4bad-b2f3-2daca346c111") == "HREWC52BN6YIANI"
    assert keys.packet_key(["HREWC52BN6YIANI"]) == keys.packet_key(["HREWC52BN6YIANI"])


def test_a_packet_key_does_not_depend_on_the_order_of_its_members() -> None:
    assert keys.packet_key(["b", "a"]) == keys.packet_key(["a", "b"])


def test_kinds_and_ordinals_of_one_unit_have_keys_of_their_own() -> None:
    made = {
        keys.effect_key("credit_note", "unit"),
        keys.effect_key("exchange_order", "unit"),
        keys.effect_key("inventory_adjustment", "unit", "1"),
        keys.effect_key("inventory_adjustment", "unit", "2"),
    }
    assert len(made) == 4


def test_what_is_ordered_again_has_its_ordinal_in_its_key_and_the_first_has_none(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    row = connection.execute(
        "select effect_key('exchange_order', exchange_ids('unit', 1)), effect_key('exchange_order', exchange_ids('unit', 2))"
    ).fetchone()
    assert row == (keys.effect_key("exchange_order", "unit"), keys.effect_key("exchange_order", "unit", "2"))


def test_keys_are_read_back_from_a_text_that_people_wrote_around() -> None:
    first, second = keys.effect_key("credit_note", "a"), keys.effect_key("credit_note", "b")
    packet = keys.packet_key([first, second])
    text = f"Anna: see {packet} RMA HRVPBGPR {first} {second}, {first}; HRnotakey"
    assert keys.effect_keys_in(text) == [first, second]
    assert keys.PACKET_KEY.findall(text) == [packet]
    assert keys.effect_keys_in(None) == []


@given(before=st.text(max_size=9), after=st.text(max_size=9), kind=st.sampled_from(["HR", "PK"]))
def test_a_text_without_keys_holds_none_in_python_and_sql(
    connection: duckdb.DuckDBPyConnection, before: str, after: str, kind: str
) -> None:
    text = f"{before}{kind}{'A2' * 6}Q{after}".replace("\x00", "")
    clean = keys.without_keys(text)
    assert keys.effect_keys_in(clean) == keys.PACKET_KEY.findall(clean) == []
    (in_sql,) = connection.execute("select without_keys($text)", {"text": text}).fetchone() or ("",)
    assert keys.effect_keys_in(in_sql) == keys.PACKET_KEY.findall(in_sql) == []
