# What the rules of searches share: the searches of all studies, and where they are stored.

from batteryscope.search.plan_search import plan_search

try:
    SEARCHES = {name: plan_search(plan) for name, plan in PLANS.items()}
except BatteryscopeError as error:
    refuse(error)
SEARCHES = {name: search for name, search in SEARCHES.items() if search}
SEARCHED = "|".join(sorted(SEARCHES)) or pattern_of()


def search_storage(wildcards):
    """The database of a search; by default a file that no rule deletes."""
    own = SEARCHES[wildcards.study].settings.storage
    return own or f"sqlite:///work/{wildcards.study}/search/candidates.db"


def search_settings(wildcards):
    """A study without what its search does not depend on."""
    study = PROJECT.studies[wildcards.study].model_dump(
        mode="json", exclude={"evaluate", "explain", "sweeps", "run_sweeps"}
    )
    study["search"][
        "storage"
    ] = None  # an address holds no result, but perhaps a password
    return settings_file(wildcards.study, "search", study)


def search_stage(wildcards):
    return SEARCHES[wildcards.study].stage


def search_workers(wildcards, strategy):
    workers = range(SEARCHES[wildcards.study].settings.workers)
    return [f"work/{wildcards.study}/search/{strategy}/worker{i}.json" for i in workers]


def search_parents(wildcards):
    parent = search_stage(wildcards).parent
    return stage_parts(wildcards.study, parent) if parent else []


def search_threads(wildcards):
    """All cores, divided among the workers."""
    workers = SEARCHES[wildcards.study].settings.workers
    return max(1, (workflow.cores or ALL_CORES) // workers)


def search_weights(wildcards):
    weights = search_stage(wildcards).settings.model.weights
    return [] if weights in ("random", "imagenet") else weights
