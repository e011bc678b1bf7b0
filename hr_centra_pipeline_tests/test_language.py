"""What people read is written as native engineers write it: words that the project has grown out of do not come back."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hr_centra_pipeline"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(PACKAGE.rglob("*.md")),
    *(file for file in sorted((ROOT / "deploy").rglob("*")) if file.is_file()),
    ROOT / "data" / "policy.example.toml",
    *sorted((ROOT / "data" / "profiles").glob("*.toml")),
    *sorted((PACKAGE / "orchestration").glob("*.yaml")),
    ROOT / "Makefile",
]
CODE = [
    file
    for file in sorted(PACKAGE.rglob("*"))
    if file.suffix in (".py", ".sql", ".graphql", ".html", ".toml") and file.parent.name != "migrations"
]

# Only what is wrong in every sentence; the rest of the list needs a reader. Names in backticks and code are left out.
OUTGROWN = {
    r"\banew\b": "again, from scratch",
    r"\bwhoever\b": "anyone who",
    r"\bsomebody else(?:'s)?\b": "another user, external",
    r"(?<!there )\b(?:is|are|was|were) no (?!longer|more|less|later|older|earlier|sooner)[a-z]+": "is not a …",
    r"\bin play\b": "active, affected",
    r"\bby our hand\b": "by hr-centra",
    r"\bgovernor\b": "rate limiter",
    r"\b(?:bury|buries|buried)\b": "fail orphaned runs",
    r"\bwords of death\b": "describe crash",
    r"\bdied without a word\b": "died (killed, or out of memory)",
    r"\ba death\b|\bdead (?:run|process|child|holder)s?\b": "crash, orphaned run",
    r"\bdissolved?\b": "disbanded",
    r"\bcannot be undone\b": "cannot be reverted",
    r"\briders?\b": "return-level effects",
    r"\bforeign\b": "external",
    r"\bnot so\b(?=:)": "check failed",
    r"\bto (?:its|an|their) end\b": "completed, completely",
    r"\bcertification (?:has fall|falls|fell)": "no longer certified",
    r"\b(?:is|are|was|were|be|been|has|have|had|better) (?:not )?told\b": "reported, recorded",
    r"\btold (?:until|by|of|about|apart)\b": "data through, reported by, distinguished",
    r"\btells (?:a|all|an|apart|from|how|it|its|of|others|that|the|them|what|when|where|which|whether|who)\b": "reports, shows",
    r"\b(?:asks?|asked) and (?:tells?|told)\b|\bconverses?\b|\btalks? to\b": "query, mutate, request, connect to",
    r"\bstands? (?:above|alone|as|at|below|beside|beyond|for|in|on|open|still|there|twice|under|with)\b": "is",
    r"\b(?:as|how|where) (?:each|it|one|they|things|this|the [a-z]+s?) stands?\b": "the state, as it is now",
    r"\bstood\b": "was",
    r"\blies? (?:behind|below|between|idle|in|nowhere|on|there|where)\b|\blay (?:in|on|there)\b": "is",
    r"\bReturns? of (?:ours|somebody)\b|\b(?:a|an|every|no|one|of) [a-z ]{1,20} of ours\b": "our Return, one of our …",
    r"\bsomebody's\b": "another user's, external",
    r"\bmend(?:s|ed|ing)?\b": "fix, correct",
    r"\bdoors?\b": "entry point, run lock",
    r"\b(?:desk|storm)s?\b": "harness, chaos run",
    r"\bmoney (?:is|was|were) given (?!back)|\bgives? the money (?!back)": "refunded, compensated",
    r"\bthat (?:would have )?leaked\b": "money at risk",
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
    """What a person may read of a file: of Python its texts and comments, of SQL its literals and comments, else all of it."""
    text = file.read_text("utf-8")
    if file.suffix == ".html":
        yield re.sub(r"\{[%{].*?[%}]\}", "", text)
    elif file.suffix == ".sql":
        yield from re.findall(r"--.*", text)
        yield from re.findall(r"'((?:[^']|'')*)'", re.sub(r"--.*", "", text))
    elif file.suffix == ".py":
        yield from (
            node.value
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        yield from (
            token.string
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT
        )
    else:
        yield text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_has_a_word_that_we_have_grown_out_of(page: Path) -> None:
    assert found_in(page.read_text("utf-8")) == []


def test_no_text_comment_or_description_has_a_word_that_we_have_grown_out_of() -> None:
    assert {str(file.relative_to(ROOT)): found for file in CODE if (found := found_in("\n".join(texts_of(file))))} == {}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Whoever reads it", "Whoever"),
        ("the certification has fallen", "certification has fall"),
        ("`push/governor.py` is fine, the governor is not", "governor"),
        ("there is no file; it is no longer here; 12 is no amount", "is no amount"),
        ("we tell the shopper; a row tells the time", "tells the"),
        ("it is given back; the money was given to them", "money was given "),
        ("a Return of ours", "a Return of ours"),
    ],
)
def test_the_list_finds_what_it_is_for(text: str, what: str) -> None:
    assert [line.partition(": write ")[0] for line in found_in(text)] == [repr(what)]
