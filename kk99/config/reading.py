"""Reads the settings: defaults, then a TOML file, then the environment, then what the command line says.

Invariants: an unknown table, key or variable, a wrong type or a value out of bounds is refused with an `InputError`
that names where it stands, what is allowed and, for a name, the nearest one that is known.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kk99.config.sections import NAMES, SECTIONS, EngineSettings, Settings
from kk99.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VARIABLE: Final = "KK99_"
"""A variable of the environment is called KK99_SECTION__KEY."""
Section = TypeVar("Section")
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


def load(
    path: Path | None, *, environment: Mapping[str, str] | None = None, **overrides: Mapping[str, Any]
) -> Settings:
    """Return the sections that stand here, each as `section` does; `overrides` are, for a section, values by key."""
    made = {
        name: section(path, name, kind, environment=environment, **overrides.get(name, {}))[0]
        for name, kind in SECTIONS.items()
    }
    return Settings(**made)


def load_engine(path: Path | None, **overrides: Any) -> EngineSettings:
    """Return the engine's settings, with overrides (None: not given) on top."""
    return load(path, engine=overrides).engine


def section(
    path: Path | None,
    name: str,
    kind: type[Section],
    *,
    environment: Mapping[str, str] | None = None,
    **overrides: Any,
) -> tuple[Section, dict[str, str]]:
    """Return one section as its dataclass, and where each value that is no default comes from, by key.

    Values come from a TOML file (None: none), then from the environment (None: the process's), then from overrides
    (None: not given). The file may have the tables of other processes too. Relative folders in it are relative to the
    folder the file is in. Raises `InputError`.
    """
    document = {} if path is None else _document(path)
    layers = (
        (str(path), _from_file(kind, name, document.get(name, {}), path)),
        ("the environment", _from_environment(kind, name, os.environ if environment is None else environment)),
        ("the command line", {key: value for key, value in overrides.items() if value is not None}),
    )
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        values |= layer
        origins |= dict.fromkeys(layer, origin)
    try:
        return kind(**values), origins
    except InputError as error:
        raise InputError(f"{path or 'settings'}: [{name}] {error}") from error


def _document(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML: {error}") from error
    for name, table in document.items():
        if name not in NAMES:
            raise InputError(f"{path}: unknown key {name!r}; {nearest(name, NAMES, 'tables')}")
        if not isinstance(table, dict):
            raise InputError(f"{path}: {name} is not a table")
    return document


def _from_file(kind: type[Any], section: str, given: dict[str, Any], path: Path | None) -> dict[str, Any]:
    """Return the values of a section of the file, converted to the fields' types."""
    values: dict[str, Any] = {}
    for key, value in given.items():
        wanted = _type_of(kind, section, key, f"{path}")
        values[key] = _converted(value, wanted, f"{path}: {key} = {value!r}")
        if isinstance(values[key], Path) and path is not None:
            values[key] = path.parent / values[key]
    return values


def _from_environment(kind: type[Any], section: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a section that variables KK99_SECTION__KEY give, by key in small letters."""
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        named, is_ours, key = variable.removeprefix(VARIABLE).lower().partition("__")
        if not variable.startswith(VARIABLE) or not is_ours:
            continue
        if named not in NAMES:
            raise InputError(f"{variable}: unknown section {named!r}; {nearest(named, NAMES, 'sections')}")
        if named == section:
            wanted = _type_of(kind, section, key, variable)
            values[key] = _of_text(text, wanted, f"{variable} = {text!r}")
    return values


def _type_of(kind: type[Any], section: str, key: str, where: str) -> str:
    """Return the type that a key's value must have, or raise `InputError` when there is no such key."""
    types = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    if key in types:
        return types[key]
    for other, other_kind in SECTIONS.items():
        if any(field.name == key for field in dataclasses.fields(other_kind)):
            raise InputError(f"{where}: unknown key {key!r} in [{section}]; it belongs to [{other}]")
    raise InputError(f"{where}: unknown key {key!r} in [{section}]; {nearest(key, types, 'keys')}")


def nearest(name: str, known: Iterable[str], what: str) -> str:
    """Return the end of a sentence about an unknown name: the one that was meant, or all that there are."""
    names = list(known)
    found = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {found[0]!r}?" if found else f"the {what} are {', '.join(names)}"


def _converted(value: Any, wanted: str, where: str) -> Any:
    """Return a TOML value as the type that a field has."""
    if wanted == "float" and type(value) is int:
        return float(value)
    if wanted == type(value).__name__:
        return value
    if wanted.startswith("Path") and isinstance(value, str) and value:
        return Path(value)
    if wanted.startswith("tuple") and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise InputError(f"{where}: must be of type {told(wanted)}")


def _of_text(text: str, wanted: str, where: str) -> Any:
    """Return a variable's text as the type that a field has; of a list, the items are parted by commas."""
    try:
        if wanted == "bool":
            return _BOOLEANS[text.lower()]
        if wanted in {"int", "float"}:
            return int(text) if wanted == "int" else float(text)
    except (KeyError, ValueError) as error:
        raise InputError(f"{where}: must be of type {told(wanted)}") from error
    if wanted.startswith("tuple"):
        return tuple(item.strip() for item in text.split(",") if item.strip())
    return _converted(text, wanted, where)


def told(wanted: str) -> str:
    """Return the name of a field's type as an operator reads it."""
    if wanted.startswith("tuple"):
        return "list of texts"
    return wanted.removesuffix(" | None").replace("Path", "text (a path)")
