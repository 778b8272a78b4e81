"""What is said of a data set's folder without opening a file."""

from batteryscope.readers.folder import find_data_version, fingerprint_folder, list_files


def test_fingerprint_changes_with_files_and_survives_broken_links(tmp_path):
    (tmp_path / "a.png").write_bytes(b"1")
    before = fingerprint_folder(str(tmp_path))
    assert fingerprint_folder(str(tmp_path)) == before
    link = tmp_path / "b.png"
    link.symlink_to(tmp_path / "nowhere.png")
    with_link = fingerprint_folder(str(tmp_path))
    assert with_link != before
    (tmp_path / "nowhere.png").write_bytes(b"2")
    assert fingerprint_folder(str(tmp_path)) != with_link
    assert fingerprint_folder(None) == ""


def test_fingerprint_takes_any_file_name(tmp_path):
    (tmp_path / "ü 틀, .png").write_bytes(b"1")
    with open(bytes(tmp_path) + b"/latin-\xfc.png", "wb"):  # noqa: PTH123 (no UTF-8)
        pass
    assert fingerprint_folder(str(tmp_path))


def test_data_version_is_what_dvc_wrote(tmp_path):
    folder = tmp_path / "set"
    assert find_data_version(None) == find_data_version(str(folder)) == ""
    (tmp_path / "set.dvc").write_text("outs:\n- md5: abc.dir\n  path: set\n")
    assert find_data_version(f"{folder}/") == "abc.dir"


def test_links_back_to_a_parent_are_not_followed(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").touch()
        (tmp_path / name / "loop").symlink_to(tmp_path)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "1.png").touch()
    assert sorted(list_files(tmp_path)) == ["a/1.png", "b/1.png", "c/1.png"]
    assert fingerprint_folder(str(tmp_path))
