"""Derived tables know all code that makes them, whatever its language, and are not made again for code that does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import hr_centra_pipeline
from hr_centra_pipeline.warehouse import derived, models

HERE = Path(hr_centra_pipeline.__file__).parent


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("code") / "package"
    return Path(shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns("__pycache__")))


def with_another_end(package: Path, name: str) -> str:
    file = package / name
    before = file.read_bytes()
    file.write_bytes(before + b"\n")
    try:
        return derived.code_of(package)
    finally:
        file.write_bytes(before)


@pytest.mark.parametrize(
    "name",
    [
        "core/money.py", "core/keys.py", "core/words.py", "sources/happy_returns/parsing.py",
        "sources/payouts/settlement_typing.py", "sources/happy_returns/header_profiles/default.toml",
        "sources/centra/centra_objects.py", "warehouse/policy_tables.py",
        "matching/matched_items.sql", "effects/credit_notes.sql", "month_end/items.sql",
    ],
)  # fmt: skip
def test_another_macro_key_parser_or_query_makes_another_fingerprint(package: Path, name: str) -> None:
    assert with_another_end(package, name) != derived.code_of(HERE)


@pytest.mark.parametrize(
    "name", ["cli/screen.py", "sandbox/server.py", "publishing/charts.py", "orchestration/run_lock.py"]
)
def test_an_entry_point_or_the_sandbox_makes_nothing_that_has_to_be_made_again(package: Path, name: str) -> None:
    assert with_another_end(package, name) == derived.code_of(HERE) == derived.code_of(package)


def test_every_sql_file_that_may_fill_a_derived_table_is_in_the_fingerprint() -> None:
    left_out = {name: model.kind for name, model in models.models().items() if name not in derived.sql_files()}
    assert set(left_out.values()) <= {"query", "macro"}
    assert derived.packages() == [
        "core", "effects", "matching", "month_end", "oversight", "push", "reconciliation", "sources", "warehouse",
    ]  # fmt: skip
