"""People against the model, on the same pictures."""

import logging
from pathlib import Path, PurePosixPath

import pandas as pd

from batteryscope.config.table_format import TableFormat
from batteryscope.core.finding import Finding
from batteryscope.core.plural import count_of
from batteryscope.errors import InputError
from batteryscope.evaluation.aggregate import pool_fits
from batteryscope.readers.table_lines import (
    is_empty,
    name_setting,
    read_table_lines,
    refuse_repeated,
)
from batteryscope.readers.table_sheets import FormulaWithoutResult

log = logging.getLogger("batteryscope")

SURVEY_COLUMNS = ["image", "expert", "answer"]
SAY_SURVEY = name_setting("evaluate.survey_format")


def read_survey(
    path: Path, dataset: Path | None = None, written: TableFormat | None = None
) -> pd.DataFrame:
    """Read a survey: a table with the columns ``image, expert, answer``.

    A line that cannot be used is left out, with a warning.

    Parameters
    ----------
    path
        CSV, Excel or parquet.
    dataset
        Folder of the images; where it begins a name in the column ``image``, it is cut
        off, so that paths relative to the data set remain.
    written
        How the file is written; what is not stated is found in it.

    Raises
    ------
    InputError
        If the file or a column is missing, a title stands over several, or no line can be used.
    """
    titles, lines, too_long = read_table_lines(path, written or TableFormat(), SAY_SURVEY)
    if missing := [c for c in SURVEY_COLUMNS if c not in titles]:
        raise InputError(
            f"{path}: the survey has no column '{missing[0]}'; found {', '.join(titles)}; "
            f"expected {', '.join(SURVEY_COLUMNS)}."
        )
    refuse_repeated([title for title in titles if title in SURVEY_COLUMNS], path)
    wrong = dict(too_long)
    rows = []
    for line, cells in lines:
        found = dict(zip(titles, cells, strict=False))
        row = [found.get(column) for column in SURVEY_COLUMNS]
        if any(is_empty(cell) or isinstance(cell, FormulaWithoutResult) for cell in row):
            wrong[line] = "has an empty cell; fill it or delete the line"
        else:
            rows.append([str(cell).strip() for cell in row])
    if wrong:
        line, words = min(wrong.items())
        sentence = f"{path}: line {line} {words}."
        if not rows:
            raise InputError(sentence)
        log.warning("%s %s left out of the survey.", sentence, _tell_answers(len(wrong)))
    table = pd.DataFrame(rows, columns=SURVEY_COLUMNS, dtype="str")
    table["image"] = [_relative_name(name, dataset) for name in table["image"]]
    return table


def compare_with_survey(
    survey: pd.DataFrame, images: pd.DataFrame, manifest: pd.DataFrame, arm: str
) -> pd.DataFrame:
    """Compare each expert with the model on the images that the expert judged.

    Parameters
    ----------
    survey
        ``image`` (path within the data set), ``expert``, ``answer`` (a class name).
    images
        Image-level test predictions; the model answers only for images it was not
        trained on, by soft vote where several fits tested one.
    manifest
        Manifest with ``sample_id, path, class``.
    arm
        The model's arm.

    Returns
    -------
    DataFrame
        One row per expert (sorted), then the mean, the best and ``model`` (absent if the
        model was tested on none of the images): ``who,
        kind (expert | mean | best | model), accuracy, n, n_shared, accuracy_shared,
        model_accuracy_shared``; the last three refer to the images that the model was
        tested on. ``n`` counts images.

    Raises
    ------
    InputError
        If an image is not in the manifest, an answer is no class, or an expert answers
        twice for an image.
    """
    truth = manifest.drop_duplicates("path").set_index("path")
    classes = sorted(manifest["class"].unique())
    survey = _keep_usable(survey, set(truth.index), classes)
    mine = images[images["arm"] == arm]
    verdicts = pool_fits(mine).set_index("sample_id")["y_pred"] if len(mine) else pd.Series()
    answers = survey.assign(
        y_true=survey["image"].map(truth["class"]),
        model=survey["image"].map(truth["sample_id"]).map(verdicts),
    )
    answers["right"] = answers["answer"] == answers["y_true"]
    answers["model_right"] = answers["model"] == answers["y_true"]
    rows = [
        {"who": name, "kind": "expert", **_score(part, "right")}
        for name, part in answers.groupby("expert", sort=True)
    ]
    experts = pd.DataFrame(rows)
    asked = answers.drop_duplicates("image")
    best = experts.sort_values(["accuracy", "who"], ascending=[False, True]).iloc[0].to_dict()
    best |= {"who": f"best expert ({best['who']})", "kind": "best"}
    numbers = ["accuracy", "accuracy_shared", "model_accuracy_shared"]
    mean = {"who": "mean of experts", "kind": "mean"} | {c: experts[c].mean() for c in numbers}
    mean |= {"n": len(asked), "n_shared": int(asked["model"].notna().sum())}
    summary = [mean, best]
    tested = asked[asked["model"].notna()]
    if len(tested):
        summary.append({"who": "model", "kind": "model", **_score(tested, "model_right")})
    return pd.concat([experts, pd.DataFrame(summary)], ignore_index=True)


