# From a folder of images to the sample table.


rule ingest_dataset:
    input:
        images=generated_folder,
        simulated=label_simulation,
        code=code_of("ingest_dataset"),
    output:
        manifest="work/{study}/{source}/manifest.parquet",
        rejects="work/{study}/{source}/rejects.csv",
        frames="work/{study}/{source}/frames.parquet",
        summary="work/{study}/{source}/summary.json",
    log:
        "work/{study}/logs/ingest_dataset_{source}.log",
    benchmark:
        "work/{study}/benchmarks/ingest_dataset_{source}.tsv"
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
