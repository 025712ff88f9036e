"""Responses as they are written: whole, and as events."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ggmlkit.chat.answers import chat_logprobs
from ggmlkit.chat.json_text import as_json
from ggmlkit.server.blocks import Begun, Block, Blocks, Change, Grown
from ggmlkit.server.sse import event

if TYPE_CHECKING:
    from ggmlkit.chat.errors import RequestError
    from ggmlkit.engine.completion import Token
    from ggmlkit.server.generating import Generation
    from ggmlkit.server.loading import ServedModel
    from ggmlkit.server.responses.head import Head

# Keeps a response: its JSON, and its items; whether it is kept.
Keep = Callable[[str, list[dict[str, Any]]], Awaitable[bool]]


@dataclass
class Answer:
    """The answer of a response.

    Attributes:
        head: what the response says of its request.
        served: the model.
        generation: of the tokens.
        keep: keeps the response; None: it is not to be kept.
        has_logprobs: whether texts have log-probabilities.
    """

    head: Head
    served: ServedModel
    generation: Generation
    keep: Keep | None
    has_logprobs: bool
    _blocks: Blocks = field(default_factory=Blocks)
    _number: int = 0  # of the next event

    async def whole(self) -> str:
        """The response as JSON, once it is there and kept.

        Raises:
            RequestError: the model fails.
        """
        async with aclosing(self.generation.events()) as events:
            async for each in events:
                for _ in self._blocks.push(each):
                    pass
        return (await self._ended())[1]

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Its events, encoded."""
        begun = self.head.response(self._state("in_progress"))
        yield self._of_response("response.created", begun)
        yield self._of_response("response.in_progress", begun)
        async with aclosing(self.generation.events()) as events:
            async for each in events:
                for change in self._blocks.push(each):
                    for part in self._changed(change):
                        yield part
        status, text = await self._ended()
        yield self._of_response(f"response.{status}", text)

    def failed(self, error: RequestError) -> bytes:
        """The last event of a response that fails."""
        said = {"code": "server_error", "message": error.message}
        text = self.head.response({**self._state("failed"), "error": said})
        return self._of_response("response.failed", text)

    async def _ended(self) -> tuple[str, str]:
        """The status at the end, and the response; it is kept, if it is to be."""
        status = "incomplete" if self._blocks.reason == "length" else "completed"
        state = self._state(status)
        text = self.head.response({**state, "store": self.keep is not None})
        if self.keep is not None and not await self.keep(text, state["output"]):
            text = self.head.response({**state, "store": False})
        return status, text

    # ------------------------------------------------------------------ shapes

    def _state(self, status: str) -> dict[str, Any]:
        """The part of a response that its answer changes."""
        details = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            "status": status,
            "completed_at": int(time.time()) if status == "completed" else None,
            "error": None,
            "incomplete_details": details,
            "output": [self._item(block) for block in self._blocks.all],
            "usage": None if status == "in_progress" else self._usage(),
        }

    def _usage(self) -> dict[str, Any]:
        usage = self.generation.usage
        return {
            "input_tokens": usage.prompt_tokens,
            "input_tokens_details": {
                "cached_tokens": usage.cached_tokens,
                "cache_write_tokens": 0,
            },
            "output_tokens": usage.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": self.generation.reasoning_tokens},
            "total_tokens": usage.total_tokens,
        }

    def _item(self, block: Block) -> dict[str, Any]:
        """A block as an item; it has all that is there."""
        if block.call is not None:
            return {**self._empty(block), "arguments": _arguments(block), "status": "completed"}
        is_cut = self._blocks.reason == "length" and block is self._blocks.all[-1]
        status = "completed" if block.is_whole and not is_cut else "incomplete"
        return {**self._empty(block), "content": [self._part(block)], "status": status}

    def _empty(self, block: Block) -> dict[str, Any]:
        """A block as an item without content."""
        shape: dict[str, Any] = {"id": _item_id(block)}
        if block.call is not None:
            shape |= {"type": "function_call", "call_id": f"call_{block.id}"}
            shape |= {"name": block.call.name, "arguments": ""}
        elif block.kind == "text":
            shape |= {"type": "message", "role": "assistant", "content": []}
        else:
            shape |= {"type": "reasoning", "summary": [], "content": []}
        return {**shape, "status": "in_progress"}

    def _part(self, block: Block) -> dict[str, Any]:
        return self._part_of(block, block.text, block.tokens)

    def _part_of(self, block: Block, text: str, tokens: Iterable[Token]) -> dict[str, Any]:
        if block.kind == "thoughts":
            return {"type": "reasoning_text", "text": text}
        return {
            "type": "output_text",
            "text": text,
            "annotations": [],
            "logprobs": self._logprobs(tokens),
        }

    def _logprobs(self, tokens: Iterable[Token]) -> list[dict[str, Any]]:
        if not self.has_logprobs:
            return []
        found: list[dict[str, Any]] = chat_logprobs(self.served.tokenizer, tokens)["content"]
        return found

    # ------------------------------------------------------------------ events

    def _changed(self, change: Change) -> Iterator[bytes]:
        block = change.block
        if isinstance(change, Grown):
            yield self._delta(block, change.text, change.tokens)
        elif isinstance(change, Begun):
            place = block.place
            yield self._event(
                "response.output_item.added", output_index=place, item=self._empty(block)
            )
            if block.call is None:
                part = self._part_of(block, "", ())
                yield self._of_part("response.content_part.added", block, part=part)
            else:
                name = "response.function_call_arguments.delta"
                yield self._of_item(name, block, delta=_arguments(block))
        else:
            yield from self._ended_block(block)

    def _delta(self, block: Block, text: str, tokens: Iterable[Token]) -> bytes:
        if block.kind == "thoughts":
            return self._of_part("response.reasoning_text.delta", block, delta=text)
        name = "response.output_text.delta"
        return self._of_part(name, block, delta=text, logprobs=self._logprobs(tokens))

    def _ended_block(self, block: Block) -> Iterator[bytes]:
        if block.call is not None:
            yield self._of_item(
                "response.function_call_arguments.done",
                block,
                name=block.call.name,
                arguments=_arguments(block),
            )
        else:
            part = self._part(block)
            if block.kind == "thoughts":
                yield self._of_part("response.reasoning_text.done", block, text=part["text"])
            else:
                yield self._of_part(
                    "response.output_text.done",
                    block,
                    text=part["text"],
                    logprobs=part["logprobs"],
                )
            yield self._of_part("response.content_part.done", block, part=part)
        yield self._event(
            "response.output_item.done", output_index=block.place, item=self._item(block)
        )

    def _of_part(self, kind: str, block: Block, **values: Any) -> bytes:
        return self._of_item(kind, block, content_index=0, **values)

    def _of_item(self, kind: str, block: Block, **values: Any) -> bytes:
        return self._event(kind, item_id=_item_id(block), output_index=block.place, **values)

    def _event(self, kind: str, **values: Any) -> bytes:
        return event({"type": kind, "sequence_number": self._next(), **values}, kind)

    def _of_response(self, kind: str, response: str) -> bytes:
        """An event of a response that is JSON already."""
        before = as_json({"type": kind, "sequence_number": self._next()})[:-1]
        return f'event: {kind}\ndata: {before},"response":{response}}}\n\n'.encode()

    def _next(self) -> int:
        self._number += 1
        return self._number - 1


def _item_id(block: Block) -> str:
    return {"text": "msg_", "thoughts": "rs_", "call": "fc_"}[block.kind] + block.id


def _arguments(block: Block) -> str:
    assert block.call is not None
    return as_json(block.call.arguments)
