"""The secret of a vendor's API, which travels in one header and is shown nowhere."""

from __future__ import annotations

import requests
from pydantic import SecretStr
from requests.auth import AuthBase

from hr_centra_pipeline.core.errors import ConfigurationError


class Credential(AuthBase):
    """Puts the secret into its header; as ``auth`` of the session, so that no ``.netrc`` replaces it.

    Raises:
        ConfigurationError: the secret cannot be in a header (a line break or a blank was copied with it).
    """

    def __init__(self, header: str, secret: SecretStr | str, *, prefix: str = "", variable: str) -> None:
        self._secret = secret if isinstance(secret, SecretStr) else SecretStr(secret)
        self._header, self._prefix = header, prefix
        plain = self._secret.get_secret_value()
        if not plain or not plain.isascii() or not plain.isprintable() or " " in plain:
            raise ConfigurationError(f"{variable}: empty, or with blanks or line breaks in it. Copy it again.")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Called by requests before it sends."""
        request.headers[self._header] = self._prefix + self._secret.get_secret_value()
        return request

    def hidden(self, text: str) -> str:
        """A text of others without the secret in it."""
        return text.replace(self._secret.get_secret_value(), "***")
