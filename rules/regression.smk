# Studies whose models predict capacities: physics, evaluation, explanations, report, bundle.


rule simulate_capacities:
    input:
        code=code_of("simulate_capacities"),
    output:
        table="work/{study}/physics/capacities.csv",
    log:
        "work/{study}/logs/simulate_capacities.log",
    benchmark:
        "work/{study}/benchmarks/simulate_capacities.tsv"
    wildcard_constraints:
        study=REGRESSION_STUDIES,
    priority: 90  # generated pictures wait for this, and all else for them
    conda:
        "../environment.yml"
    resources:
        mem_mb=1500,
    params:
        settings=lambda w: settings_file(
            w.study, "physics", PROJECT.studies[w.study].physics
        ),
    message:
        "{wildcards.study}: solve the half-cell model over porosity and C-rate"
    shell:
        "python workflow_scripts/simulate_capacities.py --settings {params.settings:q} "
        "--out {output.table:q} --log {log:q}"


rule evaluate_regression:
    input:
        manifest="work/{study}/data/manifest.parquet",
        splits=regression_splits,
        fits=regression_fits,
        code=code_of("evaluate_regression"),
    output:
        predicted=directory("work/{study}/predicted"),
    log:
        "work/{study}/logs/evaluate_regression.log",
    benchmark:
        "work/{study}/benchmarks/evaluate_regression.tsv"
    wildcard_constraints:
        study=REGRESSION_STUDIES,
    priority: 10
    conda:
        "../environment.yml"
    resources:
        mem_mb=1000,
    params:
        arms=regression_arms,
    message:
        "{wildcards.study}: gather the predicted capacities of validation and test images"
    shell:
        "python workflow_scripts/evaluate_regression.py --manifest {input.manifest:q} "
        "--arms {params.arms:q} --out {output.predicted:q} --log {log:q}"


rule evaluate_regression_point:
    input:
        manifest="work/{study}/data/manifest.parquet",
        split=lambda w: point_pieces(w)["split"],
        fits=lambda w: point_pieces(w)["fits"],
        code=code_of("evaluate_regression"),
    output:
        predictions="work/{study}/sweeps/predicted/{arm}/predictions.parquet",
        cost="work/{study}/sweeps/predicted/{arm}/cost.json",
    log:
        "work/{study}/logs/evaluate_regression_point_{arm}.log",
    benchmark:
        "work/{study}/benchmarks/evaluate_regression_point_{arm}.tsv"
    wildcard_constraints:
        study=REGRESSION_STUDIES,
    conda:
        "../environment.yml"
    resources:
        mem_mb=1000,
    params:
        arms=lambda w: json.dumps({w.arm: point_pieces(w)}),
        out=lambda w, output: Path(output.cost).parent.parent.as_posix(),
    message:
        "{wildcards.study}: gather the capacities that {wildcards.arm} predicted"
    shell:
        "python workflow_scripts/evaluate_regression.py --manifest {input.manifest:q} "
        "--arms {params.arms:q} --out {params.out:q} --log {log:q}"


rule compare_regression:
    input:
        manifest="work/{study}/data/manifest.parquet",
        frames="work/{study}/data/frames.parquet",
        predicted="work/{study}/predicted",
        splits=regression_splits,
        tiles=regression_tiles,
        simulated=simulated_capacities,
        code=code_of("compare_regression"),
    output:
        comparison=directory("work/{study}/comparison"),
    log:
        "work/{study}/logs/compare_regression.log",
    benchmark:
        "work/{study}/benchmarks/compare_regression.tsv"
    wildcard_constraints:
        study=REGRESSION_STUDIES,
    priority: 10  # report and bundle wait for this, the maps do not
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        settings=lambda w: settings_file(w.study, "compared", without_sweeps(w.study)),
        arms=regression_arms,
        main_arm=lambda w: plan_of(w).main.name,
        simulated=lambda w, input: (
            ["--simulated", *input.simulated] if input.simulated else []
        ),
    message:
        "{wildcards.study}: compare networks, baselines, physics and the paper"
    shell:
        "python workflow_scripts/compare_regression.py --settings {params.settings:q} "
        "--manifest {input.manifest:q} --frames {input.frames:q} "
        "--predicted {input.predicted:q} --arms {params.arms:q} --main-arm {params.main_arm:q} "
        "{params.simulated:q} --out-dir {output.comparison:q} --log {log:q}"


