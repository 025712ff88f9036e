"""Files on the Hugging Face hub, named ``hf:OWNER/NAME[@REVISION][:FILE]``.

Downloading is huggingface_hub's work (the extra ``ggmlkit[hub]``), in its cache and with its
settings: ``HF_ENDPOINT``, ``HF_HOME``, ``HF_TOKEN``, ``HF_HUB_OFFLINE``. Nothing of a repository is
ever run.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ggmlkit.errors import HubError
from ggmlkit.io.gguf.parts import part_name

_SCHEME = "hf:"
_FORM = re.compile(
    r"hf:(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^:]+))?(?::(?P<file>.+))?", re.ASCII
)
_PART = re.compile(r"(?P<prefix>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_SHOWN_FILES = 5


@dataclass(frozen=True)
class HubPath:
    """A place on the hub.

    Attributes:
        repository: ``OWNER/NAME``.
        revision: a branch, a tag or a commit; None for the main branch.
        file: a path in the repository, or None.
    """

    repository: str
    revision: str | None = None
    file: str | None = None

    @property
    def name(self) -> str:
        """The repository's name without its owner."""
        return self.repository.partition("/")[2]

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{_SCHEME}{self.repository}{revision}"


def is_on_hub(path: str | os.PathLike[str]) -> bool:
    """Whether a path names something on the hub; ``./hf:…`` is a local file."""
    return os.fspath(path).startswith(_SCHEME)


def hub_path(path: str | os.PathLike[str]) -> HubPath:
    """The place that ``hf:OWNER/NAME[@REVISION][:FILE]`` names; HubError for another form."""
    text = os.fspath(path)
    form = _FORM.fullmatch(text)
    if form is None:
        raise HubError(f"{text[:200]!r} is not of the form hf:OWNER/NAME[@REVISION][:FILE]")
    return HubPath(form["repository"], form["revision"], form["file"])


@dataclass(frozen=True)
class Repository:
    """A repository on the hub, or in the local cache.

    Attributes:
        place: its name and revision.
        files: paths of all its files; if the hub can't be reached, of those in the cache.
        reachable: whether the hub answered.
    """

    place: HubPath
    files: list[str]
    reachable: bool

    def downloaded(self, file: str) -> Path:
        """A file in the local cache, downloaded if it is not there yet; HubError if that fails."""
        place = self.place
        try:
            found = _library().hf_hub_download(
                place.repository,
                file,
                revision=place.revision,
                local_files_only=not self.reachable,  # otherwise the library would retry
            )
        except Exception as error:  # from several libraries, different in each version
            raise HubError(f"{place}: {_reason(error, place, file)}") from error
        return Path(found)

    def downloaded_parts(self, file: str) -> Path:
        """Like :meth:`downloaded`; if ``file`` is a part of a gguf model, all its parts."""
        part = _PART.fullmatch(file)
        if part:
            for number in range(int(part["count"])):
                self.downloaded(part_name(part["prefix"], number, int(part["count"])))
        return self.downloaded(file)

    def only_model(self) -> str | None:
        """The only gguf model among the files, else model.safetensors, else None.

        Raises HubError if there are several gguf models; it says how to name one.
        """
        models: dict[str, str] = {}
        for file in sorted(self.files):
            if file.endswith(".gguf") and not Path(file).name.startswith("mmproj"):
                part = _PART.fullmatch(file)
                models.setdefault(part["prefix"] if part else file, file)
        if len(models) > 1:
            shown = ", ".join(list(models.values())[:_SHOWN_FILES])
            more = ", …" if len(models) > _SHOWN_FILES else ""
            place = self.place
            raise HubError(f"{place} has several models; name one as {place}:FILE ({shown}{more})")
        if models:
            return next(iter(models.values()))
        return "model.safetensors" if "model.safetensors" in self.files else None


def repository(place: HubPath) -> Repository:
    """The repository on the hub, or in the local cache if the hub can't be reached.

    Raises HubError if neither has it.
    """
    hub = _library()
    try:
        found = hub.HfApi().model_info(place.repository, revision=place.revision)
    except Exception as error:  # from several libraries, different in each version
        cached = None if _is_answer(error) else _cached_snapshot(place)
        if cached is None:
            raise HubError(f"{place}: {_reason(error, place)}") from error
        files = [p.relative_to(cached).as_posix() for p in cached.rglob("*") if p.is_file()]
        return Repository(place, files, reachable=False)
    files = [sibling.rfilename for sibling in found.siblings or []]
    return Repository(place, files, reachable=True)


def cached_folder(repository: str) -> Path | None:
    """The folder of the main branch of ``OWNER/NAME`` in the local cache.

    None if it was not downloaded, if the name has another form, and without huggingface_hub.
    """
    try:
        place = hub_path(f"{_SCHEME}{repository}")
        return _cached_snapshot(place) if place == HubPath(repository) else None
    except (HubError, ImportError):
        return None


def model_file(path: str | os.PathLike[str]) -> Path:
    """The model file that a hub path names, downloaded; all parts if it is split.

    Without a FILE, it is the only gguf model of the repository, or else its model.safetensors.
    Raises HubError if it doesn't exist or can't be downloaded.
    """
    place = hub_path(path)
    found = repository(place)
    chosen = place.file or found.only_model()
    if chosen is None:
        raise HubError(f"{place} has no gguf file and no model.safetensors")
    return found.downloaded_parts(chosen)


def _library() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise HubError(
            f"models on the hub need huggingface_hub: pip install ggmlkit[hub] ({error})"
        ) from error
    return huggingface_hub


def _is_answer(error: Exception) -> bool:
    """Whether the error is an answer of the hub; otherwise the hub was not reached."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    return isinstance(error, (HfHubHTTPError, HFValidationError))


def _reason(error: Exception, place: HubPath, file: str | None = None) -> str:
    """What went wrong, in one sentence."""
    from huggingface_hub import errors

    if isinstance(error, (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError)):
        what = "it" if file is None else file
        return f"the hub cannot be reached, and {what} is not in the local cache"
    if isinstance(error, errors.GatedRepoError):
        return "accept its terms on the hub and set HF_TOKEN to your access token"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the hub has no such repository, or it is private and HF_TOKEN is not set"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the repository has no revision {place.revision}"
    if isinstance(error, errors.EntryNotFoundError):
        return f"the repository has no file {file}"
    if file is None and not _is_answer(error):
        return f"the hub cannot be reached, and it is not in the local cache: {_first_line(error)}"
    return _first_line(error)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _cached_snapshot(place: HubPath) -> Path | None:
    """The folder of a revision in the local cache (huggingface_hub documents its layout)."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"models--{place.repository.replace('/', '--')}"
    revision = place.revision or "main"
    try:
        commit = (folder / "refs" / revision).read_text()
    except OSError:
        commit = revision
    snapshot = folder / "snapshots" / commit.strip()
    return snapshot if snapshot.is_dir() and snapshot.parent == folder / "snapshots" else None
