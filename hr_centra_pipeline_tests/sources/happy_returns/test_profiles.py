from __future__ import annotations

from pathlib import Path

import pytest

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.sandbox.happy_returns.exports import COLUMNS
from hr_centra_pipeline.sources.happy_returns.export_profiles import Profile, load_profiles, recognise
from hr_centra_pipeline_tests.sources.happy_returns.conftest import PACKAGE

EXAMPLES = Path(__file__).parents[3] / "data" / "profiles"
MINIMAL = """
name = "{name}"
[columns.shipments]
shipment_id = "{header}"
item_id = "Unit"
"""


@pytest.fixture
def shipped(tmp_path: Path) -> list[Profile]:
    return load_profiles(tmp_path / "none")


def wrong(tmp_path: Path, text: str) -> str:
    (tmp_path / "ours.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_profiles(tmp_path)
    return str(caught.value)


def test_all_profiles_that_are_shipped_are_in_data_as_examples(shipped: list[Profile]) -> None:
    assert len(shipped) >= 2
    for inside in (PACKAGE / "header_profiles").glob("*.toml"):
        assert (EXAMPLES / inside.name).read_text(encoding="utf-8") == inside.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["returns", "items", "refunds", "shipments"])
def test_every_header_of_every_shipped_profile_is_recognised_as_itself(shipped: list[Profile], kind: str) -> None:
    for profile in (profile for profile in shipped if kind in profile.columns):
        headers = list(profile.columns[kind].values())  # type: ignore[index]
        found = recognise(headers, shipped)
        assert not isinstance(found, str)
        assert (found.profile.name, found.kind, found.unknown_headers) == (profile.name, kind, ())


@pytest.mark.parametrize("kind", list(COLUMNS))
def test_the_default_profile_knows_the_columns_that_the_fact_sheet_proposes(shipped: list[Profile], kind: str) -> None:
    found = recognise(COLUMNS[kind], shipped)
    assert not isinstance(found, str)
    assert (found.profile.name, found.kind) == ("default", kind)


def test_an_unknown_header_is_refused_with_the_closest_profile_and_what_it_misses(shipped: list[Profile]) -> None:
    found = recognise(["refund_id", "return_id", "status"], shipped)
    assert isinstance(found, str)
    assert "default/refunds" in found
    assert "total_refunded" in found


def test_the_order_of_headers_does_not_matter(shipped: list[Profile]) -> None:
    found = recognise(list(reversed(COLUMNS["items"])), shipped)
    assert not isinstance(found, str)
    assert found.kind == "items"


def test_a_merchants_own_profile_joins_the_shipped_ones_and_wins_over_its_namesake(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(MINIMAL.format(name="ours", header="Sendung"), encoding="utf-8")
    (tmp_path / "b.toml").write_text(MINIMAL.format(name="default", header="Box"), encoding="utf-8")
    profiles = {profile.name: profile for profile in load_profiles(tmp_path)}
    assert profiles["ours"].columns["shipments"]["shipment_id"] == "Sendung"
    assert profiles["default"].columns["shipments"]["shipment_id"] == "Box"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('name = "x"\n[columns.items\n', "line 2"),
        ('name = "x"\nwarp = 1\n[columns.items]\n', "warp"),
        ('name = "x"\n[columns.parcels]\nitem_id = "a"\n', "columns.parcels"),
        ('name = "x"\n[columns.shipments]\nshipment_id = "a"\nitem_id = "b"\ncolour = "c"\n', "colour"),
        ('name = "x"\n[columns.shipments]\nshipment_id = "a"\n', "item_id"),
        ('name = "x"\n[columns.shipments]\nshipment_id = "a"\nitem_id = "a"\n', "'a'"),
        ('name = "x"\n[times]\nzone = "Europe/Atlantis"\n[columns.shipments]\nshipment_id = "a"\nitem_id = "b"\n', "Atlantis"),
        ('name = "x"\n[money]\ndecimal = ";"\n[columns.shipments]\nshipment_id = "a"\nitem_id = "b"\n', "money.decimal"),
        (
            'name = "x"\n[words.refund_type]\nGeld = "cash"\n[columns.shipments]\nshipment_id = "a"\nitem_id = "b"\n',
            "words.refund_type",
        ),
    ],
)  # fmt: skip
def test_every_mistake_is_one_line_with_the_file_and_the_place(tmp_path: Path, text: str, place: str) -> None:
    (line,) = wrong(tmp_path, text).splitlines()
    assert "ours.toml" in line
    assert place in line


def test_a_profile_that_is_not_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes('name = "Zürich"'.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"latin\.toml.*UTF-8"):
        load_profiles(tmp_path)
