# Studies whose models predict capacities: physics, evaluation, explanations, report, bundle.


rule simulate_capacities:
    input:
        code=code_of("simulate_capacities"),
    output:
        table=WORK.capacities,
    log:
        WORK.log("simulate_capacities"),
    benchmark:
        WORK.benchmark("simulate_capacities")
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
        manifest=WORK.data.manifest,
        splits=arm_splits,
        fits=regression_fits,
        code=code_of("evaluate_regression"),
    output:
        predicted=directory(WORK.predicted),
    log:
        WORK.log("evaluate_regression"),
    benchmark:
        WORK.benchmark("evaluate_regression")
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
        manifest=WORK.data.manifest,
        split=lambda w: point_pieces(w)["split"],
        fits=lambda w: point_pieces(w)["fits"],
        code=code_of("evaluate_regression"),
    output:
        predictions=WORK.sweep_predicted("{arm}").predictions,
        cost=WORK.sweep_predicted("{arm}").cost,
    log:
        WORK.log("evaluate_regression_point_{arm}"),
    benchmark:
        WORK.benchmark("evaluate_regression_point_{arm}")
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
        manifest=WORK.data.manifest,
        frames=WORK.data.frames,
        predicted=WORK.predicted,
        splits=arm_splits,
        tiles=regression_tiles,
        simulated=simulated_capacities,
        code=code_of("compare_regression"),
    output:
        comparison=directory(WORK.comparison),
    log:
        WORK.log("compare_regression"),
    benchmark:
        WORK.benchmark("compare_regression")
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
            ["--simulated", input.simulated] if input.simulated else []
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
        manifest=WORK.data.manifest,
        images=generated_images,
        splits=arm_splits,
        tiles=regression_tiles,
        fits=regression_fits,
        code=code_of("explain_regression"),
    output:
        maps=directory(WORK.explained),
    log:
        WORK.log("explain_regression"),
    benchmark:
        WORK.benchmark("explain_regression")
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
