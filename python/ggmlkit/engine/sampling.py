"""How tokens are drawn: the settings of ``generate``, ``chat`` and the scheduler, checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from ggmlkit import _core
from ggmlkit.arguments import did_you_mean, shown, whole
from ggmlkit.engine.grammar import Grammar, grammar_of
from ggmlkit.engine.sampler_names import SAMPLERS
from ggmlkit.engine.sampling_checks import (
    CHECKS,
    bias,
    last_n,
    steps,
    strings,
    token_id,
    token_ids,
)
from ggmlkit.errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REPEAT_LAST_N = 64  # tokens back that the penalties look at, as in llama.cpp
DRY_SEQUENCE_BREAKERS = ("\n", ":", '"', "*")
# Names of llama.cpp, transformers and vLLM, and ours.
_ELSEWHERE = {
    "n_predict": "max_tokens",
    "max_new_tokens": "max_tokens",
    "max_length": "max_tokens",
    "n": "max_tokens",
    "temp": "temperature",
    "repetition_penalty": "repeat_penalty",
    "penalty_last_n": "repeat_last_n",
    "stop_strings": "stop",
    "typ_p": "typical_p",
    "guided_json": "json_schema",
    "guided_regex": "regex",
    "guided_grammar": "grammar",
    "n_keep": "keep",
}

LogitsProcessor: TypeAlias = "Callable[[Sequence[int], NDArray[np.float32]], None]"


class GenerationSettings(TypedDict, total=False):
    """The fields of :class:`SamplingParams`, as keywords."""

    max_tokens: int | None
    temperature: float
    dynatemp_range: float
    dynatemp_exponent: float
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    top_n_sigma: float
    xtc_probability: float
    xtc_threshold: float
    min_keep: int
    mirostat: int
    mirostat_tau: float
    mirostat_eta: float
    repeat_penalty: float
    repeat_last_n: int
    frequency_penalty: float
    presence_penalty: float
    dry_multiplier: float
    dry_base: float
    dry_allowed_length: int
    dry_penalty_last_n: int
    dry_sequence_breakers: Sequence[str]
    samplers: Sequence[str]
    seed: int | None
    stop: str | Sequence[str]
    ignore_eos: bool
    context_shift: bool
    keep: int
    logit_bias: Mapping[int, float]
    banned_tokens: Collection[int]
    allowed_tokens: Collection[int] | None
    json_schema: Mapping[str, Any] | str | None
    regex: str | None
    grammar: str | None
    logits_processor: LogitsProcessor | None
    logprobs: bool
    top_logprobs: int


@dataclass(frozen=True)
class SamplingParams:
    """What decides which tokens follow a prompt, and where they end.

    Attributes:
        max_tokens: to generate at most; None: as many as the context has room for.
        temperature: divides the logits; 0 always takes the likeliest token, whatever the other
            settings leave out.
        dynatemp_range: makes the temperature follow the entropy of the probabilities: from
            ``temperature - range`` (one token is certain) to ``temperature + range`` (all are
            equal); 0: off.
        dynatemp_exponent: of the entropy's share of its largest value, in between.
        top_k: draw among so many likeliest tokens; 0 for all.
        top_p: draw among the likeliest tokens that together have this probability.
        min_p: leave out tokens less likely than this share of the likeliest.
        typical_p: draw among the tokens whose surprise is nearest to the entropy, that together
            have this probability (locally typical sampling, arXiv 2202.00666).
        top_n_sigma: leave out tokens whose logit is more than so many standard deviations of the
            logits below the highest (arXiv 2411.07641); 0: off.
        xtc_probability: how often all tokens with at least ``xtc_threshold`` are left out but the
            least likely of them ("exclude top choices").
        xtc_threshold: a probability; above 0.5 nothing is ever left out.
        min_keep: tokens that the settings above leave at least.
        mirostat: 1 or 2: instead of these settings, keep the surprise of the text near
            ``mirostat_tau`` (arXiv 2007.14966); 0: off.
        mirostat_tau: bits of surprise a token.
        mirostat_eta: how fast it is corrected.
        repeat_penalty: divides the logits of recent tokens (multiplies negative ones).
        repeat_last_n: how many tokens are recent, for this and the next two; -1: all.
        frequency_penalty: subtracted for each time a recent token occurred.
        presence_penalty: subtracted once for a recent token.
        dry_multiplier: penalise a token that would make a repetition of ``n`` tokens longer: its
            logit loses ``multiplier · base ** (n - allowed_length)`` (DRY); 0: off.
        dry_base: see there.
        dry_allowed_length: shorter repetitions are not penalised.
        dry_penalty_last_n: how far back repetitions are looked for, in tokens; -1: all.
        dry_sequence_breakers: a token whose text has one of these ends a repetition.
        samplers: the order in which the settings are applied, of :data:`SAMPLERS`; what is not
            named is not applied.
        seed: the same seed gives the same text; None is another one each time.
        stop: end before the first of these strings.
        ignore_eos: go on where the model would end, never generating the ending token.
        context_shift: where the context is full, go on without the older half of the tokens behind
            those that are kept. The others are computed again as the beginning of a text.
        keep: tokens of the prompt that stay then, the first one always; -1: all.
        logit_bias: added to the logits of tokens, by id; ``-inf``: never this token.
        banned_tokens: ids that are never generated.
        allowed_tokens: ids that alone may be generated; None: all.
        json_schema: the text is a JSON value that this JSON Schema (a mapping, or JSON) describes;
            ``{}``: any. This and the next two, of which one may be given, need the extra
            ``grammar``. With them, a model's ending token comes only where the text may end.
        regex: the text matches this regular expression as a whole.
        grammar: the text is one of this grammar, in the notation of Lark or in llama.cpp's GBNF.
        logits_processor: called before each token with all ids so far and the logits, float32
            ``(vocab,)``, which it may change in place. Without it, batches are faster.
        logprobs: compute the log-probability of each token.
        top_logprobs: also those of so many likeliest tokens.

    Raises:
        ArgumentError: a setting is out of range or of a wrong type.
    """

    max_tokens: int | None = None
    temperature: float = 0.8
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    top_n_sigma: float = 0.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    min_keep: int = 1
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    repeat_penalty: float = 1.0
    repeat_last_n: int = REPEAT_LAST_N
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    dry_sequence_breakers: Sequence[str] = DRY_SEQUENCE_BREAKERS
    samplers: Sequence[str] = SAMPLERS
    seed: int | None = None
    stop: str | Sequence[str] = ()
    ignore_eos: bool = False
    context_shift: bool = False
    keep: int = 0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    banned_tokens: Collection[int] = ()
    allowed_tokens: Collection[int] | None = None
    json_schema: Mapping[str, Any] | str | None = None
    regex: str | None = None
    grammar: str | None = None
    logits_processor: LogitsProcessor | None = None
    logprobs: bool = False
    top_logprobs: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens is not None:
            if self.max_tokens == -1:  # llama.cpp's word for it
                raise ArgumentError("max_tokens must be at least 0, not -1; None sets no bound")
            whole(self.max_tokens, "max_tokens", least=0)
        whole(self.top_logprobs, "top_logprobs", least=0)
        whole(self.keep, "keep", least=-1)
        strings(self.stop, "stop")
        strings(self.dry_sequence_breakers, "dry_sequence_breakers")
        if self.allowed_tokens is not None:
            token_ids(self.allowed_tokens, "allowed_tokens")
        if self.logits_processor is not None and not callable(self.logits_processor):
            raise ArgumentTypeError(
                f"logits_processor must be callable, not {shown(self.logits_processor)}"
            )
        self.new_sampler(())
        self.wanted_grammar()

    def new_sampler(self, ending: Collection[int], breakers: Iterable[int] = ()) -> _core.Sampler:
        """What draws the tokens of one sequence.

        Args:
            ending: the model's ending tokens.
            breakers: tokens whose text has a sequence breaker.

        Raises:
            ArgumentError: a setting is out of range, or not a number.
        """
        params = _core.SamplingParams()
        for name, check in CHECKS.items():
            setattr(params, name, check(getattr(self, name), name))
        params.steps = steps(self.samplers)
        params.dry_sequence_breakers = list(breakers)
        params.seed = self._seed()
        never = [*token_ids(self.banned_tokens, "banned_tokens")]
        never += ending if self.ignore_eos else ()
        if not isinstance(self.logit_bias, Mapping):
            raise ArgumentTypeError(
                f"logit_bias must be a mapping of token ids, not {shown(self.logit_bias)}"
            )
        biases = self.logit_bias.items()
        params.logit_bias = [
            (token_id(token, "logit_bias"), bias(added)) for token, added in biases
        ]
        params.logit_bias += [(token, -inf) for token in never]
        return _core.Sampler(params)

    def wanted_grammar(self) -> Grammar | None:
        """What the text must be like; None: it is free.

        Raises:
            ArgumentError: see :func:`grammar_of`.
        """
        return grammar_of(self.json_schema, self.regex, self.grammar)

    @property
    def recent_tokens(self) -> int:
        """Tokens of a prompt that the penalties look at, at most."""
        dry = last_n(self.dry_penalty_last_n, "dry_penalty_last_n") if self.dry_multiplier else 0
        return max(last_n(self.repeat_last_n, "repeat_last_n"), dry)

    def _seed(self) -> int:
        if self.seed is None:
            return int.from_bytes(os.urandom(8), "little")
        return whole(self.seed, "seed") & (2**64 - 1)


def chosen_params(params: SamplingParams | None, settings: GenerationSettings) -> SamplingParams:
    """``params``, or those of the settings given by keyword.

    Raises:
        ArgumentError: both are given, or a setting is out of range or of a wrong type.
    """
    if params is None:
        names = GenerationSettings.__annotations__
        for name in settings:
            if name not in names:
                raise ArgumentTypeError(f"there is no setting {name!r}{_meant(name)}")
        return SamplingParams(**settings)
    if settings:
        raise ArgumentError("give either params or settings by keyword, not both")
    if not isinstance(params, SamplingParams):
        raise ArgumentTypeError(f"params must be a gk.SamplingParams, not {shown(params)}")
    return params


def _meant(name: str) -> str:
    """The setting that a name stands for in other libraries, or is like."""
    if own := _ELSEWHERE.get(name):
        return f"; did you mean {own!r}?"
    return did_you_mean(name, GenerationSettings.__annotations__)
