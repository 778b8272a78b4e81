# MLflow mirrors the local files. Its absence or failure never stops the workflow.


rule track_study:
    input:
        summary=WORK.data.summary,
        splits=arm_splits,
        explanations=lambda w: layout_of(w).list_maps(),
        fits=stage_fits,
        comparison=WORK.comparison,
        external=external_pieces,
        report=WORK.report,
        bundle=WORK.bundle,
        code=code_of("track_study"),
    output:
        tracked=WORK.tracked,
    log:
        WORK.log("track_study"),
    benchmark:
        WORK.benchmark("track_study")
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
    params:
        settings=lambda w: settings_file(w.study, "study", PROJECT.studies[w.study]),
        data_name=lambda w: PROJECT.studies[w.study].dataset.name,
        data_version=version_option,
        arms=lambda w: named(
            (n, arm.root) for n, arm in layout_of(w).list_arms().items()
        ),
        arm_stages=lambda w: named(
            (a.name, ",".join(a.chains)) for a in plan_of(w).arms.values()
        ),
        stages=lambda w: named(layout_of(w).list_stages().items()),
        splits=lambda w: named(
            (name, split.roles) for name, split in layout_of(w).list_splits().items()
        ),
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
