"""The hyper-parameters of a model given as a file, a folder, or only its config.json."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from ggmlkit.arch.hf_config import from_hf_config
from ggmlkit.arch.hparams import Hparams
from ggmlkit.conversion.json_file import read_json
from ggmlkit.conversion.open_source import open_source
from ggmlkit.errors import ConversionError


def hparams_of(path: str | os.PathLike[str]) -> Hparams:
    """The hyper-parameters of a model file, a Meta or Hugging Face folder, or a config.json.

    A Hugging Face folder needs only its config.json. Raises as :func:`open_source` does.
    """
    path = Path(path)
    config = path / "config.json" if path.is_dir() else path
    if config.suffix != ".json" or not config.is_file():
        with closing(open_source(path, needs_vocabulary=False)) as source:
            return source.hparams()
    try:
        return from_hf_config(read_json(config))
    except ConversionError as error:
        raise ConversionError(f"{config}: {error}") from None
