"""Other libraries' methods under one signature: a case of `benchmarks.networks` in, a map (batch, h, w) out.

The map is the raw one on the layer's grid, before the library rescales and enlarges it, wherever it can be had; each
function says so where it cannot. The final ReLU is the library's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers import captum, pytorch_grad_cam, torchcam

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from benchmarks.networks import Case

PEERS: Mapping[str, Mapping[str, Callable[[Case], Tensor]]] = {
    "pytorch-grad-cam": pytorch_grad_cam.METHODS,
    "torchcam": torchcam.METHODS,
    "captum": captum.METHODS,
}
"""By library and by our id of the method."""
