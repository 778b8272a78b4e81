"""The text file beside a frame, in the form that an SNE-4500M tabletop microscope writes."""

from datetime import datetime, timedelta

import numpy as np

MODEL = "Batteryscope generator (not a microscope)"
FIRST_SESSION = datetime(2024, 1, 8, 9, 0)
FRAMES_PER_SESSION = 2
SECONDS_PER_FRAME = 60
SECONDS_PER_VISIT = 360


def find_day(frame_index: int) -> int:
    """Return the day, from 0, on which a frame of any class is taken: two frames each a day."""
    return frame_index // FRAMES_PER_SESSION


def schedule_frame(visit: int, frame_index: int, rng: np.random.Generator) -> datetime:
    """Return when a frame would have been taken; times ascend with the frames of a class.

    Parameters
    ----------
    visit
        Place of the class in the order of that day, from 0.
    frame_index
        Number of the frame within its class, from 0.
    rng
        Source of up to 20 s of variation.
    """
    turn = frame_index % FRAMES_PER_SESSION
    seconds = visit * SECONDS_PER_VISIT + turn * SECONDS_PER_FRAME + rng.uniform(0, 20)
    return FIRST_SESSION + timedelta(days=find_day(frame_index), seconds=round(seconds, 3))


def write_korean_time(moment: datetime) -> str:
    """Return a time as a Korean Windows writes it, for example ``2019-12-03 오후 7:37:11``.

    Examples
    --------
    >>> write_korean_time(datetime(2019, 9, 2, 0, 9, 36))
    '2019-09-02 오전 12:09:36'
    """
    half = "오전" if moment.hour < 12 else "오후"
    return f"{moment:%Y-%m-%d} {half} {moment.hour % 12 or 12}:{moment:%M:%S}"


def write_sidecar(
    folder: str,
    name: str,
    width_px: int,
    height_px: int,
    acquired_at: datetime,
    rng: np.random.Generator,
) -> str:
    """Return the sidecar's text (CRLF line ends; the microscope's own misspellings kept).

    The detector numbers are random and say nothing about the class. Only the image size differs
    in meaning from a real sidecar: it is the size of the frame.
    """
    brightness, contrast = int(rng.integers(60, 126)), int(rng.integers(-80, 81))
    focus = int(rng.integers(1850, 2350))
    stig_x, stig_y = (int(v) for v in rng.integers(-6, 7, 2))
    session = f"{acquired_at:%y%m%d}_{folder}"
    lines = [
        "[Image Info]",
        f"Model : {MODEL}",
        f"Date : {write_korean_time(acquired_at)}",
        f"Time : {acquired_at:%H:%M:%S.%f}0",
        f"File Name : D:\\DATA\\DEMO\\{session}\\{name}",
        "Discription : generated picture, no real sample",
        "Acceleated Voltage :  20 kV",
        "Magnification : x500 ",
        "Emission Current : 110uA",
        "Detector Mode : SED",
        "Vacuum Mode : High Vacuum",
        "Scan Speed : ",
        "[Running Info]",
        f"Focus : {focus}",
        "Magnification : x500 ",
        "Scan Rotaion : 0°",
        "[   - Image Process]",
        f"Brightness : {brightness}",
        f"Contrast : {contrast}",
        "[   - Detector]",
        f"Detector : {brightness}",
        "Collector : 139",
        "[   - Spot Size]",
        "Spot Size : 107",
        "[   - Working Distance]",
        "Default Working Distance : 0mm",
        "Working Distance : 5mm",
        "[   - Stig]",
        f"Stig X : {stig_x}",
        f"Stig Y : {stig_y}",
        "[Active Scan]",
        "Frame Average : 1",
        f"Image Size : {width_px},{height_px}",
    ]
    return "\r\n".join([*lines, ""])
