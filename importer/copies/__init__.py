"""De-identified DICOM copies: new data sets, built from an allowlist for each SOP class.

Nothing is cleaned in place. Each element is read, checked (VR, multiplicity, range, terms) and
written anew, sequences item by item; what no table in `allowlist` names is left behind: free text,
private and unknown tags, overlays, curves, file meta, preamble, trailing bytes.

PS3.15 Annex E, profile and options: see `rebuild`. Dates and times of day move by one shift for
each patient under the key, so that intervals stay; time zones go.
Age, sex, size and weight go too: the profile has them removed, and no option here keeps them.
"""

from .errors import CopyError
from .links import date_shift_days, replaced_uid
from .rebuild import obstacle, rebuild

__all__ = ["CopyError", "date_shift_days", "obstacle", "rebuild", "replaced_uid"]
