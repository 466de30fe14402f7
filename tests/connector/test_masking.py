"""No prompt and no key in an error: whatever was sent, and in whatever spelling a provider repeats it."""

import base64
import html
import json
import re
import string
from collections.abc import Callable, Iterator
from typing import Any
from unicodedata import combining, normalize
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector import (
    Adaptations,
    AnswerInterrupted,
    CallReport,
    ChatCompletionsRequest,
    Client,
    ConnectorError,
    ContentFiltered,
    Message,
    RequestRefused,
    Role,
)
from tests.connector.conftest import PATIENCE, account, all_that_shows
from tests.provider.answers import chunk, error
from tests.provider.server import AnyReply, Chunks, ProviderServer, Reply

SECRET = 'Zoë Müller-Ångström owes "Ben\'s Café" 4,200 €\nand\tlives\\at No. 5 😀'
"""What makes spelling difficult: accents, quotes, white space, a backslash, a character outside the first plane."""


def failure(client: Client, server: ProviderServer, request: ChatCompletionsRequest, *replies: AnyReply) -> Any:
    server.next(*replies)
    with pytest.raises(ConnectorError) as caught:
        client.call_api(request)
    return caught.value


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "in capitals": str.upper,
    "in small letters": str.lower,
    "in one line": lambda text: " ".join(text.split()),
    "in many lines": lambda text: "\n  ".join(text.split()),
    "as JSON": json.dumps,
    "as JSON with its own letters": lambda text: json.dumps(text, ensure_ascii=False),
    "as JSON in JSON": lambda text: json.dumps(json.dumps({"input": text})),
    "as Python shows it": lambda text: repr([{"role": "user", "content": text}]),
    "as Python shows it in ASCII": lambda text: ascii(text),
    "with HTML's entities": lambda text: text.replace('"', "&quot;").replace("'", "&#x27;").replace("é", "&eacute;"),
    "as Python shows its bytes": lambda text: repr(text.encode()),
    "percent-encoded": quote,
    "as forms are sent": quote_plus,
    "with HTML's numbers": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "with HTML's entities, twice": lambda text: html.escape(html.escape(text)).replace("😀", "&amp;#x1f600;"),
    "percent-encoded twice": lambda text: quote(quote(text)),
    "percent-encoded three times": lambda text: quote(quote(quote(text))),
    "percent-encoded in JSON in HTML": lambda text: html.escape(json.dumps(quote(text))),
    "with HTML's entities in JSON": lambda text: json.dumps(html.escape(text)).replace("&", "\\u0026"),
    "composed": lambda text: normalize("NFC", text),
    "decomposed": lambda text: normalize("NFD", text),
    "without accents": lambda text: "".join(letter for letter in normalize("NFD", text) if not combining(letter)),
    "in letters of full width": lambda text: "".join(
        chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text
    ),
    "with characters without width": lambda text: "\u200b".join(text),
    "with JavaScript's escapes": lambda text: text.replace("😀", "\\u{1F600}"),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_repeated_prompt_is_masked_in_every_spelling(
    server: ProviderServer, client: Client, spelling: Callable[[str], str]
) -> None:
    said = f"Bad input {spelling(SECRET)} at position 7."
    refused = failure(client, server, ChatCompletionsRequest.of_prompts(SECRET), Reply(400, error(said)))
    assert refused.provider_message.startswith("Bad input")
    assert refused.provider_message.endswith("at position 7.")
    shown = all_that_shows(refused).casefold()
    for word in ("zo\\xeb", "zoë", "müller", "m\\u00fc", "ångstr", "ben", "caf", "4,200", "lives", "No. 5"):
        assert word.casefold() not in shown.replace("bench", ""), word


@pytest.mark.parametrize("length", [24, 40, 200])
@pytest.mark.parametrize("start", [0, 13, 500, 1700])
def test_a_piece_of_a_long_prompt_is_masked(server: ProviderServer, client: Client, start: int, length: int) -> None:
    prompt = " ".join(f"Guest {name} sleeps in room {number}," for number, name in enumerate(string.ascii_letters))
    piece = prompt[start : start + length]
    said = error(f"The text “{piece}” is not allowed.")
    refused = failure(client, server, ChatCompletionsRequest.of_prompts(prompt), Reply(400, said))
    assert "sleeps in" not in refused.provider_message
    assert refused.provider_message.startswith("The text “")
    assert refused.provider_message.endswith("” is not allowed.")


