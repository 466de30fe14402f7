"""What providers say when they refuse a request: one table per meaning, each wording with its source.

The sources are public issues that quote the refusal. The words are searched as well as the code, because gateways often
forward only the words, and because the code often says nothing.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

_REFUSED = frozenset({400})
_INVALID = frozenset({400, 422})
_FOR_GOOD = frozenset({400, 403, 404})
_FAILED = frozenset({400, 500})
"""For some servers, a chat template that raises an error is a server error."""


@dataclass(frozen=True)
class Wording:
    """One way to say something. Case does not count. What a wording names, it has in its first group."""

    pattern: str
    source: str
    statuses: frozenset[int] | None = None
    """The HTTP statuses that it is believed with; None for any, also for none, as inside a stream."""
    about: str = ""
    """What it is about, where it does not name that by the name of this API."""


Quoted = Collection[tuple[int, int]]
"""Where words repeat what was sent, which says nothing of the provider's own."""
_MORE = 8
"""Characters that a repetition has besides a wording, if it is more than this wording by chance."""


def named_by(wordings: Iterable[Wording], words: str, status: int | None, quoted: Quoted = ()) -> Iterator[str]:
    """Yield what the words name in each of these wordings; an empty text where a wording names nothing."""
    for each in wordings:
        if each.statuses is None or status in each.statuses:
            for found in re.finditer(each.pattern, words, re.IGNORECASE | re.DOTALL):
                if not _is_in_a_quote(found, quoted):
                    yield next((name for name in found.groups() if name), each.about)


def says(wordings: Iterable[Wording], words: str, status: int | None, quoted: Quoted = ()) -> bool:
    """Whether the words contain one of these wordings."""
    return any(True for _ in named_by(wordings, words, status, quoted))


def _is_in_a_quote(found: re.Match[str], quoted: Quoted) -> bool:
    """Whether a wording is only part of what the provider repeats: a quote is introduced by other words, and it is
    longer. A person who asks about `insufficient balance` can have no balance.
    """
    start, end = found.span()
    return any(0 < first <= start and end <= last and last - first - (end - start) >= _MORE for first, last in quoted)


_NAME = r"['\"`]?([\w.\[\]-]{1,60})['\"`]?"
_QUOTED = r"['\"`]([\w.\[\]-]{1,60})['\"`]"
_NAMES = r"([\w.,` -]{1,300})"

