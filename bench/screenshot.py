"""README's picture: a real Neovim with a real suggestion, its screen drawn as SVG.

Run by hand, with the model installed and Neovim >= 0.12 on PATH or in MIDLINE_NVIM::

    .venv/bin/python bench/screenshot.py docs/images/neovim.svg
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "neovim"))

from neovim_editor import MIDLINE, Editor  # noqa: E402

COLUMNS, LINES = 98, 32
CELL, LINE, FONT = 8.4, 20, 14  # of a monospaced font at 14 px: pixels per cell, per line
MARGIN, TITLE = 16, 40


@dataclass
class Screen:
    """The grid as Neovim's UI events (``ui-linegrid``) draw it."""

    cells: list[list[tuple[str, int]]] = field(default_factory=list)  # text and highlight
    highlights: dict[int, dict[str, Any]] = field(default_factory=lambda: {0: {}})
    foreground: int = 0xFFFFFF
    background: int = 0
    cursor: tuple[int, int] = (0, 0)

    def update(self, events: list[list[Any]]) -> None:
        """Take one ``redraw`` notification."""
        for name, *calls in events:
            if handler := getattr(self, f"_{name}", None):
                for call in calls:
                    handler(*call)

    def _grid_resize(self, _grid: int, width: int, height: int) -> None:
        self.cells = [[(" ", 0)] * width for _ in range(height)]

    def _grid_clear(self, _grid: int) -> None:
        self._grid_resize(0, len(self.cells[0]), len(self.cells))

    def _grid_cursor_goto(self, _grid: int, row: int, column: int) -> None:
        self.cursor = (row, column)

    def _default_colors_set(self, foreground: int, background: int, *_: Any) -> None:
        self.foreground, self.background = foreground, background

    def _hl_attr_define(self, number: int, attributes: dict[str, Any], *_: Any) -> None:
        self.highlights[number] = attributes

    def _grid_line(self, _grid: int, row: int, column: int, cells: list[list[Any]], *_: Any) -> None:
        highlight = 0
        for cell in cells:
            highlight = cell[1] if len(cell) > 1 else highlight
            for _repeat in range(cell[2] if len(cell) > 2 else 1):
                self.cells[row][column] = (cell[0], highlight)
                column += 1

    def _grid_scroll(self, _grid: int, top: int, bottom: int, left: int, right: int, rows: int, _columns: int) -> None:
        moved = range(top, bottom - rows) if rows > 0 else range(bottom - 1, top - rows - 1, -1)
        for row in moved:
            self.cells[row][left:right] = self.cells[row + rows][left:right]

    def svg(self, title: str) -> str:
        """The screen in a window."""
        width = MARGIN * 2 + COLUMNS * CELL
        height = TITLE + LINES * LINE + MARGIN
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" width="{width:g}" '
            f'font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="{FONT}">',
            f"<title>{escape(title)}</title>",
            f'<rect width="100%" height="100%" rx="10" fill="{_hex(self.background)}"/>',
            *(
                f'<circle cx="{22 + 20 * n}" cy="20" r="6" fill="{colour}"/>'
                for n, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
            ),
            f'<text x="50%" y="25" text-anchor="middle" fill="{_hex(self.foreground)}" opacity=".6">'
            f"{escape(title)}</text>",
        ]
        for row, cells in enumerate(self.cells):
            column = 0
            for highlight, run in groupby(cells, key=lambda cell: cell[1]):
                text = "".join(cell[0] for cell in run)
                parts += self._run(row, column, text, self.highlights.get(highlight, {}))
                column += len(text)
        row, column = self.cursor
        parts.append(
            f'<rect x="{MARGIN + column * CELL - 1:.1f}" y="{TITLE + row * LINE + 1}" width="2" height="{LINE - 2}" '
            f'fill="{_hex(self.foreground)}"/>'
        )
        return "\n".join([*parts, "</svg>", ""])

    def _run(self, row: int, column: int, text: str, style: dict[str, Any]) -> list[str]:
        """The cells of one highlight: their background where it is one of their own, and their text."""
        foreground, background = style.get("foreground", self.foreground), style.get("background", self.background)
        if style.get("reverse"):
            foreground, background = background, foreground
        x, y = MARGIN + column * CELL, TITLE + row * LINE
        parts = []
        if background != self.background:
            rect = f'<rect x="{x:.1f}" y="{y}" width="{len(text) * CELL:.1f}" height="{LINE}"'
            parts.append(f'{rect} fill="{_hex(background)}"/>')
        if text.strip():
            start = len(text) - len(text.lstrip())
            text = text.strip()
            font = ' font-weight="bold"' * bool(style.get("bold")) + ' font-style="italic"' * bool(style.get("italic"))
            parts.append(
                f'<text x="{x + start * CELL:.1f}" y="{y + 15}" textLength="{len(text) * CELL:.1f}" '
                f'fill="{_hex(foreground)}" xml:space="preserve"{font}>{escape(text)}</text>'
            )
        return parts


def _hex(colour: int) -> str:
    return f"#{colour:06x}"


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--file", type=Path, default=Path("docs/try_me.py"), help="what to complete in")
    parser.add_argument("--line", type=int, default=28, help="where, at its end")
    parser.add_argument("--colours", default="habamax", help="a colour scheme of Neovim's")
    arguments = parser.parse_args()
    program = os.environ.get("MIDLINE_NVIM") or shutil.which("nvim")
    if not program:
        sys.exit("No Neovim on PATH, and MIDLINE_NVIM names none.")
    os.chdir(ROOT)
    editor = Editor(Path(program), None, size=(COLUMNS, LINES), ext_linegrid=True)
    try:
        editor.nvim.command(r"set termguicolors noshowcmd noruler laststatus=0 number fillchars=eob:\ ")
        editor.nvim.command(f"colorscheme {arguments.colours}")
        editor.nvim.command("highlight ComplHint guifg=#7d8ba1 gui=italic")
        editor.nvim.command(f"edit {arguments.file}")
        editor.lua(f"require('midline').setup({{ cmd = {{ '{MIDLINE}', 'serve' }} }})")
        editor.await_engine()
        editor.keys(f"{arguments.line}GA")
        editor.await_ghost()
        editor.nvim.command("redraw!")
        screen = Screen()
        for _kind, name, events in editor.notifications():
            if name == "redraw":
                screen.update(events)
    finally:
        editor.quit()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(screen.svg(f"{arguments.file} — Neovim"), encoding="utf-8")
    print(f"{arguments.output}: {arguments.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
