"""Who signs is who is logged in, and one person is one person under each of their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions import acts
from hr_centra_pipeline.decisions.acts import Act
from hr_centra_pipeline.decisions.decision_kinds import parsed
from hr_centra_pipeline.decisions.decision_store import Who
from hr_centra_pipeline.month_end import close as closing
from hr_centra_pipeline_tests.month_end.ledger_fixture import open_ledger, utc

PIA = Who("pia@shop.example", "Pia Lind", "proxy")
RUNE = Who("rune@shop.example", "Rune", "password")
PEOPLE = '[people."pia@shop.example"]\nname = "Pia Lind"\n[people."rune@shop.example"]\nname = "Rune"\n'


def test_a_month_is_closed_and_signed_by_who_is_logged_in(tmp_path: Path) -> None:
    (tmp_path / "people.toml").write_text(PEOPLE)
    settings = Settings(home=tmp_path, database=tmp_path / "warehouse.duckdb", policy_path=tmp_path / "policy.toml")
    with open_ledger(tmp_path) as ledger:
        ledger.pulled("2026-07-01")
        ledger.three_sides("100", "2026-03-10")
        ledger.learn("2026-04-01")

        def decide(who: Who, kind: str, **arguments: str) -> str:
            act = Act("d", who, settings, "p", utc("2026-04-02"))
            return acts.carry_out(ledger.connection, parsed(kind, {"month": "2026-03", **arguments}), act)

        def refused(who: Who, kind: str, **arguments: str) -> str:
            with pytest.raises(RunFailed) as error:
                decide(who, kind, **arguments)
            return error.value.code

        assert refused(PIA, "sign", role="preparer") == "not_closed"
        decide(Who("deploy", "Pia Lind", "shell"), "close")
        assert refused(PIA, "sign", role="preparer", content_sha256="0" * 64) == "changed_since_shown"
        decide(PIA, "sign", role="preparer")
        # Typed on the command line it is the same person, by name or by user id.
        for typed in ("pia lind ", "PIA@shop.example"):
            assert refused(Who("deploy", typed, "shell"), "sign", role="reviewer") == "reviewer_is_preparer"
        decide(RUNE, "sign", role="reviewer")
        certificate = closing.certificate_of(ledger.connection, "2026-03", utc("2026-04-03"))
    assert certificate.standing == "certified"
    assert certificate.closed_by == "Pia Lind, typed by shell user deploy"
    signers = [one.signer for one in certificate.signatures]
    assert signers == ["Pia Lind (pia@shop.example)", "Rune (rune@shop.example)"]
