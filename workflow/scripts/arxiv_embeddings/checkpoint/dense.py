"""The Dense modules of sentence-transformers: layers that follow the pooling."""

from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch

from ..common.errors import InputError
from ..config.encoder_settings import EncoderSettings
from .json_files import read_json

# The classes that may be named as activation function. Others are refused: a checkpoint must not choose what runs.
ACTIVATIONS: dict[str, type[torch.nn.Module]] = {
    kind.__name__: kind
    for kind in (
        torch.nn.Tanh,
        torch.nn.Identity,
        torch.nn.ReLU,
        torch.nn.GELU,
        torch.nn.SiLU,
        torch.nn.Sigmoid,
    )
}


def load_dense(folder: Path, places: Sequence[str], inputs: int) -> torch.nn.Sequential:
    """Return the Dense modules in the folders ``places`` of the checkpoint ``folder``, one after the other, in float32.

    Args:
        folder: the checkpoint.
        places: folders of the modules, relative to ``folder``.
        inputs: components of the pooled vectors.

    Raises:
        InputError: a module is damaged, has no safetensors weights, does not fit to what is in front of it, or
            declares something that is not supported.
    """
    layers: list[torch.nn.Module] = []
    for place in places:
        layer, activation = _load(folder / place)
        if layer.in_features != inputs:
            raise InputError(
                f"The Dense module in {folder / place} takes vectors of {layer.in_features} components, but gets "
                f"{inputs}. Set pooling to auto, or choose another checkpoint."
            )
        inputs = layer.out_features
        layers += [layer, activation]
    return torch.nn.Sequential(*layers).eval()


def pooled_size(settings: EncoderSettings, hidden_size: int) -> int:
    """Return the components of a pooled vector: those of all its poolings."""
    return hidden_size * len(settings.pooling.split("+"))


def check_dimensions(
    settings: EncoderSettings, hidden_size: int, dense: torch.nn.Sequential
) -> int:
    """Return the number of components of a vector with the resolved ``settings``.

    Raises:
        InputError: ``dimensions`` is more than the vectors have.
    """
    layers = [layer for layer in dense if isinstance(layer, torch.nn.Linear)]
    whole = layers[-1].out_features if layers else pooled_size(settings, hidden_size)
    if settings.dimensions and settings.dimensions > whole:
        raise InputError(
            f"dimensions is {settings.dimensions}, but the checkpoint's vectors have {whole}. "
            "Lower dimensions, or set it to null."
        )
    return settings.dimensions or whole


def _load(path: Path) -> tuple[torch.nn.Linear, torch.nn.Module]:
    declared = read_json(path / "config.json") or {}
    name = str(declared.get("activation_function", "torch.nn.modules.activation.Tanh"))
    activation = ACTIVATIONS.get(name.rpartition(".")[2]) if name.startswith("torch.nn.") else None
    inputs = declared.get("module_input_name", "sentence_embedding")
    outputs = declared.get("module_output_name") or inputs
    if (
        activation is None
        or declared.get("use_residual")
        or {inputs, outputs} != {"sentence_embedding"}
    ):
        raise InputError(
            f"The Dense module in {path} declares {declared}, which is not supported. "
            "Choose another checkpoint."
        )
    weights = path / "model.safetensors"
    if not weights.is_file():
        raise InputError(
            f"The Dense module in {path} has no model.safetensors. Pickled weights are refused, because they can run "
            "code when they are loaded. Convert them to safetensors, or fetch the checkpoint again."
        )
    try:
        layer = torch.nn.Linear(
            declared["in_features"], declared["out_features"], bool(declared.get("bias", True))
        )
        tensors = safetensors.torch.load_file(weights)
        layer.load_state_dict({key.removeprefix("linear."): tensors[key] for key in tensors})
    except (KeyError, TypeError, RuntimeError, OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"The Dense module in {path} is damaged ({error}). Fetch the checkpoint again."
        ) from error
    return layer.float(), activation()
