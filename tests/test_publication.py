"""Published folders: complete copies, and noticed when they are another version's."""

import json

import pytest
import yaml

from batteryscope.workflow.publication import forget_stale_publication, is_published, publish_folder
from tests.conftest import ROOT


def publish(tmp_path, text="one"):
    source, target = tmp_path / "work" / "bundle", tmp_path / "models" / "s"
    (source / "deep").mkdir(parents=True, exist_ok=True)
    (source / "a.txt").write_text(text)
    (source / "deep" / "b.txt").write_text("b")
    (source / ".snakemake_timestamp").touch()
    digest = publish_folder(source, target)["digest"]
    marker = tmp_path / "work" / "published.json"
    marker.write_text(json.dumps({"digests": {target.as_posix(): digest}}))
    return target, digest, marker


def test_copy_is_complete_and_replaces_what_was_there(tmp_path):
    target, digest, marker = publish(tmp_path)
    (target / "stale.txt").touch()
    target, digest, marker = publish(tmp_path)
    names = {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()}
    assert names == {"a.txt", "deep/b.txt", "digest.json"}
    assert is_published(target, digest)
    assert not forget_stale_publication(marker, [target])
    assert marker.exists()


def test_another_version_is_noticed(tmp_path):
    target, _, marker = publish(tmp_path, "one")
    note = marker.read_text()
    publish(tmp_path, "two")
    marker.write_text(note)
    assert forget_stale_publication(marker, [target])
    assert not marker.exists()
    assert not forget_stale_publication(marker, [target])


def test_missing_or_changed_file_is_noticed(tmp_path):
    target, _, marker = publish(tmp_path)
    (target / "deep" / "b.txt").unlink()
    assert forget_stale_publication(marker, [target])
    target, _, marker = publish(tmp_path)
    (target / "a.txt").write_text("two")  # as long as before
    assert forget_stale_publication(marker, [target])


def test_same_content_gives_the_same_digest(tmp_path):
    assert publish(tmp_path / "x")[1] == publish(tmp_path / "y")[1]


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_results_that_are_links_into_a_cache_make_room_and_leave_it_alone(tmp_path, kind):
    target, _, _ = publish(tmp_path, "one")
    cached = tmp_path / "cache"
    (target / "a.txt").replace(cached)
    cached.chmod(0o444)
    if kind == "symlink":
        (target / "a.txt").symlink_to(cached)
    else:
        (target / "a.txt").hardlink_to(cached)
    target, digest, _ = publish(tmp_path, "two")
    assert is_published(target, digest)
    assert not (target / "a.txt").is_symlink()
    assert cached.read_text() == "one"


def test_dvc_deletes_no_result_before_the_workflow_has_seen_it():
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["study"]["do"]
    for out in (*stage["outs"], *stage["metrics"]):
        assert isinstance(out, dict), out
        assert [flags["persist"] for flags in out.values()] == [True]
