"""The notebook that explores a study, run as it stands."""

import nbformat
from nbclient import NotebookClient
from support.workflow import WORKFLOW

FILE = WORKFLOW / "notebooks/study.ipynb"
RESULTS = 'results = "../results"'


def test_the_notebook_explores_a_finished_study(finished):
    """Of a study that lies elsewhere, which is the one line that it asks to change."""
    notebook = nbformat.read(FILE, as_version=4)
    [cell] = [cell for cell in notebook.cells if RESULTS in cell.source]
    cell.source = cell.source.replace(RESULTS, f"results = {str(finished / 'results')!r}")
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(FILE.parent)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    text = "".join(
        output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs
    )
    assert "9 images, 4 prompts" in text and "small: torch alone ran" in text
    assert not [output for output in outputs if output.get("name") == "stderr"]


def test_the_notebook_is_kept_without_what_a_run_left():
    notebook = nbformat.read(FILE, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(cell.outputs == [] and cell.execution_count is None for cell in code)
