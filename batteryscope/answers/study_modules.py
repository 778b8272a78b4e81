"""Who does what for one kind of study: samples and answer put together."""

from dataclasses import dataclass

from batteryscope.answers.kind import Answer, AnswerModules
from batteryscope.samples.kind import SampleModules, Samples

# Who compares the points of sweeps, and lists the runs of sweeps and of searches, in all studies.
COMPARE_SWEEPS = "batteryscope.evaluation.sweep_study"
TRACK_SWEEPS = "batteryscope.tracking.sweep_mirror"
TRACK_SEARCH = "batteryscope.tracking.search_mirror"


@dataclass(frozen=True, kw_only=True)
class StudyModules(AnswerModules, SampleModules):
    """The modules of a kind of study, by verb.

    Names, not imports: a program loads the one module that its study needs, and a rule declares
    that module with all that it imports. An edit there concerns the studies whose module it is.
    """


def join_modules(samples: Samples, answer: Answer) -> StudyModules:
    """Return who does what where these samples are asked for this answer."""
    return StudyModules(**vars(samples.modules), **vars(answer.modules[samples.learnt_from]))
