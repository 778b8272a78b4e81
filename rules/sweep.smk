# Sweeps: points with images are arms like any others (rules/train.smk, rules/evaluate.smk), those of
# tables are trained here. All are compared here.


use rule train_networks as train_table_point with:
    input:
        manifest=WORK.data.manifest,
        split=point_split,
        code=code_of("train_networks"),
    output:
        networks=directory(WORK.sweep_networks("{arm}")),
    log:
        WORK.log("train_table_point_{arm}"),
    benchmark:
        WORK.benchmark("train_table_point_{arm}")
    params:
        settings=lambda w: settings_file(
            w.study, "point", TABLE_SWEEPS[w.study].work[w.arm]
        ),
    message:
        "{wildcards.study}: train the networks of {wildcards.arm}"


rule compare_sweeps:
    input:
        manifest=WORK.data.manifest,
        arms=sweep_inputs,
        splits=lambda w: sorted({path for _, path in sweep_splits(w)}),
        fits=lambda w: [part for _, parts in sweep_fits(w) for part in parts],
        code=code_of("compare_sweeps"),
        scorer=doer_code("score_points"),
    output:
        comparison=directory(WORK.sweep_comparison),
    log:
        WORK.log("compare_sweeps"),
    benchmark:
        WORK.benchmark("compare_sweeps")
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
    params:
        points=lambda w: settings_file(w.study, "sweeps", sweep_settings(w)),
        arms=lambda w: named(
            (a, layout_of(w).arm(a).predictions) for a in sweep_arms(w)
        ),
        fits=lambda w: named((a, ",".join(parts)) for a, parts in sweep_fits(w)),
        splits=lambda w: named(sweep_splits(w)),
        label_columns=sweep_labels,
    message:
        "{wildcards.study}: compare the points of the sweeps"
    shell:
        "python workflow_scripts/compare_sweeps.py --manifest {input.manifest:q} "
        "--points {params.points:q} --arms {params.arms:q} --fits {params.fits:q} "
        "--splits {params.splits:q} "
        "--label-columns {params.label_columns:q} --out-dir {output.comparison:q} --log {log:q}"
