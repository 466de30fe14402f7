"""Who may import whom (DESIGN.md, section 3).

import-linter checks the imports between our own packages, rooms and pages: its contracts stand in pyproject.toml. This
file shows that each contract finds a violation, and checks what a contract cannot say: which libraries a part may
import, single names of a library, imports inside functions only, the files outside packages, and who reads the
environment.
"""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINTED = {"connector", "db", "demo", "generation", "pages", "settings"}
"""The packages that import-linter checks."""
ENVIRONMENT_READERS = {"app.py", "db/__main__.py", "demo/__main__.py", "demo/model.py", "settings.py"}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}


@dataclass(frozen=True)
class Rule:
    """The imports that the files of one part may use besides the standard library and our own packages."""

    may: frozenset[str]
    only_this: frozenset[str] = frozenset()
    """Single names, each with its module, where the rest of the module is forbidden."""
    inside_functions: frozenset[str] = frozenset()


def rule(*may: str, only_this: tuple[str, ...] = (), inside_functions: tuple[str, ...] = ()) -> Rule:
    return Rule(frozenset(may), frozenset(only_this), frozenset(inside_functions))


SECRET = "pydantic.SecretStr"
SCHEMA = "pydantic.BaseModel", "pydantic.Field"
DRAWING = ("streamlit", "pandas", "altair")
PARSING = ("markdown_it",)
CONNECTOR = rule(
    "openai", "httpx2", "idna", "jiter", "pydantic", inside_functions=("genai_prices", "azure", "tiktoken", "yaml")
)
DB = rule("sqlalchemy", "alembic", "cryptography", only_this=(SECRET,), inside_functions=("psycopg",))
DB_MAIN = rule()
GENERATION = rule("starlette")
SHARED = rule(*DRAWING, "PIL", *PARSING, only_this=(SECRET, *SCHEMA, "pydantic.ValidationError"))
RUNTIME = rule("httpx2")
PAGE = rule(*DRAWING, only_this=SCHEMA)
DEMO = rule(only_this=(SECRET,))
# Files outside packages, which import-linter does not read: all that they may import is named here.
APP = rule(
    "streamlit",
    "starlette",
    only_this=("generation", "pages.shared.base", "settings.InvalidSetting", "settings.Settings"),
)
SETTINGS = rule()
OUTSIDE_PACKAGES = {"app.py", "settings.py"}


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
    """The forbidden imports and reads of the environment in this file."""
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
    if top in sys.stdlib_module_names or imported in allowed.only_this or top in allowed.may:
        return None
    if is_inside_function and top in allowed.inside_functions:
        return None
    if top in LINTED and path not in OUTSIDE_PACKAGES:
        return None  # import-linter looks at it
    return f"imports {imported}"


def our_files() -> list[str]:
    files = [ROOT / "app.py", ROOT / "settings.py"]
    for package in ("connector", "db", "demo", "generation", "pages"):
        files += sorted((ROOT / package).rglob("*.py"))
    return [file.relative_to(ROOT).as_posix() for file in files]


VIOLATIONS = {
    "packages": [
        ("connector.client", "import db", "db"),
        ("connector.client", "from pages.shared import base", "pages.shared.base"),
        ("db.audit", "import generation", "generation"),
        ("generation.answers", "from pages.shared import base", "pages.shared.base"),
        ("pages.shared.base.run", "import demo", "demo"),
        ("demo.start", "from pages.shared import base", "pages.shared.base"),
    ],
    "demo": [("demo.start", "import generation", "generation")],
    "package-doors": [
        ("db.audit", "from connector.client import Client", "connector.client"),
        ("db.audit", "from connector import client", "connector.client"),
        ("db.audit", "def late():\n    import connector.errors", "connector.errors"),
        ("generation.answers", "from db.base import Record", "db.base"),
        ("pages.shared.base.run", "from db import calls", "db.calls"),
        ("pages.showcase.chat", "from connector.errors import ConnectorError", "connector.errors"),
        ("demo.start", "from db.base import Record", "db.base"),
    ],
    "settings": [
        ("connector.client", "import settings", "settings"),
        ("db.audit", "from settings import Settings", "settings"),
        ("generation.answers", "import settings", "settings"),
        ("pages.shared.chat.turn", "import settings", "settings"),
        ("pages.showcase.chat", "from settings import Settings", "settings"),
    ],
    "page-scripts": [
        ("pages.shared.base.run", "from pages.manage import usage", "pages.manage.usage"),
        ("pages.frame", "from pages.showcase import chat", "pages.showcase.chat"),
    ],
    "page-scripts-alone": [("pages.showcase.chat", "import pages.showcase.translate", "pages.showcase.translate")],
    "page-scripts-packages": [
        ("pages.frame", "import generation", "generation"),
        ("pages.home", "from db import Database", "db"),
        ("pages.showcase.chat", "from db import Database", "db"),
    ],
    "rooms": [
        ("pages.shared.base.run", "from pages.shared import account", "pages.shared.account"),
        ("pages.shared.account.picker", "from pages.shared import chat", "pages.shared.chat"),
        ("pages.shared.answers.code", "from pages.shared import chat", "pages.shared.chat"),
        ("pages.shared.chat.history", "from pages.shared import use_case", "pages.shared.use_case"),
        ("pages.shared.use_case.wire", "from pages.shared import usage", "pages.shared.usage"),
        ("pages.shared.configurations.form", "from pages.shared import home", "pages.shared.home"),
    ],
    "room-doors": [
        ("pages.shared.use_case.doors", "from pages.shared.chat.turn import say", "pages.shared.chat.turn"),
        ("pages.shared.account.picker", "from pages.shared.base import formatting", "pages.shared.base.formatting"),
        ("pages.showcase.chat", "from pages.shared.chat import rail", "pages.shared.chat.rail"),
        ("pages.manage.usage", "from pages.shared.usage.tables import table", "pages.shared.usage.tables"),
        ("pages.frame", "import pages.shared.base.runtime", "pages.shared.base.runtime"),
    ],
    "feature-configurations": [
        ("pages.home", "from pages.shared import configurations", "pages.shared.configurations"),
    ],
    "feature-home": [("pages.frame", "from pages.shared import home", "pages.shared.home")],
    "feature-tuner": [("pages.showcase.chat", "from pages.shared import tuner", "pages.shared.tuner")],
    "feature-usage": [("pages.home", "from pages.shared import usage", "pages.shared.usage")],
}
"""Contract -> where an import is added, the import, and the module that import-linter names then."""


