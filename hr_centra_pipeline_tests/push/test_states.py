"""The state machine under any sequence of outcomes, deaths, looks and changes of mind: on the real tables, with the real journal.

Centra is reduced to what matters here: which effects it has, and how often it was made to do them.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hr_centra_pipeline.core.keys import effect_key, packet_key
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.push import call_journal as journals
from hr_centra_pipeline.push import ledger
from hr_centra_pipeline.push.call_journal import Attempt, Journal
from hr_centra_pipeline.push.facts import Facts
from hr_centra_pipeline.push.ledger import Move
from hr_centra_pipeline.push.operations.credit import CreditPayload
from hr_centra_pipeline.push.packets import Packet
from hr_centra_pipeline.push.returns import ReturnLine
from hr_centra_pipeline.push.sender import PushReport, Sender
from hr_centra_pipeline.push.states import ALLOWED, ForbiddenMoveError, State, check
from hr_centra_pipeline.push.steps import (
    Absent,
    Advance,
    Again,
    Finished,
    Held,
    InDoubt,
    LookUpResult,
    NotNow,
    Refused,
    StepResult,
)
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline_tests.harness import POLICY
from hr_centra_pipeline_tests.staged import template

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
UNITS = [effect_key("credit_note", f"IT-{number}") for number in range(5)]
# What may become of a call: it arrived or not, and we learn of it or not; or it never left.
FATES = ("done", "refused", "limited", "not_left", "lost_done", "lost_absent", "died_before", "died_after")


def credit_of(members: tuple[str, ...]) -> Packet:
    """A packet of these units, as it is cut: each on a line of its own."""
    lines = tuple(ReturnLine(shipment_line_id=place, quantity=1, members=(key,)) for place, key in enumerate(members))
    payload = CreditPayload(
        order_number="1001", shipment_id=1, currency="EUR", pays_through="centra", lines=lines, total=Decimal(10)
    )
    return Packet(packet_key(members), "credit", members, payload, "create_return")


class Sending(RuleBasedStateMachine):
    """Credits of two steps (created, then paid) that travel in packets of any cut."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="hr-centra-states-"))
        shutil.copy(template(), self.folder / "warehouse.duckdb")
        self.warehouse = Warehouse(self.folder / "warehouse.duckdb")
        self.kept = self.warehouse.kept_open()
        self.kept.__enter__()
        self.returns: dict[str, dict[str, Any]] = {}  # Centra: Returns by id
        self.created: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()
        self.attempts: dict[str, tuple[Any, ...]] = {}
        self.begin_anew()
        with self.warehouse.transaction() as connection:
            connection.executemany(
                "insert into push.ledger (effect_key, effect_kind, state, is_foreign, travels_alone, planned_at, updated_at)"
                " values (?, 'credit_note', 'planned', false, false, ?, ?)",
                [(key, NOW, NOW) for key in UNITS],
            )

    def teardown(self) -> None:
        try:
            self.everything_settles()
        finally:
            self.kept.__exit__(None, None, None)
            shutil.rmtree(self.folder)

    def begin_anew(self) -> None:
        """A process dies and another one begins: all that it knows is in the database."""
        self.journal = Journal(self.warehouse, NOW)
        policy = Policy.model_validate(POLICY)
        self.sender = Sender(self.warehouse, SimpleNamespace(), policy, Facts(), PushReport("live"), NOW)  # type: ignore[arg-type]

    # ---------------------------------------------------------------- Centra

    def arrives(self, packet: Packet) -> str | None:
        """The call is executed; answers the Return's id."""
        if packet.step == "create_return":
            number = str(len(self.returns) + 1)
            self.returns[number] = {"packet": packet.key, "members": packet.members, "paid": False}
            self.created.update(packet.members)
            return number
        found = self.returns[str(packet.centra_id)]
        if packet.is_paying:
            found["paid"] = True
            self.paid.update(packet.members)
        else:
            del self.returns[str(packet.centra_id)]
            self.created.subtract(packet.members)
        return packet.centra_id

    def look(self, packet: Packet) -> LookUpResult:
        """What Centra shows of a packet, as the credit's own look-up reads it."""
        mine = [number for number, found in self.returns.items() if found["packet"] == packet.key]
        if not mine:
            return Absent()
        (number,) = mine
        if self.returns[number]["paid"]:
            return Finished(number)
        return Absent(paid=True) if packet.step == "refund" and packet.payments_sent else Advance("refund", number)

    # ---------------------------------------------------------------- what happens

    def call(self, packet: Packet, fate: str) -> Packet | None:
        """One call of a packet and what becomes of it; answers the packet when it goes on."""
        attempt = Attempt(
            secrets.token_hex(8), packet.key, packet.members, packet.step, packet.step, datetime.now(UTC), {}
        )
        (begun,) = self.journal.begin([(packet, attempt)])
        result: StepResult
        match fate:
            case "died_before" | "died_after":
                if fate == "died_after":
                    self.arrives(begun)
                self.begin_anew()
                return None
            case "lost_done" | "lost_absent":
                if fate == "lost_done":
                    self.arrives(begun)
                result = InDoubt("the answer was lost")
            case "done":
                number = self.arrives(begun)
                result = Advance("refund", number) if begun.step == "create_return" else Finished(str(number))
            case "refused" if begun.step == "create_return":
                result = Refused("no", begun.members[:1] if len(begun.members) > 2 else ())
            case "refused":
                result = Advance("refund")  # the payment stays to be made
            case _:
                paid = begun.payments_sent - begun.is_paying
                begun = replace(begun, payments_sent=paid)
                result = Again(0) if fate == "limited" else NotNow("the kill switch")
        self.journal.over(replace(attempt, outcome=fate))
        (after,) = self.journal.settle([(begun, result)])
        return after if isinstance(result, Advance | Again) and after.state in ("sending", "new") else None

    @rule(
        which=st.sets(st.integers(0, len(UNITS) - 1), min_size=1, max_size=3),
        fates=st.lists(st.sampled_from(FATES), min_size=2, max_size=3),
    )
    def send(self, which: set[int], fates: list[str]) -> None:
        """What is planned of these units leaves in one packet."""
        states = self.states()
        members = tuple(UNITS[place] for place in sorted(which) if states[UNITS[place]] == "planned")
        if not members or any(self.created[member] for member in members):  # the last look finds what is there
            return
        going: Packet | None = credit_of(members)
        for fate in fates:
            if going is not None:
                going = self.call(going, fate)
        if going is not None:
            self.begin_anew()  # the process dies between two steps

    @rule(fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=3))
    def look_up(self, fates: list[str]) -> None:
        """Another push begins with whatever is in doubt."""
        self.look_up_all(lambda place: fates[place % len(fates)])

    def look_up_all(self, fate: Callable[[int], str]) -> None:
        with self.warehouse.transaction() as connection:
            doubtful = journals.in_doubt(connection, NOW)
        journal = self.journal
        for place, packet in enumerate(doubtful):
            (after,) = self.journal.settle([(packet, self.sender._settled(packet, self.look(packet)))])
            if after.state == "sending":
                going = self.call(after, fate(place))
                if going is not None or self.journal is not journal:
                    self.begin_anew()
                    return

    @rule(which=st.integers(0, len(UNITS) - 1))
    def is_held(self, which: int) -> None:
        """The last look keeps a unit back."""
        if self.states()[UNITS[which]] == "planned":
            members = (UNITS[which],)
            self.journal.settle([(credit_of(members), Held(members, "somebody was faster"))])

    @rule(which=st.integers(0, len(UNITS) - 1), state=st.sampled_from(["withdrawn", "planned", "confirmed", "sending"]))
    def the_plan_moves(self, which: int, state: State) -> None:
        """Upstream changes its mind, or the pull shows what is there; what the table forbids is refused and changes nothing."""
        key = UNITS[which]
        before = self.states()[key]
        if state == "confirmed" and not self.paid[key]:
            return  # a pull shows nothing that is not there
        if state == "sending" and before in ALLOWED and "sending" in ALLOWED[before]:
            return  # only a packet does that
        if before in ("sending", "unknown") and state in ("planned", "withdrawn"):
            return  # plans never touch what is under way: `record_plan.sql`
        with self.warehouse.transaction() as connection:
            if before == "confirmed" or state in ALLOWED[before]:
                ledger.move(connection, [Move([key], state)], NOW)
                return
            with pytest.raises(ForbiddenMoveError):
                ledger.move(connection, [Move([key], state)], NOW)
        assert self.states()[key] == before

    # ---------------------------------------------------------------- what is always true

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.warehouse.transaction() as connection:
            return connection.execute(query).fetchall()

    def states(self) -> dict[str, State]:
        return dict(self.rows("select effect_key, state from push.ledger"))

    @invariant()
    def nothing_is_done_twice(self) -> None:
        assert max(self.created.values(), default=0) <= 1
        assert max(self.paid.values(), default=0) <= 1

    @invariant()
    def somebody_looks_for_whatever_is_under_way(self) -> None:
        carried = Counter(
            member
            for (members,) in self.rows("select members from push.packets where state in ('sending', 'unknown')")
            for member in members
        )
        states = self.states()
        open_ones = {key for key, state in states.items() if state in ("sending", "unknown")}
        assert open_ones <= set(carried)
        assert max(carried.values(), default=0) <= 1
        for key in UNITS:
            if self.created[key]:
                assert key in carried or states[key] == "confirmed", (
                    f"{key} is in Centra, {states[key]}, and nobody looks"
                )
            if states[key] == "confirmed":
                assert self.paid[key] == 1

    @invariant()
    def what_was_tried_stays_on_record(self) -> None:
        kept = {row[0]: row for row in self.rows("select attempt_id, packet_key, step, outcome from push.attempts")}
        assert {key: kept.get(key) for key in self.attempts} == self.attempts
        self.attempts = kept

    def everything_settles(self) -> None:
        """No more faults: each doubt ends, by what Centra shows or by asking a person."""
        for _ in range(4):
            self.look_up_all(lambda _: "done")
        left = self.rows("select packet_key, trouble from push.packets where state in ('sending', 'unknown')")
        assert all(trouble == "unpaid" for _, trouble in left)  # two payments that left no trace: a person looks
        for key, state in self.states().items():
            assert (self.paid[key] == 1) == (state == "confirmed")


