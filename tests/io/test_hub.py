"""Models on the hub: only needed files are downloaded; missing ones are one-sentence errors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import checkpoints
import ggmlkit as gk
import seeds
from ggmlkit.errors import HubError
from ggmlkit.io.gguf.split import split_file
from ggmlkit.io.hub import HubPath, Repository, hub_path, is_on_hub
from hub_server import COMMIT, Hub, serving

NOISE = ("README.md", "model.onnx", "pytorch_model.bin", "tf_model.h5", "modeling_evil.py")
EVIL = "open('ran', 'w').write('code of the repository was run')"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with a checkpoint, one in shards, one with a hostile index, and gguf files."""
    root = tmp_path_factory.mktemp("hub")
    for name in ("whole", "sharded", "evil"):
        folder = root / "me" / name
        folder.mkdir(parents=True)
        checkpoints.hf_folder(folder)
        for noise in NOISE:
            (folder / noise).write_text(EVIL)
        config = checkpoints.config() | {"auto_map": {"AutoModelForCausalLM": "modeling_evil.X"}}
        (folder / "config.json").write_text(json.dumps(config))
    shard(root / "me" / "sharded")
    evil = root / "me" / "evil"
    (evil / "model.safetensors").unlink()
    weight_map = {"a": "model-1.safetensors", "b": "../whole/model.safetensors"}
    index = evil / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    for name in ("one", "several", "parts", "nothing"):
        (root / "me" / name / "sub").mkdir(parents=True)
        (root / "me" / name / "README.md").write_text("x")
    seeds.model(root / "me" / "one" / "m-q8.gguf", "q8_0")
    for name in ("a.gguf", "b.gguf", "sub/c.gguf"):
        seeds.model(root / "me" / "several" / name, "f16")
    split_file(root / "me" / "one" / "m-q8.gguf", root / "me" / "parts" / "m", max_tensors=5)
    with serving(root) as server:
        yield server


