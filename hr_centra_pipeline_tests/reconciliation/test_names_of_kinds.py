"""A kind of exception is its file: what others ask of it they ask by what its head says, not by its name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import hr_centra_pipeline
from hr_centra_pipeline.core.exception_kinds import EXCEPTION_KINDS
from hr_centra_pipeline.core.kinds import EFFECTS

PACKAGE = Path(hr_centra_pipeline.__file__).parent
OTHERS = ("sandbox", "warehouse/migrations", "cli/training_lessons.py")
"""What stages a shop's troubles names them, and what was once migrated is history."""
ABOUT_ONE = {
    ("core/kinds.py", "return_without_credit_note"): "an effect names the exception of one that is due and not there",
    ("core/kinds.py", "return_without_stock_movement"): "the same",
    ("core/kinds.py", "exchange_without_order"): "the same",
    ("oversight/alarms.sql", "write_in_doubt"): "the alarm about writes in doubt rings when the exception opens",
    ("orchestration/assets/reconciliation_assets.py", "source_not_covered"): "the check is that there is none of it",
    ("reconciliation/shadow_verdict.sql", "source_not_covered"): "the criterion is that there is none of it",
    ("reconciliation/shadow_verdict.sql", "unmapped_disposition"): "the same",
    ("reconciliation/orders_of_refunds.sql", "refund_without_credit_note"): (
        "an order that no return names is looked at as long as this is open, or nothing would ever close it"
    ),
    ("reconciliation/payouts.sql", "payout_mismatch"): "a settlement is waited for as long as before it opens",
    ("reconciliation/unseen.sql", "payout_mismatch"): "a mismatch whose culprit is the provider becomes it",
    ("reconciliation/unseen.sql", "refund_mismatch_tax"): "a mismatch that is one of the tax only becomes it",
    ("cli/main.py", "refund_mismatch_fee"): "an example in the help",
    ("cli/main.py", "stalled_return"): "the same",
    ("publishing/page_health.sql", "quarantined_row"): "a line of the page about health links to the list of these",
    (
        "publishing/page_data.py",
        "source_not_covered",
    ): "what blocks a clean close of a month links to the list of these",
    ("pages/views_finance.py", "source_not_covered"): "the same",
    ("pages/views.py", "source_not_covered"): "a line of the page about health links to its entry in the manual",
    ("pages/views.py", "quarantined_row"): "the same",
    ("pages/views.py", "write_in_doubt"): "the same",
}
_NAME = re.compile(rf"\b(?:{'|'.join(sorted(EXCEPTION_KINDS))})\b")
_BY_PATTERN = re.compile(
    r"\bkind\s+(?:not\s+)?(?:i?like|glob|similar)\b|\bkind\s+!?~"
    r"|\b(?:starts_with|prefix|suffix|contains|ends_with|regexp_matches)\(\s*(?:\w+\.)?kind\b|\bkind\w*\.(?:starts|ends)with\(",
    re.IGNORECASE,
)


def test_no_name_of_a_kind_decides_outside_its_file() -> None:
    found = {(file, name) for file, texts in _texts() for text in texts for name in _NAME.findall(text)}
    strangers = {(file, name) for file, name in found if file != f"reconciliation/kinds/{name}.sql"}
    assert strangers == set(ABOUT_ONE)


def test_no_pattern_of_names_decides() -> None:
    """Words of Centra's and of the policy have kinds, too: theirs are not ours."""
    texts = {file: (PACKAGE / file).read_text(encoding="utf-8") for file, _ in _texts()}
    assert [file for file, text in texts.items() if _BY_PATTERN.search(text)] == ["core/words.py"]


def test_the_patterns_are_recognized() -> None:
    for text in (
        "where kind like 'exchange%'",
        "unseen.kind not like 'a%'",
        "starts_with(unseen.kind, 'a')",
        "kind ~ 'a'",
    ):
        assert _BY_PATTERN.search(text), text
    assert not _BY_PATTERN.search("effect_kind in ('a', 'b')")


def test_each_stage_of_the_way_has_its_kind() -> None:
    assert sorted(kind.awaits for kind in EXCEPTION_KINDS.values() if kind.awaits) == ["goods", "grade"]


def test_an_effect_names_a_kind_that_exists() -> None:
    assert {effect.missing for effect in EFFECTS if effect.missing} <= set(EXCEPTION_KINDS)


def _texts() -> Iterator[tuple[str, list[str]]]:
    """Each file of the package with its literals."""
    for path in sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.sql")]):
        file = path.relative_to(PACKAGE).as_posix()
        if not file.startswith(OTHERS):
            text = path.read_text(encoding="utf-8")
            yield (
                file,
                _of_python(text) if path.suffix == ".py" else re.findall(r"'(?:[^']|'')*'", _without_remarks(text)),
            )


def _without_remarks(text: str) -> str:
    return re.sub(r"('(?:[^']|'')*')|--[^\n]*", lambda found: found[1] or "", text)


def _of_python(text: str) -> list[str]:
    """Without the strings that stand alone, which are docstrings."""
    tree = ast.parse(text)
    remarks = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in remarks
    ]
