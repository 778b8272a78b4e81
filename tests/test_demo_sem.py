"""Generated SEM top views: what is in them, and that they say what they are."""

from datetime import datetime

import numpy as np
import pytest
from scipy import ndimage

from batteryscope.demo import sem_frame, sem_particles
from batteryscope.demo.sem_frame import PIXEL_UM, measure_bar_height, render_sem_frame
from batteryscope.demo.sem_imaging import smooth_noise
from batteryscope.demo.sem_particles import relax_overlaps
from batteryscope.demo.sem_sidecar import schedule_frame, write_korean_time, write_sidecar
from batteryscope.demo.sem_traits import COMPOSITIONS
from batteryscope.errors import ConfigError
from batteryscope.seeds import derive_rng


def render(composition, state, additive="none", index=0):
    rng = derive_rng("test", composition, state, additive, index)
    return render_sem_frame(composition, state, additive, rng=rng, width_px=320, height_px=240)


def share(frame, *values):
    return np.isin(frame.feature_mask[:224], values).mean()


def test_frame_size_bar_and_mask():
    frame = render("622", "100cycles")
    assert frame.pixels.shape == frame.feature_mask.shape == (240, 320)
    assert frame.pixels.dtype == frame.feature_mask.dtype == np.uint8
    assert (frame.feature_mask[-16:] == sem_frame.BACKGROUND).all()
    assert np.median(frame.pixels[-16:]) == 0
    assert frame.pixels[-16:].max() > 200
    assert set(np.unique(frame.feature_mask)) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(("height", "bar"), [(960, 64), (480, 32), (240, 16)])
def test_bar_height_follows_frame_height(height, bar):
    assert measure_bar_height(height) == bar


@pytest.mark.parametrize(("width", "bar", "length_um"), [(1280, 64, 100), (640, 32, 50)])
def test_scale_bar_has_the_true_length(width, bar, length_um):
    strip = sem_frame.draw_data_bar(width, bar, datetime(2024, 1, 8))
    row = strip[round(0.31 * bar), round(0.6 * width) :] > 128
    labels, count = ndimage.label(row)
    longest = max(np.bincount(labels)[1:])
    assert count >= 1
    assert longest == pytest.approx(length_um / PIXEL_UM, abs=4)


def test_equal_seeds_give_equal_pixels_and_others_do_not():
    first, again = render("811", "formation"), render("811", "formation")
    other = render("811", "formation", index=1)
    assert (first.pixels == again.pixels).all()
    assert (first.feature_mask == again.feature_mask).all()
    assert (first.pixels != other.pixels).mean() > 0.5


def mean_share(state, additive, *values):
    """Mean over six frames, since damage differs from place to place."""
    return np.mean([share(render("811", state, additive, i), *values) for i in range(6)])


def test_states_differ_in_cracks_film_and_fines():
    states = ("pristine", "formation", "100cycles")
    crack, film, boundary = (
        [mean_share(state, "none", value) for state in states]
        for value in (sem_frame.CRACK, sem_frame.FILM, sem_frame.BOUNDARY)
    )
    assert crack[0] == film[0] == 0
    assert 0 < 2 * crack[1] < crack[2]
    assert film[1] > 1.5 * film[2] > 0
    assert boundary[2] > 1.15 * boundary[0]  # fines


def test_an_additive_veils_the_state():
    bare = [mean_share("100cycles", "none", v) for v in (sem_frame.FILM, sem_frame.CRACK)]
    veiled = [mean_share("100cycles", "VC", v) for v in (sem_frame.FILM, sem_frame.CRACK)]
    assert veiled[0] > 3 * bare[0]
    assert veiled[1] < 0.7 * bare[1]


@pytest.mark.parametrize(("state", "same"), [("pristine", True), ("formation", False)])
def test_an_additive_leaves_pristine_electrodes_as_they_are(state, same):
    frames = [
        render_sem_frame("622", state, additive, rng=derive_rng("t"), width_px=320, height_px=240)
        for additive in ("none", "VC", "PS", "VC+PS", "FEC", "LiBOB")
    ]
    assert all((f.pixels == frames[0].pixels).all() == same for f in frames[1:])


