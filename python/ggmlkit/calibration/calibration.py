"""Calibrated rounding of a whole model file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar

from threadpoolctl import threadpool_limits

from ggmlkit import _core
from ggmlkit._version import __version__
from ggmlkit.arch.gguf_keys import from_gguf_keys
from ggmlkit.arch.tensor_names import EMBEDDINGS, OUTPUT
from ggmlkit.arguments import check_paths, shown, whole
from ggmlkit.calibration.budget import check_scipy
from ggmlkit.calibration.choosing import Sensitivities, padded
from ggmlkit.calibration.layers import Text, entering_layer, float_end
from ggmlkit.calibration.matrices import Entering, Outcome, Rounding
from ggmlkit.calibration.methods import METHODS, Method
from ggmlkit.calibration.progress import Meter
from ggmlkit.calibration.rounding import can_calibrate
from ggmlkit.calibration.samples import check_vocabulary, read_samples
from ggmlkit.calibration.spilling import Spilling
from ggmlkit.calibration.staging import Staging, naming
from ggmlkit.calibration.survey import Survey
from ggmlkit.calibration.tuning import check_torch, samples_to_tune, with_tuning
from ggmlkit.engine import loading
from ggmlkit.errors import ArgumentError, ModelError
from ggmlkit.io.gguf.writer import alignment_of, planned
from ggmlkit.quantization.calibrating import Chosen, Request, Rounded
from ggmlkit.quantization.file import in_type
from ggmlkit.quantization.importance import some
from ggmlkit.quantization.size import parsed_size
from ggmlkit.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from ggmlkit.arch.hparams import Hparams
    from ggmlkit.calibration.samples import Samples
    from ggmlkit.tensor import Tensor
    from ggmlkit.types import TensorType

DEFAULT_SAMPLES = 32
DEFAULT_TOKENS = 512
# Room for the keys that say how a file was made.
_KEYS = 1 << 10
# Bytes of sums and hidden states in memory; more lie in a file.
_MEMORY = 2 << 30
_LAYER_MATRICES = frozenset(
    {"attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}
)


@dataclass(frozen=True)
class Calibration:
    """How to calibrate: for ``gk.quantize_file(…, calibrate=…)``.

    The model runs on samples of a text, layer by layer: each is rounded to make the smallest error
    in its output for what the rounded layers before it give. A part of the samples is held out, and
    a matrix whose error for them is not smaller than the reference rounding's gets that rounding.

    Attributes:
        text: path of a text file, UTF-8: such as the model will see, tens of thousands of words.
        method: "search", "feedback" or "descent": each takes longer and makes less error.
        samples: pieces of the text, at most.
        tokens: of each sample.
        seed: of the choice of samples.
        drift: how much of the error of the layers before a matrix it is to make good for: 0 to 1.
            More than 0 takes longer.
        tune: steps of training, after all are rounded, of the scales of blocks and of the norms, by
            the KL divergence from the float model. It needs torch (extra ``torch``). 0 for none.

    Raises:
        ArgumentError: there is no such method, a number is out of range, or torch is missing.
    """

    takes_importance: ClassVar[bool] = False

    text: str | os.PathLike[str]
    method: Method = "descent"
    samples: int = DEFAULT_SAMPLES
    tokens: int = DEFAULT_TOKENS
    seed: int = 0
    drift: float = 0.0
    tune: int = 0

    def __post_init__(self) -> None:
        check_paths(text=self.text)
        if self.method not in METHODS:
            raise ArgumentError(f"method is {shown(self.method)}, not one of {', '.join(METHODS)}")
        whole(self.samples, "samples", least=2)
        whole(self.tokens, "tokens", least=2)
        whole(self.seed, "seed", least=0)
        if not 0 <= self.drift <= 1:
            raise ArgumentError(f"drift is {shown(self.drift)}, not between 0 and 1")
        if whole(self.tune, "tune", least=0):
            check_torch()

    @contextmanager
    def rounding(self, request: Request) -> Iterator[Rounded]:
        """Do the work for `quantize_file`.

        Raises:
            ModelError: the engine can't run the model.
            ArgumentError: the text is too short, or no matrix gets a type that can be calibrated.
            FormatError: the text is not UTF-8.
            OSError: the disk is full.
        """
        with ExitStack() as stack:
            targets = _targets(request)
            text = self._text(request, stack)
            samples = text.samples
            staging = stack.enter_context(Staging(request.out))
            outcomes = _Run(self, request, targets, text, staging).outcomes()
            made = Rounded(
                staging.tensors,
                self._metadata(outcomes, len(samples.used)),
                _notes(outcomes, request, targets, samples.held_out.size),
            )
            if self.tune:
                count = samples_to_tune(self.tune, self.samples)
                more = self._samples(request, text.hparams, count)
                made = with_tuning(made, request, replace(text, samples=more), staging, self.tune)
            yield made

    def choosing(self, request: Request, size: str | int, names: Sequence[str]) -> Chosen:
        """Choose the types of matrices, for `quantize_file`; raises as `rounding`, and:

        ArgumentError: no choice makes so small a file, or scipy is missing.
        """
        check_scipy()
        parsed_size(size)
        found = self.sensitivities(request, names)
        choice = found.choose(size)
        most = found.most
        notes = [
            f"types of the {len(names)} matrices: {choice.summary()}; expected KL divergence "
            f"{choice.kl:.5f}"
        ]
        if choice.nbytes == most:
            notes.append(f"a file of {size} would not be better than this one of {most:,} bytes")
        metadata = {
            "quantize.mixture.size": str(size),
            "quantize.mixture.expected_kl": choice.kl,
            "quantize.mixture.types": choice.summary(),
            "quantize.mixture.version": f"ggmlkit {__version__}",
        }
        return Chosen(choice.types, metadata, notes)

    def sensitivities(self, request: Request, names: Sequence[str]) -> Sensitivities:
        """What it costs to store these matrices of a request's in each type."""
        with ExitStack() as stack:
            text = self._text(request, stack)
            survey = Survey(text, names, self.method, request.progress)
            matrices = survey.sensitivities()
        others = {n: t for n, t in request.tensors.items() if n not in matrices}
        alignment = alignment_of(request.metadata)
        fixed = sum(
            padded(_stored_bytes(tensor, request.types[name]), alignment)
            for name, tensor in others.items()
        )
        weights = sum(tensor.size for tensor in request.tensors.values())
        overhead = padded(_header_bytes(request) + _KEYS, alignment)
        return Sensitivities(matrices, fixed, overhead, weights, alignment)

    def _text(self, request: Request, stack: ExitStack) -> Text:
        """The model and its samples; on the stack, what holds while it runs."""
        with loading.naming(request.source):
            hparams = from_gguf_keys(request.metadata, request.tensors)
            _check_matrices(request.tensors, hparams)
        samples = self._samples(request, hparams, self.samples)
        stack.enter_context(naming(request.out))
        # numpy multiplies the largest matrices.
        threads = request.threads or _core.available_threads()
        stack.enter_context(threadpool_limits(threads, "blas"))
        arrays = Spilling(Path(os.path.realpath(request.out)).parent, _MEMORY)
        return Text(hparams, request.tensors, samples, arrays, request.threads)

    def _samples(self, request: Request, hparams: Hparams, count: int) -> Samples:
        with loading.naming(request.source):
            tokenizer = Tokenizer.from_metadata(request.metadata)
        samples = read_samples(self.text, tokenizer, count, self.tokens, self.seed)
        check_vocabulary(samples, hparams.vocab, request.source.path)
        return samples

    def _metadata(self, outcomes: list[Outcome], samples: int) -> dict[str, Any]:
        return {
            "quantize.calibration.method": self.method,
            "quantize.calibration.dataset": Path(self.text).name,
            "quantize.calibration.entries_count": sum(each.is_kept for each in outcomes),
            "quantize.calibration.chunks_count": samples,
            "quantize.calibration.chunk_size": self.tokens,
            "quantize.calibration.version": f"ggmlkit {__version__}",
        }


