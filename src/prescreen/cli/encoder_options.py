"""Options of the verbs that turn pictures into vectors."""

import click

encoder_option = click.option(
    "--encoder", default="clip", show_default=True, help="clip, clip:MODEL/PRETRAINED, clip:MODEL@PATH, bundled."
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["f32", "bf16"]),
    default="f32",
    show_default=True,
    help="Arithmetic of the networks; bf16 is as accurate and faster; the predictor then needs a device with it.",
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    help="What the networks run on; auto takes a CUDA card where there is one. [PRESCREEN_DEVICE, or auto]",
)
links_option = click.option(
    "--follow-links", is_flag=True, help="Also take pictures that links in the folders reach outside of them."
)
