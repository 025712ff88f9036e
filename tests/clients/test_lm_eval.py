"""`lm-eval` over the completions endpoint, beside the library's own scores."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from asked import KEY, MODEL
from conftest import PYTHON

CHOICES = [
    ("The capital of France is", [" Paris", " a banana"], 0),
    ("Two plus two is", [" green", " four"], 1),
    ("The sky is", [" blue", " keyboard"], 0),
    ("Cats like to drink", [" gravel", " milk"], 1),
]
_SCORES = """
import json, sys
import ggmlkit as gk
with gk.Llama(sys.argv[1]) as llama:
    for prompt, options in json.loads(sys.argv[2]):
        first = len(llama.tokenize(prompt))
        scores = [llama.score(prompt + each).tokens[first:] for each in options]
        print(json.dumps([sum(token.logprob for token in tokens) for tokens in scores]))
"""


@pytest.fixture(scope="module")
def tokenizer(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as a folder of Hugging Face, from which lm-eval takes the tokenizer."""
    folder = tmp_path_factory.mktemp("hf") / "model"
    command = [PYTHON, "-m", "ggmlkit", "export", str(model_file), str(folder), "--dtype", "bf16"]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Tasks of our own, as lm-eval would else download them."""
    lines = [{"prompt": p, "options": options, "answer": a} for p, options, a in CHOICES]
    data = tmp_path / "own.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    common: dict[str, Any] = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "doc_to_text": "{{prompt}}",
        "target_delimiter": "",
    }
    chosen = {
        **common, "task": "own_choice", "output_type": "multiple_choice",
        "doc_to_choice": "{{options}}", "doc_to_target": "{{answer}}",
        "metric_list": [{"metric": "acc"}],
    }  # fmt: skip
    written = {
        **common, "task": "own_text", "output_type": "generate_until",
        "doc_to_target": "{{options[answer]}}", "metric_list": [{"metric": "exact_match"}],
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8},
    }  # fmt: skip
    for task in (chosen, written):  # JSON is YAML as well
        (tmp_path / f"{task['task']}.yaml").write_text(json.dumps(task))
    return tmp_path


def test_scores_are_the_librarys_own(
    url: str, environments: Path, tokenizer: Path, tasks: Path, model_file: Path
) -> None:
    settings = {
        "model": MODEL, "base_url": f"{url}/completions", "tokenizer": tokenizer,
        "tokenizer_backend": "huggingface", "num_concurrent": 2, "max_retries": 1,
    }  # fmt: skip
    words = ",".join(f"{name}={value}" for name, value in settings.items())
    command = [
        str(environments / "lm-eval/bin/lm_eval"), "run", "--model", "local-completions",
        "--model_args", words, "--tasks", "own_choice,own_text", "--include_path", str(tasks),
        "--output_path", str(tasks / "out"), "--log_samples",
    ]  # fmt: skip
    environment = {
        **os.environ, "OPENAI_API_KEY": KEY, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tasks / "home"),
    }  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr[-3000:]
    (samples,) = tasks.glob("out/**/samples_own_choice_*.jsonl")
    found = [json.loads(line) for line in samples.read_text().splitlines()]
    got = [[float(each[0][0]) for each in one["resps"]] for one in found]
    asked = json.dumps([[prompt, options] for prompt, options, _ in CHOICES])
    own = subprocess.run(
        [PYTHON, "-c", _SCORES, str(model_file), asked], check=True, capture_output=True, text=True
    )
    wanted = [json.loads(line) for line in own.stdout.splitlines()]
    for one, other in zip(got, wanted, strict=True):
        assert one == pytest.approx(other, abs=2e-3)
    (texts,) = tasks.glob("out/**/samples_own_text_*.jsonl")
    assert len(texts.read_text().splitlines()) == len(CHOICES)
