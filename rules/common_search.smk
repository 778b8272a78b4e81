# What the rules of searches share: the searches of all studies, and where they are stored.

from batteryscope.core.named_function import load_function
from batteryscope.search.storage import pass_address

try:
    SEARCHES = {
        n: load_function(layout.modules.search, "find_search")(n, PROJECT.studies[n])
        for n, layout in LAYOUTS.items()
    }
except BatteryscopeError as error:
    refuse(error)
SEARCHES = {name: search for name, search in SEARCHES.items() if search}
SEARCHED = pattern_of(SEARCHES)


def search_storage(wildcards):
    """The database of a search; by default a file that no rule deletes."""
    own = SEARCHES[wildcards.study].settings.storage
    if own:
        return pass_address(own, wildcards.study)
    return f"sqlite:///{layout_of(wildcards).search.database.as_posix()}"


def storage_check(wildcards):
    """The proof that a database of the user's own was reached; random search follows ASHA."""
    own = SEARCHES[wildcards.study].settings.storage
    asks = own and wildcards.strategy == "asha"
    return layout_of(wildcards).search.reached if asks else []


def search_settings(wildcards):
    """A study without what its search does not depend on."""
    unused = {"evaluate", "explain", "sweeps", "run_sweeps", "ablations", "propose"}
    study = PROJECT.studies[wildcards.study].model_dump(mode="json", exclude=unused)
    study["search"][
        "storage"
    ] = None  # an address holds no result, but perhaps a password
    return settings_file(wildcards.study, "search", study)


def search_input(piece):
    """What candidates learn from; nothing where networks of this kind need no such piece."""

    def find(wildcards):
        inputs = SEARCHES[wildcards.study].find_inputs(layout_of(wildcards))
        return getattr(inputs, piece) or []

    return find


def search_workers(wildcards, strategy):
    workers = range(SEARCHES[wildcards.study].settings.workers)
    return [layout_of(wildcards).search.worker(strategy, i) for i in workers]


def search_threads(wildcards):
    """All cores, divided among the workers."""
    workers = SEARCHES[wildcards.study].settings.workers
    return max(1, known_cores() // workers)


def search_weights(wildcards):
    return weights_file(search_input("weights")(wildcards))