UNSUPPORTED = (
    Wording(
        rf"unsupported (?:value|parameter): {_QUOTED}", "openai/openai-python#1724, lobehub/lobehub#9385", _REFUSED
    ),
    Wording(rf"unknown parameter: {_QUOTED}", "OpenAI and Azure: the code unknown_parameter", _REFUSED),
    Wording(
        rf"unrecognized request argument(?:s|\(s\))? supplied: {_NAMES}",
        "janhq/jan#4392, nashsu/llm_wiki#336",
        _REFUSED,
    ),
    Wording(rf"model incompatible request argument(?:s|\(s\))? supplied: {_NAMES}", "charmbracelet/mods#480", _REFUSED),
    Wording(rf"{_QUOTED} is not supported (?:with|by) this model", "OpenAI, Azure and others", _REFUSED),
    Wording(
        rf"(?:additional|unevaluated) properties are not allowed \({_QUOTED} was",
        "validators of JSON schemas",
        _INVALID,
    ),
    Wording(rf"property {_QUOTED} is unsupported", "Groq: fanenr/chatbot#21", _REFUSED),
    Wording(
        rf"unknown name {_QUOTED}(?: at '(?:\1|messages[^']{{0,60}})')?: cannot find field",
        "Gemini: n4ze3m/page-assist#418",
        _REFUSED,
    ),
    Wording(rf"argument not supported on this model: {_NAME}", "xAI: lobehub/lobehub#7370", _REFUSED),
    Wording(rf"does not support parameter {_NAME}", "xAI: open-webui/open-webui#21266", _REFUSED),
    Wording(r"does not support parameters: [\[{]([^\]}]{1,300})", "LiteLLM: BerriAI/litellm#6456", _REFUSED),
    Wording(rf"unsupported parameter\(s\): {_NAMES}", "NVIDIA: MoonshotAI/kimi-cli#2534", _REFUSED),
    Wording(rf"unknown field:? {_NAME}", "Databricks: anomalyco/opencode#31156, Cohere, serde", _INVALID),
    Wording(rf"{_NAME}: unknown variant ['`]", "DeepSeek: serde's message for a choice", _INVALID),
    Wording(r"don't support (\w{1,60})=", "LiteLLM, for one value", _REFUSED),
    Wording(rf"support (?:the )?{_QUOTED} parameter", "gateways", _INVALID),
    Wording(rf"input validation error: {_NAME} not supported", "Text Generation Inference", _INVALID),
    Wording(
        rf"(?<!\w)(?!model\b){_NAME} is not supported(?! (?:in|when)\b)",
        "SambaNova, Perplexity",
        _REFUSED,
    ),
    Wording(rf"{_NAME} is not a valid parameter", "watsonx", _REFUSED),
    Wording(r"does not support thinking", "Ollama", _REFUSED, about="reasoning_effort"),
    Wording(r"support the stopSequences field", "Bedrock", _REFUSED, about="stop"),
    Wording(r"#: extraneous key \[(\w{1,60})\] is not permitted", "Bedrock: promptfoo/promptfoo#914", _REFUSED),
    Wording(rf"{_QUOTED} is not allowed", "a gateway: RooCodeInc/Roo-Code#83", _REFUSED),
    Wording(rf"{_NAME} is deprecated for this model", "Anthropic: The-PR-Agent/pr-agent#2456", _REFUSED),
    Wording(rf"invalid {_NAME}: only [\d.]+ is allowed", "Kimi: countbot-ai/CountBot#61", _REFUSED),
    # A list of problems in the body is read as this wording; see `error_body`.
    Wording(rf"{_NAME}: extra inputs are not permitted", "Mistral: editor-code-assistant/eca#231", _INVALID),
    Wording(
        r"'loc': \('body', (?:'messages', [^()]{1,200}, )?'(\w{1,60})'[^()]*\), 'msg': 'extra inputs",
        "vLLM: voideditor/void#128",
        _INVALID,
    ),
    Wording(
        r"body -> (?:messages -> (?:\w{1,60} -> ){1,8})?([\w.]{1,60})\s+extra inputs",
        "NVIDIA: NVIDIA/garak#748",
        _INVALID,
    ),
    Wording(r"\n([\w.]{1,60})\n\s+extra inputs are not permitted", "vLLM: pydantic's own text", _INVALID),
    Wording(rf"extra inputs are not permitted, field: {_QUOTED}", "Fireworks: FlowiseAI/Flowise#2866", _INVALID),
    Wording(rf"{_NAME}: input should be '", "vLLM, Mistral: pydantic's message for a choice", _INVALID),
    Wording(rf"unrecognized key(?:s|\(s\))?(?: in object)?: {_QUOTED}", "validators of zod", _INVALID),
    Wording(rf"{_QUOTED} must be one of ['`]", "Groq: console.groq.com/docs/reasoning", _REFUSED),
)
"""Parameters that are not supported, or not with this value."""

_PAIR = r"(['\"`]?\w{1,60}['\"`]? (?:and|or) ['\"`]?\w{1,60}['\"`]?)"
_TOGETHER = "(?:at the same time|together|simultaneously)"

EXCLUSIVE = (
    Wording(rf"{_PAIR} cannot both be", "Anthropic: skydiscover-ai/skydiscover#15", _INVALID),
    Wording(rf"setting {_PAIR} {_TOGETHER} is not supported", "OpenAI: langchain-ai/langgraph#5943", _INVALID),
    Wording(rf"{_PAIR} can(?:not| not|'t) be \w+ {_TOGETHER}", "Volcengine: HKUDS/nanobot#2548", _INVALID),
    Wording(
        rf"(?:cannot|can't|do not) \w+ both {_PAIR}",
        "Perplexity, Cohere: BerriAI/litellm#1817, LanceMoe/openai-translator#27",
        _INVALID,
    ),
    Wording(rf"only one of {_PAIR} (?:can|may|should|must) be", "OpenRouter: lobehub/lobehub#7879", _INVALID),
    Wording(rf"{_PAIR} are mutually exclusive|either {_PAIR},? (?:but )?not both", "gateways", _INVALID),
)
"""Two parameters that are not accepted together."""

