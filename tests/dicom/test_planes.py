"""Slices in space, and the volumes that they make."""

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.data import get_testdata_file

from dicom.planes import own_plane, plane_of, stacks
from tests.importer.dicom_series import AXES, positions, single_frames


def test_uneven_spacing_makes_several_volumes_and_loses_no_slice():
    offsets = [0, 2.5, 5, 7.5, 12.7, 13.9, 15.1, 40.03]
    found = stacks([own_plane(offset, 1, 1) for offset in offsets])
    seen = sorted(index for stack in found for index in stack.places.values())
    assert seen == list(range(len(offsets))) and len(found) > 1
    for stack in found:
        for place, index in stack.places.items():
            z = stack.affine()[2] @ [0, 0, place, 1]
            assert z == pytest.approx(offsets[index], abs=0.02)


def test_missing_slices_leave_empty_planes_at_their_places():
    offsets = [0, 12.5, 30]  # of a series every 2.5 mm
    (stack,) = stacks([own_plane(offset, 1, 1) for offset in offsets])
    assert stack.planes == 13 and stack.spacing_mm == pytest.approx(2.5)
    assert list(stack.places) == [0, 5, 12]


def test_a_tilted_gantry_keeps_each_slice_where_it_was(tmp_path):
    places = [np.array([0, 0.6 * k, 2.5 * k]) for k in range(5)]
    sources = single_frames(AXES["axial"], places)
    (stack,) = stacks([plane_of(source) for source in sources])
    assert stack.sheared
    for place, index in stack.places.items():
        x, y, z, _ = stack.affine() @ [0, 0, place, 1]
        assert (-x, -y, z) == pytest.approx(tuple(places[index]), abs=1e-6)


def test_the_affine_of_an_oblique_slice_is_the_standards_equation():
    # PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1, worked by hand for column 3 and row 7.
    (source,) = single_frames(AXES["oblique"], positions(AXES["oblique"], 1))
    (stack,) = stacks([plane_of(source)])
    row, column = np.array(AXES["oblique"][:3]), np.array(AXES["oblique"][3:])
    lps = np.array([-30.5, 12.25, 401.0]) + row * 0.6 * 3 + column * 0.8 * 7
    assert (stack.affine() @ [3, 7, 0, 1])[:3] == pytest.approx(lps * [-1, -1, 1], abs=1e-5)


def test_a_real_scanners_file_is_placed_as_simpleitk_places_it():
    name = get_testdata_file("CT_small.dcm")
    (stack,) = stacks([plane_of(dcmread(name))])
    image = sitk.ReadImage(name)
    assert (stack.affine()[:3, 3] * [-1, -1, 1]) == pytest.approx(image.GetOrigin())
