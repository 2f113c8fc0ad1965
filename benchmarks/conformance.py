"""How far camaudit is from the slow twins of the formulas, and from its peers, by method and architecture.

``python -m benchmarks.conformance [--json FILE] [--markdown FILE]``; what the JSON file holds is not computed again.

Networks of `benchmarks.networks`: narrow, random weights, float64, two images, a layer whose gradient varies from place to
place. A distance is the largest difference of two maps over the largest value of either.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.deviations import FORMULAS, FURTHER
from benchmarks.networks import BUILT, Case, case
from benchmarks.peers import PEERS
from benchmarks.twins import ONLY, OPTIONS, TWINS
from camaudit.errors import CamauditError
from camaudit.explain import all_methods, explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

LAST = {"ResNet": "layer4", "RegNet": "trunk_output"}
"""CAM is defined at the last layer alone."""
SIGNED = {"gradient", "guided_backprop", "deconvnet"}


def distance(one: Tensor, other: Tensor) -> float | str:
    """Largest difference over the largest value of either; a word where there is nothing to compare."""
    if one.shape != other.shape:
        return "no map"
    largest = max(float(one.abs().max()), float(other.abs().max()))
    return float((one - other).abs().max()) / largest if largest else "both empty"


def ours(of: Case, method: str) -> Tensor:
    """(batch, h, w)."""
    options: dict[str, Any] = {method: OPTIONS[method]} if method in OPTIONS else {}
    found = explain(
        of.model, of.images, methods=[method], targets=[of.classes], layer=of.layer, options=options
    )
    return found[method][:, 0]


def twin(of: Case, method: str) -> Tensor:
    """(batch, h, w)."""
    maps = [TWINS[method](of, image, target) for image, target in zip(of.images, of.classes, strict=True)]
    return torch.stack(maps)


def reduced(found: Tensor, method: str) -> Tensor:
    """A peer's signed channels as our method reduces them."""
    if method in SIGNED:
        return found.abs().amax(1)
    return found.sum(1).relu() if method == "integrated_gradients" else found


def comparable(found: Tensor, method: str) -> Tensor:
    """FullGrad of a peer comes rescaled to [0, 1] only; so ours is, to be compared."""
    if method != "fullgrad":
        return found
    low, high = found.amin((1, 2), keepdim=True), found.amax((1, 2), keepdim=True)
    return (found - low) / (high - low)


def row(method: str, name: str) -> dict[str, float | str]:
    """Distances of one method on one architecture, by what it is held against; a sentence where there is no map."""
    of = case(name, layer=LAST.get(name) if method == "cam" else None)
    found: dict[str, float | str] = {}
    if method == "cam" and name not in LAST:
        return found
    try:
        maps = ours(of, method)
    except CamauditError as error:
        return {"refused": str(error).partition(".")[0]}
    if method in TWINS and name in ONLY.get(method, BUILT):
        found["twin"] = distance(twin(of, method), maps)
    if method == "smooth_gradcampp":  # a peer draws noise of its own
        maps = explain(
            of.model,
            of.images,
            methods=[method],
            targets=[of.classes],
            layer=of.layer,
            options={method: {"sigma": 0.0, "samples": 1}},
        )[method][:, 0]
    for peer, methods in PEERS.items():
        if method not in methods:
            continue
        # of its own: not every peer gives a model back as it was
        fresh = case(name, layer=LAST.get(name) if method == "cam" else None)
        try:
            theirs = reduced(methods[method](fresh).detach().double(), method)
        except Exception as error:  # noqa: BLE001 - that it fails is the result
            found[peer] = type(error).__name__
        else:
            found[peer] = distance(comparable(theirs, method), comparable(maps, method))
    return found


def table(results: Mapping[str, Mapping[str, Mapping[str, float | str]]], against: str) -> list[str]:
    """Methods × architectures, as Markdown."""
    methods = [method for method in results if any(against in of for of in results[method].values())]
    lines = [
        f"| method | {' | '.join(BUILT)} | formula |",
        f"| --- |{' --- |' * (len(BUILT) + 1)}",
    ]
    for method in methods:
        cells = [_cell(results[method].get(name, {}).get(against)) for name in BUILT]
        said = "the paper's" if against == "twin" else FORMULAS.get((against, method), "the same")
        lines.append(f"| {method} | {' | '.join(cells)} | {said} |")
    return lines


def _cell(found: float | str | None) -> str:
    if found is None:
        return "–"
    return found if isinstance(found, str) else f"{found:.0e}"


def markdown(results: Mapping[str, Any]) -> str:
    """The whole document."""
    versions = ", ".join(
        f"{package} {version(package)}" for package in ("grad-cam", "torchcam", "captum", "torch")
    )
    lines = [
        "# Conformance",
        "",
        (
            "Written by `python -m benchmarks.conformance`. Ten narrow networks with random weights (batch norms, scales and "
            "biases none of them trivial), float64, two images, a layer behind which the gradient varies from place to place. A "
            "number is the largest difference of two maps over the largest value of either; “–”: not compared; “both empty”: neither map shows anything (what speaks for the class is nowhere positive). "
            f"Versions: {versions}. The same comparisons are tests in `tests/explain/test_explain_peers.py`."
        ),
        "",
        "## To the formulas",
        "",
        "Slow twins in double loops, `tests/explain/literal.py`.",
        "",
        *table(results, "twin"),
    ]
    for peer in PEERS:
        lines += ["", f"## To {peer}", "", *table(results, peer)]
    lines += [
        "",
        "## Where peers deviate",
        "",
        "Each is asserted by a test, unless it says that it was read.",
        "",
    ]
    lines += [f"- {deviation}" for deviation in FURTHER]
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, print, write."""
    parser = argparse.ArgumentParser("benchmarks.conformance", description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--methods", nargs="+", default=list(all_methods()))
    parser.add_argument("--networks", nargs="+", default=list(BUILT), choices=list(BUILT))
    chosen = parser.parse_args(arguments)
    results: dict[str, dict[str, dict[str, float | str]]] = {}
    if chosen.json and chosen.json.exists():
        results = json.loads(chosen.json.read_text())
    for method in chosen.methods:
        results.setdefault(method, {})
        for name in chosen.networks:
            if name not in results[method]:
                results[method][name] = row(method, name)
                print(f"{method} {name} {results[method][name]}", file=sys.stderr, flush=True)
        if chosen.json:
            chosen.json.write_text(json.dumps(results, indent=1))
    text = markdown(results)
    if chosen.markdown:
        chosen.markdown.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
