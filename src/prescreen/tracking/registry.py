"""The registry: versions of the model, the aliases champion and challenger, and predictors fetched from it."""

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from prescreen.errors import PredictorError, StoreError, UsageError
from prescreen.storage.bounded_files import MAX_NOTE_BYTES, read_bounded
from prescreen.text import masked, names_from_text
from prescreen.tracking.standalone import LOADER
from prescreen.tracking.store import first_line, is_missing, opened_store, retried

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

REGISTERED_NAME: Final = "prescreen"
CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
_COMPARED_ON: Final = "compared_on"
"""Tag of a version: the metric that decided over the aliases when it was registered."""
_DESCRIPTION: Final = (
    "Predicts how a crowd would rate portraits. `champion` is the version to use; `challenger` is the other one of "
    "the last comparison: the version that it beat, or that did not beat it."
)


@dataclass(frozen=True)
class ModelVersion:
    """A version of the registered model, with parameters, tags and metrics of the run that made it.

    Parameters
    ----------
    version : str
        Its number.
    aliases : tuple of str
        Its aliases, sorted.
    run_name : str
        Name of the run.
    created : int
        Milliseconds since 1970.
    parameters, tags : mapping of str to str
    metrics : mapping of str to float
    """

    version: str
    aliases: tuple[str, ...]
    run_name: str
    created: int
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def simulated(self) -> bool:
        """Whether it learned from simulated votes."""
        return self.tags.get("prescreen.simulated", "").lower() == "true"

    @property
    def traits(self) -> tuple[str, ...]:
        """Traits that it predicts, sorted; older runs have them among their parameters."""
        return tuple(sorted(names_from_text(self.tags.get("prescreen.traits", self.parameters.get("traits", "")))))

    @property
    def data(self) -> str:
        """SHA-256 of the ratings that it was trained and measured on."""
        return self.tags.get("prescreen.data_sha256", "")


@dataclass(frozen=True)
class PromotionDecision:
    """Whether one version should replace another.

    Parameters
    ----------
    better : bool
        Whether it should.
    comparable : bool
        Whether the metric means the same for both: the same traits, and votes of the same kind.
    reason : str
        Why, in words.
    """

    better: bool
    comparable: bool
    reason: str


def judge(new: ModelVersion, old: ModelVersion, metric: str) -> PromotionDecision:
    """Decide whether one version should replace another.

    Real votes win over simulated ones, however the metrics compare. A version of other traits never wins. Otherwise the
    larger metric wins.
    """
    value, before = new.metrics.get(metric), old.metrics.get(metric)
    compared = f"{metric} {_number(value)} against {_number(before)} of version {old.version}"
    if new.simulated and not old.simulated:
        reason = f"{compared}, which learned from real votes; this one learned from simulated votes"
        return PromotionDecision(False, False, reason)
    if old.simulated and not new.simulated:
        reason = f"{compared}, which learned from simulated votes; this one learned from real votes"
        return PromotionDecision(True, False, reason)
    if new.traits != old.traits:
        return PromotionDecision(False, False, f"{compared}, which predicts other traits and cannot be compared")
    better = value is not None and (before is None or value > before)
    reason = compared if new.data == old.data else f"{compared}, measured on other ratings"
    return PromotionDecision(better, True, reason)


def list_versions() -> list[ModelVersion]:
    """Return all versions, the newest first.

    Raises
    ------
    StoreError
        If there is no store.
    """
    with opened_store(wanted=f"models:/{REGISTERED_NAME}") as client:
        found = client.search_model_versions(f"name='{REGISTERED_NAME}'")
        versions = [_version(client, str(version.version)) for version in found]
    return sorted(versions, key=lambda version: int(version.version), reverse=True)


def find_version(which: str) -> ModelVersion:
    """Return a version by its number or by an alias.

    Raises
    ------
    StoreError
        If there is no store, or it has no such version.
    """
    with opened_store(wanted=f"models:/{REGISTERED_NAME}/{which}") as client:
        from mlflow.exceptions import MlflowException

        try:
            if which.isdecimal():
                return _version(client, which)
            return _version(client, str(client.get_model_version_by_alias(REGISTERED_NAME, which).version))
        except MlflowException as error:
            raise StoreError(
                f"{which}: no such version or alias of the model {REGISTERED_NAME} in {masked(client.tracking_uri)}; "
                "prescreen models list shows them"
            ) from error


def promote(which: str, *, force: bool = False) -> tuple[ModelVersion, str]:
    """Make a version the champion if it is better than the current one, which becomes the challenger.

    Parameters
    ----------
    which : str
        Number or alias.
    force : bool
        Whether to promote a version that is not better, too.

    Returns
    -------
    (ModelVersion, str)
        The version with its new aliases, and the comparison in words.

    Raises
    ------
    StoreError
        If there is no such version.
    UsageError
        If it is not better, and `force` is not given.
    """
    new = find_version(which)
    with opened_store() as client:
        old = _champion(client)
        if old is not None and old.version == new.version:
            return new, f"version {new.version} is the champion already"
        decision = PromotionDecision(True, False, "the first champion")
        if old is not None:
            metric = client.get_model_version(REGISTERED_NAME, new.version).tags.get(_COMPARED_ON, "mean/pearson")
            decision = judge(new, old, metric)
            if not decision.better and not force:
                raise UsageError(f"version {new.version} is not better: {decision.reason}; --force promotes it anyway")
        _move(client, new, old)
        return _version(client, new.version), decision.reason


