"""What `petdata describe` does and prints."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import typer

from petdata.errors import MissingSetting
from petdata.side_tables import table_folder
from petdata.workspace import find_workspace
from trainer.describe import DescribeConfig, DescribeCounts, describe_photos
from trainer.describe_backends import API_KEY, Backend, OpenAICompatible, Transformers
from trainer.enrich_flags import DescribeFlags
from trainer.enrich_progress import print_photos, told, with_progress
from trainer.unseen_photos import unseen_photos


def describe_and_print(reference: str, given: Mapping[str, Any]) -> None:
    flags = DescribeFlags(**given)
    workspace = find_workspace()
    folder = table_folder(workspace.root, flags.table)
    config = DescribeConfig(
        language=flags.language,
        prompt_version=flags.prompt_version,
        concurrency=flags.concurrency,
    )
    photos = unseen_photos(reference, folder, workspace, limit=flags.limit)
    print_photos(photos)
    if not len(photos):
        return
    with closing(_backend(flags)) as backend:
        with_progress(
            lambda tell: describe_photos(photos, folder, backend, config, tell=tell),
            DescribeCounts(),
            lambda counts: _line(counts, len(photos), flags),
        )
    typer.echo(folder)


def _backend(flags: DescribeFlags) -> Backend:
    if flags.backend == "transformers":
        return Transformers(flags.model, flags.device)
    if flags.base_url is None:
        raise MissingSetting("--backend openai-compatible needs --base-url, as https://host/v1")
    return OpenAICompatible(
        flags.base_url, flags.model, key=os.environ.get(API_KEY), timeout_s=flags.timeout
    )


def _line(counts: DescribeCounts, total: int, flags: DescribeFlags) -> str:
    parts = [
        f"{counts.described:,} of {total:,} described",
        f"{counts.problems:,} with a problem",
        f"{counts.bad_answers:,} answers refused",
        f"{counts.per_second:.2f} photos/s",
        f"{counts.prompt_tokens:,} + {counts.answer_tokens:,} tokens",
    ]
    if flags.price_in is not None or flags.price_out is not None:
        cost = counts.prompt_tokens * (flags.price_in or 0)
        cost += counts.answer_tokens * (flags.price_out or 0)
        parts.append(f"cost {cost / 1e6:.4f}")
    return ", ".join([*parts, *told(counts, "unreadable", "without_pixels")])
