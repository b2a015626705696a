"""Rebuilds Kokoro's torch weights from its int8 ONNX graph, so that the .pth path can be tested without the 327 MB
file. What comes out is dequantised: close to the published weights, not equal to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
LAYERS = ("MatMulInteger", "ConvInteger", "MatMul", "Conv", "ConvTranspose")


class Graph:
    """The constants of the graph and what they belong to, by the names of the torch modules."""

    def __init__(self, file: Path) -> None:
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(str(file)).graph
        self.constants: dict[str, Array] = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        self.weights: dict[str, Array] = {}
        for name, value in self.constants.items():
            if not name.endswith(("_scale", "_zero_point", "_quantized")) and "::" not in name and "/" not in name:
                self.weights[module_of_constant(name)] = value
        for node in graph.node:
            # Quantised layers are named after their node; the encoder's twelve layers share the weights of the first.
            path = module_of_node(node.name)
            if node.op_type == "Gather" and node.input[0].endswith(".weight_quantized"):
                name = node.input[0].removesuffix("_quantized")
                self.weights[module_of_constant(name)] = self._table(name)
            elif node.op_type == "DynamicQuantizeLSTM":
                self._lstm(path, list(node.input))
            elif node.op_type in LAYERS and node.input[1] in self.constants:
                weight = self._layer(node)
                self.weights.setdefault(f"{path}.weight", weight.T if weight.ndim == 2 else weight)

    def _table(self, name: str) -> Array:
        # Embeddings share one zero point, the first one's.
        zero = self.constants["encoder.bert.embeddings.word_embeddings.weight_zero_point"]
        return dequantise(self.constants[f"{name}_quantized"], self.constants[f"{name}_scale"], zero)

    def _layer(self, node: Any) -> Array:
        weight = self.constants[node.input[1]]
        if weight.dtype == np.float32:
            return weight
        scale = self.constants[node.input[1].removesuffix("_quantized") + "_scale"]
        zero = self.constants[node.input[3]]
        # A scale per column of a matrix, or one for all.
        return dequantise(weight, scale, zero)

    def _lstm(self, path: str, inputs: list[str]) -> None:
        for number, (kind, scale, zero) in enumerate((("ih", 8, 9), ("hh", 10, 11)), start=1):
            packed = self.constants[inputs[number]]
            per_direction = [
                np.atleast_2d(self.constants[inputs[i]].reshape(packed.shape[0], -1)) for i in (scale, zero)
            ]
            for direction, suffix in enumerate(("", "_reverse")):
                matrix = dequantise(packed[direction], per_direction[0][direction], per_direction[1][direction])
                self.weights[f"{path}.weight_{kind}_l0{suffix}"] = torch_gates(matrix.T)
        biases = self.constants[inputs[3]]
        for direction, suffix in enumerate(("", "_reverse")):
            both = np.split(biases[direction], 2)
            for kind, bias in zip(("ih", "hh"), both, strict=True):
                self.weights[f"{path}.bias_{kind}_l0{suffix}"] = torch_gates(bias)


def dequantise(values: Array, scale: Array, zero: Array) -> Array:
    return ((values.astype(np.float32) - zero.astype(np.float32)) * scale.astype(np.float32)).astype(np.float32)


def torch_gates(stacked: Array) -> Array:
    """ONNX stacks input, output, forget, cell; torch input, forget, cell, output."""
    i, o, f, c = np.split(stacked, 4)
    return np.concatenate([i, f, c, o])


def module_of_constant(name: str) -> str:
    return name.removeprefix("encoder.") if name.startswith("encoder.") else name.removeprefix("decoder.")


def module_of_node(name: str) -> str:
    """ "/encoder/F0.1/norm1/fc/Gemm_MatMul_quant" -> "predictor.F0.1.norm1.fc"."""
    steps = name.strip("/").split("/")[1:-1]
    # A step such as "cnn.0" is repeated in the one below it, "cnn.0.0".
    steps = [s for i, s in enumerate(steps) if not any(below.startswith(f"{s}.") for below in steps[i + 1 : i + 2])]
    if steps and steps[0].split(".")[0] in ("F0", "N", "F0_proj", "N_proj", "shared"):
        steps.insert(0, "predictor")
    return ".".join(steps)


def normalised(weight: Array) -> tuple[Array, Array]:
    """Weight normalisation's (g, v). A row of zeros has no direction."""
    norm = np.sqrt((weight.astype(np.float64) ** 2).sum(axis=tuple(range(1, weight.ndim)), keepdims=True))
    return norm.astype(np.float32), np.where(norm == 0, np.float32(1), weight)


def save(onnx_file: Path, config: Path, target: Path) -> None:
    """Writes a checkpoint of the shape of the published one: parts of "module."-prefixed names, without the norms that
    are always 1 and 0. Raises KeyError for a weight that the graph does not hold, ValueError for a wrong shape."""
    import torch
    from kokoro import KModel

    torch.save({}, target)
    network = KModel(repo_id="hexgrad/Kokoro-82M", config=str(config), model=str(target))
    found = Graph(onnx_file).weights
    parts: dict[str, dict[str, Any]] = {}
    for part, module in network.named_children():
        parts[part] = {}
        for name, wanted in module.state_dict().items():
            value = _value(found, f"{part}.{name}", tuple(wanted.shape))
            if value is not None:
                parts[part][f"module.{name}"] = torch.from_numpy(np.array(value, dtype=np.float32))
    torch.save(parts, target)


def _value(found: dict[str, Array], name: str, shape: tuple[int, ...]) -> Array | None:
    if name.endswith((".norm.weight", ".norm.bias")):
        return None
    if ".pooler." in name:
        return np.zeros(shape, dtype=np.float32)  # Kokoro does not use it
    if name.endswith((".weight_g", ".weight_v")):
        g, v = normalised(found[f"{name[: -len('_g')]}"])
        value = g if name.endswith("_g") else v
    else:
        value = found[name]
    if value.shape != shape:
        raise ValueError(f"{name} is {value.shape} in the graph and {shape} in the network")
    return value
