"""``doctor``: is everything in place that a sync needs, and nothing that it should not have? Changes nothing anywhere."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
from pydantic import BaseModel, ValidationError

from hr_centra_pipeline.core import addresses, clock
from hr_centra_pipeline.core.environment_file import VARIABLES
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.kinds import OWNERS
from hr_centra_pipeline.core.policy import LoadedPolicy, Policy, load_policy
from hr_centra_pipeline.core.retired_variables import RETIRED
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.inbox.signatures import EVENT_PROFILES
from hr_centra_pipeline.oversight import (
    contract,
    decision_findings,
    delivery,
    inbox_findings,
    partner_findings,
    published,
    queue_findings,
)
from hr_centra_pipeline.oversight.findings import Finding, Level, guarded, mistakes
from hr_centra_pipeline.push.guards import guards_to_paste, missing_guards, refuse_unguarded
from hr_centra_pipeline.sources.centra import centra_calls, contract_record, judged, probes
from hr_centra_pipeline.sources.centra.centra_objects import Warehouse as CentraWarehouse
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.order_api import OrderApiClient
from hr_centra_pipeline.sources.happy_returns.event_reading import load_event_profile
from hr_centra_pipeline.sources.happy_returns.export_intake import VARIABLE, recognised
from hr_centra_pipeline.sources.happy_returns.export_kinds import KIND_NAMES
from hr_centra_pipeline.sources.happy_returns.export_profiles import Profile, load_profiles
from hr_centra_pipeline.sources.intake.arrivals import Refusal, arrivals
from hr_centra_pipeline.sources.intake.places import Place
from hr_centra_pipeline.warehouse import backups, lock, versions

_SECRETS = {variable.name for variable in VARIABLES if variable.is_secret}
_VARIABLES = (
    *(variable.name for variable in VARIABLES if not variable.name.startswith("DAGSTER_PG_")),
    "HR_CENTRA_NOW",
)
_REQUIRED = {
    "HAPPY_RETURNS_EXPORTS",
    "CENTRA_GRAPHQL_URL",
    "CENTRA_TOKEN",
    "CENTRA_ORDER_API_URL",
    "CENTRA_ORDER_API_KEY",
}
_CLOCKS_DIFFER = timedelta(seconds=60)
_FILES_LOOKED_AT = 12
_GIGABYTE = 1 << 30


@dataclass(frozen=True)
class Setting:
    """One setting with where its value comes from. Secrets show only that they are set."""

    name: str
    value: str
    source: str


def settings_table(environment: Mapping[str, str], policy: Policy | None, given: Mapping[str, Any]) -> list[Setting]:
    """Every variable and every policy setting, each with its value and source."""
    settings = Settings.from_environment(environment)
    defaults = {
        "HR_CENTRA_HOME": str(settings.home), "HR_CENTRA_DATABASE": str(settings.database),
        "HR_CENTRA_POLICY": str(settings.policy_path), "HR_CENTRA_MODE": settings.mode, "HR_CENTRA_NOW": "the real clock",
        "HR_CENTRA_SYNC_CRON": "7 * * * *", "DAGSTER_HOME": str(settings.home / "dagster"),
        "HR_CENTRA_INBOX": settings.inbox, "HAPPY_RETURNS_API_URL": settings.partner_api_url,
    }  # fmt: skip
    found = []
    for name in _VARIABLES:
        value = environment.get(name, "")
        shown = "set, not shown" if value and (name in _SECRETS or "WEBHOOK" in name) else addresses.shown(value)
        found.append(Setting(name, shown or defaults.get(name, "–"), "environment" if value else "default"))
    if policy is not None:
        found += _policy_settings("", policy, given)
    return found


def _policy_settings(prefix: str, section: BaseModel, given: Mapping[str, Any]) -> Iterator[Setting]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        place = f"{prefix}{name}"
        if isinstance(value, BaseModel):
            inner = given.get(name, {})
            yield from _policy_settings(f"{place}.", value, inner if isinstance(inner, Mapping) else {})
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, dict | list) else str(value)
            yield Setting(place, shown or "–", "policy" if name in given else "default")


def examine(
    environment: Mapping[str, str], *, is_offline: bool = False, saved_schema: Path | None = None
) -> Iterator[Finding]:
    """Every look, one after another. ``is_offline``: without asking Centra or the mail server anything.

    ``saved_schema``: a file whose schema is examined in place of Centra's own.
    """
    try:
        settings = Settings.from_environment(environment)
    except ConfigurationError as error:
        yield from mistakes("settings", error, "Correct it in the file of variables.")
        return
    loaded: LoadedPolicy | None = None
    yield from guarded("settings", lambda: _settings(settings, environment))
    try:
        loaded = load_policy(settings.policy_path)
    except ConfigurationError as error:
        yield from mistakes(
            "policy", error, f"Edit {settings.policy_path}, or write one: hr-centra init --home {settings.home}"
        )
    profiles: list[Profile] = []
    try:
        profiles = load_profiles(settings.home / "profiles")
        load_event_profile(settings.home / EVENT_PROFILES)
    except ConfigurationError as error:
        yield from mistakes("profiles", error, "Edit the profile; `hr-centra profile FILE` drafts one.")
    if loaded is not None:
        policy = loaded.policy
        yield Finding("policy", "ok", f"{loaded.path} is valid; cut-over {policy.cutover:%Y-%m-%d %H:%M %Z}")
        for warning in policy.warnings():
            told, _, fix = warning.partition(". ")
            yield Finding("policy", "warning", told, fix)
        yield from _grades(profiles, policy)
        yield _bundles(policy)
        yield from guarded("alerts", lambda: _alerts(settings, policy))
    try:
        now = clock.now(environment)
    except ConfigurationError as error:
        yield from mistakes("settings", error, "Unset HR_CENTRA_NOW for a real shop.")
        now = datetime.now(UTC)
    yield from guarded("database", lambda: _database(settings, now))
    yield from guarded("disk", lambda: _disk(settings))
    wait_hours = loaded.policy.components.amount_wait_hours if loaded else 0
    debounce = loaded.policy.events.debounce_seconds if loaded else 60
    yield from guarded(inbox_findings.SECTION, lambda: inbox_findings.findings(settings, now, wait_hours, debounce))
    yield from guarded(partner_findings.SECTION, lambda: partner_findings.findings(settings, now))
    yield from guarded(decision_findings.SECTION, lambda: decision_findings.findings(settings, now))
    if settings.exports and profiles:
        hours = loaded.policy.coverage.exports_every_hours if loaded else 0
        yield from guarded("exports", lambda: _exports(settings, profiles, hours, now))
    if loaded is not None:
        yield from guarded("guards", lambda: _guards(settings, loaded.policy))
    if saved_schema is not None and loaded is not None:
        policy, file = loaded.policy, saved_schema
        is_live = settings.mode == "live"
        yield from guarded(contract.SECTION, lambda: contract.findings(contract.of_file(file, policy), is_live=is_live))
    if is_offline:
        yield Finding("Centra", "note", "not called (--offline)")
        if loaded is not None:
            yield _least_token(loaded.policy)
        return
    if settings.centra_graphql_url and settings.centra_token.get_secret_value():
        yield from guarded("Centra", lambda: _centra(settings, loaded.policy if loaded else None, saved_schema, now))
    yield from guarded(partner_findings.SECTION, lambda: partner_findings.key(settings))
    if (api := _order_api_client(settings)) is not None:
        yield from guarded("Order API", lambda: _order_api(api, loaded.policy if loaded else None))


# ---------------------------------------------------------------- here


def _grades(profiles: list[Profile], policy: Policy) -> Iterator[Finding]:
    """Grades that a profile of this shop writes and the policy does not map: their goods would never move."""
    shipped = {one.name: one for one in load_profiles(Path(os.devnull))}
    for profile in profiles:
        if profile == shipped.get(profile.name):
            continue  # it speaks for shops in general
        for grade in dict.fromkeys(profile.words.get("disposition", {}).values()):
            if grade not in policy.dispositions:
                theirs = ", ".join(word for word, ours in profile.words["disposition"].items() if ours == grade)
                yield Finding(
                    "policy", "warning",
                    f"profile {profile.name} reads {theirs} as the disposition {grade}, which the policy does not map",
                    f"Add [dispositions.{grade}] to the policy, or correct [words.disposition] in the profile.",
                )  # fmt: skip


def _bundles(policy: Policy) -> Finding:
    """Where the policy relies on something about bundles that no document of Centra's says."""
    told = "it is not documented whether this Centra accepts a Return that names only a part of a bundle"
    if policy.bundles.return_names_parts:
        fix = "Tried in a test environment? Otherwise set return_names_parts = false: what Centra refuses is reported, not paid."
        return Finding("bundles", "warning", f"{told}; [bundles] return_names_parts says it does", fix)
    fix = "Try it in a test environment, then see [bundles] in the policy."
    return Finding("bundles", "note", f"{told}: a bundle is credited once all of its parts are back", fix)


