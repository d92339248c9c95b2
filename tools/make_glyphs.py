"""Make ``jedi_sklearn/datasets/data/glyphs.npz``, the images of ``load_glyphs``.

Run it from the root of the repository, with NumPy and Pillow installed::

    python tools/make_glyphs.py
    python tools/make_glyphs.py --output glyphs.npz --sheet sheet.png

The second line writes elsewhere, and draws some rows of every dataset to look at.
The same versions of the fonts, Pillow (with FreeType) and zlib give the same file,
byte for byte. What it reads comes from Debian packages; on Debian 12::

    apt-get install --no-install-recommends dataset-fashion-mnist \\
        fonts-averia-gwf fonts-bebas-neue fonts-cabin fonts-cantarell \\
        fonts-comfortaa fonts-courier-prime fonts-crosextra-caladea \\
        fonts-dancingscript fonts-dejavu-core fonts-dosis fonts-ebgaramond \\
        fonts-essays1743 fonts-gnutypewriter fonts-goudybookletter \\
        fonts-humor-sans fonts-junicode fonts-jura fonts-karla fonts-lato \\
        fonts-leckerli-one fonts-league-spartan fonts-liberation2 \\
        fonts-linuxlibertine fonts-lobstertwo fonts-open-sans fonts-play \\
        fonts-prociono fonts-quattrocento fonts-quicksand \\
        fonts-roboto-unhinted fonts-rufscript fonts-sil-gentium fonts-tuffy \\
        fonts-vollkorn fonts-yanone-kaffeesatz

The tables of fonts below name the licence of each, as
``/usr/share/doc/PACKAGE/copyright`` states it. All are free, and none of them
extends to pictures of text. Fashion-MNIST is under the MIT licence.
"""

from __future__ import annotations

import argparse
import gzip
import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONT_ROOT = Path("/usr/share/fonts")
FASHION_ROOT = Path("/usr/share/datasets/fashion-mnist")
OUTPUT = Path(__file__).parents[1] / "jedi_sklearn/datasets/data/glyphs.npz"

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NUMERALS = "0123456789"
SUBSETS = ("train", "test")
# Rows per class, train and test.
FASHION_ROWS = {"train": 250, "test": 150}
LETTER_ROWS = {"train": 58, "test": 50}
NUMERAL_ROWS = {"train": 30, "test": 100}
# Grey levels kept: fewer bits make a smaller file. The loader divides by these.
GLYPH_TOP, FASHION_TOP = 15, 63
SIZE = 28
# Glyphs are drawn this many times larger and averaged down.
OVERSAMPLING = 4

# Random changes of the glyphs: uniform between plus and minus MAX_*, or between the
# two ends. Angles in degrees, lengths in pixels.
MAX_ANGLE, MAX_SHEAR, MAX_SHIFT = 10, 0.15, 1.5
SCALES, STRETCHES = (0.85, 1.1), (0.9, 1.1)
BLURS, CONTRASTS = (0.1, 0.8), (0.6, 1.0)

