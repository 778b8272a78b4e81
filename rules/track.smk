# MLflow mirrors the local files. Its absence or failure never stops the workflow.


rule track_study:
    input:
        summary=WORK.data.summary,
        splits=arm_splits,
        explanations=lambda w: layout_of(w).list_maps(),
        fits=learnt_networks,
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
        work=lambda w: layout_of(w).root.as_posix(),
        data_version=version_option,
    message:
        "{wildcards.study}: record the runs in MLflow"
    shell:
        "python workflow_scripts/track_study.py --study {wildcards.study:q} "
        "--settings {params.settings:q} --work {params.work:q} {params.data_version:q} "
        "--out {output.tracked:q} --log {log:q}"
