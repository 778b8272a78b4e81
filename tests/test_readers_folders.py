"""What lies beside and among data: copies, previews, foreign files, links, fifos."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from batteryscope.errors import InputError
from batteryscope.readers.folder import list_files, walk_folder
from batteryscope.readers.picture import PictureError
from batteryscope.readers.registry import read_picture
from batteryscope.readers.scan import scan_images
from batteryscope.readers.volumes import find_volumes, open_volume

SCAN = np.random.default_rng(1).integers(0, 255, (4, 12, 9), dtype=np.uint8)


def write_slices(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for z, name in enumerate(names):
        tifffile.imwrite(folder / name, SCAN[z])


@pytest.mark.parametrize("name", ["s_2 (1).tif", "s_2(1).tif", "s_2 - Copy.tif", "s_2_copy.tif"])
def test_copies_are_left_out_and_told(tmp_path: Path, name: str) -> None:
    write_slices(tmp_path, ["s_1.tif", "s_2.tif", "s_3.tif"])
    (tmp_path / name).write_bytes((tmp_path / "s_2.tif").read_bytes())
    volume = open_volume(tmp_path)
    assert (volume.shape[0], volume.order) == (3, "file name")
    assert name in volume.left_out[0]
    tifffile.imwrite(tmp_path / name, SCAN[3])
    with pytest.raises(PictureError, match=r"holds one slice twice, s_2.tif and .* keep the right"):
        open_volume(tmp_path)


def test_one_number_twice_is_refused(tmp_path: Path) -> None:
    write_slices(tmp_path, ["s_1.tif", "s_2.tif", "s_02.tif"])
    with pytest.raises(PictureError, match="holds one slice twice"):
        open_volume(tmp_path)


def test_one_slice_in_two_formats_is_refused(tmp_path: Path) -> None:
    write_slices(tmp_path, ["s_1.tif", "s_2.tif"])
    Image.fromarray(SCAN[1]).save(tmp_path / "s_2.png")
    with pytest.raises(PictureError, match="holds one slice twice"):
        open_volume(tmp_path)


@pytest.mark.parametrize("name", ["cell_rec_spr.tif", "preview.tif", "cell_thumbnail.tif"])
def test_previews_are_left_out_and_told(tmp_path: Path, name: str) -> None:
    write_slices(tmp_path, ["cell_rec0001.tif", "cell_rec0002.tif", "cell_rec0003.tif"])
    tifffile.imwrite(tmp_path / name, SCAN[0, ::2])
    volume = open_volume(tmp_path)
    assert volume.shape[0] == 3
    assert name in volume.left_out[-1]


def test_pictures_of_scans_beside_them_are_no_scans(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "cell_12.tif", SCAN, photometric="minisblack")
    for name in ("cell_12.png", "cell_12_side.png", "preview.png"):
        Image.fromarray(SCAN[0]).save(tmp_path / name)
    found = find_volumes(tmp_path)
    assert found.images == ("cell_12.tif",)
    words = (
        "holds a picture that shows the scan beside it; it is left out, with 2 more of this kind."
    )
    assert found.foreign == (("cell_12.png", words),)


def test_foreign_files_are_left_out_and_told(tmp_path: Path) -> None:
    frame = Image.fromarray(SCAN[0])
    for place in ("a", "a/@eaDir/frame.jpg", "__MACOSX/a"):
        (tmp_path / place).mkdir(parents=True)
    frame.save(tmp_path / "a" / "frame.png")
    frame.save(tmp_path / "a" / "@eaDir" / "frame.jpg" / "SYNOPHOTO_THUMB_M.jpg")
    frame.save(tmp_path / "__MACOSX" / "a" / "frame.png")
    for name in ("a/._frame.png", "a/Thumbs.db", "a/.DS_Store", ".DS_Store"):
        (tmp_path / name).write_bytes(b"0")
    found = scan_images(tmp_path)
    assert found.images == ("a/frame.png",)
    assert found.unsupported == ()
    assert {words for _, words in found.foreign} == {
        "holds thumbnails of a Synology storage; it is left out.",
        "holds attributes of macOS from an archive; it is left out.",
        "holds attributes of macOS beside a file; it is left out.",
        "holds thumbnails of Windows; it is left out.",
        "holds folder settings of macOS; it is left out, with 1 more of this kind.",
    }
    for name in ("s_1.tif", "s_2.tif"):
        tifffile.imwrite(tmp_path / "a" / "@eaDir" / name, SCAN[0])
    assert "a/@eaDir" not in find_volumes(tmp_path).images


def test_folders_that_link_to_one_another_are_listed_once(tmp_path: Path) -> None:
    for own, other in (("a", "b"), ("b", "a")):
        (tmp_path / own).mkdir()
        Image.fromarray(SCAN[0]).save(tmp_path / own / f"{own}.png")
        (tmp_path / own / "other").symlink_to(tmp_path / other)
    (tmp_path / "a" / "again.png").symlink_to(tmp_path / "b" / "b.png")
    (tmp_path / "whole").symlink_to(tmp_path)
    assert sorted(list_files(tmp_path)) == ["a/a.png", "b/b.png"]
    found = scan_images(tmp_path)
    assert found.images == ("a/a.png", "b/b.png")
    assert found.foreign[0][1].startswith("is a link to what is listed already; it is left out")


def test_links_to_other_places_are_followed_once(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / "store" / name).mkdir(parents=True)
        (tmp_path / "store" / name / f"{name}.png").write_bytes(b"0")
    (tmp_path / "store" / "x" / "y").symlink_to(tmp_path / "store" / "y")
    (tmp_path / "store" / "y" / "x").symlink_to(tmp_path / "store" / "x")
    (tmp_path / "store" / "x" / "up").symlink_to(tmp_path / "store")
    root = tmp_path / "data"
    root.mkdir()
    (root / "one").symlink_to(tmp_path / "store" / "x")
    (root / "two").symlink_to(tmp_path / "store" / "x")
    names = sorted(list_files(root))
    assert len(names) == 2
    assert names == ["one/x.png", "one/y/y.png"]


def test_links_to_one_file_outside_count_once_in_a_folder(tmp_path: Path) -> None:
    store, root = tmp_path / "store.png", tmp_path / "data"
    Image.fromarray(SCAN[0]).save(store)
    for place in ("a/1.png", "a/2.png", "b/1.png"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).symlink_to(store)
    found = scan_images(root)
    assert found.images == ("a/1.png", "b/1.png")  # which differ in their label
    assert found.foreign == (("a/2.png", "is a link to what is listed already; it is left out."),)


def test_one_slice_linked_twice_is_one_slice(tmp_path: Path) -> None:
    store, root = tmp_path / "store", tmp_path / "data" / "cell"
    store.mkdir()
    root.mkdir(parents=True)
    for z in range(4):
        tifffile.imwrite(store / f"{z}.tif", SCAN[z])
        (root / f"s_{z}.tif").symlink_to(store / f"{z}.tif")
    (root / "s_4.tif").symlink_to(store / "1.tif")
    assert open_volume(root).shape[0] == 4
    found = find_volumes(root.parent)
    assert (found.images, found.foreign[0][0]) == (("cell",), "cell/s_4.tif")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no fifos here")
def test_a_fifo_hangs_nothing(tmp_path: Path) -> None:
    Image.fromarray(SCAN[0]).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    os.mkfifo(tmp_path / "c.npy")
    (tmp_path / "d.png").symlink_to(tmp_path / "b.png")
    content = walk_folder(tmp_path)
    assert content.files == ["a.png"]
    assert sorted(content.special) == ["b.png", "c.npy", "d.png"]
    assert scan_images(tmp_path).special == ("b.png", "c.npy", "d.png")
    for read in (lambda p: read_picture(p, max_pixels=1000), open_volume):
        with pytest.raises(PictureError, match="is no ordinary file"):
            read(tmp_path / "b.png")


def test_links_in_a_circle_and_the_longest_names_cost_nothing_else(tmp_path: Path) -> None:
    longest = "n" * (os.pathconf(tmp_path, "PC_NAME_MAX") - len(".png")) + ".png"
    Image.fromarray(SCAN[0]).save(tmp_path / longest)
    (tmp_path / "a.png").symlink_to("b.png")
    (tmp_path / "b.png").symlink_to("a.png")
    assert scan_images(tmp_path).images == ("a.png", "b.png", longest)
    assert len(find_volumes(tmp_path).images) == 1
    with pytest.raises(PictureError, match="a link to a file that is missing"):
        read_picture(tmp_path / "a.png", max_pixels=1000)
    # No text file beside it can have its name and one ending more.
    assert read_picture(tmp_path / longest, max_pixels=1000).pixels.shape == SCAN[0].shape


def test_a_folder_that_cannot_be_listed_costs_itself_where_asked_to(
    tmp_path: Path, monkeypatch
) -> None:
    for name in ("open", "locked"):
        (tmp_path / name).mkdir()
        Image.fromarray(SCAN[0]).save(tmp_path / name / "a.png")
        np.save(tmp_path / name / "cell.npy", SCAN)
    listed = os.scandir

    def scan(folder):
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scan)
    for find, images in ((scan_images, ("open/a.png",)), (find_volumes, ("open/cell.npy",))):
        with pytest.raises(InputError, match="locked: this folder cannot be read"):
            find(tmp_path)
        found = find(tmp_path, skip_locked=True)
        assert set(images) <= set(found.images)
        assert found.locked == ("locked",)
    with pytest.raises(InputError, match="cannot be read"):
        scan_images(tmp_path / "locked", skip_locked=True)


@pytest.mark.parametrize("skip_locked", [False, True])
def test_a_scan_folder_that_may_be_listed_but_not_entered_is_named(
    tmp_path: Path, monkeypatch, skip_locked
) -> None:
    """Who is not root cannot look for the marks of a zarr store in it; the error names these."""
    folder = tmp_path / "scan"
    folder.mkdir()
    Image.fromarray(SCAN[0]).save(folder / "a.png")
    asked = Path.stat

    def stat(path, **options):
        if path.parent == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return asked(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(InputError, match=r"scan: this folder cannot be read; .*denied"):
        find_volumes(folder, skip_locked)
    (tmp_path / "open").mkdir()
    Image.fromarray(SCAN[0]).save(tmp_path / "open" / "a.png")
    if skip_locked:
        found = find_volumes(tmp_path, skip_locked)
        assert (found.images, found.locked) == (("open",), ("scan",))