# family | Debian package | licence | files. No family is on both sides, nor is any
# that was drawn after one of the other side (Carlito is Lato, Hack is DejaVu Sans
# Mono, FreeSans and Liberation Sans are near-copies): such twins are left out.
TRAIN_FONTS = """
Averia GWF | fonts-averia-gwf | OFL-1.1 |
    AveriaGWF-Regular.ttf, AveriaGWF-Italic.ttf, AveriaGWF-Bold.ttf
Comfortaa | fonts-comfortaa | OFL-1.1 | Comfortaa-Regular.ttf, Comfortaa-Bold.ttf
Courier Prime | fonts-courier-prime | OFL-1.1 |
    Courier Prime.otf, Courier Prime Bold Italic.otf
Dancing Script | fonts-dancingscript | OFL-1.1 |
    DancingScript-Regular.otf, DancingScript-Bold.otf
DejaVu | fonts-dejavu-core | Bitstream Vera, changes public domain |
    DejaVuSans.ttf, DejaVuSerif.ttf, DejaVuSansMono-Bold.ttf
Dosis | fonts-dosis | OFL-1.1 | Dosis-Medium.otf, Dosis-ExtraBold.otf
EB Garamond | fonts-ebgaramond | OFL-1.1 |
    EBGaramond12-Regular.otf, EBGaramond12-Italic.otf
Humor Sans | fonts-humor-sans | OFL-1.1 | Humor-Sans.ttf
Jura | fonts-jura | OFL-1.1 | Jura-Medium.otf, Jura-Bold.otf
Lato | fonts-lato | OFL-1.1 | Lato-Regular.ttf, Lato-BoldItalic.ttf, Lato-Black.ttf
Liberation | fonts-liberation2 | OFL-1.1 |
    LiberationSans-Regular.ttf, LiberationSerif-Italic.ttf, LiberationMono-Bold.ttf
Lobster Two | fonts-lobstertwo | OFL-1.1 |
    LobsterTwo-Regular.otf, LobsterTwo-BoldItalic.otf
Quattrocento | fonts-quattrocento | OFL-1.1 | Quattrocento-Regular.otf
Roboto | fonts-roboto-unhinted | Apache-2.0 |
    Roboto-Regular.ttf, Roboto-BoldItalic.ttf, RobotoCondensed-Regular.ttf
Tuffy | fonts-tuffy | public domain | Tuffy.ttf, Tuffy_Bold_Italic.ttf
Vollkorn | fonts-vollkorn | OFL-1.1 |
    Vollkorn-Regular.ttf, Vollkorn-Italic.ttf, Vollkorn-Black.ttf
Yanone Kaffeesatz | fonts-yanone-kaffeesatz | OFL-1.1 |
    YanoneKaffeesatz-Regular.otf, YanoneKaffeesatz-Bold.otf
"""
TEST_FONTS = """
Bebas Neue | fonts-bebas-neue | OFL-1.1 | BebasNeue-Regular.otf, BebasNeue-Light.otf
Cabin | fonts-cabin | OFL-1.1 | Cabin-Regular.otf, Cabin-BoldItalic.otf
Caladea | fonts-crosextra-caladea | OFL-1.1 |
    Caladea-Regular.ttf, Caladea-BoldItalic.ttf
Cantarell | fonts-cantarell | OFL-1.1 | Cantarell-Regular.otf, Cantarell-ExtraBold.otf
Essays 1743 | fonts-essays1743 | OFL-1.1 or LGPL-2.1 |
    Essays1743.ttf, Essays1743-Italic.ttf
Gentium | fonts-sil-gentium | OFL-1.1 | Gentium-R.ttf, Gentium-I.ttf
GNU Typewriter | fonts-gnutypewriter | OFL-1.1 | GNUTypewriter.ttf
Goudy Bookletter 1911 | fonts-goudybookletter | public domain | GoudyBookletter1911.otf
Junicode | fonts-junicode | OFL-1.1 |
    JunicodeTwoBeta-Regular.otf, JunicodeTwoBeta-BoldItalic.otf
Karla | fonts-karla | OFL-1.1 | Karla-Regular.otf, Karla-BoldItalic.otf
League Spartan | fonts-league-spartan | OFL-1.1 |
    LeagueSpartan-Regular.otf, LeagueSpartan-ExtraBold.otf
Leckerli One | fonts-leckerli-one | OFL-1.1 | LeckerliOne-Regular.ttf
Linux Libertine | fonts-linuxlibertine | OFL-1.1 or GPL-2+ with font exception |
    LinLibertine_R.otf, LinLibertine_RBI.otf, LinBiolinum_R.otf
Open Sans | fonts-open-sans | Apache-2.0 |
    OpenSans-Regular.ttf, OpenSans-BoldItalic.ttf, OpenSans-CondBold.ttf
Play | fonts-play | OFL-1.1 | Play-Regular.ttf, Play-Bold.ttf
Prociono | fonts-prociono | public domain | Prociono.otf
Quicksand | fonts-quicksand | OFL-1.1 | Quicksand-Regular.ttf, Quicksand-Bold.ttf
Rufscript | fonts-rufscript | GPL-3 with font exception | Rufscript010.ttf
"""


