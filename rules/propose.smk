# Settings of a process that are worth trying, for studies of rows.


rule propose_parameters:
    input:
        manifest=WORK.data.manifest,
        split=WORK.split().roles,
        networks=WORK.networks,
        comparison=WORK.comparison,
        program=program_of("propose_parameters"),
        code=code_of("propose_parameters"),
    output:
        proposals=directory(WORK.proposals),
    log:
        WORK.log("propose_parameters"),
    benchmark:
        WORK.benchmark("propose_parameters")
    wildcard_constraints:
        study=TABLE_STUDIES,
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=ask_memory("propose_parameters", 1000),
        runtime=ask_minutes("propose_parameters"),
    params:
        settings=settings_without(
            "sweeps", "run_sweeps", "search", "explain", "ablations", "split", "title"
        ),
        work=JOBS.work_of,
    message:
        "{wildcards.study}: propose settings for the wanted targets"
    shell:
        "exec python {input.program:q} --study {wildcards.study:q} "
        "--settings {params.settings:q} --work {params.work:q} --out {output.proposals:q} "
        "--log {log:q}"
