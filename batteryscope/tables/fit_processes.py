"""How Gaussian processes learn: their variances and length scales by the evidence of the rows."""

import copy
import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from batteryscope.core.progress import log
from batteryscope.seeds import derive_seed
from batteryscope.tables.network_tasks import NetworkTask, Rows, TrainedNetwork
from batteryscope.tables.networks import Numbers
from batteryscope.tables.processes import DTYPE, GaussianProcess
from batteryscope.tables.row_order import order_rows

ITERATIONS = 40
MOST_ROWS = 1000  # a fit takes time with the third power of their number
# Logarithms: where the search starts, and its limits.
VARIANCES = (math.log(0.5), math.log(0.5), math.log(0.02), 0.0)  # linear, smooth, noise, parent
LOWEST, HIGHEST = math.log(1e-6), math.log(1e3)
# Length scales of features of variance 1 are expected around 3, give or take a factor of e.
LENGTH, LENGTH_SD, SHORTEST = math.log(3), 1.0, math.log(0.05)
TAUGHT_LENGTHS = (-2.0, 5.0)  # limits of what a parent makes expect
FAR_BELOW = 1e-3  # of the lowest training value: what is below has the logarithm of this
JITTER = 1e-8


def fit_process(
    features: Numbers, targets: Numbers, parent: GaussianProcess | None = None
) -> GaussianProcess:
    """Fit a process to rows, on their logarithms or as they are: what the rows make more likely.

    Laws of manufacturing are products of powers, which are sums of logarithms. Only columns whose
    training values are all positive have one. With a parent, what its more numerous rows have
    decided holds: the form, and which length scales are likely.

    Parameters
    ----------
    features
        (rows, n_features), in their units.
    targets
        (rows,), in their unit.
    parent
        The process of the source domain, of which a multiple is part of the answer.
    """
    forms = (True, False) if parent is None else (parent.is_logged,)
    fitted = [_fit_form(features, targets, parent, logged) for logged in forms]
    return max(fitted, key=lambda pair: pair[1])[0]


def fit_task(task: NetworkTask, trained: Mapping[str, TrainedNetwork]) -> TrainedNetwork:
    """Fit the process of a task; its validation rows stay unseen, as those of baselines do.

    Of more than :data:`MOST_ROWS` training rows it learns from that many, drawn by lot.

    Raises
    ------
    ValueError
        If the parent is no process.
    """
    parent = None if task.parent is None else trained[task.parent].network
    if not isinstance(parent, GaussianProcess | None):
        raise ValueError(f"{task.name}: its parent '{task.parent}' is no Gaussian process.")
    rows = _draw_rows(task.name, task.train)
    process = fit_process(rows.features, rows.targets, parent)
    return TrainedNetwork(process, np.empty(0), np.empty(0), best_epoch=0, restart=0)


def _draw_rows(name: str, rows: Rows) -> Rows:
    """Draw the rows that a process learns from, where there are too many."""
    if len(rows) <= MOST_ROWS:
        return rows
    log.info("%s: learns from %d of %d rows, drawn by lot.", name, MOST_ROWS, len(rows))
    drawn = set(order_rows(rows.sample_ids, derive_seed("rows of a process", name), 0)[:MOST_ROWS])
    places = [place for place, own in enumerate(rows.sample_ids) if own in drawn]
    ids = tuple(rows.sample_ids[place] for place in places)
    return Rows(ids, rows.features[places], rows.targets[places])


