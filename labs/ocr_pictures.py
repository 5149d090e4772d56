"""Pictures to read: one that is drawn here, and a photograph out of the package scikit-image."""

from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 960, 736
INK, PAPER = (25, 25, 60), (250, 246, 235)
LINES = (  # text, left, top, size, degrees it is turned by
    ("Aurora Labs, A 3.14", 60, 40, 64, 0),
    ("Vector Engine workshop", 60, 150, 40, 0),
    ("Total 1,234.50 EUR", 60, 240, 32, 0),
    ("this line climbs slowly", 80, 360, 40, 8),
    ("call 4711-0815 by 9:45", 520, 480, 30, 0),
    ("and small print below it", 60, 500, 20, 0),
    ("turned upside down", 60, 600, 44, 180),
)


def drawn() -> Image.Image:
    """A page with the text of `LINES`, in the font that comes with Pillow."""
    page = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    for text, left, top, size, degrees in LINES:
        font = ImageFont.load_default(size)
        x0, y0, x1, y1 = font.getbbox(text)
        ink = Image.new("L", (round(x1 - x0) + 8, round(y1 - y0) + 8))
        ImageDraw.Draw(ink).text((4 - x0, 4 - y0), text, fill=255, font=font)
        ink = ink.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
        page.paste(INK, (left, top), ink)
    return page


def photograph() -> Image.Image:
    """A printed page, photographed at an angle and in uneven light: `skimage.data.page()`, [191, 384] in grey.

    Raises:
        ModuleNotFoundError: scikit-image is not installed.
    """
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "the photograph is in scikit-image: pip install 'aurora-labs[models]'", name="skimage"
        )
    return Image.open(Path(spec.submodule_search_locations[0]) / "data" / "page.png").convert("RGB")
