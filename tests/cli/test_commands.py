"""The commands as a user types them: in processes of their own, in a pipe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import camaudit
from tests import small_audit
from tests.command_line import camaudit as here

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "camaudit", *map(str, arguments)]


def shell(*arguments: str | Path, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, cwd=cwd, env=ENVIRONMENT | more
    )


def plain(text: str) -> bool:
    """Neither colours nor a cursor that moves."""
    return "\x1b" not in text and "\r" not in text


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_audit.write_audit(tmp_path_factory.mktemp("cli"), count=24).parent


@pytest.fixture(scope="module")
def done(home: Path) -> subprocess.CompletedProcess[str]:
    """``camaudit run`` in the folder of the audit, without --out."""
    return shell("run", "audit.yaml", cwd=home)


def test_help_names_every_command() -> None:
    code, said, _ = here("--help")
    assert code == 0
    for name in ("demo", "run", "check", "report", "compare", "methods", "fiftyone"):
        assert f" {name} " in said
    assert plain(said)


@pytest.mark.parametrize("name", ["demo", "run", "check", "report", "compare", "methods", "fiftyone"])
def test_every_command_has_help(name: str) -> None:
    code, said, _ = here(name, "-h")
    assert code == 0
    assert "Usage: " in said


def test_version() -> None:
    ended = shell("--version")
    assert (ended.returncode, ended.stdout) == (0, f"camaudit {camaudit.__version__}\n")


def test_no_command_is_wrong_usage() -> None:
    assert here()[0] == 2


def test_run_writes_a_run_beside_the_configuration(
    done: subprocess.CompletedProcess[str], home: Path
) -> None:
    assert done.returncode == 0, done.stderr
    run = camaudit.open_run(home / "runs" / "audit")
    lines = done.stdout.splitlines()
    assert lines[0] == f"{run.verdict.headline}."
    assert run.verdict.text in lines
    assert lines[-1] == "report: runs/audit/report.html"
    assert (home / lines[-1].removeprefix("report: ")).exists()


def test_in_a_pipe_progress_is_plain_lines_on_standard_error(done: subprocess.CompletedProcess[str]) -> None:
    assert plain(done.stdout)
    assert plain(done.stderr)
    assert done.stderr.splitlines()[-1].startswith("measure: 24 of 24")
    assert "24 of 24" not in done.stdout  # the stages are named there, with their share of the time
    assert "time: " in done.stdout


def test_run_refuses_the_run_that_is_there(
    done: subprocess.CompletedProcess[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(home / "runs")
    monkeypatch.chdir(home)
    code, said, message = here("run", "audit.yaml")
    assert (code, said) == (2, "")
    assert message == (
        "camaudit: runs/audit already holds a run. Go on with it (--resume), give another --out, or delete it.\n"
    )
    assert tree(home / "runs") == before


def test_check_says_what_an_audit_would_do_and_writes_a_sheet(home: Path, tmp_path: Path) -> None:
    before = tree(home)
    code, said, message = here("check", home / "audit.yaml", "--sheet", tmp_path / "sheet.png")
    assert code == 0, message
    for part in (
        "samples        24",
        "target layer ",
        "resize 64, crop 64",
        "shape   object",
        "colour",
        "measuring will take about ",
    ):
        assert part in said
    assert "Nothing stops this audit." in said
    assert plain(said)
    assert tree(home) == before
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_check_says_every_problem_at_once(tmp_path: Path) -> None:
    audit = {"methods": ["gradcamm", "camm"], "targets": ["class:ring"], "device": "tpu"}
    config = small_audit.write_audit(tmp_path, count=12, audit=audit, model={"weights": "no.pt"})
    table = tmp_path / "table.csv"
    table.write_text(table.read_text().replace(",disc,", ",disk,"))
    (tmp_path / "images" / "03.png").unlink()
    (tmp_path / "masks" / "04.png").write_bytes(b"")
    before = tree(tmp_path)
    code, said, message = here("check", config)
    assert code == 2
    for part in (
        *("'gradcamm'", "'camm'", "'tpu'", "no.pt does not exist", "row 2: the label 'disk'", "'ring'"),
        *("no class for: 6", "  and 1 more; print every one with --all", "11 problem(s) that stop an audit"),
        *("2 image(s) cannot be read", "03.png does not exist", "04.png"),
    ):
        assert part in said, said
    assert "Nothing stops" not in said
    assert "Traceback" not in message
    assert tree(tmp_path).keys() - before.keys() == {"audit.check.png"}


def test_report_writes_where_it_is_told(
    done: subprocess.CompletedProcess[str], home: Path, tmp_path: Path
) -> None:
    code, said, message = here("report", home / "runs" / "audit", "-o", tmp_path / "new" / "page.html")
    assert (code, said) == (0, f"{tmp_path}/new/page.html\n"), message
    assert "<html" in (tmp_path / "new" / "page.html").read_text()


def test_compare_writes_a_page(
    done: subprocess.CompletedProcess[str], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = home / "runs" / "audit"
    monkeypatch.chdir(tmp_path)
    code, said, message = here("compare", run, run, "-o", "ab.html")
    assert (code, said) == (0, "ab.html\n"), message
    assert (tmp_path / "ab.html").exists()


def test_methods_are_listed() -> None:
    code, said, _ = here("methods")
    assert code == 0
    for name in ("cam ", "gradcam "):
        assert any(line.startswith(name) for line in said.splitlines())
    assert "arXiv:" in said


@pytest.mark.parametrize("output", ["table.csv/page.html", "images"])
def test_a_page_that_cannot_be_written_is_said(
    done: subprocess.CompletedProcess[str], home: Path, output: str
) -> None:
    before = tree(home)
    code, said, message = here("report", home / "runs" / "audit", "-o", home / output)
    assert (code, said) == (2, "")
    assert message.startswith(f"camaudit: {home / output} cannot be written: ")
    assert tree(home) == before


def test_output_that_cannot_show_a_name_still_ends_well(home: Path, tmp_path: Path) -> None:
    config = small_audit.write_audit(tmp_path, count=12, model={"classes": ["disc", "名"]})
    table = tmp_path / "table.csv"
    table.write_text(table.read_text(encoding="utf-8").replace(",square,", ",名,"), encoding="utf-8")
    ended = shell("check", config, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert ended.returncode == 0, ended.stderr
    assert "\\u540d" in ended.stdout


def interrupted(process: subprocess.Popen[str], shard: Path, signals: Sequence[int]) -> tuple[int, str]:
    """Send signals as soon as a file is there; exit code and standard error."""
    deadline = time.monotonic() + 120
    while not shard.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    for number in signals:
        process.send_signal(number)
    _, error = process.communicate(timeout=120)
    return process.returncode, error


def test_ctrl_c_ends_with_130_and_leaves_a_run_to_resume(tmp_path: Path) -> None:
    # one image a batch, so that there is something to interrupt
    config = small_audit.write_audit(tmp_path, count=40, audit={"batch_size": 1, "targets": ["predicted"]})
    out = tmp_path / "run"
    process = subprocess.Popen(
        command("run", config, "--out", out),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        # a shell starts what runs in its background deaf to Ctrl-C, and so would be what that starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread runs yet
    )
    code, error = interrupted(process, out / "work" / "part-000001.parquet", [signal.SIGINT])
    assert code == 130, error
    assert error.splitlines()[-1] == "camaudit: interrupted; go on with --resume"
    assert "Traceback" not in error
    assert 2 <= len(list((out / "work").glob("part-*.parquet"))) < 40
    code, _, error = here("run", config, "--out", out, "--resume")
    assert code == 0, error
    assert len(camaudit.open_run(out).samples) == 40


def test_two_processes_with_the_same_out(tmp_path: Path) -> None:
    config = small_audit.write_audit(tmp_path, count=20, audit={"batch_size": 1, "targets": ["predicted"]})
    out = tmp_path / "run"
    first = subprocess.Popen(command("run", config, "--out", out), env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    while not (out / "manifest.json").exists() and first.poll() is None:
        time.sleep(0.01)
    code, _, message = here("run", config, "--out", out, "--resume")
    assert first.wait(timeout=120) == 0
    assert code in {0, 2}  # 0 where the first was done before it
    if code:
        assert message.startswith(f"camaudit: {out} is being written by another process.")
    assert len(camaudit.open_run(out).samples) == 20


def test_a_wrong_configuration_in_a_process_of_its_own(home: Path, tmp_path: Path) -> None:
    config = tmp_path / "audit.yaml"
    config.write_text((home / "audit.yaml").read_text() + "modle: {}\n")
    ended = shell("run", config, "--out", tmp_path / "run")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"camaudit: {config}: modle is not a key of an audit; did you mean 'model'?\n"
    assert not (tmp_path / "run").exists()
