from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import duckdb
import pytest

from hr_centra_pipeline.cli.main import main
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration import instance_doctor as dagster_doctor
from hr_centra_pipeline.orchestration.instance import prepare_dagster_home
from hr_centra_pipeline.oversight import contract
from hr_centra_pipeline.oversight.doctor import examine, settings_table
from hr_centra_pipeline.oversight.findings import Finding, exit_code
from hr_centra_pipeline.sandbox.centra.api import Grant
from hr_centra_pipeline.sandbox.server import RunningSandbox, SandboxSettings, running_sandbox
from hr_centra_pipeline.sources.centra.centra_calls import least, used
from hr_centra_pipeline.sources.centra.centra_contract import compared, schema_of
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.receivers import webhook
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY, WITH_GIFT_CARDS
from hr_centra_pipeline_tests.sources.centra.schemas import FIVE, write_introspection

LEAST = least(used(load_policy(EXAMPLE_POLICY).policy))
RETURNS = "return_id,order_number,refund_status,updated_at\nR1,1001,started,2026-09-30T08:00:00Z\n"


@pytest.fixture(scope="module")
def centra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """A Centra with the warehouses of the example policy."""
    with running_sandbox(
        tmp_path_factory.mktemp("sandbox"), SandboxSettings(speed=1000.0, centra=WITH_GIFT_CARDS)
    ) as sandbox:
        for name in ("Main", "Outlet", "Quarantine"):
            sandbox.store.add_warehouse(name)
        yield sandbox


@pytest.fixture
def environment(tmp_path: Path, centra: RunningSandbox) -> Iterator[dict[str, str]]:
    """A shop in good order, with the least token."""
    home, exports = tmp_path / "data", tmp_path / "exports"
    home.mkdir(mode=0o700)
    exports.mkdir()
    (home / "policy.toml").write_text(EXAMPLE_POLICY.read_text(encoding="utf-8"), encoding="utf-8")
    (exports / "returns-20260930T0900Z.csv").write_text(RETURNS, encoding="utf-8")
    with webhook() as hook:
        yield {
            **centra.environment(), "HR_CENTRA_HOME": str(home), "HR_CENTRA_MODE": "dry_run", "HAPPY_RETURNS_EXPORTS": str(exports),
            "CENTRA_TOKEN": centra.sandbox.api.new_token(Grant(frozenset(LEAST))), "HR_CENTRA_ALERT_WEBHOOK": hook.url,
            "HR_CENTRA_HEARTBEAT_URL": f"{hook.url}/beat", "DAGSTER_HOME": str(home / "dagster"),
        }  # fmt: skip


def bad(environment: dict[str, str]) -> list[Finding]:
    """What is not in order."""
    return [finding for finding in examine(environment) if finding.level in ("warning", "error")]


def only(environment: dict[str, str]) -> Finding:
    """The one thing that is not in order."""
    (finding,) = bad(environment)
    assert finding.fix
    return finding


def test_a_shop_in_good_order_has_nothing_to_mend(environment: dict[str, str]) -> None:
    findings = list(examine(environment))
    assert [finding for finding in findings if finding.level in ("warning", "error")] == []
    assert exit_code(findings) == 0
    sections = {finding.section for finding in findings}
    assert sections == {
        "bundles",
        "guards",
        "settings",
        "policy",
        "alerts",
        "database",
        "disk",
        "exports",
        "Centra",
        contract.SECTION,
        "Order API",
    }
    told = "\n".join(finding.told for finding in findings)
    assert "disposition sellable: warehouse 1 Main" in told
    assert "its clock and this machine's differ by" in told
    assert "quotas an hour: 5,000 request count, 1,800 mutation count" in told
    assert "as assumed: 1" in told
    assert "cannot be determined: " in told


def test_looking_changes_nothing_in_centra_nor_here(environment: dict[str, str], centra: RunningSandbox) -> None:
    home = Path(environment["HR_CENTRA_HOME"])
    ledger, files = centra.store.records(), sorted(home.rglob("*"))
    list(examine(environment))
    assert centra.store.records() == ledger
    assert [file for file in sorted(home.rglob("*")) if file.name != "sync.lock"] == files


def test_missing_variables_are_named_and_a_matter_of_configuration(environment: dict[str, str]) -> None:
    del environment["CENTRA_TOKEN"], environment["HAPPY_RETURNS_EXPORTS"]
    finding = only(environment)
    assert finding.told == "not set: CENTRA_TOKEN, HAPPY_RETURNS_EXPORTS"
    assert exit_code([finding]) == 2


