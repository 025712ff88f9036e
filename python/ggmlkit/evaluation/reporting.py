"""Compares quantizations of a model: sizes, quality, and what each part's quantization costs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ggmlkit.arguments import check_paths, check_progress, path_text, shown, thread_count, whole
from ggmlkit.engine.model import Model
from ggmlkit.errors import ArgumentError, ArgumentTypeError
from ggmlkit.evaluation.estimate import Estimate
from ggmlkit.evaluation.evaluating import DEFAULT_CONTEXT, perplexity
from ggmlkit.evaluation.mixed_model import MixedFile, in_order, matrices, parts_of
from ggmlkit.evaluation.results import Perplexity
from ggmlkit.evaluation.weight_errors import WeightError, weight_errors
from ggmlkit.io import Progress
from ggmlkit.io import open as open_file
from ggmlkit.io.base import ModelFile

if TYPE_CHECKING:
    from ggmlkit.tensor import Tensor

DEFAULT_CHUNKS = 16
DEFAULT_PART_CHUNKS = 2


@dataclass(frozen=True)
class ModelReport:
    """What is known of a quantization.

    Attributes:
        path: of the file.
        nbytes: of its tensors.
        bits_per_weight: of all of them.
        types: bytes by type.
        found: its perplexity, and how far it is from the base; the base's own has no ``base``.
        errors: of each matrix; empty for the base.
        costs: KL divergence from the base if this part alone is quantized, by part; empty for the
            base, and where it was not asked for.
    """

    path: str
    nbytes: int
    bits_per_weight: float
    types: dict[str, int]
    found: Perplexity
    errors: list[WeightError]
    costs: dict[str, Estimate]

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.path).name


@dataclass(frozen=True)
class Report:
    """A comparison of quantizations.

    Attributes:
        base: the model that they were made of.
        models: the quantizations.
        part_chunks: chunks of text that the costs of parts were measured on; 0: they were not.
    """

    base: ModelReport
    models: list[ModelReport]
    part_chunks: int

    def as_dict(self) -> dict[str, Any]:
        """All figures as JSON can say them."""
        return {
            "base": _document(self.base),
            "models": [_document(model) for model in self.models],
            "part_chunks": self.part_chunks,
        }


def report(
    models: Iterable[str | os.PathLike[str]],
    base: str | os.PathLike[str],
    text: str,
    *,
    context: int = DEFAULT_CONTEXT,
    chunks: int | None = DEFAULT_CHUNKS,
    part_chunks: int = DEFAULT_PART_CHUNKS,
    scratch: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
    threads: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Compare quantizations of a model on a text.

    Args:
        models: their files.
        base: the file that they were made of, with float weights.
        text: at least two contexts long.
        context: tokens of a chunk.
        chunks: evaluate so many at most; None: all.
        part_chunks: measure what the quantization of each part of the model (a layer, the
            embeddings, the output) costs alone on so many chunks; 0: not at all. Each part takes
            the time of an evaluation of so many chunks.
        scratch: a folder for the base's predictions, two bytes for each token of the vocabulary at
            each scored position. They are removed at the end. Default: the system's.
        settings: of :class:`ggmlkit.Model`, such as ``{"activation_bits": 16}``.
        threads: the most to use; the default is all that the process may use.
        progress: called with (chunks done, chunks, what is computed).

    Raises:
        ArgumentError: a model is not made of the base, or the text is too short.
        FormatError: a file is damaged.
        ModelError: a model can't be run.
        OSError: a file can't be opened or written.
    """
    if isinstance(models, (str, bytes, os.PathLike)) or not isinstance(models, Iterable):
        raise ArgumentTypeError(f"models must be a list of paths, not {shown(models)}")
    paths = [path_text(path, f"models[{place}]") for place, path in enumerate(models)]
    if not paths:
        raise ArgumentError("there are no models to compare")
    check_paths(base=base)
    check_progress(progress)
    thread_count(threads)
    part_chunks = whole(part_chunks, "part_chunks", least=0)
    with ExitStack() as opened:
        base_file = opened.enter_context(open_file(base))
        files = [opened.enter_context(open_file(path)) for path in paths]
        pairs = [matrices(base_file, file) for file in files]
        folder = opened.enter_context(tempfile.TemporaryDirectory(dir=scratch))
        saved = Path(folder) / "base"
        common: dict[str, Any] = {"settings": settings, "threads": threads}
        told = _Told(progress)
        told.expect(1 + len(files), sum(len(parts_of(each)) for each in pairs), part_chunks)
        of_base = perplexity(
            base, text, context=context, chunks=chunks, save_all=saved,
            progress=told.of_chunks(Path(base).name), **common,
        )  # fmt: skip
        part_chunks = min(part_chunks, of_base.chunks)
        told.learn(of_base.chunks)
        reports: list[ModelReport] = []
        for path, file, own in zip(paths, files, pairs, strict=True):
            name = Path(path).name
            found = perplexity(path, base=saved, progress=told.of_chunks(name), **common)
            errors = weight_errors(in_order(own), threads, told.of_weights(name))
            costs: dict[str, Estimate] = {}
            if part_chunks:
                costs = dict(_costs(base_file, own, errors, saved, part_chunks, common, told, name))
            reports.append(_report(path, file, found, errors, costs))
        return Report(_report(base, base_file, of_base, [], {}), reports, part_chunks)


