"""Files of settings that no editor leaves on purpose: each is one message with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles

_TEXTS = {
    "nested too deeply": "a=" + "[" * 20_000,
    "thousands of digits": "a=" + "9" * 5_001,
    "a: is a whole number of more than 64 bits": "a=0x" + "f" * 5_000,
    "is larger than": "#" * 1_000_001,
}


@pytest.mark.parametrize("complaint", _TEXTS)
def test_a_text_that_the_reader_chokes_on_is_refused_by_name(tmp_path: Path, complaint: str) -> None:
    file = tmp_path / "x.toml"
    file.write_text(_TEXTS[complaint])
    for read in (lambda: load_policy(file), lambda: load_profiles(tmp_path)):
        with pytest.raises(ConfigurationError, match=complaint) as caught:
            read()
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, make: object) -> None:
    file = tmp_path / "x.toml"
    make(file)  # type: ignore[operator]
    for read in (
        lambda: load_policy(file),
        lambda: load_profiles(tmp_path),
        lambda: clock.now({"HR_CENTRA_NOW": f"@{file}"}),
        lambda: Settings.from_environment({"HR_CENTRA_DATABASE": str(file)}),
    ):
        with pytest.raises(ConfigurationError, match="folder, pipe or device") as caught:
            read()
        assert str(file) in str(caught.value)


def test_a_clock_file_in_another_encoding_or_before_all_time_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    file.write_text("2026-09-30T12:00:00Z", encoding="utf-16")
    with pytest.raises(ConfigurationError, match=f"HR_CENTRA_NOW=@{file}: the clock file is not UTF-8"):
        clock.now({"HR_CENTRA_NOW": f"@{file}"})
    with pytest.raises(ConfigurationError, match="HR_CENTRA_NOW: 0001-01-01"):
        clock.now({"HR_CENTRA_NOW": "0001-01-01T00:00:00+14:00"})
