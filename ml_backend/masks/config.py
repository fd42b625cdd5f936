"""What a project's label config says of the masks that are drawn with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.etree import ElementTree

from .brush import MaskError

# A label config is a page of text; what is larger is an attack or a mistake.
_MAX_CONFIG_CHARACTERS = 1_000_000
# What makes a path into a task's data, or a text made of several. A dot alone may be of the key:
# a CSV file's column `image.url`.
_BEYOND_A_KEY = frozenset("[]{}$/")
_MOST_LABELS = 254  # a label map has a byte a pixel


@dataclass(frozen=True)
class Control:
    """A control of the label config that a class is drawn with."""

    name: str
    kind: str  # "brushlabels" or "bitmasklabels"


@dataclass(frozen=True)
class BrushConfig:
    """What of a project's label config the committee needs."""

    from_name: str  # of the first control
    to_name: str
    image_key: str
    labels: tuple[str, ...]
    # Labels of the config's other tools: their regions are no masks.
    other_labels: frozenset[str] = field(default=frozenset(), compare=False)
    # What each label is drawn with; none: all with a BrushLabels called from_name.
    controls: tuple[Control, ...] = field(default=(), compare=False)

    @classmethod
    def parse(cls, label_config: str) -> BrushConfig:
        """Read a label config: all BrushLabels and BitmaskLabels of the first BrushLabels' image.

        Their labels are joined in the config's order; a label of two of them is one class. Raises
        MaskError if the XML is broken, or has no BrushLabels over an Image, or if that is not
        under a key of a task's data but surely on a path within it (`$images[0]`).
        """
        # Entities and doctypes have no business here; expat would expand them. Nowhere: what looks
        # like a comment may stand within an instruction, and be none.
        declared = "<!DOCTYPE" in label_config or "<!ENTITY" in label_config
        if len(label_config) > _MAX_CONFIG_CHARACTERS or declared:
            raise MaskError("the label config is too long, or declares a DOCTYPE: remove it")
        try:
            root = ElementTree.fromstring(label_config)
        except ElementTree.ParseError as error:
            line, column = error.position
            raise MaskError(
                f"the label config is not well-formed XML (line {line}, column {column}): "
                "correct it in Label Studio under Settings > Labeling Interface"
            ) from None
        images = {e.get("name"): e.get("value") or "" for e in root.iter("Image")}
        drawn = [
            e
            for e in root.iter()
            if e.tag in ("BrushLabels", "BitmaskLabels") and e.get("name") and _labels_of(e)
            if images.get(e.get("toName"), "").startswith("$")
        ]
        first = next((e for e in drawn if e.tag == "BrushLabels"), None)
        if first is None:
            raise MaskError(
                "the label config has no BrushLabels over an Image with value='$…': add "
                "<BrushLabels name='mask' toName='image'> with one <Label> a class "
                "(label_config.xml is an example)"
            )
        to_name = first.get("toName", "")
        image_key = images[to_name][1:]
        if not image_key or _BEYOND_A_KEY & set(image_key):
            raise MaskError(
                f"the label config shows the image at value='${image_key[:80]}', which is no plain "
                "key of a task's data: put the image's address under a key such as 'image' in "
                "each task, and write value='$image'"
            )
        controls: dict[str, Control] = {}
        for element in drawn:
            if element.get("toName") == to_name:
                control = Control(element.get("name", ""), element.tag.lower())
                for label in _labels_of(element):
                    controls.setdefault(label, control)
        if len(controls) > _MOST_LABELS:
            raise MaskError(f"{len(controls)} labels to draw with: at most {_MOST_LABELS} work")
        others = {_name_of(e) for e in root.iter("Label")} - set(controls)
        return cls(
            from_name=first.get("name", ""),
            to_name=to_name,
            image_key=image_key,
            labels=tuple(controls),
            other_labels=frozenset(others),
            controls=tuple(controls.values()),
        )

    def control_of(self, label: str) -> Control:
        """What a class is drawn with."""
        if self.controls:
            return self.controls[self.labels.index(label)]
        return Control(self.from_name, "brushlabels")


def _labels_of(control: ElementTree.Element) -> tuple[str, ...]:
    """The labels of a control; none if one of them has no name."""
    labels = tuple(_name_of(e) for e in control.iter("Label"))
    return labels if all(labels) else ()


def _name_of(label: ElementTree.Element) -> str:
    """What regions call a <Label>: its alias if it has one."""
    return label.get("alias") or label.get("value") or ""
