"""How arms, baselines, domains and columns are called in figures and reports."""

from batteryscope.config.table_data import ColumnSettings, TableDatasetSettings
from batteryscope.core.baseline_catalogue import OF_ROWS, find_words

ARM_LABELS = {
    "source": "source network",
    "pretrained": "source network as it is",
    "adapter": "transfer (adapter)",
    "scratch": "from scratch",
    "fine_tuning": "fine-tuning of all weights",
    "source_process": "source Gaussian process",
    "pretrained_process": "source Gaussian process as it is",
    "transfer_process": "transfer (Gaussian process)",
}


def name_arm(arm: str) -> str:
    """Return an arm or a baseline in words."""
    return ARM_LABELS.get(arm) or find_words(arm, OF_ROWS).label


# What the field writes in capitals.
ABBREVIATIONS = {
    "gdl": "GDL", "lco": "LCO", "lfp": "LFP", "lmo": "LMO", "lto": "LTO", "nca": "NCA",
    "nmc": "NMC", "ncm": "NCM", "si": "Si",
}  # fmt: skip


def name_domain(domain: str) -> str:
    """Return a domain in words: ``si_graphite`` → Si graphite, ``nmc`` → NMC."""
    return " ".join(ABBREVIATIONS.get(word, word) for word in domain.split("_"))


def name_column(name: str, settings: ColumnSettings | None = None) -> str:
    """Return a column in words, without its unit."""
    return (settings.label if settings else "") or name.replace("_", " ")


def label_column(name: str, settings: ColumnSettings | None = None) -> str:
    """Return a column in words with its unit, for an axis."""
    unit = f" ({settings.unit})" if settings and settings.unit else ""
    return name_column(name, settings) + unit


def format_half_width(share: float) -> str:
    """Return ``± 8.4 %`` for 0.084; an infinite interval comes from too few rows."""
    return f"± {100 * share:.1f} %" if share < float("inf") else "unbounded (too few rows)"


def order_domains(dataset: TableDatasetSettings, present: list[str]) -> list[str]:
    """List domains: the source first, the others by name."""
    known = sorted(set(present) - {dataset.source})
    return [*([dataset.source] if dataset.source in present else []), *known]
