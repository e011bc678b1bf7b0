"""What people read is written as native engineers write it: words that the project has grown out of do not come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "hr_centra_pipeline" / "sandbox").rglob("*.md")),
    ROOT / "data" / "policy.example.toml",
]
PACKAGES = (
    "core", "warehouse", "sources", "matching", "effects", "push", "reconciliation", "month_end", "publishing", "oversight",
    "orchestration", "cli",
)  # fmt: skip
CODE = [
    file
    for package in PACKAGES
    for file in sorted((ROOT / "hr_centra_pipeline" / package).rglob("*"))
    if file.suffix in (".py", ".sql", ".html") and file.parent.name != "migrations"
]

# Only what is wrong in every sentence; the rest of the list needs a reader. Names in backticks and code are left out.
OUTGROWN = {
    r"\banew\b": "again, from scratch",
    r"\bwhoever\b": "anyone who",
    r"\bsomebody else(?:'s)?\b": "another user, external",
    r"\bis no (?:folder|file|amount|day|json|number|workbook|whole)\b": "is not a …",
    r"\bin play\b": "active, affected",
    r"\bby our hand\b": "by hr-centra",
    r"\bgovernor\b": "rate limiter",
    r"\b(?:bury|buries|buried)\b": "fail orphaned runs",
    r"\bwords of death\b": "describe crash",
    r"\bdied without a word\b": "died (killed, or out of memory)",
    r"\bdissolved?\b": "disbanded",
    r"\briders?\b": "return-level effects",
    r"\bforeign\b": "external",
    r"\bnot so\b(?=:)": "check failed",
    r"\bcame to its end\b": "completed",
    r"\bcertification (?:has fall|falls|fell)": "no longer certified",
    r"\b(?:is|are|was|were) (?:not )?told\b": "reported, recorded",
    r"\btold (?:until|by)\b": "data through, reported by",
    r"\btells? (?:of|it)\b": "reports, shows",
    r"\bstands? (?:in|there|below|above)\b": "is",
    r"\blies? (?:in|there|idle)\b": "is",
    r"\bReturns? of (?:ours|somebody)\b": "our Return, external Return",
    r"\bto mend\b": "to fix",
    r"\blives (?:a|five|72)\b": "simulates",
}


def found_in(text: str) -> list[str]:
    plain = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    return [
        f"{found[0]!r}: write {better}"
        for pattern, better in OUTGROWN.items()
        for found in re.finditer(pattern, plain, re.IGNORECASE)
    ]


def texts_of(file: Path) -> Iterator[str]:
    """What a person may read of a file: of Python its texts without docstrings, of SQL its literals, of a template all."""
    if file.suffix == ".html":
        yield re.sub(r"\{[%{].*?[%}]\}", "", file.read_text("utf-8"))
    elif file.suffix == ".sql":
        code = re.sub(r"--.*", "", file.read_text("utf-8"))
        yield from re.findall(r"'((?:[^']|'')*)'", code)
    else:
        tree = ast.parse(file.read_text("utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            # The docstrings of commands are their help texts.
            is_help = file.name == "main.py" and file.parent.name == "cli"
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and (is_help or id(node) not in docstrings)
            ):
                yield node.value


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_has_a_word_that_we_have_grown_out_of(page: Path) -> None:
    assert found_in(page.read_text("utf-8")) == []


def test_no_text_on_a_screen_has_a_word_that_we_have_grown_out_of() -> None:
    assert {str(file.relative_to(ROOT)): found for file in CODE if (found := found_in("\n".join(texts_of(file))))} == {}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Whoever reads it", "Whoever"),
        ("the certification has fallen", "certification has fall"),
        ("`push/governor.py` is fine, the governor is not", "governor"),
    ],
)
def test_the_list_finds_what_it_is_for(text: str, what: str) -> None:
    assert [line.partition(": write ")[0] for line in found_in(text)] == [repr(what)]
