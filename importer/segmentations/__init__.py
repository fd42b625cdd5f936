"""Masks of an export, brought back onto the hospital's own images."""
