# From a folder of images to the sample table.


rule ingest_dataset:
    input:
        images=generated_folder,
        simulated=label_simulation,
        program=program_of("ingest_dataset"),
        code=code_of("ingest_dataset"),
        doer=doer_code("ingest"),
    output:
        manifest=WORK.dataset("{source}").manifest,
        rejects=WORK.dataset("{source}").rejects,
        frames=WORK.dataset("{source}").frames,
        summary=WORK.dataset("{source}").summary,
    log:
        WORK.log("ingest_dataset_{source}"),
    benchmark:
        WORK.benchmark("ingest_dataset_{source}")
    wildcard_constraints:
        study=IMAGE_STUDIES,
    priority: 50  # everything waits for this
    conda:
        "../environment.yml"
    threads: lambda w: min(2, fair_cores(w))
    resources:
        mem_mb=ask_memory("ingest_dataset", 2000),
        runtime=ask_minutes("ingest_dataset"),
    params:
        doer=lambda w: layout_of(w).modules.ingest,
        frames=lambda w, output: ["--frames", output.frames],
        dataset=lambda w: dataset_folder(w.study, w.source),
        settings=lambda w: settings_file(w.study, "dataset", reading_settings(w)),
        simulated=label_simulation_options,
        # No output, so that it outlives a change: pictures that stayed as they were are not read again.
        cache=lambda w: [
            "--cache",
            layout_of(w).state(f"ingest_{w.source}.sqlite").as_posix(),
        ],
        # Names, sizes and times of the user's files: an edited image is noticed, with or without DVC.
        listing=lambda w: fingerprint_once(dataset_settings(w).path)
        + mark_replaced(w.study, w.source),
    message:
        "{wildcards.study}: read the data set ({wildcards.source})"
    shell:
        "exec python {input.program:q} --by {params.doer:q} --dataset {params.dataset:q} "
        "--settings {params.settings:q} {params.simulated:q} --manifest {output.manifest:q} --rejects {output.rejects:q} "
        "{params.frames:q} {params.cache:q} --summary {output.summary:q} --log {log:q}"


use rule ingest_dataset as ingest_table with:
    input:
        tables=table_files,
        program=program_of("ingest_dataset"),
        code=code_of("ingest_dataset"),
        doer=doer_code("ingest"),
    output:
        manifest=WORK.data.manifest,
        rejects=WORK.data.rejects,
        summary=WORK.data.summary,
    log:
        WORK.log("ingest_table"),
    benchmark:
        WORK.benchmark("ingest_table")
    wildcard_constraints:
        study=TABLE_STUDIES,
    threads: 1
    params:
        frames=[],
        cache=[],
        dataset=lambda w, input: ("." if table_study(w).dataset.files else input.tables),
        settings=lambda w: settings_file(w.study, "dataset", table_study(w).dataset),
        simulated=[],
        # An older table in the place of a newer one would not count by its date.
        listing=digest_tables,
    message:
        "{wildcards.study}: read the tables"
