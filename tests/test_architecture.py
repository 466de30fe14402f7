"""Imports point down only: app -> pages -> generation -> db -> connector (DESIGN.md, section 3)."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OUR_OWN = {"app", "connector", "db", "demo", "generation", "pages", "settings", "tests"}
ENVIRONMENT_READERS = {"app.py", "db/__main__.py", "demo/__main__.py", "demo/model.py", "settings.py"}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}


@dataclass(frozen=True)
class Rule:
    """What the files of one part may import, beside the standard library and their own package."""

    may: frozenset[str]
    only_this: frozenset[str] = frozenset()
    """Single names, with their module, where the rest of the module stays out."""
    inside_functions: frozenset[str] = frozenset()


def rule(*may: str, only_this: tuple[str, ...] = (), inside_functions: tuple[str, ...] = ()) -> Rule:
    return Rule(frozenset(may), frozenset(only_this), frozenset(inside_functions))


SECRET = "pydantic.SecretStr"
SCHEMA = "pydantic.BaseModel", "pydantic.Field"
DRAWING = ("streamlit", "pandas", "altair")
CONNECTOR = rule(
    "connector",
    "openai",
    "httpx2",
    "jiter",
    "pydantic",
    inside_functions=("genai_prices", "azure", "tiktoken", "yaml"),
)
DB = rule(
    "db", "connector", "sqlalchemy", "alembic", "cryptography", only_this=(SECRET,), inside_functions=("psycopg",)
)
DB_MAIN = rule("db", "settings")
GENERATION = rule("generation", "connector", "db", "starlette")
SHARED = rule(
    "pages.shared",
    "connector",
    "db",
    "generation",
    "settings",
    *DRAWING,
    only_this=(SECRET, *SCHEMA, "pydantic.ValidationError"),
)
RUNTIME = rule("pages.shared", "connector", "db", "generation", "settings", "httpx2", *DRAWING, only_this=(SECRET,))
PAGE = rule("pages.shared", "connector", *DRAWING, only_this=SCHEMA)
DEMO = rule("demo", "connector", "db", "settings", only_this=(SECRET,))
APP = rule("pages.shared", "settings", "generation", "streamlit", "starlette")
SETTINGS = rule()


def rule_for(path: str) -> Rule:
    match path.split("/"):
        case ["connector", *_]:
            return CONNECTOR
        case ["db", "__main__.py"]:
            return DB_MAIN
        case ["db", *_]:
            return DB
        case ["generation", *_]:
            return GENERATION
        case ["pages", "shared", "base", "runtime.py"]:
            return RUNTIME
        case ["pages", "shared", *_]:
            return SHARED
        case ["pages", *_]:
            return PAGE
        case ["demo", *_]:
            return DEMO
        case ["app.py"]:
            return APP
        case ["settings.py"]:
            return SETTINGS
    raise ValueError(f"{path} belongs to no part: name it in DESIGN.md, section 3, and here")


def violations(path: str, source: str) -> Iterator[str]:
    """What this file imports, or reads of the environment, and must not."""
    allowed = rule_for(path)
    tree = ast.parse(source, path)
    deep = {id(node) for function in ast.walk(tree) if isinstance(function, FUNCTION) for node in ast.walk(function)}
    for node in ast.walk(tree):
        for imported in imports(node):
            if why := objection(path, imported, allowed, is_inside_function=id(node) in deep):
                yield f"{path}:{node.lineno} {why}"  # type: ignore[attr-defined]  # an import statement has one
        if path not in ENVIRONMENT_READERS and (name := environment_read_by(node)):
            yield f"{path}:{node.lineno} reads os.{name}"  # type: ignore[attr-defined]  # so has an expression


FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def imports(node: ast.AST) -> list[str]:
    """The names this statement imports, each with its module: `from a.b import c` is `a.b.c`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
    return []


