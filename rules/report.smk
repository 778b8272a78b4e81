# One folder that a person can read: figures, tables, report.html. `snakemake --report figures.zip` gathers the figures.


rule report_study:
    input:
        manifest=WORK.data.manifest,
        # Pictures are read: those that test are shown small.
        samples=lambda w: layout_of(w).list_data(),
        tiles=lambda w: layout_of(w).list_tiles(),
        audit=lambda w: layout_of(w).main_split.audit,
        learnt=lambda w: layout_of(w).list_learnt(),
        comparison=WORK.comparison,
        predictions=lambda w: layout_of(w).list_predictions(),
        explained=WORK.explained,
        external=JOBS.list_external,
        proposals=lambda w: layout_of(w).wanted_proposals or [],
        sweeps=lambda w: layout_of(w).sweeps or [],
        cycling=lambda w: layout_of(w).cycling or [],
        program=program_of("report_study"),
        code=code_of("report_study"),
        doer=doer_code("report"),
    output:
        report=report(
            directory(WORK.report),
            patterns=["figures/{figure}.png"],
            caption="figure.rst",
            category=lambda w: study_of(w).title or w.study,
            subcategory=lambda w: find_group(w.figure),
            labels=JOBS.label_figure,
        ),
    log:
        WORK.log("report_study"),
    benchmark:
        WORK.benchmark("report_study")
    conda:
        "../environment.yml"
    threads: few_cores  # figures are drawn side by side
    resources:
        mem_mb=ask_memory("report_study", 2000),
        runtime=ask_minutes("report_study"),
    params:
        settings=JOBS.study_file,
        work=JOBS.work_of,
    message:
        "{wildcards.study}: write the report"
    shell:
        "exec python {input.program:q} --study {wildcards.study:q} "
        "--settings {params.settings:q} --work {params.work:q} --workers {threads} "
        "--out {output.report:q} --log {log:q}"


rule bundle_models:
    input:
        manifest=WORK.data.manifest,
        # One picture is read: the example.
        samples=lambda w: layout_of(w).list_data(),
        splits=JOBS.list_divisions,
        learnt=lambda w: layout_of(w).list_published(),
        comparison=WORK.comparison,
        program=program_of("bundle_models"),
        code=code_of("bundle_models"),
        doer=doer_code("bundle"),
    output:
        bundle=directory(WORK.bundle),
    log:
        WORK.log("bundle_models"),
    benchmark:
        WORK.benchmark("bundle_models")
    conda:
        "../environment.yml"
    resources:
        mem_mb=ask_memory("bundle_models", 3000),
        runtime=ask_minutes("bundle_models"),
    params:
        settings=settings_without(
            "sweeps", "run_sweeps", "search", "explain", "ablations", "propose"
        ),
        work=JOBS.work_of,
    message:
        "{wildcards.study}: bundle the models for use on new data"
    shell:
        "exec python {input.program:q} --study {wildcards.study:q} "
        "--settings {params.settings:q} --work {params.work:q} --out {output.bundle:q} "
        "--log {log:q}"
