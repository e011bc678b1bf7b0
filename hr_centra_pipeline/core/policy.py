"""The policy file: what the shop has decided about returns, validated, one clear message per mistake.

Nothing that moves money or goods has a silent default: ``cutover``, ``pays_through`` and ``dispositions`` must be said.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from datetime import UTC, date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

import duckdb
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from hr_centra_pipeline.core import gift_card
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.exception_kinds import EXCEPTION_KINDS
from hr_centra_pipeline.core.kinds import Owner
from hr_centra_pipeline.core.money import LIMIT, minor_units, rounded
from hr_centra_pipeline.core.setting_files import mistakes_in, parsed_toml, read_setting_file, unanswered
from hr_centra_pipeline.core.words import CentraWords

DropoffMethod = str
Trigger = Literal["first_scan", "approved", "hub_received", "warehouse_received"]
PaysThrough = Literal["centra", "gift_card", "elsewhere"]
Mode = Literal["off", "dry_run", "approve", "live"]


def _exact(value: object) -> object:
    if isinstance(value, float):
        raise ValueError(f'write the amount as text, "{value}", so that no binary rounding touches it')  # noqa: TRY004 - pydantic collects ValueErrors
    return value


def _known_kind(kind: str) -> str:
    if kind not in EXCEPTION_KINDS:
        raise ValueError(f"unknown kind {kind!r}; known are {', '.join(sorted(EXCEPTION_KINDS))}")
    return kind


def _searchable(pattern: str) -> str:
    """DuckDB searches with it, whose expressions are not quite Python's."""
    try:
        duckdb.execute("select regexp_matches('', ?)", [pattern])
    except duckdb.Error as error:
        raise ValueError(
            f"is not a regular expression: {str(error).splitlines()[0].removeprefix('Invalid Input Error: ')}"
        ) from None
    return pattern


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError):
        raise ValueError(f"{name!r} is not the name of a time zone, such as Europe/Stockholm") from None
    return name


def _all_payers(given: dict[str, str]) -> dict[str, str]:
    if missing := {"refund", "gift-card"} - set(given):
        raise ValueError(f"say who pays for {' and '.join(sorted(missing))}: centra, gift_card or elsewhere")
    return given