class Family(NamedTuple):
    """A typeface: its name, its Debian package, its licence and its styles' files."""

    name: str
    package: str
    licence: str
    files: list[Path]


def read_families(table: str) -> list[Family]:
    """Parse a table of fonts and find its files."""
    families = []
    for entry in table.replace("|\n", "|").strip().split("\n"):
        name, package, licence, files = (field.strip() for field in entry.split("|"))
        paths = [find_font(file.strip(), package) for file in files.split(",")]
        families.append(Family(name, package, licence, paths))
    return families


def find_font(name: str, package: str) -> Path:
    """Return the path of a font file, or say which package brings it."""
    found = sorted(FONT_ROOT.rglob(name))
    if not found:
        raise FileNotFoundError(
            f"There is no {name} under {FONT_ROOT}. It comes with the Debian package "
            f"{package}: apt-get install {package}"
        )
    return found[0]


def draw(text: str, font: Path, rng: np.random.RandomState) -> npt.NDArray[np.uint8]:
    """Draw one character under a random shift, rotation, shear, scale and contrast.

    Returns an image of shape (28, 28), white on black, in grey levels 0 to 15.
    """
    angle = np.deg2rad(rng.uniform(-MAX_ANGLE, MAX_ANGLE))
    shear = rng.uniform(-MAX_SHEAR, MAX_SHEAR)
    scale = rng.uniform(*SCALES)
    stretch = rng.uniform(*STRETCHES)
    shift = rng.uniform(-MAX_SHIFT, MAX_SHIFT, size=2) * OVERSAMPLING
    blur = rng.uniform(*BLURS) * OVERSAMPLING
    contrast = rng.uniform(*CONTRASTS)

    # The glyph alone, on a canvas twice as large as the image.
    canvas = SIZE * OVERSAMPLING * 2
    face = ImageFont.truetype(
        str(font), canvas // 2, layout_engine=ImageFont.Layout.BASIC
    )
    left, top, right, bottom = face.getbbox(text)
    width, height = right - left, bottom - top
    glyph = Image.new("L", (canvas, canvas))
    corner = ((canvas - width) / 2 - left, (canvas - height) / 2 - top)
    ImageDraw.Draw(glyph).text(corner, text, font=face, fill=255)

    # PIL wants the map from the result's pixels to the canvas's: the inverse.
    fit = 19 * OVERSAMPLING * scale / max(height, 0.85 * width)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    forward = fit * turn @ np.array([[stretch, shear], [0, 1]])
    inverse = np.linalg.inv(forward)
    side = SIZE * OVERSAMPLING
    offset = canvas / 2 - inverse @ (side / 2 + shift)
    rows = np.column_stack([inverse, offset]).ravel()
    # Rounded, so that the last bits of sines and inverses cannot matter.
    image = glyph.transform(
        (side, side),
        Image.Transform.AFFINE,
        [round(float(value), 6) for value in rows],
        Image.Resampling.BILINEAR,
    )
    image = image.filter(ImageFilter.GaussianBlur(blur)).reduce(OVERSAMPLING)
    levels = np.asarray(image, dtype=np.float64) * (contrast * GLYPH_TOP / 255)
    return np.rint(levels).astype(np.uint8)


