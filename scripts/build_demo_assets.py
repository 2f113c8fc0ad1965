"""Make the demo's shipped parts (people, tools, scenes) from the packages they come from.

Fetches the three source packages by name (``npm pack``, ``apt-get download``) into a work folder, or takes folders
that already hold them unpacked, and writes ``camaudit/demo/assets``. Needs ``resvg-py`` and Pillow.

    python scripts/build_demo_assets.py --work build/demo-sources
"""

from __future__ import annotations

import argparse
import io
import shutil
import struct
import subprocess
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import resvg_py
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SVG = "http://www.w3.org/2000/svg"
EMOJI, LOMIRI, GCOMPRIS = "fluentui-emoji@1.3.0", "lomiri-wallpapers-16.04", "gcompris-qt-data"
FIGURE_SIDE = 256
TOOL_SIDE = 128
SCENE_SHORT_SIDE = 320
SCENE_LONGEST = 480
OPAQUE = 128  # an element owns a pixel from half coverage on: soft shadows and highlights own none
SHIRT_COLOUR = "#8b9097"  # the drawing gives women a purple shirt and men a blue one

# values of the part maps; the same as in camaudit.demo.compose.LEGEND
TOOL, COAT, SHIRT, HAIR, FACE = 1, 2, 3, 4, 5
GENDERS = ("woman", "man")
TONES = ("default", "light", "medium-light", "medium", "medium-dark", "dark")
TOOLS = ("syringe", "thermometer", "pill", "clipboard")


@dataclass(frozen=True)
class Elements:
    """Which top-level elements of a health-worker drawing are what; each set was checked by eye.

    The sixth element of a stethoscope is the chest piece's soft shadow, which is left out.

    Everything before ``neck`` that is neither shirt nor hair is coat. Everything after the stethoscope that is not
    hair is face: ears, eyes, brows, nose, mouth. The drawings show no hands.
    """

    count: int
    shirt: tuple[int, int]
    neck: int
    stethoscope: range
    hair: frozenset[int]


def _woman(count: int, fringe: range) -> Elements:
    return Elements(count, (16, 17), 34, range(35, 49), frozenset({0, *fringe}))


def _man(count: int, hair: Iterable[int]) -> Elements:
    return Elements(count, (15, 16), 33, range(34, 48), frozenset(hair))


FIGURES = {
    ("woman", "default"): _woman(79, range(76, 79)),
    ("woman", "light"): _woman(81, range(77, 81)),
    ("woman", "medium-light"): _woman(80, range(77, 80)),
    ("woman", "medium"): _woman(81, range(77, 81)),
    ("woman", "medium-dark"): _woman(82, range(78, 82)),
    ("woman", "dark"): _woman(81, range(77, 81)),
    ("man", "default"): _man(80, range(57, 61)),
    ("man", "light"): _man(74, (54, 73)),
    ("man", "medium-light"): _man(74, range(53, 56)),
    ("man", "medium"): _man(78, (58, 77)),
    ("man", "medium-dark"): _man(79, (59, 78)),
    ("man", "dark"): _man(74, (54, 73)),
}


@dataclass(frozen=True)
class Scene:
    """One photograph: where it lies in its package, who took it, under which licence."""

    name: str
    package: str
    path: str
    author: str
    licence: str
    source: str


def _wallpaper(name: str, file: str, author: str, licence: str = "CC-BY-4.0") -> Scene:
    return Scene(
        name, LOMIRI, f"usr/share/backgrounds/{file}", author, licence, "copyright file of the package"
    )


def _monument(name: str, path: str, author: str, commons: str) -> Scene:
    source = f"https://commons.wikimedia.org/wiki/File:{commons}"
    return Scene(
        name, GCOMPRIS, f"src/activities/explore_monuments/resource/{path}", author, "CC0-1.0", source
    )


