"""`ggmlkit serve` whose model answers with what the user wrote, letter by letter.

Words of the command line come after it. A message that begins with "slow" is answered slowly.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from chat_model import TEMPLATE, chat_model
from ggmlkit.cli import main
from ggmlkit.server import generating
from ggmlkit.server.loading import ServedModel
from running_server import Dictated

_SLOW, _QUICK = 0.05, 0.001  # seconds a letter


def submitted(served: ServedModel, choice: Any, *_: object) -> Dictated:
    """The stream that answers a prompt."""
    prompt = served.tokenizer.decode(choice.prompt)
    text = prompt.rpartition("user: ")[2].removesuffix("\nassistant: ")
    stream = Dictated(served, text, _SLOW if text.startswith("slow") else _QUICK)
    stream.stats.prompt_tokens = len(choice.prompt)
    stream.stats.decode_seconds = 0.5
    return stream


if __name__ == "__main__":
    generating._submitted = submitted  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "template.jinja"
        template.write_text("{# thoughts end with </think> #}" + TEMPLATE)
        model = ["-m", f"echo={chat_model(Path(folder))}", "-c", "2048", "-t", "1"]
        words = ["--port", "0", "--chat-template-file", str(template), *sys.argv[1:]]
        sys.argv = ["ggmlkit", "serve", *model, *words]
        main()
