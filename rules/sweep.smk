# Sweeps: points with images are arms like any others (rules/train.smk, rules/evaluate.smk), those of
# tables are trained here. All are compared here.


use rule train_table as train_table_point with:
    input:
        manifest=WORK.data.manifest,
        split=point_split,
        program=program_of("train_stage"),
        code=code_of("train_stage", leave_out="tracking"),
        doer=doer_code("train"),
    output:
        networks=directory(WORK.sweep_networks("{arm}")),
    log:
        WORK.log("train_table_point_{arm}"),
    benchmark:
        WORK.benchmark("train_table_point_{arm}")
    params:
        settings=lambda w: settings_file(w.study, "point", plan_of(w).work[w.arm]),
    message:
        "{wildcards.study}: train the networks of {wildcards.arm}"


rule compare_sweeps:
    input:
        manifest=WORK.data.manifest,
        arms=lambda w: layout_of(w).list_point_inputs(),
        splits=point_splits,
        fits=point_fits,
        program=program_of("compare_sweeps"),
        code=code_of("compare_sweeps"),
        doer=doer_code("score_points"),
    output:
        comparison=directory(WORK.sweep_comparison),
    log:
        WORK.log("compare_sweeps"),
    benchmark:
        WORK.benchmark("compare_sweeps")
    conda:
        "../environment.yml"
    resources:
        mem_mb=ask_memory("compare_sweeps", 2000),
        runtime=ask_minutes("compare_sweeps"),
    params:
        settings=settings_without(
            "search", "explain", "propose", "title", "paper", "paper_doi"
        ),
        work=study_folder,
    message:
        "{wildcards.study}: compare the points of the sweeps"
    shell:
        "exec python {input.program:q} --study {wildcards.study:q} "
        "--settings {params.settings:q} --work {params.work:q} --out {output.comparison:q} "
        "--log {log:q}"
