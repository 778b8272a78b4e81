# Predictions of every arm and of the baselines, and their comparison.


rule evaluate_arm:
    input:
        manifest=WORK.data.manifest,
        split=lambda w: layout_of(w).split(plan_of(w).every_arm[w.arm].split).roles,
        fits=arm_parts,
        code=code_of("evaluate_arm"),
    output:
        predictions=WORK.evaluated("{arm}").predictions,
        calibration=WORK.evaluated("{arm}").calibration,
        cost=WORK.evaluated("{arm}").cost,
    log:
        WORK.log("evaluate_arm_{arm}"),
    benchmark:
        WORK.benchmark("evaluate_arm_{arm}")
    conda:
        "../environment.yml"
    resources:
        mem_mb=1000,
    params:
        where=lambda w: json.dumps(plan_of(w).every_arm[w.arm].recipe.split.test_where),
    message:
        "{wildcards.study}: evaluate {wildcards.arm}"
    shell:
        "python workflow_scripts/evaluate_arm.py --arm {wildcards.arm:q} "
        "--manifest {input.manifest:q} --split {input.split:q} --where {params.where:q} "
        "--fits {input.fits:q} --predictions {output.predictions:q} "
        "--calibration {output.calibration:q} --cost {output.cost:q} --log {log:q}"


rule evaluate_grey_levels:
    input:
        manifest=WORK.data.manifest,
        split=lambda w: layout_of(w).split(plan_of(w).arms[w.arm].split).roles,
        tiles=lambda w: layout_of(w).tiles(plan_of(w).arms[w.arm].tiles),
        fits=arm_parts,
        code=code_of("evaluate_grey_levels"),
    output:
        predictions=WORK.evaluated("{arm}").mismatched_predictions,
    log:
        WORK.log("evaluate_grey_levels_{arm}"),
    benchmark:
        WORK.benchmark("evaluate_grey_levels_{arm}")
    conda:
        "../environment.yml"
    threads: 2
    resources:
        mem_mb=4000,
        gpu=1,
    params:
        where=lambda w: json.dumps(plan_of(w).arms[w.arm].recipe.split.test_where),
        treatments=lambda w: json.dumps(
            {m.name: m.tested for m in list_mismatches(plan_of(w)) if m.arm == w.arm}
        ),
        accelerator=lambda w: plan_of(w).arms[w.arm].recipe.train.accelerator,
    message:
        "{wildcards.study}: test {wildcards.arm} with other grey levels than in training"
    shell:
        "python workflow_scripts/evaluate_grey_levels.py --manifest {input.manifest:q} "
        "--split {input.split:q} --where {params.where:q} --tiles {input.tiles:q} "
        "--fits {input.fits:q} --treatments {params.treatments:q} "
        "--accelerator {params.accelerator:q} --predictions {output.predictions:q} --log {log:q}"


rule evaluate_baselines:
    input:
        manifest=WORK.data.manifest,
        frames=WORK.data.frames,
        split=WORK.split("{split}").roles,
        tiles=measured_tiles,
        code=code_of("evaluate_baselines"),
    output:
        predictions=WORK.baselines("{split}"),
    log:
        WORK.log("evaluate_baselines_{split}"),
    benchmark:
        WORK.benchmark("evaluate_baselines_{split}")
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        settings=lambda w: settings_file(
            w.study,
            "baselines",
            {"baselines": PROJECT.studies[w.study].evaluate.baselines},
        ),
        seed=lambda w: plan_of(w).splits[w.split].seed,
        where=lambda w: json.dumps(plan_of(w).splits[w.split].test_where),
        tiles=lambda w, input: ["--tiles", input.tiles] if input.tiles else [],
    message:
        "{wildcards.study}: fit and evaluate the baselines"
    shell:
        "python workflow_scripts/evaluate_baselines.py --manifest {input.manifest:q} "
        "--frames {input.frames:q} --split {input.split:q} --settings {params.settings:q} "
        "--where {params.where:q} --seed {params.seed:q} {params.tiles:q} "
        "--out {output.predictions:q} --log {log:q}"


