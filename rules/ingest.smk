# From a folder of images to the sample table.


rule ingest_dataset:
    input:
        images=JOBS.generated_images,
        simulated=JOBS.label_simulation,
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
    threads: few_cores
    resources:
        mem_mb=ask_memory("ingest_dataset", 2000),
        runtime=ask_minutes("ingest_dataset"),
    params:
        doer=lambda w: layout_of(w).modules.ingest,
        frames=lambda w, output: ["--frames", output.frames],
        dataset=JOBS.find_dataset,
        settings=setting_of("dataset", JOBS.reading_settings),
        simulated=JOBS.label_options,
        # Pictures that stayed as they were are not read again.
        cache=JOBS.cache_option,
        # An edited image is noticed, with or without DVC.
        listing=JOBS.list_pictures,
    message:
        "{wildcards.study}: read the data set ({wildcards.source})"
    shell:
        "exec python {input.program:q} --by {params.doer:q} --dataset {params.dataset:q} "
        "--settings {params.settings:q} {params.simulated:q} --manifest {output.manifest:q} --rejects {output.rejects:q} "
        "{params.frames:q} {params.cache:q} --summary {output.summary:q} --log {log:q}"


use rule ingest_dataset as ingest_table with:
    input:
        tables=JOBS.table_files,
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
        dataset=lambda w, input: ("." if study_of(w).dataset.files else input.tables),
        settings=setting_of("dataset", lambda w: study_of(w).dataset),
        simulated=[],
        listing=JOBS.digest_tables,
    message:
        "{wildcards.study}: read the tables"
