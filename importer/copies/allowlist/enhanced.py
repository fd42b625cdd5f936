"""Enhanced multi-frame images: CT, MR, PET, US, XA, 3D X-ray, tomosynthesis (PS3.3 C.8.13 ff.)."""

from __future__ import annotations

from ..checks import (
    Entry,
    Essential,
    Identifier,
    KnownTags,
    Moment,
    Nothing,
    Terms,
    number,
    terms,
    type1,
    type1c,
    type2,
)
from ..tables import CodeItems, Items, Table
from . import terms as t
from .frame_groups import GROUP
from .frame_kind import FRAME_KIND, FRAME_TYPE, FRAME_TYPE_DUMMY, MR_KIND
from .general import REFERENCE
from .nuclear import RADIOPHARMACEUTICAL

_MOST_FRAMES = 20_000

# C.7.6.17; labels are free text and left out.
DIMENSIONS: dict[str, Entry] = {
    "DimensionOrganizationType": terms("3D 3D_TEMPORAL TILED_FULL TILED_SPARSE"),
    "DimensionOrganizationSequence": Items(
        Table({"DimensionOrganizationUID": Essential(Identifier())})
    ),
    "DimensionIndexSequence": Items(
        Table(
            {
                "DimensionOrganizationUID": Identifier(),
                "DimensionIndexPointer": Essential(KnownTags()),
                "FunctionalGroupPointer": KnownTags(),
            }
        ),
        counted=True,
    ),
}
# C.7.6.16: an item a frame, so that item and frame stay together.
GROUPS: dict[str, Entry] = {
    "SharedFunctionalGroupsSequence": Items(GROUP, most=1, counted=True),
    "PerFrameFunctionalGroupsSequence": Items(GROUP, most=_MOST_FRAMES, counted=True),
}
# PS3.3 10.20, hierarchical references: the evidence that the groups' references point into.
_REFERENCED_SERIES = Table(
    {
        "SeriesInstanceUID": Essential(Identifier()),
        "ReferencedSOPSequence": Essential(Items(REFERENCE, most=_MOST_FRAMES)),
    }
)
_EVIDENCE = Items(
    Table(
        {
            "StudyInstanceUID": Essential(Identifier()),
            "ReferencedSeriesSequence": Essential(Items(_REFERENCED_SERIES)),
        }
    )
)
# C.7.6.4b
_CONTRAST = Table(
    {
        "ContrastBolusAgentNumber": Essential(t.COUNT),
        "ContrastBolusAdministrationRouteSequence": Essential(CodeItems()),
        "ContrastBolusIngredientCodeSequence": type2(CodeItems()),
        "ContrastBolusVolume": type2(number(0, 10_000)),
        "ContrastBolusIngredientConcentration": type2(number(0, 10_000)),
        "ContrastBolusIngredientOpaque": t.YES_NO,
    }
)
_NO_TEXT = Terms(frozenset())