def shard(folder: Path) -> None:
    """The folder's weights in two files and an index."""
    from ggmlkit.io.foreign.safetensors import open_safetensors
    from ggmlkit.io.foreign.safetensors_writer import write_safetensors

    tensors = open_safetensors(folder / "model.safetensors").tensors
    names = list(tensors)
    files = {"model-1.safetensors": names[:4], "model-2.safetensors": names[4:]}
    for file, held in files.items():
        with (folder / file).open("w+b") as out:
            write_safetensors(out, {name: tensors[name] for name in held})
    (folder / "model.safetensors").unlink()
    weight_map = {name: file for file, held in files.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def run(
    hub: Hub, cache: Path, *words: str | Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command with this hub; if it fails, the last line of stderr is its error."""
    hub.sent.clear()
    return subprocess.run(
        [sys.executable, "-m", "ggmlkit", *map(str, words)],
        env=hub.environment(cache, **environment),
        cwd=cache,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def assert_one_sentence(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("ggmlkit: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert message in done.stderr


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("whole", {"model.safetensors"}),
        (
            "sharded",
            {"model.safetensors.index.json", "model-1.safetensors", "model-2.safetensors"},
        ),
    ],
)
def test_a_checkpoint_is_converted_from_the_needed_files(
    hub: Hub, tmp_path: Path, name: str, weights: set[str]
) -> None:
    out = tmp_path / "m.gguf"
    done = run(hub, tmp_path, "convert", f"hf:me/{name}", out, "--type", "f16")
    assert done.returncode == 0, done.stderr
    settings = {"config.json", "tokenizer.json", "tokenizer_config.json"}
    assert set(hub.sent) == settings | weights
    gk.convert(hub.root / "me" / name, tmp_path / "local.gguf", type="f16")
    assert out.read_bytes() == (tmp_path / "local.gguf").read_bytes()
    assert not (tmp_path / "ran").exists()
    # The second time, nothing is downloaded; offline, it works from the cache.
    again = run(hub, tmp_path, "convert", f"hf:me/{name}", out)
    assert (again.returncode, hub.sent) == (0, [])
    offline = run(hub, tmp_path, "convert", f"hf:me/{name}", out, HF_HUB_OFFLINE="1")
    assert offline.returncode == 0, offline.stderr


def test_a_gguf_file_is_opened_and_run(hub: Hub, tmp_path: Path) -> None:
    done = run(hub, tmp_path, "inspect", "hf:me/one@v1", "--json")
    assert done.returncode == 0, done.stderr
    assert hub.sent == ["m-q8.gguf"]
    document = json.loads(done.stdout)
    assert document["metadata"]["llama.block_count"] == 1
    assert COMMIT in document["path"]
    made = run(hub, tmp_path, "run", "-m", "hf:me/one:m-q8.gguf", "-p", "a", "-n", "2")
    assert made.returncode == 0, made.stderr
    nested = run(hub, tmp_path, "inspect", "hf:me/several:sub/c.gguf")
    assert nested.returncode == 0, nested.stderr
    assert hub.sent == ["sub/c.gguf"]


def test_all_parts_of_a_split_model_are_downloaded(hub: Hub, tmp_path: Path) -> None:
    done = run(hub, tmp_path, "inspect", "hf:me/parts", "--json")
    assert done.returncode == 0, done.stderr
    assert hub.sent == sorted(path.name for path in (hub.root / "me/parts").glob("*.gguf"))
    with gk.open(hub.root / "me/one/m-q8.gguf") as file:
        assert [t["name"] for t in json.loads(done.stdout)["tensors"]] == file.names


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hf:me/none", "hf:me/none: the hub has no such repository"),
        ("hf:me/one@v2", "hf:me/one@v2: the repository has no revision v2"),
        ("hf:me/one:x.gguf", "hf:me/one: the repository has no file x.gguf"),
        ("hf:me/several", "name one as hf:me/several:FILE (a.gguf, b.gguf, sub/c.gguf)"),
        ("hf:me/nothing", "hf:me/nothing has no gguf file"),
        ("hf:one", "is not of the form hf:OWNER/NAME[@REVISION][:FILE]"),
        ("hf:me/one:../../x.gguf", "hf:me/one: "),
    ],
)
def test_a_missing_file_is_one_sentence(
    hub: Hub, tmp_path: Path, source: str, message: str
) -> None:
    assert_one_sentence(run(hub, tmp_path, "inspect", source), message)


def test_an_index_that_names_files_outside_the_repository_is_refused(
    hub: Hub, tmp_path: Path
) -> None:
    done = run(hub, tmp_path, "convert", "hf:me/evil", tmp_path / "m.gguf")
    assert_one_sentence(done, "'../whole/model.safetensors' is not the name of a file beside it")
    assert hub.sent == ["model.safetensors.index.json"]


@pytest.mark.parametrize(
    "setting", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}]
)
def test_without_the_hub(hub: Hub, tmp_path: Path, setting: dict[str, str]) -> None:
    for source in ("hf:me/one", "hf:me/one:m-q8.gguf"):
        done = run(hub, tmp_path, "inspect", source, **setting)
        assert_one_sentence(done, "the hub cannot be reached")


def test_without_the_library(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from ggmlkit.cli.app import run\n"
        "sys.exit(run(['inspect', 'hf:me/one']))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert_one_sentence(done, "pip install ggmlkit[hub]")


def test_names_on_the_hub() -> None:
    assert hub_path("hf:a/b") == HubPath("a/b")
    assert hub_path("hf:a/b.c-1@refs/pr/1") == HubPath("a/b.c-1", "refs/pr/1")
    assert hub_path(Path("hf:a/b@v1:x/y.gguf")) == HubPath("a/b", "v1", "x/y.gguf")
    assert is_on_hub("hf:a/b")
    assert not is_on_hub("./hf:a/b")
    for text in ("hf:", "hf:a", "hf:a/b/c", "hf:/b", "hf:a/b:", "hf:a b/c"):
        with pytest.raises(HubError, match="is not of the form"):
            hub_path(text)


def test_the_only_model_of_a_repository() -> None:
    def only_model(*files: str) -> str | None:
        return Repository(HubPath("a/b"), list(files), reachable=True).only_model()

    parts = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "mmproj-m.gguf"]
    assert only_model(*parts) == "m-00001-of-00002.gguf"
    assert only_model("x.txt", "model.safetensors") == "model.safetensors"
    assert only_model("x.txt") is None
    with pytest.raises(HubError, match="several models"):
        only_model("a.gguf", "b.gguf")


def test_a_cache_that_was_emptied_is_filled_again(hub: Hub, tmp_path: Path) -> None:
    assert run(hub, tmp_path, "inspect", "hf:me/one").returncode == 0
    shutil.rmtree(tmp_path / "hub")
    assert run(hub, tmp_path, "inspect", "hf:me/one").returncode == 0
    assert hub.sent == ["m-q8.gguf"]
