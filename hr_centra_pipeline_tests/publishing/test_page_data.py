"""What the pages read is what ``hr-centra explain`` shows, only what changed is written, and a person is erased from it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from hr_centra_pipeline.cli.explain import explain_return
from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.effects.plan import plan
from hr_centra_pipeline.matching.match import match
from hr_centra_pipeline.oversight.forget import forget
from hr_centra_pipeline.publishing.page_data import (
    PagesReport,
    forget_in_pages,
    normalized_name,
    write_months,
    write_pages,
)
from hr_centra_pipeline.publishing.page_tables import ACTORS, EXCEPTION_STATES, NAME_KINDS, PAGE_TABLES, PAGES_DATABASE
from hr_centra_pipeline.publishing.refund_sentence import ACTORS as ACTOR_WORDS
from hr_centra_pipeline.publishing.refund_sentence import actor_sentence, refund_sentence, wait_sentence
from hr_centra_pipeline.push.record import record_plan
from hr_centra_pipeline.reconciliation import notes
from hr_centra_pipeline.reconciliation.reconcile import reconcile
from hr_centra_pipeline.reconciliation.story import Refund, Story, read_story, story_rows
from hr_centra_pipeline.sources.happy_returns import export_staging as happy_returns_staging
from hr_centra_pipeline.sources.happy_returns.export_intake import ingest
from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline_tests.shops import ShopScenario, shop_scenario


class Pages:
    """A shop that was synced, and the file beside it."""

    def __init__(self, scenario: ShopScenario) -> None:
        self.scenario = scenario
        self.path = scenario.settings.published / PAGES_DATABASE

    def write(self) -> PagesReport:
        settings = self.scenario.settings
        return write_pages(self.scenario.warehouse, settings, clock.now(), load_policy(settings.policy_path).sha256)

    def run_again(self) -> None:
        """A sync without what it reads from outside, where nothing is new."""
        with self.scenario.warehouse.transaction() as connection:
            match(connection, clock.now())
            plan(connection, clock.now())
            record_plan(connection, clock.now())
            reconcile(connection, clock.now())

    def rows(self, query: str, *given: object) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as connection:
            return connection.execute(query, given).fetchall()

    def token(self, address: str) -> str:
        """What the file finds a customer's returns by."""
        ((key,),) = self.rows("select email_key from publication")
        return hashlib.sha256(f"{key}{address.lower()}".encode()).hexdigest()[:24]

    def stories(self) -> dict[str, str]:
        return dict(self.rows("select return_id, story from returns"))  # type: ignore[arg-type]

    def explained(self) -> dict[str, str]:
        with self.scenario.warehouse.transaction() as connection:
            known = [
                one for (one,) in connection.execute("select distinct return_id from staging.return_items").fetchall()
            ]
            return {row["return_id"]: row["story"] for row in story_rows(connection, known, clock.now())}


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """A small shop with its troubles, synced once and published."""
    with (
        pytest.MonkeyPatch.context() as patch,
        shop_scenario(tmp_path_factory.mktemp("shop"), patch, returns=8) as scenario,
    ):
        scenario.sync_stages()
        pages = Pages(scenario)
        pages.run_again()  # what was sent is planned no more
        pages.write()
        yield pages


