# From images to tiles in one memory-mapped array.


rule preprocess_images:
    input:
        manifest=WORK.data.manifest,
        images=JOBS.generated_images,
        program=program_of("preprocess_images"),
        code=code_of("preprocess_images"),
    output:
        tiles=directory(WORK.tiles("{tiles}")),
    log:
        WORK.log("preprocess_images_{tiles}"),
    benchmark:
        WORK.benchmark("preprocess_images_{tiles}")
    priority: 50  # everything waits for this
    conda:
        "../environment.yml"
    threads: few_cores
    resources:
        mem_mb=ask_memory("preprocess_images", 3000),
        runtime=ask_minutes("preprocess_images"),
    params:
        dataset=JOBS.find_dataset,
        settings=setting_of("tiles", lambda w: plan_of(w).tiles[w.tiles]),
        split=setting_of("split", lambda w: plan_of(w).find_tile_split(w.tiles)),
        max_pixels=lambda w: study_of(w).dataset.max_pixels,
    message:
        "{wildcards.study}: cut images into tiles"
    shell:
        "exec python {input.program:q} --manifest {input.manifest:q} "
        "--dataset {params.dataset:q} --settings {params.settings:q} --split {params.split:q} "
        "--max-pixels {params.max_pixels:q} --out {output.tiles:q} --log {log:q}"
