"""Pictures with a mark of how they are to be turned, in each place where programs write it."""

import io
import zlib

import numpy as np
from PIL import Image, PngImagePlugin

# (40, 60) pixels, bright in one corner: each turn of it differs.
UPRIGHT = np.zeros((40, 60), np.uint8)
UPRIGHT[:16, :16] = 255

_QUARTERS = {6: 1, 3: 2, 8: 3}  # EXIF orientation -> quarter turns clockwise to be upright
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    'tiff:Orientation="{}"/></rdf:RDF></x:xmpmeta>'
)


def _encoded(kind, **options):
    stream = io.BytesIO()
    Image.fromarray(UPRIGHT).save(stream, kind, **options)
    return stream.getvalue()


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _jpeg_exif(orientation):
    return _encoded("jpeg", quality=95, exif=_exif(orientation))


def _jpeg_xmp(orientation):
    """As Photoshop and Lightroom write it."""
    return _encoded("jpeg", quality=95, xmp=_XMP.format(orientation).encode())


def _png_exif(orientation):
    return _encoded("png", exif=_exif(orientation))


def _png_late_exif(orientation):
    """Behind the pixels: PNG allows it, and browsers have drawn the picture by then."""
    kind_and_data = b"eXIf" + _exif(orientation).tobytes().removeprefix(b"Exif\0\0")
    chunk = (len(kind_and_data) - 4).to_bytes(4, "big") + kind_and_data
    chunk += zlib.crc32(kind_and_data).to_bytes(4, "big")
    end = 12  # bytes of IEND
    plain = _encoded("png")
    return plain[:-end] + chunk + plain[-end:]


def _png_xmp(orientation):
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", _XMP.format(orientation))
    return _encoded("png", pnginfo=text)


def _png_text(orientation):
    """As ImageMagick keeps a JPEG's EXIF in a PNG."""
    exif = b"Exif\0\0" + _exif(orientation).tobytes().removeprefix(b"Exif\0\0")
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(exif):8}\n{exif.hex()}\n", zip=True)
    return _encoded("png", pnginfo=text)


_MAKERS = {
    # name: how it is made, and whether browsers heed the mark
    "JPEG with EXIF": (_jpeg_exif, True),
    "JPEG with XMP": (_jpeg_xmp, False),
    "PNG with EXIF": (_png_exif, True),
    "PNG with EXIF behind the pixels": (_png_late_exif, False),
    "PNG with XMP": (_png_xmp, False),
    "PNG with ImageMagick's text": (_png_text, False),
}
MARKED = [f"{name}, {orientation}" for name in _MAKERS for orientation in _QUARTERS]


def marked(name):
    """The bytes of one of MARKED, and by how many quarters a browser turns it clockwise."""
    kind, orientation = name.rsplit(", ", 1)
    make, heeded = _MAKERS[kind]
    return make(int(orientation)), _QUARTERS[int(orientation)] if heeded else 0
