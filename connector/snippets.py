"""Writes code that sends a request: with this connector, with the SDK, with curl. It never contains the account's key.

The code reads the key from an environment variable. No text can end its own quotes: in Python, texts are literals; in
the shell, they are in a quoted here-document.
"""

import json
import re
import shlex
from collections.abc import Mapping

from connector.account import PROVIDERS, Account, KeyType
from connector.chat_completions import ChatCompletionsRequest
from connector.message import Message, Role

TOKEN_VARIABLE = "AZURE_OPENAI_AD_TOKEN"  # noqa: S105 - a name, the SDK's own
_WIDTH = 88
_PLAIN_ROLES = (Role.SYSTEM, Role.USER, Role.ASSISTANT)


def key_variable(configuration: Account) -> str:
    """Return the environment variable from which the code reads the key or token; empty for an Entra identity."""
    if configuration.key_type is KeyType.API_KEY:
        return PROVIDERS[configuration.api_type].key_variable
    return TOKEN_VARIABLE if configuration.key_type is KeyType.ENTRA_TOKEN else ""


def header_variables(configuration: Account) -> dict[str, str]:
    """Return the environment variables from which the code reads the values of the headers, by the headers' names."""
    return {name: "HEADER_" + re.sub(r"\W", "_", name).upper() for name in configuration.headers}


def _imports_os(configuration: Account) -> list[str]:
    return ["import os\n"] if key_variable(configuration) or configuration.headers else []


def _header_literals(configuration: Account) -> dict[str, str]:
    """The headers as Python source: names and values."""
    return {_literal(name): f'os.environ["{each}"]' for name, each in header_variables(configuration).items()}


# -- with this connector


def connector_code(configuration: Account, request: ChatCompletionsRequest) -> str:
    """Return Python that sends the request through `Client`, by the simplest possible operation."""
    names = ["ApiType", "Client", "Configuration"]
    operation, more_names = _operation(request, "" if configuration.deployment else request.model)
    if configuration.key_type is not KeyType.API_KEY:
        names.append("KeyType")
    names = sorted({*names, *more_names})
    imports = f"from connector import {', '.join(names)}"
    if len(imports) > _WIDTH:
        imports = f"from connector import (\n    {', '.join(names)},\n)"
    made = _call("configuration = Configuration", _fields_of(configuration))
    return "\n".join(
        [
            *_imports_os(configuration),
            imports,
            "",
            made,
            "client = Client(configuration)",
            *operation,
            "",
        ]
    )


def _fields_of(configuration: Account) -> dict[str, str]:
    fields = {
        "display_name": _literal(configuration.display_name),
        "api_type": f"ApiType.{configuration.api_type.name}",
        "endpoint": _literal(configuration.endpoint),
    }
    if variable := key_variable(configuration):
        fields["api_key"] = f'os.environ["{variable}"]'
    if configuration.key_type is not KeyType.API_KEY:
        fields["key_type"] = f"KeyType.{configuration.key_type.name}"
    for name in ("deployment_name", "api_version", "model_default", "key_header"):
        if value := getattr(configuration, name):
            fields[name] = _literal(value)
    if configuration.headers:
        fields["headers"] = _dictionary(_header_literals(configuration))
    return fields


