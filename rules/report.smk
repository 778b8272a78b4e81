# One folder that a person can read: figures, tables, report.html.


rule report_study:
    input:
        manifest="work/{study}/data/manifest.parquet",
        tiles=lambda w: f"work/{w.study}/tiles/{plan_of(w).main.tiles}",
        audit=lambda w: f"work/{w.study}/splits/{plan_of(w).main.split}/audit.json",
        comparison="work/{study}/comparison",
        maps=explanations,
        external=external_pieces,
        sweeps=sweep_pieces,
        fits=lambda w: [p for c, _ in arm_stages(w) for p in stage_parts(w.study, c)],
        code=code_of("report_study"),
    output:
        report=directory("work/{study}/report"),
    log:
        "work/{study}/logs/report_study.log",
    benchmark:
        "work/{study}/benchmarks/report_study.tsv"
    wildcard_constraints:
        study=CLASS_STUDIES,
    conda:
        "../environment.yml"
    threads: 2  # figures are drawn side by side
    resources:
        mem_mb=2000,
    params:
        settings=lambda w: settings_file(w.study, "study", PROJECT.studies[w.study]),
        manifest_dir=lambda w, input: Path(input.manifest).parent.as_posix(),
        split_dir=lambda w: f"work/{w.study}/splits/{plan_of(w).main.split}",
        arms=lambda w: named((a, f"work/{w.study}/arms/{a}") for a in plan_of(w).arms),
        stages=lambda w: named(arm_stages(w)),
        external=external_option,
        sweeps=lambda w, input: ["--sweeps", *input.sweeps] if input.sweeps else [],
        generated=lambda w: (
            [] if PROJECT.studies[w.study].dataset.path else ["--generated"]
        ),
    message:
        "{wildcards.study}: write the report"
    shell:
        "python workflow_scripts/report_study.py --study {wildcards.study:q} "
        "--settings {params.settings:q} --manifest-dir {params.manifest_dir:q} "
        "--tiles {input.tiles:q} --split-dir {params.split_dir:q} --arms {params.arms:q} "
        "--stages {params.stages:q} --comparison {input.comparison:q} {params.external:q} "
        "{params.sweeps:q} {params.generated:q} --workers {threads} --out {output.report:q} --log {log:q}"


rule bundle_models:
    input:
        manifest="work/{study}/data/manifest.parquet",
        frames="work/{study}/data/frames.parquet",
        # One picture is read: the example.
        images=lambda w: (
            [] if PROJECT.studies[w.study].dataset.path else dataset_folder(w.study)
        ),
        split=lambda w: f"work/{w.study}/splits/{plan_of(w).main.split}/split.parquet",
        calibration=lambda w: f"{main_arm_folder(w)}/calibration.json",
        fits=lambda w: stage_parts(w.study, plan_of(w).main.chains[-1]),
        comparison="work/{study}/comparison",
        code=code_of("bundle_models"),
    output:
        bundle=directory("work/{study}/bundle"),
    log:
        "work/{study}/logs/bundle_models.log",
    benchmark:
        "work/{study}/benchmarks/bundle_models.tsv"
    wildcard_constraints:
        study=CLASS_STUDIES,
    conda:
        "../environment.yml"
    resources:
        mem_mb=3000,
    params:
        arm=lambda w: plan_of(w).main.name,
        dataset=lambda w: dataset_folder(w.study),
        settings=lambda w: settings_file(w.study, "bundle", bundle_settings(w)),
    message:
        "{wildcards.study}: bundle the models of {params.arm} for use on new images"
    shell:
        "python workflow_scripts/bundle_models.py --settings {params.settings:q} "
        "--manifest {input.manifest:q} --frames {input.frames:q} --dataset {params.dataset:q} "
        "--split {input.split:q} --calibration {input.calibration:q} --fits {input.fits:q} "
        "--metrics {input.comparison:q}/metrics.json --findings {input.comparison:q}/findings.json "
        "--out {output.bundle:q} --log {log:q}"
