from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from hr_centra_pipeline.cli.main import app
from hr_centra_pipeline.core.exception_kinds import EXCEPTION_KINDS
from hr_centra_pipeline.core.kinds import OWNERS
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration.assets import push as push_assets
from hr_centra_pipeline.publishing.publish import SOURCES
from hr_centra_pipeline.sources.centra.assumptions import Known, ledger
from hr_centra_pipeline.sources.centra.vendors_page import page as vendors_page
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.tables import DERIVED

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "hr_centra_pipeline" / "sandbox" / "README.md",
]
MANUAL = (ROOT / "docs" / "exceptions.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def entry(kind: str) -> str:
    found = re.search(rf"^### {kind}\n(.*?)(?=^##)", MANUAL, re.MULTILINE | re.DOTALL)
    assert found, f"docs/exceptions.md has no entry for {kind}"
    return found[1]


@pytest.mark.parametrize("kind", EXCEPTION_KINDS)
def test_the_manual_says_when_a_kind_opens_and_closes_as_its_file_does(kind: str) -> None:
    said = " ".join(entry(kind).split())
    assert said.startswith(EXCEPTION_KINDS[kind].opens)
    assert f"- **Closes when** {EXCEPTION_KINDS[kind].closes}" in said


@pytest.mark.parametrize("kind", EXCEPTION_KINDS)
def test_the_manual_names_the_owner_of_each_kind_and_what_to_do(kind: str) -> None:
    owner, _, rest = entry(kind).partition("**Owner, window:**")[2].strip().partition(",")
    assert owner.replace(" ", "_") == EXCEPTION_KINDS[kind].owner_team in OWNERS
    hours = EXCEPTION_KINDS[kind].window_hours
    said = rest.strip().splitlines()[0]
    assert said.startswith("at once" if hours == 0 else (f"{hours} hour", f"{hours // 24} days"))
    assert "**What to do:**" in entry(kind)
    assert "**Closes when**" in entry(kind)


def test_every_kind_has_an_entry_and_nothing_else_has() -> None:
    assert set(re.findall(r"^### (\w+)$", MANUAL, re.MULTILINE)) == set(EXCEPTION_KINDS)


def test_the_entries_are_in_the_order_in_which_kinds_win() -> None:
    order = [EXCEPTION_KINDS[kind].precedence for kind in re.findall(r"^### (\w+)$", MANUAL, re.MULTILINE)]
    assert order == sorted(order)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_our_pages_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_the_readme_names_every_environment_variable() -> None:
    source = Path(str(resources.files("hr_centra_pipeline.core") / "settings.py")).read_text("utf-8")
    read = set(re.findall(r"\b(?:HR_CENTRA|HAPPY_RETURNS|CENTRA)_[A-Z_]+\b", source))
    fields = {name.upper() for name in Settings.model_fields}
    assert read or fields
    assert {name for name in read if name not in README} == set()


def test_the_readme_names_only_tables_that_exist() -> None:
    known = {name.partition(".")[2] for name in (*DERIVED, *push_assets.TABLES)}
    section = README.partition("## Where to read results")[2].partition("##")[0]
    named = set(re.findall(r"`(?:reconciliation\.)?([a-z_]+)`", section))
    assert named <= known


def test_the_page_about_the_vendors_is_the_ledger_as_it_is_now() -> None:
    """Write it with: make vendors"""
    assert (ROOT / "docs" / "vendors.md").read_text(encoding="utf-8") == vendors_page()


def test_what_the_manual_calls_a_setting_of_an_assumption_exists() -> None:
    named = {name for known in _all_known() for name in known.setting.split(", ") if name and not name.startswith("$")}
    unknown = []
    for name in named:
        model: Any = Policy
        for part in name.split("."):
            info = getattr(model, "model_fields", {}).get(part)
            if info is None:
                # A table whose keys are the shop's own words ends the path.
                if getattr(model, "__origin__", None) is not dict:
                    unknown.append(name)
                break
            model = info.annotation
    assert unknown == []


def _all_known() -> list[Known]:
    found = ledger()
    coordinates = [known for of in found.coordinates.values() for known in of.values()]
    return [*coordinates, *(one.known for one in found.behaviours.values())]


def _page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("owner", [owner for owner in OWNERS if owner != "data"])
def test_the_manual_of_a_team_names_every_kind_that_the_team_owns(owner: str) -> None:
    page = _page(f"manual-{owner.replace('_', '-')}")
    owned = {kind.name for kind in EXCEPTION_KINDS.values() if kind.owner_team == owner}
    rows = "\n".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert owned
    assert owned - set(re.findall(r"`(\w+)`", rows)) == set()


def test_the_tables_that_the_control_matrix_names_exist(prepared: Connection) -> None:
    named = set(re.findall(r"`(\w+\.\w+)`", _page("controls"))) - {"people.toml", "decisions.sqlite", "policy.toml"}
    known = {
        f"{schema}.{table}"
        for schema, table in prepared.execute("select schema_name, table_name from duckdb_tables()").fetchall()
    }
    assert named - known - set(SOURCES) == set()
    assert len(named) > 20
    columns = set(
        prepared.execute("select schema_name || '.' || table_name, column_name from duckdb_columns()").fetchall()
    )
    told = {
        (table, column)
        for table, words in re.findall(r"`(\w+\.\w+)` \(([^)]*)\)", _page("controls"))
        for column in re.findall(r"`(\w+)`", words)
    }
    assert told - columns == set()
    assert len(told) > 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_that_a_page_names_exist(page: Path) -> None:
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"`hr-centra ([a-z][a-z-]*)", page.read_text(encoding="utf-8")))
    assert named - commands == set()
