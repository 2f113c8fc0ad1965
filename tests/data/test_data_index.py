"""Samples on disk: exact, found by id and split, in little memory; and paths that stay in their folder."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camaudit.data import Dataset, table
from camaudit.data.index import SampleIndex, write_index
from camaudit.data.paths import Root
from camaudit.data.problems import Problems
from camaudit.data.rows import open_rows
from camaudit.errors import DataError
from camaudit.types import (
    Box,
    ColourMaskFile,
    Combined,
    InFile,
    Instances,
    Keypoints,
    MaskFile,
    Polygon,
    Region,
    Relative,
    RunLengths,
    Sample,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
POINTS = st.lists(st.tuples(NUMBER, NUMBER), max_size=4).map(tuple)
PATHS = TEXT.map(Path)
LEAVES = st.one_of(
    st.builds(MaskFile, PATHS, st.none() | st.lists(st.integers(0, 9), max_size=3).map(tuple)),
    st.builds(ColourMaskFile, PATHS, st.lists(st.integers(0, 2**24), max_size=3).map(tuple)),
    st.builds(RunLengths, st.integers(1, 99), st.integers(1, 99), TEXT),
    st.builds(Polygon, st.lists(POINTS, max_size=2).map(tuple)),
    st.builds(Box, NUMBER, NUMBER, NUMBER, NUMBER),
    st.builds(Keypoints, POINTS, NUMBER),
    st.builds(Relative, st.builds(Box, NUMBER, NUMBER, NUMBER, NUMBER)),
)
SHAPES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Instances, st.lists(inner, max_size=3).map(tuple)),
        st.builds(
            Combined,
            st.sampled_from(["and", "or", "not"]),
            st.lists(inner, min_size=1, max_size=2).map(tuple),
        ),
        st.builds(InFile, inner, PATHS, st.none() | st.tuples(st.integers(1, 9), st.integers(1, 9))),
    ),
    max_leaves=5,
)
SAMPLES = st.builds(
    Sample,
    id=TEXT,
    image=PATHS,
    label=st.none() | TEXT,
    groups=st.dictionaries(TEXT, TEXT, max_size=2),
    regions=st.lists(st.builds(Region, TEXT, st.sampled_from(["object", "context"]), SHAPES), max_size=2).map(
        tuple
    ),
    split=st.none() | st.sampled_from(["train", "test"]),
    subject=st.none() | TEXT,
)


@settings(max_examples=150, deadline=None)
@given(samples=st.lists(SAMPLES, max_size=6, unique_by=lambda sample: sample.id))
def test_samples_come_back_as_they_were(samples: list[Sample]) -> None:
    index = write_index((sample, "here") for sample in samples)
    assert index == samples
    assert [index[at] for at in range(-len(samples), 0)] == samples
    assert index[1:4:2] == samples[1:4:2]
    assert pickle.loads(pickle.dumps(index)) == samples  # noqa: S301 - our own
    for split in (None, "train", "test"):
        kept = [sample for sample in samples if sample.split == split]
        assert index.of_split(split) == kept  # type: ignore[arg-type]
        assert (split in index.splits()) == bool(kept)
    for sample in samples:
        assert index.find(sample.id) == sample
        assert index[:0].find(sample.id) is None


def test_arrays_come_back_as_they_were() -> None:
    mask = np.random.default_rng(0).random((13, 7)) > 0.5
    (found,) = write_index([(Sample("a", Path("a"), None, regions=(Region("x", "object", mask),)), "here")])
    assert np.array_equal(found.regions[0].shape, mask)


def test_two_places_of_one_id_are_named() -> None:
    samples = [
        (Sample(name, Path("a"), None), f"t.csv, row {row}") for row, name in enumerate("abcab", start=2)
    ]
    with pytest.raises(
        DataError, match=r"t\.csv, rows 2 and 5 have the same id 'a'\. Ids must be unique; do\."
    ):
        write_index(samples, hint="; do")


def test_threads_may_read_one_index() -> None:
    index = write_index((Sample(str(number), Path("a"), None), "here") for number in range(500))
    wrong: list[int] = []

    def read() -> None:
        wrong.extend(number for number in range(500) if index[number].id != str(number))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_fingerprint_is_that_of_samples_in_memory(tmp_path: Path) -> None:
    """And it is the one of version 0.1, so that a run that was begun can go on."""
    (tmp_path / "t.csv").write_text("image,label,mask\na.png,x,m.png\nb.png,y,\n")
    data = table(tmp_path / "t.csv", mask="mask", legend={1: "hair"}, attributes=["hair"])
    assert isinstance(data.samples, SampleIndex)
    memory = Dataset.of(list(data.samples), source=data.source)
    assert memory.fingerprint() == data.fingerprint()
    assert data.fingerprint() == "86dc0b63931823e61ad3be520dffb0c50446498fadcb088560bc7d5e31a36bf1"
    boxes = [Sample("a", Path("a.jpg"), "x", regions=(Region("b", "object", Box(0, 0, 2, 2)),))]
    assert (
        Dataset.of(boxes).fingerprint() == "4f22fdee51e9ff211f239914dceb331e4916b0d03f96fdfef4bad4bc2a45f40e"
    )


MEMORY = """
import json, sys
from pathlib import Path
from camaudit.data import table
import pandas
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
table(Path(sys.argv[2])).fingerprint()
Path("/proc/self/clear_refs").write_text("5")
before = peak()
data = table(Path(sys.argv[1]), groups=["place"])
count = sum(1 for sample in data.samples)
data.fingerprint()
print(json.dumps([count, peak() - before]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a process its peak")
def test_memory_does_not_grow_with_the_dataset(tmp_path: Path) -> None:
    """30,000 rows take 1 MB of offsets and hashes; as objects they took 30 MB."""
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    for path, count in ((small, 5_000), (large, 30_000)):
        rows = "".join(f"images/{number:06}.jpg,bird,sea,{'x' * 60}\n" for number in range(count))
        path.write_text(f"image,label,place,more\n{rows}")
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(large), str(small)], check=True, capture_output=True, text=True
    )
    count, kilobytes = json.loads(done.stdout)
    assert count == 30_000
    assert kilobytes < 8_000


