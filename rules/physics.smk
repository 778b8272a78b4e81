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
        study=JOBS.simulated(),
    priority: 90  # generated pictures wait for this, and all else for them
    conda:
        "../environment.yml"
    resources:
        mem_mb=ask_memory("simulate_capacities", 1500),
        runtime=ask_minutes("simulate_capacities"),
    params:
        settings=setting_of("physics", lambda w: study_of(w).physics),
        varied=JOBS.varied_options,
    message:
        "{wildcards.study}: solve the half-cell model over porosity and C-rate"
    shell:
        "exec python {input.program:q} --settings {params.settings:q} {params.varied:q} "
        "--out {output.table:q} --log {log:q}"
