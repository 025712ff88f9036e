"""A prompt that is generated for, and the stream of its tokens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Hashable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ggmlkit.closing import Closing
from ggmlkit.engine.completion import Completion, Token
from ggmlkit.engine.inbox import Inbox
from ggmlkit.engine.stats import Stats
from ggmlkit.errors import GgmlkitError

if TYPE_CHECKING:
    from ggmlkit.engine.constraint import Constraint
    from ggmlkit.engine.sampling import SamplingParams
    from ggmlkit.engine.sequence import Adapter, Sequence
    from ggmlkit.engine.speculation.source import Text


@dataclass(eq=False)
class Request:
    """A prompt, what became of it, and who waits for it.

    Attributes:
        ids: the prompt, then the tokens that were drawn.
        limit: tokens that may follow.
        constraint: of the settings.
        client: whose it is.
        uses_cache: whether the prompt is taken from the cache, as far as it is there.
        tokens: drawn; None at the end, or what went wrong.
        is_over: no token follows.
        given_up: nobody waits for it any more.
        text: what is guessed about it.
        held: of the ids, that its sequence has computed.
        crowded_since: when it began to wait for pages that are not the scheduler's.
        leader: another request that computes the ``shared`` tokens that both begin with.
    """

    ids: list[int]
    params: SamplingParams
    adapter: Adapter | None
    limit: int
    constraint: Constraint | None = None
    client: Hashable = None
    uses_cache: bool = True
    tokens: Inbox[Token | GgmlkitError | None] = field(default_factory=Inbox)
    stats: Stats = field(default_factory=Stats)
    is_over: bool = False
    given_up: bool = False
    sequence: Sequence | None = None
    completion: Completion | None = None
    text: Text | None = None
    held: int = 0
    leader: Request | None = None
    shared: int = 0
    since: float = field(default_factory=time.perf_counter)
    crowded_since: float | None = None
    prompt_length: int = field(init=False)

    def __post_init__(self) -> None:
        self.prompt_length = len(self.ids)

    @property
    def held_sequence(self) -> Sequence:
        """The sequence; it must hold one."""
        assert self.sequence is not None
        return self.sequence

    @property
    def missing(self) -> int:
        """Ids that are still to be computed."""
        return len(self.ids) - self.held

    def hold(self, sequence: Sequence) -> None:
        """Go on with a sequence that has computed a beginning of the ids."""
        self.let_go()
        self.sequence = sequence
        self.held = len(sequence)
        if self.completion is None:
            self.stats.cached_tokens = self.held
            self.stats.prompt_tokens = self.missing

    def let_go(self) -> None:
        """Give the pages back."""
        if self.sequence is not None:
            self.sequence.close()
            self.sequence = None
            self.held = 0

    def forget(self, length: int) -> None:
        """Keep the first ``length`` of the ids that the sequence has computed."""
        self.held = self.held_sequence.truncate(length)

    def prompt_computed(self) -> None:
        """Tokens are drawn from now on."""
        now = time.perf_counter()
        self.stats.prompt_seconds = now - self.since
        self.since = now

    def give(self, tokens: list[Token]) -> None:
        """The next tokens, which are among the ids; coroutines see them after a `wake`."""
        self.stats.decode_tokens += len(tokens)
        self.stats.decode_seconds = time.perf_counter() - self.since
        for token in tokens:
            self.tokens.add(token)

    def end(self, error: GgmlkitError | None = None) -> None:
        """No token follows: the text is complete, or something went wrong."""
        self.is_over = True
        self.let_go()
        self.tokens.put(error)


class Stream(Closing):
    """The tokens of one prompt as they are drawn; :meth:`Scheduler.submit` makes it.

    Iterating, with ``for`` or ``async for``, gives each :class:`ggmlkit.Token` when it is there.
    ``async for`` blocks no event loop and takes no thread. A stream that is closed, no longer
    referred to, or whose task is cancelled while it waits for a token, is given up: its pages go
    back.
    """

    def __init__(self, request: Request, owner: object) -> None:
        self._request = request
        self._owner = owner  # which works as long as it is referred to

    @property
    def stats(self) -> Stats:
        """Its work so far; the prompt's time includes the wait for its turn."""
        return self._request.stats

    @property
    def is_running(self) -> bool:
        """Whether it is generated now; otherwise it waits for its turn, or is over."""
        return self._request.sequence is not None

    def __iter__(self) -> Iterator[Token]:
        return self

    def __next__(self) -> Token:
        token = self._token(self._request.tokens.get())
        if token is None:
            raise StopIteration
        return token

    def __aiter__(self) -> AsyncIterator[Token]:
        return self

    async def __anext__(self) -> Token:
        try:
            found = await self._request.tokens.get_async()
        except BaseException:  # the task is cancelled
            self.close()
            raise
        token = self._token(found)
        if token is None:
            raise StopAsyncIteration
        return token

    def _token(self, found: Token | GgmlkitError | None) -> Token | None:
        """What was found if it is a token, None at the end; raises what went wrong."""
        if isinstance(found, Token):
            return found
        self._request.tokens.put(found)  # for whoever asks again
        if found is not None:
            raise found
        return None

    def text(self) -> str:
        """All the text; waits for the end."""
        return "".join(token.text for token in self)

    def close(self) -> None:
        """Give it up. Twice is no error."""
        self._request.given_up = True

    def __del__(self) -> None:
        self.close()
