"""``/decisions``: what people decide in the browser is kept for the pipeline, and what came of it is listed.

A form is validated here and carried out by the pipeline, under its lock, by the same rules as the commands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.page_addresses import DECISIONS
from hr_centra_pipeline.decisions import decision_files
from hr_centra_pipeline.decisions.decision_files import StoredFile
from hr_centra_pipeline.decisions.decision_kinds import KINDS, AddDocument, Login, TakeWorkbook, parsed
from hr_centra_pipeline.decisions.decision_store import Decision, Who
from hr_centra_pipeline.pages.forms import Form, Refused, local_path, posted
from hr_centra_pipeline.pages.people_file import Right, Way
from hr_centra_pipeline.pages.site import must_exist, page, settings_of, site_of
from hr_centra_pipeline.pages.visitors import Visitor, visitor

SHOWN = 50
_KEY = re.compile(r"[0-9a-f]{32}")
_LOGINS: Mapping[Way, Login] = {"proxy": "proxy", "passwords": "password", "link": "link"}
_SUBJECT = re.compile(r"[a-z_]{1,20}/.{1,200}")


@dataclass(frozen=True)
class _Kind:
    """``right``: which right it needs (``None``: none); ``read``: a form's fields as arguments, one set for each decision."""

    right: Right | None
    read: Callable[[Form], list[dict[str, Any]]]
    has_file: bool = False


def _note(form: Form) -> list[dict[str, Any]]:
    return [
        {
            "exception_id": form.text("exception_id", 200, required=True), "note": form.text("note"),
            "decision": form.text("decision", 20) or None,
        }
    ]  # fmt: skip


def _assign(form: Form) -> list[dict[str, Any]]:
    """Several exceptions may be ticked; each is a decision of its own."""
    ids = dict.fromkeys(form.texts("exception_id"))
    if not ids:
        raise Refused("Tick at least one exception.")
    person, team = form.text("person", 200), form.text("team", 40)
    return [
        {"exception_id": one, "person": person.casefold() or None, "team": team or None, "note": form.text("note")}
        for one in ids
    ]


def _approve(form: Form) -> list[dict[str, Any]]:
    shown = []
    for given in form.data.getlist("shown"):
        try:
            shown.append(json.loads(given) if isinstance(given, str) else None)
        except (ValueError, RecursionError):
            raise Refused("shown: this form was changed on its way; load the page again.") from None
    return [
        {
            "names": form.texts("names", most=500), "effect_types": form.texts("effect_types"), "why": _why(form), "shown": shown,
        }
    ]  # fmt: skip


def _tie(form: Form) -> list[dict[str, Any]]:
    parts = []
    for given in form.texts("units", most=500):
        unit, _, amount = given.partition("=")
        parts.append({"unit": unit.strip(), "amount": amount.strip() or None})
    return [
        {
            "form": form.text("form", 20), "name": form.text("name", 200, required=True), "units": parts,
            "unrelated": form.text("unrelated", 5) == "yes", "why": _why(form),
        }
    ]  # fmt: skip


def _raise(form: Form) -> list[dict[str, Any]]:
    return [
        {
            "effect_type": form.text("effect_type", 40), "hours": form.text("hours", 10) or 24,
            "effects": form.text("effects", 10) or None, "why": _why(form),
        }
    ]  # fmt: skip


def _sign(form: Form) -> list[dict[str, Any]]:
    return [
        {
            "month": form.text("month", 7), "role": form.text("role", 20), "comment": form.text("comment"),
            "content_sha256": form.text("content_sha256", 64) or None,
        }
    ]  # fmt: skip


def _document(form: Form) -> list[dict[str, Any]]:
    return [
        {
            "title": form.text("title"), "month": form.text("month", 7) or None,
            "exception_id": form.text("exception_id", 200) or None,
        }
    ]  # fmt: skip


def _why(form: Form) -> str:
    return form.text("why", required=True)


_FORMS: Mapping[str, _Kind] = {
    "note": _Kind(None, _note),
    "assign": _Kind(None, _assign),
    "approve": _Kind("decide", _approve),
    "adopt": _Kind("decide", lambda form: [{"name": form.text("name", 200, required=True), "why": _why(form)}]),
    "tie": _Kind("decide", _tie),
    "raise": _Kind("decide", _raise),
    "reorder": _Kind("decide", lambda form: [{"unit": form.text("unit", 200, required=True), "why": _why(form)}]),
    "pay_instead": _Kind("decide", lambda form: [{"unit": form.text("unit", 200, required=True), "why": _why(form)}]),
    "close": _Kind("close", lambda form: [{"month": form.text("month", 7), "accept": form.text("accept")}]),
    "reopen": _Kind("close", lambda form: [{"month": form.text("month", 7), "why": _why(form)}]),
    "sign": _Kind("close", _sign),
    "workbook": _Kind("close", lambda form: [{"month": form.text("month", 7) or None}], has_file=True),
    "document": _Kind("close", _document, has_file=True),
}


