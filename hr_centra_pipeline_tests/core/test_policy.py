from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.policy import load_policy, more_careful

SOUND = """
cutover = 2026-08-26T00:00:00Z

[pays_through]
refund = "centra"
gift-card = "gift_card"

[dispositions.sellable]
warehouse_id = 1

[dispositions.missing]
stock = "none"

[tolerance.EUR]
absolute = "0.02"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_sound_policy_is_read_exactly(tmp_path: Path) -> None:
    loaded = load_policy(written(tmp_path, SOUND))
    assert loaded.policy.tolerance["EUR"].absolute == Decimal("0.02")
    assert loaded.policy.exception_rule("return_without_credit_note").owner_team == "finance"
    assert len(loaded.sha256) == 64


@pytest.mark.parametrize(
    ("change", "complaints"),
    [
        (("cutover = 2026-08-26T00:00:00Z\n", ""), ["cutover: is missing"]),
        (("2026-08-26T00:00:00Z", "2026-08-26T00:00:00"), ["policy.toml:2: cutover"]),
        (
            ("2026-08-26T00:00:00Z", "2026-08-26"),
            ["policy.toml:2: cutover", "such as 2026-08-27T00:00:00Z (found 2026-08-26)"],
        ),
        (('refund = "centra"\n', ""), ["policy.toml:4: pays_through: say who pays for refund"]),
        (("warehouse_id = 1", "warehouse_id = -2"), ["policy.toml:9: dispositions.sellable.warehouse_id", "found -2"]),
        (('stock = "none"', 'stock = "none"\nhold_hours = 1000000'), ["dispositions.missing.hold_hours", "8760"]),
        (
            ('stock = "none"', 'stock = "none"\nhold_hours = "24"'),
            ["must be a whole number, without quotes (found '24')"],
        ),
        (("[tolerance.EUR]", "[tolerance.EURO]"), ["policy.toml:14: tolerance.EURO: is not a currency", "such as EUR"]),
        (('refund = "centra"', "refund = centra"), ["not valid TOML", "A text goes in quotes"]),
        (('refund = "centra"', 'refund = "bank"'), ["policy.toml:5: pays_through.refund", "'bank'"]),
        (('absolute = "0.02"', "absolute = 0.02"), ["policy.toml:15", 'write the amount as text, "0.02"']),
        (('absolute = "0.02"', 'absolute = "-1"'), ["policy.toml:15: tolerance.EUR.absolute"]),
        (("warehouse_id = 1\n", ""), ["policy.toml:8: dispositions.sellable", "warehouse_id"]),
        (('stock = "none"', 'stock = "burn"'), ["policy.toml:12: dispositions.missing.stock", "'burn'"]),
        (("[tolerance.EUR]", "[tolerence.EUR]"), ["policy.toml:14: tolerence", "misspelt"]),
        (
            ("[tolerance.EUR]", "[exceptions.lost_return]\nowner_team='data'\nwindow_hours=1\n[tolerance.EUR]"),
            ["unknown kind 'lost_return'"],
        ),
        (("cutover =", "cutover = ="), ["policy.toml: not valid TOML"]),
    ],
)
def test_each_mistake_gives_one_message_with_its_place(
    tmp_path: Path, change: tuple[str, str], complaints: list[str]
) -> None:
    assert change[0] in SOUND
    with pytest.raises(ConfigurationError) as caught:
        load_policy(written(tmp_path, SOUND.replace(*change)))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for complaint in complaints:
        assert complaint in message


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    text = SOUND.replace('"centra"', '"bank"').replace('"none"', '"burn"')
    with pytest.raises(ConfigurationError) as caught:
        load_policy(written(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_policy_says_where_to_copy_one_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"data/policy\.example\.toml"):
        load_policy(tmp_path / "none.toml")


def test_the_more_careful_of_two_modes_holds() -> None:
    assert more_careful("live", "dry_run") == "dry_run"
    assert more_careful("off", "live") == "off"
    assert more_careful("approve", "live") == "approve"
