# A search for settings by successive halving: created once, trained by workers, summarised.


rule check_search_storage:
    input:
        program=program_of("check_search_storage"),
        code=code_of("check_search_storage"),
    output:
        # Gone after use, so that the next search that is created connects anew.
        reached=temp(WORK.search.reached),
    log:
        WORK.log("check_search_storage"),
    benchmark:
        WORK.benchmark("check_search_storage")
    wildcard_constraints:
        study=SEARCHES.studies,
    priority: 1000  # a wrong address shall be told before the data work
    conda:
        "../environment.yml"
    # On one machine nothing else starts meanwhile, which would have to end before the run can stop.
    threads: ALL_CORES if IS_LOCAL else 1
    resources:
        mem_mb=ask_memory("check_search_storage", 1000),
        runtime=ask_minutes("check_search_storage"),
    params:
        storage=SEARCHES.storage_of,
    message:
        "{wildcards.study}: connect to the database of the search"
    shell:
        "exec python {input.program:q} --storage {params.storage:q} "
        "--out {output.reached:q} --log {log:q}"


rule create_search:
    input:
        reached=SEARCHES.find_reached,
        manifest=WORK.data.manifest,
        split=SEARCHES.find_input("split"),
        tiles=SEARCHES.find_input("tiles"),
        rows=SEARCHES.find_input("rows"),
        # Random search gets as many epochs as ASHA has used.
        asha=SEARCHES.find_finished_asha,
        program=program_of("create_search"),
        code=code_of("create_search"),
        doer=doer_code("search"),
    output:
        created=WORK.search.created("{strategy}"),
    log:
        WORK.log("create_search_{strategy}"),
    benchmark:
        WORK.benchmark("create_search_{strategy}")
    wildcard_constraints:
        study=SEARCHES.studies,
        strategy="asha|random",
    conda:
        "../environment.yml"
    resources:
        mem_mb=ask_memory("create_search", 1000),
        runtime=ask_minutes("create_search"),
    params:
        settings=SEARCHES.write_settings,
        storage=SEARCHES.storage_of,
        data=lambda w, input: (
            [input.split, f"{input.tiles}/index.parquet"]
            if input.tiles
            else [input.split, input.rows]
        ),
        asha=lambda w, input: ["--asha", input.asha[-1]] if input.asha else [],
    message:
        "{wildcards.study}: create the search ({wildcards.strategy})"
    shell:
        "exec python {input.program:q} --study {wildcards.study:q} "
        "--settings {params.settings:q} --strategy {wildcards.strategy:q} "
        "--storage {params.storage:q} --data {params.data:q} --manifest {input.manifest:q} "
        "{params.asha:q} --out {output.created:q} --log {log:q}"


rule run_search_worker:
    input:
        created=WORK.search.created("{strategy}"),
        manifest=WORK.data.manifest,
        split=SEARCHES.find_input("split"),
        tiles=SEARCHES.find_input("tiles"),
        parent=SEARCHES.find_input("parents"),
        weights=SEARCHES.find_weights,
        program=program_of("run_search_worker"),
        code=code_of("run_search_worker", leave_out="tracking"),
        doer=lambda w: module_code(SEARCHES.plan_of(w).trainer),
    output:
        worker=WORK.search.worker("{strategy}", "{worker}"),
    log:
        WORK.log("run_search_worker_{strategy}_{worker}"),
    benchmark:
        WORK.benchmark("run_search_worker_{strategy}_{worker}")
    wildcard_constraints:
        study=SEARCHES.studies,
        strategy="asha|random",
        worker="[0-9]+",
    retries: 2  # a killed worker comes back, and its candidate with it
    conda:
        "../environment.yml"
    threads: search_threads
    resources:
        mem_mb=ask_memory("run_search_worker", 4000),
        runtime=ask_minutes("run_search_worker"),
        gpu=SEARCHES.count_gpus,
    params:
        settings=SEARCHES.write_settings,
        storage=SEARCHES.storage_of,
        # Not declared as output, so that it outlives a killed job.
        state=str(WORK.state("search")),
        tiles=lambda w, input: ["--tiles", input.tiles] if input.tiles else [],
    message:
        "{wildcards.study}: search ({wildcards.strategy}), worker {wildcards.worker}"
    shell:
        "exec python {input.program:q} --study {wildcards.study:q} "
        "--settings {params.settings:q} --created {input.created:q} "
        "--storage {params.storage:q} --worker {wildcards.worker:q} --manifest {input.manifest:q} "
        "--split {input.split:q} {params.tiles:q} --parent {input.parent:q} "
        "--state {params.state:q} --out {output.worker:q} --log {log:q}"


rule summarise_search:
    input:
        created=SEARCHES.list_created,
        workers=SEARCHES.list_all_workers,
        program=program_of("summarise_search"),
        code=code_of("summarise_search"),
        doer=doer_code("search"),
    output:
        summary=directory(WORK.search.summary),
    log:
        WORK.log("summarise_search"),
    benchmark:
        WORK.benchmark("summarise_search")
    wildcard_constraints:
        study=SEARCHES.studies,
    conda:
        "../environment.yml"
    resources:
        mem_mb=ask_memory("summarise_search", 2000),
        runtime=ask_minutes("summarise_search"),
    params:
        settings=SEARCHES.write_summary_settings,
        storage=SEARCHES.storage_of,
    message:
        "{wildcards.study}: summarise the search"
    shell:
        "exec python {input.program:q} --study {wildcards.study:q} "
        "--settings {params.settings:q} --created {input.created:q} "
        "--storage {params.storage:q} --out {output.summary:q} --log {log:q}"


for study_name in SEARCHES.searches:

    rule:
        name:
            f"search_{study_name}"
        input:
            LAYOUTS[study_name].search.tracked,