TEXT = "Jane Hopper"
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Finds Jane Hopper",
        "parameters": {"type": "object", "properties": {"of": {"type": "string", "enum": [TEXT]}}},
    },
}
CALL: Any = {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": json.dumps({"of": [TEXT, 7]})}}
ASKED = Message(role=Role.USER, content="What is it?")
REQUESTS: dict[str, dict[str, Any]] = {
    "a message": {"messages": (Message(role=Role.USER, content=TEXT),)},
    "a message with a full stop": {"messages": (Message(role=Role.USER, content=f"{TEXT}."),)},
    "an instruction": {"messages": (Message(role=Role.SYSTEM, content=TEXT), ASKED)},
    "a part": {"messages": (Message(role=Role.USER, content=({"type": "text", "text": TEXT},)),)},
    "a name": {"messages": (Message(role=Role.USER, content="What is it?", name=TEXT),)},
    "the arguments of a call": {"messages": (ASKED, Message(role=Role.ASSISTANT, content=None, tool_calls=(CALL,)))},
    "the result of a tool": {
        "messages": (ASKED, Message(role=Role.TOOL, content='{"of": "Jane Hopper"}', tool_call_id="1"))
    },
    "a choice of a tool": {"tools": (TOOL,)},
    "a stop text": {"stop": ("END", TEXT)},
    "one stop text": {"stop": TEXT},
    "the user": {"user": TEXT},
    "a prediction": {"prediction": {"type": "content", "content": TEXT}},
    "metadata": {"metadata": {"patient": TEXT}},
    "a name in metadata": {"metadata": {TEXT: "patient"}},
    "a safety identifier": {"safety_identifier": TEXT},
}


@pytest.mark.parametrize("options", REQUESTS.values(), ids=REQUESTS)
def test_no_text_of_a_request_is_in_an_error(
    server: ProviderServer, reports: list[CallReport], options: dict[str, Any]
) -> None:
    """Wherever it was sent, and wherever it comes back."""
    client = Client(account(server), on_call=reports.append, learnt=Adaptations(), max_retries=0)
    request = ChatCompletionsRequest(**{"messages": (ASKED,)} | options)
    wordy = {"message": "It says jane hopper, and JANE  HOPPER", "type": TEXT, "code": TEXT, "param": TEXT}
    filtered = {"content_filter_result": {TEXT: {"filtered": True, "severity": TEXT}}}
    headers = {"x-request-id": TEXT}
    replies = [Reply(status, {"error": wordy}, headers=headers) for status in (400, 401, 403, 404, 422, 500)]
    replies += [Reply(400, body) for body in (TEXT, [TEXT], {"detail": [{"loc": ["body", TEXT], "msg": TEXT}]})]
    replies += [Reply(400, {"error": {"code": "content_filter", "innererror": filtered}})]
    replies += [Reply(400, error(f"Unsupported parameter: '{TEXT}'. Supported values are: '{TEXT}'.", param=TEXT))]
    replies += [Reply(200, {"error": wordy}, headers=headers), Reply(200, "nonsense", headers=headers)]
    for reply in replies:
        assert "hopper" not in all_that_shows(failure(client, server, request, reply)).casefold(), reply
    assert "hopper" not in repr([(report.error, report.request_id) for report in reports]).casefold()


def test_no_prompt_is_in_an_error_inside_a_stream(server: ProviderServer, client: Client) -> None:
    request = ChatCompletionsRequest.of_prompts(TEXT)
    said = Chunks(
        [chunk("Yes"), {"error": {"message": "No jane hopper.", "code": TEXT}}], headers={"x-request-id": TEXT}
    )
    cut = Chunks([chunk("Yes")], done=False, headers={"x-request-id": TEXT})
    for reply, kind in ((said, ConnectorError), (cut, AnswerInterrupted)):
        server.next(reply)
        with pytest.raises(kind) as caught:
            list(client.stream(request))
        assert "hopper" not in all_that_shows(caught.value).casefold()


def test_what_an_error_shows_of_a_prompt_is_a_mask(server: ProviderServer, client: Client) -> None:
    request = ChatCompletionsRequest.of_prompts("Jane Hopper", user="blue team")
    said = error("Unknown user “Blue Team”, who wrote: “jane hopper”.", code="jane hopper", param="user.blue team")
    refused = failure(client, server, request, Reply(400, said, headers={"x-request-id": "id of Jane Hopper"}))
    assert refused.provider_message == "Unknown user “[prompt]”, who wrote: “[prompt]”."
    assert (refused.code, refused.param, refused.request_id) == ("[prompt]", "user.[prompt]", "id of [prompt]")
    filtered = {"content_filter_result": {"hate": {"filtered": True, "severity": "jane hopper"}}}
    blocked = failure(
        client, server, request, Reply(400, {"error": {"code": "content_filter", "innererror": filtered}})
    )
    assert isinstance(blocked, ContentFiltered)
    assert blocked.categories == {"hate": "[prompt]"}


@pytest.mark.parametrize(
    ("prompt", "said", "shown"),
    [
        ("tokens", "max_tokens is too large: 9 tokens", "max_tokens is too large: 9 [prompt]"),
        ("test", "The model `gpt-tests` is not testable.", "The model `gpt-tests` is not testable."),
        ("Hi!", "Hi! is too short.", "Hi! is too short."),
        ("你好世界", "错误：你好世界不行", "错误：[prompt]不行"),
        ("ok so", "OKSOME ok, so what", "OKSOME ok, so what"),
        ("role", "role user: role", "[prompt] user: [prompt]"),
    ],
)
def test_a_short_prompt_is_masked_where_it_stands_as_words(
    server: ProviderServer, client: Client, prompt: str, said: str, shown: str
) -> None:
    refused = failure(client, server, ChatCompletionsRequest.of_prompts(prompt), Reply(400, error(said)))
    assert refused.provider_message == shown


def test_the_words_of_the_api_are_not_masked(server: ProviderServer, client: Client) -> None:
    """The request contains them, too: its model, roles, types and choices."""
    said = "The model `gpt-test` of type function takes no role user, no object, and no effort high, only medium."
    request = ChatCompletionsRequest(messages=(ASKED,), reasoning_effort="high", tools=(TOOL,))
    assert failure(client, server, request, Reply(400, error(said))).provider_message == said


def test_a_parameter_is_understood_although_the_prompt_is_its_name(server: ProviderServer) -> None:
    server.next(Reply(400, error("Unsupported parameter: 'top_p' is not supported.", param="top_p", code="top_p")))
    reports: list[CallReport] = []
    client = Client(account(server), on_call=reports.append, learnt=Adaptations(), max_retries=0)
    client.call_api(ChatCompletionsRequest.of_prompts("top_p", top_p=0.5))
    [adaptation] = reports[0].adaptations
    assert (adaptation.parameter, adaptation.why) == ("top_p", "Unsupported parameter: '[prompt]' is not supported.")


@pytest.mark.parametrize("name", ["stop", "user", "prompt_cache_key", "safety_identifier"])
def test_a_text_that_is_left_out_is_not_remembered(server: ProviderServer, name: str) -> None:
    learnt = Adaptations()
    said = f"Unsupported value: '{name}' does not support '{TEXT}' with this model."
    server.next(Reply(400, error(said, param=name, code="unsupported_value")))
    Client(account(server), learnt=learnt, max_retries=0).call_api(
        ChatCompletionsRequest.of_prompts("What is it?", **{name: TEXT})
    )
    assert [each.change for each in learnt.of("gpt-test")] == [f"{name} left out"]
    assert TEXT not in repr(learnt.items())


def test_the_end_of_a_text_that_is_cut_off_is_not_shown(server: ProviderServer, client: Client) -> None:
    """It is repeated so often that it is cut off in the middle, and nearly all that is before it is masked."""
    said = error("No: " + "Jane Hopper" * 2000)
    request = ChatCompletionsRequest.of_prompts("Jane Hopper" * 9)
    assert failure(client, server, request, Reply(400, said)).provider_message == "No: [prompt]"


def test_a_prompt_of_a_megabyte_is_masked(server: ProviderServer, client: Client) -> None:
    prompt = " ".join(f"guest {number} sleeps in room {number % 977}," for number in range(30_000))
    for said in (prompt, f"Input too long: {prompt[500_000:500_100]}… (1 MB)"):
        refused = failure(client, server, ChatCompletionsRequest.of_prompts(prompt), Reply(400, error(said)))
        assert "sleeps" not in all_that_shows(refused)


# -- keys

KEY = "0a1B2c3D/4e5F+6a7B8c9D0e1F=2a3B"
KEYS: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "in capitals": str.upper,
    "in small letters": str.lower,
    "percent-encoded": lambda key: quote(key, safe=""),
    "percent-encoded throughout": lambda key: "".join(f"%{ord(each):02X}" for each in key),
    "in base64": lambda key: base64.b64encode(key.encode()).decode(),
    "in base64 for addresses": lambda key: base64.urlsafe_b64encode(key.encode()).decode().rstrip("="),
    "as a password in base64": lambda key: base64.b64encode(f"me:{key}".encode()).decode(),
    "as a header in base64": lambda key: base64.b64encode(f"Bearer {key}\n".encode()).decode(),
    "as JSON": lambda key: json.dumps(key).replace("/", "\\/"),
    "as JSON in ASCII": lambda key: "".join(f"\\u{ord(each):04x}" for each in key),
}