SUPPORTED = (
    Wording(r"supported values are: (.{1,200}?)(?:\.|$)", "OpenAI, Azure"),
    Wording(r"(?:should be|must be one of|expected one of|expected tags:) (.{1,200}?)(?:\.|;|$)", "pydantic, serde"),
)
"""The values that are supported."""

NO_INSTRUCTIONS = (
    Wording(r"system role (?:is )?not supported", "Gemma: vllm-project/vllm#2964, BerriAI/litellm#4558", _FAILED),
    Wording(r"only user,? and assistant roles are supported", "Mistral: Mintplex-Labs/anything-llm#2914", _FAILED),
    Wording(r"developer instruction is not enabled", "Gemma at Gemini: agno-agi/agno#3505", _REFUSED),
)
"""Chat templates without instructions, which also want user and assistant to take turns."""

REASONING_WANTED = (
    Wording(
        r"reasoning_\w+`? .{0,60}(?:passed back|is missing|is required)",
        "DeepSeek: the-open-agent/openagent#2206, hotovo/aider-desk#529",
        _REFUSED,
    ),
    Wording(r"missing `?reasoning_\w+", "Kimi: mastra-ai/mastra#12592", _REFUSED),
)
"""The reasoning of earlier answers has to be sent back."""

_RESPONSES = r"(v1/responses|responses api)"

TOOLS_IN_OTHER_API = (
    Wording(
        rf"tools\b.{{0,80}}?\breasoning.{{0,200}}?\buse (?:the )?/?{_RESPONSES}", "pipecat-ai/pipecat#4043", _FOR_GOOD
    ),
)
"""Tools together with reasoning that are offered in another API only."""

OTHER_API = (
    Wording(r"model is only (?:supported|available) in (v1/[\w/-]{1,40})", "docker/docker-agent#313", _FOR_GOOD),
    Wording(rf"not supported in (?:the )?/?v1/chat/completions.{{0,80}}?{_RESPONSES}", "OpenAI", _FOR_GOOD),
    Wording(rf"only (?:supported|available) (?:in|via|through) (?:the )?/?{_RESPONSES}", "OpenAI, Azure", _FOR_GOOD),
    Wording(rf"not \w+ (?:via|through) (?:the )?/?chat[ /]completions.{{0,120}}?{_RESPONSES}", "OpenAI", _FOR_GOOD),
    Wording(rf"v1/chat/completions is not supported.{{0,80}}?{_RESPONSES}", "Wei-Shaw/sub2api#885", _FOR_GOOD),
)
"""A model that is offered in another API only."""

NO_ROUTE = (
    Wording(
        r"no endpoints found (?:for|that|matching|which)|no allowed providers are available",
        "OpenRouter: pydantic/pydantic-ai#2896, zed-industries/zed#36094",
    ),
)
"""The provider passes requests on, and nobody it may pass this one on to offers what it needs."""

NOT_A_CHAT_MODEL = (
    Wording(r"not a chat model|not supported in the v1/chat", "langbot-app/LangBot#400"),
    Wording(
        r"chatcompletion operation does not work with the specified model", "Azure: the code OperationNotSupported"
    ),
)

TOKEN_LIMIT_USED_UP = (Wording(r"output limit was reached", "OpenAI"),)
"""A reasoning model used up its limit before it answered: the model exists and works."""

TOO_LARGE = (Wording(r"request too large for", "OpenAI: vanna-ai/vanna-flask#11; Groq: cottongeeks/podscript#20"),)
"""One request is larger than the allowance of a minute. Waiting never helps."""

