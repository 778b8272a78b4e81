"""The report as one self-contained HTML file, and the index of all reports."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml

from batteryscope.core.run_options import describe_full_design, describe_repeat, read_options
from batteryscope.core.style import Picture
from batteryscope.errors import InputError
from batteryscope.report import (
    backbones,
    class_tables,
    input_tables,
    phrases,
    results,
    shortcuts,
    shown_same_tiles,
    sure_answers,
)
from batteryscope.report.embedded import (
    PREVIEW_WIDTH_PX,
    compress_photo,
    embed,
    find_shown_width_px,
    find_table,
    pack_files,
    reduce_colours,
    shrink,
)
from batteryscope.report.evidence import (
    OTHERS_SHOWN,
    ArmEvidence,
    Explanation,
    StudyEvidence,
)
from batteryscope.report.headline import Headline
from batteryscope.report.reliability import describe_temperature
from batteryscope.report.shown_table import MOST_ROWS, TABLE_STEPS
from batteryscope.report.sweeps import show_sweeps
from batteryscope.report.tables import LEVEL_NAMES, format_percent
from batteryscope.report.tested_images import ImageBrowser
from batteryscope.samples.choose import samples_cut_by

WORST_FIRST = ("alarm", "warning", "plain", "good")


def gather_findings(findings: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, list[str]]]:
    """Put findings of one title on one card.

    Parameters
    ----------
    findings
        Colour (one of ``WORST_FIRST``), title and text of each, in the order of the checks.

    Returns
    -------
    list of (str, str, list of str)
        Colour, title and texts of every card. A card has the colour of its worst finding, whose
        text stands first; cards of one colour keep the order of the checks.

    Examples
    --------
    >>> gather_findings([("good", "Width", "a"), ("alarm", "Leak", "b"), ("warning", "Width", "c")])
    [('alarm', 'Leak', ['b']), ('warning', 'Width', ['c', 'a'])]
    """
    cards: dict[str, list[tuple[int, str]]] = {}
    for colour, title, text in findings:
        place = WORST_FIRST.index(colour) if colour in WORST_FIRST else 1
        cards.setdefault(title, []).append((place, text))
    ordered = sorted(cards.items(), key=lambda card: min(place for place, _ in card[1]))
    return [
        (
            WORST_FIRST[min(place for place, _ in texts)],
            title,
            [text for _, text in sorted(texts, key=lambda item: item[0])],
        )
        for title, texts in ordered
    ]


_BEFORE_UNIT = re.compile(
    r"(?<=\d) (?=(?:%|±|[nµm]m\b|m?Ah/|points?\b|min\b|s\b|h\b))|(?<=±) (?=\d)"
)
_HYPHEN_AS_MINUS = re.compile(r"(?<![\w.\-/])-(?=\.?\d)")
THUMBNAIL_WIDTH_PX = 760


def render_report(
    evidence: StudyEvidence,
    headline: Headline | None,
    pictures: Mapping[str, Picture],
    tested: ImageBrowser | None = None,
) -> str:
    """Render the report of a classification study.

    Parameters
    ----------
    evidence
        What was measured; a missing piece becomes a plain line instead of its section.
    headline
        The main result, or None if there is none.
    pictures
        By name, as drawn by :func:`batteryscope.report.pictures.draw_pictures`.
    tested
        The test images, to be browsed.

    Returns
    -------
    str
        One HTML page: figures, style and scripts are inside, nothing is loaded.
    """
    plan = input_tables.plan_or_none(evidence)
    recipe = evidence.settings if plan is None else plan.main.recipe
    split, preprocess = evidence.split, recipe.preprocess
    rejects, rejected_files = input_tables.show_rejects(evidence.rejects)
    main_chains = plan.main.chains if plan is not None else tuple(evidence.stages)
    curves = {chain: pictures.get(f"curves_{chain}") for chain in evidence.stages}
    main_curves = {chain: curves[chain] for chain in main_chains if curves.get(chain)}
    galleries = [
        (
            arm.label,
            name == evidence.main_arm,
            *_choose_explanations(arm, name == evidence.main_arm),
        )
        for name, arm in sorted(
            evidence.arms.items(), key=lambda item: (item[0] != evidence.main_arm, item[0])
        )
        if arm.explanations
    ][: OTHERS_SHOWN + 1]
    main = evidence.arms.get(evidence.main_arm)
    context: dict[str, Any] = {
        "evidence": evidence,
        "settings": evidence.settings,
        "headline": headline,
        "pictures": pictures,
        "tested": tested,
        "unit": (unit := LEVEL_NAMES[headline.level] if headline else "image"),
        "samples": phrases.name_samples(preprocess),
        "sample": samples_cut_by(preprocess).noun,
        "main_label": evidence.label_of(evidence.main_arm),
        "findings": [
            (
                phrases.grade_finding(f),
                phrases.title_finding(str(f.get("kind", ""))),
                f.get("text", ""),
            )
            for f in evidence.findings or ()
        ],
        "shortcuts": shortcuts.show_shortcuts(evidence),
        "shortcut_texts": shortcuts.TEXTS,
        "shortcut_figures": [name for name in pictures if name == "shortcuts"],
        "sets": sure_answers.show_sets(evidence),
        "sets_text": sure_answers.tell_sets(evidence),
        "risk": sure_answers.show_risk(evidence),
        "risk_text": sure_answers.tell_risk(evidence),
        "comparison": results.show_comparison(evidence),
        "paper": results.show_paper(evidence),
        "classes": class_tables.show_classes(evidence, headline),
        "paper_accuracy": class_tables.check_paper_accuracy(
            evidence.settings.evaluate.paper_classes, evidence.settings.evaluate.paper_accuracy
        ),
        "backbones": backbones.show_backbones(evidence, plan, headline),
        "preference": (preference := shown_same_tiles.show_preference(evidence)),
        "preference_text": shown_same_tiles.describe_preference(
            preference, evidence.settings.dataset.masks_show
        ),
        "paired": results.show_pairs(evidence),
        "galleries": galleries,
        "main_curves": main_curves,
        "other_curves": [
            (input_tables.name_stage(evidence, plan, chain), picture)
            for chain, picture in curves.items()
            if picture and chain not in main_curves
        ],
        "undrawn": sum(map(bool, evidence.stages.values())) - sum(map(bool, curves.values())),
        "undrawn_maps": sum(bool(arm.explanations) for arm in evidence.arms.values())
        - len(galleries),
        "without_maps": [
            arm.label
            for name, arm in evidence.arms.items()
            if name in evidence.settings.arms and not arm.explanations
        ],
        "calibration_text": describe_temperature(main.calibration if main else {}),
        "data": input_tables.show_data(evidence),
        "rejects": rejects,
        "rejected_files": rejected_files,
        "file_notes": input_tables.show_notes(evidence.rejects),
        "tiles": input_tables.show_tiles(evidence.tile_index, phrases.name_samples(preprocess)),
        "tile_rejects": input_tables.show_tile_rejects(evidence.tile_rejects),
        "tiles_text": phrases.describe_tiles(preprocess) + phrases.describe_flips(recipe.model),
        "vote_text": phrases.describe_vote(unit, preprocess),
        "resolution_of": lambda shape: phrases.describe_map_shape(shape, preprocess),
        "baselines_text": phrases.describe_baselines(
            () if evidence.comparison is None else evidence.comparison["arm"].unique(),
            phrases.name_samples(preprocess),
        ),
        "polar": [e for e in main.explanations if e.shows == "polar"] if main else [],
        "measures": results.show_measures(evidence, headline),
        "windings": input_tables.show_windings(evidence.cells),
        "preview_text": phrases.describe_preview(preprocess),
        "preview": shrink(evidence.preview_png, PREVIEW_WIDTH_PX),
        "key_table": "comparison.csv",
        "split": input_tables.show_split(
            split, phrases.name_samples(preprocess), _find_domains(evidence)
        ),
        "split_text": phrases.describe_split(recipe.split, phrases.name_samples(preprocess)),
        "group_text": (
            ""
            if split is None
            else phrases.describe_group(
                recipe.split,
                split["group_id"].nunique(),
                split["sample_id"].nunique(),
                preprocess,
            )
        ),
        "audit_checks": input_tables.show_audit(evidence.audit, phrases.name_samples(preprocess)),
        "audit_warnings": [
            str(warning)
            for warning in evidence.audit.get("warnings", ())
            if all(str(warning) != finding.get("text") for finding in evidence.findings or ())
        ],
        "external": results.show_external(evidence.external),
        "survey": results.show_survey(evidence.survey),
        "sweeps": show_sweeps(evidence.sweeps),
        "sweep_names": [name for name in pictures if name.startswith("sweep_")],
        "cost": input_tables.show_cost(evidence, plan),
        "shared_stages": input_tables.describe_shared_stages(evidence, plan),
        "balance_text": phrases.describe_balance(
            stage.settings.balance for stage in (plan.stages.values() if plan else ())
        ),
        "seeds": input_tables.show_seeds(evidence, plan),
        "settings_yaml": yaml.safe_dump(
            evidence.settings.model_dump(mode="json", exclude={"demo"}),
            sort_keys=False,
            allow_unicode=True,
            width=96,
        ),
    }
    return make_environment().get_template("study.html.j2").render(context)


def _find_domains(evidence: StudyEvidence) -> "pd.Series[str] | None":
    manifest = evidence.manifest
    if manifest is None or "domain" not in manifest:
        return None
    return manifest.set_index("sample_id")["domain"].fillna("").astype(str)


def render_index(reports_dir: Path) -> str:
    """Render the page that links every report in a folder.

    Parameters
    ----------
    reports_dir
        Holds one folder per study with ``summary.json``, ``report.html`` and the key figure.

    Returns
    -------
    str
        A self-contained page, to be written as ``index.html`` into the same folder.

    Raises
    ------
    InputError
        If a ``summary.json`` cannot be read.
    """
    studies = []
    for path in sorted(reports_dir.glob("*/summary.json")):
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
            entry = {"folder": path.parent.name, **summary}
            figure = path.parent / (summary.get("figure") or "")
            studies.append(entry | {"title": summary["title"], "headline": summary["headline"]})
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: not the summary of a report ({error}); publish this study anew."
            ) from None
        png = figure.read_bytes() if figure.is_file() else None
        studies[-1]["picture"] = embed(reduce_colours(shrink(png, THUMBNAIL_WIDTH_PX)))
    return make_environment().get_template("index.html.j2").render(studies=studies)


def make_environment() -> jinja2.Environment:
    """Return what renders all pages: strict templates, and filters for pictures and numbers."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_typeset,
    )
    environment.globals["run_options"] = read_options()
    environment.globals["describe_repeat"] = describe_repeat
    environment.globals["describe_full_design"] = describe_full_design
    environment.globals["table_steps"] = TABLE_STEPS
    environment.globals["most_rows"] = MOST_ROWS
    environment.globals["find_table"] = find_table
    environment.globals["pack_files"] = pack_files
    environment.filters["gather"] = gather_findings
    environment.filters["embed"] = embed
    environment.filters["few_colours"] = reduce_colours
    environment.filters["photo"] = compress_photo
    environment.filters["width_px"] = find_shown_width_px
    environment.filters["percent"] = format_percent
    environment.filters["class_name"] = lambda name: str(name).replace("_", " ")
    return environment


def _typeset(value: Any) -> Any:
    """Write numbers below 0 with a minus sign, and units on the line of their number.

    Settings and commands (several lines) stay.
    """
    if type(value) is not str or "\n" in value:
        return value
    return _BEFORE_UNIT.sub("\u00a0", _HYPHEN_AS_MINUS.sub("−", value))


def _choose_explanations(
    arm: ArmEvidence, everything: bool
) -> tuple[list[Explanation], list[Explanation]]:
    """Divide overlays into those of the classes and those of mistakes, each in a fixed order.

    Without ``everything`` one overlay per class is enough, so that the page of a study
    with many arms stays small.
    """
    by_class = sorted(
        (e for e in arm.explanations if e.shows == "class"), key=lambda e: (e.class_name, e.file)
    )
    mistakes = sorted(
        (e for e in arm.explanations if e.shows not in ("class", "polar")),
        key=lambda e: (-(e.confidence or 0.0), e.file),
    )
    if everything:
        return by_class, mistakes
    return list({e.class_name: e for e in reversed(by_class)}.values())[::-1], []
