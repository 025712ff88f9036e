"""How well documents answer a query, by a decoder: how likely "yes" is against "no"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import takewhile
from math import exp, isfinite
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ggmlkit import _core
from ggmlkit.chat.prompts import Tools, prompt_text
from ggmlkit.engine.sequence import Chunk
from ggmlkit.engine.text_lists import groups
from ggmlkit.errors import ModelError
from ggmlkit.server.llama_server.errors import unsupported
from ggmlkit.server.llama_server.mixed_prompts import check_fits
from ggmlkit.text.reasoning import is_thinking

if TYPE_CHECKING:
    from ggmlkit.server.loading import ServedModel

INSTRUCTION: Final = "Given a web search query, retrieve relevant passages that answer the query"
_TEMPLATE_KEY: Final = "tokenizer.chat_template.rerank"
_YES, _NO = "yes", "no"
# The words that Qwen3-Reranker was trained with; others understand them too.
_JUDGE: Final = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".'
)


class Words(NamedTuple):
    """A prompt cut where the query and the document stand.

    Attributes:
        before: the first of both.
        between: them.
        after: the second.
        is_turned: the document stands before the query.
    """

    before: str
    between: str
    after: str
    is_turned: bool = False

    def filled(self, query: str, document: str) -> str:
        """The prompt of a query and a document."""
        first, second = (document, query) if self.is_turned else (query, document)
        return f"{self.before}{first}{self.between}{second}{self.after}"


class Question(NamedTuple):
    """What the model is asked.

    Attributes:
        prompts: token ids for each document.
        yes: the token that "yes" begins with.
        no: the token that "no" begins with.
    """

    prompts: list[list[int]]
    yes: int
    no: int


def question(
    served: ServedModel,
    query: str,
    documents: Sequence[str],
    instruction: str,
    variables: Mapping[str, Any],
) -> Question:
    """What the model is asked about some documents; takes a moment.

    Args:
        variables: for the chat template.

    Raises:
        RequestError: a document does not fit, or the model has no way to be asked.
    """
    words = _words(served, instruction, variables)
    without = words.filled(query, "")
    length, yes, no = _answers(served, without)
    check_fits(served, served.tokenizer.encode(without, False, True), "the query")
    prompts = []
    for place, document in enumerate(documents):
        # Text after text is tokenized as one: a token may lie across their border.
        text = words.filled(query, document) + _YES
        ids = served.tokenizer.encode(text, False, True)[:-length]
        check_fits(served, ids, f"documents[{place}], with the query,")
        prompts.append(ids)
    return Question(prompts, yes, no)


def _answers(served: ServedModel, text: str) -> tuple[int, int, int]:
    """How many tokens of a text that ends with "yes" that is, and the tokens that both begin with.

    They are the first tokens in which a text that ends with "yes" differs from one with "no".
    """
    ids = [served.tokenizer.encode(text + word, False, True) for word in (_YES, _NO)]
    common = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(*ids, strict=False))))
    if not 0 < common < min(map(len, ids)):
        raise unsupported(f"the vocabulary of {served.name} does not tell yes from no")
    return len(ids[0]) - common, ids[0][common], ids[1][common]


def _words(served: ServedModel, instruction: str, variables: Mapping[str, Any]) -> Words:
    """The prompt that the model was trained with, as far as its file says."""
    own = served.model.file.metadata.get(_TEMPLATE_KEY)
    if isinstance(own, str) and "{query}" in own and "{document}" in own:
        return _cut(own, "{query}", "{document}")
    query, document = (f"{name}-{token_hex(16)}" for name in ("query", "document"))
    asked = f"<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}"
    if served.chat is None:
        return _cut(f"{_JUDGE}\n\n{asked}\n\nAnswer: ", query, document)
    text = _asked(served, asked, {**variables, "enable_thinking": False})
    if text.count(query) != 1 or text.count(document) != 1:
        raise unsupported(f"the chat template of {served.name} does not keep what it is given")
    return _cut(text, query, document)


def _asked(served: ServedModel, asked: str, variables: Mapping[str, Any]) -> str:
    chat = served.chat
    assert chat is not None
    messages = [{"role": "system", "content": _JUDGE}, {"role": "user", "content": asked}]
    text = prompt_text(served, chat, messages, Tools(), variables)
    if chat.tags is not None and is_thinking(text, chat.tags):
        text += f"{chat.tags.end}\n\n"
    return text


def _cut(text: str, query: str, document: str) -> Words:
    """A prompt without the first place of each."""
    is_turned = text.index(document) < text.index(query)
    first, second = (document, query) if is_turned else (query, document)
    before, _, rest = text.partition(first)
    between, _, after = rest.partition(second)
    return Words(before, between, after, is_turned)


def scores(served: ServedModel, asked: Question, prompts: Sequence[list[int]]) -> Iterator[float]:
    """For some of the prompts, the probability of "yes" where the answer is "yes" or "no".

    Raises:
        CacheFullError: the cache has too few free pages.
        ModelError: logits are not finite.
    """
    model = served.model
    common = _common(asked.prompts)
    with model.sequence(common, served.adapter) as beginning:
        if rest := common[len(beginning) :]:
            served.portions.step(model, [Chunk(beginning, rest, "none")])
        in_page = len(beginning) % _core.KV_PAGE  # which each fork copies
        rests = [ids[len(beginning) :] for ids in prompts]
        for places in groups([in_page + len(ids) for ids in rests], model.free_cache_tokens):
            with ExitStack() as opened:
                chunks = [
                    Chunk(opened.enter_context(beginning.fork()), rests[place]) for place in places
                ]
                for logits in served.portions.step(model, chunks):
                    yield _score(float(logits[asked.yes]), float(logits[asked.no]))


def _common(prompts: Sequence[list[int]]) -> list[int]:
    """What all prompts begin with; each has a token more."""
    first, last = min(prompts), max(prompts)
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return first[: min(len(list(alike)), *(len(ids) - 1 for ids in prompts))]


def _score(yes: float, no: float) -> float:
    if not isfinite(yes) or not isfinite(no):
        raise ModelError(
            "logits of the model are not finite (`ggmlkit verify` shows weights that are not)"
        )
    gap = no - yes
    return 1 / (1 + exp(gap)) if gap < 0 else exp(-gap) / (1 + exp(-gap))
