"""The errors a user can meet, as one tree.

    TabserveError                 exit code 1   anything below; catch this one to catch all
    ├── UsageError                exit code 2   a command was called with a wrong or missing value
    ├── DataError                 exit code 3   a table or a row cannot be used as it is
    │   └── InvalidRequest        (HTTP 400)    an inference request breaks the protocol or the model's contract
    ├── ArtifactError             exit code 4   a model folder is damaged, foreign or cannot be written
    └── ServerError               exit code 5   a server cannot start, or does not answer

A message says what was expected, what came, where, and what to do.
"""


class TabserveError(Exception):
    """Something the user can mend; the message is one sentence for them."""

    exit_code = 1


class UsageError(TabserveError):
    """A command was called with a wrong or missing value."""

    exit_code = 2


class DataError(TabserveError):
    """A table or a row cannot be used as it is."""

    exit_code = 3


class InvalidRequest(DataError):
    """An inference request breaks the protocol or the model's contract."""


class ArtifactError(TabserveError):
    """A model folder is damaged, foreign, or cannot be written."""

    exit_code = 4


class ServerError(TabserveError):
    """A server cannot start, or does not answer."""

    exit_code = 5