@pytest.mark.parametrize("spelling", KEYS.values(), ids=KEYS)
def test_a_repeated_key_is_masked_in_every_spelling(server: ProviderServer, spelling: Callable[[str], str]) -> None:
    client = Client(account(server, api_key=KEY), timeout=PATIENCE, max_retries=0)
    told = spelling(KEY)
    said = error(f"Wrong key {told}, try again.", code=f"code {told}", param=told)
    refused = failure(client, server, ChatCompletionsRequest.of_prompts("Hm."), Reply(400, said))
    assert isinstance(refused, RequestRefused)
    assert refused.provider_message.replace('"', "") == "Wrong key [key], try again."
    shown = all_that_shows(refused).replace("\\\\", "\\")
    assert not any(told[at : at + 9] in shown for at in range(len(told) - 9))


def test_a_piece_of_a_key_is_masked(server: ProviderServer) -> None:
    client = Client(account(server, api_key=KEY), timeout=PATIENCE, max_retries=0)
    said = error(f"Keys like {KEY[:19].upper()}… are revoked.")
    refused = failure(client, server, ChatCompletionsRequest.of_prompts("Hm."), Reply(400, said))
    assert refused.provider_message == "Keys like [key]… are revoked."


# The beginning and the end of a key, as a provider shows it.
HIDDEN = {
    "0a1B****2a3B": "[key]",
    "0a1B2c3D*******************2a3B": "[key]",
    "0A1B2C3D/4E5F+6A7B****2A3B": "[key][key]",
    "0a1...a3B": "[key]",
    "0a1B…2a3B": "[key]",
    "0a1B••••2a3B": "[key]",
    "0a1B[...]2a3B": "[key]",
    "0a1BXXXXXXXX2a3B": "[key]",
    "****2a3B": "[key]",
    "key=0a1B...": "key=[key]",
    "abcd****wxyz": "abcd****wxyz",
    "Wait...": "Wait...",
}