def _costs(
    base: ModelFile,
    pairs: Mapping[str, tuple[Tensor, Tensor]],
    errors: list[WeightError],
    saved: Path,
    chunks: int,
    common: Mapping[str, Any],
    told: _Told,
    name: str,
) -> Iterator[tuple[str, Estimate]]:
    """The divergence that the quantization of each part alone causes."""
    unchanged = {error.name for error in errors if not error.differences}
    settings = {"threads": common["threads"], **common["settings"]}
    for part, names in parts_of(pairs).items():
        tell = told.of_chunks(f"{name}, {part} alone")
        if unchanged.issuperset(names):
            tell(chunks, chunks, "")
            yield part, Estimate(0.0, 0.0)
            continue
        mixed = MixedFile(base, {each: pairs[each][1] for each in names})
        with _model_of(mixed, saved, settings) as model:
            found = perplexity(model, base=saved, chunks=chunks, progress=tell)
        assert found.base is not None
        yield part, found.base.kl


@contextmanager
def _model_of(file: ModelFile, saved: Path, settings: Mapping[str, Any]) -> Iterator[Model]:
    from ggmlkit.evaluation.bases import open_saved
    from ggmlkit.evaluation.logit_blocks import chunks_together

    found = open_saved(saved)
    assert found is not None
    with found:
        context = int(found.tokens.shape[1])
    contexts = chunks_together(context)
    with Model(
        file, context=context, contexts=contexts, prefix_cache=False, **settings
    ) as model:  # fmt: skip
        yield model


def _report(
    path: str | os.PathLike[str],
    file: ModelFile,
    found: Perplexity,
    errors: list[WeightError],
    costs: dict[str, Estimate],
) -> ModelReport:
    types: dict[str, int] = {}
    for tensor in file.tensors.values():
        types[tensor.type.name] = types.get(tensor.type.name, 0) + tensor.nbytes
    nbytes = sum(types.values())
    weights = sum(tensor.size for tensor in file.tensors.values())
    return ModelReport(
        os.fspath(path), nbytes, 8 * nbytes / max(1, weights), types, found, errors, costs
    )


def _document(model: ModelReport) -> dict[str, Any]:
    return {
        **{name: value for name, value in vars(model).items() if name not in ("found", "errors")},
        "costs": {part: asdict(cost) for part, cost in model.costs.items()},
        **model.found.as_dict(),
        "errors": {error.name: error.relative for error in model.errors},
    }


class _Told:
    """Adds up the progress of all evaluations, in chunks."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._done = self._total = 0
        self._evaluations = self._parts = self._part_chunks = 0

    def expect(self, evaluations: int, parts: int, part_chunks: int) -> None:
        """So many evaluations of the whole text, and of parts."""
        self._evaluations, self._parts, self._part_chunks = evaluations, parts, part_chunks

    def learn(self, chunks: int) -> None:
        """How many chunks the text has."""
        parts = self._parts * min(self._part_chunks, chunks)
        self._total = self._evaluations * chunks + parts

    def of_chunks(self, what: str) -> Callable[[int, int, str], None]:
        """What an evaluation calls."""
        before = self._done

        def tell(done: int, total: int, _: str) -> None:
            if not self._total:
                self.learn(total)
            self._done = before + done
            self._say(what)

        return tell

    def of_weights(self, name: str) -> Callable[[int], None]:
        """What the comparison of weights calls."""
        return lambda done: self._say(f"{name}, weights of matrix {done}")

    def _say(self, what: str) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total, what)
