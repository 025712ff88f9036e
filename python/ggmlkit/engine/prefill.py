"""Which part of the prompts a step computes, while other sequences decode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ggmlkit import _core
from ggmlkit.engine.decoding import STEP_TOKENS, Part, common_length

if TYPE_CHECKING:
    from ggmlkit.engine.model import Model
    from ggmlkit.engine.request import Request

# A part of a prompt that is smaller than this reads all weights for too little.
_LEAST_TOKENS = 16


class Prefill:
    """Shares out the prompts' part of each step.

    Args:
        seconds: of a step that may go to prompts while other sequences decode.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._token_time = 0.0  # measured; 0: not yet

    def parts(self, running: Sequence[Request], model: Model) -> list[Part]:
        """The next part of the prompts, in the order of their requests."""
        parts: list[Part] = []
        left = self._tokens(sum(request.missing == 1 for request in running))
        for request in running:
            if left <= 0:
                break
            if request.missing > 1 and not self._waits(request, model):
                count = min(left, request.missing)
                parts.append(Part(request, count))
                left -= count
        return parts

    def _tokens(self, decoding: int) -> int:
        most = max(_LEAST_TOKENS, STEP_TOKENS - decoding)
        if not decoding:
            return most
        if not self._token_time:  # not measured yet
            return min(most, 2 * _LEAST_TOKENS)
        return max(_LEAST_TOKENS, min(most, int(self._seconds / self._token_time)))

    def learn(self, parts: Sequence[Part], seconds: float) -> None:
        """Time of a prefilled token, a running mean of steps that are mostly prefill."""
        tokens = sum(part.count for part in parts)
        if tokens - len(parts) < _LEAST_TOKENS:
            return
        found = seconds / tokens
        self._token_time = 0.7 * self._token_time + 0.3 * found if self._token_time else found

    def follow_another(self, request: Request, running: Sequence[Request]) -> None:
        """Let a prompt wait where another one computes the pages that it begins with."""
        if request.missing <= _core.KV_PAGE or not running:
            return
        longest = request.held + _core.KV_PAGE - 1
        for other in running:
            if other.missing <= 1 or other.adapter is not request.adapter:
                continue
            most = len(request.ids) - 1
            shared = common_length(request.ids[:most], other.ids) // _core.KV_PAGE * _core.KV_PAGE
            if shared > longest and shared > other.held:
                longest = shared
                request.leader, request.shared = other, shared

    def _waits(self, request: Request, model: Model) -> bool:
        """Whether the pages that a prompt waits for are still to be computed; else it has them."""
        leader = request.leader
        if leader is None:
            return False
        is_computing = leader.missing > 1 and not leader.is_over and not leader.given_up
        if is_computing and leader.held < request.shared:
            return True
        request.leader = None
        request.hold(model.sequence(request.ids, request.adapter))
        return False
