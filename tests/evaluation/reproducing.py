"""A release that every kind of cell can be planned on, and matrices of tiny networks."""

from __future__ import annotations

from pathlib import Path

from training import training_workspace
from worlds import Animal, add, build_release, photo

from evaluation.reproduce_inputs import Inputs
from evaluation.reproduce_matrix import Matrix, matrix_of
from petdata.releases import open_release
from petdata.workspace import Workspace

HEAD = """
title = "Small"
[train]
encoder = "clip-vit-base"
tiny = true
identities = 3
max_steps = 4
learning_rate = 1e-3
device = "cpu"
workers = 0
validate = false
[evaluate]
resamples = 100
controls = false
[[experiment]]
name = "loss"
title = "Losses"
baseline = "{baseline}"
"""


def reproduce_workspace(root: Path) -> Workspace:
    """Pet911 and Dogs-World to train on, four test cats; boxes and descriptions of Pet911 alone."""
    workspace = training_workspace(root)
    bare = [
        Animal(
            f"{source}/{n:03}", [photo(first + n, number) for number in range(3)], title=f"cat {n}"
        )
        for source, first, count in (("dogs_world", 300, 5), ("cat_individual_images", 400, 4))
        for n in range(count)
    ]
    add(workspace, bare)
    build_release(workspace, val_fraction=0.3, keep_text=True)
    return workspace


def small_matrix(**cells: str) -> str:
    """Name of a cell -> what stands in it; the first one is the baseline."""
    text = HEAD.format(baseline=next(iter(cells)).replace("_", "-"))
    for name, inside in cells.items():
        name = name.replace("_", "-")
        text += f'[[experiment.cell]]\nname = "{name}"\nlabel = "The {name}"\n{inside}\n'
    return text


def matrix(**cells: str) -> Matrix:
    return matrix_of(small_matrix(**cells), name="small", where="small.toml")


def inputs_of(workspace: Workspace, reference: str = "pets") -> Inputs:
    return Inputs(open_release(reference, workspace=workspace), workspace)