Amount = Annotated[Decimal, BeforeValidator(_exact), Field(ge=0, lt=1000 * LIMIT, decimal_places=4, strict=False)]
Factor = Annotated[Decimal, BeforeValidator(_exact), Field(strict=False)]
Hours = Annotated[int, Field(ge=0, le=8_760)]  # a year
Days = Annotated[int, Field(gt=0, le=36_500)]
Requests = Annotated[int, Field(ge=0, le=40_000)]  # at half a request a second, a day has 43,200
Seconds = Annotated[int, Field(ge=0, le=86_400)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class _Section(BaseModel):
    # Strict: "24" is a text, and may have been meant as something else.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Disposition(_Section):
    """What a grade means for the goods: into which Centra warehouse, or no movement at all."""

    warehouse_id: Annotated[int, Field(gt=0)] | None = None
    stock: Literal["restock", "none"] = "restock"
    hold_hours: Hours | None = None

    @model_validator(mode="after")
    def _warehouse_when_restocked(self) -> Self:
        if (self.stock == "restock") != (self.warehouse_id is not None):
            raise ValueError('give either a warehouse_id, or stock = "none"')
        return self


class Triggers(_Section):
    """When the money is due, by drop-off method; ``exchange`` for units that are exchanged, whatever their method."""

    by_method: dict[DropoffMethod, Trigger] = {
        "return-bar": "first_scan",
        "in-store": "first_scan",
        "retailer-store": "first_scan",
        "mail": "warehouse_received",
        "mail-nolabel": "warehouse_received",
        "mail-nobox-nolabel": "warehouse_received",
        "mail-shopper-provided": "approved",
        "returnless": "approved",
    }
    exchange: Trigger = "approved"
    exchange_by_method: dict[DropoffMethod, Trigger] = {}


class Shipping(_Section):
    """Which shipping cost is credited."""

    rule: Literal["as_told", "never", "when_whole_order_returned"] = "as_told"
    source: Literal["happy_returns", "policy"] = "happy_returns"


class Fee(_Section):
    """The processing fee that is deducted: per item or per return (never both), by drop-off method and currency.

    ``zones``: countries of delivery by zone; ``zone_amounts``: what is charged there instead, by zone and method.
    """

    basis: Literal["item", "return"] = "return"
    source: Literal["happy_returns", "policy"] = "happy_returns"
    amounts: dict[DropoffMethod, dict[Currency, Amount]] = {}
    zones: dict[str, list[Annotated[str, Field(pattern=r"^[A-Z]{2}$")]]] = {}
    zone_amounts: dict[str, dict[DropoffMethod, dict[Currency, Amount]]] = {}

    @model_validator(mode="after")
    def _known_zones(self) -> Self:
        unknown = sorted(set(self.zone_amounts) - set(self.zones))
        if unknown:
            raise ValueError(f"zone_amounts: {unknown[0]!r} is not one of the zones")
        countries = [country for named in self.zones.values() for country in named]
        twice = sorted({country for country in countries if countries.count(country) > 1})
        if twice:
            raise ValueError(f"zones: {twice[0]} is in two zones")
        return self


class Components(_Section):
    """Which parts of a refund are credited, and from which source. Items and tax are always Centra's line values."""

    on_difference: Literal["credit", "hold"] = "credit"
    amount_wait_hours: Hours = 24
    shipping: Shipping = Shipping()
    fee: Fee = Fee()


class Tolerance(_Section):
    """A difference up to the larger of the two is within tolerance (and every use of it is listed)."""

    absolute: Amount = Decimal(0)
    percent: Amount = Decimal(0)


class Tax(_Section):
    """Orders whose tax Centra adds to the price, by an engine that estimates it for a Return and settles it at completion.

    How far the tax may be off our estimate, and off what was paid, before nothing is paid and a person decides: the larger
    of ``absolute`` (of a currency that is not listed: ten of its smallest unit) and ``percent`` of the tax.
    ``reported_costs``: what Happy Returns' shipping and fee are on these orders. ``return_cost_is_taxed``: our estimate
    until Centra shows it.
    """

    absolute: dict[Currency, Amount] = {}
    percent: Amount = Decimal(2)
    reported_costs: Literal["before_tax", "with_tax"] = "before_tax"
    return_cost_is_taxed: bool = True

    def allowed(self, tax: Decimal, currency: str) -> Decimal:
        """How far a tax of that size may be off. Its SQL twin: ``policy.tax_allowed``."""
        least = self.absolute.get(currency, Decimal(10).scaleb(-minor_units(currency)))
        return max(least, rounded(abs(tax) * self.percent / 100, currency))


class Bundles(_Section):
    """Bundles, of which some parts come back. All of its parts back: the bundle is credited, once.

    ``some_parts``: ``hold`` waits for the others, and says what the part's share of the bundle's price is; ``share`` credits
    that. ``return_names_parts``: this Centra takes a Return that names a part's line alone, which no document says.
    """

    some_parts: Literal["hold", "share"] = "hold"
    return_names_parts: bool = False

    @model_validator(mode="after")
    def _can_be_sent(self) -> Self:
        if self.some_parts == "share" and not self.return_names_parts:
            raise ValueError(
                'some_parts = "share" needs a Return that names a part alone: try in a test environment that Centra takes'
                " one, then set return_names_parts = true"
            )
        return self


class Modes(_Section):
    """How each effect type is sent; the more careful of this and ``HR_CENTRA_MODE`` holds."""

    credit_note: Mode = "live"
    inventory_adjustment: Mode = "live"
    exchange_order: Mode = "live"
    status_update: Mode = "live"


class ExchangeOrders(_Section):
    """Replacement orders get their number from a range that nobody else uses."""

    first_number: Annotated[int, Field(gt=0)] = 900_000_000
    last_number: Annotated[int, Field(gt=0)] = 999_999_999

    @model_validator(mode="after")
    def _a_range(self) -> Self:
        if self.last_number - self.first_number < 9_999:
            raise ValueError("reserve at least 10,000 order numbers (first_number to last_number)")
        return self


class Exchange(_Section):
    """What the shop wants done with a replacement beyond its order, once Centra has made a shipment of it.

    ``paid`` and ``good_to_go`` are marks of the shipment: some shops hand only marked ones to the warehouse.
    """

    release: Literal["none", "paid", "good_to_go"] = "none"


class Emails(_Section):
    """Which e-mails Centra sends the shopper because of our calls. Happy Returns' own e-mails are not touched."""

    refund: bool = False
    completion: bool = False
    replacement: bool = False
    cancellation: bool = False

    @property
    def sent(self) -> tuple[str, ...]:
        """The names of those that are switched on."""
        return tuple(name for name, is_on in self.model_dump().items() if is_on)


class GiftCards(_Section):
    """How Centra's gift cards are filled in; without a template they cannot be issued (``core/gift_card.py``)."""

    template: Annotated[dict[str, Any], AfterValidator(gift_card.checked)] | None = None


class StatusUpdates(_Section):
    """Where customer service sees the state of a return: on the order, the customer, or both.

    In an attribute of type ``attribute_type`` where that is named, else in the internal comment.
    """

    status_target: Literal["order", "customer", "both"] = "order"
    in_flight_note: bool = False
    attribute_type: Annotated[str, Field(min_length=1)] | None = None
    attribute_element: Annotated[str, Field(min_length=1)] = "status"

    @property
    def effect_kinds(self) -> tuple[str, ...]:
        """The kinds of effects that this asks for: one for each place where the state is written."""
        if self.attribute_type is None:
            on_order, on_customer = "status_update", "customer_note"
        else:
            on_order, on_customer = "order_attribute", "customer_attribute"
        return {"order": (on_order,), "customer": (on_customer,), "both": (on_order, on_customer)}[self.status_target]


class Restock(_Section):
    """The restock gate."""

    hold_hours: Hours = 24
    unit_cost: Literal["none", "original"] = "none"
    refused_dispositions: list[str] = ["wrong-item", "missing"]


class ExceptionRule(_Section):
    """Whose work an exception kind is, and after how many hours it opens."""

    owner_team: Owner
    window_hours: Hours


class Lateness(_Section):
    """What is late: ``unapproved_days`` for an arrived unit that nobody approves; for the way of the goods and their grading

    the 95th percentile of our own last ``history_weeks``, times ``factor``, once ``least_units`` in ``least_weeks`` went
    through a stage; until then, and with ``learn = false``, the windows of the kinds.
    """

    unapproved_days: Days = 7
    learn: bool = True
    least_units: Annotated[int, Field(gt=0)] = 200
    least_weeks: Annotated[int, Field(gt=0)] = 6
    history_weeks: Annotated[int, Field(gt=0, le=104)] = 26
    factor: Annotated[Factor, Field(ge=1)] = Decimal("1.5")


class Shadow(_Section):
    """When a shadow report says *ready to go live*: what has to be observed, and how often we alone may differ."""

    days: Days = 14
    least_decisions: Annotated[int, Field(gt=0)] = 50
    most_alone_percent: Amount = Decimal(1)


class Caps(_Section):
    """Guardrails: at most so many effects, and so much money per currency, in one run and on one UTC day."""

    effects_per_run: Annotated[int, Field(gt=0)] = 20_000
    effects_per_day: Annotated[int, Field(gt=0)] = 40_000
    money_per_run: dict[Currency, Amount] = {}
    money_per_day: dict[Currency, Amount] = {}


class Surge(_Section):
    """The guard on our own past: today against the median of the same weekday. Small counts never are a surge."""

    factor: Annotated[Factor, Field(gt=1)] = Decimal(6)
    least_effects: Annotated[int, Field(gt=0)] = 50
    weeks: Annotated[int, Field(ge=4, le=52)] = 8


class CentraLimits(_Section):
    """Vendor facts that are not documented, with the value that we assume."""

    description_limit: Annotated[int, Field(ge=40)] = 255
    comment_limit: Annotated[int, Field(ge=60)] = 255
    page_size: Annotated[int, Field(ge=1, le=200)] = 100
    calls_per_request: Annotated[int, Field(ge=1, le=10)] = 5
    quota_left_to_others_percent: Annotated[int, Field(ge=0, le=90)] = 10
    overlap_minutes: Annotated[int, Field(ge=0, le=525_600)] = 60
    returns_window_days: Days = 14
    history_days: Days = 120
    compare_days: Days = 7
    compare_pages: Annotated[int, Field(ge=1)] = 60
    retry_wait_seconds: Annotated[int, Field(ge=0, le=3_600)] = 20
    customer_return_patterns: list[Annotated[str, AfterValidator(_searchable)]] = [
        "(?i)customer return",
        "(?i)\\brma\\b",
        "(?i)happy ?returns",
    ]
    reference_paths: list[str] = [
        "pspReference",
        "PaymentTransactions.0.PaymentTransactionId",
        "MerchantReference",
    ]
    words: CentraWords = CentraWords()


class PartnerApi(_Section):
    """How much Happy Returns' partner API is asked: a request every two seconds is all that it allows.

    ``wait_seconds_per_run``: how long the rest of a run waits for all of its questions together, however full the bucket is.
    ``started_hours``: how long a return may be started and nothing handed in before it is looked up; the later stages go by
    what is usual for them (``Lateness``). A look-up is repeated after ``again_hours``, then after twice that, and so on.
    """

    requests_per_run: Requests = 40
    requests_per_backfill: Requests = 600
    wait_seconds_per_run: Seconds = 180
    wait_seconds_per_backfill: Seconds = 1_800
    started_hours: Hours = 72
    again_hours: Annotated[Hours, Field(gt=0)] = 24
    most_look_ups: Annotated[int, Field(gt=0, le=20)] = 6
    look_back_days: Days = 60
    shipments_overlap_hours: Hours = 6


class Coverage(_Section):
    """How often the sources are read and deliver; what is longer is a gap. ``exports_every_hours`` 0: they come when they come."""

    sync_every_minutes: Annotated[int, Field(gt=0, le=525_600)] = 60
    exports_every_hours: Hours = 36
    accepted_days: list[Annotated[date, Field(strict=False)]] = []


class Events(_Section):
    """Deliveries of the vendors: how long a burst of them is gathered, what is late, and when missed ones ring an alarm.

    ``centra_queue``: read and confirm the events that Centra keeps for the integration name of our token.
    ``centra_time_zone``: of the dates in Centra's webhook, which have no offset.
    """

    debounce_seconds: Annotated[int, Field(ge=0, le=3_600)] = 60
    late_minutes: Annotated[int, Field(gt=0, le=525_600)] = 15
    missed_alarm_percent: Annotated[Amount, Field(le=100)] = Decimal(5)
    centra_queue: bool = False
    centra_time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"


class Publishing(_Section):
    """How old the published tables of all history may grow; what is open, pending or refused is published after each sync."""

    history_every_hours: Hours = 24

    @property
    def history_every(self) -> timedelta:
        """The same as a length of time."""
        return timedelta(hours=self.history_every_hours)


class Alerts(_Section):
    """Who is alerted of what, and how often. Addresses with secrets (webhooks, mail server) come from the environment."""

    repeat_hours: Annotated[Hours, Field(gt=0)] = 24
    silent_after_hours: Annotated[Hours, Field(gt=0)] = 3
    escalate_after_hours: Annotated[Hours, Field(gt=0)] = 48
    email_from: str = "hr-centra@localhost"
    email: dict[Owner, list[str]] = {}


class Privacy(_Section):
    """How long an e-mail address is kept after it was landed first."""

    keep_days: Days = 400


class Retention(_Section):
    """How long Dagster keeps the events of finished runs."""

    runs_days: Days = 180


class Backfill(_Section):
    """The first day that a backfill may read and that the UI offers. Left out: as far back as the first pull goes."""

    first_day: Annotated[date, Field(strict=False)] | None = None


class Policy(_Section):
    """The whole policy file."""

    cutover: Annotated[AwareDatetime, Field(strict=False)]
    dispositions: dict[str, Disposition]
    pays_through: Annotated[dict[Literal["refund", "gift-card"], PaysThrough], AfterValidator(_all_payers)]
    triggers: Triggers = Triggers()
    components: Components = Components()
    tolerance: dict[Currency, Tolerance] = {}
    tax: Tax = Tax()
    bundles: Bundles = Bundles()
    restock: Restock = Restock()
    exchange_orders: ExchangeOrders = ExchangeOrders()
    exchange: Exchange = Exchange()
    status: StatusUpdates = StatusUpdates()
    emails: Emails = Emails()
    gift_card: GiftCards = GiftCards()
    modes: Modes = Modes()
    changed_by: str | None = None
    approval_above: dict[Currency, Amount] = {}
    caps: Caps = Caps()
    surge: Surge = Surge()
    lateness: Lateness = Lateness()
    shadow: Shadow = Shadow()
    exceptions: dict[Annotated[str, AfterValidator(_known_kind)], ExceptionRule] = {}
    centra: CentraLimits = CentraLimits()
    partner_api: PartnerApi = PartnerApi()
    coverage: Coverage = Coverage()
    events: Events = Events()
    backfill: Backfill = Backfill()
    publishing: Publishing = Publishing()
    alerts: Alerts = Alerts()
    privacy: Privacy = Privacy()
    retention: Retention = Retention()
    settling_minutes: Annotated[float, Field(ge=0, le=1_440)] = 15
    push_budget_minutes: Annotated[float, Field(gt=0, le=1_440)] = 40

    def warnings(self) -> tuple[str, ...]:
        """What the policy asks for and cannot be done as it is."""
        asked = sorted(kind for kind, way in self.pays_through.items() if way == "gift_card")
        if not asked or self.gift_card.template is not None:
            return ()
        ways = " and ".join(f'pays_through.{kind} = "gift_card"' for kind in asked)
        return (
            f"{ways}, and there is no [gift_card] template: Centra does not document what a gift card needs, so none can be "
            "issued. Those units wait for a person. Set the template (docs/rules.md explains it), or pay another way.",
        )

    @property
    def first_day(self) -> date:
        """``[backfill] first_day``; else the first of the month that the first pull of Centra's history reaches back to."""
        usual = (self.cutover.astimezone(UTC) - timedelta(days=self.centra.history_days)).date().replace(day=1)
        return self.backfill.first_day or usual

    def exception_rule(self, kind: str) -> ExceptionRule:
        """Owner and window of a kind: the policy's, else the usual ones."""
        usual = EXCEPTION_KINDS[kind]
        return self.exceptions.get(kind) or ExceptionRule(owner_team=usual.owner_team, window_hours=usual.window_hours)


class LoadedPolicy(BaseModel):
    """A policy with where it came from and the hash that control totals and derived tables are stamped with."""

    model_config = ConfigDict(frozen=True)

    policy: Policy
    path: Path
    sha256: str


def load_policy(path: Path) -> LoadedPolicy:
    """Read and validate a policy file. A question that `hr-centra init` left open is a mistake, too.

    Raises:
        ConfigurationError: one line per mistake, each with file, line and what to write instead.
    """
    try:
        raw = read_setting_file(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot read the policy ({error.strerror}). Copy data/policy.example.toml there, "
            "or point HR_CENTRA_POLICY at yours."
        ) from error
    try:
        text = raw.decode("utf-8-sig")  # some editors write a mark first
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 text (byte {error.start}).") from error
    content = parsed_toml(text, str(path))
    asked = unanswered(text, content)
    told = [f"{path}:{line}: {'.'.join(place)} is not answered yet: {question}" for line, place, question in asked]
    try:
        policy = Policy.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(
            "\n".join([*told, *_told(path, text, error, {place for _, place, _ in asked})])
        ) from None
    if told:
        raise ConfigurationError("\n".join(told))
    return LoadedPolicy(policy=policy, path=path, sha256=hashlib.sha256(raw).hexdigest())


def _told(path: Path, text: str, error: ValidationError, asked: Collection[tuple[str, ...]]) -> list[str]:
    """``asked``: places of questions, which are reported as such."""
    lines = []
    for where, what in mistakes_in(error):
        if any(where == place[: len(where)] for place in asked):
            continue
        place = ".".join(map(str, where))
        lines.append(f"{path}:{_line_of(text, where)}: {place + ': ' if place else ''}{what}")
    return lines


def _line_of(text: str, location: tuple[int | str, ...]) -> int:
    """The line that a mistake is on: the last part of its place that the text spells, from its table on."""
    best = 1
    lines = text.splitlines()
    for part in location:
        spelled = re.compile(rf'(^|[\[.\s{{,"]){re.escape(str(part))}(["\].\s=]|$)')
        for number in range(best - 1, len(lines)):
            if not lines[number].lstrip().startswith("#") and spelled.search(lines[number]):
                best = number + 1
                break
    return best


def more_careful(first: Mode, second: Mode) -> Mode:
    """The more careful of two modes."""
    order: tuple[Mode, ...] = ("off", "dry_run", "approve", "live")
    return min(first, second, key=order.index)


__all__ = ["Disposition", "ExceptionRule", "LoadedPolicy", "Mode", "Policy", "load_policy", "more_careful"]
