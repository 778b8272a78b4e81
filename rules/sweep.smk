# Sweeps: their points are arms like any others (rules/train.smk, rules/evaluate.smk), compared here.


rule compare_sweeps:
    input:
        manifest="work/{study}/data/manifest.parquet",
        arms=lambda w: [
            f"work/{w.study}/arms/{a}/predictions.parquet" for a in sweep_arms(w)
        ],
        fits=lambda w: [p for a in sweep_arms(w) for p in sweep_parts(w.study, a)],
        code=code_of("compare_sweeps"),
    output:
        comparison=directory("work/{study}/sweeps/comparison"),
    log:
        "work/{study}/logs/compare_sweeps.log",
    benchmark:
        "work/{study}/benchmarks/compare_sweeps.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
    params:
        points=lambda w: settings_file(w.study, "sweeps", sweep_settings(w)),
        arms=lambda w: named(
            (a, f"work/{w.study}/arms/{a}/predictions.parquet") for a in sweep_arms(w)
        ),
        fits=lambda w: named(
            (a, ",".join(sweep_parts(w.study, a))) for a in sweep_arms(w)
        ),
        label_columns=lambda w: PROJECT.studies[w.study].dataset.labels.columns,
    message:
        "{wildcards.study}: compare the points of the sweeps"
    shell:
        "python workflow_scripts/compare_sweeps.py --manifest {input.manifest:q} "
        "--points {params.points:q} --arms {params.arms:q} --fits {params.fits:q} "
        "--label-columns {params.label_columns:q} --out-dir {output.comparison:q} --log {log:q}"


rule track_sweeps:
    input:
        store=ancient("work/tracking.json"),
        summary="work/{study}/data/summary.json",
        comparison="work/{study}/sweeps/comparison",
        code=code_of("track_sweeps"),
    output:
        tracked="work/{study}/sweeps/tracked.json",
    log:
        "work/{study}/logs/track_sweeps.log",
    benchmark:
        "work/{study}/benchmarks/track_sweeps.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
    params:
        settings=lambda w: settings_file(w.study, "study", PROJECT.studies[w.study]),
        data_version=lambda w: find_data_version(PROJECT.studies[w.study].dataset.path),
    message:
        "{wildcards.study}: record the points of the sweeps in MLflow"
    shell:
        "python workflow_scripts/track_sweeps.py --study {wildcards.study} "
        '--uri "$MLFLOW_TRACKING_URI" --settings {params.settings:q} '
        "--manifest-summary {input.summary:q} --data-version '{params.data_version}' "
        "--comparison {input.comparison:q} --out {output.tracked:q} --log {log:q}"