COMMON: dict[str, Entry] = {
    **DIMENSIONS,
    **GROUPS,
    **FRAME_KIND,
    "ImageType": type1(FRAME_TYPE, *FRAME_TYPE_DUMMY),
    # C.7.5.2, Type 1: known makers or dummies.
    "Manufacturer": type1(t.MANUFACTURERS, "UNKNOWN"),
    "ManufacturerModelName": type1(_NO_TEXT, "UNKNOWN"),
    "DeviceSerialNumber": type1(_NO_TEXT, "0"),
    "SoftwareVersions": type1(_NO_TEXT, "UNKNOWN"),
    "SeriesNumber": type1(number(0, 99_999), 1),
    "PositionReferenceIndicator": type2(Nothing()),
    "ReferencedImageEvidenceSequence": _EVIDENCE,
    "SourceImageEvidenceSequence": _EVIDENCE,
    "ReferencedRawDataSequence": _EVIDENCE,
    "ContrastBolusAgentSequence": CodeItems(further=_CONTRAST),
    "ContentQualification": type1c(terms("PRODUCT RESEARCH SERVICE"), "RESEARCH"),
    "AcquisitionContextSequence": type2(Nothing()),
    "AcquisitionDateTime": Moment("DT"),
    "ViewCodeSequence": CodeItems("ViewModifierCodeSequence"),
    "SliceProgressionDirection": terms("APEX_TO_BASE BASE_TO_APEX ANTERIOR_TO_POST POST_TO_ANT"),
    "IsocenterPosition": t.POSITION_MM,
    "CardiacSynchronizationTechnique": terms("NONE REALTIME PROSPECTIVE RETROSPECTIVE PACED"),
    "CardiacSignalSource": terms("ECG VCG PP MR"),
    "CardiacRRIntervalSpecified": number(0, 1e7),
    "CardiacBeatRejectionTechnique": terms("NONE RR_INTERVAL QRS_LOOP PVC"),
    "RespiratoryMotionCompensationTechnique": terms(
        "NONE BREATH_HOLD REALTIME GATING TRACKING PHASE_ORDERING PHASE_RESCANNING RETROSPECTIVE "
        "CORRECTION UNKNOWN"
    ),
    "RespiratorySignalSource": terms("NONE BELT NASAL_PROBE CO2_SENSOR NAVIGATOR MR_PHASE ECG "
                                     "SPIROMETER EXTERNAL_MARKER INTERNAL_MARKER IMAGE UNKNOWN"),
    "BulkMotionCompensationTechnique": terms("NONE REALTIME GATING TRACKING RETROSPECTIVE "
                                             "CORRECTION UNKNOWN"),
}  # fmt: skip