rule explain_regression:
    input:
        manifest="work/{study}/data/manifest.parquet",
        images=generated_images,
        splits=regression_splits,
        tiles=regression_tiles,
        fits=regression_fits,
        code=code_of("explain_regression"),
    output:
        maps=directory("work/{study}/explained"),
    log:
        "work/{study}/logs/explain_regression.log",
    benchmark:
        "work/{study}/benchmarks/explain_regression.tsv"
    wildcard_constraints:
        study=REGRESSION_STUDIES,
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        gpu=1,
    params:
        settings=lambda w: settings_file(
            w.study, "explain", PROJECT.studies[w.study].explain
        ),
        arms=regression_arms,
        dataset=lambda w: dataset_folder(w.study),
        phases=phase_maps,
        published=lambda w: list_published_arms(PROJECT.studies[w.study]),
        max_pixels=lambda w: PROJECT.studies[w.study].dataset.max_pixels,
    message:
        "{wildcards.study}: draw where the networks look"
    shell:
        "python workflow_scripts/explain_regression.py --settings {params.settings:q} "
        "--manifest {input.manifest:q} --dataset {params.dataset:q} {params.phases:q} "
        "--arms {params.arms:q} --published {params.published:q} "
        "--max-pixels {params.max_pixels:q} --out {output.maps:q} --log {log:q}"


rule report_regression:
    input:
        manifest="work/{study}/data/manifest.parquet",
        tiles=lambda w: f"work/{w.study}/tiles/{plan_of(w).main.tiles}",
        audit=lambda w: f"work/{w.study}/splits/{plan_of(w).main.split}/audit.json",
        predicted="work/{study}/predicted",
        comparison="work/{study}/comparison",
        maps="work/{study}/explained",
        external=external_pieces,
        sweeps=sweep_pieces,
        fits=regression_fits,
        code=code_of("report_regression"),
    output:
        report=directory("work/{study}/report"),
    log:
        "work/{study}/logs/report_regression.log",
    benchmark:
        "work/{study}/benchmarks/report_regression.tsv"
    wildcard_constraints:
        study=REGRESSION_STUDIES,
    conda:
        "../environment.yml"
    threads: 2  # figures are drawn side by side
    resources:
        mem_mb=2000,
    params:
        settings=lambda w: settings_file(w.study, "study", PROJECT.studies[w.study]),
        manifest_dir=lambda w, input: Path(input.manifest).parent.as_posix(),
        stages=lambda w: named(arm_stages(w)),
        external=external_option,
        sweeps=lambda w, input: ["--sweeps", *input.sweeps] if input.sweeps else [],
    message:
        "{wildcards.study}: write the report"
    shell:
        "python workflow_scripts/report_regression.py --study {wildcards.study:q} "
        "--settings {params.settings:q} --manifest-dir {params.manifest_dir:q} "
        "--tiles {input.tiles:q} --audit {input.audit:q} --predicted {input.predicted:q} "
        "--comparison {input.comparison:q} --maps {input.maps:q} --stages {params.stages:q} "
        "{params.external:q} {params.sweeps:q} --workers {threads} --out {output.report:q} "
        "--log {log:q}"


rule bundle_regression:
    input:
        manifest="work/{study}/data/manifest.parquet",
        frames="work/{study}/data/frames.parquet",
        images=generated_images,
        splits=regression_splits,
        fits=regression_fits,
        comparison="work/{study}/comparison",
        code=code_of("bundle_regression"),
    output:
        bundle=directory("work/{study}/bundle"),
    log:
        "work/{study}/logs/bundle_regression.log",
    benchmark:
        "work/{study}/benchmarks/bundle_regression.tsv"
    wildcard_constraints:
        study=REGRESSION_STUDIES,
    conda:
        "../environment.yml"
    resources:
        mem_mb=3000,
    params:
        settings=lambda w: settings_file(w.study, "bundle", bundle_settings(w)),
        arms=regression_arms,
        published=lambda w: list_published_arms(PROJECT.studies[w.study]),
        dataset=lambda w: dataset_folder(w.study),
    message:
        "{wildcards.study}: bundle the models for use on new images"
    shell:
        "python workflow_scripts/bundle_regression.py --settings {params.settings:q} "
        "--manifest {input.manifest:q} --frames {input.frames:q} --dataset {params.dataset:q} "
        "--arms {params.arms:q} --published {params.published:q} "
        "--comparison {input.comparison:q} --out {output.bundle:q} --log {log:q}"