def _stored_bytes(tensor: Tensor, kind: TensorType) -> int:
    columns = tensor.shape[-1] if tensor.shape else 1
    return tensor.rows * kind.row_bytes(columns)


def _header_bytes(request: Request) -> int:
    """What precedes the data in a file of the request's metadata."""
    stored = request.source.stored_values()
    plan = planned(
        request.tensors, request.metadata, value_types=request.source.value_types,
        stored_values=stored,
    )  # fmt: skip
    return len(plan.header)


class _Run:
    """The rounding of one file's matrices."""

    def __init__(
        self,
        settings: Calibration,
        request: Request,
        targets: Mapping[str, TensorType],
        text: Text,
        staging: Staging,
    ) -> None:
        self._drift = settings.drift
        self._request = request
        self._tensors = request.tensors
        self._targets = targets
        self._text = text
        self._staging = staging
        self._rounding = Rounding(settings.method, staging, request.threads)
        self._outcomes: list[Outcome] = []
        hparams = text.hparams
        self._tied = OUTPUT not in self._tensors
        self._knows_end = self._tied and EMBEDDINGS in targets
        layers = [self._layer_size(layer) for layer in range(hparams.layers)]
        ends = [self._tensors[n].size for n in (EMBEDDINGS, OUTPUT) if n in targets]
        passes = 2 if self._knows_end else 1
        self._meter = Meter(request.progress, passes * sum(layers) + sum(ends))

    def outcomes(self) -> list[Outcome]:
        """Round all."""
        text, layers = self._text, self._text.hparams.layers
        if self._knows_end:
            self._round_tied()
        states = text.beginning(self._now(EMBEDDINGS))
        exact = text.beginning(self._tensors[EMBEDDINGS]) if self._drift else None
        for layer in range(layers):
            names = [n for n in self._targets if n.startswith(f"blk.{layer}.")]
            if names:
                with entering_layer(text, layer, states, exact, self._drift) as entering:
                    for name in names:
                        self._round(name, entering[text.input_name(name)])
            rounded = {n: self._now(n) for n in self._tensors if n.startswith(f"blk.{layer}.")}
            text.advanced(layer, states, {**self._tensors, **rounded})
            self._meter.advance(self._layer_size(layer, of_rest=True), f"blk.{layer}")
        if OUTPUT in self._targets:
            self._round(OUTPUT, text.output_entering(states))
        self._meter.end()
        return self._outcomes

    def _round_tied(self) -> None:
        """The matrix of embeddings that is the output's, too: before all layers."""

        def done(layer: int) -> None:
            self._meter.advance(self._layer_size(layer), "the model before rounding")

        states = float_end(self._text, done)
        entering = self._text.output_entering(states, is_table=True)
        self._text.arrays.free(states)
        self._round(EMBEDDINGS, entering)

    def _round(self, name: str, entering: Entering) -> None:
        tensor = self._tensors[name]
        self._meter.begin(name)
        self._outcomes.append(self._rounding.matrix(tensor, self._targets[name], entering))
        self._meter.advance(tensor.size, name)

    def _now(self, name: str) -> Tensor:
        """A tensor as the new file has it."""
        made = self._staging.tensors.get(name)
        if made is not None:
            return made
        tensor = self._tensors[name]
        return in_type(tensor, self._request.types[name], self._request.threads)

    def _layer_size(self, layer: int, *, of_rest: bool = False) -> int:
        """Weights of a layer's matrices; of the rest, those that are not calibrated."""
        prefix = f"blk.{layer}."
        return sum(
            t.size
            for n, t in self._tensors.items()
            if n.startswith(prefix) and not (of_rest and n in self._targets)
        )


