"""``hr-centra train``: what it plants, what counts as solved, and what one does in the vendors' own pages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from hr_centra_pipeline.cli import train, where
from hr_centra_pipeline.cli.main import app
from hr_centra_pipeline.cli.training_lessons import LESSONS, NOT_PLANTED
from hr_centra_pipeline.cli.training_shop import lessons_of
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.exception_kinds import EXCEPTION_KINDS
from hr_centra_pipeline.core.kinds import OWNERS
from hr_centra_pipeline.sandbox.server import RunningSandbox, running_sandbox
from hr_centra_pipeline.sandbox.shop.shop import Shop
from hr_centra_pipeline.warehouse.tables import DERIVED
from hr_centra_pipeline_tests.staged import put

START, UNTIL = datetime(2026, 8, 16, 12, tzinfo=UTC), datetime(2026, 9, 30, 12, tzinfo=UTC)

# ---------------------------------------------------------------- the lessons


def test_every_kind_has_a_lesson_or_a_reason_why_not() -> None:
    taught = {lesson.kind for lesson in LESSONS}
    assert taught | set(NOT_PLANTED) == set(EXCEPTION_KINDS)
    assert taught & set(NOT_PLANTED) == set()


def test_the_manual_lists_the_kinds_that_are_not_planted_and_why() -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")
    assert [f"| `{kind}` | {why} |" for kind, why in NOT_PLANTED.items()] == page.strip().splitlines()[
        -len(NOT_PLANTED) :
    ]


def test_every_team_has_lessons_and_no_two_have_one_name() -> None:
    assert {EXCEPTION_KINDS[lesson.kind].owner_team for lesson in LESSONS} == set(OWNERS)
    names = [lesson.name for lesson in LESSONS]
    assert len(names) == len(set(names))


def found(kind: str, detail: str, **more: Any) -> dict[str, Any]:
    return {
        "exception_id": f"EX-{kind}", "kind": kind, "owner_team": EXCEPTION_KINDS[kind].owner_team, "return_id": "RT-1",
        "return_item_id": "IT-1", "order_number": "1001", "sku": "DRESS-S", "detail": detail, "evidence": {}, **more,
    }  # fmt: skip


def test_a_lesson_is_about_the_exception_with_its_words_and_no_two_are_about_one() -> None:
    rows = [
        found("stalled_return", "Received on 2026-09-20 and neither approved nor refused", exception_id="A"),
        found("stalled_return", "Dropped off on 2026-09-08 and not heard of since", exception_id="B"),
        found("payout_mismatch", "Charged back"),
    ]
    assert {one["lesson"]: one["exception_id"] for one in lessons_of(rows)} == {"not-approved": "A", "lost-parcel": "B"}


# ---------------------------------------------------------------- what counts as solved

KEPT = {"lesson": "not-refunded", **found("credit_note_without_refund", "Return 9 … was never refunded")}
CLOSED = {"open": {}, "closed": {KEPT["exception_id"]: {"proof": "the refund is in Centra", "decision": None}}}
PAID = {"payments": [["1001", 9, "REFUND", "SUCCESS", "199.00"]], "returns": [], "orders": [], "stock_changes": []}


def judged(records: Any = PAID, before: tuple[str, ...] = (), **published: Any) -> str | None:
    return train.verdict(KEPT, before, {**deepcopy(CLOSED), **published}, records)


def test_what_a_sync_closed_and_centra_shows_is_solved() -> None:
    assert judged() is None


def test_what_is_still_open_or_was_never_closed_is_not_solved() -> None:
    assert "still open" in str(judged(open={KEPT["exception_id"]: KEPT}))
    assert judged(closed={}) == "not closed by a sync yet"


def test_a_decision_to_write_it_off_solves_nothing() -> None:
    closed = {KEPT["exception_id"]: {"proof": "", "decision": "write_off"}}
    assert judged(closed=closed) == "closed by a decision (write_off), not solved"


def test_what_centra_does_not_show_is_not_solved_whatever_is_published() -> None:
    assert judged({**PAID, "payments": []}) == "Centra shows no refund on order 1001"


def test_other_trouble_on_the_same_return_counts_unless_it_was_there_before() -> None:
    other = found("double_credit", "given twice", exception_id="NEW")
    assert "now double_credit is open on RT-1" in str(judged(open={"NEW": other}))
    assert judged(open={"NEW": other}, before=("NEW",)) is None
    assert judged(open={"NEW": {**other, "return_id": "RT-2"}}) is None


@pytest.mark.parametrize("lesson", [one for one in LESSONS if one.proof], ids=lambda one: one.name)
def test_no_proof_is_found_in_an_untouched_centra(lesson: Any) -> None:
    kept = found(lesson.kind, lesson.about, evidence={"centra_return_id": 9})
    records = {"payments": [], "returns": [{"id": 9, "order_number": 1002}], "orders": [], "stock_changes": []}
    assert lesson.proof(records, kept) is not None


# ---------------------------------------------------------------- the shop


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, RunningSandbox]]:
    """A training's home whose sandbox is served, with planted trouble; nothing was synced."""
    home = tmp_path_factory.mktemp("home") / "training"
    with running_sandbox(home / "sandbox") as sandbox:
        shop = Shop(sandbox.sandbox.home, sandbox.store, sandbox.clock)
        shop.seed(seed=1, returns=0, start=START, until=UNTIL)
        shop.close()
        sandbox.sandbox.announce(sandbox.sandbox.port)
        kept = {"lesson": "out-of-stock", **found("exchange_without_order", "is out of stock", exception_id="EX")}
        (home / "training.json").write_text(
            json.dumps({"seed": 1, "lessons": [kept], "open": ["EX"]}), encoding="utf-8"
        )
        yield home, sandbox


