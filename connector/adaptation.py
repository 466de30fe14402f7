"""What models were seen not to accept, and how their requests are changed for it."""

import copy
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from connector.account import Account
from connector.change import REASONING, Body, change_of
from connector.chat_completions import ChatCompletionsRequest


@dataclass(frozen=True)
class Adaptation:
    """One change that a model's requests need."""

    parameter: str
    """Its name in the request; `role` is the role of a message, `tools` the reasoning effort beside tools, `reasoning`
    the reasoning of earlier answers, `messages.field` a field of messages, `api` an API that the model needs instead
    of this one.
    """
    value: str | float | None = None
    """The value that is not accepted; None where the parameter itself is not. For `api`: `tools` where only tools
    together with reasoning need it.
    """
    instead: str | None = None
    """The parameter, role or value that is sent instead; None where nothing is. For a parameter that another one
    excludes, this other one.
    """
    why: str = ""
    """The provider's message, without keys and prompts."""

    @property
    def change(self) -> str:
        """The change in a few words: `max_tokens sent as max_completion_tokens`."""
        return change_of(self.parameter, self.value, self.instead).words

    def __str__(self) -> str:
        return f"{self.change}: “{self.why}”" if self.why else self.change

    @property
    def key(self) -> tuple[str, str | float | None]:
        """The subject of the change. Each role is a subject of its own."""
        return self.parameter, self.value if self.parameter == "role" else None

    @property
    def is_refusal(self) -> bool:
        """Whether no change helps, so that the request is refused before it is sent."""
        return self.parameter == "api"

    def is_reverse_of(self, other: "Adaptation") -> bool:
        """Whether one undoes the other: a renamed parameter or a role, in the opposite direction."""
        if self.parameter == other.parameter == "role":
            return (self.value, self.instead) == (other.instead, other.value)
        return other.instead is not None and (self.parameter, self.instead) == (other.instead, other.parameter)

    def applies_to(self, body: Body) -> bool:
        """Whether the request contains what is not accepted."""
        return change_of(self.parameter, self.value, self.instead).applies_to(body)

    def apply(self, body: Body) -> Body:
        """Return the changed request, a new dictionary."""
        return change_of(self.parameter, self.value, self.instead).apply(body)


def applied(adaptations: Iterable[Adaptation], body: Body) -> tuple[Body, list[Adaptation]]:
    """Return the changed request and the adaptations that applied to it, each subject once."""
    every, done = tuple(adaptations), list[Adaptation]()
    while True:
        keys = {each.key for each in done}
        following = next((each for each in every if each.key not in keys and each.applies_to(body)), None)
        if following is None:
            return body, done
        body = following.apply(body)
        done.append(following)


def adapted(
    request: ChatCompletionsRequest, model: str, adaptations: Iterable[Adaptation], *, stream: bool = False
) -> tuple[Body, list[Adaptation]]:
    """Return the JSON of a request with the adaptations that apply to it, and these."""
    every = tuple(adaptations)
    is_reasoning_sent = any(each.parameter == REASONING for each in every)
    return applied(every, request.body(model, stream=stream, reasoning=is_reasoning_sent))


class Adaptations:
    """The changes that the models of one configuration need. Thread-safe; many clients may share it.

    Pass it to `Client(learnt=...)`: a refused request is changed and sent again, and a change that helped is applied
    from then on. To keep it, store `items()` and pass them to the constructor.
    """

    def __init__(self, known: Mapping[str, Iterable[Adaptation]] | None = None) -> None:
        self._known = {model: tuple(each) for model, each in (known or {}).items()}
        self._learning = threading.Lock()
        self.asks_again = False
        """Whether requests are sent although they were refused for good; see `asking_again`."""

    def of(self, model: str) -> tuple[Adaptation, ...]:
        """Return the changes for a model or deployment."""
        return self._known.get(model, ())

    def items(self) -> dict[str, tuple[Adaptation, ...]]:
        """Return all changes, by model."""
        return dict(self._known)

    def asking_again(self) -> Self:
        """Return these same changes for a test, which sends what was refused for good, and forgets it if it is
        accepted.
        """
        these = copy.copy(self)  # what is known and its lock are shared
        these.asks_again = True
        return these

    def body(self, account: Account, request: ChatCompletionsRequest) -> Body:
        """Return the JSON that a client sends for this request, with the known changes applied.

        Raises `InvalidRequest` when neither the request nor the account names a model.
        """
        model = account.model_for(request.model)
        return adapted(request, model, self.of(model))[0]

    def learn(self, model: str, adaptations: Iterable[Adaptation], outdated: Collection[Adaptation] = ()) -> None:
        """Add changes that helped. Drop those that are `outdated`, replaced or reversed by them."""
        with self._learning:
            kept = [each for each in self.of(model) if each not in outdated]
            for new in adaptations:
                kept = [each for each in kept if not _is_replaced(each, new)] + [new]
            self._known[model] = tuple(kept)

    def forget(self) -> None:
        """Drop all changes, for example after a deployment got another model."""
        with self._learning:
            self._known.clear()


def _is_replaced(old: Adaptation, new: Adaptation) -> bool:
    is_same = old.parameter == new.parameter and (new.value is None or old.value in (None, new.value))
    return is_same or new.is_reverse_of(old)
