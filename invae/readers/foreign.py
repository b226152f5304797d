"""Files of instruments and programs that no reader reads: which maker wrote them, and what to do."""

from dataclasses import dataclass
from pathlib import Path

BY_GWYDDION = "open it in Gwyddion and save it as .gwy, with all channels"
NO_PICTURE = "a picture has no measured values: export the data"


@dataclass(frozen=True)
class Foreign:
    """Files of one maker: how they are recognised, and the way to readable ones."""

    name: str
    starts: tuple[bytes, ...] = ()
    """The first bytes of its files; none if only the extension tells them."""
    extensions: tuple[str, ...] = ()
    """Extensions of its files; where both are given, both must fit."""
    advice: str = BY_GWYDDION
    overrules: bool = False
    """Whether readers of its container (HDF5, zip) must not try."""

    def recognises(self, path: Path, head: bytes) -> bool:
        """Whether a file is one of this maker, from its name and its first bytes."""
        by_start = not self.starts or head.startswith(self.starts)
        by_name = not self.extensions or path.name.lower().endswith(self.extensions)
        return by_start and by_name and bool(head)


ZIP, OLE, HDF5 = b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x89HDF\r\n"
TABLES = (".csv", ".txt", ".tsv", ".asc", ".xyz")
MAKERS = (
    Foreign("Bruker NanoScope", (b"?*File list", b"\\*Force file list", b"\\*EC File list")),
    Foreign("Nanosurf (.nid)", (b"[DataSet]",)),
    Foreign("Nanosurf (.nhf)", (HDF5,), (".nhf",), overrules=True),
    Foreign("JPK", (ZIP, HDF5), (".jpk", ".jpk-force", ".jpk-force-map", ".jpk-qi-image", ".jpk-qi-data", ".h5-jpk"), overrules=True),
    Foreign("NT-MDT", (b"\x01\xb0\x93\xff",)),
    Foreign("WSxM", (b"WSxM file copyright",)),
    Foreign("Omicron Matrix", (b"ONTMATRX",)),
    Foreign("Createc", (b"[Paramet32]", b"[Paramco32]", b"[Parameter]")),
    Foreign("RHK", (b"S\0T\0i\0M\0a\0g\0e\0", b"\xaa\0S\0T\0i\0M\0a\0g\0e\0")),
    Foreign("Digital Surf", (b"DIGITAL SURF", b"DSCOMPRESSED")),
    Foreign("Igor Pro, a packed experiment or text", (), (".pxp", ".itx"), "save each image as its own .ibw with Igor Pro"),
    Foreign("FEI TIA (.emi)", (), (".emi",), "it holds settings: give the files of values beside it (NAME_1.ser)"),
    Foreign("Nion Swift (.ndata)", (ZIP,), (".ndata", ".ndata1"), "export the data item from Nion Swift as NumPy (.npy) with its .json", overrules=True),
    Foreign("a spreadsheet", (ZIP, OLE), (".xlsx", ".xlsm", ".ods", ".xls"), "save the numbers as .npy with a .json that names units"),
    Foreign("a document", (b"%PDF", ZIP, OLE), (".pdf", ".docx", ".pptx", ".doc", ".ppt", ".odt", ".odp"), NO_PICTURE),
    Foreign("a picture", (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8", b"RIFF"), (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"), NO_PICTURE),
    Foreign("a picture", (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8"), (), NO_PICTURE),
    Foreign("an archive", (ZIP, b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!"), (".zip", ".gz", ".tgz", ".7z", ".rar"), "unpack it and give the files in it"),
    Foreign("a table of text", (), TABLES, "import it in Gwyddion (raw or ASCII data) with its size and units and save it as .gwy, or save it as .npy with a .json"),
)  # fmt: skip
"""Makers in the order of recognition."""


def maker_of(path: Path, head: bytes) -> Foreign | None:
    """The maker of a file that no reader reads; none if it is unknown."""
    return next((maker for maker in MAKERS if maker.recognises(path, head)), None)


def words(path: Path, maker: Foreign) -> str:
    """One sentence: what a file is, and what to do."""
    kind = maker.name if maker.name.startswith(("a ", "an ")) else f"a file of {maker.name}"
    return f"{path}: is {kind}, which is not read; {maker.advice}"
