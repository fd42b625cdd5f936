"""Who drew a segmentation, in the standard's terms; tests/importer/test_segmentations.py reads
what is made.
"""

from dicom.segment import algorithm_of


def test_who_drew_is_told_by_the_standards_terms():
    person, consensus = {"by": "person"}, {"by": "consensus"}
    draft = {"by": "version", "version": "r0001-abcdef"}
    assert algorithm_of([person, consensus]) == "MANUAL"
    assert algorithm_of([draft, draft]) == "AUTOMATIC"
    assert algorithm_of([person, draft]) == "SEMIAUTOMATIC"
    assert algorithm_of([{**draft, "reviewed": True}]) == "SEMIAUTOMATIC"
    assert algorithm_of([person, {**person, "from_draft": 1}]) == "SEMIAUTOMATIC"
    assert algorithm_of([{**person, "reviewed": True, "from_draft": 0}]) == "MANUAL"
