"""The media type of an image, told by its first bytes: names lie (n02105855_2933.JPEG is PNG).

Stdlib only.
"""

MAGIC = (
    ("image/jpeg", 0, b"\xff\xd8\xff"),
    ("image/png", 0, b"\x89PNG\r\n\x1a\n"),
    ("image/gif", 0, b"GIF8"),
    ("image/webp", 8, b"WEBP"),
    ("image/bmp", 0, b"BM"),
    ("image/tiff", 0, b"II*\x00"),
    ("image/tiff", 0, b"MM\x00*"),
    ("image/jp2", 4, b"jP  "),
    ("image/avif", 4, b"ftypavif"),
)
"""Media types, and the bytes at some place of a file that tell them."""


def kind(data: bytes) -> str:
    """The media type of the bytes of an image; '' for no type that is known."""
    return next((kind for kind, at, magic in MAGIC if data.startswith(magic, at)), "")