def test_a_misspelt_variable_is_noticed(environment: dict[str, str]) -> None:
    environment["HR_CENTRA_MOD"] = "live"
    assert "HR_CENTRA_MOD is set, but hr-centra has no such setting" in only(environment).told


def test_a_token_that_would_travel_in_the_clear_is_an_error(environment: dict[str, str]) -> None:
    environment["CENTRA_GRAPHQL_URL"] = "http://shop.centra.example/graphql"
    told = [finding.told for finding in bad(environment)]
    assert "CENTRA_GRAPHQL_URL is not encrypted: the token would travel in the clear" in told


def test_each_mistake_of_the_policy_is_a_line_of_its_own(environment: dict[str, str]) -> None:
    policy = Path(environment["HR_CENTRA_HOME"]) / "policy.toml"
    policy.write_text(
        'cutover = 2026-01-01\nsettling_minutes = -1\n[dispositions]\n[pays_through]\nrefund = "centra"\n'
    )
    findings = bad(environment)
    assert len(findings) == 3  # cutover, settling_minutes, and who pays for gift cards
    assert {finding.section for finding in findings} == {"policy"}
    assert exit_code(findings) == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("warehouse_id = 77", "disposition sellable: Centra has no warehouse 77"),
        ("warehouse_id = 4", "disposition sellable: warehouse 4 Closed is inactive"),
    ],
)
def test_the_disposition_map_is_compared_with_centra_s_warehouses(
    environment: dict[str, str], centra: RunningSandbox, change: str, told: str
) -> None:
    if not centra.store.rows("select 1 from warehouses where name = 'Closed'"):
        centra.store.add_warehouse("Closed")
        with centra.store.write():
            centra.store.rows("update warehouses set status = 'INACTIVE' where name = 'Closed'")
    policy = Path(environment["HR_CENTRA_HOME"]) / "policy.toml"
    text = policy.read_text(encoding="utf-8").replace("warehouse_id = 1 ", change + " ", 1)
    policy.write_text(text, encoding="utf-8")
    finding = only(environment)
    assert (finding.told, finding.is_configuration) == (told, True)


def token(centra: RunningSandbox, *more: str, less: str = "") -> str:
    return centra.sandbox.api.new_token(Grant(frozenset({*LEAST, *more} - {less})))


def test_a_missing_right_to_read_names_the_operations_that_need_it(
    environment: dict[str, str], centra: RunningSandbox
) -> None:
    environment["CENTRA_TOKEN"] = token(centra, less="StockChange:read")
    finding = next(one for one in bad(environment) if "lacks" in one.told)
    assert finding.told.startswith("the token lacks StockChange:read, for ")
    assert "PullStockChanges" in finding.told
    assert finding.level == "error"


def test_a_missing_right_to_write_is_a_warning_in_dry_run_and_an_error_in_live_mode(
    environment: dict[str, str], centra: RunningSandbox
) -> None:
    environment["CENTRA_TOKEN"] = token(centra, less="Return:write")
    assert only(environment).level == "warning"
    environment["HR_CENTRA_MODE"] = "live"
    finding = only(environment)
    assert finding.level == "error"
    assert "CreateReturn" in finding.told


def test_rights_that_nobody_needs_are_reported(environment: dict[str, str], centra: RunningSandbox) -> None:
    environment["CENTRA_TOKEN"] = token(centra, "Event:read", "Customer:write")
    assert only(environment).told == "the token has more permissions than needed: Customer:write, Event:read"


def test_an_expired_token_says_what_to_do(environment: dict[str, str]) -> None:
    environment["CENTRA_TOKEN"] = "0123456789"
    (finding,) = bad(environment)
    assert "The token or key is wrong or has expired (tokens live 30 days): make a new one in Centra." in finding.told


def test_quotas_that_others_use_up_are_reported(environment: dict[str, str], centra: RunningSandbox) -> None:
    centra.sandbox.quotas.speed = 0.001
    centra.sandbox.quotas.use("MUTATION_COUNT", "ONE_HOUR", 1700)
    try:
        assert "quota MUTATION_COUNT per ONE_HOUR" in only(environment).told
    finally:
        centra.sandbox.quotas.speed = 1000.0
        centra.sandbox.quotas.use("MUTATION_COUNT", "ONE_HOUR", -1700)


