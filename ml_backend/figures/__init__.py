"""The figures that the progress page shows: made by looks and rounds, kept in the store.

All but the reading of annotations (ledger) are pure: values in, JSON-able values out. What is not
known is None. An interval is {"mean", "low", "high"}, of 95 %.
"""
