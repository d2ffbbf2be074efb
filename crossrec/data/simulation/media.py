"""Pictures and sounds of a domain's products, as files."""

from pathlib import Path

from crossrec.data.columns import AUDIO, IMAGE
from crossrec.data.simulation.kits import DomainKit, SharedKit
from crossrec.data.simulation.looks import looks
from crossrec.data.simulation.pictures import write_picture
from crossrec.data.simulation.products import make_products
from crossrec.data.simulation.sounds import write_sound
from crossrec.data.simulation.streams import stream

VERSION = 1  # raise it with any change of what is drawn or played
# What shows a product, as columns call it -> ending of its file, and what writes it.
WRITERS = {IMAGE: (".png", write_picture), AUDIO: (".wav", write_sound)}


def write_media(folder: Path, shared: SharedKit, kit: DomainKit, medium: str, seed: int) -> None:
    """Write a file for each product, called by its identifier.

    Args:
        medium: "image" or "audio".
        seed: of the domain.
    """
    products = make_products(shared, kit, seed)
    ending, write = WRITERS[medium]
    rng = stream(seed, kit.name, medium)
    for asin, look in zip(products.asins, looks(shared, kit, products), strict=True):
        write(folder / f"{asin}{ending}", look, rng)
