"""Keep which of two versions of an answer the user found better."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.storage.database import Database
from app.storage.values import as_float


@dataclass(frozen=True)
class Vote:
    """Hold one comparison of two answers; when they are `equal`, neither was chosen.

    `blind` tells that the user did not know which was which.
    """

    chosen_id: int
    rejected_id: int
    equal: bool
    blind: bool
    voted_at: float


class Votes:
    """Read and write the votes of a profile."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Use `database`; `clock` gives the seconds since 1970."""
        self._database = database
        self._clock = clock

    def add(self, chosen_id: int, rejected_id: int, *, equal: bool = False, blind: bool = True) -> None:
        """Keep a vote, in place of an earlier one about the same two answers."""
        with self._database.transaction() as db:
            db.execute(
                "DELETE FROM votes WHERE (chosen_id, rejected_id) IN (VALUES (?, ?), (?, ?))",
                (chosen_id, rejected_id, rejected_id, chosen_id),
            )
            db.execute(
                "INSERT INTO votes (chosen_id, rejected_id, equal, blind, voted_at) VALUES (?, ?, ?, ?, ?)",
                (chosen_id, rejected_id, equal, blind, self._clock()),
            )

    def of_chat(self, conversation_id: int) -> list[Vote]:
        """Return the votes about the answers of a chat, oldest first."""
        rows = self._database.rows(
            "SELECT v.chosen_id, v.rejected_id, v.equal, v.blind, v.voted_at FROM votes v"
            " JOIN messages m ON m.id = v.chosen_id WHERE m.conversation_id = ? ORDER BY v.id",
            conversation_id,
        )
        return [
            Vote(int(chosen), int(rejected), equal == 1, blind == 1, as_float(voted_at) or 0.0)
            for chosen, rejected, equal, blind, voted_at in rows
        ]
