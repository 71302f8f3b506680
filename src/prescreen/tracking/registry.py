"""The registry: versions of the model, and the aliases champion and challenger."""

import contextlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from prescreen.errors import StoreError, UsageError
from prescreen.evaluation.report import Evaluation
from prescreen.storage.bounded_files import MAX_NOTE_BYTES, read_bounded
from prescreen.text import masked, names_from_text
from prescreen.tracking.store import is_there, none_if_missing, opened_store, retried

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
    run_id, run_name : str
        The run, and its name.
    created : int
        Milliseconds since 1970.
    parameters, tags : mapping of str to str
    metrics : mapping of str to float
    """

    version: str
    aliases: tuple[str, ...]
    run_id: str
    run_name: str
    created: int
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def uri(self) -> str:
        """Its model URI, which stays where aliases move."""
        return f"models:/{REGISTERED_NAME}/{self.version}"

    @property
    def simulated(self) -> bool:
        """Whether it learned from simulated votes."""
        return self.tags.get("prescreen.simulated", "").lower() == "true"

    @property
    def traits(self) -> tuple[str, ...]:
        """Traits that it predicts, sorted; older runs have them among their parameters."""
        return tuple(sorted(names_from_text(self.tags.get("prescreen.traits", self.parameters.get("traits", "")))))

    @property
    def unusable(self) -> str:
        """Why it cannot be used; empty if it can, or was made before prescreen asked."""
        return self.tags.get("prescreen.unusable", "")

    @property
    def data(self) -> str:
        """SHA-256 of the ratings that it was trained and measured on."""
        return self.tags.get("prescreen.data_sha256", "")

    @property
    def raters_left_out(self) -> int:
        """How many raters' votes were left out of these ratings."""
        return int(self.tags.get("prescreen.raters_left_out", "0"))


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


def judge(new: ModelVersion, old: ModelVersion | None, metric: str) -> PromotionDecision:
    """Decide whether one version should replace another, or become the first champion.

    A version that cannot be used never wins. Real votes win over simulated ones, however the metrics compare. A version
    of other traits never wins. Otherwise a version that can be used wins over one that cannot, and then the larger
    metric.

    Examples
    --------
    >>> old = ModelVersion("1", ("champion",), "1a2b", "first", 0, {}, {}, {"mean/pearson": 0.5})
    >>> new = ModelVersion("2", (), "3c4d", "second", 0, {}, {}, {"mean/pearson": 0.6})
    >>> judge(new, old, "mean/pearson").reason
    'mean/pearson 0.600 against 0.500 of version 1'
    """
    if new.unusable:
        return PromotionDecision(False, False, new.unusable)
    value = new.metrics.get(metric)
    if old is None:
        return PromotionDecision(True, True, f"{metric} {_number(value)}, the first champion")
    before = old.metrics.get(metric)
    compared = f"{metric} {_number(value)} against {_number(before)} of version {old.version}"
    if new.simulated != old.simulated:
        its, own = ("real", "simulated") if new.simulated else ("simulated", "real")
        reason = f"{compared}, which learned from {its} votes; this one learned from {own} votes"
        return PromotionDecision(old.simulated, False, reason)
    if new.traits != old.traits:
        return PromotionDecision(False, False, f"{compared}, which predicts other traits and cannot be compared")
    if old.unusable:
        return PromotionDecision(True, False, f"{compared}, which is not usable")
    better = value is not None and (before is None or value > before)
    same = (new.data, new.raters_left_out) == (old.data, old.raters_left_out)
    return PromotionDecision(better, True, compared + ("" if same else ", measured on other ratings"))


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


def find_champion() -> ModelVersion | None:
    """Return the champion; None if there is none, or no store.

    Raises
    ------
    StoreError
        If there is a store that cannot be read.
    """
    if not is_there():
        return None
    with opened_store(wanted=f"models:/{REGISTERED_NAME}@{CHAMPION}") as client:
        return _champion(client)


