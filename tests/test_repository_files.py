"""Files for people and services around the code agree with it, and with each other."""

import json
import re
import shutil
import subprocess
import tomllib

import pytest
import yaml

import batteryscope
from hatch_build import WorkflowHook
from tests.bare_root import read_definition, read_dockerfile
from tests.build_image import find_suite
from tests.conftest import ROOT

GITHUB = ROOT / ".github"
FORMS = sorted(
    set((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) - {GITHUB / "ISSUE_TEMPLATE/config.yml"}
)
PAGES = [GITHUB / "pull_request_template.md", *FORMS]
PAGES += [ROOT / name for name in ("CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md")]


def read_yaml(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_version_and_citation_are_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = read_yaml("CITATION.cff")
    zenodo = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)(.*)", changes, re.MULTILINE)
    versions = {batteryscope.__version__, citation["version"], zenodo["version"], newest[1]}
    assert versions == {project["version"]}
    assert ("date-released" in citation) == ("unreleased" not in newest[2])
    assert zenodo["title"] == citation["title"]
    assert zenodo["description"] == citation["abstract"]
    assert zenodo["license"] == citation["license"] == project["license"]
    assert zenodo["keywords"] == citation["keywords"]
    assert [who["name"] for who in zenodo["creators"]] == [
        who["name"] for who in citation["authors"]
    ]
    cited = [work["doi"] for work in citation["references"]]
    assert [work["identifier"] for work in zenodo["related_identifiers"]] == cited


def test_tagged_commit_is_built_as_its_version_only(tmp_path):
    def git(*words):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", "-C", tmp_path, *who, *words], check=True, capture_output=True)

    class Metadata:
        version = "1.2.0"

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "x")
    hook = WorkflowHook(str(tmp_path), {"files": {}}, None, Metadata, "", "wheel")
    git("tag", "v1.3.0")
    with pytest.raises(ValueError, match=r"version 1\.2\.0, but this commit has the tag v1\.3\.0"):
        hook.initialize("standard", {"force_include": {}})
    git("tag", "v1.2.0")
    hook.initialize("standard", {"force_include": {}})


def test_image_and_definition_for_apptainer_have_the_same_steps():
    image, other = read_dockerfile(ROOT / "Dockerfile"), read_definition(ROOT / "batteryscope.def")
    assert (image.base, image.commands) == (other.base, other.commands)
    assert find_suite(image) == "bookworm"
    copied = [[*sources, place] for *sources, place in other.copies]
    assert [[source, place] for *sources, place in image.copies for source in sources] == copied
    assert image.variables.items() >= other.variables.items()
    assert image.starts == other.starts == "batteryscope"
    assert image.user != "0:0"
    needed = {f"!{source}" for *sources, _ in image.copies for source in sources}
    assert {"*", *needed} == {
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if not line.startswith("#")
    }


def test_ci_runs_targets_that_exist_with_pinned_actions_and_few_rights():
    text = (GITHUB / "workflows" / "ci.yml").read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action) for action in used)
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    wanted = re.findall(r"make ([a-z-]+)", text)
    assert {"docs", "setup"} <= set(wanted)
    assert set(wanted) <= set(targets)
    assert any(step.get("run") == ".ci/run" for step in workflow["jobs"]["check"]["steps"])


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_forms_are_complete(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form)
    kinds = {"markdown", "textarea", "input", "dropdown", "checkboxes"}
    assert {item["type"] for item in form["body"]} <= kinds
    asked = [item for item in form["body"] if item["type"] != "markdown"]
    assert asked
    assert all(item["attributes"]["label"] and item["id"] for item in asked)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_for_contributors_name_files_that_exist(path):
    text = path.read_text(encoding="utf-8")
    linked = re.findall(r"\]\((?!https:)(?:\.\./blob/main/)?([\w./-]+)", text)
    named = re.findall(r"`((?:tests|docs|batteryscope)/[\w./]+)`", text)
    assert [name for name in linked + named if not (ROOT / name).exists()] == []


PAGES_OF_NUMBERS = ("results.md", "scale.md", "reliability.md")


@pytest.mark.parametrize("page", PAGES_OF_NUMBERS)
def test_commits_beside_numbers_are_in_this_history(page):
    def ask(*words: str) -> str:
        told = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True)
        return told.stdout if told.returncode == 0 else "true"  # no git, or no clone

    if not shutil.which("git") or ask("rev-parse", "--is-shallow-repository").strip() == "true":
        pytest.skip("needs the whole history of a clone")
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    cited = set(re.findall(r"\b(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{7}\b", text))
    known = {commit[:7] for commit in ask("rev-list", "HEAD").split()}
    assert cited
    assert not cited - known
