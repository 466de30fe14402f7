"""The public names of `connector`, and the absence of heavy imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import connector

ROOT = Path(__file__).parents[1]
PUBLIC = [
    "PROVIDERS",
    "AccessDenied",
    "Account",
    "Adaptation",
    "Adaptations",
    "AnswerInterrupted",
    "AnswerStream",
    "ApiType",
    "CallReport",
    "CallStatus",
    "ChatCompletionsRequest",
    "ChatCompletionsResponse",
    "ChatCompletionsSession",
    "Choice",
    "Client",
    "Configuration",
    "ConnectionFailed",
    "ConnectorError",
    "ContentFiltered",
    "ContentPart",
    "Cost",
    "Endpoint",
    "Finding",
    "InvalidConfiguration",
    "InvalidRequest",
    "KeyRefused",
    "KeyType",
    "Message",
    "Model",
    "NoAnswerInTime",
    "NotFoundAtProvider",
    "OfferedModel",
    "Price",
    "Provider",
    "ProviderUnavailable",
    "QuotaExceeded",
    "RateLimited",
    "RequestRefused",
    "Role",
    "State",
    "Step",
    "TokenLimit",
    "ToolCall",
    "UnreadableAnswer",
    "Usage",
    "UsageSource",
    "async_sdk",
    "bounds_of",
    "choices_of",
    "connector_code",
    "context_window",
    "cost_of",
    "cost_of_prompt",
    "curl_command",
    "examine",
    "fields_of",
    "filtered_of",
    "header_variables",
    "key_in",
    "key_variable",
    "models_of",
    "origin_of",
    "pooled_http_client",
    "read_endpoint",
    "sdk_code",
    "steps_of",
    "text_of",
    "token_limit_in",
    "tokens_of",
]


def in_order(name: str) -> tuple[int, str]:
    """Constants, classes, functions, each by name: the order that ruff keeps."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def test_the_public_names_are_these() -> None:
    assert connector.__all__ == PUBLIC
    assert sorted(PUBLIC, key=in_order) == PUBLIC


def test_every_public_name_exists_and_has_a_docstring() -> None:
    for name in PUBLIC:
        value = getattr(connector, name)
        is_ours = getattr(value, "__module__", "").startswith("connector")
        assert value.__doc__ or not is_ours, name


def test_nothing_but_the_public_names_is_imported_for_others() -> None:
    tree = ast.parse((ROOT / "connector" / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = [alias.name for node in imports if str(node.module).startswith("connector.") for alias in node.names]
    assert sorted(ours) == sorted(PUBLIC)
    assert {node.module for node in imports if not str(node.module).startswith("connector.")} == {"importlib", "typing"}
    [checked_only] = [node for node in tree.body if isinstance(node, ast.If)]
    later = {
        str(node.module).removeprefix("connector."): tuple(alias.name for alias in node.names)
        for node in checked_only.body
        if isinstance(node, ast.ImportFrom)
    }
    assert later == connector._LATER


@pytest.mark.slow
def test_what_no_call_needs_is_imported_when_it_is_first_used() -> None:
    script = (
        "import sys; import connector; later = {f'connector.{name}' for name in connector._LATER}; "
        "print(later & {*sys.modules}); from connector import *; print(later - {*sys.modules}); "
        "print(hasattr(connector, 'other'))"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("set()\nset()\nFalse\n", "")


def test_the_three_operations_are_called_as_the_seed_calls_them() -> None:
    operations = {name for name in vars(connector.Client) if not name.startswith("_")}
    assert {"execute_without_history", "execute_with_history", "call_api", "stream"} <= operations


@pytest.mark.slow
def test_connector_is_usable_alone() -> None:
    script = (
        "import sys; import connector; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'streamlit', 'sqlalchemy', 'alembic', 'pandas', 'numpy', 'cryptography', 'starlette', "
        "'db', 'pages', 'settings', 'demo', 'generation'}))"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.strip() == "[]"
    assert (ROOT / "connector" / "py.typed").exists()
