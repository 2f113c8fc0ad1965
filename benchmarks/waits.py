"""What makes the host wait for the device, counted with the profiler between two marks."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import TYPE_CHECKING

import torch
from torch.profiler import ProfilerActivity, profile, record_function

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "between the marks"
WAITS = (
    "aten::item",
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "cudaStreamSynchronize",
    "cudaDeviceSynchronize",
    "cudaEventSynchronize",
    "Memcpy DtoH",
)
"""Names, or their beginnings, of what waits for the device or copies from it."""


def waits(call: Callable[[], object], device: torch.device) -> Counter[str]:
    """How often each of `WAITS` happened inside a call."""
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    call()  # what happens once happens here
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with profile(activities=activities) as profiler:
            with record_function(MARK):
                call()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
    events = list(profiler.events() or ())
    # the mark is seen twice on a GPU: what counts is when the host was between them
    start, end = next(
        (event.time_range.start, event.time_range.end)
        for event in events
        if event.name == MARK and event.device_type == torch.autograd.DeviceType.CPU
    )
    found: Counter[str] = Counter()
    for event in events:
        name = next((name for name in WAITS if event.name.startswith(name)), None)
        on_device = event.device_type != torch.autograd.DeviceType.CPU
        if name and (on_device or start <= event.time_range.start <= end):
            found[name] += 1
    return found


def refused(call: Callable[[], object]) -> str:
    """What PyTorch says of the first wait inside a call on a GPU; empty where there is none."""
    call()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        call()
    except RuntimeError as error:
        return str(error).split("\n", 1)[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return ""