def render(
    characters: str, n_rows: int, families: list[Family], rng: np.random.RandomState
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Draw `n_rows` images of each character, in random order.

    Returns the images, the index of each one's character and that of its family.
    The families take turns, so that each has nearly the same number of rows.
    """
    turns = np.concatenate(
        [
            rng.permutation(np.arange(n_rows) + start) % len(families)
            for start in rng.randint(len(families), size=len(characters))
        ]
    )
    y = np.repeat(np.arange(len(characters)), n_rows)
    order = rng.permutation(len(y))
    images = []
    for label, turn in zip(y[order], turns[order], strict=True):
        files = families[turn].files
        images.append(draw(characters[label], files[rng.randint(len(files))], rng))
    return np.stack(images), y[order].astype(np.uint8), turns[order].astype(np.uint8)


def read_idx(name: str) -> npt.NDArray[np.uint8]:
    """Read one file of Fashion-MNIST."""
    path = FASHION_ROOT / name
    if not path.exists():
        raise FileNotFoundError(
            f"There is no {path}. It comes with the Debian package "
            "dataset-fashion-mnist: apt-get install dataset-fashion-mnist"
        )
    data = gzip.decompress(path.read_bytes())
    n_axes = data[3]
    shape = np.frombuffer(data, ">u4", count=n_axes, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * n_axes).reshape(shape)


def sample_fashion(
    subset: str, rng: np.random.RandomState
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Take the same number of images of every class, in random order."""
    prefix = {"train": "train", "test": "t10k"}[subset]
    images = read_idx(f"{prefix}-images-idx3-ubyte.gz")
    y = read_idx(f"{prefix}-labels-idx1-ubyte.gz")
    n_rows = FASHION_ROWS[subset]
    chosen = np.concatenate(
        [rng.choice(np.flatnonzero(y == k), n_rows, replace=False) for k in range(10)]
    )
    chosen = rng.permutation(chosen)
    levels = np.rint(images[chosen] * (FASHION_TOP / 255)).astype(np.uint8)
    return levels, y[chosen]


def make_arrays() -> dict[str, npt.NDArray[Any]]:
    """Make every array of the file."""
    families = {
        "train": read_families(TRAIN_FONTS),
        "test": read_families(TEST_FONTS),
    }
    arrays: dict[str, npt.NDArray[Any]] = {}
    for seed, subset in enumerate(SUBSETS):
        arrays[f"{subset}_families"] = np.array([f.name for f in families[subset]])
        # RandomState's streams are frozen, unlike those of default_rng.
        X, y = sample_fashion(subset, np.random.RandomState(10 + seed))
        arrays[f"fashion_{subset}_X"], arrays[f"fashion_{subset}_y"] = X, y
        tasks = {
            "letters": (LETTERS, LETTER_ROWS, np.random.RandomState(20 + seed)),
            "numerals": (NUMERALS, NUMERAL_ROWS, np.random.RandomState(30 + seed)),
        }
        for name, (characters, n_rows, rng) in tasks.items():
            X, y, family = render(characters, n_rows[subset], families[subset], rng)
            arrays[f"{name}_{subset}_X"] = X
            arrays[f"{name}_{subset}_y"] = y
            arrays[f"{name}_{subset}_family"] = family
    return arrays


def write_npz(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Write arrays as np.savez_compressed does, but without the time of day."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(
                entry, buffer.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9
            )


def write_sheet(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Draw the first rows of every dataset onto one sheet, 40 to a line."""
    lines = []
    for name, images in arrays.items():
        if name.endswith("_X"):
            top = FASHION_TOP if name.startswith("fashion") else GLYPH_TOP
            grey = (images[:120] * (255 / top)).astype(np.uint8)
            lines += [np.hstack(list(grey[at : at + 40])) for at in (0, 40, 80)]
    Image.fromarray(np.vstack(lines)).save(path)


def main() -> None:
    """Write the file, and the sheet where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    arrays = make_arrays()
    write_npz(args.output, arrays)
    if args.sheet:
        write_sheet(args.sheet, arrays)
    print(f"{args.output}: {args.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
