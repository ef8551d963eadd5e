"""A bound on the time of a selection, which ends with the best of the candidates that are finished by then."""

import logging
import time
from collections.abc import Sequence

from tabserve.errors import UsageError
from tabserve.training.candidate import Candidate

log = logging.getLogger(__name__)


class TimeBound:
    """Says which fits a selection may still begin; a fit that has begun is never stopped.

    Until one candidate is finished that can win, fits of such candidates go on beyond the bound: a servable one, or any
    if none is servable.
    """

    def __init__(self, minutes: float | None, candidates: Sequence[Candidate]) -> None:
        """Start the time.

        Args:
            minutes: until the bound, above 0; None for no bound.
            candidates: all those of the selection.

        Raises:
            UsageError: the minutes are no number above 0.
        """
        if minutes is not None and not 0 < minutes < float("inf"):
            raise UsageError(f"The minutes of a selection must be a number above 0, not {minutes!r:.60}.")
        self.minutes = minutes
        self._end = None if minutes is None else time.monotonic() + 60 * minutes
        self._can_win = {candidate.name for candidate in candidates if candidate.servable}
        self._can_win = self._can_win or {candidate.name for candidate in candidates}
        self._have_winner = self._told = False

    def allows(self, candidate: Candidate) -> bool:
        """Whether the next fit of the candidate may begin."""
        if self._end is None or time.monotonic() < self._end:
            return True
        if self._have_winner or candidate.name not in self._can_win:
            return False
        if not self._told:
            log.warning(
                "The %g minutes are over before a candidate is finished; training goes on until one is.", self.minutes
            )
            self._told = True
        return True

    def finish(self, candidate: Candidate) -> None:
        """Note that all folds of the candidate are measured."""
        self._have_winner |= candidate.name in self._can_win
