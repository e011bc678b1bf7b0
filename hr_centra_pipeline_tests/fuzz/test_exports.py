"""A small run of the fuzzer of export rows, files and profiles; hypothesis on how one file is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hr_centra_pipeline.sources.intake import contents, cutting
from hr_centra_pipeline_tests.fuzz import exports


def test_rows_files_and_profiles_are_landed_quarantined_or_refused_by_name() -> None:
    outcomes = exports.run(2_000, seed=5)
    for outcome in (
        "landed",
        "quarantined by name",
        "file refused by name",
        "file taken",
        "profile refused by name",
    ):
        assert outcomes[outcome] > 0, outcomes


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_many_more_of_them_are_landed_quarantined_or_refused_by_name(seed: int) -> None:
    assert exports.run(20_000, seed)["landed"] > 0


_PIECES = [
    b"a,b", b"1,2", b'"1",2', b'"', b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"{}", b"[", b'{"a":1}', b"]", b",",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from(_PIECES)).map(b"".join),
    ),
    name=st.sampled_from(["a.csv", "a.csv.gz", "a.jsonl", "a.json", "a.zip"]),
)  # fmt: skip
def test_a_file_of_any_bytes_is_cut_into_rows_and_bad_rows_or_has_a_problem(data: bytes, name: str) -> None:
    content = contents.opened(data, name)
    if content.problem:
        return
    if cutting.is_json(content.data):
        cut = cutting.cut_json(content)
    else:
        try:
            cut = cutting.cut_csv(content, ",")
        except UnicodeDecodeError:
            return
    assert all(len(values) == len(cut.headers) for _, values in cut.rows)
    lines = [line for line, _ in cut.rows] + [bad.line for bad in cut.bad]
    assert len(lines) == len(set(lines)), "a line is one row"
    assert all(bad.reason for bad in cut.bad)
