"""DICOM as the importer and the exports both need it: values of frames, planes, segmentations.

Data sets and arrays in, data sets and arrays out; `volumes` alone writes files.
"""
