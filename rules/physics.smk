# The half-cell model: capacities beside the learnt ones, or as the labels of pictures.


rule simulate_capacities:
    input:
        program=program_of("simulate_capacities"),
        code=code_of("simulate_capacities"),
    output:
        table=WORK.capacities,
    log:
        WORK.log("simulate_capacities"),
    benchmark:
        WORK.benchmark("simulate_capacities")
    wildcard_constraints:
        study=SIMULATED_STUDIES,
    priority: 90  # generated pictures wait for this, and all else for them
    conda:
        "../environment.yml"
    resources:
        mem_mb=ask_memory("simulate_capacities", 1500),
        runtime=ask_minutes("simulate_capacities"),
    params:
        settings=lambda w: settings_file(
            w.study, "physics", PROJECT.studies[w.study].physics
        ),
        varied=lambda w: [
            part
            for varied in PROJECT.studies[w.study].drawn_ranges
            for part in ("--vary", *varied)
        ],
    message:
        "{wildcards.study}: solve the half-cell model over porosity and C-rate"
    shell:
        "exec python {input.program:q} --settings {params.settings:q} {params.varied:q} "
        "--out {output.table:q} --log {log:q}"
