"""The codes that say what a segment is."""

from pydicom.sr._concepts_dict import concepts

from dicom import coded


def test_every_code_is_one_of_the_standards():
    known = {value for entries in concepts["SCT"].values() for value in entries}
    tables = [*coded._ANATOMY.values(), *coded._ABNORMAL.values()]
    assert {value for value, _ in tables} <= known
    assert {coded.ANATOMY[0], coded.ABNORMAL[0], coded.TISSUE[0]} <= known
    assert coded.property_of("LIVER").type[0] == coded.property_of("Liver ").type[0] == "10200004"
    assert coded.property_of("Tumour").category == coded.ABNORMAL
    assert coded.property_of("GTV-1").type == coded.TISSUE
