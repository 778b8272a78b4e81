# Sweeps: points with images are arms like any others (rules/train.smk, rules/evaluate.smk), those of
# tables are trained here. All are compared here.


use rule train_table as train_table_point with:
    input:
        manifest=WORK.data.manifest,
        split=lambda w: layout_of(w).point_split(w.arm).roles,
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
        settings=setting_of("point", lambda w: plan_of(w).work[w.arm]),
    message:
        "{wildcards.study}: train the networks of {wildcards.arm}"


use rule compare_arms as compare_sweeps with:
    input:
        manifest=WORK.data.manifest,
        arms=lambda w: layout_of(w).list_point_inputs(),
        splits=JOBS.list_point_divisions,
        fits=JOBS.list_point_fits,
        program=program_of("compare_arms"),
        code=code_of("compare_arms"),
        doer=module_code(COMPARE_SWEEPS),
        scorer=doer_code("score_points"),
    output:
        comparison=directory(WORK.sweep_comparison),
    log:
        WORK.log("compare_sweeps"),
    benchmark:
        WORK.benchmark("compare_sweeps")
    priority: 0
    params:
        doer=COMPARE_SWEEPS,
        settings=settings_without(
            "search", "explain", "propose", "title", "paper", "paper_doi"
        ),
    message:
        "{wildcards.study}: compare the points of the sweeps"
