# Sweeps: points with images are arms like any others (rules/train.smk, rules/evaluate.smk), those of
# tables are trained here. All are compared here.


rule split_table_point:
    input:
        manifest=WORK.data.manifest,
        code=code_of("split_table"),
    output:
        split=WORK.sweep_split("{split}").roles,
        audit=WORK.sweep_split("{split}").audit,
    log:
        WORK.log("split_table_point_{split}"),
    benchmark:
        WORK.benchmark("split_table_point_{split}")
    wildcard_constraints:
        study=TABLE_STUDIES,
    conda:
        "../environment.yml"
    resources:
        mem_mb=1000,
    params:
        settings=lambda w: settings_file(
            w.study, "split", TABLE_SWEEPS[w.study].splits[w.split]
        ),
        features=lambda w: list(table_study(w).dataset.features),
    message:
        "{wildcards.study}: split the rows for a sweep"
    shell:
        "python workflow_scripts/split_table.py --manifest {input.manifest:q} "
        "--settings {params.settings:q} --features {params.features:q} --split {output.split:q} "
        "--audit {output.audit:q} --log {log:q}"


rule train_table_point:
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
    wildcard_constraints:
        study=TABLE_STUDIES,
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        settings=lambda w: settings_file(
            w.study, "point", TABLE_SWEEPS[w.study].work[w.arm]
        ),
    message:
        "{wildcards.study}: train the networks of {wildcards.arm}"
    shell:
        "python workflow_scripts/train_networks.py --manifest {input.manifest:q} "
        "--split {input.split:q} --settings {params.settings:q} --threads {threads} "
        "--out {output.networks:q} --log {log:q}"


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
    wildcard_constraints:
        study=ALL_STUDIES,
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
