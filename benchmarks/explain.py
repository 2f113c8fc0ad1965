"""How fast attribution maps are, beside pytorch-grad-cam, torchcam and captum.

``python -m benchmarks.explain [--device auto] [--models ...] [--batch 16] [--repeats N] [--json FILE] [--quick]``

All times are multiples of one forward pass of the same batch in `torch.inference_mode`, taken in the same process, in turn,
as medians of the ratios of one round. With ``--json`` every row is written when it is measured and not measured again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.clock import in_turn, once, peak, settled
from benchmarks.large import BLOCK_IN_HEAD, MODELS, large
from benchmarks.peers import PEERS
from benchmarks.waits import refused, waits
from camaudit.explain import all_methods, explain
from camaudit.explain.registry import get_method

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.networks import Case

SEVEN = ("gradcam", "counterfactual_gradcam", "gradcampp", "xgradcam", "hirescam", "layercam", "eigencam")
FORWARD = "forward"
OURS = "camaudit"
QUICK = {
    "rise": {"masks": 8},
    "smooth_gradcampp": {"samples": 2},
    "smoothgrad": {"samples": 2},
    "integrated_gradients": {"steps": 2},
}


@dataclass(frozen=True)
class Bound:
    """What a row must keep: at most so many forward passes, or so many times as fast as a library at least."""

    most: float = math.inf
    least: float = 0.0
    than: str = ""

    def verdict(self, multiples: Mapping[str, float]) -> str:
        """What the bound is and whether it is met."""
        if math.isfinite(self.most):
            return f"≤ {self.most:g}: {'met' if multiples[OURS] <= self.most else 'NOT MET'}"
        if self.than not in multiples:
            return "–"
        ratio = multiples[self.than] / multiples[OURS]
        return f"≥ {self.least:g} × {self.than}: {ratio:.3g} ×, {'met' if ratio >= self.least else 'NOT MET'}"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what is computed.
        methods: our ids.
        targets: how many.
        bound: see `Bound`.
        images: of the batch; None: all.
        memory: whether the peak is measured too.
        passes: forward passes of one image a peer makes at least: as many as the layer has channels.
    """

    name: str
    methods: tuple[str, ...]
    bound: Bound
    targets: int = 1
    images: int | None = None
    memory: bool = False
    passes: bool = False


def rows(model: str) -> list[Row]:
    """What is measured of a model."""
    together = 1.5 if model in BLOCK_IN_HEAD else 1.25
    theirs = "pytorch-grad-cam"
    return [
        Row("Grad-CAM", ("gradcam",), Bound(most=1.05)),
        Row("seven methods, two targets", SEVEN, Bound(most=together), targets=2, memory=True),
        Row("FullGrad", ("fullgrad",), Bound(least=20, than=theirs), images=2, memory=True),
        Row(
            "Ablation-CAM", ("ablationcam",), Bound(least=20, than=theirs), images=1, memory=True, passes=True
        ),
        Row("Score-CAM", ("scorecam",), Bound(least=3, than=theirs), images=1, memory=True, passes=True),
    ]


def calls(row: Row, case: Case, memory: int) -> dict[str, Callable[[], object]]:
    """A forward pass, ours, and every peer that has the method."""
    targets = [case.classes, *(["predicted"] * (row.targets - 1))]

    def forward() -> object:
        with torch.inference_mode():
            return case.model(case.images)

    def ours() -> object:
        return explain(
            case.model, case.images, methods=row.methods, targets=targets, layer=case.layer, memory=memory
        )

    found: dict[str, Callable[[], object]] = {FORWARD: forward, OURS: ours}
    if len(row.methods) == 1:
        for peer, methods in PEERS.items():
            if row.methods[0] in methods:
                found[peer] = lambda method=methods[row.methods[0]]: method(case)
    return found


def measured(row: Row, case: Case, arguments: argparse.Namespace) -> dict[str, Any]:
    """One row: times, peaks, and the bound."""
    if row.images:
        case = replace(case, images=case.images[: row.images], classes=case.classes[: row.images])
    device = case.images.device
    found = calls(row, case, arguments.memory)
    left_out = {}
    if row.passes:
        channels = _channels(case)
        seconds = channels * once(found[FORWARD], device)
        if seconds > arguments.limit:
            left_out = {name: f"about {seconds:.0f} s" for name in found if name not in {FORWARD, OURS}}
            found = {name: call for name, call in found.items() if name not in left_out}
    first: dict[str, float] = {}
    peaks: dict[str, float] = {}
    failed: dict[str, str] = {}
    found[FORWARD]()
    for name, call in list(found.items()):

        def timed(name: str = name, call: Callable[[], object] = call) -> None:
            first[name] = once(call, device)

        try:
            peaks[name] = peak(timed, device)
        except Exception as error:  # noqa: BLE001 - a library that cannot do it is part of the result
            failed[name] = f"{type(error).__name__}: {error}".split("\n", 1)[0][:120]
            del found[name]
            first.pop(name, None)
    timings = in_turn(found, device, first=first, rounds=arguments.repeats, limit=arguments.limit)
    multiples = {name: timing.multiple for name, timing in timings.items()}
    return {
        "layer": case.layer,
        "images": len(case.images),
        "timings": {name: asdict(timing) for name, timing in timings.items()},
        "peaks": peaks if row.memory else {},
        "left_out": left_out,
        "failed": failed,
        "bound": row.bound.verdict(multiples) if OURS in multiples else "failed",
    }


