# The only rule that writes outside work/: models/<study> and reports/<study>, which DVC versions.


rule publish_study:
    input:
        bundle=WORK.bundle,
        report=WORK.report,
        tracked=WORK.tracked,
        sweeps=lambda w: layout_of(w).sweep_tracked if plan_of(w).points else [],
        program=program_of("publish_study"),
        code=code_of("publish_study"),
    output:
        published=WORK.published,
    log:
        WORK.log("publish_study"),
    benchmark:
        WORK.benchmark("publish_study")
    conda:
        "../environment.yml"
    resources:
        mem_mb=ask_memory("publish_study", 500),
        runtime=ask_minutes("publish_study"),
    params:
        study=JOBS.study_file,
    message:
        "{wildcards.study}: publish models and report"
    shell:
        "exec python {input.program:q} --study {wildcards.study:q} --settings {params.study:q} "
        "--bundle {input.bundle:q} --report {input.report:q} --models models --reports reports "
        "--out {output.published:q} --log {log:q}"
