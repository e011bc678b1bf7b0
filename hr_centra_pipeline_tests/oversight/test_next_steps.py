"""Each warning and error of ``doctor`` says what to do: read from the code, so that one without a fix cannot be added."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "hr_centra_pipeline"
FILES = [
    file
    for file in sorted(ROOT.rglob("*.py"))
    if file.parent.name != "sandbox" and "Finding(" in file.read_text("utf-8")
]


def without_fix(file: Path) -> Iterator[str]:
    """Findings that may be a warning or an error, and have no fix."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding"):
            continue
        if len(node.args) < 3:
            continue
        levels = {one.value for one in ast.walk(node.args[1]) if isinstance(one, ast.Constant)}
        has_fix = len(node.args) > 3 or any(word.arg == "fix" for word in node.keywords)
        is_empty = len(node.args) > 3 and isinstance(node.args[3], ast.Constant) and not node.args[3].value
        if levels & {"warning", "error"} and (not has_fix or is_empty):
            yield f"{file.relative_to(ROOT)}:{node.lineno}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_warning_and_error_has_a_next_step(file: Path) -> None:
    assert list(without_fix(file)) == [], "a Finding of level warning or error needs a fix"


def test_the_test_reads_what_doctor_says() -> None:
    assert {"doctor", "instance_doctor", "inbox_findings"} <= {file.stem for file in FILES}