def contracts() -> dict[str, str]:
    """The names of the contracts by their ids."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return {each["id"]: each["name"] for each in tomllib.load(file)["tool"]["importlinter"]["contracts"]}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run([program, "--no-cache", "--no-logo"], cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The report of import-linter by contract, for a copy of our packages with forbidden imports and a new room."""
    copy = tmp_path_factory.mktemp("violated")
    for package in LINTED - {"settings"}:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "settings.py"):
        shutil.copy(ROOT / file, copy)
    (copy / "pages" / "shared" / "cellar").mkdir()
    (copy / "pages" / "shared" / "cellar" / "__init__.py").touch()
    for module, line, _ in [each for violations in VIOLATIONS.values() for each in violations]:
        violating = copy / f"{module.replace('.', '/')}.py"
        violating.write_text(f"{violating.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    headings_and_reports = re.split(r"^(.+)\n-+\n", lint(copy).stdout, flags=re.MULTILINE)
    by_name = dict(zip(headings_and_reports[1::2], headings_and_reports[2::2], strict=True))
    return {id: by_name.get(name, "kept") for id, name in contracts().items()}


def test_all_contracts_of_imports_are_kept() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_contract_has_a_violation_here() -> None:
    assert set(contracts()) == set(VIOLATIONS)


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_contract_finds_each_import_that_it_forbids(reports: dict[str, str], contract: str) -> None:
    report = reports[contract]
    assert [each for each in VIOLATIONS[contract] if f"{each[0]} -> {each[2]} (l." not in report] == [], report


def test_a_new_room_needs_a_floor(reports: dict[str, str]) -> None:
    assert "cellar" in reports["rooms"]


@pytest.mark.parametrize("path", our_files())
def test_a_file_imports_only_the_layers_below_it(path: str) -> None:
    assert list(violations(path, (ROOT / path).read_text(encoding="utf-8"))) == []


def test_the_rules_cover_all_parts() -> None:
    tops = {path.split("/")[0] for path in our_files()}
    assert {"app.py", "settings.py", "connector", "db", "demo", "pages"} <= tops
    on_disk = {file.parent.name for file in ROOT.glob("*/*.py") if not file.parent.name.startswith(".")}
    assert on_disk - {"tests", "benchmarks"} <= tops, "a new package needs a rule"


def test_no_test_package_shadows_a_real_package() -> None:
    assert [str(file) for file in (ROOT / "tests").rglob("__init__.py")] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("connector/client.py", "import streamlit as st"),
        ("connector/client.py", "import os\nkey = os.environ['OPENAI_API_KEY']"),
        ("connector/client.py", "import os\nkey = os.getenv('OPENAI_API_KEY')"),
        ("connector/client.py", "from os import environ"),
        ("connector/client.py", "import sqlalchemy.orm"),
        ("connector/client.py", "from . import errors"),
        ("connector/pricing.py", "import tiktoken"),
        ("connector/pricing.py", "def price():\n    import requests"),
        ("db/calls.py", "from openai import OpenAI"),
        ("db/calls.py", "from pydantic import BaseModel"),
        ("db/calls.py", "if True:\n    import streamlit"),
        ("generation/answers.py", "import sqlalchemy"),
        ("pages/shared/base/runtime.py", "import openai"),
        ("pages/shared/base/formatting.py", "import httpx2"),
        ("pages/shared/use_case/doors.py", "import tests"),
        ("pages/shared/base/formatting.py", "def load():\n    import sqlalchemy"),
        ("pages/showcase/chat.py", "from pydantic import SecretStr"),
        ("pages/showcase/chat.py", "import openai"),
        ("demo/start.py", "import os\nos.environ"),
        ("demo/start.py", "import streamlit"),
        ("app.py", "import sqlalchemy"),
        ("app.py", "from demo import start"),
        ("app.py", "from db import Database"),
        ("app.py", "from generation.stream import stream"),
        ("app.py", "from pages.shared.base import runtime"),
        ("app.py", "from pages.shared.base.runtime import start"),
        ("app.py", "from pages.shared import use_case"),
        ("settings.py", "from connector import Client"),
        ("settings.py", "import pydantic"),
    ],
)
def test_forbidden_imports_are_found(path: str, source: str) -> None:
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
            "import httpx2\nfrom db import Database",
        ),
        (
            "pages/showcase/chat.py",
            "import streamlit as st\nfrom pages.shared import use_case\nfrom connector import Role",
        ),
        ("app.py", "import os\nos.environ\nfrom starlette.types import Send\nfrom pages.shared import base"),
        ("demo/__main__.py", "import os\nfrom demo.start import run\nrun(os.environ)"),
        ("settings.py", "import os\nfrom collections.abc import Mapping\nos.environ"),
    ],
)
def test_allowed_imports_pass(path: str, source: str) -> None:
    assert list(violations(path, source)) == []


def test_a_file_that_no_rule_covers_is_refused() -> None:
    with pytest.raises(ValueError, match="belongs to no part"):
        list(violations("utils/helpers.py", ""))
