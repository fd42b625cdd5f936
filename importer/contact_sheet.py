"""The page on which a person looks at what is held: ``FOLDER/index.html`` of a quarantine."""

from __future__ import annotations

import html
from pathlib import Path

from .journal import write_atomically
from .quarantine import held, seen_of

_STYLE = (
    "body{font:16px/1.4 system-ui,sans-serif;margin:2rem;background:#111;color:#eee}"
    "figure{display:inline-block;margin:.5rem}img{max-width:30rem;background:#000}"
    "code{background:#333;padding:.1rem .3rem;user-select:all}article{margin-bottom:2rem}"
)


def write(folder: Path) -> Path | None:
    """The page that shows what is held, None if nothing is."""
    entries = held(folder)
    page = folder / "index.html"
    if not entries:
        page.unlink(missing_ok=True)
        return None
    articles = []
    for entry in entries:
        pairs = [
            f'<figure><img loading="lazy" alt="before" src="{entry.instance}/{n}-before.png">'
            f'<img loading="lazy" alt="after" src="{entry.instance}/{n}-after.png"></figure>'
            for n in range(len(list(entry.path.parent.glob("*-before.png"))))
        ]
        unseen = seen_of(folder, entry.instance).left_out
        more = f"<p>Frames with other text that are not shown: {unseen}. Look at the object.</p>"
        articles.append(
            f"<article><h2>{html.escape(entry.reason)}</h2>"
            f"<p><code>./quorum release {entry.instance}</code> as it is on the right, "
            f"<code>./quorum release {entry.instance} --as original</code> as on the left, "
            f"<code>./quorum release {entry.instance} --refuse</code> never.</p>"
            f"{more if unseen else ''}{''.join(pairs)}</article>"
        )
    title = f"{len(entries)} held for a person"
    text = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<style>{_STYLE}</style><h1>{title}</h1>"
        "<p>Left: as it came. Right: with what was found blacked out. Before you release one, read "
        "every line of text that is left on it; <code>--black-out TOP,LEFT,BOTTOM,RIGHT</code> "
        f"blacks out a box of pixels more.</p>{''.join(articles)}</html>"
    )
    write_atomically(page, text.encode())
    return page