def enter(
    client: "MlflowClient", run_id: str, model: Any, metric: str, description: str, finish: Callable[[], object]
) -> tuple[str, bool, str]:
    """Register a logged model, update the aliases, and finish; all of it or nothing.

    Parameters
    ----------
    client : MlflowClient
    run_id : str
        The run that logged the model.
    model : mlflow.models.model.ModelInfo
        What was logged.
    metric : str
        Decides over the aliases.
    description : str
        Of the version, in Markdown.
    finish : callable
        The last step of the training. If it fails, the registry is as it was before.

    Returns
    -------
    (str, bool, str)
        Number of the version, whether it is the champion, and the comparison in words.
    """
    before, version = _aliases(client), None
    try:
        version = register(client, run_id, model, description)
        champion, comparison = update_aliases(client, version, metric)
        finish()
    except BaseException:
        _undo(client, version, before)
        raise
    return version, champion, comparison


def _aliases(client: "MlflowClient") -> dict[str, str] | None:
    """Return the version of each alias; None without a registered model."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_registered_model(REGISTERED_NAME).aliases
    except MlflowException as error:
        if not is_missing(error):
            raise
        return None
    return {str(alias): str(version) for alias, version in found.items()}


def _undo(client: "MlflowClient", version: str | None, before: Mapping[str, str] | None) -> None:
    """Remove a version from the registry again, as far as the store allows it; what others did meanwhile stays."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    with contextlib.suppress(MlflowException, SQLAlchemyError):
        if version is not None:
            _restore_aliases(client, version, before or {})
            client.delete_model_version(REGISTERED_NAME, version)
        if before is None and not client.search_model_versions(f"name='{REGISTERED_NAME}'"):
            client.delete_registered_model(REGISTERED_NAME)


def _restore_aliases(client: "MlflowClient", version: str, before: Mapping[str, str]) -> None:
    """Undo what `update_aliases` did for a version."""
    now = _aliases(client) or {}
    beaten = before.get(CHAMPION) if now.get(CHAMPION) == version else None
    for alias in (CHAMPION, CHALLENGER):
        if alias not in now or now[alias] not in (version, beaten):
            continue
        if alias in before:
            client.set_registered_model_alias(REGISTERED_NAME, alias, before[alias])
        else:
            client.delete_registered_model_alias(REGISTERED_NAME, alias)


def register(client: "MlflowClient", run_id: str, model: Any, description: str) -> str:
    """Make the logged model a version of the registered model (`mlflow.register_model` would print)."""
    from mlflow.exceptions import MlflowException

    def create() -> str:
        with contextlib.suppress(MlflowException):  # it exists already, or the next step tells what is wrong
            client.create_registered_model(REGISTERED_NAME, description=_DESCRIPTION)
        made = client.create_model_version(
            REGISTERED_NAME, model.model_uri, run_id, description=description or None, model_id=model.model_id
        )
        return str(made.version)

    return retried(create)  # another first training may have failed in between, and removed the model


def update_aliases(client: "MlflowClient", version: str, metric: str) -> tuple[bool, str]:
    """Update the aliases for a new version.

    It becomes champion if it is the first or better than the champion, which becomes the challenger. Otherwise it
    becomes the challenger itself if the two can be compared.

    Returns
    -------
    (bool, str)
        Whether it is the champion, and the comparison in words.
    """
    new, old = _version(client, version), _champion(client)
    # Short, because the registry's table shows little of a tag, and in this order.
    shown = {"r": _number(new.metrics.get(metric)), "votes": "simulated" if new.simulated else "real"}
    for key, value in ({_COMPARED_ON: metric} | shown).items():
        client.set_model_version_tag(REGISTERED_NAME, version, key, value)
    if old is None:
        _move(client, new, None)
        return True, f"{metric} {_number(new.metrics.get(metric))}, the first champion"
    decision = judge(new, old, metric)
    if decision.better:
        _move(client, new, old)
    elif decision.comparable:
        client.set_registered_model_alias(REGISTERED_NAME, CHALLENGER, version)
    return decision.better, decision.reason


