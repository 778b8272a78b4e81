# What the networks look at.


rule explain_study:
    input:
        manifest=WORK.data.manifest,
        samples=lambda w: layout_of(w).list_data(),
        splits=JOBS.list_divisions,
        tiles=lambda w: layout_of(w).list_tiles(),
        learnt=lambda w: layout_of(w).list_learnt(),
        predictions=lambda w: layout_of(w).list_predictions(),
        program=program_of("explain_study"),
        code=code_of("explain_study"),
        doer=doer_code("explain"),
    output:
        explained=directory(WORK.explained),
    log:
        WORK.log("explain_study"),
    benchmark:
        WORK.benchmark("explain_study")
    priority: 5  # the report waits for this, not for the bundle
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=ask_memory("explain_study", 4000),
        runtime=ask_minutes("explain_study"),
        gpu=JOBS.count_gpus,
    params:
        settings=settings_without(
            *("sweeps", "run_sweeps", "search", "evaluate", "ablations", "propose"),
            *("title", "paper", "paper_doi"),
        ),
        work=JOBS.work_of,
        # An edited mask is noticed like an edited image.
        listing=lambda w: [fingerprint_folder(p) for p in layout_of(w).list_own_maps()],
    message:
        "{wildcards.study}: draw where the networks look"
    shell:
        "exec python {input.program:q} --study {wildcards.study:q} "
        "--settings {params.settings:q} --work {params.work:q} --out {output.explained:q} "
        "--log {log:q}"
