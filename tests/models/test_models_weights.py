"""Weights are read without executing anything, and every misfit is named."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from camaudit.errors import ModelError
from camaudit.models.weights import fit_weights, read_weights

CLASSES = ("doctor", "nurse")


def _net(outputs: int = 2) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, outputs))


class _Evil:
    """A pickle that touches a file where it is loaded carelessly."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.canary,)


def _same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def test_every_spelling_of_a_state_dict_gives_the_same(tmp_path: Path) -> None:
    state = dict(_net().state_dict())
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "b.pt")
    torch.save({"state_dict": state, "epoch": 7}, tmp_path / "c.ckpt")
    torch.save(state, tmp_path / "d.pth", _use_new_zipfile_serialization=False)
    for name in ("a.safetensors", "b.pt", "c.ckpt", "d.pth"):
        assert _same(read_weights(tmp_path / name), state), name


@pytest.mark.parametrize("nested", [False, True])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, nested: bool) -> None:
    canary, path = tmp_path / "canary", tmp_path / "evil.pt"
    evil = {"weight": _Evil(canary)}
    torch.save({"state_dict": evil} if nested else evil, path)
    with pytest.raises(ModelError, match=r"evil\.pt .*could run code, so it was refused and nothing was run"):
        read_weights(path)
    assert not canary.exists()
    torch.load(path, weights_only=False)
    assert canary.exists()  # the pickle is as malicious as the test says


def test_a_bare_malicious_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"weight": _Evil(canary)}, protocol=2))
    with pytest.raises(ModelError, match="refused"):
        read_weights(path)
    assert not canary.exists()


def test_a_whole_module_is_refused_with_the_way_out(tmp_path: Path) -> None:
    torch.save(_net(), tmp_path / "module.pt")
    with pytest.raises(ModelError, match=r"Save the state dict alone: safetensors"):
        read_weights(tmp_path / "module.pt")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.pt", b""),
        ("text.pt", b"version https://git-lfs.github.com/spec/v1\n"),
        ("zip.pt", b"PK\x03\x04 and no more"),
        ("empty.safetensors", b""),
        ("text.safetensors", b"no tensors here, only words"),
    ],
)
def test_what_is_no_weights_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"{name} (cannot be read|is damaged|is not a safetensors file)"):
        read_weights(path)


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_a_truncated_file_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    state = {"weight": torch.zeros(100)}
    if path.suffix == ".pt":
        torch.save(state, path)
    else:
        save_file(state, path)
    path.write_bytes(path.read_bytes()[:-150])
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        read_weights(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.pt", tmp_path / "gone.safetensors", tmp_path):
        with pytest.raises(ModelError, match=r"does not exist or is a folder"):
            read_weights(path)


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"weight": 3}, {"extra": {"weight": torch.zeros(1)}}])
def test_what_is_no_mapping_of_tensors_is_named(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ModelError, match="is not a state dict"):
        read_weights(tmp_path / "a.pt")


def test_weights_that_fit_are_loaded_exactly() -> None:
    source, module = _net(), _net()
    fit_weights(module, source.state_dict(), where=Path("a.pt"), classes=CLASSES)
    assert _same(dict(module.state_dict()), dict(source.state_dict()))


def test_a_head_of_another_size_is_named_as_such() -> None:
    with pytest.raises(
        ModelError,
        match=r"a\.pt has a head of 5 outputs \(3\.weight\) but model\.classes names 2: doctor, nurse",
    ):
        fit_weights(_net(), _net(5).state_dict(), where=Path("a.pt"), classes=CLASSES)


def test_another_architecture_is_named_as_such_whatever_its_head() -> None:
    other = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(4, 5))
    with pytest.raises(
        ModelError, match=r"does not fit Sequential: 5 missing .* of another shape .*architecture"
    ):
        fit_weights(_net(), other.state_dict(), where=Path("a.pt"), classes=CLASSES)
    deeper = nn.Sequential(*_net(5), nn.Linear(5, 5))
    with pytest.raises(ModelError, match=r"does not fit Sequential: 2 unknown"):
        fit_weights(_net(), deeper.state_dict(), where=Path("a.pt"), classes=CLASSES)
