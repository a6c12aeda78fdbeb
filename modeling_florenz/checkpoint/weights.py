"""Check that a folder holds exactly the weights that its configuration asks for: by their headers, then by value."""

from collections.abc import Mapping
from pathlib import Path

import torch

from ..configuration_florenz import FlorenzConfig
from ..modeling_florenz import FlorenzForConditionalGeneration
from .settings import sentence
from .sources import weight_files
from .tensor_stream import StoredTensor, equal_values, stored_tensors


_HEAD, _TABLE = "lm_head.weight", "model.decoder.embed_tokens.weight"


def empty_model(config: FlorenzConfig) -> FlorenzForConditionalGeneration:
    """Build a model without memory for its weights, to ask for their names and shapes.

    Raises:
        ValueError: the configuration describes no model that can be built.
    """
    try:
        with torch.device("meta"):
            return FlorenzForConditionalGeneration(config)
    except Exception as error:  # values that no rule knows, such as an activation that does not exist
        raise ValueError(f"its config.json describes no model that can be built: {sentence(error)}") from error


def check_weights(folder: Path, config: FlorenzConfig) -> None:
    """Refuse weights that would load as something other than the model that was saved.

    Args:
        folder: holds safetensors, one file or sharded.
        config: the folder's.

    Raises:
        ValueError: tensors are missing, unknown, of another shape, of whole numbers, or hold NaN or infinity; with
            their names and counts.
    """
    if all((folder / name).exists() for name in ("model.safetensors", "model.safetensors.index.json")):
        raise ValueError("it holds model.safetensors and an index of shards: remove the one that is not meant")
    stored = stored_tensors(weight_files(folder))
    decoder = config.text_config
    layers = config.encoder_config.encoder_layers + sum(config.vision_config.depths)
    layers += decoder.decoder_layers if decoder.model_type == "bart" else decoder.num_hidden_layers
    if layers > len(stored):  # asked first, as building many layers takes long
        raise ValueError(f"its config.json asks for {layers} layers, but it holds {len(stored)} tensors")
    shapes = {name: tuple(tensor.shape) for name, tensor in empty_model(config).state_dict().items()}
    if config.tie_word_embeddings and _HEAD not in stored:
        del shapes[_HEAD]  # files hold the tied weight once, though some writers repeat it
    compare(stored, shapes, "its config.json")
    if config.tie_word_embeddings and _HEAD in stored:
        head, table = stored[_HEAD], stored[_TABLE]
        if not equal_values(table.pieces(), head.pieces(), head.dtype):
            raise ValueError(f"{_TABLE} and {_HEAD} are tied in this model, but differ")
    check_values(stored)


def compare(stored: Mapping[str, StoredTensor], shapes: Mapping[str, tuple[int, ...]], asker: str) -> None:
    """Refuse tensors whose names or shapes are not the expected ones.

    Raises:
        ValueError: they are not those that the asker asks for; with names and counts.
    """
    missing = [name for name in shapes if name not in stored]
    unknown = [name for name in stored if name not in shapes]
    misshapen = [name for name in shapes if name in stored and stored[name].shape != shapes[name]]
    faults = []
    if missing:
        faults.append(f"{len(missing)} of {len(shapes)} are missing, such as {missing[0]}")
    if unknown:
        faults.append(f"{len(unknown)} of {len(stored)} are unknown, such as {unknown[0]}")
    if misshapen:
        name = misshapen[0]
        shape, asked = list(stored[name].shape), list(shapes[name])
        faults.append(f"{len(misshapen)} of {len(shapes)} have another shape, such as {name} with {shape} for {asked}")
    if faults:
        raise ValueError(f"its tensors are not those that {asker} asks for: {'; '.join(faults)}")


def check_values(stored: Mapping[str, StoredTensor]) -> None:
    """Refuse tensors of whole numbers, and those with NaN or infinite values; read a piece at a time.

    Raises:
        ValueError: there are some; with the first one's name and their count.
    """
    whole = [name for name, tensor in stored.items() if not tensor.dtype.is_floating_point]
    if whole:
        kind = str(stored[whole[0]].dtype).removeprefix("torch.")
        raise ValueError(f"{len(whole)} of {len(stored)} tensors hold whole numbers, such as {whole[0]} with {kind}")
    broken = [name for name, tensor in stored.items() if not all(_is_finite(piece) for piece in tensor.pieces())]
    if broken:
        raise ValueError(f"{len(broken)} of {len(stored)} tensors hold NaN or infinite values, such as {broken[0]}")


def _is_finite(piece: torch.Tensor) -> bool:
    # The extremes of values with a NaN among them are NaN: no mask as large as the piece is made.
    return all(bool(extreme.isfinite()) for extreme in piece.aminmax())