def judge_survey(table: pd.DataFrame) -> Finding:
    """Find how experts and model compare on the same images, in a table of the survey."""
    mean, best = (table[table["kind"] == kind].iloc[0] for kind in ("mean", "best"))
    model = table[table["kind"] == "model"]
    facts = {
        "n_experts": int((table["kind"] == "expert").sum()),
        "mean": mean.to_dict(),
        "best": best.to_dict(),
        "model": None if model.empty else model.iloc[0].to_dict(),
    }
    return Finding("survey", "info", facts)


def _score(answers: pd.DataFrame, right: str) -> dict[str, float]:
    shared = answers[answers["model"].notna()]
    return {
        "accuracy": float(answers[right].mean()),
        "n": len(answers),
        "n_shared": len(shared),
        "accuracy_shared": float(shared[right].mean()) if len(shared) else float("nan"),
        "model_accuracy_shared": float(shared["model_right"].mean())
        if len(shared)
        else float("nan"),
    }


def _keep_usable(survey: pd.DataFrame, paths: set[str], classes: list[str]) -> pd.DataFrame:
    """Leave out answers that cannot be compared, with a warning; of two by one expert both."""
    if unknown := sorted(set(survey["image"]) - paths):
        sentence = (
            f"The survey names the image '{unknown[0]}', which the manifest lacks "
            f"({len(unknown)} of {survey['image'].nunique()} are unknown); "
            "give paths relative to the data set, such as "
            f"'{min(paths, default='class/image.jpg')}'."
        )
        survey = _keep(survey, survey["image"].isin(paths), sentence)
    if wrong := sorted(set(survey["answer"]) - set(classes)):
        sentence = (
            f"The survey holds the answer '{wrong[0]}', which is no class; expected one of "
            f"{', '.join(classes)}."
        )
        survey = _keep(survey, survey["answer"].isin(classes), sentence)
    twice = survey.duplicated(["image", "expert"], keep=False)
    if twice.any():
        first = survey[twice].iloc[0]
        sentence = (
            f"The survey holds two answers of '{first['expert']}' for '{first['image']}'; keep one."
        )
        survey = _keep(survey, ~twice, sentence)
    return survey


def _keep(survey: pd.DataFrame, good: "pd.Series[bool]", sentence: str) -> pd.DataFrame:
    """Return the good answers; with none of them the sentence is an error, else a warning."""
    if not good.any():
        raise InputError(sentence)
    log.warning("%s %s left out.", sentence, _tell_answers(int((~good).sum())))
    return survey[good]


def _tell_answers(number: int) -> str:
    return f"{count_of(number, 'answer')} {'is' if number == 1 else 'are'}"


def _relative_name(name: str, dataset: Path | None) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    if dataset is not None:
        for root in (dataset, dataset.resolve()):
            if path.is_relative_to(root.as_posix()):
                return path.relative_to(root.as_posix()).as_posix()
    return path.as_posix()