def test_clocks_that_differ_are_reported(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = SimpleNamespace(now=lambda _: datetime.now(UTC) + timedelta(minutes=7))
    monkeypatch.setattr("hr_centra_pipeline.oversight.doctor.datetime", ahead)
    assert "its clock and this machine's differ by 4" in only(environment).told


def test_a_centra_that_does_not_answer_is_an_error_of_the_scenario_not_of_the_configuration(
    environment: dict[str, str], centra: RunningSandbox
) -> None:
    centra.sandbox.faults.arm({"kind": "error_before", "target": "Hello", "times": 4, "status": 503})
    findings = bad(environment)
    assert "Centra Hello: it answered 503" in findings[0].told
    assert exit_code(findings) == 1


def test_an_order_number_of_the_reserved_range_that_is_taken_is_reported(
    environment: dict[str, str], centra: RunningSandbox
) -> None:
    from decimal import Decimal

    from hr_centra_pipeline.sandbox.centra.store import NewLine, NewOrder

    store = centra.store
    store.add_customer(email="a@b.example", first_name="A", last_name="B", country="DE")
    store.add_product_size(
        sku="S",
        ean=None,
        upc=None,
        product_number="P",
        product_name="Shirt",
        variant_name="Blue",
        size="M",
        stock={1: 9},
    )
    at = datetime(2026, 9, 1, tzinfo=UTC)
    line = NewLine("S", 1, Decimal(1), Decimal(1), Decimal(25))
    number = store.add_order(
        NewOrder(customer_id=1, currency="EUR", country="DE", created_at=at, number=910_000, lines=[line])
    ).number
    policy = Path(environment["HR_CENTRA_HOME"]) / "policy.toml"
    policy.write_text(policy.read_text().replace("first_number = 900000", f"first_number = {number}"))
    assert "order 910000 of the range reserved for replacements belongs to another order" in only(environment).told


# ---------------------------------------------------------------- the contract with Centra


@pytest.fixture
def odd(tmp_path: Path, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The same shop, on a Centra whose schema differs in five places."""
    settings = SandboxSettings(schema_path=write_introspection(tmp_path / "odd.json", *FIVE))
    with running_sandbox(tmp_path / "odd", settings) as sandbox:
        for name in ("Main", "Outlet", "Quarantine"):
            sandbox.store.add_warehouse(name)
        token = sandbox.sandbox.api.new_token(Grant(frozenset(LEAST)))
        yield {**environment, **sandbox.environment(), "HAPPY_RETURNS_EXPORTS": environment["HAPPY_RETURNS_EXPORTS"],
               "CENTRA_TOKEN": token}  # fmt: skip


FIVE_PLACES = {
    "word OrderSort.orderDate_DESC", "argument Mutation.cancelDirectToConsumerOrder(id:)",
    "required Mutation.cancelDirectToConsumerOrder(order:)", "root field Mutation.issueCredit",
    "required StockChangeInput.reason", "word PaymentHistoryEntryType.REFUND_FAILED",
    "word PaymentHistoryEntryType.REFUND_REJECTED",
}  # fmt: skip


def places(findings: list[Finding]) -> set[str]:
    return {one.told.partition(": ")[0] for one in findings if one.section == contract.SECTION}


def test_a_schema_that_differs_in_five_places_is_reported_place_by_place_with_the_remedy(odd: dict[str, str]) -> None:
    findings = bad(odd)
    assert places(findings) == FIVE_PLACES
    assert all(one.fix for one in findings)
    assert {one.section for one in findings} == {contract.SECTION}
    # Nothing is sent in dry run; in live mode what stops something is an error.
    assert {one.level for one in findings} == {"warning"}
    odd["HR_CENTRA_MODE"] = "live"
    assert {one.told.split()[1].rstrip(":"): one.level for one in bad(odd)}["StockChangeInput.reason"] == "error"
    assert exit_code(bad(odd)) == 1


def test_a_saved_schema_is_examined_without_a_network(environment: dict[str, str], tmp_path: Path) -> None:
    file = write_introspection(tmp_path / "saved.json", *FIVE)
    findings = list(examine(environment, is_offline=True, saved_schema=file))
    assert places(findings) > FIVE_PLACES
    not_asked, token = [one.told for one in findings if one.section == "Centra"]
    assert not_asked == "not called (--offline)"
    assert token.startswith("minimal token permissions for this policy: ")


@pytest.mark.parametrize("text", ["", "[]", '{"data": {}}', "not JSON", "type Query { a: Int }"])
def test_a_file_that_is_no_saved_schema_is_a_matter_of_configuration(
    environment: dict[str, str], tmp_path: Path, text: str
) -> None:
    file = tmp_path / "saved.json"
    file.write_text(text, encoding="utf-8")
    (finding,) = [one for one in examine(environment, is_offline=True, saved_schema=file) if one.level == "error"]
    assert finding.told.startswith(f"--schema {file}: ")
    assert finding.is_configuration


def test_a_centra_that_hides_its_schema_is_a_warning_and_its_operations_are_asked_one_by_one(
    environment: dict[str, str], centra: RunningSandbox
) -> None:
    centra.sandbox.faults.arm({"kind": "error_before", "target": "IntrospectionQuery", "times": 2, "status": 400})
    finding = only(environment)
    assert (finding.level, finding.section) == ("warning", contract.SECTION)
    assert finding.told.startswith("the schema cannot be read: ")


def test_the_command_writes_the_schema_and_prints_the_differences_as_a_table(
    odd: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in odd.items():
        monkeypatch.setenv(name, value)
    written = tmp_path / "written.json"
    monkeypatch.setattr("sys.argv", ["hr-centra", "doctor", "--write-schema", str(written)])
    with pytest.raises(SystemExit):
        main()
    printed = capsys.readouterr().out
    assert "what to do" in printed
    assert "StockChangeInput.reason" in printed
    assert "types of this Centra's schema written to" in printed
    assert "as assumed: 1" in printed
    found = compared(schema_of(json.loads(written.read_text(encoding="utf-8"))), {}, {})
    assert "StockChangeInput.reason" in {row.coordinate for row in found if row.verdict == "differs"}
    # What it wrote is what another sandbox serves.
    with running_sandbox(tmp_path / "again", SandboxSettings(schema_path=written)) as sandbox:
        again = {**odd, **sandbox.environment(), "HAPPY_RETURNS_EXPORTS": odd["HAPPY_RETURNS_EXPORTS"]}
        assert places(bad(again)) >= FIVE_PLACES


def test_the_findings_as_json_hold_the_rows_of_the_contract(
    odd: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in odd.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["hr-centra", "doctor", "--json"])
    with pytest.raises(SystemExit):
        main()
    findings = json.loads(capsys.readouterr().out)
    (row,) = [one["row"] for one in findings if one["row"] and one["row"]["coordinate"] == "StockChangeInput.reason"]
    assert (row["verdict"], row["effect_types"]) == ("differs", ["inventory_adjustment"])


# ---------------------------------------------------------------- files, database, disk


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("items-20260930T1000Z.csv", "Retour,Artikel\n1,2\n", "no profile knows the header (Retour, Artikel)"),
        ("items-20260930T1000Z.csv", "", "is empty"),
        (
            "returns-20260930T1000Z.csv",
            "return_id,order_number,refund_status,updated_at,carbon\nR1,1001,started,2026-09-30T08:00:00Z,1\n",
            "new columns: carbon",
        ),
    ],
)  # fmt: skip
def test_the_newest_exports_are_held_against_the_profiles(
    environment: dict[str, str], name: str, text: str, told: str
) -> None:
    Path(environment["HAPPY_RETURNS_EXPORTS"], name).write_text(text, encoding="utf-8")
    assert told in only(environment).told


def test_exports_that_ceased_are_reported(environment: dict[str, str]) -> None:
    folder = Path(environment["HAPPY_RETURNS_EXPORTS"])
    (folder / "returns-20260930T0900Z.csv").rename(folder / "returns-20260910T0900Z.csv")
    assert "hours ago: ask Happy Returns for the exports" in only(environment).fix


def test_a_place_of_the_exports_that_is_gone_is_an_error(environment: dict[str, str]) -> None:
    environment["HAPPY_RETURNS_EXPORTS"] += "/nowhere"
    (finding,) = bad(environment)
    assert finding.told.endswith("is not a folder.")


def test_a_broken_profile_is_named(environment: dict[str, str]) -> None:
    profiles = Path(environment["HR_CENTRA_HOME"]) / "profiles"
    profiles.mkdir()
    (profiles / "ours.toml").write_text('name = "ours"\n', encoding="utf-8")
    (finding,) = bad(environment)
    assert finding.section == "profiles"
    assert "ours.toml: columns" in finding.told


def test_the_database_s_version_is_reported_and_a_newer_one_is_an_error(environment: dict[str, str]) -> None:
    path = Path(environment["HR_CENTRA_HOME"]) / "warehouse.duckdb"
    migrate.prepare(Warehouse(path))
    path.chmod(0o600)
    assert "schema version" in "".join(one.told for one in examine(environment) if one.section == "database")
    path.chmod(0o644)
    assert "is readable by every user" in only(environment).told
    path.chmod(0o600)
    with duckdb.connect(path) as connection:
        connection.execute("insert into meta.schema_versions values (9999, now())")
    assert (only(environment).level, exit_code(bad(environment))) == ("error", 2)
    path.write_bytes(b"this is no database" * 100)
    assert "cannot be opened" in only(environment).told


def test_a_full_disk_is_an_error_and_a_filling_one_a_warning(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for free, level in ((100 << 20, "error"), (500 << 20, "warning")):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        assert only(environment).level == level


def test_the_kill_switch_is_reported(environment: dict[str, str]) -> None:
    Path(environment["HR_CENTRA_HOME"], "STOP").touch()
    assert "the kill switch" in only(environment).told


def test_teams_that_get_no_alerts_are_named(environment: dict[str, str]) -> None:
    environment["HR_CENTRA_ALERT_WEBHOOK_DATA"] = environment.pop("HR_CENTRA_ALERT_WEBHOOK")
    assert only(environment).told == "no alerts reach customer service, warehouse, finance"


# ---------------------------------------------------------------- Dagster, and the command


def test_dagster_s_instance_daemon_and_schedule_are_looked_at(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment()
    (home,) = dagster_doctor.findings(settings)
    assert "has no dagster.yaml yet" in home.told
    prepare_dagster_home(settings)
    with dg.DagsterInstance.get():  # as the first sync does
        pass
    found = {finding.told: finding for finding in dagster_doctor.findings(settings)}
    assert found["no daemon is running: no schedule, no alerts"].level == "warning"
    assert found["the schedule hourly_sync is off"].fix
    assert not [told for told in found if "sync_on_events" in told]
    monkeypatch.setenv("HAPPY_RETURNS_WEBHOOK_SECRET", "of-the-webhook")
    with_events = {finding.told: finding for finding in dagster_doctor.findings(Settings.from_environment())}
    assert with_events["the sensor sync_on_events needs the daemon: nothing syncs when something happens"].fix
    (settings.home / "dagster" / "dagster.yaml").write_text("storage: {sqlite: [}", encoding="utf-8")
    (finding,) = dagster_doctor.findings(settings)
    assert (finding.level, finding.is_configuration) == ("error", True)


def test_the_command_prints_each_finding_with_its_fix_and_answers_by_exit_code(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for arguments, expected in ((["--settings", "--test-alert"], 0), (["--offline", "--json"], 2)):
        monkeypatch.setattr("sys.argv", ["hr-centra", "doctor", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == expected
        printed = capsys.readouterr().out
        if expected == 0:
            assert "✓ disposition sellable: warehouse 1 Main" in printed
            assert "test alert delivered to webhook 127.0.0.1" in printed
            assert environment["CENTRA_TOKEN"] not in printed
            monkeypatch.delenv("CENTRA_TOKEN")
    assert '"told": "not set: CENTRA_TOKEN"' in printed


def test_every_setting_is_listed_with_its_source_and_no_secret(environment: dict[str, str]) -> None:
    policy = load_policy(Path(environment["HR_CENTRA_HOME"]) / "policy.toml").policy
    listed = settings_table(environment, policy, {"cutover": 1, "exchange_orders": {"first_number": 900000}})
    by_name = {setting.name: (setting.value, setting.source) for setting in listed}
    assert by_name["HR_CENTRA_MODE"] == ("dry_run", "environment")
    assert by_name["CENTRA_TOKEN"] == ("set, not shown", "environment")
    assert by_name["HR_CENTRA_SYNC_CRON"] == ("7 * * * *", "default")
    assert by_name["exchange_orders.first_number"] == ("900000", "policy")
    assert by_name["alerts.repeat_hours"] == ("24", "default")
    secrets = [environment[name] for name in ("CENTRA_TOKEN", "CENTRA_ORDER_API_KEY", "HR_CENTRA_ALERT_WEBHOOK")]
    assert not [setting for setting in listed if any(secret in setting.value for secret in secrets)]
