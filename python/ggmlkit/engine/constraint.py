"""Which tokens keep a text to its grammar, by the library llguidance, an extra."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from functools import lru_cache
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from ggmlkit.engine import grammar_check
from ggmlkit.engine.grammar import Grammar
from ggmlkit.engine.grammar_check import limits, on_deep_stack, source
from ggmlkit.engine.grammar_tokens import GrammarTokens
from ggmlkit.errors import ArgumentError, ModelError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer
    from numpy.typing import NDArray

    from ggmlkit.engine.sampling import SamplingParams
    from ggmlkit.text.tokenizer import Tokenizer

_MISSING = (
    "{} needs the extra grammar, the package llguidance: in a clone of ggmlkit, "
    'pip install ".[grammar]"'
)
_SECONDS = 5.0  # of processor time, in which a grammar is read
_BUSY = 12  # times as long: what that may take where the machine has other work
_LONGEST_REASON = 200
# What only the author of a grammar of llguidance's own can do.
_ADVICE = re.compile(r"; (consider making your grammar left-recursive|try avoiding).*")

_tokenizers: WeakKeyDictionary[Tokenizer, dict[int, LLTokenizer]] = WeakKeyDictionary()


class Constraint:
    """How far one text has come in its grammar.

    Args:
        grammar: what the text must be like.
        vocab: logits in a row.

    Raises:
        ArgumentError: the grammar has a fault, allows no text, or is too complex; or llguidance is
            not installed.
    """

    def __init__(self, grammar: Grammar, tokenizer: Tokenizer, vocab: int) -> None:
        self._matcher = _matcher(grammar, tokenizer, vocab)
        self._field = grammar.field
        self._vocab = vocab
        self._ending = [id for id in tokenizer.eog_ids if 0 <= id < vocab]
        self._next: NDArray[np.uint32] | None = None
        self.compute()
        if self._matcher.is_error():
            raise ArgumentError(
                f"{grammar.field}: no text can begin as it wants: "
                f"{_reason(self._matcher.get_error())}"
            )

    def allowed(self) -> NDArray[np.uint32]:
        """The tokens that may come next as bits, as `allowed_bits` has them.

        The model's ending tokens are among them where the text may end.

        Raises:
            ArgumentError: going on became too complex.
            ModelError: no token of the vocabulary goes on.
        """
        self.compute()
        if self._next is None or self._matcher.is_error():
            raise ArgumentError(
                f"{self._field} is too complex to go on: {_reason(self._matcher.get_error())}"
            )
        if not self._next.any():
            raise ModelError(f"no token of the vocabulary goes on as {self._field} wants")
        return self._next

    def compute(self) -> None:
        """Compute what :meth:`allowed` gives, if it isn't yet. Another thread may do it before."""
        if self._next is None and not self._matcher.is_error():
            self._next = self._computed()

    def take(self, id: int) -> bool:
        """Go on with a token that was allowed; whether the text is complete, and can't go on."""
        self._matcher.consume_token(id)
        self._next = None
        if self._matcher.is_error():
            return False
        if self._matcher.is_stopped():
            return True
        if not self._matcher.is_accepting():
            return False
        self.compute()
        return self._may_end and not self._goes_on

    def forced(self) -> list[int]:
        """The tokens of the text that must come next, where the grammar leaves but one."""
        if self._matcher.is_error() or self._matcher.is_stopped():
            return []
        found: list[int] = self._matcher.compute_ff_tokens()
        return found if self._vocab not in found else found[: found.index(self._vocab)]

    def _computed(self) -> NDArray[np.uint32]:
        words = np.zeros(self._vocab // 32 + 1, np.uint32)
        self._matcher.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
        # Behind the vocabulary is the bit of the end.
        last, bit = divmod(self._vocab, 32)
        self._may_end = bool(words[last] >> np.uint32(bit) & np.uint32(1))
        words[last] &= np.uint32((1 << bit) - 1)
        self._goes_on = bool(words.any())
        if self._may_end:
            for id in self._ending:
                words[id // 32] |= np.uint32(1 << id % 32)
        return words[: (self._vocab + 31) // 32]


def constraint_of(params: SamplingParams, tokenizer: Tokenizer, vocab: int) -> Constraint | None:
    """What keeps a text to the grammar of its settings; None where it is free.

    Raises:
        ArgumentError: as :class:`Constraint`.
    """
    grammar = params.wanted_grammar()
    return None if grammar is None else Constraint(grammar, tokenizer, vocab)


def _matcher(grammar: Grammar, tokenizer: Tokenizer, vocab: int) -> LLMatcher:
    tokens = _tokens(grammar, tokenizer, vocab)
    if fault := _fault(grammar):
        raise ArgumentError(f"{grammar.field}: {fault}")
    from llguidance import LLMatcher

    found: list[LLMatcher] = []

    def read() -> None:
        text = source(grammar.field, grammar.text)
        found.append(LLMatcher(tokens, text, log_level=0, limits=limits()))

    on_deep_stack(read)
    (matcher,) = found
    if matcher.is_error():
        raise ArgumentError(f"{grammar.field}: {_reason(matcher.get_error())}")
    return matcher


@lru_cache(maxsize=256)
def _fault(grammar: Grammar) -> str:
    """What is wrong with a grammar, found by a process that can be ended; empty if nothing is.

    Raises:
        ArgumentError: there was too little time or memory; next time there may be enough.
    """
    complex = f"{grammar.field} is too complex: reading it takes too"
    given = {
        "field": grammar.field,
        "text": grammar.text,
        "path": sys.path,
        "seconds": _SECONDS,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", grammar_check.__file__],
            input=json.dumps(given).encode(),
            capture_output=True,
            timeout=_BUSY * max(_SECONDS, 1),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ArgumentError(f"{complex} long") from None
    except OSError as error:
        raise ArgumentError(
            f"{grammar.field}: no process can be started to read it: {error}"
        ) from None
    if done.returncode == -signal.SIGPROF:
        raise ArgumentError(f"{complex} long")
    if done.returncode:
        raise ArgumentError(f"{complex} much memory")
    said: str = json.loads(done.stdout)
    return _reason(said, has_place=grammar.field == "grammar")


def _tokens(grammar: Grammar, tokenizer: Tokenizer, vocab: int) -> LLTokenizer:
    """The vocabulary as llguidance has it, made once."""
    try:
        from llguidance import LLTokenizer, TokenizerWrapper
    except ImportError:
        raise ArgumentError(_MISSING.format(grammar.field)) from None
    known = _tokenizers.setdefault(tokenizer, {})
    if vocab not in known:
        known[vocab] = LLTokenizer(TokenizerWrapper(GrammarTokens(tokenizer, vocab)))
    return known[vocab]


def _reason(said: str, has_place: bool = True) -> str:
    """What llguidance says, in a line: without the lines of the grammar that it shows."""
    lines = [line for line in said.splitlines() if not re.match(r"\s*(\d+ \||\^|<)", line)]
    named = [line for line in lines if line.startswith("error: ")]
    text = " ".join(" ".join(named or lines).removeprefix("error: ").split())
    text = _ADVICE.sub("", text)
    if not has_place:
        text = re.sub(r"^at \d+\(\d+\): ", "", text)
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "…"
