"""Tokenizers of CLIP models: open_clip's own, or one of the Hugging Face hub, which needs the extra ``text``.

A tokenizer of the hub is a few files of data. They come from the folder of the weights, from their repository in their
revision where open_clip names that one, or else from the repository that it names. Code that lies beside them is never
run.
"""

import contextlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from prescreen.encoders import hub
from prescreen.encoders.clip_models import TEXT_TOWER, configuration_of
from prescreen.encoders.clip_settings import CONFIGURATION, folder_of
from prescreen.encoders.clip_tables import tag_configuration
from prescreen.encoders.specification import MemberSpecification
from prescreen.errors import EncoderError, PrescreenError, WeightsNotFound
from prescreen.text import first_line, shown

EXTRA: Final = "pip install 'portrait-prescreen[text]'"

_TOKENIZER: Final = "hf_tokenizer_name"
_NEEDING: Final = {TEXT_TOWER: "text tower", _TOKENIZER: "tokenizer"}
"""Fields of a configuration whose parts come from the package transformers."""

_OPTIONS: Final = ("additional_special_tokens", "clean", "language", "reduction_mask", "strip_sep_token")
"""Options that a folder may set; others name files, servers, or code to run."""

_VOCABULARIES: Final = ("tokenizer.json", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt")
"""A tokenizer has at least one of these, and it is fetched last: where one is, all files are."""

_FILES: Final = ("config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt")


def has_extra() -> bool:
    """Tell whether the package transformers is installed; it is not imported."""
    return importlib.util.find_spec("transformers") is not None


def check_extra(model: str, weights: str) -> None:
    """Refuse a model that needs the package transformers for texts where that is missing.

    Parameters
    ----------
    model : str
        Name of the model.
    weights : str
        As in a specification; a folder has the configuration of its model.

    Raises
    ------
    EncoderError
        Names what to install.
    """
    said: Mapping[str, Any] = {}
    if not has_extra():
        with contextlib.suppress(EncoderError):  # open_clip says more about a damaged configuration
            said = _text_configuration(model, weights)
    for key, what in _NEEDING.items():
        if said.get(key):
            raise EncoderError(f"encoder clip:{model}: its {what} needs the package transformers; run: {EXTRA}")


def load_tokenizer(member: MemberSpecification) -> Any:
    """Return what turns texts into tokens for a model.

    Raises
    ------
    WeightsNotFound
        If its files are not on this machine and cannot be fetched.
    EncoderError
        If the package transformers is missing, or the folder of the model sets options that are not for folders to set.
    """
    import open_clip

    model, folder = member.network.partition(":")[2], folder_of(member.weights)
    check_extra(model, member.weights)
    said = _text_configuration(model, member.weights)
    options = said.get("tokenizer_kwargs") or {}
    if folder and (odd := sorted(set(options) - set(_OPTIONS))):
        raise EncoderError(
            f"{shown(folder / CONFIGURATION)}: tokenizer_kwargs has {', '.join(map(shown, odd))}; "
            f"prescreen passes on {', '.join(_OPTIONS)} alone: take the rest out"
        )
    try:
        if not (repository := said.get(_TOKENIZER)):
            return open_clip.get_tokenizer(f"local-dir:{folder}" if folder else model)
        if folder:
            files = _folder_files(folder, repository)
        else:
            files = _repository_files(repository, _revision(member, repository))
        return open_clip.tokenizer.HFTokenizer(
            str(files),
            context_length=said.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH),
            tokenizer_mode=said.get("tokenizer_mode"),
            trust_remote_code=False,  # without it one is asked on the terminal
            **options,
        )
    except PrescreenError:
        raise
    except Exception as error:  # tokenizers of other libraries raise whatever they like
        message = f"encoder clip:{model}: its tokenizer is not available: {first_line(error)[:160]}"
        raise WeightsNotFound(message) from error


def _text_configuration(model: str, weights: str) -> Mapping[str, Any]:
    try:
        return dict(configuration_of(model, weights).get("text_cfg", {}))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise EncoderError(
            f"encoder clip:{model}: its configuration cannot be read ({type(error).__name__})"
        ) from error


def _folder_files(folder: Path, repository: str) -> Path:
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise WeightsNotFound(
            f"{shown(str(folder))}: has no tokenizer; put the files of {shown(repository)} there: {_VOCABULARIES[0]}, "
            "tokenizer_config.json"
        )
    return folder


def _revision(member: MemberSpecification, repository: str) -> str:
    """Return the revision of the weights if they come from the same repository, else nothing: the latest."""
    kind, _, place = member.weights.partition(":")
    tag, _, revision = place.partition("@")
    named = tag_configuration(member.network.partition(":")[2], tag) if kind == "hub" else {}
    return revision if hub.place_of(named)[0] == repository else ""


def _repository_files(repository: str, revision: str) -> Path:
    """Return the folder with the files of a tokenizer in the hub's cache, fetched if needed."""
    if found := hub.cached(repository, _VOCABULARIES, revision):
        return found.parent
    try:
        vocabulary = hub.find(repository, _VOCABULARIES, revision)
        for name in _FILES:
            with contextlib.suppress(hub.NotThere):
                hub.fetch(repository, (name,), vocabulary.commit)
        return hub.take(vocabulary, revision).parent
    except WeightsNotFound as error:
        raise WeightsNotFound(f"tokenizer {repository}: not on this machine, and cannot be fetched: {error}") from error