@pytest.mark.parametrize("shown", HIDDEN)
def test_a_key_whose_middle_is_hidden_is_masked(server: ProviderServer, shown: str) -> None:
    client = Client(account(server, api_key=KEY), timeout=PATIENCE, max_retries=0)
    said = error(f"Wrong key “{shown}” at a..b.")
    refused = failure(client, server, ChatCompletionsRequest.of_prompts("Hm."), Reply(400, said))
    assert refused.provider_message == f"Wrong key “{HIDDEN[shown]}” at a..b."


# -- exhaustive forms


@pytest.fixture(scope="module")
def quiet_server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


_ALPHABET = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"))


@pytest.mark.soak
@given(
    before=st.text(_ALPHABET, max_size=20),
    text=st.text(_ALPHABET, min_size=24, max_size=60).filter(str.strip),
    after=st.text(_ALPHABET, max_size=20),
    times=st.integers(0, 3),
)
def test_any_text_is_masked_however_often_it_is_escaped(
    quiet_server: ProviderServer, before: str, text: str, after: str, times: int
) -> None:
    said = text
    for _ in range(times):
        said = json.dumps(said)
    client = Client(account(quiet_server), timeout=PATIENCE, max_retries=0)
    request = ChatCompletionsRequest.of_prompts(text)
    shown = failure(client, quiet_server, request, Reply(400, error(f"{before}| {said} |{after}"))).provider_message
    counted = re.sub(r"[\s\"'`\\\\]", "", text.casefold()).strip(string.punctuation)
    assert len(counted) < 15 or "[prompt]" in shown


@pytest.mark.soak
@given(
    prompt=st.text(st.sampled_from("ab "), min_size=40, max_size=400).filter(str.strip),
    start=st.integers(0, 300),
    length=st.integers(16, 80),
)
def test_any_piece_is_masked(quiet_server: ProviderServer, prompt: str, start: int, length: int) -> None:
    piece = prompt[start : start + length]
    client = Client(account(quiet_server), timeout=PATIENCE, max_retries=0)
    request = ChatCompletionsRequest.of_prompts(prompt)
    shown = failure(client, quiet_server, request, Reply(400, error(f"[{piece}]"))).provider_message
    assert len("".join(piece.split())) < 15 or "".join(shown.split()) == "[[prompt]]"


def test_a_word_of_the_api_that_is_a_title_of_a_schema_stays_readable(server: ProviderServer) -> None:
    parameters = {"type": "object", "properties": {"model": {"type": "string", "title": "Model"}}}
    tool: Any = {"type": "function", "function": {"name": "pick", "parameters": parameters}}
    server.next(Reply(404, error("The model `gpt-9` does not exist.")))
    with pytest.raises(ConnectorError) as caught:
        Client(account(server), max_retries=0).call_api(ChatCompletionsRequest.of_prompts("Hello", tools=(tool,)))
    assert caught.value.reason == "no_model"
