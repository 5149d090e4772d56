"""Pages to look at outside of JupyterLab: tables, and notebooks as one HTML file that loads nothing from anywhere."""

import copy
import html
import itertools
from collections.abc import Sequence
from pathlib import Path

from labs.notebooks import NUMBERS

STYLE = """
body { font: 16px/1.4 system-ui, sans-serif; margin: 2rem; color: #1a1a1a; background: #fff }
table { border-collapse: collapse } th, td { border: 1px solid #8a8a8a; padding: .3rem .6rem; text-align: left }
caption { text-align: left; padding: .5rem 0 } td.number { text-align: right }
td { overflow-wrap: break-word } figure { margin: 0 0 1.5rem !important }
@media (prefers-color-scheme: dark) { body { color: #e6e6e6; background: #161616 } a { color: #8ab4f8 } }
"""

# What nbconvert's page would load from a CDN is left out: require.js and the widgets' renderer (a widget needs a kernel
# anyhow), MathJax (formulas stay as they are written) and mermaid.
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""
WIDGET = "application/vnd.jupyter.widget-view+json"

# One heading of the first two levels begins a slide, with all that follows it until the next.
SLIDES = """
<style>
.aurora-hidden { display: none !important }
#aurora-at { position: fixed; right: 1rem; bottom: .5rem; color: #333; background: #fff; font: 14px sans-serif }
main { zoom: 1.25 }
@media print { .aurora-hidden { display: block !important } #aurora-at { display: none } }
</style>
<div id="aurora-at" role="status"></div>
<script>
const groups = [];
for (const cell of document.querySelectorAll('main > .jp-Cell')) {
    if (!groups.length || cell.querySelector('h1, h2')) groups.push([]);
    groups.at(-1).push(cell);
}
let at = Math.min(Math.max(Number(location.hash.slice(1)) || 1, 1), groups.length) - 1;
function show(next) {
    at = Math.min(Math.max(next, 0), groups.length - 1);
    groups.forEach((group, number) => group.forEach(cell => cell.classList.toggle('aurora-hidden', number !== at)));
    document.getElementById('aurora-at').textContent = `slide ${at + 1} of ${groups.length} (keys: left, right)`;
    history.replaceState(null, '', '#' + (at + 1));
    scrollTo(0, 0);
}
const steps = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1, Home: -1e9, End: 1e9 };
addEventListener('keydown', event => {
    if (!(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    show(at + steps[event.key]);
});
show(at);
</script>
"""


def page(
    title: str, caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]], notes=(), links=(), figures=()
) -> str:
    """Return a page with one table, whose first column names the row, and figures above it.

    Args:
        notes: paragraphs under the table.
        links: where the first column leads to, for each row; empty: nowhere.
        figures: as HTML.
    """
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in headings)
    body = "\n".join(
        f'<tr><th scope="row">{_linked(row[0], link)}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row, link in itertools.zip_longest(rows, links, fillvalue="")
    )
    remarks = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body><main><h1>{html.escape(title)}</h1>"
        f"{''.join(figures)}<table><caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead>\n"
        f"<tbody>{body}</tbody></table>{remarks}</main></body></html>\n"
    )


def _linked(text: str, link: str) -> str:
    return f'<a href="{html.escape(link)}">{html.escape(text)}</a>' if link else html.escape(text)


def export(notebook: Path, title: str, slides: bool = False) -> str:
    """Return a notebook with its outputs as one page, or as slides to go through with the arrow keys.

    Raises:
        OSError, ValueError: the notebook is not there, or is none.
    """
    import nbformat
    from nbconvert import HTMLExporter

    try:
        found = copy.deepcopy(nbformat.read(notebook, as_version=4))
    except nbformat.reader.NotJSONError as error:
        raise ValueError(f"{notebook} is no notebook: {str(error)[:80]}") from None
    found.metadata["title"] = title
    found.metadata.pop("widgets", None)
    for cell in found.cells:
        if "outputs" in cell:  # without those that show nothing
            cell.outputs = [output for output in cell.outputs if NUMBERS not in output.get("data", {})]
        for output in cell.get("outputs", []):
            if WIDGET in output.get("data", {}):
                output["data"] = {"text/plain": "(a widget, which needs a running kernel: open the notebook)"}
    exporter = HTMLExporter(raw_template=TEMPLATE, embed_images=True)
    text, _ = exporter.from_notebook_node(found)
    return text.replace("</body>", SLIDES + "</body>") if slides else text
