"""How Gaussian processes learn: their variances and length scales by the evidence of the rows."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from batteryscope.core.progress import log
from batteryscope.seeds import derive_seed
from batteryscope.tables.network_tasks import NetworkTask, Rows, TrainedNetwork
from batteryscope.tables.networks import Numbers
from batteryscope.tables.processes import DTYPE, AveragedProcess, GaussianProcess
from batteryscope.tables.row_order import order_rows, thin_out

ITERATIONS = 80
MOST_ROWS = 1000  # that answer: their covariance is inverted once, and asked for with every answer
SEARCHED_ROWS = 300  # whose evidence is asked for at every step: time grows with the third power
# Logarithms: where the search starts, and its limits.
VARIANCES = (math.log(0.5), math.log(0.5), math.log(0.02), 0.0)  # linear, smooth, noise, parent
LOWEST, HIGHEST = math.log(1e-6), math.log(1e3)
# Further starts, of the same: shorter lengths with less noise; all or next to nothing shared.
RUGGED = (math.log(0.5), 0.0, math.log(1e-3), 0.0)
SHARED = (math.log(0.02), math.log(0.02), math.log(0.02), 0.0)
UNSHARED = (math.log(0.5), math.log(0.5), math.log(0.02), LOWEST + 1)
# Length scales of features of variance 1 are expected around 3, give or take a factor of e; longer
# ones more easily, since a feature may not matter at all.
LENGTH, SHORTER_SD, LONGER_SD, SHORTEST = math.log(3), 1.0, 3.0, math.log(0.05)
TAUGHT_LENGTHS = (-2.0, 5.0)  # limits of what a parent makes expect
# What is shared with a parent is expected to be of the size of the target's own spread.
SHARE_SD = 2.0
LEAST_SHARE = 0.02  # of an average; whatever counts less is left out
FAR_BELOW = 1e-3  # of the lowest training value: what is below has the logarithm of this
JITTER = 1e-8
IMPOSSIBLE = 1e10  # loss where rounding leaves no factor of the covariance
# A feature that comes close to 0 (a share from 0 to a half) has a few logarithms far below all
# others, which say little.
MOST_SKEWED = -1.0


class Form(NamedTuple):
    """Of what logarithms are taken, where all training values are positive."""

    inputs: bool
    output: bool


FORMS = tuple(Form(inputs, output) for inputs in (True, False) for output in (True, False))


class Candidate(NamedTuple):
    """A fitted process, and how likely it is among others of the same rows."""

    process: GaussianProcess
    share: float


def fit_processes(
    features: Numbers, targets: Numbers, parent: GaussianProcess | None = None
) -> list[Candidate]:
    """Fit processes to rows, on their logarithms or as they are, with and without a parent.

    Laws of manufacturing are products of powers, which are sums of logarithms. Only columns whose
    training values are all positive have one. With a parent, what its more numerous rows have
    decided holds: the form, and which length scales are likely. Without one nothing is shared. Both
    are as likely before any row was seen, and so are all forms.

    Parameters
    ----------
    features
        (rows, n_features), in their units.
    targets
        (rows,), in their unit.
    parent
        The process of the source domain, of which a multiple is part of the answer.

    Returns
    -------
    list of Candidate
        The likeliest first; without those of a share below :data:`LEAST_SHARE`.
    """
    starts = (VARIANCES, RUGGED) if parent is None else (VARIANCES,)
    tried = [_fit_form(features, targets, None, form, starts) for form in FORMS]
    if parent is not None:
        tried = [(process, evidence - math.log(len(FORMS))) for process, evidence in tried]
        form = Form(parent.has_logged_inputs, bool(parent.output_logged > 0))
        tried.append(_fit_form(features, targets, parent, form, (VARIANCES, SHARED, UNSHARED)))
    tried.sort(key=lambda pair: -pair[1])
    shares = np.exp([evidence - tried[0][1] for _, evidence in tried])
    shares[shares < LEAST_SHARE * shares.sum()] = 0
    shares /= shares.sum()
    pairs = zip(tried, shares.tolist(), strict=True)
    return [Candidate(process, share) for (process, _), share in pairs if share > 0]


def fit_task(task: NetworkTask, trained: Mapping[str, TrainedNetwork]) -> TrainedNetwork:
    """Fit the processes of a task; its validation rows stay unseen, as those of baselines do.

    They answer together, each counted by its share. Of more than :data:`MOST_ROWS` training rows
    they learn from that many, drawn by lot.

    Raises
    ------
    ValueError
        If the parent is no process.
    """
    parent = None if task.parent is None else trained[task.parent].network
    if not isinstance(parent, AveragedProcess | None):
        raise ValueError(f"{task.name}: its parent '{task.parent}' is no Gaussian process.")
    rows = _draw_rows(task.name, task.train)
    known = None if parent is None else parent.likeliest
    processes, shares = zip(*fit_processes(rows.features, rows.targets, known), strict=True)
    answering = AveragedProcess(processes, shares).eval()
    return TrainedNetwork(answering, np.empty(0), np.empty(0), best_epoch=0, restart=0)


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
    features: Numbers,
    targets: Numbers,
    parent: GaussianProcess | None,
    form: Form,
    starts: Sequence[Sequence[float]],
) -> tuple[GaussianProcess, float]:
    """Return a fitted process, and the logarithm of the density that it gives to the targets.

    The likeliest of several starts counts, since a search may end where a better end is elsewhere.
    """
    from scipy.optimize import minimize

    # A copy, whose numbers are stored beside those of the process that reads them.
    process = GaussianProcess(features.shape[0], features.shape[1], copy.deepcopy(parent))
    _scale(process, features, targets, form)
    wanted = process.scale_targets(torch.tensor(targets))
    with torch.no_grad():
        process.inputs.copy_(process.scale_features(torch.tensor(features)))
        taught = process.ask_parent(torch.tensor(features))
        process.taught_mean += taught.mean()
        process.taught.copy_(taught - taught.mean())
    count = len(process.variances)
    expected = _expect_lengths(process).numpy()
    bounds = [(LOWEST, HIGHEST)] * count + [(SHORTEST, HIGHEST)] * process.n_features
    judge = _Judge(process, wanted, expected)
    options = {"maxiter": ITERATIONS}
    ends = []
    for variances in starts:
        start = [*variances[:count], *(expected - (variances is RUGGED))]
        ends.append(
            minimize(judge, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options)
        )
    best = min(ends, key=lambda end: float(end.fun))
    with torch.no_grad():
        process.variances.copy_(torch.from_numpy(best.x[:count]))
        process.lengths.copy_(torch.from_numpy(best.x[count:]))
        process.weights.copy_(_find_weights(process, wanted))
    # Densities of the target itself, so that both forms can be compared. Targets that are not all
    # positive are scaled as they are in both forms.
    searched = targets[judge.places]
    change = len(searched) * process.output_sd.log().item()
    change += float(np.log(searched).sum()) if process.output_logged > 0 else 0.0
    return process.eval(), -float(best.fun) - change


class _Judge:
    """The negative logarithm of how likely variances and lengths are, with its gradient.

    Of many rows some are asked, evenly spaced: their order is that of their names, a lot.
    """

    def __init__(self, process: GaussianProcess, wanted: Tensor, expected: Numbers) -> None:
        self.places = thin_out(process.rows, SEARCHED_ROWS)
        self.inputs = process.inputs.numpy()[self.places]
        self.taught = process.taught.numpy()[self.places]
        self.wanted, self.expected = wanted.numpy()[self.places], expected
        self.count = len(process.variances)
        self.products = self.inputs @ self.inputs.T + 1
        self.squares = self.inputs**2

    def __call__(self, values: Numbers) -> tuple[float, Numbers]:
        """Return the loss and its derivatives by the logarithms of variances and lengths."""
        from scipy.linalg.lapack import dpotrf, dpotri

        linear, smooth, noise, *share = np.exp(values[: self.count])
        lengths = np.exp(values[self.count :])
        scaled = self.inputs / lengths
        sums = (scaled**2).sum(axis=1)
        alike = np.exp(-0.5 * np.maximum(sums[:, None] + sums - 2 * scaled @ scaled.T, 0))
        covariance = smooth * alike + linear * self.products
        if share:
            covariance += share[0] * np.outer(self.taught, self.taught)
        covariance.flat[:: len(sums) + 1] += noise + JITTER
        factor, failed = dpotrf(covariance, lower=1)
        if failed:
            return IMPOSSIBLE, np.zeros_like(values)
        inverse = np.tril(dpotri(factor, lower=1)[0])
        inverse += np.tril(inverse, -1).T
        weights = inverse @ self.wanted
        away = values[self.count :] - self.expected
        sds = np.where(away > 0, LONGER_SD, SHORTER_SD)
        doubts = away / sds
        loss = 0.5 * (self.wanted @ weights + len(sums) * math.log(2 * math.pi) + doubts @ doubts)
        loss += float(np.log(np.diag(factor)).sum())
        # Half the trace of (inverse − weights weightsᵀ) times the derivative of the covariance.
        outer = inverse - np.outer(weights, weights)
        pull = outer * alike
        gradient = np.empty_like(values)
        gradient[0] = linear * (outer * self.products).sum()
        gradient[1] = smooth * pull.sum()
        gradient[2] = noise * np.trace(outer)
        across = pull.sum(axis=1) @ self.squares - ((pull @ self.inputs) * self.inputs).sum(axis=0)
        gradient[self.count :] = 2 * smooth * across / lengths**2
        if share:
            gradient[3] = share[0] * self.taught @ outer @ self.taught
        gradient *= 0.5
        gradient[self.count :] += doubts / sds
        if share:
            doubt = values[3] / SHARE_SD
            loss += 0.5 * doubt**2 + math.log(SHARE_SD * math.sqrt(2 * math.pi))
            gradient[3] += doubt / SHARE_SD
        return float(loss), gradient


@torch.no_grad()
def _scale(process: GaussianProcess, features: Numbers, targets: Numbers, form: Form) -> None:
    """Take what is logged, and the scaling, from the training rows."""
    sides = (("input", features, form.inputs), ("output", targets[:, None], form.output))
    for side, columns, logged in sides:
        lowest = columns.min(axis=0)
        logs = (lowest > 0) & logged
        values = np.where(logs, np.log(np.where(logs, columns, 1.0)), columns)
        if side == "input":
            logs &= _find_skewness(values) > MOST_SKEWED
            values = np.where(logs, values, columns)
        varies = lowest < columns.max(axis=0)
        sd = np.where(varies, values.std(axis=0), 1.0)
        numbers = {
            "logged": logs, "lowest": np.where(logs, FAR_BELOW * lowest, 1.0),
            "mean": values.mean(axis=0), "scale": varies / sd, "sd": sd,
        }  # fmt: skip
        for name, number in numbers.items():
            if (buffer := getattr(process, f"{side}_{name}", None)) is not None:
                buffer.copy_(torch.from_numpy(number.astype(np.float64)).reshape(buffer.shape))


def _find_skewness(values: Numbers) -> Numbers:
    """Return the skewness of every column; 0 of one that does not vary."""
    from scipy.stats import skew

    varies = values.min(axis=0) < values.max(axis=0)
    return np.where(varies, skew(np.where(varies, values, np.arange(len(values))[:, None])), 0.0)


def _find_weights(process: GaussianProcess, wanted: Tensor) -> Tensor:
    """Return by how much every training row counts in an answer."""
    rows, taught = process.inputs, process.taught
    noise = (process.variances[2].exp() + JITTER) * torch.eye(len(rows), dtype=DTYPE)
    factor = torch.linalg.cholesky(process.relate(rows, taught, rows, taught) + noise)
    return torch.cholesky_solve(wanted[:, None], factor).squeeze(1)


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
