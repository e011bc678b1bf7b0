from __future__ import annotations

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone


def test_a_guard_of_the_last_push_and_the_kill_switch() -> None:
    alone = Alone("guard_breached")
    halt = {"halted": "the kill switch is set", "halted_code": "kill_switch"}
    alone.put("last_push", push_id="P2", started_at=NOW, mode="live", **halt)
    alone.put("policy.guards", guard_code="cap", cause="policy_gap", culprit="policy")
    of_cap = {"guard": "cap", "guard_code": "cap"}
    breach = {"effect_type": "credit_note", **of_cap, "currency": "EUR", "effects": 3, "breached_at": NOW}
    alone.put(
        "push.breaches",
        {**breach, "push_id": "P1", "detail": "earlier"},
        {**breach, "push_id": "P2", "detail": "Too much"},
    )
    assert alone.opened("identity", "subject", "culprit", "detail") == [
        ("credit_note cap EUR", "credit", "policy", "Too much (3 effects wait); nothing of this type is sent"),
        ("kill switch", "credit", "person", "Nothing is sent: the kill switch is set"),
    ]


def test_a_push_that_was_not_stopped_closes_it() -> None:
    alone = Alone("guard_breached")
    alone.was_open()
    assert alone.closed() == {}
    alone.put("last_push", push_id="P3")
    assert alone.closed() == {"EX-1": "the last push was not stopped by it"}