def _channels(case: Case) -> int:
    kept: list[int] = []
    handle = case.module.register_forward_hook(
        lambda _m, _i, output: kept.append(case.grid.split(output).shape[1])
    )
    with torch.inference_mode():
        case.model(case.images)
    handle.remove()
    return kept[0]


def waiting(case: Case, *, quick: bool) -> dict[str, dict[str, Any]]:
    """Of every method that fits the model: what made the host wait, beyond what the model itself does."""
    case = replace(case, images=case.images[:2], classes=case.classes[:2])
    found: dict[str, dict[str, Any]] = {}

    def forward() -> object:
        with torch.inference_mode():
            return case.model(case.images)

    alone = waits(forward, case.images.device)
    every = ("fullgrad", "gradcam", "scorecam") if quick else all_methods()
    for method in [*every, " ".join(SEVEN)]:
        names = method.split()
        if not quick and any("channels" in get_method(name).cost for name in names):
            continue  # many passes of the same code: a small model shows the same
        options = {name: QUICK[name] for name in names if name in QUICK}

        def call(names: Sequence[str] = names, options: Mapping[str, Any] = options) -> object:
            return explain(case.model, case.images, methods=names, targets=[3, "predicted"], options=options)

        try:
            call()
        except Exception as error:  # noqa: BLE001 - methods that do not fit the model say so
            found[method] = {"failed": f"{error}".split(";", 1)[0][:100]}
            continue
        counts = waits(call, case.images.device)
        found[method] = {"waits": dict(counts - alone)}
        if case.images.device.type == "cuda":
            found[method]["refused"] = refused(call)
    return found


# ------------------------------------------------------------------ the table


def printed(model: str, row: Row, result: Mapping[str, Any]) -> None:
    """One row as a line of Markdown."""
    cells = []
    for name in (OURS, *PEERS):
        timing = result["timings"].get(name)
        if timing is None:
            cells.append(result["left_out"].get(name) or ("failed" if name in result["failed"] else "–"))
            continue
        text = f"{timing['multiple']:.3g}"
        size = result["peaks"].get(name)
        cells.append(f"{text} ({size / 2**20:.0f} MiB)" if size is not None else text)
    forward = result["timings"][FORWARD]
    once_ms = f"{1000 * forward['seconds']:.3g} ms × {forward['rounds']}"
    print(
        f"| {model} | {row.name} ({result['images']}) | {' | '.join(cells)} | {result['bound']} | {once_ms} |"
    )
    for name, why in result["failed"].items():
        print(f"  {name}: {why}", file=sys.stderr)
    sys.stdout.flush()


def machine(device: torch.device) -> dict[str, Any]:
    """Where it ran."""
    from importlib.metadata import version

    name = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        lines = [line for line in cpus.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else name,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "torch": str(torch.__version__),
        "versions": {package: version(package) for package in ("camaudit", "grad-cam", "torchcam", "captum")},
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
    }


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.explain", description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--models", nargs="+", choices=list(MODELS))
    parser.add_argument("--rows", nargs="+", help="only the rows whose name holds one of these")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--limit", type=float, default=300, help="seconds for one row")
    parser.add_argument(
        "--memory", type=int, default=2**30, help="bytes that camaudit may take to run a model again"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="a tiny model, one round")
    found = parser.parse_args(arguments)
    if found.quick:
        found.batch, found.repeats, found.limit = min(found.batch, 2), 1, min(found.limit, 10)
    found.models = found.models or (["tiny"] if found.quick else [name for name in MODELS if name != "tiny"])
    cuda = found.device == "cuda" or (found.device == "auto" and torch.cuda.is_available())
    found.device = torch.device("cuda" if cuda else "cpu")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    chosen = parsed(arguments)
    where = machine(chosen.device)
    kept: dict[str, Any] = {"machine": where, "rows": {}, "waits": {}}
    if chosen.json and chosen.json.exists():
        kept = json.loads(chosen.json.read_text())
    print(
        f"{where['device']}, {where['threads']} threads of {where['cores']} cores, load {where['load']:.1f}, "
        f"PyTorch {where['torch']}, batch {chosen.batch}; forward passes of the batch in the row (peak memory beyond it)\n"
    )
    columns = ("model", "maps (images)", OURS, *PEERS, "bound", "forward")
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    with (
        settled(),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False),
    ):
        for name in chosen.models:
            case = large(name, batch=chosen.batch, device=chosen.device)
            for row in rows(name):
                if chosen.rows and not any(part.lower() in row.name.lower() for part in chosen.rows):
                    continue
                key = f"{name} | {row.name} | {chosen.device.type} | {chosen.batch} | {where['threads']}"
                if key not in kept["rows"]:
                    kept["rows"][key] = measured(row, case, chosen)
                    _keep(chosen.json, kept)
                printed(name, row, kept["rows"][key])
            key = f"{name} | {chosen.device.type}"
            if not chosen.rows and key not in kept["waits"]:
                kept["waits"][key] = waiting(case, quick=chosen.quick)
                _keep(chosen.json, kept)
    print(
        "\nWhat made the host wait for the device inside of `explain`, beyond what the model itself does:\n"
    )
    for key, methods in kept["waits"].items():
        for method, result in methods.items():
            said = result.get("failed") or result.get("refused") or result["waits"] or "nothing"
            print(f"- {key} | {method}: {said}")


def _keep(path: Path | None, kept: Mapping[str, Any]) -> None:
    if path is not None:
        beside = path.with_name(f"{path.name}.new")
        beside.write_text(json.dumps(kept, indent=1))
        beside.replace(path)


if __name__ == "__main__":
    main()
