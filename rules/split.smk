# Who trains, who validates, who tests; and how unequal class sizes are treated.


rule split_dataset:
    input:
        manifest=WORK.data.manifest,
        frames=WORK.data.frames,
        program=program_of("split_dataset"),
        code=code_of("split_dataset"),
        doer=doer_code("split"),
    output:
        split=WORK.split("{split}").roles,
        audit=WORK.split("{split}").audit,
    log:
        WORK.log("split_dataset_{split}"),
    benchmark:
        WORK.benchmark("split_dataset_{split}")
    priority: 10  # most of the study waits for training
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=ask_memory("split_dataset", 2000),
        runtime=ask_minutes("split_dataset"),
    params:
        doer=lambda w: layout_of(w).modules.split,
        sees=lambda w, input: ["--frames", input.frames],
        settings=setting_of("split", lambda w: plan_of(w).splits[w.split]),
    message:
        "{wildcards.study}: split the samples and look for leaks"
    shell:
        "exec python {input.program:q} --by {params.doer:q} "
        "--manifest {input.manifest:q} {params.sees:q} --settings {params.settings:q} "
        "--split {output.split:q} --audit {output.audit:q} --log {log:q}"


use rule split_dataset as split_table with:
    input:
        manifest=WORK.data.manifest,
        program=program_of("split_dataset"),
        code=code_of("split_dataset"),
        doer=doer_code("split"),
    output:
        split=WORK.split().roles,
        audit=WORK.split().audit,
    log:
        WORK.log("split_table"),
    benchmark:
        WORK.benchmark("split_table")
    wildcard_constraints:
        study=TABLE_STUDIES,
    params:
        sees=lambda w: ["--features", *study_of(w).dataset.features],
        settings=setting_of("split", lambda w: study_of(w).split),
    message:
        "{wildcards.study}: split the rows"


use rule split_table as split_table_point with:
    output:
        split=WORK.sweep_split("{split}").roles,
        audit=WORK.sweep_split("{split}").audit,
    log:
        WORK.log("split_table_point_{split}"),
    benchmark:
        WORK.benchmark("split_table_point_{split}")
    params:
        settings=setting_of("split", lambda w: plan_of(w).splits[w.split]),
    message:
        "{wildcards.study}: split the rows for a sweep"


rule balance_stage:
    input:
        manifest=WORK.data.manifest,
        tiles=lambda w: layout_of(w).tiles(JOBS.balance_of(w).tiles),
        split=lambda w: layout_of(w).split(JOBS.balance_of(w).split).roles,
        program=program_of("balance_stage"),
        code=code_of("balance_stage"),
    output:
        balance=WORK.balance("{balance}"),
    log:
        WORK.log("balance_stage_{balance}"),
    benchmark:
        WORK.benchmark("balance_stage_{balance}")
    priority: 10  # most of the study waits for training
    conda:
        "../environment.yml"
    resources:
        mem_mb=ask_memory("balance_stage", 1000),
        runtime=ask_minutes("balance_stage"),
    params:
        settings=setting_of("balance", JOBS.balance_of),
    message:
        "{wildcards.study}: balance the classes for {wildcards.balance}"
    shell:
        "exec python {input.program:q} --manifest {input.manifest:q} "
        "--split {input.split:q} --index {input.tiles:q}/index.parquet "
        "--settings {params.settings:q} --out {output.balance:q} --log {log:q}"
