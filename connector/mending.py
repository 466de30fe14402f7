"""Requests that are changed after a refusal: a parameter is left out, renamed or replaced, and the request sent again.

Newer models refuse old parameters, old versions of Azure's API refuse new ones, and no name shows which: a deployment
can have any name. The refusals do show it; `wordings` lists how.
Parameters that change the meaning of a request, such as its tools or response format, are never changed.
"""

import re
from collections.abc import Iterable

from connector.adaptation import Adaptation, Adaptations, adapted
from connector.change import IN_USER_TEXT, REASONING, RENAMED, Body
from connector.chat_completions import ChatCompletionsRequest
from connector.errors import ConnectorError
from connector.unsupported import BESIDE, EFFORT_BESIDE_TOOLS, INSTRUCTIONS, NO_REASONING, THIS_API, TOOLS_IN_THIS_API
from connector.value import choices_of

# Without any of these the answer stays of the same kind: it is only worded differently, less detailed or slower.
_LEFT_OUT = {
    *("temperature", "top_p", "frequency_penalty", "presence_penalty", "logit_bias", "seed", "stop", "n"),
    *("logprobs", "top_logprobs", "reasoning_effort", "verbosity", "parallel_tool_calls", "stream", "stream_options"),
    *("prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "user"),
}
# Of two that exclude each other, these are left out: the other one is what people set, or its newer name.
_YIELDING = ("top_p", "max_tokens", "presence_penalty")
# Without these a message would be no message, or another one.
_FIELDS_OF_EVERY_MESSAGE = {
    *("role", "content", "name", "refusal", "tool_calls", "tool_call_id", "id", "type", "function", "custom"),
    *("arguments", "input", "text", "image_url", "url", "input_audio", "data", "format", "file", "file_id"),
    *("file_data", "filename"),
}
# The roles that an instruction may be sent under, in this order, where a refusal does not name those accepted.
_ROLES = {"developer": ("system", "user"), "system": ("user", "developer")}


class Mending:
    """One request that is changed until the provider accepts it.

    This ends: each refusal either adds a change that this call has not made yet, one per parameter and role, or removes
    an earlier one that is no longer true.
    """

    def __init__(
        self, request: ChatCompletionsRequest, model: str, learnt: Adaptations | None, *, stream: bool = False
    ) -> None:
        self.choices = 1
        """How often the request is sent, where the model does not accept `n`."""
        self.applied: list[Adaptation] = []
        self.learnt: tuple[Adaptation, ...] = ()
        """The changes that this call discovered and the provider accepted."""
        self.outdated: tuple[Adaptation, ...] = ()
        """Earlier changes that are no longer true."""
        self._found: list[Adaptation] = []
        self._stale: list[Adaptation] = []
        self._request = request
        self._model = model
        self._is_streamed = stream
        self._adaptations = learnt
        known = learnt.of(model) if learnt is not None else ()
        self._known = [each for each in known if not each.is_refusal]
        self.body: Body
        self._rebuild()
        self._lasting = [each for each in known if each.is_refusal and each.applies_to(self.body)]
        self.other_api = self._lasting[0] if learnt is not None and self._lasting and not learnt.asks_again else None
        """Why the request is not sent at all: what it needs, another API offers."""

    def after(self, refusal: ConnectorError) -> bool:
        """Change the request after this refusal. Return False where no change can help."""
        if self._adaptations is None or not refusal.refused:
            return False
        if lasting := _lasting(refusal, self._found):
            self.learnt += (lasting,)
            self._adaptations.learn(self._model, (lasting,))
            self.other_api = lasting
            return "reasoning_effort" in refusal.refused  # not sent again, but refused with the sentence that is right
        found = adaptations_for(refusal, self.body, {each.value for each in self.applied if each.parameter == "role"})
        if not found:
            return False
        stale = [each for each in self.applied if each in self._known and any(_is_about(each, new) for new in found)]
        if stale:
            self._stale += stale
            self._known = [each for each in self._known if each not in stale]
        elif any(new.key == each.key or new.is_reverse_of(each) for new in found for each in self._found):
            return False
        else:
            self._found += found
        refused = self.body
        self._rebuild()
        return self.body != refused

    def confirm(self) -> None:
        """Keep the changes for later requests: the provider answered, so they helped."""
        found, stale = tuple(self._found), (*self._stale, *self._lasting)
        if self._adaptations is not None and (found, stale) != (self.learnt, self.outdated):
            self.learnt, self.outdated = found, stale
            self._adaptations.learn(self._model, found, stale)

    def _rebuild(self) -> None:
        """Apply all known changes to the original request."""
        known = (*self._known, *self._found)
        self.body, self.applied = adapted(self._request, self._model, known, stream=self._is_streamed)
        is_n_left_out = any(each.parameter == "n" for each in self.applied)
        self.choices = int(self._request.n or 1) if is_n_left_out else 1


def _lasting(refusal: ConnectorError, found: Iterable[Adaptation]) -> Adaptation | None:
    """Return a refusal that no change helps against, because only another API offers what was asked for."""
    subject = {THIS_API: None, TOOLS_IN_THIS_API: "tools"}
    name = next((name for name in refusal.refused if name in subject), None)
    if name is not None:
        return Adaptation("api", subject[name], refusal.supported[0], refusal.provider_message)
    # Tools were refused without the effort none, and now the effort none is refused.
    effort = next((each for each in found if each.parameter == "tools"), None)
    is_refused_too = "reasoning_effort" in refusal.refused
    return Adaptation("api", "tools", "v1/responses", effort.why) if effort and is_refused_too else None


def _is_about(known: Adaptation, refused: Adaptation) -> bool:
    """Whether the refusal is about what a known change put there, or about its parameter again."""
    made = known.instead in (refused.parameter, refused.value) and known.instead is not None
    return made or known.key == refused.key


def adaptations_for(refusal: ConnectorError, body: Body, roles: Iterable[object] = ()) -> list[Adaptation]:
    """Return the changes that may help after this refusal; none unless all that is refused can be changed.

    `roles` are those that were refused before.
    """
    adaptations = [_adaptation_of(name, refusal, body, set(roles)) for name in refusal.refused]
    return [each for each in adaptations if each is not None] if all(adaptations) else []


def _adaptation_of(name: str, refusal: ConnectorError, body: Body, roles: set[object]) -> Adaptation | None:
    why, supported = refusal.provider_message, refusal.supported
    if name == EFFORT_BESIDE_TOOLS:
        is_open = "tools" in body and body.get("reasoning_effort") != "none"
        return Adaptation("tools", None, "none", why) if is_open else None
    if name == NO_REASONING:
        return Adaptation(REASONING, why=why)
    if name == INSTRUCTIONS:
        role = next((each["role"] for each in body["messages"] if each.get("role") in _ROLES), None)
        return Adaptation("role", role, IN_USER_TEXT, why) if role else None
    if name.endswith(".role"):
        return _other_role(name, supported, why, body, roles)
    if BESIDE in name:
        return _left_out_beside(*name.split(BESIDE), why=why, body=body)
    name, _, inner = name.partition(".")
    if name not in body:
        return None
    if inner and name == "messages":
        left_out = Adaptation(f"{name}.{inner}", why=why)
        return left_out if inner not in _FIELDS_OF_EVERY_MESSAGE and left_out.applies_to(body) else None
    if inner:  # a request can do without any of its stream options, but without no part of a format or a tool
        is_option = name == "stream_options" and inner in body[name]
        return Adaptation(f"{name}.{inner}", None, None, why) if is_option else None
    if name in RENAMED:
        return Adaptation(name, None, RENAMED[name], why)
    if name not in _LEFT_OUT:
        return None
    value = body[name]
    if isinstance(value, str) and (nearest := _nearest(name, value, supported)):
        return Adaptation(name, value, nearest, why)
    # Where one value is refused, others may be accepted; unless only the default is, or the value is a yes or no.
    is_choice = type(value) in (int, float) or (isinstance(value, str) and bool(_order(name)))
    is_one_value = refusal.code == "unsupported_value" and is_choice and name != "n"
    is_any = refusal.only_default or not is_one_value
    return Adaptation(name, None if is_any else value, None, why)


def _left_out_beside(one: str, other: str, *, why: str, body: Body) -> Adaptation | None:
    """Return the change for two parameters that exclude each other. What keeps the meaning of the request is left out,
    and only as long as the request has both.
    """
    free = [name for name in (one, other) if name in _LEFT_OUT or name in RENAMED]
    if not free or one not in body or other not in body:
        return None
    name = next((name for name in free if name in _YIELDING), free[-1])
    return Adaptation(name, None, other if name == one else one, why)


def _nearest(name: str, value: str, supported: Iterable[str]) -> str | None:
    """Return the accepted choice that is nearest to this one; the lower of two."""
    order = _order(name)
    known = [choice for choice in order if choice in supported and choice != value]
    if value not in order or not known:
        return None
    return min(known, key=lambda choice: abs(order.index(choice) - order.index(value)))


def _order(name: str) -> list[str]:
    """Return the choices of a parameter, from little to much; none for one that takes any text."""
    field = ChatCompletionsRequest.model_fields.get(name)
    return [str(choice) for choice in choices_of(field)] if field else []


def _other_role(name: str, supported: Iterable[str], why: str, body: Body, roles: set[object]) -> Adaptation | None:
    found = re.search(r"\d+", name)
    index = int(found[0]) if found else len(body["messages"])
    role = str(body["messages"][index].get("role")) if index < len(body["messages"]) else ""
    others = [other for other in _ROLES.get(role, ()) if other not in roles and (not supported or other in supported)]
    return Adaptation("role", role, others[0], why) if others else None
