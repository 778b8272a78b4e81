"""Shows a fit in MLflow while it trains; if MLflow fails, the fit does not notice.

A live run is provisional: tracking the study afterwards replaces it by the final run.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from batteryscope.core.names import (
    KEY_TAG,
    LIVE_TAG,
    MAX_TAG_CHARACTERS,
    cut_text,
    describe_failure,
    flatten_settings,
    hide_password,
    make_legal_name,
)
from batteryscope.tracking.store import find_experiment, open_client, resolve_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

log = logging.getLogger("batteryscope")

REQUEST_SECONDS = 4
MAX_PARAMETERS_AT_ONCE = 100
MAX_METRICS_AT_ONCE = 1000
# Importing MLflow and a run of its own cost some 5 s; nobody watches what ends as soon.
SHORT_FIT_SECONDS = 30.0
SECONDS_BETWEEN_REQUESTS = 3.0
# How often the machine is asked what it does, and over how many answers the logged mean goes.
SYSTEM_SECONDS, SYSTEM_SAMPLES = 5.0, 2
# Stores that failed: the later fits of this process do not wait for them again.
_failed_stores: set[str] = set()


class LiveRun:
    """One provisional run; after the first failure all methods do nothing.

    Made by :func:`open_live_run`. Never raises because of MLflow.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.run_id = ""
        self._client: MlflowClient | None = None
        self._monitor: SystemMetricsMonitor | None = None

    @property
    def active(self) -> bool:
        """Whether what is logged still arrives."""
        return self._client is not None

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one epoch in one request.

        Parameters
        ----------
        epoch
            Number of the epoch, the step of its metrics.
        metrics
            Numbers by name; infinite ones are left out.
        """
        self.log_epochs([(epoch, metrics, time.time())])

    def log_epochs(self, epochs: Sequence[tuple[int, Mapping[str, float], float]]) -> None:
        """Log several epochs in one request: number, metrics, time of its end (s since 1970)."""
        if self._client is None or not epochs:
            return
        try:
            from mlflow.entities import Metric

            batch = [
                Metric(make_legal_name(name), float(value), int(1000 * ended), int(epoch))
                for epoch, metrics, ended in epochs
                for name, value in metrics.items()
                if not math.isinf(value)
            ]
            for i in range(0, len(batch), MAX_METRICS_AT_ONCE):
                self._client.log_batch(self.run_id, metrics=batch[i : i + MAX_METRICS_AT_ONCE])
        except Exception as error:
            self._switch_off(error)

    def watch_machine(self) -> None:
        """Log the load of processor, memory, disk, network and GPU until the run ends.

        ``MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=false`` switches it off.
        """
        if self._client is None:
            return
        try:
            from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

            switch = MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
            if switch.is_set() and not switch.get():
                return
            self._monitor = SystemMetricsMonitor(
                self.run_id, SYSTEM_SECONDS, SYSTEM_SAMPLES, tracking_uri=resolve_uri(self.uri)
            )
            self._monitor.start()
        except Exception as error:
            log.warning("No load of the machine in MLflow: %s", describe_failure(error))

    def finish(self, status: str = "FINISHED") -> None:
        """End the run with ``FINISHED``, ``FAILED`` or ``KILLED``."""
        if self._monitor is not None:
            self._monitor.finish()  # writes what is left, and never raises
            self._monitor = None
        if self._client is None:
            return
        try:
            self._client.set_terminated(self.run_id, status)
            self._client = None
        except Exception as error:
            self._switch_off(error)

    def _start(
        self, study: str, job_key: str, tags: Mapping[str, str], params: Mapping[str, Any]
    ) -> None:
        try:
            client = open_client(self.uri, timeout_s=REQUEST_SECONDS, retries=0)
            experiment = find_experiment(client, self.uri, study)
            old = client.search_runs([experiment], f"tags.{KEY_TAG} = '{job_key}'")
            name = "live " + job_key.removeprefix(f"{study}/")
            own = {KEY_TAG: job_key, LIVE_TAG: "true", "study": study}
            texts = {
                make_legal_name(k): cut_text(str(v), MAX_TAG_CHARACTERS) for k, v in tags.items()
            }
            run = client.create_run(experiment, tags=texts | own, run_name=name)
            self.run_id = run.info.run_id
            self._client = client
            self._log_parameters(client, params)
            for previous in old:
                # Left by a killed process; final runs are not touched here.
                if previous.data.tags.get(LIVE_TAG) == "true":
                    client.delete_run(previous.info.run_id)
        except Exception as error:
            self._switch_off(error)

    def _log_parameters(self, client: "MlflowClient", params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        flat = [Param(name, text) for name, text in flatten_settings(params).items()]
        for i in range(0, len(flat), MAX_PARAMETERS_AT_ONCE):
            client.log_batch(self.run_id, params=flat[i : i + MAX_PARAMETERS_AT_ONCE])

    def _switch_off(self, error: Exception) -> None:
        self._client = None
        _failed_stores.add(self.uri)
        log.warning(
            "Live tracking is off, training goes on: %s (store: %s)",
            describe_failure(error),
            hide_password(self.uri),
        )


def open_live_run(
    uri: str,
    enabled: bool,
    study: str,
    job_key: str,
    tags: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
) -> LiveRun:
    """Open a provisional run that replaces an older one of the same job key.

    Parameters
    ----------
    uri
        The tracking store.
    enabled
        False gives a run that does nothing and does not import MLflow.
    study
        Name of the study, which is the experiment.
    job_key
        Name of the fit, as :func:`batteryscope.core.names.name_live_job` gives it.
    tags, params
        Texts to search by, and (nested) settings.

    Returns
    -------
    LiveRun
        Always: without a usable store it does nothing, after one line of warning per
        process and store. An unreachable server costs at most about 5 s.
    """
    run = LiveRun(uri)
    if enabled and uri and uri not in _failed_stores:
        run._start(study, job_key, tags or {}, params or {})
    return run


class LateRun:
    """A listener that opens a live run when a fit has lasted a while, and sends epochs together.

    Short fits, of which a demo has many, leave no live run; tracking the study records them.

    Parameters
    ----------
    open_run
        Opens the run.
    after_s
        How long a fit shall have lasted (s).
    every_s
        The time between two requests (s).
    """

    def __init__(
        self,
        open_run: Callable[[], LiveRun],
        after_s: float = SHORT_FIT_SECONDS,
        every_s: float = SECONDS_BETWEEN_REQUESTS,
    ) -> None:
        self._open_run, self._every_s = open_run, every_s
        self._run: LiveRun | None = None
        self._due = time.monotonic() + after_s
        self._waiting: list[tuple[int, Mapping[str, float], float]] = []

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Keep the metrics of one epoch, and send what is kept if it is time."""
        self._waiting.append((epoch, dict(metrics), time.time()))
        if time.monotonic() >= self._due:
            self._send()

    def finish(self, status: str = "FINISHED") -> None:
        """Send the rest and end the run, if there is one."""
        if self._run is not None:
            self._send()
            self._run.finish(status)

    def _send(self) -> None:
        if self._run is None:
            self._run = self._open_run()
            self._run.watch_machine()
        self._run.log_epochs(self._waiting)
        self._waiting = []
        self._due = time.monotonic() + self._every_s


def record_fit(uri: str, chain: str, settings: Any, task: Any) -> LateRun:
    """Return the listener of one fit of a stage.

    Parameters
    ----------
    uri
        The tracking store.
    chain
        Name of the stage chain.
    settings
        :class:`~batteryscope.plan.StageSettings`.
    task
        :class:`~batteryscope.training.fit.FitTask`.
    """
    return LateRun(
        partial(
            open_live_run,
            uri=uri,
            enabled=True,
            study=settings.study,
            job_key=f"{settings.study}/{chain}/{task.name}",
            tags={"stage": settings.stage, "repeat": str(task.repeat), "fold": str(task.fold)},
            params={"backbone": settings.model.backbone, "identity": task.identity},
        )
    )
