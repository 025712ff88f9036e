"""`lm-eval` with a model in its own process, beside the library's scores."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conftest import PYTHON

CHOICES = [
    ("The capital of France is", ["Paris", "a banana"], 0),
    ("Two plus two is", ["green", "four"], 1),
    ("Cats like to drink", ["gravel", "milk"], 1),
]
TEXT = "Once upon a time there was a small village by the sea. " * 40
# lm-eval's environment has not ggmlkit; what that needs, and it has not, comes from the tests' own.
_COMMAND = """
import site, sys
for folder in sys.argv[1].split(":"):
    site.addsitedir(folder)
sys.argv = ["lm-eval", *sys.argv[2:]]
from ggmlkit.evaluation.lm_eval import main
main()
"""
_OWN = """
import json, sys
import ggmlkit as gk
from ggmlkit.evaluation.continuations import continuations, pair_of
with gk.Llama(sys.argv[1], context=256, sequences=4) as llama:
    for prompt, options in json.loads(sys.argv[2]):
        pairs = [pair_of(llama.tokenizer, prompt, " " + option) for option in options]
        found = continuations(llama.model, pairs)
        print(json.dumps([(each.logprob, each.is_greedy) for each in found]))
        said = llama.complete(prompt, max_tokens=8, temperature=0, stop=["\\n"])
        print(json.dumps(said.text))
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A task of each kind, of our own, as lm-eval would else download them."""
    lines = [{"prompt": p, "options": options, "answer": a} for p, options, a in CHOICES]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "text.jsonl").write_text(json.dumps({"text": TEXT}) + "\n")
    common: dict[str, Any] = {"dataset_path": "json", "test_split": "test"}
    asked = {
        **common, "doc_to_text": "{{prompt}}",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "own.jsonl")}},
    }  # fmt: skip
    chosen = {
        **asked, "task": "own_choice", "output_type": "multiple_choice",
        "doc_to_choice": "{{options}}", "doc_to_target": "{{answer}}",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    }  # fmt: skip
    written = {
        **asked, "task": "own_text", "output_type": "generate_until",
        "doc_to_target": "{{options[answer]}}", "metric_list": [{"metric": "exact_match"}],
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8},
    }  # fmt: skip
    rolled = {
        **common, "task": "own_rolling", "output_type": "loglikelihood_rolling",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "text.jsonl")}},
        "doc_to_text": "", "doc_to_target": "{{text}}",
        "metric_list": [{"metric": "word_perplexity"}],
    }  # fmt: skip
    for task in (chosen, written, rolled):  # JSON is YAML as well
        (tmp_path / f"{task['task']}.yaml").write_text(json.dumps(task))
    return tmp_path


def samples(folder: Path, task: str) -> list[dict[str, Any]]:
    (path,) = folder.glob(f"out/**/samples_{task}_*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def own_site() -> str:
    code = "import ggmlkit, pathlib, site; print(*site.getsitepackages(), sep=':')"
    return subprocess.run(
        [PYTHON, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_three_kinds_of_requests(environments: Path, tasks: Path, model_file: Path) -> None:
    command = [
        str(environments / "lm-eval/bin/python"), "-c", _COMMAND, own_site(),
        "run", "--model", "ggmlkit", "--model_args", f"model={model_file},context=256",
        "--tasks", "own_choice,own_text,own_rolling", "--include_path", str(tasks),
        "--output_path", str(tasks / "out"), "--log_samples",
    ]  # fmt: skip
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tasks / "home")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    asked = json.dumps([[prompt, options] for prompt, options, _ in CHOICES])
    own = subprocess.run(
        [PYTHON, "-c", _OWN, str(model_file), asked], check=True, capture_output=True, text=True
    )
    wanted = [json.loads(line) for line in own.stdout.splitlines()]
    chosen = samples(tasks, "own_choice")
    for found, scores in zip(chosen, wanted[::2], strict=True):
        assert [float(each[0][0]) for each in found["resps"]] == pytest.approx(
            [logprob for logprob, _ in scores], abs=2e-3
        )
        assert [each[0][1] == "True" for each in found["resps"]] == [best for _, best in scores]
    assert sum(each["acc"] for each in chosen) >= 2
    written = [each["resps"][0][0] for each in samples(tasks, "own_text")]
    assert written == wanted[1::2]
    (rolled,) = samples(tasks, "own_rolling")
    logprob = float(rolled["resps"][0][0])
    assert -4 * len(TEXT.split()) < logprob < 0
