# From a folder of images to the sample table.


rule ingest_dataset:
    input:
        images=generated_folder,
        simulated=label_simulation,
        code=code_of("ingest_dataset"),
    output:
        manifest=WORK.dataset("{source}").manifest,
        rejects=WORK.dataset("{source}").rejects,
        frames=WORK.dataset("{source}").frames,
        summary=WORK.dataset("{source}").summary,
    log:
        WORK.log("ingest_dataset_{source}"),
    benchmark:
        WORK.benchmark("ingest_dataset_{source}")
    priority: 50  # everything waits for this
    conda:
        "../environment.yml"
    threads: 2
    resources:
        mem_mb=2000,
    params:
        dataset=lambda w: dataset_folder(w.study, w.source),
        settings=lambda w: settings_file(w.study, "dataset", reading_settings(w)),
        simulated=label_simulation_options,
        # Names, sizes and times of the user's files: an edited image is noticed, with or without DVC.
        listing=lambda w: fingerprint_folder(dataset_settings(w).path),
    message:
        "{wildcards.study}: read the data set ({wildcards.source})"
    shell:
        "python workflow_scripts/ingest_dataset.py --dataset {params.dataset:q} "
        "--settings {params.settings:q} {params.simulated:q} --manifest {output.manifest:q} --rejects {output.rejects:q} "
        "--frames {output.frames:q} --summary {output.summary:q} --log {log:q}"
