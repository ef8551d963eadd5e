"""The errors a user can meet, as one tree.

    TabserveError                 exit code 1   anything below; catch this one to catch all
    ├── UsageError                exit code 2   a command was called with a wrong or missing value
    ├── DataError                 exit code 3   a table or a row cannot be used as it is
    │   └── InvalidRequest        (HTTP 400)    an inference request breaks the protocol or the model's contract
    │       ├── Forbidden         (HTTP 403)    the server does not let this client do it
    │       ├── InvalidUpload     (HTTP 400)    an uploaded file is no model that the server can use
    │       ├── TooLarge          (HTTP 413)    it holds more rows or bytes than the server takes at a time
    │       ├── UnknownLevel      (HTTP 422)    it names a category that the model has not learned from
    │       └── UnknownModel      (HTTP 404)    it is for a model or a version that is not served
    ├── ArtifactError             exit code 4   a model folder is damaged, foreign or cannot be written
    ├── ServerError               exit code 5   a server cannot start, or does not answer
    │   └── Overloaded            (HTTP 503)    a server's queue is full; try again
    │       └── NotLoaded         (HTTP 503)    the model of an inference request is still being loaded
    ├── Drifted                   exit code 6   the distribution of rows differs from the model's reference
    └── JobError                  exit code 7   Spark failed for a reason of its own

A message says what was expected, what came, where, and what to do.
"""


class TabserveError(Exception):
    """An error that the user can mend; its message is one sentence."""

    exit_code = 1


class UsageError(TabserveError):
    """A command was called with a wrong or missing value."""

    exit_code = 2


class DataError(TabserveError):
    """A table or a row cannot be used as it is."""

    exit_code = 3


class InvalidRequest(DataError):
    """An inference request breaks the protocol or the model's contract."""


class Forbidden(InvalidRequest):
    """The server does not let this client do what it asks for."""


class InvalidUpload(InvalidRequest):
    """An uploaded file is no model that the server can use."""


class TooLarge(InvalidRequest):
    """An inference request holds more rows or bytes than the server takes at a time."""


class UnknownLevel(InvalidRequest):
    """An inference request names a category that the model has not learned from."""


class UnknownModel(InvalidRequest):
    """An inference request is for a model or a version that is not served."""


class ArtifactError(TabserveError):
    """A model folder is damaged, foreign, or cannot be written."""

    exit_code = 4


class ServerError(TabserveError):
    """A server cannot start, or does not answer."""

    exit_code = 5


class Overloaded(ServerError):
    """A server's queue is full; the same request may succeed later."""


class NotLoaded(Overloaded):
    """The model of a request is still being loaded; the same request will succeed later."""


class Drifted(TabserveError):
    """The distribution of rows differs from the model's reference."""

    exit_code = 6


class JobError(TabserveError):
    """Spark failed for a reason of its own."""

    exit_code = 7