def _guards(settings: Settings, policy: Policy) -> Iterator[Finding]:
    """What live mode asks for, before a sync refuses it: in dry run it is only due later."""
    missing = missing_guards(policy)
    hosts = [
        urlsplit(url).hostname or "" for url in (settings.centra_graphql_url, settings.centra_order_api_url) if url
    ]
    is_real = any(not addresses.is_loopback(host) for host in hosts)
    if missing and (is_real or settings.mode == "dry_run"):
        level: Level = "error" if settings.mode == "live" else "note"
        yield Finding(
            "guards", level, f"live mode needs in the policy: {', '.join(missing)}",
            f"Put these lines into {settings.policy_path}, with the figures of your shop:\n{guards_to_paste(policy)}",
            level == "error",
        )  # fmt: skip
    elif settings.mode == "live":
        refuse_unguarded(settings, policy)  # the addresses
    if not missing:
        yield Finding("guards", "ok", "the policy states the guards that live mode requires")


def _settings(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    required = _REQUIRED - ({"HAPPY_RETURNS_EXPORTS"} if settings.has_events else set())
    missing = sorted(name for name in required if not environment.get(name))
    if missing:
        yield Finding(
            "settings",
            "error",
            f"not set: {', '.join(missing)}",
            "Set them in the service's environment; see the README's table.",
            True,
        )
    known = {name for name in environment if name.startswith(("HR_CENTRA_", "CENTRA_", "HAPPY_RETURNS_"))}
    for name in sorted(known & set(RETIRED)):
        told, _, fix = RETIRED[name].partition(". ")
        yield Finding("settings", "warning", f"{name} is set: {told}", fix)
    for name in sorted(known - set(_VARIABLES) - set(RETIRED)):
        yield Finding(
            "settings",
            "warning",
            f"{name} is set, but hr-centra has no such setting",
            "Is it misspelt? See the README's table.",
        )
    for name in ("CENTRA_GRAPHQL_URL", "CENTRA_ORDER_API_URL"):
        value = environment.get(name, "")
        if value.startswith("http://") and not any(host in value for host in ("127.0.0.1", "localhost", "[::1]")):
            yield Finding(
                "settings",
                "error",
                f"{name} is not encrypted: the token would travel in the clear",
                "Write https://.",
                True,
            )
    if environment.get(clock.VARIABLE):
        yield Finding(
            "settings",
            "note",
            f"HR_CENTRA_NOW={environment[clock.VARIABLE]}: decisions are made as of a time other than now",
            "Unset it for a real shop.",
        )
    if settings.stop_path.exists():
        yield Finding(
            "settings",
            "warning",
            f"the kill switch {settings.stop_path} is on: nothing is sent",
            "Remove the file to send again.",
        )
    yield Finding("settings", "ok", f"mode {settings.mode}" + ("" if settings.mode == "live" else ": nothing is sent"))


def _alerts(settings: Settings, policy: Policy) -> Iterator[Finding]:
    silent = [team for team in OWNERS if not delivery.channels(settings, policy, team)]
    told = [team for team in OWNERS if team not in silent]
    for team in told:
        ways = ", ".join(way.name for way in delivery.channels(settings, policy, team))
        yield Finding("alerts", "ok", f"{team.replace('_', ' ')}: {ways}")
    if silent:
        yield Finding(
            "alerts", "warning", f"no alerts reach {', '.join(team.replace('_', ' ') for team in silent)}",
            "Set HR_CENTRA_ALERT_WEBHOOK, or HR_CENTRA_SMTP_URL and [alerts.email] in the policy.",
        )  # fmt: skip
    if policy.alerts.email and not settings.smtp_url.get_secret_value():
        yield Finding(
            "alerts",
            "warning",
            "[alerts.email] has addresses, but there is no mail server",
            "Set HR_CENTRA_SMTP_URL.",
        )
    if not settings.heartbeat_url.get_secret_value():
        yield Finding(
            "alerts", "note", "no heartbeat: if this machine fails, no one is alerted",
            "Point HR_CENTRA_HEARTBEAT_URL at an external dead man's switch.",
        )  # fmt: skip


def _database(settings: Settings, now: datetime) -> Iterator[Finding]:
    if not settings.database.exists():
        yield Finding("database", "note", f"{settings.database} does not exist yet", "The first sync creates it.")
        return
    try:
        with (
            lock.held_if_there(settings.lock_path, "hr-centra doctor", wait_seconds=3),
            duckdb.connect(settings.database, read_only=True) as connection,
        ):
            done = versions.applied(connection)
    except RunFailed:
        yield Finding("database", "note", f"in use by {lock.holder(settings.lock_path)}: not examined")
    except duckdb.Error as error:
        yield Finding(
            "database",
            "error",
            f"{settings.database} cannot be opened: {str(error).splitlines()[0]}",
            "Restore a backup: docs/operations.md.",
        )
    else:
        yield from _version(settings, done)
    last = published.as_of(settings)
    if last is None:
        yield Finding("database", "note", "nothing was published yet")
    else:
        age = now - last
        level = "warning" if age > timedelta(hours=3) else "ok"
        yield Finding(
            "database", "warning" if level == "warning" else "ok",
            f"published as of {last:%Y-%m-%d %H:%M} UTC, {age.total_seconds() / 3600:.1f} hours ago",
            "Check the runs in Dagster: no sync has completed since then." if level == "warning" else "",
        )  # fmt: skip
    mode = settings.database.stat().st_mode
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        yield Finding(
            "database", "warning", f"{settings.database} is readable by every user of this machine, and holds e-mail addresses",
            f"chmod o-rwx {settings.home}",
        )  # fmt: skip


def _version(settings: Settings, done: set[int]) -> Iterator[Finding]:
    known = {number for number, _ in versions.migrations()}
    if newer := done - known:
        yield Finding(
            "database", "error", f"{settings.database} was made by a newer program (schema {max(newer)}, ours is {max(known)})",
            "Install that version again, or restore the backup in backups/.", True,
        )  # fmt: skip
    elif missing := known - done:
        yield Finding(
            "database", "note", f"{len(missing)} migrations are due", "The next sync makes a backup and applies them."
        )
    else:
        size = settings.database.stat().st_size
        kept = len(backups.existing(settings.database))
        yield Finding(
            "database", "ok", f"schema version {max(done)}, {size / _GIGABYTE:.2f} GB, {kept} backups of upgrades"
        )


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = settings.home if settings.home.exists() else settings.home.parent
    if not os.access(folder, os.W_OK):
        yield Finding("disk", "error", f"{folder} cannot be written", "Make the service's user its owner.", True)
    free = shutil.disk_usage(folder).free
    size = settings.database.stat().st_size if settings.database.exists() else 0
    wanted = 3 * size + _GIGABYTE  # the published copy, a backup, and room to grow
    level: Level = "error" if free < size + _GIGABYTE / 4 else "warning" if free < wanted else "ok"
    told = f"{free / _GIGABYTE:.1f} GB free at {folder}"
    fix = (
        f"Free some space: at least {wanted / _GIGABYTE:.1f} GB for the published copy and a backup."
        if level != "ok"
        else ""
    )
    yield Finding("disk", level, told, fix)


# ---------------------------------------------------------------- Happy Returns


def _exports(settings: Settings, profiles: list[Profile], every_hours: int, now: datetime) -> Iterator[Finding]:
    with Place(settings.exports, VARIABLE) as place:
        listed = place.listed()
        if not listed:
            yield Finding(
                "exports",
                "warning",
                "there are no export files",
                "Ask Happy Returns to deliver, or correct HAPPY_RETURNS_EXPORTS.",
            )
            return
        newest = listed[-1].source_time[0]
        age = now - newest
        late = bool(every_hours) and age > timedelta(hours=every_hours)
        yield Finding(
            "exports", "warning" if late else "ok",
            f"{len(listed)} files, the newest of {newest:%Y-%m-%d %H:%M} UTC",
            f"That is {age.total_seconds() / 3600:.0f} hours ago: ask Happy Returns for the exports." if late else "",
        )  # fmt: skip
        seen: dict[str, str] = {}
        refused: set[str] = set()
        for arrived in arrivals(place, reversed(listed[-_FILES_LOOKED_AT:])):
            file = arrived.listed
            if isinstance(arrived, Refusal):
                fix = (
                    "Have it delivered again under the same name."
                    if arrived.was_fetched
                    else "Correct its permissions, or the server."
                )
                yield Finding("exports", "warning", f"{file.name} {arrived.problem}", fix)
                continue
            try:
                _, found = recognised(arrived.content, profiles)
            except UnicodeDecodeError:
                found = "its header is not UTF-8"
            if isinstance(found, str):
                if found in refused:
                    continue  # another file of the same layout
                refused.add(found)
                yield Finding(
                    "exports",
                    "warning",
                    f"{file.name}: {found}",
                    "Draft a profile from it: hr-centra profile FILE --write.",
                )
            elif found.kind not in seen:
                seen[found.kind] = found.profile.name
                new = f"; new columns: {', '.join(found.unknown_headers)}" if found.unknown_headers else ""
                yield Finding(
                    "exports", "warning" if new else "ok", f"{found.kind}: profile {found.profile.name} knows {file.name}{new}",
                    "Map them in the profile, or list them under [ignored]." if new else "",
                )  # fmt: skip
        if unseen := [kind for kind in KIND_NAMES if kind not in seen]:
            yield Finding(
                "exports", "note", f"no {', '.join(unseen)} among the newest {min(len(listed), _FILES_LOOKED_AT)} files"
            )


# ---------------------------------------------------------------- Centra


def _centra(settings: Settings, policy: Policy | None, saved_schema: Path | None, now: datetime) -> Iterator[Finding]:
    client = CentraClient(settings.centra_graphql_url, settings.centra_token)
    before = datetime.now(UTC)
    answer = client.ask("Hello", "query Hello { rateLimits { type intervalSeconds quota remainingQuota } }", {})
    yield Finding(
        "Centra", "ok", f"answers in {1000 * answer.latency:.0f} ms; version {client.app_version or 'unknown'}"
    )
    try:
        yield from _quotas(judged.limits_in(answer.data))
    except judged.Unreadable as error:
        yield Finding("Centra", "warning", f"its quotas cannot be read: {error}", "Report it to Centra.")
    if answer.server_time is not None:
        differ = abs(answer.server_time - before)
        yield Finding(
            "Centra", "ok" if differ <= _CLOCKS_DIFFER else "warning",
            f"its clock and this machine's differ by {differ.total_seconds():.0f} s",
            "" if differ <= _CLOCKS_DIFFER else "Set this machine's clock by NTP: Retry-After is a time of Centra's clock.",
        )  # fmt: skip
    is_live = settings.mode == "live"
    misfits: set[str] = set()
    if policy is not None:
        yield from _dispositions(client, policy)
        if saved_schema is None:
            looked = contract_record.look(client, _order_api_client(settings), policy)
            misfits = {name for row in looked.rows if row.stops for name in row.operations}
            yield from contract.findings(looked, is_live=is_live)
        yield from _permissions(client, policy, misfits, is_live=is_live)
        yield from queue_findings.findings(client, settings, policy, now)
    else:
        yield Finding("Centra", "note", "what the token needs depends on the policy: not checked")


def _quotas(limits: list[dict[str, Any]]) -> Iterator[Finding]:
    for row in limits:
        left = row["remainingQuota"] / row["quota"] if row["quota"] else 0
        if left < 0.3:
            yield Finding(
                "Centra", "warning",
                f"quota {row['type']} per {row['intervalSeconds']}: {row['remainingQuota']:,} of {row['quota']:,} left",
                "See which integration uses it, or ask Centra for a larger plan.",
            )  # fmt: skip
    hourly = {row["type"]: row["quota"] for row in limits if row["intervalSeconds"] == "ONE_HOUR"}
    told = ", ".join(f"{quota:,} {kind.lower().replace('_', ' ')}" for kind, quota in hourly.items())
    yield Finding("Centra", "ok", f"quotas an hour: {told}")


def _least_token(policy: Policy) -> Finding:
    needed = centra_calls.least(centra_calls.used(policy))
    return Finding("Centra", "note", f"minimal token permissions for this policy: {', '.join(needed)}")


def _permissions(client: CentraClient, policy: Policy, misfits: set[str], *, is_live: bool) -> Iterator[Finding]:
    """``misfits``: operations of which the contract has said already that they do not fit."""
    yield _least_token(policy)
    refused = [probed for probed in probes.operations_answer(client, policy) if probed.problem]
    missing: dict[str, list[str]] = {}
    for probed in refused:
        if probed.missing:
            missing.setdefault(probed.missing, []).append(probed.name)
        elif probed.name not in misfits:
            yield Finding(
                "Centra", "error", f"our operation {probed.name} does not fit this Centra: {probed.problem}",
                "An update of hr-centra is needed; report it with this line.",
            )  # fmt: skip
    for permission, names in sorted(missing.items()):
        of_queue = centra_calls.QUEUE.issuperset(names)
        is_needed = (is_live or not permission.endswith(":write")) and not of_queue
        without = "Everything but the event queue" if of_queue else "Dry run"
        yield Finding(
            "Centra", "error" if is_needed else "warning", f"the token lacks {permission}, for {', '.join(names)}",
            "Make a token with it in Centra (AMS, Integrations)."
            + ("" if is_needed else f" {without} works without it."), is_needed,
        )  # fmt: skip
    more = [probed.name for probed in probes.beyond_need(client, policy)]
    if more:
        yield Finding(
            "Centra", "warning", f"the token has more permissions than needed: {', '.join(sorted(more))}",
            "Make one with the minimal set listed above.",
        )  # fmt: skip
    if not refused and not more:
        yield Finding("Centra", "ok", "the token has the permissions that are needed, and no others that were tried")


def _dispositions(client: CentraClient, policy: Policy) -> Iterator[Finding]:
    raws = client.objects("PullWarehouses", {"limit": 200, "page": 1}, "warehouses")
    try:
        real = {found.id: found for found in (CentraWarehouse.model_validate(raw) for raw in raws)}
    except ValidationError as error:
        yield Finding(
            "Centra", "warning", f"a warehouse cannot be read: {error.error_count()} members do not fit",
            "An update of hr-centra is needed; report it with this line.",
        )  # fmt: skip
        return
    for word, grade in policy.dispositions.items():
        if grade.warehouse_id is None:
            yield Finding("Centra", "ok", f"disposition {word}: no stock movement")
            continue
        found = real.get(grade.warehouse_id)
        if found is None:
            known = ", ".join(f"{one.id} {one.name}" for one in real.values())
            yield Finding(
                "Centra", "error", f"disposition {word}: Centra has no warehouse {grade.warehouse_id}",
                f"Correct [dispositions.{word}] in the policy; Centra has {known}.", True,
            )  # fmt: skip
        elif policy.centra.words.warehouse_status.meaning_of(found.status) != "active":
            yield Finding(
                "Centra", "error", f"disposition {word}: warehouse {found.id} {found.name} is {found.status.lower()}",
                f"Activate it in Centra, or correct [dispositions.{word}] in the policy.", True,
            )  # fmt: skip
        else:
            yield Finding("Centra", "ok", f"disposition {word}: warehouse {found.id} {found.name}")


def _order_api_client(settings: Settings) -> OrderApiClient | None:
    """``None``: there is no access to it."""
    if not settings.centra_order_api_url or not settings.centra_order_api_key.get_secret_value():
        return None
    return OrderApiClient(settings.centra_order_api_url, settings.centra_order_api_key)


def _order_api(api: OrderApiClient, policy: Policy | None) -> Iterator[Finding]:
    number = policy.exchange_orders.first_number if policy else 1
    taken = api.read_order(number)
    yield Finding("Order API", "ok", "answers, and accepts the key")
    if taken is not None and "PK" not in str(taken.get("internalComment", "")):
        yield Finding(
            "Order API", "error", f"order {number} of the range reserved for replacements belongs to another order",
            "Reserve another range in [exchange_orders].", True,
        )  # fmt: skip