def _operation(request: ChatCompletionsRequest, model: str | None) -> tuple[list[str], list[str]]:
    """Return the lines that send the request and print the answer, and the names that they import."""
    asked = {"model": _literal(model)} if model else {}
    options = request.model_fields_set - {"messages", "model", "extra"}
    if options or request.extra or not all(_is_plain(message) for message in request.messages):
        messages = _sequence("(", [_message(message) for message in request.messages], ")")
        made = _call("request = ChatCompletionsRequest", {"messages": messages, **asked, **_parameters(request)})
        sent = ["response = client.call_api(request)", "print(response.choices[0].message.content)"]
        return [made, *sent], ["ChatCompletionsRequest", "Message", "Role"]
    texts = {message.role: str(message.content) for message in request.messages}
    roles = [message.role for message in request.messages if str(message.content).strip()]
    if len(roles) == len(request.messages) and roles in ([Role.SYSTEM], [Role.USER], [Role.SYSTEM, Role.USER]):
        prompt = {"": _literal(texts[Role.USER], 1)} if Role.USER in texts else {}
        system = {"system_prompt": _literal(texts[Role.SYSTEM], 1)} if Role.SYSTEM in texts else {}
        return [_call("answer = client.execute_without_history", {**prompt, **system, **asked}), "print(answer)"], []
    lines = ["session = ChatCompletionsSession()"]
    for message in request.messages:
        said = {"": f"Role.{message.role.name}", " ": _literal(message.content, 1)}
        lines.append(_call("session.add_message", said))
    lines.append(_call("answer = client.execute_with_history", {"": "session", **asked}))
    return [*lines, "print(answer)"], ["ChatCompletionsSession", "Role"]


def _is_plain(message: Message) -> bool:
    return (
        message.model_fields_set <= {"role", "content"}
        and message.role in _PLAIN_ROLES
        and isinstance(message.content, str)
    )


def _parameters(request: ChatCompletionsRequest) -> dict[str, str]:
    names = [name for name in type(request).model_fields if name not in ("messages", "model", "extra")]
    values = {name: getattr(request, name) for name in names} | ({"extra": request.extra} if request.extra else {})
    return {name: _literal(value, 1) for name, value in values.items() if value is not None}


def _message(message: Message) -> str:
    fields = {"role": f"Role.{message.role.name}"}
    for name in type(message).model_fields:
        value = getattr(message, name)
        if name != "role" and value is not None and (name, value) != ("tool_calls", ()):
            fields[name] = _literal(value, 3)
    return _call("Message", fields, 2)


# -- with the SDK


def sdk_code(configuration: Account, request: ChatCompletionsRequest) -> str:
    """Return Python that sends the request through the openai package."""
    body = request.body(configuration.model_for(request.model))
    parameters = {name: _literal(value, 1) for name, value in body.items() if name not in request.extra}
    parameters |= _key_in_its_header(configuration)
    if request.extra:
        parameters["extra_body"] = _literal(request.extra, 1)
    imports, client = _sdk_client(configuration)
    lines = [
        *_imports_os(configuration),
        *imports,
        "",
        client,
        _call("response = client.chat.completions.create", parameters),
        "print(response.choices[0].message.content)",
        "",
    ]
    return "\n".join(lines)


def _sdk_client(configuration: Account) -> tuple[list[str], str]:
    imports: list[str] = []
    if variable := key_variable(configuration):
        secret = f'os.environ["{variable}"]'
    else:
        imports.append("from azure.identity import DefaultAzureCredential, get_bearer_token_provider")
        secret = f'get_bearer_token_provider(DefaultAzureCredential(), "{configuration.entra_scope}")'
    target = configuration.sdk_arguments
    fields = {name: _literal(value) for name, value in target.arguments.items()}
    names = ["AzureOpenAI" if target.is_azure else "OpenAI", *(["omit"] if configuration.key_header else [])]
    if target.is_azure:
        credential = {KeyType.API_KEY: "api_key", KeyType.ENTRA_TOKEN: "azure_ad_token"}
        fields[credential.get(configuration.key_type, "azure_ad_token_provider")] = secret
    else:
        fields["api_key"] = secret
    if configuration.headers:
        fields["default_headers"] = _dictionary(_header_literals(configuration))
    return [*imports, f"from openai import {', '.join(names)}"], _call(f"client = {names[0]}", fields)


