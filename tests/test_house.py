"""What the house promises of itself: it answers at once, keeps its order, and ships whole."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("fiftyone", "pandas", "sklearn", "timm", "torch", "torchvision", "transformers")
HELP = "import sys; from camaudit.cli import main; sys.argv = ['camaudit', '--help']; main()"
MEGABYTE = 1_000_000


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def python(code: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-c", code)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import camaudit", id="import"),
        pytest.param("import camaudit; dir(camaudit)", id="dir"),
        pytest.param(HELP, id="help"),
    ],
)
def test_heavy_modules_load_when_they_are_used(code: str) -> None:
    check = f"import sys, json; print(json.dumps(sorted(set({HEAVY!r}) & set(sys.modules))))"
    result = python(f"import atexit; atexit.register(lambda: exec({check!r}))\n{code}")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) == []


def test_help_answers_at_once() -> None:
    def seconds() -> float:
        start = time.perf_counter()
        result = python(HELP)
        assert result.returncode == 0, result.stderr
        return time.perf_counter() - start

    seconds()  # writes the bytecode
    # the median of the better half: another process on the machine may take the time, camaudit may not
    assert statistics.median(sorted(seconds() for _ in range(9))[:5]) < 0.5


def test_imports_go_only_downward() -> None:
    result = run(
        sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"
    )
    assert result.returncode == 0, result.stdout


def test_every_ignored_rule_has_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    rules = tomllib.loads(text)["tool"]["ruff"]["lint"]["ignore"]
    for rule in rules:
        line = next(line for line in text.splitlines() if line.strip().startswith(f'"{rule}"'))
        assert "#" in line, f"{rule} is ignored without a reason"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    result = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    assert result.returncode == 0, result.stderr
    (path,) = folder.glob("camaudit-*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_module(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "camaudit").rglob("*.py")}
    assert modules <= names
    assert "camaudit/py.typed" in names


def test_the_wheel_holds_the_templates(wheel: zipfile.ZipFile) -> None:
    templates = [path for path in (ROOT / "reports" / "templates").rglob("*") if path.is_file()]
    assert templates
    shipped = set(wheel.namelist())
    for path in templates:
        assert f"camaudit/report/templates/{path.relative_to(ROOT / 'reports' / 'templates')}" in shipped


def test_the_wheel_holds_the_demo_assets_and_their_licences(wheel: zipfile.ZipFile) -> None:
    assets = [entry for entry in wheel.infolist() if entry.filename.startswith("camaudit/demo/assets/")]
    assert any(entry.filename.endswith("ATTRIBUTION.md") for entry in assets)
    assert any(entry.filename.endswith(".png") for entry in assets)
    assert sum(entry.compress_size for entry in assets) < 6 * MEGABYTE


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    roots = {name.split("/")[0] for name in wheel.namelist()}
    assert roots == {"camaudit", "camaudit-0.1.0.dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
