# One job trains all fits (folds and repeats) of a stage, or a share of them.


rule check_model:
    input:
        weights=lambda w: list_weights(JOBS.check_of(w).model.weights),
        program=program_of("check_model"),
        code=code_of("check_model"),
    output:
        checked=WORK.check("{check}"),
    log:
        WORK.log("check_model_{check}"),
    benchmark:
        WORK.benchmark("check_model_{check}")
    priority: 100  # a wrong name shall be told before the long work
    conda:
        "../environment.yml"
    resources:
        mem_mb=ask_memory("check_model", 2000),
        runtime=ask_minutes("check_model"),
        starts=1,  # of PyTorch; the next check would only wait for it
    params:
        settings=setting_of("check", JOBS.check_of),
    message:
        "{wildcards.study}: check that devices, network and weights can be had"
    shell:
        "exec python {input.program:q} --settings {params.settings:q} "
        "--out {output.checked:q} --log {log:q}"


rule train_stage:
    input:
        manifest=WORK.data.manifest,
        split=lambda w: layout_of(w).split(JOBS.stage_of(w).split).roles,
        balance=lambda w: layout_of(w).balance(JOBS.stage_of(w).balance_id),
        checked=lambda w: layout_of(w).check(JOBS.stage_of(w).check_id),
        tiles=lambda w: layout_of(w).tiles(JOBS.stage_of(w).tiles),
        parent=JOBS.list_parents,
        weights=lambda w: list_weights(JOBS.stage_of(w).settings.model.weights),
        # Recording a run is no part of its result.
        program=program_of("train_stage"),
        code=code_of("train_stage", leave_out="tracking"),
        doer=doer_code("train"),
    output:
        fits=directory(WORK.stage_part("{chain}", "{part}")),
    log:
        WORK.log("train_stage_{chain}_part{part}"),
    benchmark:
        WORK.benchmark("train_stage_{chain}_part{part}")
    priority: 10  # most of the study waits for this
    conda:
        "../environment.yml"
    threads: training_threads
    resources:
        mem_mb=ask_memory("train_stage", 6000),
        runtime=ask_minutes("train_stage"),
        gpu=JOBS.count_stage_gpus,
    params:
        doer=lambda w: layout_of(w).modules.train,
        settings=setting_of("stage", lambda w: JOBS.stage_of(w).settings),
        # The state is not declared as output, so that it outlives a killed job.
        given=lambda w, input: [
            *("--balance", input.balance, "--tiles", input.tiles),
            *("--parent", *input.parent, "--part", w.part, "--chain", w.chain),
            *("--state", layout_of(w).state(w.chain).as_posix()),
        ],
    message:
        "{wildcards.study}: train {wildcards.chain}"
    shell:
        "exec python {input.program:q} --by {params.doer:q} "
        "--manifest {input.manifest:q} --split {input.split:q} --settings {params.settings:q} "
        "--threads {threads} {params.given:q} --out {output:q} --log {log:q}"


use rule train_stage as train_table with:
    input:
        manifest=WORK.data.manifest,
        split=WORK.split().roles,
        program=program_of("train_stage"),
        code=code_of("train_stage", leave_out="tracking"),
        doer=doer_code("train"),
    output:
        networks=directory(WORK.networks),
    log:
        WORK.log("train_table"),
    benchmark:
        WORK.benchmark("train_table")
    wildcard_constraints:
        study=TABLE_STUDIES,
    threads: 1
    resources:
        mem_mb=ask_memory("train_table", 2000),
        runtime=ask_minutes("train_table"),
    params:
        settings=lambda w: JOBS.table_settings(
            w, "split", "networks", "train", "arms", "main_arm", "ablations"
        ),
        given=[],
    message:
        "{wildcards.study}: train all networks together"
