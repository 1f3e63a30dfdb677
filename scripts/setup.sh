#!/usr/bin/env bash
# Makes .venv hold exactly what requirements-dev.lock says, and this checkout. Asks nothing; does nothing when up to date.
#
# PYTHON=/path/to/python chooses the interpreter; otherwise python3.11, then the first newer one that is supported.
set -euo pipefail
unset CDPATH PYTHONHOME PYTHONPATH PIP_PREFIX PIP_TARGET PIP_USER
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly LOCK=requirements-dev.lock
readonly STAMP=.venv/.up-to-date

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$@" >&2; exit 1; }

# What .venv was made from. An interpreter that moved, a checkout that moved or a changed lock each change it.
fingerprint() {
    { pwd -P; .venv/bin/python -I -S -c 'import sys; print(sys.version)'; cat "$LOCK" pyproject.toml scripts/setup.sh; } 2>&1 |
        sha256sum
}

is_supported() { "$1" -I -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3 python3.12 python3.13}; do
        if is_supported "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    die "no Python from 3.11 to 3.13 found (looked for ${PYTHON:-python3.11 python3 python3.12 python3.13})." \
        "On Debian 12: apt-get install python3.11 python3.11-venv. Or name one: make setup PYTHON=/path/to/python3.11"
}

# Debian keeps the parts of Python that make an environment in a package of their own.
ensure_venv_module() {
    local python=$1 package
    if "$python" -I -c 'import ensurepip, venv' >/dev/null 2>&1; then
        return
    fi
    package="python$("$python" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    scripts/install_package.sh "$package" || die "$python cannot make a virtual environment without $package."
}

# Whether .venv is an environment of this very folder that runs and has pip.
is_usable() {
    [ -x .venv/bin/python ] && is_supported .venv/bin/python &&
        [ "$(.venv/bin/python -I -c 'import os, pip, sys; print(os.path.realpath(sys.prefix))' 2>/dev/null)" = "$(pwd -P)/.venv" ] &&
        grep -qF "$(pwd -P)/.venv/bin/python" .venv/bin/pip 2>/dev/null
}

pip() { .venv/bin/python -m pip --no-input --disable-pip-version-check "$@" </dev/null; }

if [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$(fingerprint)" ]; then
    exit 0
fi
rm -f "$STAMP"

# pip keeps downloads under HOME; where there is none to write to, keep them here.
if [ -z "${HOME:-}" ] || [ ! -d "$HOME" ] || [ ! -w "$HOME" ]; then
    export PIP_CACHE_DIR="${PIP_CACHE_DIR:-$PWD/.cache/pip}"
fi

if ! is_usable; then
    python=$(find_python)
    ensure_venv_module "$python"
    say "making .venv with $("$python" -V)"
    rm -rf .venv
    "$python" -m venv .venv
fi
say "installing $LOCK (a first time takes a minute or two)"
pip install --require-hashes --only-binary :all: -r "$LOCK"
say "installing this checkout"
pip install --quiet --no-deps --no-build-isolation -e .
fingerprint >"$STAMP"
say "done: .venv is up to date"
