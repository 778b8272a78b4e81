# Demo and check data sets, for studies without images of the user's own.


rule generate_dataset:
    input:
        # Capacities of generated electrodes come from the half-cell model.
        simulated=JOBS.generator_capacities,
        program=program_of("generate_dataset"),
        code=code_of("generate_dataset"),
        doer=doer_code("generate"),
    output:
        images=directory(WORK.dataset("{source}").images),
    log:
        WORK.log("generate_dataset_{source}"),
    benchmark:
        WORK.benchmark("generate_dataset_{source}")
    # Everything waits for pictures; those of an external set are few and come last.
    priority: lambda w: 60 if w.source == "data" else 0
    conda:
        "../environment.yml"
    threads: lambda w: fair_cores(w) if w.source == "data" else 1
    resources:
        mem_mb=ask_memory("generate_dataset", 2000),
        runtime=ask_minutes("generate_dataset"),
    params:
        doer=lambda w: layout_of(w).modules.generate,
        settings=setting_of("generator", lambda w: JOBS.dataset_of(w).generator),
        simulated=lambda w, input: (
            ["--capacities", input.simulated] if input.simulated else []
        ),
    message:
        "{wildcards.study}: generate pictures ({wildcards.source})"
    shell:
        "exec python {input.program:q} --by {params.doer:q} --settings {params.settings:q} "
        "{params.simulated:q} --workers {threads} --out {output:q} --log {log:q}"


use rule generate_dataset as generate_table with:
    input:
        program=program_of("generate_dataset"),
        code=code_of("generate_dataset"),
        doer=doer_code("generate"),
    output:
        table=directory(WORK.data.table),
    log:
        WORK.log("generate_table"),
    benchmark:
        WORK.benchmark("generate_table")
    wildcard_constraints:
        study=TABLE_STUDIES,
    priority: 60
    threads: fair_cores
    params:
        simulated=[],
    message:
        "{wildcards.study}: generate rows"
