# MLflow mirrors the local files. Its absence or failure never stops the workflow.


rule track_study:
    input:
        summary=WORK.data.summary,
        splits=JOBS.list_divisions,
        predictions=lambda w: layout_of(w).list_predictions(),
        explained=WORK.explained,
        learnt=lambda w: layout_of(w).list_learnt(),
        comparison=WORK.comparison,
        external=JOBS.list_external,
        report=WORK.report,
        bundle=WORK.bundle,
        program=program_of("track_study"),
        code=code_of("track_study"),
        doer=doer_code("track"),
    output:
        tracked=WORK.tracked,
    log:
        WORK.log("track_study"),
    benchmark:
        WORK.benchmark("track_study")
    conda:
        "../environment.yml"
    resources:
        mem_mb=ask_memory("track_study", 2000),
        runtime=ask_minutes("track_study"),
    params:
        doer=lambda w: layout_of(w).modules.track,
        settings=JOBS.study_file,
        work=JOBS.work_of,
        data_version=JOBS.version_option,
    message:
        "{wildcards.study}: record the runs in MLflow"
    shell:
        "exec python {input.program:q} --study {wildcards.study:q} "
        "--by {params.doer:q} --settings {params.settings:q} --work {params.work:q} "
        "{params.data_version:q} --out {output.tracked:q} --log {log:q}"


use rule track_study as track_sweeps with:
    input:
        summary=WORK.data.summary,
        comparison=WORK.sweep_comparison,
        program=program_of("track_study"),
        code=code_of("track_study"),
        doer=module_code(TRACK_SWEEPS),
    output:
        tracked=WORK.sweep_tracked,
    log:
        WORK.log("track_sweeps"),
    benchmark:
        WORK.benchmark("track_sweeps")
    params:
        doer=TRACK_SWEEPS,
    message:
        "{wildcards.study}: record the points of the sweeps in MLflow"


use rule track_study as track_search with:
    input:
        summary=WORK.search.summary,
        program=program_of("track_study"),
        code=code_of("track_study"),
        doer=module_code(TRACK_SEARCH),
    output:
        tracked=WORK.search.tracked,
    log:
        WORK.log("track_search"),
    benchmark:
        WORK.benchmark("track_search")
    wildcard_constraints:
        study=SEARCHES.studies,
    params:
        doer=TRACK_SEARCH,
        data_version=[],
    message:
        "{wildcards.study}: record the candidates in MLflow"
