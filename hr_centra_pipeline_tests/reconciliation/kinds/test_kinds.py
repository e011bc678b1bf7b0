from __future__ import annotations

from pathlib import Path

import pytest

from hr_centra_pipeline.core.exception_kinds import EXCEPTION_KINDS, ExceptionKindError, folder, load, sql_of
from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone

MADE_UP = """\
-- changes: findings
-- kind:  exception
-- grain: one row per unit without an article
-- exception:    article_missing
-- subject:      unit
-- owner:        warehouse
-- window_hours: 24
-- precedence:   5
-- severity:     warning
-- family:       none
-- opens:        A unit of which nobody knows
--               the article.
-- closes:       the article is named.

insert into findings by name
select 'article_missing' as kind, 'unit' as subject, return_item_id, received_at as fact_at, 'No article' as detail
from staging.return_items
where sku is null;

-- closing
insert into proofs by name
select unseen.exception_id, proven_by('named', 'it is ' || items.sku) as proof
from unseen
join staging.return_items as items using (return_item_id)
where unseen.kind = 'article_missing';
"""


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    (tmp_path / "article_missing.sql").write_text(MADE_UP, encoding="utf-8")
    return tmp_path


def test_a_new_kind_is_its_file(made_up: Path) -> None:
    kind = load(made_up)["article_missing"]
    assert (kind.subjects, kind.owner_team, kind.window_hours) == (("unit",), "warehouse", 24)
    assert kind.opens == "A unit of which nobody knows the article."
    alone = Alone("article_missing", made_up)
    alone.put(
        "staging.return_items", {"return_item_id": "IT-1", "received_at": NOW}, {"return_item_id": "IT-2", "sku": "A"}
    )
    assert alone.opened("return_item_id", "fact_at") == [("IT-1", NOW)]
    alone.was_open("named", return_item_id="IT-2")
    alone.was_open("still", return_item_id="IT-1")
    assert alone.closed() == {"named": "it is A"}


def test_the_closing_of_a_new_kind_is_one_of_all_of_them(made_up: Path) -> None:
    closings = (Path(str(folder())).parent / "closings.sql").read_text(encoding="utf-8")
    assert "where unseen.kind = 'article_missing'\n)" in sql_of(closings, made_up)


def test_each_kind_has_its_test() -> None:
    here = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert set(EXCEPTION_KINDS) == here - {"kinds"}


@pytest.mark.parametrize(
    ("instead", "of", "says"),
    [
        ("owner:        nobody", "owner:        warehouse", "owner 'nobody' is none of customer_service,"),
        ("subject:      unit, parcel", "subject:      unit", "subject 'parcel' is none of unit,"),
        ("severity:     grave", "severity:     warning", "severity 'grave' is none of warning, error"),
        ("family:       lost", "family:       none", "family 'lost' is none of None, orphaned_returns,"),
        ("awaits:       post\n-- opens: ", "opens: ", "awaits 'post' is none of None, goods, grade"),
        ("component:    duty\n-- opens: ", "opens: ", "component 'duty' is none of None, items,"),
        ("asks:         why\n-- opens: ", "opens: ", "asks 'why' is none of None, goods_or_money"),
        ("outranked:    lost\n-- opens: ", "opens: ", "outranked 'lost' is none of None, told"),
        ("counterpart:  parcel\n-- opens: ", "opens: ", "counterpart 'parcel' is none of None, credit,"),
        ("measure:      pieces\n-- opens: ", "opens: ", "measure 'pieces' is none of None, over_credits_found,"),
        ("colour:       red\n-- opens: ", "opens: ", "nobody reads the line '-- colour: ...'"),
        ("window_hours: soon", "window_hours: 24", "window_hours 'soon' is not a whole number"),
        ("exception:    another", "exception:    article_missing", "its head is that of 'another'"),
        ("-- nothing", "-- closing\n", "nothing closes it"),
        ("", "-- closes:       the article is named.\n", "its head needs a line '-- closes: ...'"),
    ],
)
def test_a_head_that_does_not_hold_is_refused_by_name(instead: str, of: str, says: str, made_up: Path) -> None:
    (made_up / "article_missing.sql").write_text(MADE_UP.replace(of, instead), encoding="utf-8")
    with pytest.raises(ExceptionKindError, match=r"^article_missing\.sql: ") as refused:
        load(made_up)
    assert says in str(refused.value)


def test_what_a_head_says_of_a_kind_is_what_others_ask_it_by(made_up: Path) -> None:
    said = "-- counterpart:  order\n-- measure:      unbooked_units_value\n-- opens:"
    (made_up / "article_missing.sql").write_text(MADE_UP.replace("-- opens:", said), encoding="utf-8")
    kind = load(made_up)["article_missing"]
    assert (kind.counterpart, kind.measure) == ("order", "unbooked_units_value")
    assert (kind.awaits, kind.component, kind.asks, kind.outranked) == (None, None, None, None)


def test_one_kind_says_how_long_a_stage_takes(made_up: Path) -> None:
    first = MADE_UP.replace("-- opens:", "-- awaits:       grade\n-- opens:")
    second = first.replace("article_missing", "sku_missing").replace("precedence:   5", "precedence:   6")
    (made_up / "article_missing.sql").write_text(first, encoding="utf-8")
    (made_up / "sku_missing.sql").write_text(second, encoding="utf-8")
    with pytest.raises(ExceptionKindError, match="article_missing and sku_missing await the same, grade"):
        load(made_up)


def test_two_kinds_have_two_places(made_up: Path) -> None:
    (made_up / "sku_missing.sql").write_text(MADE_UP.replace("article_missing", "sku_missing"), encoding="utf-8")
    with pytest.raises(ExceptionKindError, match="article_missing and sku_missing have the same precedence, 5"):
        load(made_up)
