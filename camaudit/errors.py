"""One family of errors. Every message says what was wrong, where, and what to do."""

from __future__ import annotations


class CamauditError(Exception):
    """Base of everything camaudit raises on purpose; the command line prints it without a traceback."""

    exit_code = 2


class ConfigError(CamauditError):
    """The configuration has a key, a value or a reference that cannot be used."""


class DataError(CamauditError):
    """A table, an image, a mask or a label is missing, unreadable or contradicts another."""


class ModelError(CamauditError):
    """A model cannot be loaded, does not fit its classes, or has no layer a map can be made at."""


class ExplainError(CamauditError):
    """A method, a target or a layer was asked for that this model or batch does not have."""


class RunError(CamauditError):
    """A run directory is in the way, incomplete, or belongs to another configuration, model or data."""


class StaleRunError(RunError):
    """A run that cannot be gone on with: begun with something else, by another version, or its manifest is damaged."""


class MissingPartError(CamauditError):
    """Something outside camaudit is needed and is not there: a database server, an optional package."""
