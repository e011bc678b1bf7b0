"""Where a shop is on the path from an empty folder to live, and the next command: what ``doctor`` ends with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.policy import Modes, Policy, load_policy, more_careful
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight import published
from hr_centra_pipeline.oversight.findings import Finding
from hr_centra_pipeline.publishing.publish import DATABASE

SECTION = "going live"


def findings(settings: Settings, found: Sequence[Finding], *, is_offline: bool) -> Iterator[Finding]:
    """One finding for each step, in order: ``ok`` where it is done. The first that is not has the next command.

    ``found``: what the other looks have found.
    """
    is_said = False
    for name, is_done, seen, command in _steps(settings, found, is_offline=is_offline):
        is_next = not is_done and not is_said
        is_said = is_said or not is_done
        fix = f"Next: {command}" if is_next else ""
        yield Finding(SECTION, "ok" if is_done else "note", f"{name}: {seen}", fix)


def effective_modes(settings: Settings, policy: Policy) -> dict[str, str]:
    """How each effect type is sent: the stricter of the policy's mode and the environment's."""
    return {name: more_careful(getattr(policy.modes, name), settings.mode) for name in Modes.model_fields}


def _steps(settings: Settings, found: Sequence[Finding], *, is_offline: bool) -> Iterator[tuple[str, bool, str, str]]:
    """(step, done, what is seen, command)."""
    has_home = settings.home.is_dir()
    yield (
        "1 home",
        has_home,
        f"{settings.home}{'' if has_home else ' is not there'}",
        f"hr-centra init --home {settings.home}",
    )
    try:
        policy = load_policy(settings.policy_path).policy
    except ConfigurationError as error:
        policy, mistakes = None, str(error).splitlines()
        yield (
            "2 policy",
            False,
            f"{len(mistakes)} lines to correct or answer",
            f"edit {settings.policy_path} (the lines are above)",
        )
    else:
        yield "2 policy", True, "every question is answered", ""
    errors = {one.section for one in found if one.level == "error"}
    unknown = [one for one in found if one.section == "exports" and "no profile knows the header" in one.told]
    files = [one for one in found if one.section == "exports" and one.told.partition(" ")[0].isdigit()]
    is_fed = bool(files) or settings.has_events
    told = files[0].told if files else "webhooks" if settings.has_events else "nothing was found to read"
    yield "3 exports or events", is_fed, told, "set HAPPY_RETURNS_EXPORTS (docs/going-live.md), or a webhook secret"
    known = [one.told.partition(":")[0] for one in found if one.section == "exports" and ": profile " in one.told]
    said = f"files of {', '.join(known) or 'no kind'} are recognised" if files else "webhooks need none"
    yield (
        "4 header profile", is_fed and ("items" in known or not files) and "profiles" not in errors,
        f"{said}; {len(unknown)} other layouts are not" if unknown else said,
        "hr-centra profile FILE --write",
    )  # fmt: skip
    has_token = bool(settings.centra_graphql_url and settings.centra_token.get_secret_value())
    answers = has_token and not is_offline and not errors & {"Centra", "Order API"}
    seen = (
        "not asked (--offline)"
        if is_offline and has_token
        else "is accepted"
        if answers
        else "is missing, or refused (see above)"
    )
    yield (
        "5 Centra token",
        answers,
        seen,
        "put CENTRA_TOKEN and CENTRA_ORDER_API_KEY into the file of variables, then hr-centra doctor",
    )
    last = published.as_of(settings)
    yield (
        "6 dry run",
        last is not None,
        f"last sync {last:%Y-%m-%d %H:%M} UTC" if last else "nothing was synced yet",
        "hr-centra sync",
    )
    modes = effective_modes(settings, policy) if policy is not None else {}
    live = [name for name, mode in modes.items() if mode in ("live", "approve")]
    verdict = _shadow(settings)
    yield (
        "7 plan read", bool(live) or (verdict is not None and verdict[0]),
        "whether a person has read it is not recorded" if last else "there is no plan yet", "hr-centra plan",
    )  # fmt: skip
    yield (
        "8 shadow", verdict is not None and verdict[0],
        verdict[1] if verdict else "no report yet", "hr-centra shadow, after some days of hourly dry runs",
    )  # fmt: skip
    for name, mode in modes.items():
        yield (
            f"9 live: {name}", mode == "live", mode,
            f'[modes] {name} = "approve" (then "live") in the policy, and HR_CENTRA_MODE=live',
        )  # fmt: skip


def _shadow(settings: Settings) -> tuple[bool, str] | None:
    """(ready, in words) as the last sync has published it; ``None``: nothing yet."""
    file = settings.published / DATABASE
    if not file.exists():
        return None
    with duckdb.connect(file, read_only=True) as connection:
        try:
            rows = connection.execute(
                "select passed, criterion, found, required from reconciliation.shadow_verdict order by place"
            ).fetchall()
        except duckdb.CatalogException:
            return None
    if not rows:
        return None
    failed = [f"{criterion}: {found} of {required}" for passed, criterion, found, required in rows if not passed]
    return not failed, "ready to go live" if not failed else f"not yet: {'; '.join(failed)}"
