"""Files that people upload: kept under ``decision_files/`` by the hash of their bytes, never by a name that anybody typed."""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
import zipfile
from dataclasses import dataclass
from pathlib import Path

from hr_centra_pipeline.core import file_permissions
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.settings import Settings

FOLDER = "decision_files"
MOST_BYTES = 25 << 20
"""A larger upload is refused."""

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES = {
    ".pdf": "application/pdf", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".xlsx": _XLSX,
    ".csv": "text/csv", ".txt": "text/plain", ".eml": "message/rfc822",
}  # fmt: skip
"""What may be uploaded, by the ending of its name; the content must be of that type as well."""

_MAGIC = {"application/pdf": b"%PDF-", "image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST_NAME = 150


@dataclass(frozen=True)
class StoredFile:
    """An upload that is kept. ``name``: as its owner called it, as a text to be shown, never a path."""

    sha256: str
    name: str
    media_type: str
    bytes: int


def folder(settings: Settings) -> Path:
    """Where uploads are kept."""
    return settings.home / FOLDER


def store(settings: Settings, name: str, content: bytes) -> StoredFile:
    """Keep an upload; when this answers, it is on disk. The same bytes again are kept once.

    Raises:
        ConfigurationError: it is empty, too large, or not one of the types that may be uploaded.
    """
    called = shown_name(name)
    if not content:
        raise ConfigurationError(f"{called}: the file is empty.")
    if len(content) > MOST_BYTES:
        raise ConfigurationError(f"{called}: larger than {MOST_BYTES >> 20} MB; upload a smaller file.")
    media_type = _media_type(called, content)
    sha256 = hashlib.sha256(content).hexdigest()
    target = folder(settings) / sha256
    file_permissions.keep()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not target.exists():
        part = target.with_name(f".{sha256}.{secrets.token_hex(4)}.part")
        try:
            with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as written:
                written.write(content)
                written.flush()
                os.fsync(written.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return StoredFile(sha256, called, media_type, len(content))


def path_of(settings: Settings, sha256: str) -> Path:
    """Where the bytes of a hash are.

    Raises:
        ConfigurationError: it is not a hash, so that no text is ever taken for a path.
    """
    if not _SHA256.fullmatch(sha256):
        raise ConfigurationError(f"{sha256!r}: not a SHA-256 in 64 hexadecimal digits.")
    return folder(settings) / sha256


def load(settings: Settings, sha256: str) -> bytes:
    """The bytes of an upload, which are those that were kept.

    Raises:
        ConfigurationError: it is not there, or was changed.
    """
    try:
        with path_of(settings, sha256).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{FOLDER}/{sha256}: the uploaded file cannot be read ({error.strerror}); upload it again."
        ) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ConfigurationError(
            f"{FOLDER}/{sha256}: the uploaded file was changed on disk; restore it from a backup, or upload it again."
        )
    return content


def shown_name(name: str) -> str:
    """What is shown of an upload's name: its last part, printable, short."""
    last = re.split(r"[/\\]", name)[-1]
    text = " ".join("".join(char if char.isprintable() else " " for char in last).split())
    stem, dot, ending = text.rpartition(".")
    kept = (
        f"{stem[: _LONGEST_NAME - len(ending) - 1]}{dot}{ending}" if dot and len(ending) < 10 else text[:_LONGEST_NAME]
    )
    return kept.strip(". ") or "unnamed"


def _media_type(name: str, content: bytes) -> str:
    """The type by the name's ending, which the content must bear out.

    Raises:
        ConfigurationError: says what may be uploaded.
    """
    ending = Path(name).suffix.lower()
    media_type = MEDIA_TYPES.get(ending)
    if media_type is None:
        raise ConfigurationError(f"{name}: upload one of {', '.join(MEDIA_TYPES)}.")
    if media_type in _MAGIC:
        is_so = content.startswith(_MAGIC[media_type])
    elif media_type == _XLSX:
        is_so = _is_workbook(content)
    else:
        is_so = _is_text(content)
    if not is_so:
        raise ConfigurationError(
            f"{name}: its content is not that of a {ending} file; save it as one, and upload it again."
        )
    return media_type


def _is_workbook(content: bytes) -> bool:
    if not content.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return False


def _is_text(content: bytes) -> bool:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True  # UTF-16, as Excel writes "Unicode text"
    return b"\x00" not in content