@pytest.fixture
def copied(synced: Pages, tmp_path: Path) -> Iterator[Pages]:
    """The same home once more, for a test that changes it."""
    home = tmp_path / "home"
    shutil.copytree(synced.scenario.home, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HR_CENTRA_HOME", str(home))
        yield Pages(replace(synced.scenario, home=home))


def test_each_story_on_the_pages_is_the_one_that_explain_shows(
    synced: Pages, capsys: pytest.CaptureFixture[str]
) -> None:
    stories = synced.stories()
    assert stories.keys() == synced.explained().keys()
    for return_id in sorted(stories)[::10]:
        explain_return(return_id, as_json=True)
        (shown,) = json.loads(capsys.readouterr().out)
        assert shown == json.loads(stories[return_id])


def test_explain_shows_the_sentence_of_a_refund_and_who_must_act(
    synced: Pages, capsys: pytest.CaptureFixture[str]
) -> None:
    story = next(story for story in map(read_story, synced.stories().values()) if story.refunds and story.waits)
    explain_return(story.return_id)
    shown = " ".join(capsys.readouterr().out.split())
    for sentence in (refund_sentence(story.refunds[0]), wait_sentence(story.waits[0]), actor_sentence(story)):
        assert sentence in shown


def test_what_was_paid_is_the_sum_of_its_parts(synced: Pages) -> None:
    paid = [one for story in map(read_story, synced.stories().values()) for one in story.refunds if one.state == "paid"]
    assert [one for one in paid if one.fee]
    for one in paid:
        assert one.total == one.items - one.voucher + one.shipping - one.fee
        assert one.paid == one.total, refund_sentence(one)


def test_the_file_is_for_its_owner_and_says_what_it_was_written_by(synced: Pages) -> None:
    assert synced.path.stat().st_mode & 0o777 == 0o600
    assert synced.rows("select number, mode, as_of from publication") == [(1, "live", "2026-09-30T12:00:00Z")]
    assert synced.rows("pragma integrity_check") == [("ok",)]


def test_counts_are_those_of_the_exceptions_and_every_code_is_a_known_one(synced: Pages) -> None:
    counted = synced.rows("select state, kind, sum(exceptions), sum(overdue) from exception_counts group by 1, 2")
    assert counted == synced.rows("select state, kind, count(*), sum(overdue) from exceptions group by 1, 2")
    assert {state for state, *_ in counted} <= set(EXCEPTION_STATES)
    assert {who for (who,) in synced.rows("select must_act from returns union select must_act from holds")} <= set(
        ACTORS
    )
    assert {kind for (kind,) in synced.rows("select kind from names")} <= set(NAME_KINDS)
    assert ACTOR_WORDS.keys() == set(ACTORS)
    opened = synced.scenario.rows("select exception_id, amount::varchar from reconciliation.exceptions order by all")
    assert synced.rows("select exception_id, amount from exceptions where state <> 'closed' order by 1") == opened
    for table in ("arrivals", "put_aways", "holds", "payouts", "health"):
        assert synced.rows(f"select count(*) from {table}") > [(0,)], table


def test_a_return_is_found_by_each_of_its_names_and_by_the_address_of_its_customer(synced: Pages) -> None:
    (return_id, order, code, unit, sku), *_ = synced.scenario.rows(
        "select return_id, order_number, express_code, return_item_id, sku from staging.return_items where express_code <> ''"
    )
    (address,), *_ = synced.scenario.rows(
        f"select value from landing.personal join staging.returns on customer_token = token where return_id = '{return_id}'"
    )
    token = synced.token(address.upper())
    for typed in (return_id, f"#{order}", code.lower(), unit, sku):
        found = synced.rows("select return_id from names where name = ?", normalized_name(typed))
        assert (return_id,) in found, typed
    assert (return_id,) in synced.rows("select return_id from names where kind = 'email_token' and name = ?", token)
    assert not [name for (name,) in synced.rows("select name from names") if "@" in str(name)]


def test_a_sync_that_finds_nothing_new_writes_no_return(copied: Pages) -> None:
    copied.run_again()
    report = copied.write()
    assert (report.written, report.removed, report.is_whole) == (0, 0, False)
    assert copied.rows("select number, rewritten from publication") == [(2, 0)]


@pytest.mark.slow
def test_a_whole_sync_of_a_shop_that_stands_still_writes_no_return(copied: Pages) -> None:
    copied.scenario.sync_stages()  # reads back what it has made itself
    copied.write()
    copied.scenario.sync_stages()
    report = copied.write()
    assert (report.written, report.removed, report.is_whole) == (0, 0, False)


def test_a_note_is_in_the_history_of_its_exception_after_the_next_publication(copied: Pages) -> None:
    ((exception_id,),) = copied.rows("select exception_id from exceptions where state = 'open' limit 1")
    with copied.scenario.warehouse.transaction() as connection:
        notes.append(
            connection, [notes.Note(str(exception_id), "Asked the carrier", "chase", "Mia", "here")], clock.now()
        )
    copied.write()
    query = "select last_note, last_decision, noted_by, history from exceptions where exception_id = ?"
    ((note, decision, by, history),) = copied.rows(query, exception_id)
    assert (note, decision, by) == ("Asked the carrier", "chase", "Mia")
    assert [event["event"] for event in json.loads(str(history))][-1] == "noted"


def test_everything_is_written_when_the_file_is_missing_damaged_or_of_another_policy(copied: Pages) -> None:
    everything = copied.stories()
    assert not copied.write().is_whole
    settings = copied.scenario.settings
    assert write_pages(copied.scenario.warehouse, settings, clock.now(), "another policy").is_whole
    copied.path.write_bytes(b"not a database" * 1000)
    assert copied.write().is_whole
    copied.path.unlink()
    assert copied.write().is_whole
    assert copied.stories() == everything


def test_a_publication_that_was_left_out_is_made_up_for(copied: Pages) -> None:
    with (
        copied.scenario.warehouse.transaction() as connection
    ):  # as a sync leaves it that began after another one's end
        reconciled = watermarks.read(connection, watermarks.RECONCILIATION)
        watermarks.write(connection, watermarks.IN_PLAY, reconciled + 1, clock.now())
        watermarks.write(connection, watermarks.RECONCILIATION, reconciled + 2, clock.now())
    assert copied.write().is_whole
    assert not copied.write().is_whole


def test_of_a_database_that_was_restored_everything_is_written(copied: Pages) -> None:
    with copied.scenario.warehouse.transaction() as connection:
        watermarks.write(connection, watermarks.RECONCILIATION, 1, clock.now())
        watermarks.write(connection, watermarks.IN_PLAY, 0, clock.now())
    assert copied.write().is_whole


def test_a_reader_sees_the_file_as_it_was_until_it_looks_again(copied: Pages) -> None:
    with closing(sqlite3.connect(f"file:{copied.path}?mode=ro", uri=True, isolation_level=None)) as reader:
        reader.execute("begin")
        before = reader.execute("select number from publication").fetchone()
        settings = copied.scenario.settings
        write_pages(copied.scenario.warehouse, settings, clock.now(), "another policy")
        assert reader.execute("select number from publication").fetchone() == before == (1,)
        assert reader.execute("select count(*) from returns").fetchone() > (0,)
        reader.execute("commit")
        assert reader.execute("select made_with from publication").fetchone() != (None,)
        assert reader.execute("select count(*) from returns").fetchone() > (0,)


def with_an_address_in_a_note(pages: Pages) -> tuple[str, str, str]:
    """An address, its token, and the exception whose note a person wrote it into."""
    (address,), *_ = pages.scenario.rows("select value from landing.personal where value is not null order by all")
    token = pages.token(address)
    with pages.scenario.warehouse.transaction() as connection:
        (exception_id,), *_ = connection.execute(
            "select exception_id from reconciliation.exceptions order by all"
        ).fetchall()
        notes.append(connection, [notes.Note(exception_id, f"Wrote to {address}", None, "Mia", "here")], clock.now())
    pages.write()
    assert address.encode() in pages.path.read_bytes()
    assert pages.rows("select 1 from names where name = ?", token)
    return address, token, exception_id


def test_who_is_forgotten_is_found_no_more_and_no_byte_of_the_address_is_left(copied: Pages) -> None:
    address, token, exception_id = with_an_address_in_a_note(copied)
    assert forget_in_pages(copied.scenario.settings, [token], [address]) == 2
    assert not copied.rows("select 1 from names where name = ?", token)
    assert not copied.rows("select 1 from exceptions where exception_id = ?", exception_id)
    for file in copied.scenario.settings.published.glob(f"{PAGES_DATABASE}*"):
        assert address.encode() not in file.read_bytes(), file


def test_an_address_that_was_erased_finds_nobody_after_the_next_sync(copied: Pages) -> None:
    with copied.scenario.warehouse.transaction() as connection:
        connection.execute("update landing.personal set value = null")
    assert copied.rows("select 1 from names where kind = 'email_token'")
    assert not copied.write().is_whole
    assert not copied.rows("select 1 from names where kind = 'email_token'")


@pytest.mark.slow
def test_forgetting_a_person_erases_them_from_the_pages_and_the_next_sync_does_not_bring_them_back(
    copied: Pages,
) -> None:
    address, token, exception_id = with_an_address_in_a_note(copied)
    erased = forget(copied.scenario.warehouse, address, "Mia", clock.now(), settings=copied.scenario.settings)
    assert erased.places[PAGES_DATABASE] == 2
    assert not copied.rows("select 1 from names where name = ?", token)
    assert copied.write().is_whole
    assert not copied.rows("select 1 from names where name = ?", token), "it came back with the next sync"
    assert copied.rows("select last_note from exceptions where exception_id = ?", exception_id) == [("Wrote to …@…",)]


def test_where_the_file_cannot_be_written_the_message_names_it(copied: Pages) -> None:
    copied.path.unlink()
    copied.path.mkdir()
    with pytest.raises(RunFailed, match=rf"{PAGES_DATABASE}: what the pages read could not be written"):
        copied.write()


def test_without_a_file_there_is_nothing_to_forget_and_no_month_to_write(copied: Pages) -> None:
    copied.path.unlink()
    assert forget_in_pages(copied.scenario.settings, ["0" * 24], ["a@shop.example"]) == 0
    write_months(copied.scenario.warehouse, copied.scenario.settings, clock.now())
    assert not copied.path.exists()


def test_each_column_says_what_it_means_in_the_file_itself(synced: Pages) -> None:
    for table in PAGE_TABLES:
        ((sql,),) = synced.rows("select sql from sqlite_schema where type = 'table' and name = ?", table.name)
        assert all(f"-- {column.meaning}" in str(sql) for column in table.columns.values())
        assert "strict" in str(sql)


def test_a_story_survives_its_json(synced: Pages) -> None:
    for text in synced.stories().values():
        story = read_story(text)
        assert isinstance(story, Story)
        assert [one.what for one in story.timeline] == [one["what"] for one in json.loads(text)["timeline"]]


def test_a_unit_that_changed_has_its_return_written_again_and_no_other(copied: Pages) -> None:
    settings, before = copied.scenario.settings, copied.stories()
    exports = Path(settings.exports.removeprefix("file://"))
    delivered = next(
        (path, rows)
        for path in sorted(exports.glob("items-*.csv"))
        if len(rows := path.read_text("utf-8").splitlines()) > 1
    )
    header, row = delivered[1][0].split(","), delivered[1][1].split(",")
    changed = dict(zip(header, row, strict=True)) | {"condition": "worn", "updated_at": "2026-09-30T11:00:00Z"}
    news = exports / "items-20260930T1100Z-one.csv"
    news.write_text(f"{delivered[1][0]}\n{','.join(changed.values())}\n", "utf-8")
    try:
        ingest(copied.scenario.warehouse, settings.exports, load_profiles(settings.home / "profiles"), clock.now())
    finally:
        news.unlink()
    happy_returns_staging.refresh(copied.scenario.warehouse, clock.now())
    copied.run_again()
    report = copied.write()
    after = copied.stories()
    assert [one for one in after if after[one] != before[one]] == [changed["return_id"]]
    assert (report.written, report.is_whole) == (1, False)
    (unit,) = [one for one in read_story(after[changed["return_id"]]).units if one.return_item_id == changed["item_id"]]
    assert unit.condition == "worn"
    assert after == copied.explained()


@pytest.mark.slow
def test_after_another_day_every_story_is_what_explain_shows_and_no_more_was_written(copied: Pages) -> None:
    before = copied.stories()
    copied.scenario.shop.advance(24)  # the shop's clock goes on for all tests: this one comes last
    copied.scenario.sync_stages()
    report = copied.write()
    after = copied.stories()
    assert after == copied.explained(), "a change was missed"
    different = [one for one in after if after[one] != before.get(one)]
    assert different
    assert not report.is_whole
    # What is written without another story has another name, or another figure beside the story.
    assert len(different) <= report.written <= len(different) + 2 < len(after)


# ---------------------------------------------------------------- the sentence

REFUND = Refund(
    "1001", 7, None, False, "paid", "SEK", Decimal("998"), Decimal("100"), Decimal("0"), Decimal("49"), Decimal("849"),
    Decimal("849"), "centra", datetime(2026, 9, 12, 8, tzinfo=UTC), ["IT-1"],
)  # fmt: skip
PARTS = "items 998.00 SEK − voucher share 100.00 SEK + shipping 0.00 SEK − return fee 49.00 SEK"


@pytest.mark.parametrize(
    ("refund", "sentence"),
    [
        (REFUND, f"Refund of 849.00 SEK = {PARTS}, paid to the original payment method on 2026-09-12."),
        (
            replace(REFUND, pays_through="gift_card"),
            f"Refund of 849.00 SEK = {PARTS}, paid as a gift card on 2026-09-12.",
        ),
        (
            replace(REFUND, paid=Decimal("840")),
            f"I{PARTS[1:]} = 849.00 SEK, but 840.00 SEK was paid: 9.00 SEK less than its parts.",
        ),
        (
            replace(REFUND, paid=Decimal("849.01"), state="requested"),
            f"I{PARTS[1:]} = 849.00 SEK, but 849.01 SEK was requested from the payment provider: 0.01 SEK more than its parts.",
        ),
        (
            replace(REFUND, state="planned", paid_at=None),
            f"Refund of 849.00 SEK = {PARTS}, to be paid to the original payment method.",
        ),
        (
            replace(REFUND, state="exchange", paid=Decimal(0), pays_through=None),
            f"Credit of 849.00 SEK = {PARTS}: the goods were exchanged, so that no money was paid.",
        ),
        (
            replace(REFUND, state="not_paid", paid=Decimal(0), pays_through=None),
            f"Credit of 849.00 SEK = {PARTS}: nothing was paid on it in Centra.",
        ),
    ],
)
def test_the_sentence_adds_up_or_says_by_how_much_it_does_not(refund: Refund, sentence: str) -> None:
    assert refund_sentence(refund) == sentence
