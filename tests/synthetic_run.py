"""A small audited run of drawn pictures and simulated scores: deterministic, without torch.

``SyntheticRun(tmp_path)`` has everything that report, browse and compare read from a run. Figures in white
coats stand before a plain wall; the doctor wears a stethoscope, the nurse holds a syringe, and in a quarter
of the pictures the tool is hidden. The biased model looks at hair and face, the other one at the tool; both
see the same samples.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from camaudit.findings import quadrants
from camaudit.types import (
    AttributionMap,
    Effect,
    Finding,
    MaskFile,
    Preprocessing,
    Region,
    Role,
    RunManifest,
    Sample,
    Skipped,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

GRID = 7
TARGETS = ("predicted", "label")
FILLS = ("blur", "mean")
INTERVENED = ("shift", "shift_region", "shift_control", "flip", "flip_control", "accuracy")
CHECKS = {"noise": 0.95, "head": 0.28, "half": 0.2, "all": 0.06, "other_class": 0.31, "agreement": 0.9}
LOOKS = ("brightness", "compression", "resolution", "saturation", "sharpness", "warmth")
GENDERS = ("man", "woman")
EFFECT_COLUMNS = [
    "metric", "method", "target", "target_class", "region", "role", "group", "value",
    "estimate", "low", "high", "p", "q", "n",
]  # fmt: skip
WALLS = ("#b9c9d6", "#d8cdb8", "#bfd0bd", "#cfc0cc", "#c9c9c4", "#a9bcc9")
SKINS = ("#f3d0b0", "#e3b58d", "#c68e62", "#9a6540", "#6b4228")
HAIRS = ("#2a1c14", "#5a3a22", "#8a5a2e", "#1c1c20", "#b08045")


class SyntheticRun:
    """An `AuditedRun` over ``count`` drawn samples whose files lie under ``root``.

    Args:
        root: an empty or shared folder; runs over the same ``count`` may share it.
        biased: whether the simulated model uses hair and face; only scores and maps depend on it.
        count: number of samples, a multiple of four for equal cells.
        frame: side of the model's input in pixels.
        original: (width, height) of the image files; resized and cropped to the frame.
        classes: two class names.
        names: names of the four regions tool, hair, face and coat.
        name: the run's name.
        seed: of scores and maps; the pictures do not depend on it.
    """

    def __init__(
        self,
        root: Path,
        *,
        biased: bool = True,
        count: int = 48,
        frame: int = 64,
        original: tuple[int, int] | None = None,
        classes: tuple[str, str] = ("doctor", "nurse"),
        names: tuple[str, str, str, str] = ("tool", "hair", "face", "coat"),
        name: str | None = None,
        seed: int = 0,
    ) -> None:
        self.biased = biased
        self.frame = frame
        self.classes = classes
        self.names = names
        self._name = name or ("biased" if biased else "balanced")
        self._root = root
        self.path = root / "runs" / self._name
        self.path.mkdir(parents=True, exist_ok=True)
        roles: tuple[Role, ...] = ("object", "attribute", "attribute", "context")
        self.roles: dict[str, Role] = dict(zip(names, roles, strict=True))
        self.union = f"{names[1]}+{names[2]}"
        self._sources = [self._draw(index, original or (frame, frame)) for index in range(count)]
        self._by_id = {sample.id: sample for sample in self._sources}
        rng = np.random.default_rng([seed, int(biased)])
        self.samples = self._simulate(rng)
        self._maps = {
            (str(row.sample), target): self._map(str(row.sample), rng)
            for row in self.samples.itertuples()
            for target in TARGETS
        }
        self.samples = self.samples.assign(
            **{
                f"scale_gradcam_{target}": [
                    float(self._maps[sample, target].max()) for sample in self.samples["sample"]
                ]
                for target in TARGETS
            }
        )
        self.samples = self.samples.assign(**self._look())
        self.measurements = pd.DataFrame(self._measure(rng))
        self.trust = self._check(rng)
        self.exchanges = self._exchange(rng)
        self.effects = _effects(self.measurements, self.samples)
        self.clusters = self._cluster()
        self.quadrants = quadrants(self.measurements, self.samples, self.roles | {self.union: "attribute"})
        self.findings: Sequence[Finding] = self._find()
        self.verdict = self._judge()
        self.manifest = self._manifest()
        self.config: Mapping[str, Any] = {
            "model": {"source": "timm", "name": "tf_efficientnet_lite0", "classes": list(classes)},
            "data": {"format": "table", "path": "manifest.csv"},
            "audit": {"methods": ["gradcam"], "targets": list(TARGETS), "seed": 0},
        }

    def but(self, **changes: object) -> SyntheticRun:
        """A shallow copy with some of its attributes replaced, such as ``findings=()``."""
        other = copy.copy(self)
        for key, value in changes.items():
            if not hasattr(other, key):
                raise AttributeError(key)
            setattr(other, key, value)
        return other

    def source(self, sample: str) -> Sample:
        return self._by_id[sample]

    def attribution(
        self, sample: str, method: str | None = None, target: str | None = None
    ) -> AttributionMap:
        values = self._maps[sample, target or TARGETS[0]]
        return AttributionMap(values, sample, method or "gradcam", "conv_head", target or TARGETS[0])

    def picture(self, sample: str) -> NDArray[np.uint8]:
        with Image.open(self._by_id[sample].image) as image:
            return np.asarray(self._to_frame(image.convert("RGB"), Image.Resampling.BILINEAR))

    def masks(self, sample: str) -> Mapping[str, NDArray[np.bool_]]:
        shape = self._by_id[sample].regions[0].shape
        assert isinstance(shape, MaskFile)
        with Image.open(shape.path) as image:
            index = np.asarray(self._to_frame(image, Image.Resampling.NEAREST))
        return {name: index == value for value, name in enumerate(self.names, start=1)}

    def _to_frame(self, image: Image.Image, resampling: Image.Resampling) -> Image.Image:
        scale = self.frame / min(image.size)
        width, height = (round(side * scale) for side in image.size)
        left, top = (width - self.frame) // 2, (height - self.frame) // 2
        resized = image.resize((width, height), resampling)
        return resized.crop((left, top, left + self.frame, top + self.frame))

    def _draw(self, index: int, size: tuple[int, int]) -> Sample:
        """Draws picture and mask, as files, of the sample with this index."""
        label, gender = self.classes[index % 2], GENDERS[index // 2 % 2]
        folder = self._root / f"images-{size[0]}x{size[1]}"
        folder.mkdir(parents=True, exist_ok=True)
        identity = f"img_{index:03d}"
        image, mask = folder / f"{identity}.png", folder / f"{identity}.mask.png"
        if not mask.exists():
            _draw_person(index, gender, size, image, mask)
        regions = tuple(
            Region(name, role, MaskFile(mask, (value,)))
            for value, (name, role) in enumerate(self.roles.items(), start=1)
        )
        return Sample(identity, image, label, {"gender": gender}, regions, "test", f"person_{index // 2:02d}")

    def _simulate(self, rng: np.random.Generator) -> pd.DataFrame:
        first, second = self.classes
        rows = []
        for index, sample in enumerate(self._sources):
            evidence = 0.0 if _tool_is_hidden(index) else (1.0 if sample.label == first else -1.0)
            group = 1.0 if sample.groups["gender"] == "man" else -1.0
            used = (0.9, 0.6) if self.biased else (1.7, 0.1)
            logit = used[0] * evidence + used[1] * group + float(rng.normal(0, 0.5))
            predicted = first if logit > 0 else second
            rows.append(
                {
                    "sample": sample.id,
                    "image": str(sample.image),
                    "label": sample.label,
                    "predicted": predicted,
                    "correct": predicted == sample.label,
                    "confidence": 1 / (1 + math.exp(-abs(2 * logit))),
                    "margin": abs(2 * logit),
                    "split": sample.split,
                    "subject": sample.subject,
                    "group_gender": sample.groups["gender"],
                    f"score_{first}": logit,
                    f"score_{second}": -logit,
                }
            )
        return pd.DataFrame(rows)

    def _map(self, sample: str, rng: np.random.Generator) -> NDArray[np.float32]:
        """Raw map of a sample: a blob on each region, weighted by what the model uses, and some noise."""
        tool, hair, face, coat = self.names
        weights = (
            {tool: 0.5, hair: 1.2, face: 1.5, coat: 0.9}
            if self.biased
            else {tool: 1.6, hair: 0.2, face: 0.2, coat: 0.5}
        )
        values = rng.random((GRID, GRID)) * 0.12
        for name, mask in self.masks(sample).items():
            share = _to_grid(mask)
            if share.max() > 0:
                values += weights[name] * float(rng.uniform(0.6, 1.2)) * share / share.max()
        return np.asarray(np.maximum(values - 0.1, 0) * 3.7, dtype=np.float32)

    def _measure(self, rng: np.random.Generator) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        predicted = dict(zip(self.samples["sample"], self.samples["predicted"], strict=True))
        for sample in self._sources:
            masks = dict(self.masks(sample.id))
            masks[self.union] = masks[self.names[1]] | masks[self.names[2]]
            for target in TARGETS:
                chosen = predicted[sample.id] if target == "predicted" else sample.label
                for region, mask in masks.items():
                    base = {"sample": sample.id, "target": target, "target_class": chosen, "region": region,
                            "role": self._role(region)}  # fmt: skip
                    numbers = _localisation(self._maps[sample.id, target], mask)
                    rows += [
                        base | {"method": "gradcam", "metric": key, "value": v} for key, v in numbers.items()
                    ]
                    if target == "predicted" and region != self.names[3]:
                        for fill in FILLS:
                            numbers = self._intervene(region, mask, rng)
                            rows += [
                                base | {"method": fill, "metric": key, "value": v}
                                for key, v in numbers.items()
                            ]
        columns = ["sample", "method", "target", "target_class", "region", "role", "metric", "value"]
        return [{column: row[column] for column in columns} for row in rows]

    def _intervene(self, region: str, mask: NDArray[np.bool_], rng: np.random.Generator) -> dict[str, float]:
        """Shift of the margin, in its standard deviations, when the region is blurred, and of the control."""
        if not mask.any():
            return dict.fromkeys(INTERVENED, math.nan)
        attribute = {self.names[1]: 0.12, self.names[2]: 0.16, self.union: 0.27}
        expected = attribute.get(region, 0.10) if self.biased else (0.01 if region in attribute else 0.42)
        control = float(rng.normal(0.02, 0.04))
        moved = control + expected + float(rng.normal(0, 0.12))
        return {
            "shift": moved - control,
            "shift_region": moved,
            "shift_control": control,
            "flip": float(moved > 0.4),
            "flip_control": float(control > 0.09),
            "accuracy": float(moved > 0.45) - float(control > 0.1),
        }

    def _look(self) -> dict[str, list[float]]:
        """What every picture looks like as a whole, from its mean colour and its size alone."""
        pixels = [self.picture(sample.id).astype(float) / 255 for sample in self._sources]
        means = [picture.mean((0, 1)) for picture in pixels]
        looks = {
            "brightness": [float(mean.mean()) for mean in means],
            "compression": [0.1 + 0.01 * (index % 7) for index in range(len(means))],
            "resolution": [float(self.frame)] * len(means),
            "saturation": [float(mean.max() - mean.min()) for mean in means],
            "sharpness": [float(np.abs(np.diff(picture.mean(2))).mean()) for picture in pixels],
            "warmth": [float(mean[0] - mean[2]) for mean in means],
        }
        return {f"look_{name}": looks[name] for name in LOOKS}

    def _check(self, rng: np.random.Generator) -> pd.DataFrame:
        """Rank correlations of every second sample's map with what it is held against, and its mass."""
        rows = [
            {
                "sample": sample.id,
                "method": "gradcam",
                "check": check,
                "value": min(1.0, float(rng.normal(mean, 0.04))),
            }
            for sample in self._sources[::2]
            for check, mean in CHECKS.items()
        ]
        rows += [
            {"sample": sample.id, "method": "gradcam", "check": "zero_mass", "value": 0.0}
            for sample in self._sources[::2]
        ]
        return pd.DataFrame(rows, columns=["sample", "method", "check", "value"])

    def _exchange(self, rng: np.random.Generator) -> pd.DataFrame:
        """The object on two other samples' backgrounds, which this model does not care about."""
        rows = [
            {"sample": sample.id, "donor": donor.id, "region": self.names[3], "put": "background", "target": "label",
             "target_class": str(sample.label), "value": float(rng.normal(1.0, 0.2))}
            for index, sample in enumerate(self._sources)
            for donor in (self._sources[index - 1], self._sources[index - 2])
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def _role(self, region: str) -> Role:
        return "attribute" if region == self.union else self.roles[region]

    def _cluster(self) -> pd.DataFrame:
        """Two clusters a predicted class: maps that lie mostly on hair and face, and the others."""
        table = self.measurements.query("metric == 'mass' and method == 'gradcam' and target == 'predicted'")
        mass = table.pivot_table(index="sample", columns="region", values="value").fillna(0.0)
        rows: list[dict[str, object]] = []
        for chosen in self.classes:
            members = [
                s
                for s, p in zip(self.samples["sample"], self.samples["predicted"], strict=True)
                if p == chosen
            ]
            middle = float(mass.loc[members, self.union].median()) + 0.03
            parts = sorted(
                (
                    [s for s in members if (mass.loc[s, self.union] > middle) == high]
                    for high in (True, False)
                ),
                key=len,
                reverse=True,
            )
            for index, part in enumerate(parts):
                rows += [
                    {"sample": sample, "method": "gradcam", "target": "predicted", "target_class": chosen,
                     "cluster": index, "rank": rank, "x": float(mass.loc[sample, self.union]),
                     "y": float(mass.loc[sample, self.names[0]])}
                    for rank, sample in enumerate(part)
                ]  # fmt: skip
        return pd.DataFrame(
            rows, columns=["sample", "method", "target", "target_class", "cluster", "rank", "x", "y"]
        )

    def effect(
        self, metric: str, region: str, target_class: str = "", group: str = "", value: str = ""
    ) -> Effect:
        """The row of the effects table for the target ``predicted`` as a value."""
        table = self.effects
        row = table[
            (table.metric == metric) & (table.region == region) & (table.target_class == target_class)
            & (table.target == "predicted") & (table.group == group) & (table.value == value)
            & table.method.isin(["gradcam", "blur"])
        ].iloc[0]  # fmt: skip
        estimate, low, high, p, q = (float(row[key]) for key in ("estimate", "low", "high", "p", "q"))
        return Effect(metric, estimate, low, high, p, q, int(row["n"]))

    def _find(self) -> Sequence[Finding]:
        first, second = self.classes
        tool, hair, _, coat = self.names
        everybody: dict[str, str] = {}
        table = self.measurements.query(
            "metric == 'excess' and target == 'predicted' and target_class == @second"
        )
        ranked = table[table.region == self.union].sort_values("value", ascending=False)["sample"].tolist()
        attended, used = self.effect("excess", self.union, second), self.effect("shift", self.union, second)
        nothing = Effect("excess", 0.004, math.nan, math.nan, math.nan, math.nan, 4)
        issue = Finding(
            "CAM101",
            f"Where it says {second}, {100 * attended.estimate:.0f} points more of the evidence lie on "
            f"{self.union} than its area would hold; blurring it shifts the margin by {used.estimate:.2f} SD.",
            "issue", "used", 0.8, second, self.union, "attribute", everybody, used,
            {"attended": attended, "used": used}, {"attended": "yes", "used": "yes"}, tuple(ranked[:4]), tuple(ranked[-2:]),
            f"Balance the training images of {second} by gender, then audit again.",
        )  # fmt: skip
        passed = Finding(
            "CAM101",
            f"Where it says {second}, blurring {self.union} moves the score no more than blurring elsewhere.",
            "passed", None, 0.0, second, self.union, "attribute", everybody, used,
            {"attended": attended, "used": used}, {"attended": "no", "used": "no"}, tuple(ranked[:1]), (), "Nothing to do.",
        )  # fmt: skip
        return (
            issue if self.biased else passed,
            Finding(
                "CAM101",
                f"Where it says {first}, the evidence lies on {coat} more than its area would hold.",
                "tip", "attended", 0.3, first, coat, "context", everybody, self.effect("excess", coat, first),
                {"attended": self.effect("excess", coat, first)}, {"attended": "yes"}, (), (),
                f"If {coat} makes a {first}, give it the role object; else edit it away and look.",
            ),
            Finding(
                "CAM103", f"Where it says {first}, the evidence lies on {tool}, as it should.",
                "passed", "attended", 0.0, first, tool, "object", everybody,
                self.effect("excess", tool, first),
                {"attended": self.effect("excess", tool, first)}, {"attended": "yes"}, (), (), "Nothing to do.",
            ),
            Finding(
                "CAM101", f"Too few images of {second} men with {hair} hidden to decide anything.",
                "insufficient", None, 0.0, second, hair, "attribute", {"gender": "man"}, nothing,
                {"attended": nothing}, {"attended": "open"}, (), (), "Add at least 26 such images and audit again.",
            ),
            self._trusted(),
            *self._harms(),
            Finding(
                "CAM301", "Neither brightness nor warmth of the image goes with the accuracy.",
                "passed", None, 0.0, None, None, None, everybody, None, {}, {}, (), (), "Nothing to do.",
            ),
        )  # fmt: skip

    def _trusted(self) -> Finding:
        found = {}
        for check, values in self.trust.groupby("check", sort=False)["value"]:
            mean, error = float(values.mean()), 1.96 * float(values.std()) / math.sqrt(len(values))
            name = "zero_mass" if check == "zero_mass" else "correlation"
            found[str(check)] = Effect(
                name, mean, mean - error, mean + error, math.nan, math.nan, len(values)
            )
        return Finding(
            "CAM201", "The maps of gradcam depend on what the model has learnt; examined on 24 images.",
            "passed", "trusted", 0.0, None, None, None, {}, found["head"],
            {"trusted" if check == "head" else check: effect for check, effect in found.items()},
            {"trusted": "yes"}, (), (), "Nothing to do.",
        )  # fmt: skip

    def _harms(self) -> Sequence[Finding]:
        if not self.biased:
            return ()
        second = self.classes[1]
        judged = self.samples[self.samples["label"] == second]
        worst = judged[judged["group_gender"] == "man"]
        gap = float(judged["correct"].mean() - worst["correct"].mean())
        effect = Effect("accuracy_gap", gap, gap - 0.15, gap + 0.15, 0.004, 0.01, len(judged))
        return (
            Finding(
                "CAM401",
                f"Where a {second} is a man, the model errs {100 * (1 - float(worst['correct'].mean())):.0f} times in 100.",
                "issue", "harms", gap, second, None, None, {"gender": "man"}, effect, {"harms": effect}, {"harms": "yes"},
                tuple(worst.loc[~worst["correct"], "sample"][:4]), (), f"Collect images in which a {second} is a man.",
            ),
        )  # fmt: skip

    def _judge(self) -> Verdict:
        if self.biased:
            return Verdict(
                "issue", "Right for the wrong reason",
                f"The model uses {self.union} to tell {self.classes[0]} from {self.classes[1]}: the evidence "
                "lies there, and the score follows when it is blurred but not when as much is elsewhere.",
                finding=0,
            )  # fmt: skip
        return Verdict(
            "passed", "No shortcut found in what was examined",
            f"The evidence lies on {self.names[0]}, and blurring {self.union} moves the score no more than "
            "blurring elsewhere.",
        )  # fmt: skip

    def _manifest(self) -> RunManifest:
        return RunManifest(
            schema_version=1,
            name=self._name,
            stages=dict.fromkeys(
                ("data", "explain", "measure", "statistics", "clusters", "findings"), "done"
            ),
            hashes={"config": "c0" * 32, "model": ("b1" if self.biased else "b0") * 32, "data": "da" * 32},
            versions={"python": "3.11.9", "camaudit": "0.1.0", "torch": "2.9.0"},
            seed=0,
            device="cpu",
            model="tf_efficientnet_lite0",
            classes=self.classes,
            target_layer="conv_head",
            grid=(GRID, GRID),
            frame=(self.frame, self.frame),
            preprocessing=Preprocessing(self.frame, self.frame, (0.498, 0.498, 0.498), (0.502, 0.502, 0.502)),
            methods=("gradcam",),
            targets=TARGETS,
            roles=self.roles | {self.union: "attribute"},
            groups=("gender",),
            samples=len(self._sources) + 2,
            skipped=(
                Skipped("img_901", "images/img_901.png", "the file is truncated after 1,024 bytes"),
                Skipped("img_902", "images/img_902.png", "the mask is 50x70 but the image is 64x64"),
            ),
            warnings=("2 of 50 images were skipped.",),
            seconds={
                "data": 0.4,
                "explain": 2.1,
                "measure": 0.9,
                "statistics": 0.6,
                "clusters": 0.1,
                "findings": 0.0,
            },
        )


def _tool_is_hidden(index: int) -> bool:
    return index // 4 % 4 == 3


def _draw_person(index: int, gender: str, size: tuple[int, int], image: Path, mask: Path) -> None:
    """Draws a person into two files, in hundredths of the shorter side, on the centred square."""
    fine = 4
    stethoscope = index % 2 == 0
    width, height = size[0] * fine, size[1] * fine
    unit = min(width, height) / 100
    left, top = (width - 100 * unit) / 2, (height - 100 * unit) / 2
    rng = np.random.default_rng([7, index])
    dx, dy = (float(v) for v in rng.uniform(-9, 9, 2) * (1, 0.4))
    picture = Image.new("RGB", (width, height), WALLS[index % len(WALLS)])
    regions = Image.new("L", (width, height), 0)
    brush, marker = ImageDraw.Draw(picture), ImageDraw.Draw(regions)

    def box(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
        x, y = left + dx * unit, top + dy * unit
        return (x + x0 * unit, y + y0 * unit, x + x1 * unit, y + y1 * unit)

    def ellipse(edges: tuple[float, float, float, float], colour: str, value: int) -> None:
        brush.ellipse(box(*edges), fill=colour)
        marker.ellipse(box(*edges), fill=value)

    brush.rectangle((0, top + 82 * unit, width, height), fill="#8d8478")
    hair, skin = HAIRS[index % len(HAIRS)], SKINS[index % len(SKINS)]
    if gender == "woman":
        ellipse((31, 8, 69, 62), hair, 2)
    brush.rounded_rectangle(
        box(24, 52, 76, 120), radius=16 * unit, fill="#f4f5f7", outline="#c3c9d0", width=fine
    )
    marker.rounded_rectangle(box(24, 52, 76, 120), radius=16 * unit, fill=4)
    ellipse((35, 11, 65, 44), hair, 2)
    ellipse((37, 18, 63, 52), skin, 3)
    if not _tool_is_hidden(index):
        if stethoscope:
            for canvas, colour in ((brush, "#274a63"), (marker, 1)):
                canvas.arc(box(37, 42, 63, 82), 0, 180, fill=colour, width=round(4 * unit))
                canvas.ellipse(box(45, 77, 55, 87), fill=colour)
        else:
            for canvas, colour in ((brush, "#3b8f8a"), (marker, 1)):
                canvas.rounded_rectangle(box(52, 64, 60, 90), radius=2 * unit, fill=colour)
                canvas.rectangle(box(55, 58, 57, 64), fill=colour)
    picture.resize(size, Image.Resampling.BOX).save(image)
    index_image = regions.resize(size, Image.Resampling.NEAREST).convert("P")
    index_image.putpalette([0, 0, 0, 220, 60, 60, 60, 160, 60, 60, 90, 220, 200, 180, 60])
    index_image.save(mask)


def _to_grid(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of every grid cell that the mask covers."""
    edges = [np.linspace(0, side, GRID + 1).round().astype(int) for side in mask.shape]
    sums = np.add.reduceat(np.add.reduceat(mask.astype(float), edges[0][:-1], 0), edges[1][:-1], 1)
    return np.asarray(sums / np.outer(np.diff(edges[0]), np.diff(edges[1])))


def _localisation(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> dict[str, float]:
    area, share = float(mask.mean()), _to_grid(mask)
    if area == 0:
        return {"area": 0.0} | dict.fromkeys(
            ("mass", "lift", "excess", "pointing", "pointing_centre"), math.nan
        )
    mass = float((values * share).sum() / values.sum())
    peak = np.unravel_index(int(values.argmax()), values.shape)
    return {
        "area": area,
        "mass": mass,
        "lift": math.log2(mass / area) if mass > 0 else math.nan,
        "excess": mass - area,
        "pointing": float(share[peak] > 0),
        "pointing_centre": float(share[GRID // 2, GRID // 2] > 0),
    }


def _effects(measurements: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Means with normal intervals per class and for all (target_class ""), for all samples and per gender."""
    table = measurements.merge(samples[["sample", "group_gender"]], on="sample").dropna(subset="value")
    keys = ["metric", "method", "target", "target_class", "region", "role", "group", "value_"]
    parts = [
        table.assign(**change)
        for change in (
            {"group": "", "value_": ""},
            {"group": "", "value_": "", "target_class": ""},
            {"group": "gender", "value_": table["group_gender"]},
        )
    ]
    long = pd.concat(parts, ignore_index=True)
    tested = ("excess", "lift", "shift")
    rows = []
    for key, values in long.groupby(keys, sort=True)["value"]:
        metric, n, estimate = str(key[0]), len(values), float(values.mean())
        error = float(values.std(ddof=1)) / math.sqrt(n) if n >= 5 else math.nan
        p = math.nan
        if metric in tested and error > 0:
            p = max(math.erfc(abs(estimate / error) / math.sqrt(2)), 1 / 10_000)
        rows.append([*key, estimate, estimate - 1.96 * error, estimate + 1.96 * error, p, math.nan, n])
    effects = pd.DataFrame(rows, columns=EFFECT_COLUMNS)
    defined = effects["p"].dropna().sort_values()
    ranks = np.arange(1, len(defined) + 1)
    adjusted = np.minimum.accumulate((defined.to_numpy() * len(defined) / ranks)[::-1])[::-1]
    effects.loc[defined.index, "q"] = np.minimum(adjusted, 1.0)
    return effects
