"""The shape of the house as tests: which room imports which, how long a file or a function is, what is locked."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGES = ("kk99", "journal", "snapshots", "gateways", "replay")
FOLDERS = (*PACKAGES, "tests", "scripts", "docs", "config")
FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 70

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def sources(*folders):
    """Every Python file under the given folders, in a fixed order."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path):
    """The path as seen from the checkout."""
    return path.relative_to(ROOT).as_posix()


def functions_of(path):
    """Every function of the file with the number of lines it takes."""
    for node in ast.walk(ast.parse(path.read_text(), name_of(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, node.end_lineno - node.lineno + 1


def is_one_sentence(docstring):
    """Whether the docstring is there and is one paragraph that ends as a sentence does."""
    return docstring is not None and "\n\n" not in docstring and docstring.endswith((".", "?"))


def locked(lock):
    """The version of every distribution that the lock file names."""
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", (ROOT / lock).read_text(), flags=re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


def test_rooms_import_only_what_the_table_allows():
    """The import contracts of pyproject.toml hold."""
    command = [Path(sys.executable).parent / "lint-imports", "--no-logo", "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_package_says_its_duty():
    """Each folder with Python files in it is a package, and its docstring states what it is for."""
    for folder in sorted({path.parent for path in sources(*PACKAGES)}):
        init = folder / "__init__.py"
        assert init.exists(), f"{name_of(folder)} has no __init__.py"
        assert ast.get_docstring(ast.parse(init.read_text())), f"{name_of(init)} has no docstring"


def test_no_file_is_too_long():
    """No Python file of ours is longer than FILE_LINES_MAX lines."""
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in sources(*FOLDERS)}
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_no_function_is_too_long():
    """No function of ours is longer than FUNCTION_LINES_MAX lines."""
    too_long = [
        f"{name_of(path)}:{node.lineno} {node.name} has {lines} lines"
        for path in sources(*FOLDERS)
        for node, lines in functions_of(path)
        if lines > FUNCTION_LINES_MAX
    ]
    assert too_long == []


def test_every_test_says_what_it_proves():
    """Each test has a docstring of one sentence."""
    silent = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in sources("tests")
        for node, _ in functions_of(path)
        if node.name.startswith("test_") and not is_one_sentence(ast.get_docstring(node))
    ]
    assert silent == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_lock_answers_what_the_project_asks_for(lock):
    """Each requirement of pyproject.toml is in the lock, at a version that satisfies it."""
    asked = PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["build"]
    if lock == "requirements-dev.lock":
        asked = asked + PYPROJECT["project"]["optional-dependencies"]["export"] + PYPROJECT["dependency-groups"]["dev"]
    pins = locked(lock)
    for requirement in map(Requirement, asked):
        version = pins.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in {lock}: run make lock"
        assert version in requirement.specifier, f"{lock} has {requirement.name} {version}: run make lock"


def test_both_locks_agree():
    """What runs in production is what was tested."""
    tested = locked("requirements-dev.lock")
    assert {name: tested.get(name) for name in locked("requirements.lock")} == locked("requirements.lock")


def test_every_make_target_is_listed_by_help():
    """`make help` leaves no target out."""
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE).group(1).split()
    assert re.findall(r"^([a-z]+):.*## .+$", makefile, flags=re.MULTILINE) == phony


@pytest.mark.xdist_group("kept")
def test_tests_of_a_group_stay_on_one_worker(request):
    """The runner gives a test of a group its group's name, by which it is sent to the worker of the others."""
    if hasattr(request.config, "workerinput") and request.config.getvalue("loadgroup"):
        assert request.node.nodeid.endswith("@kept")
