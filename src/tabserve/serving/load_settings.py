"""Who may load models over HTTP, how large ones, and where they are kept: the TABSERVE_LOAD* variables."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tabserve.errors import ServerError
from tabserve.serving.limits import MIB, reason

MIN_TOKEN = 16
"""Fewest characters of a token."""


class LoadSettings(BaseSettings):
    """The settings, each by its variable.

    Attributes:
        load: who may load a model: nobody (`off`), clients on this machine (`loopback`), or those with the `token`.
        load_token: the token, which they send as `Authorization: Bearer …`.
        load_token_file: a file that holds it instead.
        load_folder: where loaded models are kept; None if the server's own default counts.
        load_max_bytes: of an uploaded file; beyond: 413.
        load_max_memory: bytes of address space in which it is verified; beyond: 400.
        load_seconds: in which it is verified; beyond: 400.
    """

    model_config = SettingsConfigDict(env_prefix="TABSERVE_", frozen=True)

    load: Literal["off", "loopback", "token"] = "loopback"
    load_token: SecretStr = SecretStr("")
    load_token_file: Path | None = None
    load_folder: Path | None = None
    load_max_bytes: int = Field(default=64 * MIB, ge=1)
    load_max_memory: int = Field(default=4096 * MIB, ge=1024 * MIB)
    load_seconds: float = Field(default=120.0, gt=0, le=3600)

    @classmethod
    def read(cls) -> Self:
        """Read the variables.

        Raises:
            ServerError: one is wrong, or the token is missing.
        """
        try:
            settings = cls()
        except ValidationError as error:
            raise ServerError(f"A TABSERVE_* variable is wrong: {reason(error)}.") from error
        if settings.load == "token" and len(settings.token()) < MIN_TOKEN:
            raise ServerError(
                f"TABSERVE_LOAD is token, which needs one of at least {MIN_TOKEN} characters; set TABSERVE_LOAD_TOKEN,"
                " or TABSERVE_LOAD_TOKEN_FILE to the name of a file with it."
            )
        return settings

    def token(self) -> bytes:
        """The token, without white space around it; empty if there is none.

        Raises:
            ServerError: its file cannot be read.
        """
        if not self.load_token_file:
            return self.load_token.get_secret_value().strip().encode()
        try:
            return self.load_token_file.read_bytes().strip()
        except OSError as error:
            raise ServerError(f"The token in {self.load_token_file} cannot be read: {error.strerror}.") from error