@pytest.fixture
def home(served: tuple[Path, RunningSandbox], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("os.environ", os.environ.copy())
    for name in [name for name in os.environ if name.startswith(where.PREFIXES)]:
        del os.environ[name]
    os.environ["HR_CENTRA_HOME"] = str(served[0].parent)
    return served[0]


def command(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["train", *arguments])


def listed() -> list[dict[str, Any]]:
    """The list of lessons; whatever goes wrong is raised."""
    said = CliRunner().invoke(app, ["train", "status", "--json"], catch_exceptions=False)
    found: list[dict[str, Any]] = json.loads(said.output)
    return found


def planted(home: Path, kind: str, words: str = "") -> dict[str, Any]:
    lines = (home / "sandbox" / "truth.jsonl").read_text("utf-8").splitlines()
    return next(row for row in map(json.loads, lines) if row["kind"] == kind and words in row["description"])


def test_a_correction_reaches_all_rows_of_a_return_and_the_next_export(
    home: Path, served: tuple[Path, RunningSandbox]
) -> None:
    trouble = planted(home, "return_without_order")
    right = trouble["order_number"].removeprefix("77")
    said = command("happy-returns", trouble["return_id"], f"order_number={right}")
    assert said.output.startswith("Corrected: items "), said.output
    shop = Shop(served[1].sandbox.home, served[1].store, served[1].clock)
    shop.advance(1)
    shop.close()
    newest = max((home / "sandbox" / "exports").glob("items-2*.csv"), key=lambda file: file.name)
    assert f"{trouble['return_id']},{right}," in newest.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("happy-returns", "RT-NONE", "sku=A"), "RT-NONE: Happy Returns has no return, unit or refund of that name"),
        (("happy-returns", "RT-000003", "price=1"), "RT-000003 has no price: "),
        (("happy-returns", "RT-000003", "return_id=RT-2"), "RT-000003 has no return_id: "),
        (("happy-returns", "RT-000003", "sku"), "sku: write NAME=VALUE."),
        (("centra", "burn"), "act must be one of "),
        (("centra", "refund_return"), "refund_return needs return_id"),
        (("show", "no-lesson"), "no-lesson: no such lesson; one of out-of-stock."),
        (("look-up", "nobody@example.com"), "nobody@example.com: neither vendor has"),
    ],
)
def test_what_does_not_exist_is_refused_by_name(home: Path, arguments: tuple[str, ...], words: str) -> None:
    refused = command(*arguments)
    assert isinstance(refused.exception, ConfigurationError), refused.output
    assert words in str(refused.exception)


def test_centra_refuses_by_hand_what_it_refuses_anyway(home: Path) -> None:
    with pytest.raises(RunFailed, match="Centra refuses it: "):
        CliRunner().invoke(app, ["train", "centra", "refund_return", "return_id=999"], catch_exceptions=False)


def test_a_shipment_that_was_never_captured_is_captured_once(home: Path, served: tuple[Path, RunningSandbox]) -> None:
    order = planted(home, "return_without_credit_note")["order_number"]
    assert "Done in Centra" in command("centra", "capture", f"order_number={order}").output
    captured, _ = served[1].store.money_of(int(order))
    assert captured > 0
    assert "is left to capture" in str(command("centra", "capture", f"order_number={order}").exception)


def test_what_was_refused_can_be_allowed_once(home: Path, served: tuple[Path, RunningSandbox]) -> None:
    sku = planted(home, "rejected_write", "stock movement")["sku"]
    assert served[1].store.refusal_of("stock", sku)
    assert "Done in Centra" in command("centra", "allow", "subject=stock", f"target={sku}").output
    assert served[1].store.refusal_of("stock", sku) is None
    assert "Nothing is refused" in str(command("centra", "allow", "subject=stock", f"target={sku}").exception)


def test_a_look_up_shows_a_shopper_s_orders_and_the_rows_of_a_return(home: Path) -> None:
    trouble = planted(home, "return_without_order", "does not exist")
    rows = json.loads(command("look-up", trouble["return_id"], "--json").output)
    email = next(row["customer_email"] for row in rows if row["row"] == "returns")
    orders = json.loads(command("look-up", email, "--json").output)
    assert trouble["order_number"].removeprefix("77") in {str(row["order_number"]) for row in orders}


def test_the_list_shows_what_is_solved_as_of_the_last_sync(home: Path) -> None:
    (home / "published").mkdir(exist_ok=True)
    file = home / "published" / "published.duckdb"
    file.unlink(missing_ok=True)
    with duckdb.connect(file) as connection:
        connection.execute("create schema reconciliation")
        connection.execute(DERIVED["reconciliation.exceptions"].ddl)
        connection.execute(
            'create table reconciliation.exception_events (exception_id text, event text, "at" timestamptz, proof text,'
            " decision text)"
        )
        put(
            connection,
            "reconciliation.exceptions",
            exception_id="EX",
            kind="exchange_without_order",
            detail="x",
            evidence="{}",
        )
    (one,) = listed()
    assert (one["lesson"], one["is_solved"]) == ("out-of-stock", False)
    with duckdb.connect(file) as connection:
        connection.execute("delete from reconciliation.exceptions")
        connection.execute(
            "insert into reconciliation.exception_events values ('EX', 'opened', now(), null, null),"
            " ('EX', 'closed', now(), 'ordered', null)"
        )
    (one,) = listed()
    assert one["missing"] == "Centra has no replacement order for order 1001"
    assert "0 of 1 solved" in command("status").output


def test_a_home_that_is_being_served_is_not_removed(home: Path) -> None:
    assert "is being served" in str(command("reset", "--yes").exception)
    assert home.exists()