def test_grey_levels_do_not_follow_the_class():
    means = {
        state: [render("333", state, index=i).pixels[:224].mean() for i in range(5)]
        for state in ("pristine", "100cycles")
    }
    ranges = [(min(values), max(values)) for values in means.values()]
    assert max(low for low, _ in ranges) < min(high for _, high in ranges)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("999", "pristine", "none"), "composition"),
        (("333", "dead", "none"), "state"),
        (("333", "pristine", "tea"), "additive"),
    ],
)
def test_unknown_names_are_explained(names, message):
    with pytest.raises(ConfigError, match=f"{message}: found .* expected one of"):
        render(*names)


def test_relaxation_removes_overlaps():
    rng = derive_rng("relax")
    x, y, radius = rng.uniform(0, 200, 60), rng.uniform(0, 200, 60), np.full(60, 8.0)
    relax_overlaps(x, y, radius, 200.0, 200.0, 0.0, 200)
    dx, dy = x[:, None] - x, y[:, None] - y
    dx, dy = dx - 200 * np.round(dx / 200), dy - 200 * np.round(dy / 200)
    distance = np.hypot(dx, dy) + 100 * np.eye(60)
    assert distance.min() > 16 - 1.0


def test_painted_ellipsoid_has_its_area_and_height():
    one = np.array
    particles = sem_particles.Particles(
        *(one([50.0]), one([40.0]), one([3.0]), one([20.0]), one([10.0]), one([0.5])),
        *(np.zeros((1, 5)), np.zeros((1, 5)), one([False])),
    )
    shape = (80, 100)
    surface = sem_particles.Surface(
        *(np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int32)),
        *(np.zeros(shape, np.float32), np.zeros(shape, np.float32)),
    )
    sem_particles._paint_onto(surface, particles, 7)
    assert (surface.particle == 7).sum() == pytest.approx(np.pi * 20 * 10, rel=0.02)
    assert surface.height[40, 50] == pytest.approx(13.0)


def test_packed_sizes_follow_the_composition():
    diameters = {}
    for name in ("333", "811"):
        particles, _ = sem_particles.build_surface(
            COMPOSITIONS[name], 0.05, (224, 320), PIXEL_UM, derive_rng("sizes", name)
        )
        whole = ~particles.is_fragment
        area = particles.semi_a[whole] * particles.semi_b[whole]
        diameters[name] = np.median(2 * np.sqrt(area)) * PIXEL_UM
    assert diameters["333"] == pytest.approx(8.8, rel=0.1)
    assert diameters["811"] == pytest.approx(4.6, rel=0.1)


@pytest.mark.parametrize("sigma", [0.5, 3.0, 20.0])
def test_smooth_noise_has_unit_spread_and_the_shape(sigma):
    field = smooth_noise(derive_rng("noise"), (91, 130), sigma)
    assert field.shape == (91, 130)
    assert field.std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2019, 9, 2, 0, 9, 36), "2019-09-02 오전 12:09:36"),
        (datetime(2019, 12, 3, 19, 37, 11), "2019-12-03 오후 7:37:11"),
        (datetime(2024, 1, 8, 12, 0, 0), "2024-01-08 오후 12:00:00"),
    ],
)
def test_korean_times(moment, text):
    assert write_korean_time(moment) == text


def test_times_ascend_within_a_class():
    # The class may come in any place of the day's order; two frames a day share the place.
    times = [schedule_frame(i // 2 * 7 % 5, i, derive_rng("t", i)) for i in range(8)]
    assert times == sorted(set(times))


def test_sidecar_says_what_it_is():
    moment = datetime(2024, 1, 8, 15, 4, 5)
    text = write_sidecar("ncm333_pristine", "a.jpg", 640, 480, moment, derive_rng("sidecar"))
    assert "Model : Batteryscope generator (not a microscope)\r\n" in text
    assert "Acceleated Voltage :  20 kV\r\n" in text
    assert "Magnification : x500 \r\n" in text
    assert "[   - Working Distance]\r\nDefault Working Distance : 0mm\r\n" in text
    assert "\\240108_ncm333_pristine\\a.jpg" in text
    assert text.endswith("Image Size : 640,480\r\n")
