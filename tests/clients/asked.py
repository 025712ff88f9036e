"""What several clients ask. A small model gives no good answers, but their form is held."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

MODEL = "smollm"
KEY = "secret"
MESSAGES: Any = [{"role": "user", "content": "Why is the sky blue?"}]
PARAMETERS: Any = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": PARAMETERS,
    },
}


class Mood(BaseModel):
    """The mood of a text. More fields are forbidden, or a small model never ends."""

    model_config = ConfigDict(extra="forbid")

    mood: Literal["good", "bad"]
    is_sure: bool
