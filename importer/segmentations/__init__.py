"""Masks back to where they were drawn: slices in space, NIfTI volumes and DICOM segmentations."""
