"""Reading what a form sends: bounded, tied to the session that it was shown in, each field a text without control characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from hr_centra_pipeline.pages.site import site_of
from hr_centra_pipeline.pages.visitors import visitor

START = "/"
_MOST_FIELDS = 120
_LONGEST_FIELD = 64 << 10


class Refused(Exception):
    """What a form says cannot be done; the message is for the person who sent it."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Form:
    """The fields of a form."""

    data: FormData

    def text(self, name: str, longest: int = 2_000, *, required: bool = False, strip: bool = True) -> str:
        """One field as text; several of one name, a file, control characters, or too many characters are refused.

        Raises:
            Refused: names the field.
        """
        given = self.data.getlist(name)
        if len(given) > 1 or any(not isinstance(one, str) for one in given):
            raise Refused(f"{name}: given twice, or not a text.")
        text = _plain(str(given[0]), name) if given else ""
        text = text.strip() if strip else text
        if len(text) > longest:
            raise Refused(f"{name}: has {len(text):,} characters; at most {longest:,}.")
        if required and not text:
            raise Refused(f"{name.replace('_', ' ')}: is empty; it is needed.")
        return text

    def texts(self, name: str, longest: int = 200, *, most: int = 100) -> list[str]:
        """Every field of a name that is not empty; also one field with several lines or commas.

        Raises:
            Refused: there are too many, or one is too long.
        """
        given = [one for one in self.data.getlist(name) if isinstance(one, str)]
        found = [part.strip() for one in given for part in _plain(one, name).replace(",", "\n").splitlines()]
        found = [one for one in found if one]
        if len(found) > most or any(len(one) > longest for one in found):
            raise Refused(f"{name}: at most {most} entries of at most {longest} characters each.")
        return found

    def choice(self, name: str, among: Sequence[str]) -> str:
        """One field, which is one of these.

        Raises:
            Refused: it is not.
        """
        text = self.text(name, 200)
        if text not in among:
            raise Refused(f"{name}: choose one of {', '.join(among)}.")
        return text

    def file(self, name: str) -> UploadFile:
        """An uploaded file.

        Raises:
            Refused: none was chosen.
        """
        given = [one for one in self.data.getlist(name) if isinstance(one, UploadFile)]
        if len(given) != 1 or not given[0].filename or not given[0].size:
            raise Refused(f"{name}: choose one file that is not empty.")
        return given[0]


async def posted(request: Request) -> Form:
    """What a form of this site sends, once it has proven to be of this session. Every route that changes something begins with it.

    Raises:
        HTTPException: 403, the form was not shown to this session.
        Refused: it cannot be read.
    """
    form = await form_of(request)
    who = visitor(request)
    if not who.session or not site_of(request).login.forms.fits(form.text("form_token", 100), who.session, who.id):
        raise HTTPException(
            403, "This form was shown before the last login or restart. Go back, reload the page, and send it again."
        )
    return form


async def form_of(request: Request) -> Form:
    """The fields as they are, of anybody.

    Raises:
        Refused: it is not a form, or has too many fields.
    """
    try:
        data = await request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD)
    except HTTPException:  # what python-multipart says of the bytes is not for a page
        raise Refused("This is not a form that can be read.") from None
    return Form(data)


def local_path(given: str) -> str:
    """Where to go next: a path of this site, and nothing that a browser could read as another site."""
    parts = urlsplit(given) if given.startswith("/") and given.isprintable() and "\\" not in given else None
    if parts is None or parts.scheme or parts.netloc or given.startswith("//") or len(given) > 500:
        return START
    return START if parts.path.startswith(("/login", "/logout")) else given


def _plain(text: str, name: str) -> str:
    text = text.replace("\r\n", "\n")
    if any(unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\t" for sign in text):
        raise Refused(f"{name}: has characters that cannot be shown.")
    return text
