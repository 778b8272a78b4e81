# From images to tiles in one memory-mapped array.


rule preprocess_images:
    input:
        manifest=WORK.data.manifest,
        images=generated_images,
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
    threads: lambda w: min(2, fair_cores(w))
    resources:
        mem_mb=ask_memory("preprocess_images", 3000),
        runtime=ask_minutes("preprocess_images"),
    params:
        dataset=lambda w: dataset_folder(w.study),
        settings=lambda w: settings_file(w.study, "tiles", plan_of(w).tiles[w.tiles]),
        split=lambda w: settings_file(
            w.study, "split", plan_of(w).find_tile_split(w.tiles)
        ),
        max_pixels=lambda w: PROJECT.studies[w.study].dataset.max_pixels,
    message:
        "{wildcards.study}: cut images into tiles"
    shell:
        "exec python {input.program:q} --manifest {input.manifest:q} "
        "--dataset {params.dataset:q} --settings {params.settings:q} --split {params.split:q} "
        "--max-pixels {params.max_pixels:q} --out {output.tiles:q} --log {log:q}"
