"""What ``doctor`` asks of a token follows the policy: every permission that it needs, and none that it does not."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.core.policy import Policy, load_policy
from hr_centra_pipeline.oversight.doctor import examine
from hr_centra_pipeline.sandbox.centra.api import Grant
from hr_centra_pipeline.sandbox.server import RunningSandbox, SandboxSettings, running_sandbox
from hr_centra_pipeline.sources.centra import centra_calls, centra_contract
from hr_centra_pipeline.sources.centra.centra_calls import least, used
from hr_centra_pipeline_tests.harness import POLICY
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY, WITH_GIFT_CARDS
from hr_centra_pipeline_tests.sources.centra.schemas import introspection

PLACES: dict[str, tuple[str, set[str]]] = {
    "order": ("", {"Order.internalComment:read", "Order:write"}),
    "customer": ('[status]\nstatus_target = "customer"\n', {"Customer.internalComment:read", "Customer:write"}),
    "order attribute": (
        '[status]\nattribute_type = "hr"\n', {"Attribute:read", "Attribute:write", "Order.attributes:read"},
    ),
    "customer attribute": (
        '[status]\nstatus_target = "customer"\nattribute_type = "hr"\n',
        {"Attribute:read", "Attribute:write", "Customer.attributes:read"},
    ),
}  # fmt: skip
OPTIONAL = {
    "Attribute:read", "Attribute:write", "Order.attributes:read", "Customer.attributes:read",
    "Customer.internalComment:read", "Customer:write",
}  # fmt: skip


@pytest.fixture(scope="module")
def centra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with running_sandbox(
        tmp_path_factory.mktemp("sandbox"), SandboxSettings(speed=1000.0, centra=WITH_GIFT_CARDS)
    ) as sandbox:
        for name in ("Main", "Outlet", "Quarantine"):
            sandbox.store.add_warehouse(name)
        yield sandbox


def told(centra: RunningSandbox, home: Path, policy: str, *, without: str = "", more: str = "") -> list[str]:
    """What doctor finds wrong, with the least token for a policy, less or more one permission."""
    home.mkdir(exist_ok=True)
    file = home / "policy.toml"
    file.write_text(EXAMPLE_POLICY.read_text(encoding="utf-8") + policy, encoding="utf-8")
    granted = {*least(used(load_policy(file).policy)), *([more] if more else [])} - {without}
    environment = {
        **centra.environment(), "HR_CENTRA_HOME": str(home), "HR_CENTRA_MODE": "live",
        "CENTRA_TOKEN": centra.sandbox.api.new_token(Grant(frozenset(granted))),
    }  # fmt: skip
    return [one.told for one in examine(environment) if one.level in ("warning", "error") and one.section == "Centra"]


@pytest.mark.parametrize("place", PLACES)
def test_the_least_token_of_a_policy_is_enough_and_not_too_much(
    centra: RunningSandbox, tmp_path: Path, place: str
) -> None:
    assert told(centra, tmp_path / "data", PLACES[place][0]) == []


@pytest.mark.parametrize("place", PLACES)
def test_each_place_of_the_status_needs_its_own_permissions_and_no_other(place: str) -> None:
    text, needed = PLACES[place]
    policy = Policy.model_validate({**POLICY, "status": tomllib.loads(text).get("status", {})})
    assert set(least(used(policy))) & OPTIONAL == needed & OPTIONAL
    assert needed <= set(least(used(policy)))


@pytest.mark.parametrize("place", ["customer", "order attribute", "customer attribute"])
def test_a_permission_that_is_missing_is_named_with_what_needs_it(
    centra: RunningSandbox, tmp_path: Path, place: str
) -> None:
    text, needed = PLACES[place]
    for permission in sorted(needed & OPTIONAL):
        lines = told(centra, tmp_path / "data", text, without=permission)
        assert any(line.startswith(f"the token lacks {permission}, for ") for line in lines), permission


def test_a_permission_that_only_another_policy_needs_is_too_much(centra: RunningSandbox, tmp_path: Path) -> None:
    assert told(centra, tmp_path / "data", "", more="Customer:write") == [
        "the token has more permissions than needed: Customer:write"
    ]
    assert told(centra, tmp_path / "data", PLACES["customer"][0], more="Attribute:write") == [
        "the token has more permissions than needed: Attribute:write"
    ]


def test_an_effect_type_that_is_off_needs_nothing() -> None:
    everything = Policy.model_validate(POLICY)
    off = Policy.model_validate({**POLICY, "modes": {"exchange_order": "off", "inventory_adjustment": "off"}})
    assert {"StockChange:write", "ProductSize.stock:read", "Order.shippingAddress:read"} <= set(least(used(everything)))
    gone = set(least(used(everything))) - set(least(used(off)))
    assert {"StockChange:write", "ProductSize.stock:read"} <= gone


def test_every_operation_is_used_by_some_policy() -> None:
    policies: list[dict[str, Any]] = [
        {"status": {"status_target": "both"}},
        {"status": {"status_target": "both", "attribute_type": "hr"}},
        {"exchange": {"release": "paid"}},
        {"events": {"centra_queue": True}},
    ]
    found = {name for changes in policies for name in used(Policy.model_validate({**POLICY, **changes}))}
    assert found == used()


def test_a_gift_card_without_a_template_is_one_clear_warning(centra: RunningSandbox, tmp_path: Path) -> None:
    home = tmp_path / "data"
    home.mkdir()
    text = EXAMPLE_POLICY.read_text(encoding="utf-8").replace('template = { email = "{email}" }', "")
    (home / "policy.toml").write_text(text, encoding="utf-8")
    environment = {**centra.environment(), "HR_CENTRA_HOME": str(home)}
    (warning,) = [one for one in examine(environment, is_offline=True) if one.section == "policy" and one.level != "ok"]
    assert warning.level == "warning"
    assert warning.told == (
        'pays_through.gift-card = "gift_card", and there is no [gift_card] template: Centra does not document what a gift card '
        "needs, so none can be issued"
    )
    assert "wait for a person" in warning.fix


def test_a_template_that_this_centra_does_not_have_is_named_by_the_contract(
    centra: RunningSandbox, tmp_path: Path
) -> None:
    home = tmp_path / "data"
    home.mkdir()
    text = EXAMPLE_POLICY.read_text(encoding="utf-8").replace("{ email =", "{ recipient =")
    (home / "policy.toml").write_text(text, encoding="utf-8")
    granted = least(used(load_policy(home / "policy.toml").policy))
    environment = {
        **centra.environment(), "HR_CENTRA_HOME": str(home), "HR_CENTRA_MODE": "live",
        "CENTRA_TOKEN": centra.sandbox.api.new_token(Grant(frozenset(granted))),
    }  # fmt: skip
    lines = [f"{one.told} {one.fix}" for one in examine(environment) if one.level in ("warning", "error")]
    (named,) = [line for line in lines if "GiftCardCreateInput.recipient" in line]
    assert "email" in named


@pytest.mark.parametrize(
    ("edit", "place", "coordinate"),
    [
        (("  updateCustomer(", "  changeCustomer("), "customer", "Mutation.updateCustomer"),
        (("  assignAttributes(", "  setAttributes("), "order attribute", "Mutation.assignAttributes"),
        (("enum AttributeObjectType { Order Customer", "enum AttributeObjectType { Order Shopper"), "customer attribute",
         "AttributeObjectType.Customer"),
    ],
)  # fmt: skip
def test_a_place_that_this_centra_cannot_write_stops_the_status_of_a_policy_that_names_it_and_of_no_other(
    edit: tuple[str, str], place: str, coordinate: str
) -> None:
    for text, stops in ((PLACES[place][0], True), (PLACES["order"][0], False)):
        policy = Policy.model_validate({**POLICY, "status": tomllib.loads(text).get("status", {})})
        words = centra_contract.words_read(policy.centra.words)
        rows = centra_contract.compared(
            centra_contract.schema_of(introspection(edit)),
            centra_calls.needed(policy),
            words,
            centra_calls.widest(policy),
        )
        (row,) = [one for one in rows if one.coordinate == coordinate and one.verdict == "differs"]
        assert ("status_update" in row.effect_types) is stops
        assert row.remedy