def address_of(kind: str) -> str:
    """Where a form of a kind is sent."""
    return f"{DECISIONS}/{kind.replace('_', '-')}"


UPLOAD_PATHS = frozenset(address_of(kind) for kind, form in _FORMS.items() if form.has_file)
_BY_PATH = {address_of(kind): kind for kind in KINDS}


async def keep_decision(request: Request) -> Response:
    """Keep what a form decides, once, and go back to where it was shown."""
    kind = _BY_PATH[request.scope["path"]]
    form, who = await posted(request), visitor(request)
    right = _FORMS[kind].right
    if right is not None and not who.may(right):
        raise HTTPException(
            403, f"You may look, note and assign. The person who runs hr-centra can give you the right {right!r}."
        )
    upload: tuple[str, bytes] | None = None
    if _FORMS[kind].has_file:
        file = form.file("file")
        upload = file.filename or "", await file.read(decision_files.MOST_BYTES + 1)
    is_new = await run_in_threadpool(_keep, request, kind, form, who, upload)
    back = local_path(form.text("back", 500)) if form.text("back", 500) else DECISIONS
    path, _, query = back.partition("?")
    parts = [part for part in query.split("&") if part and not part.startswith("notice=")]
    parts.append("notice=recorded" if is_new else "notice=again")
    return RedirectResponse(f"{path}?{'&'.join(parts)}", 303)


def _keep(request: Request, kind: str, form: Form, who: Visitor, upload: tuple[str, bytes] | None) -> bool:
    """Keep each decision of a form; answers whether any is new.

    Raises:
        Refused: says which field, and what to write.
    """
    site = site_of(request)
    once = form.text("once", 64)
    if not _KEY.fullmatch(once):
        raise Refused("This form has no key of its own; load the page again.")
    about = tuple(one for one in form.texts("about", 220, most=5) if _SUBJECT.fullmatch(one))
    person = Who(who.id, who.name, _LOGINS[who.login], site.login.address_of(request) or None)
    try:
        every = [parsed(kind, one) for one in _FORMS[kind].read(form) if upload is None]
        if upload is not None:
            fields = _FORMS[kind].read(form)[0]
            parsed(
                kind,
                {**fields, "sha256": "0" * 64, "file_name": "checked before it is kept", "media_type": "-", "bytes": 1},
            )
            stored = decision_files.store(settings_of(request), *upload)
            every = [parsed(kind, {**fields, **_of_file(stored)})]
        kept = [
            site.store.keep(Decision(once if len(every) == 1 else f"{once}/{number}", person, arguments, about))
            for number, arguments in enumerate(every)
        ]
    except ConfigurationError as error:
        raise Refused(str(error)) from None
    return any(one.is_new for one in kept)


def _of_file(stored: StoredFile) -> dict[str, Any]:
    return {
        "sha256": stored.sha256, "file_name": stored.name, "media_type": stored.media_type, "bytes": stored.bytes,
    }  # fmt: skip


def show_decisions(request: Request) -> Response:
    """The newest decisions with what came of them."""
    store = site_of(request).store
    given, about = request.query_params.get("before", ""), request.query_params.get("about", "")[:220]
    before = int(given) if given.isascii() and given.isdecimal() and len(given) <= 15 else None
    found = store.recent(SHOWN + 1, before, about=about or None) if store.exists else []
    return page(
        request, "decisions.html", decisions=found[:SHOWN], about=about,
        older=found[SHOWN - 1].number if len(found) > SHOWN else None, waiting=store.waiting_count(),
    )  # fmt: skip


def show_document(request: Request) -> Response:
    """An uploaded file, to be saved and never shown: what is in it is whatever somebody uploaded."""
    kept = (
        site_of(request).store.of(request.path_params["decision_id"][:100]) if site_of(request).store.exists else None
    )
    must_exist(
        request, kept is not None and isinstance(kept.arguments, AddDocument | TakeWorkbook) and not kept.is_erased
    )
    arguments = cast("AddDocument | TakeWorkbook", kept and kept.arguments)
    try:
        content = decision_files.load(settings_of(request), arguments.sha256)
    except ConfigurationError as error:
        raise HTTPException(404, str(error)) from None
    response = Response(content, media_type="application/octet-stream")
    name = "".join(
        sign if sign.isascii() and (sign.isalnum() or sign in "-_. ") else "_" for sign in arguments.file_name
    )
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


ROUTES = [
    Route(DECISIONS, show_decisions),
    Route(f"{DECISIONS}/files/{{decision_id}}", show_document),
    *(Route(address_of(kind), keep_decision, methods=["POST"]) for kind in KINDS),
]
