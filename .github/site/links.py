"""Check the built site: every link and picture of every page leads to something, and every page can be reached.

A hook of mkdocs, which by itself checks the links of Markdown, but not those of HTML nor those that themes write.
"""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

from mkdocs.exceptions import PluginError


class _Page(HTMLParser):
    """Collect the anchors of a page and the addresses that it names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.addresses += [values[name] for name in ("href", "src", "srcset") if name in values]


def on_post_build(config: Any) -> None:
    """Check what was built.

    Raises:
        PluginError: an address leads nowhere, or a page cannot be reached from the first one.
    """
    site = Path(config.site_dir).resolve()
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    broken, links = [], {}
    for path, page in pages.items():
        if path.name == "404.html":  # its addresses begin at the root of a server
            continue
        links[path] = set()
        for address in page.addresses:
            if urlsplit(address).scheme or address.startswith("//"):
                continue
            name, anchor = urldefrag(address)
            target = (path.parent / unquote(name)).resolve() if name else path
            links[path].add(target)
            if not target.is_file():
                broken.append(f"{path.relative_to(site)} names {address}, which is not there")
            elif anchor and target in pages and unquote(anchor) not in pages[target].anchors:
                broken.append(f"{path.relative_to(site)} names {address}, whose anchor is not there")
    reached, ahead = set(), {site / "index.html"}
    while ahead:
        reached |= ahead
        ahead = {target for path in ahead for target in links.get(path, ()) if target in links} - reached
    broken += [f"no page leads to {path.relative_to(site)}" for path in sorted(links.keys() - reached)]
    if broken:
        raise PluginError("\n".join(broken))
    print(f"{len(links)} pages, {sum(map(len, links.values()))} links")
