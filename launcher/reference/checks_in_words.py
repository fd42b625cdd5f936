"""What each check of the importer's allowlists lets through, in words."""

from __future__ import annotations

from pydicom.datadict import dictionary_VR

from importer.copies import checks
from importer.copies.checks import Check, Entry
from importer.copies.pixels import LookupTable
from importer.copies.tables import CodeItems, Items, Table, tag_of

# Longer lists of terms are counted: the code has them.
_TERMS_SHOWN = 8


def unwrapped(entry: Entry) -> Check:
    """The check itself, without what is written where it fails."""
    check = entry.check if isinstance(entry, checks.Typed) else entry
    return check.check if isinstance(check, checks.Essential) else check


def in_words(keyword: str, entry: Entry) -> str:
    """What becomes of an attribute that a table names. Raises TypeError for an unknown check."""
    check = unwrapped(entry)
    said = _accepted(keyword, check)
    if isinstance(entry, checks.Typed):
        said += _otherwise(entry, nothing_passes=_never(check))
    inner = entry.check if isinstance(entry, checks.Typed) else entry
    if isinstance(inner, checks.Essential):
        said += "; the item is left out without it"
    return said


def below(entry: Entry) -> Table | None:
    """The table of a sequence's items, None for anything else."""
    check = unwrapped(entry)
    if isinstance(check, Items):
        return check.table
    return check.further if isinstance(check, CodeItems) else None


def _never(check: Check) -> bool:
    return isinstance(check, checks.Nothing) or (
        isinstance(check, checks.Terms) and not check.allowed
    )


def _accepted(keyword: str, check: Check) -> str:
    match check:
        case checks.Nothing():
            return "written empty"
        case checks.Terms(allowed=allowed, most=most):
            return f"{_up_to(most)}{_terms(allowed)}" if allowed else "never as it came"
        case checks.Region(parts=parts):
            return f"one of {len(parts)} body parts of PS3.16"
        case checks.Pattern(pattern=pattern, most=most):
            return f"{_up_to(most)}matching `{pattern.pattern}`"
        case checks.Numbers(low=low, high=high, least=least, most=most):
            return f"{_count(least, most)}{low:g} to {high:g}"
        case checks.Moment():
            return "moved by the patient's shift"
        case checks.Identifier():
            return "UID replaced under the key"
        case checks.StandardClass():
            return "a SOP class of the standard"
        case checks.KnownTags():
            return "tags of the standard, never private ones"
        case checks.ImageType(terms=terms):
            return f"the first two values, then up to the first of no {len(terms)} known terms"
        case LookupTable():
            return "the table's numbers, written anew"
        case Items(most=most, counted=counted):
            many = "all items or none" if counted else "items"
            return f"{many} as listed below, {most} at most"
        case CodeItems(most=most, modifiers=modifiers):
            also = f", with {modifiers}" if modifiers else ""
            return f"codes of PS3.16, their meanings written anew, {most} at most{also}"
    raise TypeError(f"{keyword}: {type(check).__name__} has no words in {__name__}")


def _terms(allowed: frozenset[str]) -> str:
    if len(allowed) > _TERMS_SHOWN:
        return f"one of {len(allowed)} terms"
    return ", ".join(f"`{term}`" for term in sorted(allowed))


def _up_to(most: int) -> str:
    return f"up to {most}: " if most > 1 else ""


def _count(least: int, most: int) -> str:
    if most == 1:
        return ""
    return f"{least} numbers, " if least == most else f"{least} to {most} numbers, "


def _otherwise(entry: checks.Typed, nothing_passes: bool) -> str:
    instead = "empty" if not entry.instead else "`" + "\\".join(map(str, entry.instead)) + "`"
    if nothing_passes:
        return "" if instead == "empty" else f": {instead}"
    where = "else or if absent" if entry.always else "else"
    return f"; {where}: {instead}"


def vr_of(keyword: str) -> str:
    """The value representation of PS3.6."""
    return str(dictionary_VR(tag_of(keyword)))