CT: dict[str, Entry] = {
    **COMMON,
    "Modality": type1(terms("CT"), "CT"),
    "MultienergyCTAcquisition": t.YES_NO,
    "PresentationLUTShape": type1(t.PRESENTATION_LUT, "IDENTITY"),
}
MR: dict[str, Entry] = {
    **COMMON,
    **MR_KIND,
    "Modality": type1(terms("MR"), "MR"),
    "MagneticFieldStrength": number(0, 100),
    "ResonantNucleus": type1c(terms("1H 3HE 7LI 13C 19F 23NA 31P 129XE"), "1H"),
    "KSpaceFiltering": type1c(
        terms("COSINE COSINE_SQUARED FERMI GAUSSIAN HAMMING HANNING LORENTZIAN LRNTZ_GSS_TRNSFM "
              "RIESZ TUKEY USER_DEFINED NONE OTHER"), "OTHER"
    ),
    "ApplicableSafetyStandardAgency": type1c(terms("IEC FDA MHW"), "IEC"),
    "MRAcquisitionType": terms("1D 2D 3D"),
    # C.8.13.4: Type 1C, free text.
    "PulseSequenceName": type1c(_NO_TEXT, "UNKNOWN"),
    "EchoPulseSequence": terms("SPIN GRADIENT BOTH"),
    "MultipleSpinEcho": t.YES_NO,
    "MultiPlanarExcitation": t.YES_NO,
    "PhaseContrast": t.YES_NO,
    "TimeOfFlightContrast": t.YES_NO,
    "ArterialSpinLabelingContrast": terms("CONTINUOUS PSEUDOCONTINUOUS PULSED"),
    "SteadyStatePulseSequence": terms("FREE_PRECESSION TRANSVERSE TIME_REVERSED LONGITUDINAL NONE"),
    "EchoPlanarPulseSequence": t.YES_NO,
    "SaturationRecovery": t.YES_NO,
    "SpectrallySelectedSuppression": terms("FAT WATER FAT_AND_WATER SILICON_GEL NONE"),
    "OversamplingPhase": terms("2D 3D 2D_3D NONE"),
    "GeometryOfKSpaceTraversal": terms("RECTILINEAR RADIAL SPIRAL"),
    "SegmentedKSpaceTraversal": terms("SINGLE PARTIAL FULL"),
    "RectilinearPhaseEncodeReordering": terms("LINEAR CENTRIC SEGMENTED REVERSE_LINEAR "
                                              "REVERSE_CENTRIC"),
    "CoverageOfKSpace": terms("FULL CYLINDRICAL ELLIPSOIDAL WEIGHTED"),
    "NumberOfKSpaceTrajectories": number(0, 65_535),
    "B1rms": number(0, 1000),
}  # fmt: skip
_CORRECTIONS = (
    "Decay", "Attenuation", "Scatter", "DeadTime", "GantryMotion", "PatientMotion",
    "CountLossNormalization", "Randoms", "NonUniformRadialSampling",
)  # fmt: skip
PT: dict[str, Entry] = {
    **COMMON,
    "Modality": type1(terms("PT"), "PT"),
    "PresentationLUTShape": type1(t.PRESENTATION_LUT, "IDENTITY"),
    "RadiopharmaceuticalInformationSequence": type2(
        Items(
            Table(
                RADIOPHARMACEUTICAL.entries,
                {"RadiopharmaceuticalAgentNumber": type1(t.COUNT, 1)},
            )
        )
    ),
    "CollimatorType": terms("NONE RING"),
    "TypeOfDetectorMotion": terms("NONE STATIONARY", phrases=["STEP AND SHOOT"]),
    "CountsSource": terms("EMISSION TRANSMISSION"),
    **{f"{correction}Corrected": t.YES_NO for correction in _CORRECTIONS},
    "SensitivityCalibrated": t.YES_NO,
    "DetectorNormalizationCorrection": t.YES_NO,
    "RandomsCorrectionMethod": terms("NONE DLYD SING PROC"),
    "AttenuationCorrectionSource": terms("CALC MEAS CT MR"),
    "AttenuationCorrectionTemporalRelationship": terms("CONCURRENT SEPARATE SIMULTANEOUS"),
}  # fmt: skip
US: dict[str, Entry] = {
    **COMMON,
    "Modality": type1(terms("US IVUS"), "US"),
    "PresentationLUTShape": type1c(t.PRESENTATION_LUT, "IDENTITY"),
    "UltrasoundAcquisitionGeometry": terms("APEX"),
    "VolumeFrameOfReferenceUID": Identifier(),
    "PatientFrameOfReferenceSource": terms("TABLE ESTIMATED REGISTRATION"),
    "TransducerBeamSteeringCodeSequence": CodeItems(),
    "TransducerApplicationCodeSequence": CodeItems(),
    "TransducerScanPatternCodeSequence": CodeItems(),
    "TransducerGeometryCodeSequence": CodeItems(),
    "MechanicalIndex": number(0, 100),
    "BoneThermalIndex": number(0, 100),
    "CranialThermalIndex": number(0, 100),
    "SoftTissueThermalIndex": number(0, 100),
}
X3D: dict[str, Entry] = {
    **COMMON,
    "Modality": type1(terms("XA DX MG CT"), "XA"),
    "PresentationLUTShape": type1(t.PRESENTATION_LUT, "IDENTITY"),
    "PatientOrientation": t.ORIENTATION,
}
XA: dict[str, Entry] = {
    **COMMON,
    "Modality": type1(terms("XA RF"), "XA"),
    "PresentationLUTShape": type1c(t.PRESENTATION_LUT, "IDENTITY"),
    "PlanesInAcquisition": terms("UNDEFINED", phrases=["SINGLE PLANE", "BIPLANE"]),
    "KVP": t.KILOVOLTS,
    "RadiationMode": terms("CONTINUOUS PULSED"),
    "AveragePulseWidth": number(0, 1e6),
    "AcquiredImageAreaDoseProduct": number(0, 1e9),
}
TOMOSYNTHESIS: dict[str, Entry] = {
    **X3D,
    "Modality": type1(terms("MG"), "MG"),
    "PresentationIntentType": type1c(
        Terms(frozenset({"FOR PRESENTATION", "FOR PROCESSING"})), "FOR PRESENTATION"
    ),
    "BreastImplantPresent": t.YES_NO,
    "PartialView": t.YES_NO,
    "PartialViewCodeSequence": CodeItems(),
}