rule compare_arms:
    input:
        manifest=WORK.data.manifest,
        images=generated_images,
        audit=lambda w: layout_of(w).main_split.audit,
        split=lambda w: layout_of(w).main_split.roles,
        arms=lambda w: [a.predictions for a in layout_of(w).list_arms().values()],
        splits=arm_splits,
        baselines=lambda w: layout_of(w).baselines(plan_of(w).main.split),
        # Only where evaluate.grey_levels_at_test asks for it.
        mismatched=mismatched_predictions,
        survey=lambda w: PROJECT.studies[w.study].evaluate.survey or [],
        code=code_of("compare_arms"),
    output:
        comparison=directory(WORK.comparison),
    log:
        WORK.log("compare_arms"),
    benchmark:
        WORK.benchmark("compare_arms")
    wildcard_constraints:
        study=CLASS_STUDIES,
    priority: 5  # report and bundle wait for this
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
    params:
        arms=lambda w: named(
            (name, arm.predictions) for name, arm in layout_of(w).list_arms().items()
        ),
        settings=lambda w: settings_file(
            w.study,
            "comparison",
            PROJECT.studies[w.study].evaluate.model_dump(
                mode="json",
                include=(
                    {"paper", "survey_format"}
                    if PROJECT.studies[w.study].evaluate.survey
                    else {"paper"}
                ),
            ),
        ),
        main_arm=lambda w: plan_of(w).main.name,
        backbones=lambda w: json.dumps(
            {a.name: a.recipe.model.backbone for a in plan_of(w).arms.values()}
        ),
        # Arms of another division were tested on other samples.
        pairs=lambda w: [
            a
            for a in PROJECT.studies[w.study].arms
            if plan_of(w).arms[a].split == plan_of(w).main.split
        ],
        splits=lambda w: named(
            (name, split.roles) for name, split in layout_of(w).list_splits().items()
        ),
        labels=lambda w: json.dumps(
            {a.name: a.label for a in plan_of(w).arms.values()}, ensure_ascii=False
        ),
        where=lambda w: json.dumps(plan_of(w).main.recipe.split.test_where),
        label_columns=lambda w: PROJECT.studies[w.study].dataset.labels.columns,
        dataset=lambda w: dataset_folder(w.study),
        mismatched=mismatched_option,
        covariates=covariates_option,
        survey=lambda w, input: ["--survey", input.survey] if input.survey else [],
    message:
        "{wildcards.study}: compare arms, baselines and the paper"
    shell:
        "python workflow_scripts/compare_arms.py --manifest {input.manifest:q} "
        "--audit {input.audit:q} --split {input.split:q} --splits {params.splits:q} "
        "--labels {params.labels:q} --arms {params.arms:q} --baselines {input.baselines:q} "
        "--settings {params.settings:q} --main-arm {params.main_arm:q} "
        "--backbones {params.backbones:q} --pairs {params.pairs:q} --where {params.where:q} --label-columns {params.label_columns:q} "
        "--dataset {params.dataset:q} {params.mismatched:q} {params.covariates:q} {params.survey:q} --out-dir {output.comparison:q} --log {log:q}"


rule evaluate_external:
    input:
        bundle=WORK.bundle,
        manifest=WORK.dataset("external").manifest,
        images=lambda w: (
            []
            if PROJECT.studies[w.study].evaluate.external.path
            else dataset_folder(w.study, "external")
        ),
        code=code_of("evaluate_external"),
    output:
        predictions=WORK.dataset("external").predictions,
        metrics=WORK.dataset("external").metrics,
        flat=WORK.dataset("external").flat_metrics,
    log:
        WORK.log("evaluate_external"),
    benchmark:
        WORK.benchmark("evaluate_external")
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        gpu=1,
    params:
        dataset=lambda w: dataset_folder(w.study, "external"),
        label_columns=lambda w: PROJECT.studies[w.study].dataset.labels.columns,
    message:
        "{wildcards.study}: apply the models to the external data set"
    shell:
        "python workflow_scripts/evaluate_external.py --bundle {input.bundle:q} "
        "--manifest {input.manifest:q} --dataset {params.dataset:q} "
        "--label-columns {params.label_columns:q} --predictions {output.predictions:q} "
        "--metrics {output.metrics:q} --flat {output.flat:q} --log {log:q}"
