"""Forward passes in bfloat16, against single precision, in which published models answer.

Networks have random weights, and batch normalisation folded into the convolutions as those of a
published model. Operations that need the range of single precision keep it (``torch.autocast``).
"""

from pathlib import Path

from benchmarks.measurement import Measurement, summarise, take_rounds, timed

TILES = 12  # of a picture
ROUNDS = 7
# Edge of a tile in px, and passes per round.
NETWORKS = {
    "test_resnet": (96, 40),
    "mobilenetv2_100": (192, 4),
    "tf_efficientnet_lite0": (192, 4),
}


def measure(folder: Path) -> list[Measurement]:
    """Measure three networks; the first is that of the demo."""
    import torch

    from batteryscope.config.learning import ModelSettings
    from batteryscope.models.classifier import build_classifier
    from batteryscope.models.fold_batch_norm import fold_batch_norm
    from benchmarks.sample_data import draw_tiles

    able = [name for name, has in torch.cpu.get_capabilities().items() if "bf16" in name and has]
    note = f"instructions of this processor for bfloat16: {', '.join(able) or 'none'}"
    measurements = []
    for backbone, (edge_px, passes) in NETWORKS.items():
        tiles = torch.from_numpy(draw_tiles(TILES, edge_px)).unsqueeze(1)
        settings = ModelSettings(backbone=backbone, weights="random")
        built = build_classifier(settings, ["a", "b"], edge_px, seed=1).eval()
        model = fold_batch_norm(built, tiles)

        def pass_tiles() -> None:
            with torch.inference_mode():
                for _ in range(passes):  # noqa: B023
                    model(tiles)  # noqa: B023

        def pass_in_half() -> None:
            with torch.autocast("cpu", torch.bfloat16):
                pass_tiles()

        rounds = take_rounds(timed(pass_in_half), timed(pass_tiles), ROUNDS)
        n = passes * TILES
        row = summarise(f"forward in bfloat16, {backbone}", "tiles/s", n, rounds, "float32", note)
        measurements.append(row)
        note = ""  # once
    return measurements
