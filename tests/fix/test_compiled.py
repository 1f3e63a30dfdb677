"""Which sources decide the compiled code: those of its entries, and all that they import; an edit of others is free."""

import ast

from gateways.fix import compiled

FOLDER = compiled._FOLDER


def imported(name):
    """The modules beside it that a module imports when it is loaded."""
    found = set()
    for node in ast.parse((FOLDER / f"{name}.py").read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gateways.fix"):
            inside = node.module.removeprefix("gateways.fix").lstrip(".")
            found |= {inside} if inside else {alias.name for alias in node.names}
    return found


def test_what_decides_the_compiled_code():
    """Every module with an entry, with all it imports; not those that only call into it."""
    modules = compiled.compiled_modules(FOLDER)
    for path in FOLDER.glob("*.py"):
        decorators = [
            decorator.id
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef)
            for decorator in node.decorator_list
            if isinstance(decorator, ast.Name)
        ]
        if "entry" in decorators:
            assert path.stem in modules
    for name in modules:
        assert imported(name) <= modules, name
    assert {"decode", "follow", "rules", "reasons"} <= modules
    assert not modules & {"gateway", "link", "server", "session", "settings"}
