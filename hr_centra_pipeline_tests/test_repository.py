"""The habits of the repository: its pages lead somewhere, decisions are complete, a newcomer finds the file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DECISIONS = ROOT / "docs" / "decisions"
RECORDS = sorted(DECISIONS.glob("0*.md"))
PAGES = [ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")] + [
    DECISIONS / "README.md",
    *RECORDS,
]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def section(title: str) -> str:
    """The part of CONTRIBUTING.md below a heading that begins so."""
    found = re.search(rf"^(#+) {re.escape(title)}.*?\n(.*?)(?=^##? |\Z|^\1 )", CONTRIBUTING, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[2]


def links_of(text: str) -> list[str]:
    return [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [link for link in links_of(page.read_text("utf-8")) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    "page", [*PAGES, *(ROOT / "docs").glob("*.md"), ROOT / "README.md"], ids=lambda page: page.name
)
def test_every_link_into_a_page_names_a_heading(page: Path) -> None:
    missing = []
    for file, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text("utf-8")):
        target = page.parent / file if file else page
        headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
        slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        missing += [] if anchor in slugs else [f"{file}#{anchor}"]
    assert missing == []


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_decision_says_when_why_instead_of_what_and_at_which_price(record: Path) -> None:
    text = record.read_text("utf-8")
    assert text.startswith(f"# {record.stem[:4]}: ")
    assert re.search(r"^- Status: \w+", text, re.MULTILINE)
    assert re.search(r"^- Date: 20\d\d-\d\d-\d\d", text, re.MULTILINE)
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == ["Context", "Decision", "Alternatives considered", "Consequences"]


def test_every_decision_is_listed_and_numbered_once() -> None:
    listed = links_of((DECISIONS / "README.md").read_text("utf-8"))
    assert sorted(listed) == [record.name for record in RECORDS]
    assert len({record.name[:4] for record in RECORDS}) == len(RECORDS) >= 10


def test_thirteen_questions_of_a_newcomer_are_answered_by_two_files_at_most() -> None:
    rows = [line for line in section("Thirteen questions").splitlines() if line.startswith("| ")][1:]
    answers = [links_of(row) for row in rows]
    assert len(answers) == 13
    assert all(1 <= len(files) <= 2 for files in answers)


def test_a_fifth_effect_is_twelve_files_at_most_and_they_are_where_the_list_says() -> None:
    """Files are counted, not lines: also those that a line names in passing. Nothing else lists them."""
    lines = re.findall(r"^\d+\. (.*)$", section("… an effect"), re.MULTILINE)
    named = [name for line in lines for name in re.findall(r"`([\w./<>]+\.(?:py|sql|toml|graphql|md|jsonl))`", line)]
    assert 1 < len(lines) <= len(named) <= 12
    assert len(set(named)) == len(named)
    patterns = {name: re.sub(r"<\w+>", "*", name) for name in named}
    assert [name for name, pattern in patterns.items() if not list(ROOT.glob(pattern))] == []
    again = (ROOT / "hr_centra_pipeline" / "push" / "operations" / "README.md").read_text("utf-8")
    assert not re.findall(r"^(?:\|\s*)?\d+\W+`", again.partition("## A fifth effect")[2], re.MULTILINE)


def test_a_module_is_known_by_its_name_alone() -> None:
    """No two modules of the product have one name: a traceback, a search or a question is about one file."""
    known: dict[str, list[str]] = {}
    for path in sorted((ROOT / "hr_centra_pipeline").rglob("*.py")):
        if path.stem not in ("__init__", "__main__"):
            known.setdefault(path.stem, []).append(str(path.relative_to(ROOT)))
    assert [files for files in known.values() if len(files) > 1] == []


def test_a_sql_file_is_known_by_its_name_alone() -> None:
    known: dict[str, list[str]] = {}
    for path in sorted((ROOT / "hr_centra_pipeline").rglob("*.sql")):
        if path.parent.name != "migrations":
            known.setdefault(path.stem, []).append(str(path.relative_to(ROOT)))
    assert [files for files in known.values() if len(files) > 1] == []


def test_the_forge_runs_what_ci_runs() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert any(step.get("run") == ".ci/run" for step in steps)
    used = [step["uses"] for step in steps if "uses" in step]
    assert [name for name in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", name)] == []


def test_the_hooks_format_lint_and_scan_for_secrets() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert {hook["id"] for repo in hooks for hook in repo["hooks"]} == {
        "ruff-format",
        "ruff",
        "sqlfluff",
        "lineage",
        "detect-secrets",
    }


def test_the_version_is_in_one_place() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    code = [file for file in (ROOT / "hr_centra_pipeline").rglob("*.py") if f'"{version}"' in file.read_text("utf-8")]
    assert code == []
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{version}]" in changelog or f"becomes {version}" in changelog
