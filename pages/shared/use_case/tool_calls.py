"""A conversation with function calls: the person confirms each call before it runs."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import streamlit as st
from pydantic import BaseModel, ValidationError
from streamlit.delta_generator import DeltaGenerator

from connector import ChatCompletionsRequest, ChatCompletionsResponse, Message, Role
from db import LoneAnswer, MessageStatus
from pages.shared import account, answers, base
from pages.shared.base import plain
from pages.shared.use_case import doors, parts, prompts

Tools = Mapping[type[BaseModel], Callable[[Any], object]]
"""What the model may call: a class whose fields are the arguments -> the function that takes an object of it."""

DECLINED = "The person did not allow this call. Ask what to do instead."


@dataclass(frozen=True)
class ToolCall:
    """One function call that the model requested."""

    id: str
    name: str
    arguments: str
    """JSON, if the model wrote it correctly."""
    run: Callable[[], object] | None
    problem: str
    """Why the call cannot run; empty when it can."""


def with_tools(
    *, example: str, system_prompt: str, tools: Tools, answer: DeltaGenerator, action: str = "Send"
) -> ChatCompletionsResponse | None:
    """Send a message with the earlier ones and the tools; draw the conversation and the calls to confirm.

    `example` is the first value of the field.
    """
    said = _said()
    message = _field(example)
    steps = _steps(said, tools)
    system = Message(role=Role.SYSTEM, content=system_prompt)
    asked = (Message(role=Role.USER, content=f'"""{prompts.quoted(message)}"""'),) if message.strip() else ()

    def request(*more: Message) -> ChatCompletionsRequest:
        return ChatCompletionsRequest(messages=(system, *said, *more), tools=tuple(tools))

    def draw(_response: ChatCompletionsResponse, _request: ChatCompletionsRequest) -> None:
        if said[-1].role is not Role.ASSISTANT:
            answers.show_empty()
        elif said[-1].text:
            answers.draw_markdown(said[-1].text)
        results = _confirm(steps) if steps else []
        if results and parts.begin(request(*results), "call_api"):
            st.rerun()

    results_of = {each.tool_call_id: each.text for each in said if each.tool_call_id}
    with answer:
        for earlier in said[:-1] if said and said[-1].role is Role.ASSISTANT else said:
            _draw(earlier, results_of)
    has_results = bool(said) and said[-1].role is Role.TOOL  # results without an answer yet: they are sent again
    missing = "" if message.strip() or has_results else "Write a message first."
    missing = missing or ("Run or decline the calls of the model first." if steps else "")
    response = doors.advanced(request(*asked), answer=answer, action=action, missing=missing, draw=draw)
    has_ended = said and not parts.is_writing()
    if has_ended and answer.button("Start over", icon=":material/restart_alt:", type="tertiary"):
        parts.forget()
        st.rerun()
    return response


def _field(example: str) -> str:
    """Draw the field of the message; it is emptied when the message was sent."""
    page, last = account.page_name(), parts.last()
    key, emptied = f"message:{page}", f"emptied:{page}"
    st.session_state.setdefault(key, example)
    if last and st.session_state.get(emptied) != (last.id, _is_lost(last)):
        st.session_state[emptied] = last.id, _is_lost(last)
        st.session_state[key] = _message_of(last) if _is_lost(last) else ""
    return st.text_area("Message", key=key, height=90, persist_state="session")


def _is_lost(answer: LoneAnswer) -> bool:
    """Whether the answer failed without any text, so that its message is offered again."""
    return answer.status in {MessageStatus.FAILED, MessageStatus.INTERRUPTED} and not answer.content


def _message_of(answer: LoneAnswer) -> str:
    asked = ChatCompletionsRequest.of_body(answer.request).messages[-1]
    return "\n".join(prompts.unquoted(asked.text)) if asked.role is Role.USER else ""


def _said() -> list[Message]:
    """The conversation without the system prompt; the last answer is included once it is complete."""
    last = parts.last()
    if last is None:
        return []
    said = list(ChatCompletionsRequest.of_body(last.request).messages[1:])
    if _is_lost(last) and said[-1].role is Role.USER:
        said.pop()
    if last.response and answers.has_shape(last.response) and last.status is MessageStatus.COMPLETE:
        message = last.response.choices[0].message
        with suppress(base.InvalidRequest):  # the answer has neither text nor a call
            answered = Message.of_answer(message) if message else None
            if answered:
                said.append(answered)
    return said


def _steps(said: list[Message], tools: Tools) -> list[ToolCall]:
    calls: Any = said[-1].tool_calls if said else ()
    known = {tool.__name__: tool for tool in tools}
    return [_step(str(call["id"]), _function(call), known, tools) for call in calls]


def _function(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    return function if isinstance(function, dict) else {}


def _step(id: str, function: dict[str, Any], known: Mapping[str, type[BaseModel]], tools: Tools) -> ToolCall:
    name, arguments = str(function.get("name") or ""), str(function.get("arguments") or "")
    kind = known.get(name)
    if kind is None:
        return ToolCall(id, name, arguments, None, f"There is no function {name}.")
    try:
        checked = kind.model_validate_json(arguments)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}." for each in error.errors(include_url=False)]
        return ToolCall(id, name, arguments, None, " ".join(wrong))
    return ToolCall(id, name, arguments, lambda: tools[kind](checked), "")


def _confirm(steps: list[ToolCall]) -> list[Message]:
    """Draw the requested calls. Returns their results once the person has decided, an empty list before."""
    st.markdown("**Calls to confirm**")
    for step in steps:
        icon = ":material/error:" if step.problem else ":material/build:"
        with st.expander(f"**{plain(step.name)}**", expanded=True, icon=icon, type="step"):
            st.code(_pretty(step.arguments), "json", wrap_lines=True)
            if step.problem:
                st.markdown(f":red[{plain(step.problem)}] The call cannot run. Send the error to the model.")
    can_run = any(step.run for step in steps)
    with st.container(horizontal=True, gap="small"):
        if can_run:
            confirmed = st.button("Run", icon=":material/play_arrow:", key="run")
            declined = st.button("Decline", icon=":material/block:", key="decline", type="tertiary")
        else:
            confirmed, declined = st.button("Send error", icon=":material/reply:", key="run"), False
    if not confirmed and not declined:
        return []
    return [
        Message(role=Role.TOOL, tool_call_id=step.id, content=_result(step, number, is_allowed=confirmed))
        for number, step in enumerate(steps)
    ]


def _result(step: ToolCall, number: int, *, is_allowed: bool) -> str:
    if step.run is None:
        return json.dumps({"error": step.problem})
    if not is_allowed:
        return json.dumps({"error": DECLINED})
    last = parts.last()
    key = f"ran:{last.id if last else ''}:{number}"  # not the id of the call: some providers reuse ids in each answer
    if key not in st.session_state:  # a call runs once, also when its result has to be sent again
        st.session_state[key] = json.dumps(step.run(), ensure_ascii=False)
    return str(st.session_state[key])


def _pretty(arguments: str) -> str:
    try:
        pretty = json.dumps(json.loads(arguments), indent=2, ensure_ascii=False)
        pretty.encode()  # a lone surrogate like "\ud800" cannot be shown
        return pretty
    except (ValueError, RecursionError):
        return arguments


def _draw(message: Message, results: Mapping[str, str]) -> None:
    """Draw an earlier message, with the results of its calls."""
    if message.role is Role.USER:
        with st.chat_message("user", avatar=":material/person:"):
            st.text("\n".join(prompts.unquoted(message.text)) or message.text)
    elif message.role is Role.ASSISTANT:
        with st.chat_message("assistant", avatar=":material/bolt:"):
            if message.text:
                answers.draw_markdown(message.text)
            calls: Any = message.tool_calls
            for call in calls:
                function = _function(call)
                with st.expander(plain(str(function.get("name", ""))), icon=":material/build:", type="step"):
                    st.caption("Arguments")
                    st.code(_pretty(str(function.get("arguments", ""))), "json", wrap_lines=True)
                    st.caption("Result")
                    st.code(_pretty(results.get(call["id"], "")), "json", wrap_lines=True)
