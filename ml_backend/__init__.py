"""Quorum's ML backend: a committee of FCNs that drafts masks and orders Label Studio's queue."""
