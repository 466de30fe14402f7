"""The answers that are being written right now: in threads of the app, not of a browser tab.

    answers = Answers(database)
    answers.write(person, turn, client_of, request)     # the turn is stored already; this returns at once
    key = answers.follow(person, turn.answer_id)        # what `stream` sends as it comes, to whoever has the key
    answers.stop(person, turn.answer_id)

A page only watches. It can be closed, reloaded, opened twice: the answer goes on and is stored as it grows.
"""

from generation.answers import Answers
from generation.stream import stream
from generation.words import Words

__all__ = ["Answers", "Words", "stream"]