def environment_read_by(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
        return node.attr if node.attr in ENVIRONMENT else None
    if isinstance(node, ast.ImportFrom) and node.module == "os":
        return next((alias.name for alias in node.names if alias.name in ENVIRONMENT), None)
    return None


def objection(path: str, imported: str, allowed: Rule, *, is_inside_function: bool) -> str | None:
    if imported.startswith("."):
        return f"imports {imported}: write the whole name"
    top = imported.partition(".")[0]
    if top in sys.stdlib_module_names or imported in allowed.only_this:
        return None
    if is_inside_function and top in allowed.inside_functions:
        return None
    if not any(f"{imported}.".startswith(f"{may}.") for may in allowed.may):
        return f"imports {imported}"
    is_own_package = path.split("/")[0] == top and top != "pages"
    if top not in OUR_OWN or top == "pages" or is_own_package:
        return None
    # `from db import Database` is one dot; whatever is deeper is inside another package.
    if imported.count(".") > 1 or (ROOT / f"{imported.replace('.', '/')}.py").exists():
        return f"imports {imported} from inside another package"
    return None


def our_files() -> list[str]:
    files = [ROOT / "app.py", ROOT / "settings.py"]
    for package in ("connector", "db", "demo", "generation", "pages"):
        files += sorted((ROOT / package).rglob("*.py"))
    return [file.relative_to(ROOT).as_posix() for file in files]


@pytest.mark.parametrize("path", our_files())
def test_a_file_imports_only_what_lies_below_it(path: str) -> None:
    assert list(violations(path, (ROOT / path).read_text(encoding="utf-8"))) == []


def test_all_parts_are_looked_at() -> None:
    tops = {path.split("/")[0] for path in our_files()}
    assert {"app.py", "settings.py", "connector", "db", "demo", "pages"} <= tops
    on_disk = {file.parent.name for file in ROOT.glob("*/*.py") if not file.parent.name.startswith(".")}
    assert on_disk - {"tests", "benchmarks"} <= tops, "a new package needs a rule"


def test_no_package_of_tests_stands_in_the_way_of_a_real_one() -> None:
    assert [str(file) for file in (ROOT / "tests").rglob("__init__.py")] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("connector/client.py", "import db"),
        ("connector/client.py", "from pages.shared import runtime"),
        ("connector/client.py", "import streamlit as st"),
        ("connector/client.py", "import os\nkey = os.environ['OPENAI_API_KEY']"),
        ("connector/client.py", "import os\nkey = os.getenv('OPENAI_API_KEY')"),
        ("connector/client.py", "from os import environ"),
        ("connector/client.py", "import settings"),
        ("connector/client.py", "import sqlalchemy.orm"),
        ("connector/client.py", "from . import errors"),
        ("connector/pricing.py", "import tiktoken"),
        ("connector/pricing.py", "def price():\n    import requests"),
        ("db/calls.py", "from openai import OpenAI"),
        ("db/calls.py", "from connector.client import Client"),
        ("db/calls.py", "from connector import client"),
        ("db/calls.py", "import connector.client"),
        ("db/calls.py", "from pydantic import BaseModel"),
        ("db/calls.py", "import settings"),
        ("db/calls.py", "if True:\n    import streamlit"),
        ("generation/answers.py", "import sqlalchemy"),
        ("generation/answers.py", "from pages.shared import runtime"),
        ("pages/shared/base/runtime.py", "import openai"),
        ("pages/shared/base/runtime.py", "from db.calls import Calls"),
        ("pages/shared/base/runtime.py", "from pages.manage import usage"),
        ("pages/shared/base/formatting.py", "import httpx2"),
        ("pages/shared/base/formatting.py", "def load():\n    import sqlalchemy"),
        ("pages/showcase/chat.py", "from db import Database"),
        ("pages/showcase/chat.py", "import pages.showcase.translate"),
        ("pages/showcase/chat.py", "from settings import Settings"),
        ("pages/showcase/chat.py", "from connector.errors import ConnectorError"),
        ("pages/frame.py", "from generation import answers"),
        ("demo/start.py", "import os\nos.environ"),
        ("demo/start.py", "from pages.shared import runtime"),
        ("demo/start.py", "import streamlit"),
        ("app.py", "import sqlalchemy"),
        ("app.py", "from demo import start"),
        ("app.py", "from db import Database"),
        ("settings.py", "from connector import Client"),
        ("settings.py", "import pydantic"),
    ],
)
def test_what_is_forbidden_is_found(path: str, source: str) -> None:
    assert len(list(violations(path, source))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "connector/client.py",
            "import time\nfrom openai.types import CompletionUsage\nfrom connector.errors import X",
        ),
        ("connector/pricing.py", "def price():\n    import tiktoken\n    from azure.identity import Credential"),
        ("db/__main__.py", "from settings import Settings"),
        (
            "db/configurations.py",
            "from pydantic import SecretStr\nfrom db.base import Record\nfrom connector import Client",
        ),
        (
            "pages/shared/base/runtime.py",
            "import httpx2\nfrom db import Database\nfrom pages.shared.base.formatting import plain",
        ),
        (
            "pages/showcase/chat.py",
            "import streamlit as st\nfrom pages.shared import use_case\nfrom connector import Role",
        ),
        ("app.py", "import os\nos.environ\nfrom starlette.types import Send\nfrom pages.shared import runtime"),
        ("demo/__main__.py", "import os\nfrom demo.start import run\nrun(os.environ)"),
        ("settings.py", "import os\nfrom collections.abc import Mapping\nos.environ"),
    ],
)
def test_what_is_allowed_is_let_through(path: str, source: str) -> None:
    assert list(violations(path, source)) == []


def test_a_file_that_belongs_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="belongs to no part"):
        list(violations("utils/helpers.py", ""))
