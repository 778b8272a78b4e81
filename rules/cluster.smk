# What jobs ask of a cluster. On one machine requests are what the rules say, and jobs may take more.
from functools import cache

from batteryscope.workflow.job_requests import (
    measure_jobs,
    request_memory_mb,
    request_minutes,
)

UNKNOWN_MINUTES = 60  # as long as nothing was measured


@cache
def measured_jobs():
    """What earlier jobs took, here or on another machine; a job inside a cluster asks for nothing."""
    if not workflow.is_main_process:
        return {}
    return measure_jobs(Path("work"), [rule.name for rule in workflow.rules], CONTEXTS)


def find_measured(rule, wildcards):
    """What jobs of a rule took in that study; other studies say nothing of it."""
    return measured_jobs().get((rule, wildcards.study))


def ask_memory(rule, unknown_mb):
    """The memory of a job of that rule, in MB."""
    if IS_LOCAL:
        return unknown_mb
    return lambda wildcards, attempt: request_memory_mb(
        find_measured(rule, wildcards), attempt, unknown_mb
    )


def ask_minutes(rule):
    """The time of a job of that rule, in minutes."""
    if IS_LOCAL:
        return UNKNOWN_MINUTES
    return lambda wildcards, attempt: request_minutes(
        find_measured(rule, wildcards), attempt, UNKNOWN_MINUTES
    )


def ask_gpu(wildcards):
    """One, but for studies that shall not use any."""
    train = PROJECT.studies[wildcards.study].train
    return 0 if getattr(train, "accelerator", "auto") == "cpu" else 1


def stage_gpus(wildcards):
    """As many as the training of a stage uses."""
    train = stage_of(wildcards).settings.train
    return 0 if train.accelerator == "cpu" else train.devices
