"""Messages of the model as Anthropic's API writes them, whole and as events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from ggmlkit.chat.json_text import as_json
from ggmlkit.server.blocks import Begun, Block, Blocks, Change, Grown
from ggmlkit.server.sse import event

if TYPE_CHECKING:
    from ggmlkit.server.generating import Generation

PING: Final = event({"type": "ping"}, "ping")
_REASONS: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


@dataclass(frozen=True)
class Answer:
    """The next message.

    Attributes:
        model: its name.
        generation: of its tokens.
        stops: the request's own stop strings.
        hides_thoughts: whether thoughts are told without their text.
        id: of the message.
    """

    model: str
    generation: Generation
    stops: Collection[str] = ()
    hides_thoughts: bool = False
    id: str = field(default_factory=lambda: f"msg_{token_hex(12)}")

    async def whole(self) -> dict[str, Any]:
        """The message, once it is there.

        Raises:
            RequestError: the model fails.
        """
        blocks = Blocks()
        async with aclosing(self.generation.events()) as events:
            async for each in events:
                for _ in blocks.push(each):
                    pass
        content = [self._block(block) for block in blocks.all]
        return {**self._message(content), **self._end(blocks)}

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The events of the message, encoded."""
        blocks, is_begun = Blocks(), False
        async with aclosing(self.generation.events()) as events:
            async for each in events:
                if not is_begun:  # now it is known what the cache had of the prompt
                    is_begun = True
                    message = {**self._message([]), "stop_reason": None, "stop_sequence": None}
                    yield _event("message_start", message=message)
                    yield PING
                for change in blocks.push(each):
                    for part in self._changed(change):
                        yield part
        end = self._end(blocks)
        yield _event("message_delta", delta=end, usage=self._usage())
        yield _event("message_stop")

    def _changed(self, change: Change) -> list[bytes]:
        block = change.block
        if isinstance(change, Grown):
            return self._grown(block, change.text)
        if not isinstance(change, Begun):
            return [_event("content_block_stop", index=block.place)]
        found = [_event("content_block_start", index=block.place, content_block=_empty(block))]
        if block.call is not None:
            arguments = as_json(block.call.arguments)
            delta = {"type": "input_json_delta", "partial_json": arguments}
            found.append(_event("content_block_delta", index=block.place, delta=delta))
        return found

    def _grown(self, block: Block, text: str) -> list[bytes]:
        if block.kind == "text":
            delta = {"type": "text_delta", "text": text}
        elif self.hides_thoughts:
            return []
        else:
            delta = {"type": "thinking_delta", "thinking": text}
        return [_event("content_block_delta", index=block.place, delta=delta)]

    def _block(self, block: Block) -> dict[str, Any]:
        """A whole block."""
        shape = _empty(block)
        if block.call is not None:
            shape["input"] = block.call.arguments
        elif block.kind == "text":
            shape["text"] = block.text
        elif not self.hides_thoughts:
            shape["thinking"] = block.text
        return shape

    def _message(self, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "usage": self._usage(),
        }

    def _end(self, blocks: Blocks) -> dict[str, Any]:
        stop = blocks.stop if blocks.stop in self.stops else None
        reason = _REASONS[blocks.reason or "length"]
        if reason == "end_turn" and stop is not None:
            reason = "stop_sequence"
        return {
            "stop_reason": reason,
            "stop_sequence": stop if reason == "stop_sequence" else None,
        }

    def _usage(self) -> dict[str, Any]:
        """The tokens so far; those of the prompt that the cache had are counted apart."""
        usage = self.generation.usage
        return {
            "input_tokens": usage.prompt_tokens - usage.cached_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": usage.cached_tokens,
            "output_tokens": usage.completion_tokens,
        }


def _empty(block: Block) -> dict[str, Any]:
    """A block as it begins."""
    if block.call is not None:
        return {"type": "tool_use", "id": f"toolu_{block.id}", "name": block.call.name, "input": {}}
    if block.kind == "text":
        return {"type": "text", "text": "", "citations": None}
    return {"type": "thinking", "thinking": "", "signature": ""}


def _event(kind: str, **values: Any) -> bytes:
    return event({"type": kind, **values}, kind)