SCENES = (
    _wallpaper("living-room", "Wine_by_Jakkub_Mede.jpg", "Jakub Mede"),
    _wallpaper("autumn-hills", "aitzgorri_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi"),
    _wallpaper("forest-brook", "life_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi"),
    _wallpaper("mountain-path", "picosdeeuropa_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi"),
    _wallpaper("hilltop-sunset", "sunset_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi"),
    _wallpaper("dandelion-meadow", "seeding_by_Clements_Engelhardt.jpg", "Clemens Engelhardt", "CC0-1.0"),
    _monument(
        "great-wall",
        "wonders/greatWallofChina.webp",
        "Nicolas Perrault III",
        "Great_Wall_of_China_July_2006.JPG",
    ),
    _monument(
        "machu-picchu", "wonders/machuPicchu.webp", "Guillaume Pascal", "Yet_another_pic_of_machu_picchu.jpg"
    ),
    _monument("gateway-of-india", "india/gatewayofIndia.webp", "Simon Steinberger", "Gateway-of-India.jpg"),
    _monument("golden-temple", "india/goldenTemple.webp", "Jasdeep Singh", "Golden_Temple_.jpg"),
    _monument("qutub-minar", "india/qutubMinar.webp", "pramadas", "Qutubmin.jpg"),
    _monument(
        "victoria-memorial", "india/victoriaMemorial.webp", "Anourag", "Victoria_Memorial_Calcutta.jpg"
    ),
    _monument(
        "mont-saint-michel",
        "france/montStMichel.webp",
        "Ali Sabbagh",
        "Mont_Saint-Michel_IMG_5109_(48875955288).jpg",
    ),
    _monument(
        "palais-des-papes",
        "france/palaisdesPapes.webp",
        "Tognopop",
        "Main_entrance_of_the_Palais_des_Papes_-_20050823.jpg",
    ),
    _monument(
        "berlin-cathedral", "germany/berlinCathedral.webp", "Gary Todd", "Berlin_Cathedral_(28668994926).jpg"
    ),
    _monument(
        "neuschwanstein",
        "germany/neuschwansteinCastle.webp",
        "cameralends",
        "Neuschwanstein_Castle_(532850).jpg",
    ),
    _monument(
        "schwerin-palace",
        "germany/schwerinPalace.webp",
        "Hermann Luyken",
        "2012.02.26.121724_Schloss_Schwerin.jpg",
    ),
    _monument(
        "fort-sumter", "usa/fortSumter.webp", "Gary Todd", "Fort_Sumter,_South_Carolina_(12583090893).jpg"
    ),
    _monument(
        "lincoln-memorial",
        "usa/lincolnMemorial.webp",
        "Brylie Christopher Oxley",
        "US-WashingtonDC-LincolnMemorial-20140312_014138_HDR_v1.JPG",
    ),
    _monument(
        "giza-pyramid",
        "egypt/greatPyramidOfGiza.webp",
        "Gary Todd",
        "Giza_Great_Pyramid_of_Khufu_(9793952173).jpg",
    ),
)


def fetch_emoji(work: Path) -> Path:
    """Fetch and unpack the emoji package; returns the folder that holds ``icons``."""
    folder = work / "emoji"
    if not folder.exists():
        packed = subprocess.run(
            ["npm", "pack", "--silent", EMOJI], cwd=work, check=True, capture_output=True, text=True
        )
        with tarfile.open(work / packed.stdout.split()[-1]) as archive:
            archive.extractall(folder, filter="data")
    return folder / "package"


def fetch_debian(package: str, work: Path) -> Path:
    """Fetch and unpack a Debian package; returns its file tree."""
    folder = work / package
    if not folder.exists():
        subprocess.run(["apt-get", "download", package], cwd=work, check=True)
        (archive,) = work.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", archive.name, package], cwd=work, check=True)
    return folder


