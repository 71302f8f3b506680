"""Small pictures to look at; only `prescreen.embeddings.workers` draws them."""

import io

from PIL import Image

from prescreen.images.decoding import decode


def draw_thumbnail(data: bytes, side: int, quality: int) -> bytes:
    """Return a small WebP without metadata; a truncated picture is drawn as far as it goes.

    Parameters
    ----------
    data : bytes
        An image file.
    side : int
        Longer side of the thumbnail in pixels; a smaller picture keeps its size.
    quality : int, 0 to 100
        Of the WebP.

    Raises
    ------
    PictureError
        The picture cannot be decoded.
    """
    pixels = decode(data, tolerant=True, min_side=side).pixels
    pixels.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    pixels.save(stream, "WEBP", quality=quality, method=4)
    return stream.getvalue()