def _key_in_its_header(configuration: Account) -> dict[str, str]:
    """The argument of a call that sends the key in the configuration's own header, and in no other."""
    if not configuration.key_header:
        return {}
    [name] = configuration.authorisation_of("")
    secret = f'os.environ["{key_variable(configuration)}"]'
    key = {_literal(name): f'"Bearer " + {secret}' if name == "authorization" else secret}
    return {"extra_headers": _dictionary({'"authorization"': "omit", '"api-key"': "omit"} | key)}


# -- with curl


def curl_command(configuration: Account, request: ChatCompletionsRequest) -> str:
    """Return a command for a POSIX shell that sends the request and prints the answer."""
    variable = key_variable(configuration) or TOKEN_VARIABLE
    values = {name: f"${each}" for name, each in header_variables(configuration).items()}
    headers = {**values, **configuration.authorisation_of(f"${variable}"), "content-type": "application/json"}
    body = request.body(configuration.model_for(request.model))
    lines = [
        f"curl --globoff {shlex.quote(configuration.url)} \\",
        *(f'  --header "{name}: {value}" \\' for name, value in headers.items()),
        # A quoted here-document: the shell replaces nothing in it, and no line of JSON equals its end marker.
        "  --data-binary @- <<'JSON'",
        _printable(json.dumps(body, indent=2, ensure_ascii=False)),
        "JSON",
        "",
    ]
    if configuration.key_type is KeyType.ENTRA_IDENTITY:
        scope = shlex.quote(configuration.entra_scope)
        token = f"az account get-access-token --scope {scope} --query accessToken --output tsv"
        lines.insert(0, f'{TOKEN_VARIABLE}="$({token})"')
    return "\n".join(lines)


def _printable(text: str) -> str:
    """Return JSON with all unprintable characters escaped."""
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


# -- Python literals


def _literal(value: object, depth: int = 0) -> str:
    """Return a value as Python source; `depth` is the indentation of its lines, in steps of four blanks."""
    if isinstance(value, str):
        return _text(value, depth)
    if isinstance(value, Mapping):
        return _dictionary({_text(str(name), depth): _literal(each, depth + 1) for name, each in value.items()}, depth)
    if isinstance(value, list | tuple):
        items = [_literal(each, depth + 1) for each in value]
        return _sequence("[", items, "]", depth) if isinstance(value, list) else _sequence("(", items, ")", depth)
    return repr(value)


def _dictionary(items: Mapping[str, str], depth: int = 1) -> str:
    """Return a dictionary as Python source, from the source of its names and values."""
    return _sequence("{", [f"{name}: {value}" for name, value in items.items()], "}", depth)


def _text(text: str, depth: int) -> str:
    lines = text.splitlines(keepends=True)
    if len(lines) < 2:
        return _quoted(text)
    inner = "\n".join(f"{'    ' * (depth + 1)}{_quoted(line)}" for line in lines)
    return f"(\n{inner}\n{'    ' * depth})"


def _quoted(text: str) -> str:
    plain = repr(text)
    return f'"{plain[1:-1]}"' if plain.startswith("'") and '"' not in text and "'" not in text else plain


def _sequence(opening: str, items: list[str], closing: str, depth: int = 1) -> str:
    is_single = opening == "(" and len(items) == 1
    inline = f"{opening}{', '.join(items)}{',' if is_single else ''}{closing}"
    if "\n" not in inline and len(inline) + 4 * depth <= _WIDTH:
        return inline
    inner = "".join(f"{'    ' * (depth + 1)}{item},\n" for item in items)
    return f"{opening}\n{inner}{'    ' * depth}{closing}"


def _call(name: str, arguments: Mapping[str, str], depth: int = 0) -> str:
    """Return a call as Python source. Arguments with a blank name are positional."""
    items = [f"{key}={value}" if key.strip() else value for key, value in arguments.items()]
    inline = f"{name}({', '.join(items)})"
    if "\n" not in inline and len(inline) + 4 * depth <= _WIDTH:
        return inline
    inner = "".join(f"{'    ' * (depth + 1)}{item},\n" for item in items)
    return f"{name}(\n{inner}{'    ' * depth})"
