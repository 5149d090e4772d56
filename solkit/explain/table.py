"""Tables for terminals and notebooks."""

import html


def plural(count: int, noun: str) -> str:
    """ "1 cluster", "2 clusters"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def text_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table for a terminal."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    ruled = [head, tuple("-" * width for width in widths), *rows]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in ruled)


def html_table(head: tuple[str, ...], rows: list[tuple[str, ...]], caption: str) -> str:
    """A table for a notebook."""
    top = "".join(f'<th scope="col" style="text-align:left">{html.escape(cell)}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{html.escape(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return (
        f'<table><caption style="text-align:left">{html.escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    )
