"""What `petdata export` does and prints."""

from __future__ import annotations

from pathlib import Path

import typer

from petdata.workspace import find_workspace
from trainer.export import export
from trainer.model_push import PushOptions, check_model_id, push_model
from trainer.run_folder import find_run


def export_and_print(
    run: str, *, into: Path | None, push: str | None, private: bool, onnx: bool
) -> None:
    def say(line: str) -> None:
        typer.echo(line, err=True)

    if push is not None:
        check_model_id(push)  # before the work
    workspace = find_workspace()
    made = export(find_run(workspace, run), workspace, into=into, onnx=onnx, say=say)
    ours = f"{made.difference:.1g}"
    with_onnx = f", {made.onnx_difference:.1g} by onnxruntime" if onnx else ""
    typer.echo(f"{made.folder}: {made.compared} embeddings as the run's, within {ours}{with_onnx}")
    if push is None:
        return
    pushed = push_model(made.folder, push, PushOptions(private=private), say=say)
    typer.echo(
        f"{pushed.repo_id} is there, commit {pushed.commit[:12]}: {pushed.sent:,} files sent"
        if pushed.is_new
        else f"{pushed.repo_id} was there already, file by file; nothing was sent"
    )
