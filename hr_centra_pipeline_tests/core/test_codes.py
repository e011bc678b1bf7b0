"""Reasons: the list is closed, every one of it is used, and nothing decides by what a sentence says.

``python -m hr_centra_pipeline_tests.core.test_codes`` writes docs/reasons.md.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from hr_centra_pipeline.core import codes

PACKAGE = Path(codes.__file__).parents[1]
PAGE = PACKAGE.parent / "docs" / "reasons.md"
LEFT_OUT = ("sandbox/", "warehouse/migrations/")

# Names of columns and variables that hold sentences for people.
PROSE = (
    "reason|blocked_by|waits_for|why|detail|message|problem|halted|guard|next_step|sentence|said|own_reason"
    # … and of words that people read and that once decided something.
    "|source|tied_by|cause|culprit|class|cls|made_by|what|verdict|trouble|explained_by|settled_by|outcome"
)
MATCHED = [
    # like, starts_with, … on prose
    rf"(?:starts_with|ends_with|contains|regexp_\w+|prefix|suffix|instr|strpos|split_part)\(\s*(?:coalesce\(\s*)?[\w.]*?\b(?:{PROSE})\b",
    rf"\b(?:{PROSE})\b\)*\s+(?:not\s+)?(?:i?like|similar\s+to|~)\s*'",
    # "…" in reason, reason.startswith("…"), reason == "…", with a blank: a sentence and no code
    rf"['\"][^'\"\n]* [^'\"\n]*['\"]\s+(?:not\s+)?in\s+[\w.]*?\b(?:{PROSE})\b",
    rf"\b(?:{PROSE})\b(?:\s+or\s+['\"]['\"]\))?\)*\.(?:startswith|endswith|find|index|count|split|removeprefix)\(",
    rf"\b(?:{PROSE})\b\)*\s*(?:==|!=|<>|is\s+(?:not\s+)?distinct\s+from)\s*['\"]\w+ [^'\"\n]*['\"]",
]
SQL_ALONE = [rf"\b(?:{PROSE})\b\)*\s*=\s*'\w+ [^'\n]*'"]
# What is matched all the same: (file, part of the line) and why it is no decision about an effect.
ALLOWED = {
    ("reconciliation/provider_facts.sql", "= 'Return ' || line_amounts.centra_return_id"): "an object's name, made of its id",
}  # fmt: skip


@cache
def sources() -> dict[str, str]:
    """Every SQL and Python file of the product, by its place in the package, without what is commented."""
    found = {}
    for path in sorted(PACKAGE.rglob("*")):
        name = str(path.relative_to(PACKAGE))
        if path.suffix in (".sql", ".py") and not name.startswith(LEFT_OUT):
            text = path.read_text(encoding="utf-8")
            found[name] = re.sub(r"--[^\n]*", "", text) if path.suffix == ".sql" else text
    return found


def arguments(text: str, start: int) -> list[str]:
    """The arguments of the call whose parenthesis opens right before ``start``."""
    depth, quoted, parts = 1, False, [""]
    for letter in text[start:]:
        if letter == "'":
            quoted = not quoted
        if not quoted:
            depth += (letter in "([{") - (letter in ")]}")
            if depth == 0:
                break
            if letter == "," and depth == 1:
                parts.append("")
                continue
        parts[-1] += letter
    return [part.strip() for part in parts]


def said_in_sql() -> Iterator[tuple[str, str, int | None]]:
    """File, code and number of figures (``None``: the code is only compared with) of every reason in SQL."""
    for name, text in sources().items():
        for call in re.finditer(r"policy\.reason\(", text):
            given = arguments(text, call.end())
            if code := re.fullmatch(r"'(\w+)'", given[0]):
                yield name, code[1], len(given) - 1
        if not name.endswith(".sql"):
            continue
        beside = r"(?:\w+_code|(?:reasons|asked|gone|not_desired|no_customer|block|waits)\.code)"
        for compared in re.finditer(rf"{beside}\s*(?:=|<>|is\s+(?:not\s+)?distinct\s+from)\s*'(\w+)'", text):
            if not re.match(r"(?:guard|waits)_code|booking_code|chargeback_code", compared[0]):
                yield name, compared[1], None


def said_in_python() -> Iterator[tuple[str, str, int | None]]:
    """The same of Python: ``say("code", …)``, and what a code is compared with."""
    for name, text in sources().items():
        if not name.endswith(".py") or name == "core/codes.py":
            continue
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.Call(
                    func=ast.Name(id="say") | ast.Attribute(attr="say"), args=[ast.Constant(value=str(code)), *rest]
                ):
                    yield name, code, None if any(isinstance(one, ast.Starred) for one in rest) else len(rest)
                case ast.Compare(
                    left=ast.Attribute(attr="waits_for_code"), comparators=[ast.Constant(value=str(code))]
                ):
                    yield name, code, None


# ---------------------------------------------------------------- the list


@pytest.mark.parametrize("reason", codes.REASONS.values(), ids=codes.REASONS)
def test_every_sentence_has_a_place_for_each_figure_and_is_filled(reason: codes.Reason) -> None:
    places = sorted({int(place) for place in re.findall(r"\{(\d)\}", reason.sentence)})
    assert places == list(range(reason.figures))
    said = codes.say(reason.code, *(f"<{place}>" for place in places))
    assert not re.search(r"[{}]", said)
    assert all(f"<{place}>" in said for place in places)
    assert (said.code, codes.code_of(said), copy.copy(said).code) == (reason.code,) * 3
    # An exception's class, cause, culprit and next step come together.
    assert len({part is None for part in (reason.cls, reason.cause, reason.culprit, reason.next_step)}) == 1


def test_a_figure_may_look_like_a_place() -> None:
    assert codes.say("adopted", "{1}", "why {0}") == "adopted by {1}: why {0}"


def test_a_figure_too_few_or_too_many_and_an_unknown_code_are_refused() -> None:
    with pytest.raises(ValueError, match="has 1 figures, not 0"):
        codes.say("mode")
    with pytest.raises(KeyError):
        codes.say("no_such_reason")


def test_what_a_person_may_let_through_gives_way_to_everything_else_that_holds_an_effect() -> None:
    plan = list(codes.REASONS.values())[: list(codes.REASONS).index("due_by_settings")]
    assert plan == sorted(plan, key=lambda reason: reason.needs_approval)


def test_a_code_of_another_version_is_read_as_plain_words() -> None:
    kept = codes.as_kept("something else", "code_of_tomorrow")
    assert (kept, codes.code_of(kept), codes.needs_approval("code_of_tomorrow")) == ("something else", None, False)
    assert codes.code_of(codes.as_kept("out of stock: 0 of X", "out_of_stock")) == "out_of_stock"


def test_guards_and_unmatched_reasons_are_the_ones_that_are_listed() -> None:
    assert set(codes.GUARDS) == set(get_args(codes.Guard))
    case_of = r"case\s+when matched\.shipment_line_id is not null then null(.*?)end as reason"
    given = re.search(case_of, sources()["matching/matched_items.sql"], re.DOTALL)
    assert given
    assert set(re.findall(r"(?:then|else) '(\w+)'", given[1])) == set(codes.UNMATCHED)
    in_words = sources()["core/facts.sql"].partition("macro unmatched_text")[2].partition("end;")[0]
    assert tuple(re.findall(r"when '(\w+)' then '\w+ ", in_words)) == codes.UNMATCHED


# ---------------------------------------------------------------- its use


def test_every_reason_that_sql_or_python_gives_or_asks_for_is_listed_and_has_its_figures() -> None:
    wrong = {
        (name, code, figures)
        for name, code, figures in (*said_in_sql(), *said_in_python())
        if code not in codes.REASONS or figures not in (None, codes.REASONS[code].figures)
    }
    assert not wrong


def test_every_listed_reason_is_used() -> None:
    used = {code for _, code, _ in (*said_in_sql(), *said_in_python())}
    quoted = "\n".join(text for name, text in sources().items() if name != "core/codes.py")
    assert [
        code for code in codes.REASONS if code not in used and f"'{code}'" not in quoted and f'"{code}"' not in quoted
    ] == []


def test_nothing_decides_by_what_a_sentence_says() -> None:
    found = []
    for name, text in sources().items():
        for pattern in (*MATCHED, *(SQL_ALONE if name.endswith(".sql") else ())):
            for match in re.finditer(pattern, text):
                line = " ".join(text[max(0, match.start() - 40) : match.end() + 60].split())
                if not any(name == file and part in line for file, part in ALLOWED):
                    found.append(f"{name}: …{line}…")
    assert found == []


# ---------------------------------------------------------------- its page


def page() -> str:
    """docs/reasons.md."""
    rows = [
        "# Reasons",
        "",
        "Why an effect is held back, waits, was left, or why a push ended: the closed list of `core/codes.py`, in the order in",
        "which the first of several is shown. Tables hold the code beside the sentence (`blocked_code`, `reason_code`,",
        "`message_code`, `halted_code`), and whatever decides reads the code. What is in doubt for good has a `trouble` instead",
        "(`push.packets`). *Class, cause, culprit* are those of the exception; empty: those of its kind.",
        "",
        "| code | sentence | class, cause, culprit | approval |",
        "|---|---|---|---|",
    ]
    for reason in codes.REASONS.values():
        told = ", ".join(filter(None, (reason.cls, reason.cause, reason.culprit)))
        sentence = re.sub(r"\{\d\}", "…", reason.sentence).replace("|", "\\|")
        rows.append(f"| `{reason.code}` | {sentence} | {told} | {'yes' if reason.needs_approval else ''} |")
    return "\n".join(rows) + "\n"


def test_the_page_of_reasons_is_that_of_the_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m hr_centra_pipeline_tests.core.test_codes"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
