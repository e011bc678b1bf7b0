"""What ``doctor`` says about Happy Returns' partner API: its settings, whether the key is accepted, and what waits to be asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import duckdb

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight.findings import Finding
from hr_centra_pipeline.sources.happy_returns.event_reading import load_event_profile
from hr_centra_pipeline.sources.happy_returns.partner_client import PartnerApi
from hr_centra_pipeline.warehouse import lock

SECTION = "partner API"
_LONG = timedelta(days=2)  # a look-up that has waited for longer will not be made by the budget as it is


def findings(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Its settings, and how many look-ups the last run left. Nothing where neither key nor webhook is set up.

    Raises:
        ConfigurationError: the address, the retailer or the event profile is missing or wrong.
    """
    api = _api(settings)
    if api is None:
        if settings.has_events:
            yield Finding(
                SECTION, "note", "HAPPY_RETURNS_API_KEY is not set: what a webhook did not deliver cannot be looked up",
                "Make a key in Happy Returns' dashboard (settings, API access); set HAPPY_RETURNS_RETAILER_ID beside it.",
            )  # fmt: skip
        return
    pace = 1 / api.facts.requests_per_second
    yield Finding(SECTION, "ok", f"retailer {settings.retailer_id}; one request every {pace:g} s, only reads")
    yield from _last_look(settings, now)


def key(settings: Settings) -> Iterator[Finding]:
    """Whether the key is accepted: one request.

    Raises:
        Unreachable, PartnerRefused: it cannot be seen, or it is not.
    """
    try:
        api = _api(settings)
    except ConfigurationError:
        return  # said by ``findings``
    if api is None:
        return
    answer = api.check_key()
    if answer.problem:
        yield Finding(
            SECTION, "warning", f"answers, but oddly: {answer.problem}", "Is HAPPY_RETURNS_API_URL the partner API's?"
        )
    else:
        yield Finding(SECTION, "ok", "answers, and accepts the key")


def _api(settings: Settings) -> PartnerApi | None:
    if not settings.partner_api_key.get_secret_value():
        return None
    return PartnerApi.from_settings(settings, load_event_profile(settings.home / "event_profiles").api)


def _last_look(settings: Settings, now: datetime) -> Iterator[Finding]:
    if not settings.database.exists():
        return
    try:
        with (
            lock.held_if_there(settings.lock_path, "hr-centra doctor", wait_seconds=3),
            duckdb.connect(settings.database, read_only=True) as connection,
        ):
            connection.execute("set timezone = 'UTC'")
            row = connection.execute(
                "select looked_at, requests, waiting, waits_since, problem from landing.partner_looks order by batch desc limit 1"
            ).fetchone()
    except (RunFailed, duckdb.Error):
        return  # in use, or older than the table: said elsewhere
    if row is None:
        yield Finding(SECTION, "note", "not asked yet: the next sync does")
        return
    looked_at, requests, waiting, waits_since, problem = row
    summary = f"asked {requests} times on {looked_at:%Y-%m-%d %H:%M} UTC; {waiting} look-ups wait"
    if problem:
        yield Finding(
            SECTION, "warning", f"{summary}. It stopped early: {problem}",
            "The next sync asks again; if it recurs, check HAPPY_RETURNS_API_KEY and the quota with Happy Returns.",
        )  # fmt: skip
    elif waits_since is not None and now - waits_since > _LONG:
        yield Finding(
            SECTION, "warning", f"{summary}, the first since {waits_since:%Y-%m-%d}",
            "Raise [partner_api] requests_per_run in the policy: a run takes two seconds longer for each.",
        )  # fmt: skip
    else:
        yield Finding(SECTION, "ok", summary)
