"""A commented configuration for what lies in a folder."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from camaudit.config import DataConfig, RolesConfig, parse_section
from camaudit.data import open_dataset
from camaudit.errors import CamauditError, DataError, RunError
from camaudit.runs import store
from camaudit.runs.proposing import folders
from camaudit.runs.proposing.models import Found, weights_near
from camaudit.runs.proposing.proposal import Proposal
from camaudit.runs.proposing.tables import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# the first that recognises a folder; a table and plain folders are what is left
_FORMATS: tuple[Callable[[Path], Proposal | None], ...] = (
    *(folders.huggingface, folders.waterbirds, folders.celeba, folders.pets, folders.isic),
    *(folders.voc, folders.yolo, folders.coco, table, folders.image_folder),
)
_FEW = 200  # classes that are written out
_COMMENTS: Mapping[str, str] = {
    "format": "table | folder | coco | voc | yolo | waterbirds | celeba | isic | pets | huggingface | fiftyone",
    "path": "relative to this file",
    "images": "folder of the images",
    "label": "where an image's label comes from",
    "split": "audit only the samples of this split",
    "columns.image": "column with the images' paths",
    "columns.label": "column with the class names",
    "columns.id": "column with unique ids",
    "columns.groups": "columns to compare by, such as [gender]",
    "columns.split": "column with the split of each row",
    "columns.subject": "who or what a row shows: the unit of the statistics",
    "regions.column": "column with the paths of the masks",
    "regions.folder": "masks at the same places as the images",
    "regions.legend": "pixel value: region",
}


@dataclass(frozen=True)
class _Seen:
    """What a dataset holds: classes by how many samples they have, regions; why it cannot be read, where it cannot."""

    classes: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    samples: int = 0
    said: str = ""


def propose(folder: Path, out: Path) -> str:
    """Write a commented configuration that fits what lies in a folder.

    What is only guessed, or has to be filled in, is marked by ``# ?``.

    Args:
        folder: with images, annotations, perhaps weights.
        out: the YAML file; must not exist.

    Returns:
        What was recognised, a phrase.

    Raises:
        DataError: there is no such folder, or nothing in it is recognised.
        RunError: the file exists, or cannot be written.
    """
    if not folder.is_dir():
        msg = f"{folder} is not a folder. Give the folder that holds the dataset, or a name ending in .yaml for an empty audit."
        raise DataError(msg)
    _refuse_existing(out)
    proposal = next((found for of in _FORMATS if (found := of(folder)) is not None), None)
    if proposal is None:
        msg = (
            f"Nothing in {folder} is recognised: no table with the paths of images, no annotations, no sub-folder a class. "
            f"Write an empty audit with: camaudit init audit.yaml"
        )
        raise DataError(msg)
    text = _text(proposal, _look(proposal), weights_near(folder), out.parent)
    store.write_text(out, text)
    return proposal.what


def skeleton(out: Path) -> None:
    """Write a commented configuration to fill in.

    Raises:
        RunError: the file exists, or cannot be written.
    """
    _refuse_existing(out)
    data = {"format": "table", "path": Path("manifest.csv"), "columns": {"image": "image", "label": "label"}}
    unsure = {"format": "where the dataset comes from", "path": "the table, the folder or the annotations"}
    proposal = Proposal("nothing yet: fill it in", data, unsure)
    store.write_text(out, _text(proposal, _Seen(), [], None))


def _refuse_existing(out: Path) -> None:
    if out.exists() or out.is_symlink():
        msg = f"{out} exists already. Give another name with -o, or delete it."
        raise RunError(msg)


def _look(proposal: Proposal) -> _Seen:
    try:
        whole = {key: value for key, value in proposal.data.items() if key != "split"}
        data = open_dataset(parse_section(DataConfig, whole, where="data"), RolesConfig())
    except CamauditError as error:
        return _Seen(said=str(error).splitlines()[0])
    labels: Counter[str] = Counter(sample.label for sample in data.samples if sample.label is not None)
    return _Seen(tuple(sorted(labels)), tuple(data.regions), len(data))


def _text(proposal: Proposal, seen: _Seen, weights: Sequence[Found], home: Path | None) -> str:
    head = [
        f"# An audit as camaudit init proposes it. Recognised: {_one_line(proposal.what)}.",
        "# Look at every line with '# ?': it is a guess, or has to be filled in. Then try: camaudit check THIS_FILE",
    ]
    if seen.samples:
        head.append(f"# {seen.samples:,} samples, {len(seen.classes)} labels, {len(seen.regions)} regions.")
    if seen.said:
        head.append(f"# ? the dataset cannot be read like this: {_one_line(seen.said)}")
    sections = [_model(seen, weights, home), _data(proposal, home), _roles(seen), _audit(bool(seen.classes))]
    return "\n".join(["\n".join(lines) for lines in (head, *sections)]) + "\n"


def _model(seen: _Seen, weights: Sequence[Found], home: Path | None) -> list[str]:
    best = next((of for of in weights if not of.said), None)
    classes = best.classes if best is not None and best.classes else seen.classes
    source = (best.source if best else None) or "timm"
    named = source in {"timm", "torchvision"}
    lines = [
        "",
        "model:",
        f"  source: {source}  # torchvision | timm | transformers | torchscript | export | python"
        + ("  # ? whose architecture it is" if named else ""),
    ]
    if named:
        lines.append("  name: ''  # ? the architecture, such as resnet50")
    if best is None:
        lines.append("  weights:  # ? a safetensors file or a state dict; nothing is downloaded")
    else:
        outputs = f"{best.outputs} outputs" if best.outputs else "the head was not found"
        lines.append(f"  weights: {_value(_relative(best.path, home))}  # {outputs}")
    lines += [
        f"  # ? or {_one_line(str(_relative(of.path, home)))}{_about(of)}" for of in weights if of is not best
    ]
    if len(classes) > _FEW:
        lines.append(
            f"  # ? {len(classes)} labels were found, which are too many for classes; is it the right column?"
        )
    told = (
        ""
        if best is not None and best.classes
        else "  # ? in the order of the head's outputs; here by the alphabet"
    )
    if best is not None and best.outputs == 1 and len(classes) == 2:
        lines.append("  task: binary  # ? one output, above zero for the second class")
    elif best is not None and best.outputs and classes and best.outputs != len(classes):
        told = f"  # ? the weights have {best.outputs} outputs and the data {len(classes)} labels"
    shown = list(classes[:_FEW])
    lines.append(
        f"  classes: {_value(shown)}{told if shown else '  # ? the names of the outputs, in their order'}"
    )
    return [
        *lines,
        "  # preprocessing: {resize: 256, crop: 224, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}",
        "  #   the weights' own recipe where left out",
        "  target_layer: auto  # where maps are made; see: camaudit layers THIS_FILE",
        "  # expect_accuracy: 0.9  # warns where the model is much better or worse",
    ]


def _about(found: Found) -> str:
    if found.said:
        return f": {_one_line(found.said)}"
    return f" ({found.outputs} outputs)" if found.outputs else ""


def _data(proposal: Proposal, home: Path | None) -> list[str]:
    lines = ["", "data:", *_lines(proposal.data, "", proposal.unsure, home)]
    if "regions" not in proposal.data and proposal.data["format"] in {"table", "folder"}:
        where = "column: mask" if proposal.data["format"] == "table" else "folder: masks"
        lines.append(
            f"  # regions: {{{where}, legend: {{1: hair, 2: face}}}}  # indexed masks: pixel value to region"
        )
    lines.append("  # derive: {background: not (hair or face)}  # regions made of others")
    return lines


def _lines(
    values: Mapping[str, Any], above: str, unsure: Mapping[str, str], home: Path | None
) -> Iterator[str]:
    """The keys of a section, a line each, with what they mean and what is doubtful about them."""
    indent = "  " * (above.count(".") + 1)
    for key, value in values.items():
        dotted = f"{above}{key}"
        doubt = f"  # ? {_one_line(unsure[dotted])}" if dotted in unsure else ""
        comment = f"  # {_COMMENTS[dotted]}" if dotted in _COMMENTS else ""
        if isinstance(value, dict):
            yield f"{indent}{_value(key)}:{comment}{doubt}"
            yield from _lines(value, f"{dotted}.", unsure, home)
            if dotted == "columns":
                others = [name for name in _COMMENTS if name.startswith("columns.") and name[8:] not in value]
                yield from (f"{indent}  # {name[8:]}:  # {_COMMENTS[name]}" for name in others)
        else:
            said = _value(_relative(value, home) if isinstance(value, Path) else value)
            yield f"{indent}{_value(key)}: {said}{comment}{doubt}"


def _roles(seen: _Seen) -> list[str]:
    if not seen.regions:
        return [
            "",
            "# roles:  # of the regions: what the model should use, and what it should not",
            "#   object: []",
            "#   attribute: []",
        ]
    names = ", ".join(map(_value, seen.regions[:60]))
    return [
        "",
        f"# the regions are {names}",
        "roles:  # a region in neither list is context: the rest of the picture",
        "  object: []  # ? what the model should use, such as " + _value(list(seen.regions[:1])),
        "  attribute: []  # ? what it should not use, though it may come along with a class",
    ]


def _audit(labelled: bool) -> list[str]:  # noqa: FBT001 - of this module
    targets = "[predicted, label]" if labelled else "[predicted]"
    return [
        "",
        "audit:",
        "  methods: [gradcam]  # see: camaudit methods; the first one decides",
        f"  targets: {targets}  # predicted | label | class:NAME | contrast:NAME,NAME",
        "  device: auto  # auto | cpu | cuda | cuda:N",
        "  seed: 0  # of the statistics and the clusters",
    ]


def _relative(path: Path, home: Path | None) -> Path:
    if home is None:
        return path
    return Path(os.path.relpath(os.path.realpath(path), os.path.realpath(home)))


def _value(value: object) -> str:
    """A value as YAML in one line."""
    plain = str(value) if isinstance(value, Path) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=float("inf"), allow_unicode=True)
    said = text.removesuffix("...\n").strip()
    return said if "\n" not in said else json.dumps(plain, ensure_ascii=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())