def evaluation_of(version: ModelVersion) -> Evaluation | None:
    """Return the cross-validated evaluation in a version's run; None where it is gone or cannot be read."""
    with tempfile.TemporaryDirectory(prefix="prescreen-") as folder, opened_store() as client:
        from mlflow.exceptions import MlflowException

        try:
            file = client.download_artifacts(version.run_id, "evaluation.json", folder)
            return Evaluation.from_json(json.loads(read_bounded(file, MAX_NOTE_BYTES)))
        except (MlflowException, OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
            return None


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
        metric = client.get_model_version(REGISTERED_NAME, new.version).tags.get(_COMPARED_ON, "mean/pearson")
        decision = judge(new, old, metric)
        if not decision.better and not force:
            raise UsageError(f"version {new.version} is not better: {decision.reason}; --force promotes it anyway")
        _move(client, new, old)
        return _version(client, new.version), decision.reason


def enter(
    client: "MlflowClient", run_id: str, model: Any, metric: str, description: str, finish: Callable[[], object]
) -> tuple[str, bool, str]:
    """Register a logged model, update the aliases by a metric, and finish; all of it or nothing.

    Parameters
    ----------
    client : MlflowClient
    run_id : str
        The run that logged the model.
    model : mlflow.entities.LoggedModel
    metric, description : str
        The metric that decides over the aliases, and a description of the version in Markdown.
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
    _link(client, model, version)
    return version, champion, comparison


def _link(client: "MlflowClient", model: Any, version: str) -> None:
    """Name the version on the page of the logged model, as `mlflow.register_model` does."""
    from mlflow.exceptions import MlflowException

    with contextlib.suppress(MlflowException):
        versions = json.dumps([{"name": REGISTERED_NAME, "version": version}])
        client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": versions})


def _aliases(client: "MlflowClient") -> dict[str, str] | None:
    """Return the version of each alias; None without a registered model."""
    found = none_if_missing(lambda: client.get_registered_model(REGISTERED_NAME).aliases)
    return None if found is None else {str(alias): str(version) for alias, version in found.items()}


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
    """Update the aliases for a new version; return whether it is the champion, and the comparison in words.

    It becomes champion if it is the first or better than the champion, which becomes the challenger. Otherwise it
    becomes the challenger itself if the two can be compared. A version that cannot be used becomes neither.
    """
    new, old = _version(client, version), _champion(client)
    r = _number(new.metrics.get(metric))
    # Short, because the registry's table shows little of a tag, and in this order.
    for key, value in {_COMPARED_ON: metric, "r": r, "votes": "simulated" if new.simulated else "real"}.items():
        client.set_model_version_tag(REGISTERED_NAME, version, key, value)
    decision = judge(new, old, metric)
    if decision.better:
        _move(client, new, old)
    elif decision.comparable:
        client.set_registered_model_alias(REGISTERED_NAME, CHALLENGER, version)
    return decision.better, decision.reason


def _move(client: "MlflowClient", new: ModelVersion, old: ModelVersion | None) -> None:
    """Make one version champion and the one that it replaces challenger."""
    client.set_registered_model_alias(REGISTERED_NAME, CHAMPION, new.version)
    if old is not None:
        client.set_registered_model_alias(REGISTERED_NAME, CHALLENGER, old.version)
    elif CHALLENGER in new.aliases:
        client.delete_registered_model_alias(REGISTERED_NAME, CHALLENGER)


def _champion(client: "MlflowClient") -> ModelVersion | None:
    """Return the champion; None if there is none, or its run was deleted."""
    return none_if_missing(
        lambda: _version(client, str(client.get_model_version_by_alias(REGISTERED_NAME, CHAMPION).version))
    )


def _version(client: "MlflowClient", version: str) -> ModelVersion:
    found = client.get_model_version(REGISTERED_NAME, version)
    run = client.get_run(str(found.run_id))
    return ModelVersion(
        version=str(found.version),
        aliases=tuple(sorted(found.aliases)),
        run_id=str(run.info.run_id),
        run_name=str(run.info.run_name),
        created=int(found.creation_timestamp),
        parameters=run.data.params,
        tags=run.data.tags,
        metrics=run.data.metrics,
    )


def _number(value: float | None) -> str:
    return "no value" if value is None else f"{value:.3f}"
