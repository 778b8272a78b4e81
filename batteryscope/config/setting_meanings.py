"""What settings mean whose class says nothing of them: by key, or by class and key.

For the schema alone (:mod:`batteryscope.config.schema`); no job depends on these words.
"""

WORDS = {
    # Of many classes.
    "seed": (
        "Number from which all random choices here are derived; equal numbers give equal results."
    ),
    "title": "What the study is called in reports, MLflow and lists.",
    "paper": "The paper whose design this study follows, such as 'Oh et al. 2024'; empty: none.",
    "paper_doi": "DOI of that paper, without https://doi.org/.",
    "unit": "Unit of the values, as it is shown in tables and figures.",
    "label": "Name in reports; empty: the key, with spaces for underscores.",
    "dataset": "Where the samples come from, and what is known of them.",
    "split": "How samples are divided into training, validation and test.",
    "train": "How networks are trained.",
    "evaluate": "Baselines, published values and further tests.",
    "explain": "What is shown of what the networks look at.",
    "method": "Which way of doing it; the other keys of this section go with it.",
    "epochs": "How often every training tile or row is seen.",
    "batch_size": "Samples that are computed together; smaller needs less memory.",
    "learning_rate": "Size of a step of the optimiser.",
    "repeats": "How often the division is drawn anew and everything is trained again.",
    "images_per_class": "Generated images of every class.",
    "width_px": "Width of a generated picture in pixels.",
    "height_px": "Height of a generated picture in pixels.",
    "input_px": "Edge of what the network sees, in pixels; tiles are resized to it.",
    "data_bar": (
        "Height in pixels of the bar that the microscope writes below the picture; auto finds "
        "it, none: there is none."
    ),
    "c_rates": "C-rates at which capacities are predicted or computed.",
    "baselines": "Simple models beside the networks; what they need must be known of the samples.",
    "rows": "How many rows, by domain where there are several.",
    "workers": "Processes that train candidates side by side.",
    "generator": "What makes the data where no path to files is given.",
    "features": "Columns that networks read, by the name that they have here.",
    "targets": "Columns that are predicted, by the name that they have here.",
    "noise": "Relative standard deviation of the noise on generated targets.",
    "coverage": "Share of true values that shall lie in the predicted intervals.",
    # Project and its studies.
    "Project.scale": (
        "demo: small and quick, with the demo section of every study; paper: the full design."
    ),
    "Project.tracking": "Where runs are recorded for MLflow.",
    "Project.curve": (
        "A learning curve for studies of classes that have none: yes, or numbers of images per "
        "class."
    ),
    "Project.sweeps": "Names of the sweeps to run, or all.",
    "Project.replace": (
        "Studies whose published results may make room for results of other data, or all."
    ),
    "Project.studies": (
        "The studies by name; the name is that of folders and of the target of a run."
    ),
    "TrainSettings.batch_size": (
        "Samples that are computed together, on each device; smaller needs less memory."
    ),
    "TrackingSettings.enabled": "Whether runs are recorded in MLflow at all.",
    "TrackingSettings.uri": (
        "A SQLite database such as sqlite:///mlflow.db, or the address of a server."
    ),
    "StudySettings.kind": "image: pictures or scans (may be left out).",
    "StudySettings.preprocess": "How pictures or scans become tiles.",
    "StudySettings.balance": "What is done about classes of unequal size.",
    "StudySettings.augment": "How training tiles are varied at random.",
    "StudySettings.model": "The network, its weights and its input.",
    "StudySettings.arms": "The strategies that are compared, by name.",
    "StudySettings.search": "Which settings are searched on validation parts, and how.",
    "TableStudySettings.arms": "Strategies of transfer that are compared.",
    "TableStudySettings.main_arm": "The strategy that is published and judged first.",
    "TableStudySettings.kind": "table: the data are rows with numbers.",
    "TableStudySettings.ablations": "What is measured with fewer rows and other divisions.",
    "TableStudySettings.propose": (
        "Which settings shall give wanted values of the targets; null: none are looked for."
    ),
    "TableStudySettings.run_sweeps": "Names of the sweeps that are run.",
    # Data.
    "DatasetSettings.name": "Name of the data set in reports: letters, digits, - and _.",
    "TableDatasetSettings.name": "Name of the data set in reports: letters, digits, - and _.",
    "DatasetSettings.path": (
        "The folder with the pictures or scans; without it a generator makes some."
    ),
    "DatasetSettings.labels": "Where the class of a sample is written.",
    "DatasetSettings.expected_size_px": "Width and height that all pictures must have; null: any.",
    "SemTopViewGenerator.kind": "sem_top_view: drawn SEM top views of NCM cathodes.",
    "CheckSetGenerator.kind": "trivial: must be solved; random: must not be solvable.",
    "CtCellGenerator.kind": "ct_cell: drawn micro-CT scans of cylindrical cells.",
    "CrossSectionGenerator.kind": "cross_section: drawn cross-sections of cathodes.",
    "ManufacturingGenerator.kind": (
        "electrode_manufacturing: rows by laws of coating and calendering."
    ),
    "GdlGenerator.kind": "gdl: rows measured on drawn gas diffusion layers.",
    "SemTopViewGenerator.compositions": "Compositions to draw; 622 is NCM622.",
    "SemTopViewGenerator.states": "Cycling states to draw.",
    "SemTopViewGenerator.additives": "Electrolyte additives to draw; none: without.",
    "CheckSetGenerator.classes": "Number of classes.",
    "CtCellGenerator.slices": "Slices of every scan.",
    "CtCellGenerator.size_px": "Edge of a slice in pixels.",
    "CtCellGenerator.states": "States of health to draw.",
    "CrossSectionGenerator.porosities": "Levels of porosity as shares between 0.15 and 0.55.",
    "CrossSectionGenerator.electrodes_per_porosity": "Electrodes of every level.",
    "CrossSectionGenerator.images_per_electrode": "Pictures of every electrode.",
    "LabelSettings.source": "folders: names of folders tell the class; table: a table does.",
    "CapacityTargets.electrode_column": "Title of the column with the electrode.",
    "CapacityTargets.c_rate_column": "Title of the column with the C-rate.",
    "CapacityTargets.capacity_column": "Title of the column with the capacity.",
    "CapacityTargets.unit_column": "Title of the column with the unit of the capacity.",
    "QuantityTargets.quantities": "The numbers to predict, by name.",
    "QuantitySettings.axis": "Where on a curve it lies; null: it is no point of one.",
    "AxisSettings.name": "What the curve runs over, such as frequency or cycle number.",
    "AxisSettings.unit": "Unit of the axis; empty: it has none.",
    "AxisSettings.at": "Value on the axis, in that unit.",
    "CovariateTable.columns": "The covariates, by name.",
    "GdlGenerator.voxel_size_um": "Edge of a voxel of the drawn layers in micrometres.",
    "TableDatasetSettings.files": "The files with the rows; without any a generator makes them.",
    "TableFile.path": "The file: CSV, Excel or parquet.",
    # Division, balance, networks, training.
    "SplitSettings.scheme": (
        "How parts are formed: holdout, kfold, holdout_kfold, ordered or leave_one_out."
    ),
    "SplitSettings.validation_fraction": (
        "Share of what is left after the test part that chooses the epoch."
    ),
    "SplitSettings.stratify": (
        "Whether classes have the same shares in all parts, as far as groups allow."
    ),
    "TableSplitSettings.test_fraction": "Share of the rows of every domain that is tested.",
    "BalanceSettings.method": "none, oversample, class_weights or class_balanced.",
    "ModelSettings.backbone": (
        "Name of a network in timm, or rate_cnn, the network of Deeg et al. (2024)."
    ),
    "ModelSettings.backbone_options": (
        "Further options that timm gives the network, by name, such as pad_type of weights that"
        " come from TensorFlow."
    ),
    "TrainSettings.optimiser": "adam, adamw, sgd or lookahead_radam.",
    "TrainSettings.weight_decay": (
        "Share of the weights that is taken off at each step (decoupled in adamw)."
    ),
    "TrainSettings.warmup_epochs": "Epochs in which the learning rate rises to its value.",
    "TrainSettings.label_smoothing": "Share of the truth that is spread evenly over all classes.",
    "TrainSettings.early_stopping_epochs": (
        "Training ends after so many epochs without a better one; null: never."
    ),
    "TrainSettings.precision": "Bits of the numbers in training; 16 and bf16 want a GPU.",
    "TrainSettings.accelerator": "Where training runs; auto takes a GPU if there is one.",
    "TrainSettings.devices": "Number of GPUs for one training.",
    "TrainSettings.resident_tiles": "Keep all tiles in the memory of the GPU.",
    "TrainSettings.compile": "Make machine code for the network first (torch.compile).",
    "Arm.stages": "Trainings that follow each other, each from the weights of the one before.",
    "Stage.name": "Name of the stage in folders and reports.",
    # Evaluation and explanation.
    "EvaluateSettings.learning_curve": "Trainings with fewer images per class; null: none.",
    "EvaluateSettings.paper": "Published values that stand beside ours.",
    "TableEvaluateSettings.paper": "Published values that stand beside ours.",
    "LearningCurveSettings.images_per_class": (
        "Numbers of training images per class, points of the curve."
    ),
    "LearningCurveSettings.specimens_per_class": (
        "Numbers of training specimens (cells) per class instead, each with all its images."
    ),
    "PaperValue.metric": "Which metric it is, such as accuracy or mape.",
    "PaperValue.value": (
        "The published value, in the unit of the metric (accuracies between 0 and 1)."
    ),
    "PaperValue.target": "The label column or target that it is about; empty: all together.",
    "PaperValue.domain": "The domain that it is about; empty: all together.",
    "PaperValue.level": (
        "What was counted: tiles, slices, images, specimens, rows; external images; experts."
    ),
    "PaperRange.metric": "Which error it is.",
    "PaperRange.arm": "The model that it is about.",
    "PaperRange.low": "The lowest published error, mape in percent.",
    "PaperRange.high": "The highest published error, mape in percent.",
    "PaperRange.note": "What a reader should know of it.",
    "PaperDistribution.target": "The target whose values these are.",
    "PaperDistribution.domain": "The domain whose rows these are.",
    "PaperDistribution.mean": "The published mean, in the unit of the target.",
    "PaperDistribution.low": "The lowest published value, in the unit of the target.",
    "PaperDistribution.high": "The highest published value, in the unit of the target.",
    "PaperDistribution.note": "What a reader should know of it.",
    "PaperOrder.target": "The target whose model it is about.",
    "PaperOrder.domain": "The domain whose rows were explained.",
    "PaperOrder.features": "Names of features, the most important first.",
    "PaperOrder.note": "What a reader should know of it.",
    "PaperClass.specificity": "Share of the samples of other classes not called by this name.",
    "PaperValue.note": "What a reader should know of it.",
    "PaperClass.recall": "Share of the samples of this class that were found.",
    "PaperClass.precision": "Share of the answers with this class that were right.",
    "PaperClass.f1": "Harmonic mean of recall and precision.",
    "PaperClass.jaccard": (
        "Samples that are and were called this class, per samples that are or were."
    ),
    # Half-cell model.
    "HalfCellSettings.porosity_min": "Lowest porosity for which the model is solved (share).",
    "HalfCellSettings.porosity_max": "Highest porosity for which the model is solved (share).",
    "HalfCellSettings.loading_mg_cm2": "Active material per area in mg/cm².",
    "HalfCellSettings.active_share": "Mass share of active material.",
    "HalfCellSettings.binder_share": "Mass share of binder; the rest is carbon.",
    "HalfCellSettings.active_density_g_cm3": "Density of the active material in g/cm³.",
    "HalfCellSettings.binder_density_g_cm3": "Density of the binder in g/cm³.",
    "HalfCellSettings.carbon_density_g_cm3": "Density of the carbon in g/cm³.",
    "HalfCellSettings.particle_radius_um": "Radius of the particles in micrometres.",
    "HalfCellSettings.binder_gradient": "How far binder has moved to the surface (-1 to 1).",
    "HalfCellSettings.lost_particles": "Share of the active mass that is no longer connected.",
    "HalfCellSettings.coating_thickness_um": (
        "Thickness of the coating in micrometres; null: what follows from loading and porosity."
    ),
    "HalfCellSettings.upper_voltage": "Voltage at which discharging begins, in V.",
    "HalfCellSettings.lower_voltage": "Voltage at which discharging ends, in V.",
    # Sweeps, searches, proposals.
    "SweepSettings.grid": "Dotted keys with their values; they may also stand beside this key.",
    "Interval.low": "Lower limit, included.",
    "Interval.high": "Upper limit, included.",
    "ProposeSettings.proposals": "How many proposals are shown.",
}
