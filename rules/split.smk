# Who trains, who validates, who tests; and how unequal class sizes are treated.


rule split_dataset:
    input:
        manifest="work/{study}/data/manifest.parquet",
        frames="work/{study}/data/frames.parquet",
        code=code_of("split_dataset"),
    output:
        split="work/{study}/splits/{split}/split.parquet",
        audit="work/{study}/splits/{split}/audit.json",
    log:
        "work/{study}/logs/split_dataset_{split}.log",
    benchmark:
        "work/{study}/benchmarks/split_dataset_{split}.tsv"
    priority: 10  # most of the study waits for training
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        settings=lambda w: settings_file(w.study, "split", plan_of(w).splits[w.split]),
    message:
        "{wildcards.study}: split the samples and look for leaks"
    shell:
        "python workflow_scripts/split_dataset.py --manifest {input.manifest:q} "
        "--frames {input.frames:q} --settings {params.settings:q} "
        "--split {output.split:q} --audit {output.audit:q} --log {log:q}"


rule balance_stage:
    input:
        manifest="work/{study}/data/manifest.parquet",
        tiles=lambda w: f"work/{w.study}/tiles/{balances_of(w)[w.balance].tiles}",
        split=lambda w: f"work/{w.study}/splits/{balances_of(w)[w.balance].split}/split.parquet",
        code=code_of("balance_stage"),
    output:
        balance="work/{study}/balance/{balance}.parquet",
    log:
        "work/{study}/logs/balance_stage_{balance}.log",
    benchmark:
        "work/{study}/benchmarks/balance_stage_{balance}.tsv"
    priority: 10  # most of the study waits for training
    conda:
        "../environment.yml"
    resources:
        mem_mb=1000,
    params:
        settings=lambda w: settings_file(w.study, "balance", balances_of(w)[w.balance]),
    message:
        "{wildcards.study}: balance the classes for {wildcards.balance}"
    shell:
        "python workflow_scripts/balance_stage.py --manifest {input.manifest:q} "
        "--split {input.split:q} --index {input.tiles:q}/index.parquet "
        "--settings {params.settings:q} --out {output.balance:q} --log {log:q}"