def resource_files(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of every file in a compiled Qt resource (``.rcc``), as rcc writes it.

    Header: magic, then version and the offsets of tree, data and names, all big-endian uint32. A node is name offset
    (uint32), flags (uint16), then either child count and first child (a directory) or locale and data offset; versions
    from 2 on add a time stamp. Data is a length and the bytes, zlib-compressed behind a second length (flag 1).
    """
    if data[:4] != b"qres":
        raise ValueError("not a Qt resource file")
    version, tree, payload, names = struct.unpack_from(">4I", data, 4)
    node_size = 14 if version < 2 else 22

    def walk(node: int, folder: str) -> Iterator[tuple[str, bytes]]:
        at = tree + node * node_size
        name_at, flags = struct.unpack_from(">IH", data, at)
        name = ""
        if node:
            (length,) = struct.unpack_from(">H", data, names + name_at)
            start = names + name_at + 6
            name = data[start : start + 2 * length].decode("utf-16-be")
        path = f"{folder}/{name}".lstrip("/")
        if flags & 2:
            count, first = struct.unpack_from(">II", data, at + 6)
            for child in range(first, first + count):
                yield from walk(child, path)
            return
        if flags & 4:
            raise ValueError(f"{path}: zstd-compressed resources are not supported")
        (data_at,) = struct.unpack_from(">I", data, at + 10)
        (length,) = struct.unpack_from(">I", data, payload + data_at)
        content = data[payload + data_at + 4 : payload + data_at + 4 + length]
        yield path, zlib.decompress(content[4:]) if flags & 1 else content

    yield from walk(0, "")


def render(root: ET.Element, keep: set[int], side: int) -> Image.Image:
    """Render the top-level elements ``keep`` (and all definitions) of an SVG, RGBA, side × side pixels."""
    part = ET.Element(root.tag, root.attrib)
    part.extend(e for i, e in enumerate(root) if i in keep or e.tag == f"{{{SVG}}}defs")
    png = resvg_py.svg_to_bytes(svg_string=ET.tostring(part, encoding="unicode"), width=side, height=side)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def figure_layers(root: ET.Element, elements: Elements) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Split one drawing into (person without stethoscope, stethoscope, part map of the person)."""
    indices = [i for i, e in enumerate(root) if e.tag != f"{{{SVG}}}defs"]
    if len(indices) != elements.count or indices != list(range(elements.count)):
        raise ValueError(
            f"the drawing has {len(indices)} elements, not {elements.count}: check the element table"
        )
    flat, shading = elements.shirt
    root[flat].set("fill", SHIRT_COLOUR)
    keep = set(indices) - set(elements.stethoscope) - {shading}  # the shading is coloured as well
    person = render(root, keep, FIGURE_SIDE)
    front = np.asarray(render(root, {i for i in keep if i > elements.stethoscope.stop - 1}, FIGURE_SIDE))[
        ..., 3
    ]
    drawn = set(elements.stethoscope) - {elements.stethoscope.start + 5}
    tool = np.asarray(render(root, drawn, FIGURE_SIDE)).copy()
    # chin and hair hang over the tubes
    tool[..., 3] = np.round(tool[..., 3] * (1 - front / 255.0)).astype(np.uint8)
    tool[tool[..., 3] == 0] = 0

    parts = np.zeros((FIGURE_SIDE, FIGURE_SIDE), np.uint8)
    for i in sorted(keep):
        alpha = np.asarray(render(root, {i}, FIGURE_SIDE))[..., 3]
        parts[alpha >= OPAQUE] = part_of(i, elements)
    parts[np.asarray(person)[..., 3] < OPAQUE] = 0
    return person, Image.fromarray(tool), indexed(parts)


def part_of(index: int, elements: Elements) -> int:
    """Return the part value that element ``index`` belongs to."""
    if index in elements.hair:
        return HAIR
    if index in elements.shirt:
        return SHIRT
    if index == elements.neck or index >= elements.stethoscope.stop:
        return FACE
    return COAT


def indexed(values: np.ndarray) -> Image.Image:
    """Return part values as a palette image whose colours are only for looking."""
    image = Image.fromarray(values, mode="P")
    image.putpalette([0, 0, 0, 230, 60, 60, 225, 225, 235, 130, 140, 150, 90, 60, 200, 245, 180, 130])
    return image


def write_people(emoji: Path, out: Path) -> None:
    """Write the twelve figures as ``figures/GENDER-TONE{,.stethoscope,.parts}.png``."""
    for (gender, tone), elements in FIGURES.items():
        root = ET.parse(emoji / f"icons/modern/{gender}-health-worker-{tone}.svg").getroot()  # noqa: S314 (own input)
        person, tool, parts = figure_layers(root, elements)
        stem = out / "figures" / f"{gender}-{tone}"
        person.save(stem.with_suffix(".png"), optimize=True)
        tool.save(stem.with_suffix(".stethoscope.png"), optimize=True)
        parts.save(stem.with_suffix(".parts.png"), optimize=True)


def write_tools(emoji: Path, out: Path) -> None:
    """Write the nurses' tools as ``tools/NAME.png``, cut to what is drawn."""
    for name in TOOLS:
        root = ET.parse(emoji / f"icons/modern/{name}.svg").getroot()  # noqa: S314 (own input)
        image = render(root, set(range(len(root))), TOOL_SIDE)
        image.crop(image.getchannel("A").getbbox()).save(out / "tools" / f"{name}.png", optimize=True)


def write_scenes(lomiri: Path, gcompris: Path, out: Path) -> None:
    """Write the photographs as ``scenes/NAME.jpg``: short side 320 px, the long one cut to at most 480 px."""
    resources = dict(
        resource_files((gcompris / "usr/share/gcompris-qt/rcc/explore_monuments.rcc").read_bytes())
    )
    for scene in SCENES:
        if scene.package == LOMIRI:
            content = (lomiri / scene.path).read_bytes()
        else:
            content = resources[f"gcompris/{scene.path}"]
        image = Image.open(io.BytesIO(content)).convert("RGB")
        ratio = SCENE_SHORT_SIDE / min(image.size)
        width, height = (round(s * ratio) for s in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
        left, top = max(0, width - SCENE_LONGEST) // 2, max(0, height - SCENE_LONGEST) // 2
        image = image.crop((left, top, width - left, height - top))
        image.save(out / "scenes" / f"{scene.name}.jpg", quality=85, optimize=True)


def write_attribution(emoji: Path, out: Path) -> None:
    """Write who made what, under which licence, and what was changed."""
    shutil.copy(emoji / "LICENSE", out / "LICENSE-fluentui-emoji.txt")
    lines = [
        "# Where the demo's parts come from",
        "",
        (
            "Made by `scripts/build_demo_assets.py`. CC0-1.0 is the dedication at"
            " <https://creativecommons.org/publicdomain/zero/1.0/>, CC-BY-4.0 the licence at"
            " <https://creativecommons.org/licenses/by/4.0/>; the MIT licence's text is in `LICENSE-fluentui-emoji.txt`."
        ),
        "",
        "## People and tools",
        "",
        (
            "Drawings of Microsoft's Fluent emoji (Copyright (c) Microsoft Corporation), as packed in npm"
            f" `{EMOJI}` (Copyright (c) 2022 Mohammad Abu Mattar), MIT."
        ),
        "",
        "| file | source in the package | licence | changed |",
        "|---|---|---|---|",
    ]
    changes = {
        "": "rendered without the stethoscope, shirt recoloured grey",
        ".stethoscope": "the stethoscope alone, less what chin and hair hide",
        ".parts": "which part each pixel shows, derived from the drawing's elements",
    }
    lines += [
        f"| figures/{g}-{t}{suffix}.png | icons/modern/{g}-health-worker-{t}.svg | MIT | {change} |"
        for g, t in FIGURES
        for suffix, change in changes.items()
    ]
    lines += [f"| tools/{t}.png | icons/modern/{t}.svg | MIT | rendered, cut to size |" for t in TOOLS]
    lines += [
        "",
        "## Scenes",
        "",
        "Each is scaled to 320 px on the short side, its long side cut to at most 480 px, and stored as JPEG.",
        "",
        "| file | author | licence | source package (Debian) | file in it | origin |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| scenes/{s.name}.jpg | {s.author} | {s.licence} | {s.package} | {s.path} | {s.source} |"
        for s in SCENES
    ]
    (out / "ATTRIBUTION.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Parse the arguments and build."""
    here = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/demo-sources"), help="folder to fetch into")
    parser.add_argument("--emoji", type=Path, help="unpacked fluentui-emoji (the folder that holds icons/)")
    parser.add_argument("--lomiri", type=Path, help=f"unpacked Debian {LOMIRI}")
    parser.add_argument("--gcompris", type=Path, help=f"unpacked Debian {GCOMPRIS}")
    parser.add_argument("--out", type=Path, default=here / "camaudit/demo/assets")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    emoji = arguments.emoji or fetch_emoji(arguments.work)
    lomiri = arguments.lomiri or fetch_debian(LOMIRI, arguments.work)
    gcompris = arguments.gcompris or fetch_debian(GCOMPRIS, arguments.work)
    for folder in ("figures", "tools", "scenes"):
        (arguments.out / folder).mkdir(parents=True, exist_ok=True)
    write_people(emoji, arguments.out)
    write_tools(emoji, arguments.out)
    write_scenes(lomiri, gcompris, arguments.out)
    write_attribution(emoji, arguments.out)


if __name__ == "__main__":
    main()