# ------------------------------------------------------------------ paths


def test_paths_inside_a_folder(tmp_path: Path) -> None:
    (tmp_path / "data/deep").mkdir(parents=True)
    (tmp_path / "data/a.png").touch()
    (tmp_path / "data/link.png").symlink_to("deep/../a.png")
    (tmp_path / "data/out.png").symlink_to("../secret.png")
    (tmp_path / "data/away").symlink_to("..")
    (tmp_path / "data/loop").symlink_to("loop")
    root = Root(tmp_path / "data")
    for name in (
        "a.png",
        "deep/b.png",
        "deep/../a.png",
        "link.png",
        "./a.png",
        "gone/a.png",
        "loop",
        str(tmp_path / "data/a.png"),
    ):
        assert root.path(name, where="x") == tmp_path / "data" / name
    for name in (
        "../secret.png",
        "deep/../../x",
        "/etc/passwd",
        "out.png",
        "away/x",
        "away/data/../x",
        "..",
        "away",
    ):
        with pytest.raises(DataError, match=r"^x: .* leads out of .*data\.allow_outside: true"):
            root.path(name, where="x")
        assert Root(tmp_path / "data", allow_outside=True).path(name, where="x") == tmp_path / "data" / name
    for name in ("", "a\0b"):
        with pytest.raises(DataError, match="cannot be the name of a file"):
            Root(tmp_path, allow_outside=True).path(name, where="x")
    assert root.path("x" * 5000, where="x")


def test_a_dataset_behind_a_link_is_inside_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.png").touch()
    (tmp_path / "link").symlink_to("real")
    assert [path.name for path in Root(tmp_path / "link").walk()] == ["a.png"]
    assert Root(tmp_path / "link").path("a.png", where="x")


# ------------------------------------------------------------------ tables


def test_every_kind_of_table_gives_the_same_rows(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"image": ["a", "ö,b"], "label": ["x", "y"], "n": [1, 20]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.TSV", index=False, sep="\t")
    frame.to_parquet(tmp_path / "t.pq")
    frame.to_json(tmp_path / "t.ndjson", orient="records", lines=True)
    expected = [{"image": "a", "label": "x", "n": "1"}, {"image": "ö,b", "label": "y", "n": "20"}]
    for name in ("t.csv", "t.TSV", "t.pq", "t.ndjson"):
        columns, rows = open_rows(tmp_path / name)
        assert columns == ["image", "label", "n"]
        assert [row for _, row in rows] == expected


def test_whole_numbers_with_gaps_stay_whole(tmp_path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "x": [0.5, None], "b": [True, False]}).to_parquet(
        tmp_path / "t.pq"
    )
    _, rows = open_rows(tmp_path / "t.pq")
    assert [row for _, row in rows] == [{"n": "1", "x": "0.5", "b": "True"}, {"n": "", "x": "", "b": "False"}]


def test_problems_are_counted_and_the_first_are_listed() -> None:
    problems = Problems()
    for number in range(5000):
        problems.add("no-image", f"row {number}", "it has none.")
    problems.add("outside", "row 1", "it is.")
    assert problems.counts == {"no-image": 5000, "outside": 1}
    assert len(problems.listed) == 201
    with pytest.raises(KeyError):
        problems.add("no-such-kind", "", "")