@contextlib.contextmanager
def fetch_predictor(uri: str) -> Iterator[Path]:
    """Yield the directory of a predictor in the store. The code that its model carries is neither fetched nor run.

    A model counts as one of prescreen's if it names prescreen's loader and holds one predictor. That keeps models of
    other programs out; it is no signature, because whoever can write into the store can write both. So the directory
    must be read as data alone, as `prescreen.predictor.predictor.Predictor.load` does.

    Parameters
    ----------
    uri : str
        For instance ``models:/prescreen@champion`` or ``runs:/RUN_ID/predictor``.

    Yields
    ------
    Path
        In the store where that is on this machine; otherwise a copy that is deleted when the block ends.

    Raises
    ------
    StoreError
        If there is no store, or it has no such model.
    PredictorError
        If the model is not a predictor of prescreen.
    """
    with tempfile.TemporaryDirectory(prefix="prescreen-", ignore_cleanup_errors=True) as folder:
        with opened_store(wanted=uri) as client:
            import mlflow
            from mlflow.exceptions import MlflowException

            try:
                place = _location(client, uri.rstrip("/"))
                copy = None if urlsplit(place).scheme in ("", "file") else folder
                description = mlflow.artifacts.download_artifacts(artifact_uri=f"{place}/MLmodel", dst_path=copy)
                own = _loader(Path(description)) == LOADER
                data = mlflow.artifacts.download_artifacts(artifact_uri=f"{place}/data", dst_path=copy) if own else ""
            except (MlflowException, OSError) as error:
                raise _no_such_model(uri, client, error) from error
        found = sorted(Path(data).glob("*/manifest.json")) if own else []
        if len(found) != 1:
            raise PredictorError(
                f"{uri}: a model, but not one that prescreen logged; prescreen models list shows those"
            )
        yield found[0].parent


def _location(client: "MlflowClient", uri: str) -> str:
    """Return the address of a model's files; MLflow itself would copy those of a run and never delete the copy."""
    from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

    if of_run := re.fullmatch(r"runs:/([^/]+)/([^/]+)", uri):
        run = client.get_run(of_run[1])
        for made in run.outputs.model_outputs if run.outputs else ():
            model = client.get_logged_model(made.model_id)
            if model.name == of_run[2]:
                return str(model.artifact_location)
        return f"{run.info.artifact_uri}/{of_run[2]}"
    while uri.startswith("models:"):
        uri = str(ModelsArtifactRepository.get_underlying_uri(uri))
    return uri


def _loader(description: Path) -> str | None:
    """Return the module that an ``MLmodel`` file names as the loader; nothing is imported."""
    import yaml

    try:
        flavors = yaml.safe_load(read_bounded(description, MAX_NOTE_BYTES))["flavors"]
        loader = flavors["python_function"]["loader_module"]
    except (yaml.YAMLError, OSError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    return loader if isinstance(loader, str) else None


def resolve_uri(uri: str) -> str:
    """Return a model URI that always means the same predictor.

    Parameters
    ----------
    uri : str
        An alias, ``models:/NAME@ALIAS``, becomes ``models:/NAME/VERSION``; other URIs stay as they are.

    Raises
    ------
    StoreError
        If there is no store, or it has no such model or alias.
    """
    alias = re.fullmatch(r"models:/([^/@]+)@([^/@]+)", uri)
    if alias is None:
        return uri
    with opened_store(wanted=uri) as client:
        from mlflow.exceptions import MlflowException

        try:
            version = client.get_model_version_by_alias(alias[1], alias[2]).version
        except MlflowException as error:
            raise _no_such_model(uri, client, error) from error
    return f"models:/{alias[1]}/{version}"


def _no_such_model(uri: str, client: "MlflowClient", error: Exception) -> StoreError:
    return StoreError(f"{uri}: no such model in {masked(client.tracking_uri)} ({first_line(error)})")


def _move(client: "MlflowClient", new: ModelVersion, old: ModelVersion | None) -> None:
    """Make one version champion and the one that it replaces challenger."""
    client.set_registered_model_alias(REGISTERED_NAME, CHAMPION, new.version)
    if old is not None:
        client.set_registered_model_alias(REGISTERED_NAME, CHALLENGER, old.version)
    elif CHALLENGER in new.aliases:
        client.delete_registered_model_alias(REGISTERED_NAME, CHALLENGER)


def _champion(client: "MlflowClient") -> ModelVersion | None:
    """Return the champion; None if there is none, or its run was deleted."""
    from mlflow.exceptions import MlflowException

    try:
        return _version(client, str(client.get_model_version_by_alias(REGISTERED_NAME, CHAMPION).version))
    except MlflowException as error:
        if not is_missing(error):
            raise
        return None


def _version(client: "MlflowClient", version: str) -> ModelVersion:
    found = client.get_model_version(REGISTERED_NAME, version)
    run = client.get_run(str(found.run_id))
    return ModelVersion(
        version=str(found.version),
        aliases=tuple(sorted(found.aliases)),
        run_name=str(run.info.run_name),
        created=int(found.creation_timestamp),
        parameters=run.data.params,
        tags=run.data.tags,
        metrics=run.data.metrics,
    )


def _number(value: float | None) -> str:
    return "no value" if value is None else f"{value:.3f}"