Sending.TestCase.settings = settings(
    max_examples=25, stateful_step_count=12, suppress_health_check=[HealthCheck.too_slow]
)
TestSending = Sending.TestCase


@pytest.fixture
def one_effect(tmp_path: Path) -> Warehouse:
    shutil.copy(template(), tmp_path / "warehouse.duckdb")
    return Warehouse(tmp_path / "warehouse.duckdb")


def test_the_database_lets_pass_what_the_table_allows_and_nothing_else(one_effect: Warehouse) -> None:
    def put(connection: Connection, state: State) -> None:
        connection.execute("delete from push.ledger")
        connection.execute(
            "insert into push.ledger (effect_key, state, is_foreign, travels_alone, planned_at, updated_at)"
            " values ('HRA', ?, false, false, ?, ?)",
            [state, NOW, NOW],
        )

    known: list[State] = [state for state in ALLOWED if state is not None]
    with one_effect.kept_open():
        for before in known:
            for after in known:
                with one_effect.transaction() as connection:
                    put(connection, before)
                    if before == "confirmed":
                        ledger.move(connection, [Move(["HRA"], after)], NOW)  # shown meanwhile: stays, quietly
                        expected: State = "confirmed"
                    elif after in ALLOWED[before]:
                        check(before, after)
                        ledger.move(connection, [Move(["HRA"], after)], NOW)
                        expected = after
                    else:
                        with pytest.raises(ForbiddenMoveError):
                            check(before, after)
                        with pytest.raises(ForbiddenMoveError, match=f"from {before} to {after}"):
                            ledger.move(connection, [Move(["HRA"], after)], NOW)
                        expected = before
                    assert connection.execute("select state from push.ledger").fetchall() == [(expected,)]
