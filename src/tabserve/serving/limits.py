"""The limits that an operator may set: the `tabserve` key of settings.json, overridden by TABSERVE_* variables."""

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from tabserve.errors import ServerError
from tabserve.serving.batching import LARGE_SHARE, MAX_QUEUE_ROWS
from tabserve.serving.explanations import MAX_ROWS as MAX_EXPLAINED_ROWS
from tabserve.serving.protocol.request import MAX_ROWS

MIB = 2**20


class Limits(BaseSettings):
    """The limits of a server; each says what happens beyond it.

    Attributes:
        max_rows: rows of one request; beyond: 413.
        max_body_bytes: bytes of a body, before and after decompression; beyond: 413.
        max_queue_rows: rows that wait for their scores; beyond: 503.
        large_share: share of these rows that belongs to requests of more rows than a batch holds; beyond: 503.
        max_explained_rows: rows that wait for their contributions, of all requests; beyond: 503, and for one request
            413. A request may have fewer if its rows have many contributions; 0: nobody may ask for them.
        max_receiving_bytes: bytes of all bodies that are being received; beyond: 503.
        max_receiving_messages: gRPC requests that are being received; beyond: they wait.
        receive_seconds: seconds in which the head and the body of a request must arrive, and seconds that a client may
            read nothing of its response; beyond: the connection is closed.
        keep_alive_seconds: seconds that an unused connection stays open.
        drain_seconds: seconds after SIGTERM in which new requests are still answered.
        admin: whether clients may load, unload and list models.
        history: where answered requests are kept: the path of a file, or a postgresql:// address; empty: nowhere.
        history_days, history_rows: age in days, and number, of the entries that the history keeps; beyond: the oldest
            are removed.
        history_entry_bytes: bytes of a request and its answer in the history; beyond: the request is left out.
    """

    model_config = SettingsConfigDict(env_prefix="TABSERVE_", extra="forbid", frozen=True)

    max_rows: int = Field(default=MAX_ROWS, ge=1)
    max_body_bytes: int = Field(default=64 * MIB, ge=1)
    max_queue_rows: int = Field(default=MAX_QUEUE_ROWS, ge=1)
    large_share: float = Field(default=LARGE_SHARE, gt=0, le=1)
    max_explained_rows: int = Field(default=MAX_EXPLAINED_ROWS, ge=0)
    max_receiving_bytes: int = Field(default=256 * MIB, ge=1)
    max_receiving_messages: int = Field(default=16, ge=1)
    receive_seconds: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    keep_alive_seconds: int = Field(default=75, ge=1)
    drain_seconds: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    admin: bool = False
    history: str = ""
    history_days: float = Field(default=30.0, gt=0, le=36_500)
    history_rows: int = Field(default=1_000_000, ge=1, lt=2**63)
    history_entry_bytes: int = Field(default=MIB, ge=1)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  pydantic's names, here and below
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Give the variables precedence over the file."""
        return env_settings, init_settings


def from_environment(**defaults: int) -> Limits:
    """Read the limits from the TABSERVE_* variables.

    Args:
        **defaults: limits that replace the defaults of `Limits` where no variable sets them.

    Raises:
        ServerError: a variable has an invalid value.
    """
    try:
        return Limits.model_validate(defaults)
    except ValidationError as error:
        raise ServerError(f"A TABSERVE_* variable is wrong: {reason(error)}.") from error


def reason(error: Exception) -> str:
    """The first error that pydantic found, in one line; of any other exception, its message."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'as a whole'}: {first['msg']}, found {first['input']!r:.60}"
