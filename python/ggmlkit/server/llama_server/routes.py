"""All endpoints of llama-server."""

from __future__ import annotations

from ggmlkit.server.llama_server import (
    completion,
    embedding,
    infill,
    lora,
    props,
    rerank,
    slots,
    tokens,
)

ENDPOINTS = (
    *completion.ENDPOINTS,
    *infill.ENDPOINTS,
    *tokens.ENDPOINTS,
    *embedding.ENDPOINTS,
    *rerank.ENDPOINTS,
    *props.ENDPOINTS,
    *slots.ENDPOINTS,
    *lora.ENDPOINTS,
)
