"""Canaries in what a file is besides attributes and pixels: meta, preamble, names, damage, text."""

from __future__ import annotations

import json
import zipfile

from pydicom.dataelem import DataElement
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage

from .corpus import CHARSETS, CODES, META, NAMES, PIXELS, TABLE, Corpus, to_bytes

_SC = UID("1.2.840.10008.5.1.4.1.1.7")
_SCRIPTS: tuple[tuple[str, str, list[str]], ...] = (
    # Specific Character Set, letters of the script, Python codecs of its encodings.
    ("ISO_IR 100", "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞß", ["latin-1"]),
    ("ISO_IR 101", "ĄŁŚŠŞŤŹŽŻąłśšşťźžż", ["iso8859-2"]),
    ("ISO_IR 144", "БГДЖЗИЙЛПУФЦЧШЩЪЫЬЭЮЯ", ["iso8859-5", "cp1251"]),
    ("ISO_IR 126", "ΓΔΘΛΞΠΣΦΨΩαβγδεζηθλμξπσφψω", ["iso8859-7"]),
    ("ISO_IR 127", "ابتثجحخدذرزسشصضطظعغفقكلمنهوي", ["iso8859-6"]),
    ("ISO_IR 138", "אבגדהוזחטיכלמנסעפצקרשת", ["iso8859-8"]),
    ("ISO_IR 166", "กขคงจฉชซญฎฐณดตถทธนบปผฝพฟภมยรลวศษสหอ", ["tis-620"]),
    ("ISO_IR 13", "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉ", ["shift_jis"]),
    ("\\ISO 2022 IR 87", "山田太郎鈴木佐藤高橋伊渡辺中村", ["iso2022_jp", "shift_jis", "euc_jp"]),
    ("\\ISO 2022 IR 149", "김희중이박최정강조윤장임한오서신권황안송", ["euc_kr"]),
    ("\\ISO 2022 IR 58", "王小东张伟李娜刘洋陈静杨敏赵强", ["gb2312"]),
    ("GB18030", "王小东張偉李娜劉洋陳靜楊敏趙強", ["gb18030"]),
    ("GBK", "王小东張偉李娜劉洋陳靜楊敏趙強", ["gbk"]),
    ("ISO_IR 192", "ZęłßЖя山김ñçőğ", []),
)  # fmt: skip


def meta(corpus: Corpus) -> None:
    """File meta, preamble, and bytes after the data set."""
    dataset = corpus.image(_SC, "OT", bits=8)
    meta = dataset.file_meta
    for keyword in ("ImplementationVersionName", "SourceApplicationEntityTitle",
                    "SendingApplicationEntityTitle",
                    "ReceivingApplicationEntityTitle"):  # fmt: skip
        setattr(meta, keyword, corpus.text(META, f"meta.dcm {keyword}"))
    for keyword in ("ImplementationClassUID", "PrivateInformationCreatorUID",
                    "MediaStorageSOPInstanceUID"):  # fmt: skip
        setattr(meta, keyword, corpus.mint.value(META, f"meta.dcm {keyword}", "UI"))
    for keyword in ("SourcePresentationAddress", "SendingPresentationAddress",
                    "ReceivingPresentationAddress"):  # fmt: skip
        setattr(meta, keyword, corpus.mint.value(META, f"meta.dcm {keyword}", "UR"))
    meta.PrivateInformation = corpus.text(META, "meta.dcm PrivateInformation").encode()
    preamble = corpus.text(META, "meta.dcm preamble").encode()
    dataset.preamble = (b"II*\0" + preamble).ljust(128, b"\0")
    corpus.write(dataset, "meta.dcm")
    for name, syntax in (
        ("explicit", ExplicitVRLittleEndian),
        ("implicit", ImplicitVRLittleEndian),
    ):
        dataset = corpus.image()
        dataset.file_meta.TransferSyntaxUID = syntax
        path = corpus.write(dataset, f"trailing-{name}.dcm")
        with path.open("ab") as stream:
            stream.write(corpus.text(PIXELS, f"trailing-{name}.dcm after the data set").encode())


def charsets(corpus: Corpus) -> None:
    """Names, institutions and comments in every character set of PS3.3 C.12.1.1.2."""
    for number, (charset, letters, codecs) in enumerate(_SCRIPTS):
        dataset = corpus.image()
        dataset.SpecificCharacterSet = charset.split("\\")
        name = f"charset-{number}.dcm"
        for keyword in ("PatientName", "PatientComments", "InstitutionName", "StudyDescription",
                        "LUTExplanation", "DerivationDescription"):  # fmt: skip
            value = corpus.mint.native(CHARSETS, f"{name} {charset} {keyword}", letters, codecs)
            setattr(dataset, keyword, value)
        corpus.write(dataset, name)


def names(corpus: Corpus) -> None:
    """Folder, file and zip member names, a zip's comment, and files that are not DICOM."""
    name = corpus.text
    folder = f"{name(NAMES, 'folder name')}/Müller {name(NAMES, 'folder below it')}"
    corpus.write(corpus.image(), f"{folder}/{name(NAMES, 'file name')}.dcm")
    inside = to_bytes(corpus.image(MRImageStorage, "MR"))
    with zipfile.ZipFile(corpus.folder / f"{name(NAMES, 'zip name')}.zip", "w") as archive:
        archive.comment = name(NAMES, "zip comment").encode()
        archive.writestr(f"{name(NAMES, 'member folder')}/{name(NAMES, 'member')}.dcm", inside)
    (corpus.folder / "notes.txt").write_text(name(NAMES, "text file"))
    (corpus.folder / "list.json").write_text(json.dumps({"patient": name(NAMES, "JSON file")}))


def damaged(corpus: Corpus) -> None:
    """Cut and torn copies of planted files, whose error messages may quote."""
    for number, keep in enumerate((0.15, 0.5, 0.9, 0.99)):
        dataset = corpus.image()
        corpus.slices -= 1
        keywords = ["PatientName", "StudyDescription", "KVP", "StudyDate", "PatientAge", "Rows"]
        for keyword in keywords[: 5 + number % 2]:
            token = corpus.text(CODES, f"damaged-{number}.dcm {keyword}")
            dataset[keyword] = DataElement(keyword, "LO", token)
        path = corpus.write(dataset, f"damaged-{number}.dcm")
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * keep)])


def plain_dates(corpus: Corpus) -> None:
    """Dates of our own time, which an importer may shift and keep."""
    dataset = corpus.image()
    for keyword, year in (("PatientBirthDate", 1931), ("StudyDate", 1983), ("ContentDate", 2009)):
        text = f"{year}{corpus.mint.random.randrange(1, 13):02d}17"
        setattr(dataset, keyword, corpus.mint.date(TABLE, f"dates.dcm {keyword}", text))
    corpus.write(dataset, "dates.dcm")
