# Studies whose samples are rows of a table: from the rows to the report and the runs in MLflow.


rule generate_table:
    input:
        code=code_of("generate_table"),
    output:
        table=directory(WORK.data.table),
    log:
        WORK.log("generate_table"),
    benchmark:
        WORK.benchmark("generate_table")
    wildcard_constraints:
        study=TABLE_STUDIES,
    conda:
        "../environment.yml"
    threads: ALL_CORES
    resources:
        mem_mb=2000,
    params:
        settings=lambda w: settings_file(
            w.study, "generator", table_study(w).dataset.generator
        ),
    message:
        "{wildcards.study}: generate rows"
    shell:
        "python workflow_scripts/generate_table.py --settings {params.settings:q} "
        "--workers {threads} --out {output.table:q} --log {log:q}"


rule ingest_table:
    input:
        tables=table_files,
        code=code_of("ingest_table"),
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
    conda:
        "../environment.yml"
    resources:
        mem_mb=1000,
    params:
        settings=lambda w: settings_file(w.study, "dataset", table_study(w).dataset),
        root=lambda w, input: "." if table_study(w).dataset.files else input.tables,
    message:
        "{wildcards.study}: read the tables"
    shell:
        "python workflow_scripts/ingest_table.py --settings {params.settings:q} "
        "--root {params.root:q} --manifest {output.manifest:q} --rejects {output.rejects:q} "
        "--summary {output.summary:q} --log {log:q}"


rule split_table:
    input:
        manifest=WORK.data.manifest,
        code=code_of("split_table"),
    output:
        split=WORK.split().roles,
        audit=WORK.split().audit,
    log:
        WORK.log("split_table"),
    benchmark:
        WORK.benchmark("split_table")
    wildcard_constraints:
        study=TABLE_STUDIES,
    conda:
        "../environment.yml"
    resources:
        mem_mb=1000,
    params:
        settings=lambda w: settings_file(w.study, "split", table_study(w).split),
        features=lambda w: list(table_study(w).dataset.features),
    message:
        "{wildcards.study}: split the rows"
    shell:
        "python workflow_scripts/split_table.py --manifest {input.manifest:q} "
        "--settings {params.settings:q} --features {params.features:q} --split {output.split:q} "
        "--audit {output.audit:q} --log {log:q}"


rule train_networks:
    input:
        manifest=WORK.data.manifest,
        split=WORK.split().roles,
        code=code_of("train_networks"),
    output:
        networks=directory(WORK.networks),
    log:
        WORK.log("train_networks"),
    benchmark:
        WORK.benchmark("train_networks")
    wildcard_constraints:
        study=TABLE_STUDIES,
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        settings=lambda w: table_settings(
            w, "split", "networks", "train", "arms", "main_arm", "ablations"
        ),
    message:
        "{wildcards.study}: train all networks together"
    shell:
        "python workflow_scripts/train_networks.py --manifest {input.manifest:q} "
        "--split {input.split:q} --settings {params.settings:q} --threads {threads} "
        "--out {output.networks:q} --log {log:q}"


rule evaluate_table:
    input:
        manifest=WORK.data.manifest,
        split=WORK.split().roles,
        networks=WORK.networks,
        code=code_of("evaluate_table"),
    output:
        comparison=directory(WORK.comparison),
    log:
        WORK.log("evaluate_table"),
    benchmark:
        WORK.benchmark("evaluate_table")
    wildcard_constraints:
        study=TABLE_STUDIES,
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        settings=lambda w: table_settings(
            w,
            "split",
            "networks",
            "train",
            "arms",
            "main_arm",
            "ablations",
            "evaluate",
        ),
    message:
        "{wildcards.study}: fit the baselines and compare everything"
    shell:
        "python workflow_scripts/evaluate_table.py --manifest {input.manifest:q} "
        "--split {input.split:q} --predictions {input.networks:q}/predictions.parquet "
        "--settings {params.settings:q} --out {output.comparison:q} --log {log:q}"


rule explain_table:
    input:
        manifest=WORK.data.manifest,
        split=WORK.split().roles,
        networks=WORK.networks,
        code=code_of("explain_table"),
    output:
        explanations=directory(WORK.explanations),
    log:
        WORK.log("explain_table"),
    benchmark:
        WORK.benchmark("explain_table")
    wildcard_constraints:
        study=TABLE_STUDIES,
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        settings=lambda w: table_settings(
            w, "networks", "train", "arms", "main_arm", "explain"
        ),
    message:
        "{wildcards.study}: explain the networks"
    shell:
        "python workflow_scripts/explain_table.py --manifest {input.manifest:q} "
        "--split {input.split:q} --networks {input.networks:q} --settings {params.settings:q} "
        "--out {output.explanations:q} --log {log:q}"


rule propose_parameters:
    input:
        manifest=WORK.data.manifest,
        split=WORK.split().roles,
        networks=WORK.networks,
        comparison=WORK.comparison,
        code=code_of("propose_parameters"),
    output:
        proposals=directory(WORK.proposals),
    log:
        WORK.log("propose_parameters"),
    benchmark:
        WORK.benchmark("propose_parameters")
    wildcard_constraints:
        study=TABLE_STUDIES,
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        settings=settings_without(
            "sweeps", "run_sweeps", "search", "explain", "ablations", "split", "title"
        ),
        work=study_folder,
    message:
        "{wildcards.study}: propose settings for the wanted targets"
    shell:
        "python workflow_scripts/propose_parameters.py --study {wildcards.study:q} "
        "--settings {params.settings:q} --work {params.work:q} --out {output.proposals:q} "
        "--log {log:q}"
