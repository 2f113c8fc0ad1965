"""What peers compute instead of the paper's formula; each is asserted in ``tests/explain/test_explain_peers.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMULAS: Mapping[tuple[str, str], str] = {
    (
        "pytorch-grad-cam",
        "gradcampp",
    ): "α = g² / (2g² + g³ΣA + 1e-6): the 1e-6 decides where gradients are small",
    ("pytorch-grad-cam", "xgradcam"): "ΣgA / (ΣA + 1e-7)",
    ("pytorch-grad-cam", "eigencam"): "channels centred; the sign is whatever the solver gives",
    ("pytorch-grad-cam", "eigen_gradcam"): "channels centred; the sign is whatever the solver gives",
    (
        "pytorch-grad-cam",
        "scorecam",
    ): "upsampled with aligned corners; dead channels take part in the softmax",
    (
        "pytorch-grad-cam",
        "ablationcam",
    ): "(S - S_k)/S: turned around where S < 0; A_k = min - 1e7·k instead of 0 where A < 0",
    (
        "pytorch-grad-cam",
        "fullgrad",
    ): "each channel rescaled by itself; layers of exactly the types Conv2d and BatchNorm2d (compared after rescaling ours to [0, 1])",
    (
        "pytorch-grad-cam",
        "finercam",
    ): "strength 1; rivals weighted by their softmax, whose gradient is taken too",
    ("pytorch-grad-cam", "guided_backprop"): "the same, of ReLU modules only",
    ("torchcam", "cam"): "without the ReLU",
    ("torchcam", "gradcampp"): "w = Σ relu(g)³: the denominator is divided into a copy and lost",
    ("torchcam", "smooth_gradcampp"): "(without noise) α = g² / (2g² + Σ(g³A) + 1e-8)",
    ("torchcam", "xgradcam"): "ΣgA / (ΣA + 1e-8)",
    ("torchcam", "scorecam"): "min-max before upsampling; dead channels take part in the softmax",
    ("captum", "gradcam"): "the same; of tokens the mean over channels and the sum over tokens: no map",
    ("captum", "guided_backprop"): "the same, of ReLU modules only",
    ("captum", "deconvnet"): "the same, of ReLU modules only",
}
"""By peer and method; what is not here is the same formula."""

FURTHER: Sequence[str] = (
    (
        "pytorch-grad-cam, torchcam: where a layer works in place on what the target layer returned (DenseNet's last ReLU, VGG's "
        "convolutions), torchcam explains that layer instead; pytorch-grad-cam multiplies the target layer's gradient with the "
        "next layer's output on a CPU, and with its own on a GPU, where it was copied before (the GPU read in its source, not run)."
    ),
    "torchcam, Grad-CAM++: `alpha[mask].div_(...)` divides a copy; what is computed is Σ relu(g)³.",
    (
        "torchcam, Smooth Grad-CAM++: activation and last ReLU(gradient) of the last noisy image; σ in units of the input, not of "
        "its range; without noise it is not its own Grad-CAM++."
    ),
    "torchcam, pytorch-grad-cam: a model whose parameters are frozen is an error.",
    "torchcam, pytorch-grad-cam: maps come minus their minimum by default, which moves mass between regions.",
    (
        "pytorch-grad-cam, Ablation-CAM: of activations below zero a channel is not set to 0 but 1e7 below the minimum, which each "
        "ablation of a batch lowers again: weights depend on the batch size, and the k-th is about k times the first."
    ),
    (
        "pytorch-grad-cam, Ablation-CAM: an exception in the target leaves the ablating layer in the user's model; its default "
        "layer is one object shared by all instances, which keeps the last activations."
    ),
    (
        "pytorch-grad-cam, Ablation-CAM: not of tokens with the default layer (IndexError, swallowed by `with`); with "
        "`AblationLayerVit` the class token's channel is ablated too."
    ),
    (
        "pytorch-grad-cam, Score-CAM: its hooks keep the activations of every masked batch until the next call: memory grows with "
        "channels times images."
    ),
    (
        "pytorch-grad-cam, FullGrad: layers are found by their exact type, so that timm's batch norms (`BatchNormAct2d`) and "
        "layer norms are left out: of timm's EfficientNet-Lite0 no bias at all is counted."
    ),
    (
        "pytorch-grad-cam, guided backpropagation: the first image only; asks for and adds to the gradient of the caller's own "
        "tensor, so that a second call returns twice the map; leaves one shared ReLU, no longer in place, in all places."
    ),
    (
        "pytorch-grad-cam, captum: guided backpropagation and deconvnet see modules of type ReLU only; with `F.relu` (DenseNet's "
        "last) or `tensor.relu()` they return another map without a word."
    ),
    "pytorch-grad-cam: the caller's `.grad` is cleared and filled, the model stays in evaluation mode.",
    "pytorch-grad-cam: a list of targets shorter than the batch leaves the rest of the maps blank.",
    "pytorch-grad-cam: `with` swallows every IndexError, of a class that does not exist too: no map, no exception.",
    "pytorch-grad-cam: bfloat16 is an error: maps go through numpy, which has none.",
    "pytorch-grad-cam: Eigen-CAM computes the full matrix of right singular vectors (channels × channels) and returns float32 of float64 (the former read in its source).",
    (
        "captum: Grad-CAM of (batch, tokens, channels) averages over channels and sums over tokens, without a word; the ReLU is off "
        "by default, and Guided Grad-CAM enlarges by the nearest neighbour (both read in its source)."
    ),
    "captum: integrated gradients of a float64 model takes its steps in float32 (1e-8 off).",
)
"""Beyond the formulas."""
