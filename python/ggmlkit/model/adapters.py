"""LoRA adapters handed to the decoder, which adds what they change as it computes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ggmlkit import _core
from ggmlkit.conversion.lora import AdapterPath, Scaled, open_adapter, with_scales
from ggmlkit.conversion.source import Source
from ggmlkit.conversion.view import as_gguf
from ggmlkit.errors import ConversionError, ModelError
from ggmlkit.io.base import ModelFile

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Halves(NamedTuple):
    """Of one weight's change: float32 ``(rank, in)`` and ``(rank, out)``, scales in the second."""

    a: NDArray[np.float32]
    b: NDArray[np.float32]


def add_adapters(
    session: _core.LlamaSession, file: ModelFile, adapters: AdapterPath | Sequence[Scaled]
) -> None:
    """Make a session that was loaded from ``file``, and not started, apply these adapters.

    Raises ModelError where one is not for the model, FormatError where it is damaged, ValueError
    for a scale that is no number up to a million.
    """
    metadata, tensors = as_gguf(file)
    source = Source(file.path, metadata, tensors)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    architecture = str(metadata.get("general.architecture", "llama"))
    halves: dict[str, list[_Halves]] = {}
    scaled = with_scales(adapters)
    try:
        for path, scale in scaled:
            with closing(open_adapter(path, source.hparams)) as adapter:
                adapter.check_fits(shapes, architecture)
                for name, change in adapter.changes.items():
                    if factor := np.float32(scale * change.scale):
                        a, b = change.a.dequantize(), factor * change.b.dequantize().T
                        halves.setdefault(name, []).append(_Halves(a, b))
        for name, found in halves.items():
            # Ranks beside each other: B·A of all is the sum of each one's.
            a = np.concatenate([each.a for each in found])
            b = np.concatenate([each.b for each in found])
            session.set_change(name, a, np.ascontiguousarray(b))
    except (ConversionError, ValueError) as error:
        raise ModelError(str(error)) from error
