"""A process that begins runs in children and kills each in the middle of one of its writes.

The parent never computes anything, so that a child that was forked from it is as good as a fresh process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import timm  # noqa: F401 - imported once, before the forks
import torch

import camaudit.report  # noqa: F401 - likewise
from camaudit.config import load_config
from camaudit.runs import folder, run_config, store


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at_write(number: int) -> None:
    """SIGKILL with half of the numbered file written beside its name."""
    write, count = store.write_bytes, 0

    def counting(path: Path, content: bytes) -> None:
        nonlocal count
        count += 1
        if count == number:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{path.name}{store.PARTIAL}").write_bytes(content[: len(content) // 2])
            die()
        write(path, content)

    store.write_bytes = counting


def killed_in_clearing() -> None:
    """SIGKILL while the shards of the finished stage are removed."""

    def half(path: Path, **_: object) -> None:
        (path / "part-000001.parquet").unlink()
        for shard in (path / "skipped").iterdir():
            shard.unlink()
        (path / "skipped").rmdir()
        die()

    assert folder.WORK == "work"
    import camaudit.runs.pipeline

    camaudit.runs.pipeline.shutil.rmtree = half  # type: ignore[assignment]


def main(config: Path, out: Path, moments: list[int]) -> None:
    torch.set_num_threads(1)
    ends = {}
    for moment in moments:
        child = os.fork()
        if child == 0:
            if moment:
                killed_at_write(moment)
            else:
                killed_in_clearing()
            run_config(load_config(config), out / f"killed-{moment}" / "run")
            os._exit(0)
        ends[moment] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.stdout.write(json.dumps(ends))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [int(moment) for moment in sys.argv[3:]])
