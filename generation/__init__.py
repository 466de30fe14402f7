"""The answers that are being written right now, in threads of the app instead of a browser tab.

    answers = Answers(database)
    answers.write(person, turn, client_of, request)     # the turn is already stored; returns at once
    key = answers.follow(person, turn.answer_id)        # whoever has the key can read the answer through `stream`
    answers.stop(person, turn.answer_id)

A page only watches. It can be closed, reloaded or opened twice: the answer continues and is stored as it grows.
"""

from generation.answers import Answers
from generation.received import Received
from generation.stream import stream

__all__ = ["Answers", "Received", "stream"]
