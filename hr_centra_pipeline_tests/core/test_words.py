from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from pydantic import ValidationError

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.words import CentraWords, Payment, PaymentStatus, PaymentType

WORDS = CentraWords()


def test_every_pair_of_known_payment_words_has_one_meaning_and_no_other_pair_has_any() -> None:
    types = [word for words in PaymentType().by_meaning().values() for word in words]
    statuses = [word for words in PaymentStatus().by_meaning().values() for word in words]
    assert {(row[0], row[1]) for row in WORDS.payments()} == set(product(types, statuses))
    assert WORDS.payment("CAPTURE", "MAYBE") is None
    assert WORDS.payment("CLAWBACK", "SUCCESS") is None


@pytest.mark.parametrize(
    ("entry_type", "status", "money"),
    [
        ("CAPTURE", "SUCCESS", "captured"),
        ("CAPTURE", "FAILED", "neutral"),
        ("CAPTURE_REQUEST", "PENDING", "capture_pending"),
        ("CAPTURE_REQUEST", "SUCCESS", "capture_pending"),
        ("CAPTURE_REQUEST", "FAILED", "neutral"),
        ("CAPTURE_FAILED", "FAILED", "neutral"),
        ("REFUND", "SUCCESS", "refunded"),
        ("REFUND", "PENDING", "refund_pending"),
        ("REFUND", "FAILED", "refund_failed"),
        ("REFUND_REQUEST", "PENDING", "refund_pending"),
        ("REFUND_REQUEST", "SUCCESS", "refunded"),
        ("REFUND_FAILED", "SUCCESS", "refund_failed"),
        ("CANCEL", "SUCCESS", "neutral"),
    ],
)
def test_what_a_payment_entry_did_follows_from_its_two_words(entry_type: str, status: str, money: str) -> None:
    known = WORDS.payment(entry_type, status)
    assert known is not None
    assert known.money == money
    assert known.is_refund == entry_type.startswith("REFUND")


def test_a_gift_card_is_an_instrument_of_its_own() -> None:
    assert WORDS.payment("REFUND_GIFT_CARD", "SUCCESS") == Payment("refunded", "gift_card", None, "yes")
    assert WORDS.payment("CAPTURE_GIFT_CARD", "SUCCESS") == Payment("captured", "gift_card", None, "yes")


def test_a_word_with_two_meanings_is_refused() -> None:
    with pytest.raises(ValidationError, match="PENDING is listed under two meanings"):
        PaymentStatus(succeeded=["SUCCESS", "PENDING"])


def test_the_policy_names_the_place_of_a_word_with_two_meanings(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "data" / "policy.example.toml"
    path = tmp_path / "policy.toml"
    path.write_text(example.read_text() + '\n[centra.words.order_status]\ncancelled = ["SHIPPED"]\n')
    with pytest.raises(ConfigurationError, match=r"centra\.words\.order_status: SHIPPED is listed under two meanings"):
        load_policy(path)
