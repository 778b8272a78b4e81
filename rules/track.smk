# MLflow mirrors the local files. Its absence or failure never stops the workflow.


rule track_study:
    input:
        summary="work/{study}/data/summary.json",
        splits=lambda w: [path for _, path in arm_splits(w)],
        explanations=explanations,
        fits=lambda w: [p for c, _ in arm_stages(w) for p in stage_parts(w.study, c)],
        comparison="work/{study}/comparison",
        external=external_pieces,
        report="work/{study}/report",
        bundle="work/{study}/bundle",
        code=code_of("track_study"),
    output:
        tracked="work/{study}/tracked.json",
    log:
        "work/{study}/logs/track_study.log",
    benchmark:
        "work/{study}/benchmarks/track_study.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
    params:
        settings=lambda w: settings_file(w.study, "study", PROJECT.studies[w.study]),
        data_name=lambda w: PROJECT.studies[w.study].dataset.name,
        data_version=version_option,
        arms=lambda w: named((a, arm_folder(w.study, a)) for a in plan_of(w).arms),
        arm_stages=lambda w: named(
            (a.name, ",".join(a.chains)) for a in plan_of(w).arms.values()
        ),
        stages=lambda w: named(arm_stages(w)),
        splits=lambda w: named(arm_splits(w)),
        external=external_option,
    message:
        "{wildcards.study}: record the runs in MLflow"
    shell:
        "python workflow_scripts/track_study.py --study {wildcards.study:q} "
        "--settings {params.settings:q} "
        "--manifest-summary {input.summary:q} --data-name={params.data_name:q} "
        "{params.data_version:q} --split {params.splits:q} --arms {params.arms:q} "
        "--arm-stages {params.arm_stages:q} --stages {params.stages:q} "
        "--comparison {input.comparison:q} {params.external:q} --report {input.report:q} --bundle {input.bundle:q} "
        "--out {output.tracked:q} --log {log:q}"
