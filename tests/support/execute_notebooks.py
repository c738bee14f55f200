"""Make the notebooks of their scripts: execute every cell, keep what it shows, drop progress bars and log lines.

python tests/support/execute_notebooks.py [NAME …]        needs: pip install nbclient ipykernel
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from notebook_cells import cells_of_script
from places import NOTEBOOKS


def execute(script: Path) -> None:
    """Write NAME.ipynb beside NAME.py."""
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    cells = [make[kind](source) for kind, source in cells_of_script(script.read_text(encoding="utf-8"))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )
    NotebookClient(notebook, timeout=1200, kernel_name="python3").execute()
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # random ones would change with every execution
        cell["metadata"] = {}  # when each cell ran is nobody's business
        if cell["cell_type"] == "code":
            cell["outputs"] = [output for output in cell["outputs"] if output.get("name") != "stderr"]
    nbformat.write(notebook, script.with_suffix(".ipynb"))
    print(script.with_suffix(".ipynb"))


if __name__ == "__main__":
    for path in sorted(NOTEBOOKS.glob("*.py")):
        if not sys.argv[1:] or path.stem in sys.argv[1:]:
            execute(path)