def _fit_form(
    features: Numbers, targets: Numbers, parent: GaussianProcess | None, logged: bool
) -> tuple[GaussianProcess, float]:
    """Return a fitted process, and the logarithm of the density that it gives to the targets."""
    from scipy.optimize import minimize

    # A copy, whose numbers are stored beside those of the process that reads them.
    process = GaussianProcess(features.shape[0], features.shape[1], copy.deepcopy(parent))
    _scale(process, features, targets, logged)
    wanted = process.scale_targets(torch.tensor(targets))
    with torch.no_grad():
        process.inputs.copy_(process.scale_features(torch.tensor(features)))
        taught = process.ask_parent(torch.tensor(features))
        process.taught_mean += taught.mean()
        process.taught.copy_(taught - taught.mean())
    count = len(process.variances)
    expected = _expect_lengths(process)
    start = [*VARIANCES[:count], *expected.tolist()]
    bounds = [(LOWEST, HIGHEST)] * count + [(SHORTEST, HIGHEST)] * process.n_features

    def judge(values: Numbers) -> tuple[float, Numbers]:
        _set(process, values)
        doubt = 0.5 * ((process.lengths - expected) / LENGTH_SD).square().sum()
        loss = _measure_loss(process, wanted)[0] + doubt
        loss.backward()
        gradients = [p.grad for p in (process.variances, process.lengths) if p.grad is not None]
        return loss.item(), torch.cat(gradients).numpy()

    options = {"maxiter": ITERATIONS}
    found = minimize(judge, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options)
    _set(process, found.x)
    with torch.no_grad():
        loss, weights = _measure_loss(process, wanted)
        process.weights.copy_(weights)
    process.zero_grad()
    # Densities of the target itself, so that both forms can be compared. Targets that are not all
    # positive are scaled as they are in both forms.
    change = len(targets) * process.output_sd.log().item()
    change += float(np.log(targets).sum()) if process.output_logged > 0 else 0.0
    return process.eval(), -loss.item() - change


@torch.no_grad()
def _scale(process: GaussianProcess, features: Numbers, targets: Numbers, logged: bool) -> None:
    """Take what is logged, and the scaling, from the training rows."""
    for side, columns in (("input", features), ("output", targets[:, None])):
        lowest = columns.min(axis=0)
        logs = (lowest > 0) & logged
        values = np.where(logs, np.log(np.where(logs, columns, 1.0)), columns)
        varies = lowest < columns.max(axis=0)
        sd = np.where(varies, values.std(axis=0), 1.0)
        numbers = {
            "logged": logs, "lowest": np.where(logs, FAR_BELOW * lowest, 1.0),
            "mean": values.mean(axis=0), "scale": varies / sd, "sd": sd,
        }  # fmt: skip
        for name, number in numbers.items():
            if (buffer := getattr(process, f"{side}_{name}", None)) is not None:
                buffer.copy_(torch.from_numpy(number.astype(np.float64)).reshape(buffer.shape))


@torch.no_grad()
def _set(process: GaussianProcess, values: Numbers) -> None:
    count = len(process.variances)
    process.variances.copy_(torch.from_numpy(values[:count]))
    process.lengths.copy_(torch.from_numpy(values[count:]))
    process.zero_grad()


def _measure_loss(process: GaussianProcess, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the negative logarithm of the density of scaled targets, and the rows' weights."""
    rows, taught = process.inputs, process.taught
    noise = (process.variances[2].exp() + JITTER) * torch.eye(len(rows), dtype=DTYPE)
    factor = torch.linalg.cholesky(process.relate(rows, taught, rows, taught) + noise)
    weights = torch.cholesky_solve(wanted[:, None], factor).squeeze(1)
    volume = factor.diagonal().log().sum() + 0.5 * len(rows) * math.log(2 * math.pi)
    return 0.5 * wanted @ weights + volume, weights


@torch.no_grad()
def _expect_lengths(process: GaussianProcess) -> Tensor:
    """Return the logarithms of the length scales that are likeliest before any row was seen.

    They are those of the parent, in its units, where it has seen the feature vary.
    """
    expected = torch.full_like(process.lengths, LENGTH)
    if (parent := process.parent) is None:
        return expected
    known = (process.input_scale > 0) & (parent.input_scale > 0)
    known &= process.input_logged == parent.input_logged
    ratio = torch.where(known, process.input_scale, 1.0) / torch.where(
        known, parent.input_scale, 1.0
    )
    taught = (parent.lengths + ratio.log()).clamp(*TAUGHT_LENGTHS)
    return torch.where(known, taught, expected)
