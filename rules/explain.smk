# Where the models look.


rule explain_arm:
    input:
        manifest=WORK.data.manifest,
        tiles=lambda w: layout_of(w).tiles(plan_of(w).arms[w.arm].tiles),
        fits=arm_parts,
        predictions=WORK.evaluated("{arm}").predictions,
        images=generated_images,
        code=code_of("explain_arm"),
    output:
        maps=directory(WORK.evaluated("{arm}").maps),
    log:
        WORK.log("explain_arm_{arm}"),
    benchmark:
        WORK.benchmark("explain_arm_{arm}")
    priority: 5  # the report waits for this, not for the bundle
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        gpu=1,
    params:
        settings=lambda w: settings_file(
            w.study, "explain", PROJECT.studies[w.study].explain
        ),
        masks=masks_option,
        # An edited mask is noticed like an edited image.
        listing=lambda w: fingerprint_folder(PROJECT.studies[w.study].dataset.masks),
        preprocess=measured_preprocess,
    message:
        "{wildcards.study}: draw where {wildcards.arm} looks"
    shell:
        "python workflow_scripts/explain_arm.py --arm {wildcards.arm:q} "
        "--settings {params.settings:q} --fits {input.fits:q} --tiles {input.tiles:q} "
        "--predictions {input.predictions:q} --manifest {input.manifest:q} "
        "{params.masks:q} {params.preprocess:q} --out {output.maps:q} --log {log:q}"
