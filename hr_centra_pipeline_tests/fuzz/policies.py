"""Policy files, header profiles of both kinds of files, and the environment: accepted and usable, or refused by name."""

from __future__ import annotations

import random
import re
import tempfile
from collections import Counter
from importlib import resources
from pathlib import Path

from pydantic import BaseModel

from hr_centra_pipeline.core.errors import ConfigurationError, Unreachable
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight.doctor import settings_table
from hr_centra_pipeline.push.guards import refuse_unguarded
from hr_centra_pipeline.sources.centra import centra_calls, centra_contract
from hr_centra_pipeline.sources.happy_returns.export_profiles import Profile
from hr_centra_pipeline.sources.intake.places import Place
from hr_centra_pipeline.sources.intake.profile_files import parsed
from hr_centra_pipeline.sources.payouts.settlement_profiles import PayoutProfile
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.fuzz import ESCAPE, odd

SHARE = 2.0
_EXAMPLE = Path(__file__).parents[2] / "data" / "policy.example.toml"
_SOURCES = "hr_centra_pipeline.sources"
_WRITTEN = 0.25  # of the policies that are accepted: into the tables that SQL reads them from
_TOML = (
    "-1", "0", "1", "1e400", "nan", "-inf", "99999999999999999999999", '"x"', '""', "[]", "{}", "[[]]", "true", "2026-01-01",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:00", '"[/x]"', '"\\u0000"', '"\\ud800"', "'live'", '"%s"', '["x", 5]',
    "{x = 1}", '"*"', '"((((a+)+)+)+$"', '"Europe/Berlin"', '"../x"', "0x10", "1_000", "",
)  # fmt: skip
_VARIABLES = (
    "HAPPY_RETURNS_EXPORTS", "HR_CENTRA_PAYOUTS",
    "CENTRA_GRAPHQL_URL", "CENTRA_TOKEN", "CENTRA_ORDER_API_URL", "CENTRA_ORDER_API_KEY", "HR_CENTRA_ALERT_WEBHOOK",
    "HR_CENTRA_SMTP_URL", "HR_CENTRA_HEARTBEAT_URL", "HR_CENTRA_PAGES_URL", "HR_CENTRA_UI_URL",
)  # fmt: skip


def run(count: int, seed: int) -> Counter[str]:
    """Outcomes of so many files and environments."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        fuzzing = _Fuzzing(rng, Path(folder))
        for _ in range(count):
            try:
                outcomes[
                    rng.choice((fuzzing.policy, fuzzing.profile, fuzzing.payout_profile, fuzzing.environment))()
                ] += 1
            except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked for
                outcomes[f"{ESCAPE}: {type(error).__name__}: {str(error)[:150]!r} (seed {seed})"] += 1
    return outcomes


class _Fuzzing:
    def __init__(self, rng: random.Random, folder: Path) -> None:
        self.rng, self.file = rng, folder / "policy.toml"
        self.example = _EXAMPLE.read_text(encoding="utf-8")
        self.profiles = _shipped("happy_returns")
        self.payout_profiles = _shipped("payouts")
        self.warehouse = Warehouse(folder / "warehouse.duckdb")
        migrate.prepare(self.warehouse)

    def policy(self) -> str:
        """A policy file; one that is accepted has to be usable wherever it is read."""
        rng = self.rng
        text = _changed(self.example, rng).encode("utf-8", "surrogatepass")
        self.file.write_bytes(odd.bytes_changed(text, rng) if rng.random() < 0.1 else text)
        try:
            loaded = load_policy(self.file)
        except ConfigurationError as error:
            _must(str(error).startswith(str(self.file)), "a refusal names the file")
            return "policy: refused by name"
        centra_calls.needed(loaded.policy)
        centra_calls.widest(loaded.policy)
        centra_contract.words_read(loaded.policy.centra.words)
        if rng.random() < _WRITTEN:
            with self.warehouse.transaction() as connection:
                write_policy(connection, loaded.policy, "live")
        settings = Settings.from_environment({"HR_CENTRA_MODE": "live", "CENTRA_GRAPHQL_URL": "https://x.example/"})
        try:
            refuse_unguarded(settings, loaded.policy)
        except ConfigurationError:
            return "policy: accepted, and not for real money"
        return "policy: accepted"

    def profile(self) -> str:
        """A profile of Happy Returns' exports."""
        return self._profile("profile", self.profiles, Profile)

    def payout_profile(self) -> str:
        """A profile of settlement files."""
        return self._profile("layout", self.payout_profiles, PayoutProfile)

    def _profile(self, name: str, shipped: list[str], model: type[BaseModel]) -> str:
        try:
            parsed(model, _changed(self.rng.choice(shipped), self.rng), "own.toml")
        except ConfigurationError as error:
            _must(str(error).startswith("own.toml"), "a refusal names the file")
            return f"{name}: refused by name"
        return f"{name}: accepted"

    def environment(self) -> str:
        """Odd variables: refused by name, or settings that show no secret."""
        rng = self.rng
        secret = f"p/w@{rng.randrange(10**6)}:#?%{rng.choice('/@:#?% ')}"
        given = {
            name: rng.choice(
                (
                    f"sftp://me:{secret}@127.0.0.1:9/path",
                    f"https://host/x?token={secret}",
                    "x" * 5000,
                    "%zz",
                    "\x1b[31m",
                    "",
                )
            )
            for name in _VARIABLES
            if rng.random() < 0.5
        }
        if rng.random() < 0.8:
            given["HR_CENTRA_MODE"] = rng.choice(("live", "dry_run", "Live", ""))
        try:
            settings = Settings.from_environment(given)
            settings.required("exports", "centra_graphql_url", "centra_token")
        except ConfigurationError as error:
            _must(secret not in str(error), "a refusal shows no secret")
            return "environment: refused by name"
        _must(secret not in repr(settings), "settings show no secret")
        for setting in settings_table(given, None, {}):
            _must(secret not in setting.value, f"{setting.name} is shown without its secret")
        try:
            Place(settings.exports, "HAPPY_RETURNS_EXPORTS").close()
        except (ConfigurationError, Unreachable) as error:
            parts = {secret, *re.split("[/@:#?%]", secret)}
            _must(
                not any(part in str(error) for part in parts if len(part) > 2),
                "an address that is refused shows no secret",
            )
            return "environment: accepted, and the address refused by name"
        return "environment: accepted"


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def _shipped(source: str) -> list[str]:
    folder = resources.files(f"{_SOURCES}.{source}.header_profiles")
    return [entry.read_text(encoding="utf-8") for entry in folder.iterdir() if entry.name.endswith(".toml")]


def _changed(text: str, rng: random.Random) -> str:
    """One to three lines changed: their value, their name, their place, or all of them."""
    lines = text.split("\n")
    told = [number for number, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.choice(told)
        name, sign, _value = lines[at].partition("=")
        match rng.randrange(8):
            case 0:
                lines[at] = ""
            case 1:
                lines[at] = f"{lines[at]}\n{lines[rng.choice(told)]}"
            case 2:
                lines[at] = f"{name}_{sign}{_value}"
            case 3:
                lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
            case 4:
                lines[at] = rng.choice(("\ufeff", "\r", "\0", "[x]", "[[policy]]", "a.b.c = 1", "\u200b")) + lines[at]
            case _:
                lines[at] = f"{name}= {rng.choice(_TOML)}"
    return "\n".join(lines)
