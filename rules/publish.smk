# The only rule that writes outside work/: models/<study> and reports/<study>, which DVC versions.


rule publish_study:
    input:
        bundle="work/{study}/bundle",
        report="work/{study}/report",
        tracked="work/{study}/tracked.json",
        sweeps=lambda w: sweep_pieces(w, "tracked.json"),
        code=code_of("publish_study"),
    output:
        published="work/{study}/published.json",
    log:
        "work/{study}/logs/publish_study.log",
    benchmark:
        "work/{study}/benchmarks/publish_study.tsv"
    wildcard_constraints:
        study=ALL_STUDIES,
    conda:
        "../environment.yml"
    resources:
        mem_mb=500,
    params:
        study=lambda w: settings_file(w.study, "study", PROJECT.studies[w.study]),
    message:
        "{wildcards.study}: publish models and report"
    shell:
        "python workflow_scripts/publish_study.py --study {wildcards.study:q} "
        "--bundle {input.bundle:q} --report {input.report:q} --models models --reports reports "
        "--out {output.published:q} --log {log:q}"
