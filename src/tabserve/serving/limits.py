"""What an operator may set: the `tabserve` key of settings.json, each value overridden by its TABSERVE_* variable."""

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from tabserve.errors import ServerError
from tabserve.serving.batching import LARGE_SHARE, MAX_QUEUE_ROWS
from tabserve.serving.protocol.request import MAX_ROWS

MIB = 2**20


class Limits(BaseSettings):
    """How much the server takes, and from whom.

    Attributes:
        max_rows: rows that one request may hold; beyond: 413.
        max_body_bytes: bytes that its body may hold, before and after decompression; beyond: 413.
        max_queue_rows: rows that may wait for their scores; beyond: 503.
        large_share: of these rows, the share that requests of more rows than a batch may hold; beyond: 503.
        max_receiving_bytes: bytes of all bodies that are being received; beyond: 503.
        max_receiving_messages: requests that may be arriving over gRPC at a time; beyond: they wait.
        receive_seconds: how long the head and the body of a request may take to arrive, and how long a client may read
            nothing of its answer; beyond: the connection ends.
        keep_alive_seconds: how long an unused connection stays open.
        drain_seconds: how long new requests are still answered after SIGTERM.
        admin: whether clients may load, unload and list models.
    """

    model_config = SettingsConfigDict(env_prefix="TABSERVE_", extra="forbid", frozen=True)

    max_rows: int = Field(default=MAX_ROWS, ge=1)
    max_body_bytes: int = Field(default=64 * MIB, ge=1)
    max_queue_rows: int = Field(default=MAX_QUEUE_ROWS, ge=1)
    large_share: float = Field(default=LARGE_SHARE, gt=0, le=1)
    max_receiving_bytes: int = Field(default=256 * MIB, ge=1)
    max_receiving_messages: int = Field(default=16, ge=1)
    receive_seconds: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    keep_alive_seconds: int = Field(default=75, ge=1)
    drain_seconds: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    admin: bool = False

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  pydantic's names, here and below
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let a variable win over the file."""
        return env_settings, init_settings


def from_variables(**defaults: int) -> Limits:
    """The limits that the TABSERVE_* variables set.

    Args:
        **defaults: of the limits that no variable sets, where they are others than `Limits` has.

    Raises:
        ServerError: a variable has a value that its limit cannot have.
    """
    try:
        return Limits.model_validate(defaults)
    except ValidationError as error:
        raise ServerError(f"A TABSERVE_* variable is wrong: {reason(error)}.") from error


def reason(error: Exception) -> str:
    """The first of pydantic's complaints in one line, or the error's own."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'as a whole'}: {first['msg']}, found {first['input']!r:.60}"
