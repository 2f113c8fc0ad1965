"""Times and peak memory of calls that are compared: in one process, in turn, medians."""

from __future__ import annotations

import gc
import statistics
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_STATM = Path("/proc/self/statm")
_PAGE = 4096


@dataclass(frozen=True)
class Timing:
    """Of one of several calls.

    Attributes:
        seconds: median.
        multiple: median of the ratios to the first call's time in the same round.
        rounds: how many.
        spread: (smallest, largest) of the ratios.
    """

    seconds: float
    multiple: float
    rounds: int
    spread: tuple[float, float]


@contextmanager
def settled() -> Iterator[None]:
    """What is held now is not looked at by the collector between calls."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def in_turn(
    calls: Mapping[str, Callable[[], object]],
    device: torch.device,
    *,
    first: Mapping[str, float],
    rounds: int,
    limit: float,
) -> dict[str, Timing]:
    """Time several calls in turn.

    Args:
        calls: the first is the one the others are measured by.
        device: whose work is waited for.
        first: seconds of one call of each, made to warm up. They count where they took more than a tenth of the limit.
        rounds: of all calls.
        limit: seconds after which no new round begins; one is always made.
    """
    names = list(calls)
    start = time.perf_counter() - sum(first.values())
    long = sum(first.values()) > limit / 10
    found: dict[str, list[float]] = {name: [first[name]] if long else [] for name in names}
    while len(found[names[0]]) < rounds:
        if found[names[0]] and time.perf_counter() - start > limit:
            break
        shift = len(found[names[0]]) % len(names)
        for name in names[shift:] + names[:shift]:
            found[name].append(once(calls[name], device))
    base = found[names[0]]
    timings = {}
    for name, seconds in found.items():
        ratios = [own / other for own, other in zip(seconds, base, strict=True)]
        timings[name] = Timing(
            statistics.median(seconds), statistics.median(ratios), len(seconds), (min(ratios), max(ratios))
        )
    return timings


def once(call: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call, its work on the device included."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        torch.cuda.synchronize(device)
        return float(start.elapsed_time(end)) / 1000
    before = time.perf_counter()
    call()
    return time.perf_counter() - before


def peak(call: Callable[[], object], device: torch.device) -> float:
    """Bytes that a call needs at its peak beyond what was held before; NaN where it cannot be told.

    On a GPU what PyTorch allocated; on a CPU what the process has resident, looked at every millisecond.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return float(torch.cuda.max_memory_allocated(device) - before)
    if not _STATM.exists():
        return float("nan")
    seen = [_resident()]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            seen.append(_resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        call()
    finally:
        done.set()
        watcher.join()
    return float(max(seen) - seen[0])


def _resident() -> int:
    return int(_STATM.read_text().split()[1]) * _PAGE