NO_MONEY = (
    Wording(r"insufficient (?:credits?|balance|funds)|balance is (?:insufficient|not enough)", "OpenRouter, DeepSeek"),
)
"""The account has no credit left. Waiting does not help."""

WRONG_KEY = (
    Wording(
        r"(?:incorrect|invalid) api[ -]?key|api key (?:is )?(?:not valid|invalid|expired)",
        "xAI and Gemini, which answer 400",
        frozenset({400, 401, 403}),
    ),
)
"""A key that is not accepted, with another status than 401."""

NO_RIGHTS = (
    Wording(r"missing (?:scope|role|permission|subscription(?! key))", "OpenAI: openclaw/openclaw#56658"),
    Wording(r"insufficient (?:permission|\w* ?scope)", "OpenAI, Google: analogdotnow/Analog#296"),
    Wording(r"lacks the required data action", "Azure: microsoft/ai-agent-evals#43"),
    Wording(
        r"(?:principal|user|account|key|project|organization|subscription) does not have (?:access|permission)",
        "Azure: Azure-Samples/azure-search-openai-demo#1837",
    ),
    Wording(r"(?:role|scope|permission) is required|required (?:role|scope|permission)", "GitHub Models"),
    Wording(r"member of an organization", "OpenAI: platform.openai.com/docs/guides/error-codes"),
    Wording(r"\b(?:no|not have an?|requires? an?) (?:\w+ )?subscription|not subscribed", "gateways"),
    Wording(r"subscription (?:was |is |has )?(?:not found|not active|inactive|required|expired)", "gateways"),
)
"""The key is known, and may not do this."""

NO_KEY_SEEN = (Wording(r"missing subscription key", "Azure API Management: Azure-Samples/openai-apim-lb#31"),)
"""The key was not in the header that the gateway reads."""

_TOKENS = r"\(?(\d[\d,]*)(?!\w)"

WINDOW = (
    Wording(
        rf"context (?:length|size|window)(?: limit)?(?: is| of|:)?(?: only)? {_TOKENS}",
        "OpenAI: webtimemachine/wtm2#579, vLLM: vllm-project/vllm#20409, LM Studio: lmstudio-bug-tracker#546",
    ),
    Wording(rf"with {_TOKENS} maximum context length", "Mistral"),
    Wording(rf"model token limit: {_TOKENS}", "Kimi"),
    Wording(rf"current length is \d+ while limit is {_TOKENS}", "Cerebras"),
    Wording(rf"exceeds (?:the )?max(?:imum)?(?: allowed)? length(?: of)? {_TOKENS}", "SGLang"),
    Wording(rf"maximum model length of {_TOKENS}", "vLLM: google/tunix#222"),
    Wording(rf"n_ctx: {_TOKENS}", "llama.cpp: ggml-org/llama.cpp#15780"),
    Wording(rf"max_new_tokens\W+must be <= {_TOKENS}", "Text Generation Inference, Together"),
    Wording(rf"exceed context limit: \d+ \+ \d+ > {_TOKENS}", "Anthropic: egoist/chatwise-releases#917"),
)
"""The context window in tokens, for prompt and answer together."""

INPUT_LIMIT = (
    Wording(rf"limit of the prompt is {_TOKENS}", "the sentence of `refusals`"),
    Wording(rf"input tokens exceed the configured limit of {_TOKENS}", "OpenAI, Azure: tridz-dev/huf#157"),
    Wording(rf"range of input length should be \[\d+, {_TOKENS}", "Alibaba Cloud Model Studio"),
    Wording(rf"maximum prompt length is {_TOKENS}", "xAI: cline/cline#3120"),
    Wording(rf"exceeds the maximum number of tokens allowed {_TOKENS}", "Gemini: google-gemini/gemini-cli#6678"),
    Wording(rf"prompt is too long: \d+ tokens > {_TOKENS} maximum", "Anthropic"),
    Wording(rf"too long and exceeds limit of {_TOKENS}", "vLLM: vllm-project/vllm#10440"),
)
"""The largest prompt in tokens. The answer has room of its own."""
