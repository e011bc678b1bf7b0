"""Layouts of files in the home are read as editors write them, and each mistake has its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import fsspec
import pytest

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.oversight import doctor
from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles
from hr_centra_pipeline.sources.intake.places import Place
from hr_centra_pipeline.sources.payouts.settlement_profiles import load_payout_profiles
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY

LOADERS = [("happy_returns", load_profiles), ("payouts", load_payout_profiles)]


@pytest.mark.parametrize(("source", "load"), LOADERS)
def test_a_profile_that_begins_with_a_byte_order_mark_is_read_and_wins_over_the_shipped_one(
    tmp_path: Path, source: str, load: Callable[[Path], Sequence[Any]]
) -> None:
    folder = resources.files(f"hr_centra_pipeline.sources.{source}.header_profiles")
    shipped = next(entry for entry in folder.iterdir() if entry.name.endswith(".toml"))
    (tmp_path / "own.toml").write_bytes(b"\xef\xbb\xbf" + shipped.read_bytes())
    assert [one.name for one in load(tmp_path)] == [one.name for one in load(tmp_path / "nowhere")]


@pytest.mark.parametrize(("source", "load"), LOADERS)
def test_each_mistake_of_a_profile_is_a_line_with_its_file(
    tmp_path: Path, source: str, load: Callable[[Path], Sequence[Any]]
) -> None:
    (tmp_path / "own.toml").write_text("name = 1\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path)
    lines = str(refused.value).splitlines()
    assert f'{tmp_path / "own.toml"}: name: must be a text, in quotes ("...") (found 1)' in lines, source
    assert all(line.startswith(f"{tmp_path / 'own.toml'}: ") for line in lines)


def test_a_grade_that_a_profile_writes_and_the_policy_lacks_is_found_by_doctor(tmp_path: Path) -> None:
    policy = load_policy(EXAMPLE_POLICY).policy
    assert list(doctor._grades(load_profiles(tmp_path), policy)) == []
    own = (EXAMPLE_POLICY.parent / "profiles" / "example-german.toml").read_text(encoding="utf-8")
    (tmp_path / "own.toml").write_text(own.replace('"b-grade"', '"seconds"'), encoding="utf-8")
    (found,) = doctor._grades(load_profiles(tmp_path), policy)
    assert found.level == "warning"
    assert "reads B-Ware as the disposition seconds" in found.told
    assert "Add [dispositions.seconds]" in found.fix


def test_an_address_of_s3_without_its_package_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(ConfigurationError, match=r"s3://shop/exports: .*pip install 'hr-centra-pipeline\[s3\]'"):
        Place("s3://shop/exports", "HAPPY_RETURNS_EXPORTS")
