"""The manifest: what a run is, and how far it is."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from camaudit.errors import RunError, StaleRunError
from camaudit.runs.store import write_text
from camaudit.types import Preprocessing, RunManifest, Skipped

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA_VERSION = 2
STAGES = ("measure", "trust", "effects", "clusters", "findings", "report")
PROVIDING = "regions"  # a stage before these, of runs whose data has regions to provide
_PACKAGES = ("camaudit", "torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn", "pandas", "pillow")


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def write_manifest(run: Path, manifest: RunManifest) -> None:
    """Write ``manifest.json``."""
    write_text(run / "manifest.json", json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n")


def read_manifest(run: Path) -> RunManifest:
    """Read ``manifest.json``.

    Raises:
        RunError: the folder is no run.
        StaleRunError: it is damaged, or of another version of camaudit.
    """
    path = run / "manifest.json"
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        values: dict[str, Any] = dict(found)
    except (FileNotFoundError, NotADirectoryError):
        msg = f"{run} is not a run: it has no manifest.json. Give the folder that camaudit run wrote."
        raise RunError(msg) from None
    except (OSError, ValueError, TypeError) as error:
        msg = f"{path} is damaged: {error}. Run the audit again."
        raise StaleRunError(msg) from None
    if values.get("schema_version") != SCHEMA_VERSION:
        msg = (
            f"{run} has the layout {values.get('schema_version')}, this camaudit reads layout {SCHEMA_VERSION}. "
            "Run the audit again, or use the camaudit it was made with."
        )
        raise StaleRunError(msg)
    try:
        lists = ("classes", "grid", "frame", "methods", "targets", "groups", "warnings")
        recipe: dict[str, Any] = {
            key: tuple(of) if isinstance(of, list) else of for key, of in values["preprocessing"].items()
        }
        values |= {name: tuple(values[name]) for name in lists}
        values["preprocessing"] = Preprocessing(**recipe)
        values["skipped"] = tuple(Skipped(**skipped) for skipped in values["skipped"])
        return RunManifest(**values)
    except (AttributeError, KeyError, TypeError) as error:
        msg = f"{path} is damaged: {error}. Run the audit again."
        raise StaleRunError(msg) from None


def with_stage(manifest: RunManifest, stage: str, state: str, seconds: float | None = None) -> RunManifest:
    """The manifest with another state of one stage."""
    spent = manifest.seconds if seconds is None else {**manifest.seconds, stage: round(seconds, 1)}
    return replace(manifest, stages={**manifest.stages, stage: state}, seconds=spent)
