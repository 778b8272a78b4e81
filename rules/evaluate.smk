# Predictions of every arm and of the baselines, and their comparison.


rule evaluate_arms:
    input:
        manifest=WORK.data.manifest,
        splits=JOBS.list_divisions,
        learnt=lambda w: layout_of(w).list_learnt(),
        program=program_of("evaluate_arms"),
        code=code_of("evaluate_arms"),
        doer=doer_code("evaluate"),
    output:
        predicted=directory(WORK.predicted),
    log:
        WORK.log("evaluate_arms"),
    benchmark:
        WORK.benchmark("evaluate_arms")
    priority: 10
    conda:
        "../environment.yml"
    resources:
        mem_mb=ask_memory("evaluate_arms", 1000),
        runtime=ask_minutes("evaluate_arms"),
    params:
        doer=lambda w: layout_of(w).modules.evaluate,
        arms=lambda w: json.dumps(layout_of(w).describe_arms()),
        out=lambda w, output: output.predicted,
    message:
        "{wildcards.study}: gather what the networks predicted"
    shell:
        "exec python {input.program:q} --by {params.doer:q} "
        "--manifest {input.manifest:q} --arms {params.arms:q} --out {params.out:q} --log {log:q}"


use rule evaluate_arms as evaluate_point with:
    input:
        manifest=WORK.data.manifest,
        split=lambda w: layout_of(w).split(plan_of(w).point_arms[w.arm].split).roles,
        fits=lambda w: layout_of(w).list_fits(w.arm),
        program=program_of("evaluate_arms"),
        code=code_of("evaluate_arms"),
        doer=doer_code("evaluate"),
    output:
        predicted=directory(WORK.sweep_predicted("{arm}").root),
    log:
        WORK.log("evaluate_point_{arm}"),
    benchmark:
        WORK.benchmark("evaluate_point_{arm}")
    params:
        arms=lambda w: json.dumps(
            layout_of(w).describe_arms([plan_of(w).point_arms[w.arm]])
        ),
        out=lambda w, output: Path(output.predicted).parent.as_posix(),
    message:
        "{wildcards.study}: gather what the networks of {wildcards.arm} predicted"


rule evaluate_grey_levels:
    input:
        manifest=WORK.data.manifest,
        split=lambda w: layout_of(w).split(plan_of(w).arms[w.arm].split).roles,
        tiles=lambda w: layout_of(w).tiles(plan_of(w).arms[w.arm].tiles),
        fits=lambda w: layout_of(w).list_fits(w.arm),
        program=program_of("evaluate_grey_levels"),
        code=code_of("evaluate_grey_levels"),
    output:
        predictions=WORK.mismatched("{arm}"),
    log:
        WORK.log("evaluate_grey_levels_{arm}"),
    benchmark:
        WORK.benchmark("evaluate_grey_levels_{arm}")
    conda:
        "../environment.yml"
    threads: few_cores
    resources:
        mem_mb=ask_memory("evaluate_grey_levels", 4000),
        runtime=ask_minutes("evaluate_grey_levels"),
        gpu=JOBS.count_gpus,
    params:
        where=lambda w: json.dumps(plan_of(w).arms[w.arm].recipe.split.test_where),
        treatments=JOBS.grey_level_tests,
        audit=JOBS.audited_arm,
        seed=lambda w: plan_of(w).arms[w.arm].recipe.split.seed,
        accelerator=lambda w: plan_of(w).arms[w.arm].recipe.train.accelerator,
    message:
        "{wildcards.study}: test {wildcards.arm} with other tiles than in training"
    shell:
        "exec python {input.program:q} --manifest {input.manifest:q} "
        "--split {input.split:q} --where {params.where:q} --tiles {input.tiles:q} "
        "--fits {input.fits:q} --treatments {params.treatments:q} "
        "--audit {params.audit:q} --seed {params.seed:q} "
        "--accelerator {params.accelerator:q} --predictions {output.predictions:q} --log {log:q}"


rule evaluate_baselines:
    input:
        manifest=WORK.data.manifest,
        frames=WORK.data.frames,
        split=WORK.split("{split}").roles,
        tiles=JOBS.measured_tiles,
        program=program_of("evaluate_baselines"),
        code=code_of("evaluate_baselines"),
    output:
        predictions=WORK.baselines("{split}"),
        shortcuts=WORK.shortcuts("{split}"),
    log:
        WORK.log("evaluate_baselines_{split}"),
    benchmark:
        WORK.benchmark("evaluate_baselines_{split}")
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=ask_memory("evaluate_baselines", 2000),
        runtime=ask_minutes("evaluate_baselines"),
    params:
        settings=setting_of("baselines", JOBS.baseline_settings),
        seed=lambda w: plan_of(w).splits[w.split].seed,
        where=lambda w: json.dumps(plan_of(w).splits[w.split].test_where),
        tiles=lambda w, input: ["--tiles", input.tiles] if input.tiles else [],
    message:
        "{wildcards.study}: fit and evaluate the baselines"
    shell:
        "exec python {input.program:q} --manifest {input.manifest:q} "
        "--frames {input.frames:q} --split {input.split:q} --settings {params.settings:q} "
        "--where {params.where:q} --seed {params.seed:q} {params.tiles:q} "
        "--out {output.predictions:q} --shortcuts {output.shortcuts:q} --log {log:q}"


rule compare_arms:
    input:
        manifest=WORK.data.manifest,
        samples=lambda w: layout_of(w).list_data(),
        audit=lambda w: layout_of(w).main_split.audit,
        splits=JOBS.list_divisions,
        tiles=lambda w: layout_of(w).list_tiles(),
        predictions=lambda w: layout_of(w).list_predictions(),
        beside=lambda w: layout_of(w).list_compared(),
        program=program_of("compare_arms"),
        code=code_of("compare_arms"),
        doer=doer_code("compare"),
    output:
        comparison=directory(WORK.comparison),
    log:
        WORK.log("compare_arms"),
    benchmark:
        WORK.benchmark("compare_arms")
    priority: 10  # report and bundle wait for this, the maps do not
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=ask_memory("compare_arms", 2000),
        runtime=ask_minutes("compare_arms"),
    params:
        doer=lambda w: layout_of(w).modules.compare,
        settings=settings_without(
            *("sweeps", "run_sweeps", "search", "explain", "propose"),
            *("title", "paper", "paper_doi"),
        ),
        work=JOBS.work_of,
    message:
        "{wildcards.study}: compare arms, baselines and the paper"
    shell:
        "exec python {input.program:q} --by {params.doer:q} --study {wildcards.study:q} "
        "--settings {params.settings:q} --work {params.work:q} --out {output.comparison:q} "
        "--log {log:q}"


rule evaluate_external:
    input:
        bundle=WORK.bundle,
        manifest=WORK.dataset("external").manifest,
        images=JOBS.generated_external,
        program=program_of("evaluate_external"),
        code=code_of("evaluate_external"),
        doer=doer_code("external"),
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
        mem_mb=ask_memory("evaluate_external", 4000),
        runtime=ask_minutes("evaluate_external"),
        gpu=JOBS.count_gpus,
    params:
        dataset=JOBS.find_external,
        label_columns=lambda w: study_of(w).dataset.labels.columns,
    message:
        "{wildcards.study}: apply the models to the external data set"
    shell:
        "exec python {input.program:q} --bundle {input.bundle:q} "
        "--manifest {input.manifest:q} --dataset {params.dataset:q} "
        "--label-columns {params.label_columns:q} --predictions {output.predictions:q} "
        "--metrics {output.metrics:q} --flat {output.flat:q} --log {log:q}"
