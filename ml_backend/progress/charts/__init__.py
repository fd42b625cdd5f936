"""Charts of the manager's page: values in, inline SVG out.

A chart fills the width it is given: x is in percent, y in pixels, so that letters keep their size
on a phone. It carries classes and no styles, for the page's policy forbids inline styles and its
colours come from the style sheet, light or dark. A value that is None or NaN is a gap.
"""

from .bars import columns, meter, spark, stacked_bar
from .curve import curve
from .intervals import Row, interval_plot
from .scale import Scale, bounds, known, ticks

__all__ = [
    "Row",
    "Scale",
    "bounds",
    "columns",
    "curve",
    "interval_plot",
    "known",
    "meter",
    "spark",
    "stacked_bar",
    "ticks",
]
