# Studies whose samples are rows of a table: from the rows to the report and the runs in MLflow.


rule generate_table:
    input:
        code=code_of("generate_table"),
    output:
        table=directory("work/{study}/data/table"),
    log:
        "work/{study}/logs/generate_table.log",
    benchmark:
        "work/{study}/benchmarks/generate_table.tsv"
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
        manifest="work/{study}/data/manifest.parquet",
        rejects="work/{study}/data/rejects.csv",
        summary="work/{study}/data/summary.json",
    log:
        "work/{study}/logs/ingest_table.log",
    benchmark:
        "work/{study}/benchmarks/ingest_table.tsv"
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
        manifest="work/{study}/data/manifest.parquet",
        code=code_of("split_table"),
    output:
        split="work/{study}/splits/split.parquet",
        audit="work/{study}/splits/audit.json",
    log:
        "work/{study}/logs/split_table.log",
    benchmark:
        "work/{study}/benchmarks/split_table.tsv"
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
        manifest="work/{study}/data/manifest.parquet",
        split="work/{study}/splits/split.parquet",
        code=code_of("train_networks"),
    output:
        networks=directory("work/{study}/networks"),
    log:
        "work/{study}/logs/train_networks.log",
    benchmark:
        "work/{study}/benchmarks/train_networks.tsv"
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
        manifest="work/{study}/data/manifest.parquet",
        split="work/{study}/splits/split.parquet",
        networks="work/{study}/networks",
        code=code_of("evaluate_table"),
    output:
        comparison=directory("work/{study}/comparison"),
    log:
        "work/{study}/logs/evaluate_table.log",
    benchmark:
        "work/{study}/benchmarks/evaluate_table.tsv"
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
        manifest="work/{study}/data/manifest.parquet",
        split="work/{study}/splits/split.parquet",
        networks="work/{study}/networks",
        code=code_of("explain_table"),
    output:
        explanations=directory("work/{study}/explanations"),
    log:
        "work/{study}/logs/explain_table.log",
    benchmark:
        "work/{study}/benchmarks/explain_table.tsv"
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
        manifest="work/{study}/data/manifest.parquet",
        split="work/{study}/splits/split.parquet",
        networks="work/{study}/networks",
        comparison="work/{study}/comparison",
        code=code_of("propose_parameters"),
    output:
        proposals=directory("work/{study}/proposals"),
    log:
        "work/{study}/logs/propose_parameters.log",
    benchmark:
        "work/{study}/benchmarks/propose_parameters.tsv"
    wildcard_constraints:
        study=TABLE_STUDIES,
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        settings=lambda w: table_settings(
            w, "networks", "train", "arms", "main_arm", "evaluate", "propose"
        ),
    message:
        "{wildcards.study}: propose settings for the wanted targets"
    shell:
        "python workflow_scripts/propose_parameters.py --settings {params.settings:q} "
        "--manifest {input.manifest:q} --split {input.split:q} --networks {input.networks:q} "
        "--comparison {input.comparison:q} --out {output.proposals:q} --log {log:q}"


rule bundle_networks:
    input:
        manifest="work/{study}/data/manifest.parquet",
        networks="work/{study}/networks",
        comparison="work/{study}/comparison",
        code=code_of("bundle_networks"),
    output:
        bundle=directory("work/{study}/bundle"),
    log:
        "work/{study}/logs/bundle_networks.log",
    benchmark:
        "work/{study}/benchmarks/bundle_networks.tsv"
    wildcard_constraints:
        study=TABLE_STUDIES,
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        settings=lambda w: settings_file(w.study, "bundled", without_sweeps(w.study)),
    message:
        "{wildcards.study}: bundle the networks for use on new rows"
    shell:
        "python workflow_scripts/bundle_networks.py --settings {params.settings:q} "
        "--study {wildcards.study:q} --manifest {input.manifest:q} --networks {input.networks:q} "
        "--comparison {input.comparison:q} --out {output.bundle:q} --log {log:q}"


rule report_table:
    input:
        manifest="work/{study}/data/manifest.parquet",
        split="work/{study}/splits/split.parquet",
        networks="work/{study}/networks",
        comparison="work/{study}/comparison",
        explanations="work/{study}/explanations",
        proposals=lambda w: (
            f"work/{w.study}/proposals" if table_study(w).propose else []
        ),
        sweeps=sweep_pieces,
        code=code_of("report_table"),
    output:
        report=directory("work/{study}/report"),
    log:
        "work/{study}/logs/report_table.log",
    benchmark:
        "work/{study}/benchmarks/report_table.tsv"
    wildcard_constraints:
        study=TABLE_STUDIES,
    conda:
        "../environment.yml"
    resources:
        mem_mb=1000,
    params:
        settings=lambda w: settings_file(w.study, "study", table_study(w)),
        manifest_dir=lambda w, input: Path(input.manifest).parent.as_posix(),
        proposals=lambda w, input: (
            ["--proposals", input.proposals] if input.proposals else []
        ),
        sweeps=lambda w, input: ["--sweeps", *input.sweeps] if input.sweeps else [],
    message:
        "{wildcards.study}: write the report"
    shell:
        "python workflow_scripts/report_table.py --study {wildcards.study:q} "
        "--settings {params.settings:q} --comparison {input.comparison:q} "
        "--manifest-dir {params.manifest_dir:q} --split {input.split:q} "
        "--networks {input.networks:q} --explanations {input.explanations:q} "
        "{params.proposals:q} {params.sweeps:q} --out {output.report:q} --log {log:q}"


rule track_table:
    input:
        summary="work/{study}/data/summary.json",
        split="work/{study}/splits/split.parquet",
        networks="work/{study}/networks",
        comparison="work/{study}/comparison",
        report="work/{study}/report",
        bundle="work/{study}/bundle",
        code=code_of("track_table"),
    output:
        tracked="work/{study}/tracked.json",
    log:
        "work/{study}/logs/track_table.log",
    benchmark:
        "work/{study}/benchmarks/track_table.tsv"
    wildcard_constraints:
        study=TABLE_STUDIES,
    conda:
        "../environment.yml"
    resources:
        mem_mb=1000,
    params:
        settings=lambda w: settings_file(w.study, "study", table_study(w)),
        data_version=version_option,
    message:
        "{wildcards.study}: record the runs in MLflow"
    shell:
        "python workflow_scripts/track_table.py --study {wildcards.study:q} "
        "--settings {params.settings:q} "
        "--manifest-summary {input.summary:q} {params.data_version:q} "
        "--split {input.split:q} --networks {input.networks:q} --comparison {input.comparison:q} "
        "--report {input.report:q} --bundle {input.bundle:q} --out {output.tracked:q} --log {log:q}"
