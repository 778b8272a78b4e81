"""Published models in MLflow's registry: versions, a candidate, and the champion of each study.

A version holds a copy of the bundle and of the test predictions by which it is compared; a later
run of the study replaces neither.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from batteryscope.core.safe_text import first_line, guard_table
from batteryscope.errors import InputError
from batteryscope.evaluation.versions import TESTED_COLUMNS, VersionComparison, compare_versions
from batteryscope.tracking.model import log_bundle
from batteryscope.tracking.store import find_experiment
from batteryscope.workflow.publication import SIDECAR, describe_contents

if TYPE_CHECKING:
    from mlflow import MlflowClient

CANDIDATE, CHAMPION = "candidate", "champion"
EXPERIMENT = "published_models"
DIGEST_TAG = "bundle_digest"
TESTED_FILE = "tested.csv"


@dataclass(frozen=True)
class Promotion:
    """What became of a published model: its version (0: none yet), and why, in sentences."""

    version: int
    is_champion: bool
    sentences: tuple[str, ...]


def promote_bundle(
    client: "MlflowClient",
    uri: str,
    name: str,
    bundle: Path,
    tested: pd.DataFrame | None,
    dry_run: bool = False,
) -> Promotion:
    """Register a bundle as candidate, and promote it if it is better than the champion.

    Parameters
    ----------
    client, uri
        An open client and the address of its store.
    name
        Of the registered model: that of the study.
    bundle
        Folder of the published model.
    tested
        Test predictions of its networks (:data:`TESTED_COLUMNS`); None: they are not there.
    dry_run
        Say what would happen, and change nothing.

    Raises
    ------
    InputError
        The bundle or what the champion was tested on cannot be read.
    """
    digest = read_digest(bundle)
    # People download it with the model; what it is compared with was written so, too.
    tested = None if tested is None else guard_table(tested)
    champion, own = find_alias(client, name, CHAMPION), find_digest(client, name, digest)
    told = []
    if own:
        told.append(f"This bundle is version {own} of '{name}' already.")
        tested = _keep_tested(client, name, own, tested, dry_run)
    elif dry_run:
        told.append(f"This bundle would become a new version of '{name}', with alias {CANDIDATE}.")
    else:
        own = register_bundle(client, uri, name, bundle, tested, digest)
        told.append(f"This bundle is now version {own} of '{name}'.")
    if own and not dry_run:
        client.set_registered_model_alias(name, CANDIDATE, str(own))
    if own and own == champion:
        return Promotion(own, True, (*told, f"It is the {CHAMPION}."))
    is_better, why = judge_candidate(client, name, champion, tested)
    if is_better and not dry_run:
        client.set_registered_model_alias(name, CHAMPION, str(own))
    will = ("would become" if dry_run else "is now") if is_better else "does not become"
    return Promotion(own, is_better, (*told, f"It {will} the {CHAMPION}: {why}."))


def judge_candidate(
    client: "MlflowClient", name: str, champion: int, tested: pd.DataFrame | None
) -> tuple[bool, str]:
    """Say whether a candidate is better than the champion (0: there is none), and why."""
    if not champion:
        return True, "there was none"
    theirs = read_tested(client, name, champion)
    if tested is None or theirs is None:
        whose = "the candidate" if tested is None else f"version {champion}"
        return False, f"the test predictions of {whose} are not known, so nothing was compared"
    try:
        found: VersionComparison = compare_versions(tested, theirs)
    except InputError as error:
        return False, f"it cannot be compared with version {champion}, since {error}"
    if found.is_better:
        return True, f"it is better than version {champion}: {found.describe()}"
    less = "it errs less, but" if found.gain > 0 else "it errs no less:"
    reason = "chance may explain that" if found.gain > 0 else "it was compared"
    return False, f"beside version {champion} {less} {reason}; {found.describe()}"


def register_bundle(
    client: "MlflowClient",
    uri: str,
    name: str,
    bundle: Path,
    tested: pd.DataFrame | None,
    digest: str,
) -> int:
    """Write a bundle and its test predictions into a run of their own, and register that."""
    from mlflow.exceptions import MlflowException

    experiment = find_experiment(client, uri, EXPERIMENT)
    run = client.create_run(experiment, run_name=f"{name} {digest[:8]}", tags={DIGEST_TAG: digest})
    run_id = run.info.run_id
    if tested is not None:
        client.log_text(run_id, tested.to_csv(index=False), TESTED_FILE)
    log_bundle(uri, run_id, bundle)
    outputs = client.get_run(run_id).outputs
    [output] = outputs.model_outputs if outputs else []
    model = client.get_logged_model(output.model_id)
    try:
        client.create_registered_model(name)
    except MlflowException:  # it is there already; anything else shows in the next line
        client.get_registered_model(name)
    version = client.create_model_version(
        name, model.artifact_location, run_id, tags={DIGEST_TAG: digest}, model_id=model.model_id
    )
    return int(version.version)


def find_alias(client: "MlflowClient", name: str, alias: str) -> int:
    """Return the version that an alias of a model means; 0 if there is no such model or alias.

    Raises
    ------
    InputError
        The store does not answer, so that nobody knows.
    """
    from mlflow.exceptions import MlflowException

    try:
        return int(client.get_registered_model(name).aliases.get(alias, 0))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return 0
        raise InputError(
            f"The tracking store cannot say which version of '{name}' is the {alias} "
            f"({first_line(error)}); nothing was changed. Try again when it answers."
        ) from None


def find_digest(client: "MlflowClient", name: str, digest: str) -> int:
    """Return the newest version that holds a bundle; 0 if there is none."""
    found = client.search_model_versions(f"name = '{name}'")
    return max((int(v.version) for v in found if v.tags.get(DIGEST_TAG) == digest), default=0)


def read_tested(client: "MlflowClient", name: str, version: int) -> pd.DataFrame | None:
    """Return the test predictions of a version; None if it was registered without.

    Raises
    ------
    InputError
        They cannot be read.
    """
    run_id = client.get_model_version(name, str(version)).run_id or ""
    if TESTED_FILE not in {entry.path for entry in client.list_artifacts(run_id)}:
        return None
    with tempfile.TemporaryDirectory() as held:
        path = client.download_artifacts(run_id, TESTED_FILE, held)
        try:
            texts = dict.fromkeys(TESTED_COLUMNS[:-1], str)
            return pd.read_csv(path, dtype=texts, keep_default_na=False)[TESTED_COLUMNS]
        except (ValueError, KeyError) as error:
            raise InputError(
                f"The test predictions of version {version} of '{name}' cannot be read "
                f"({first_line(error)}); give the alias {CHAMPION} to another version."
            ) from None


def _keep_tested(
    client: "MlflowClient", name: str, version: int, tested: pd.DataFrame | None, dry_run: bool
) -> pd.DataFrame | None:
    """Return the test predictions of a version; one registered without gets those given."""
    if tested is None:
        return read_tested(client, name, version)
    if not dry_run and read_tested(client, name, version) is None:
        run_id = client.get_model_version(name, str(version)).run_id or ""
        client.log_text(run_id, tested.to_csv(index=False), TESTED_FILE)
    return tested


def read_digest(bundle: Path) -> str:
    """Return the digest over all files of a published bundle.

    Raises
    ------
    InputError
        There is no bundle, or a file is not what was published.
    """
    if not (bundle / "bundle.json").is_file():
        raise InputError(
            f"{bundle}: this is no published model; run the study, fetch it (dvc pull), or name "
            "its folder with --bundle."
        )
    digest = str(describe_contents(bundle)["digest"])
    if (bundle / SIDECAR).is_file():
        stored = json.loads((bundle / SIDECAR).read_text(encoding="utf-8"))
        if stored.get("digest") != digest:
            raise InputError(
                f"{bundle}: its files are not those that were published ({SIDECAR}); publish or "
                "fetch the bundle again."
            )
    return digest