def _check_matrices(tensors: Mapping[str, Tensor], hparams: Hparams) -> None:
    """Raise ModelError for a matrix that the engine doesn't run."""
    for name, tensor in tensors.items():
        part = name.removesuffix(".weight").rpartition(".")[2]
        known = part in _LAYER_MATRICES if name.startswith("blk.") else name in (EMBEDDINGS, OUTPUT)
        if len(tensor.shape) > 2 or (len(tensor.shape) == 2 and not known):
            raise ModelError(
                f"the engine does not run tensor {name} of this {hparams.architecture} model, so "
                "it can't be calibrated; quantize it with an importance matrix instead"
            )


def _targets(request: Request) -> dict[str, TensorType]:
    """The types of the matrices to calibrate.

    Raises:
        ArgumentError: there are none.
    """
    found = {}
    for name, tensor in request.tensors.items():
        target = request.types[name]
        is_read_only = name == EMBEDDINGS and OUTPUT in request.tensors  # nothing multiplies it
        if len(tensor.shape) != 2 or target == tensor.type or is_read_only:
            continue
        if can_calibrate(target):
            found[name] = target
    if not found:
        kinds = sorted({t.name for n, t in request.types.items() if request.tensors[n].ndim == 2})
        raise ArgumentError(
            f"no matrix gets a type that can be calibrated, only {', '.join(kinds)}; leave the "
            "calibration out"
        )
    return found


def _notes(
    outcomes: list[Outcome],
    request: Request,
    targets: Mapping[str, TensorType],
    held_out: int,
) -> list[str]:
    kept = [each.error for each in outcomes if each.is_kept]
    notes = []
    if kept:
        notes.append(
            f"{len(kept)} matrices are calibrated: on {held_out} tokens that were held out, the "
            f"error of their outputs is {median(kept):.2f} of that of the reference rounding "
            f"(median; {min(kept):.2f} to {max(kept):.2f})"
        )
    refused = [each.name for each in outcomes if not each.is_kept]
    if refused:
        notes.append(
            f"calibration made {some(refused)} no better on the tokens held out: rounded as "
            "without it"
        )
    others = sorted(
        {
            target.name
            for name, target in request.types.items()
            if target.is_quantized and name not in targets and target != request.tensors[name].type
            and not can_calibrate(target)
        }
    )  # fmt: skip
    if others:
        notes.append(f"{', '.join(others)} can't be calibrated: such matrices are made without it")
    return notes
