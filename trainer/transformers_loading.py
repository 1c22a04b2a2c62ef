"""Networks of the transformers library, built from sizes or loaded with nothing left to chance."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from petdata.errors import CorruptFile
from trainer.strict_loading import Misfit

ATTENTION = "sdpa"  # masks are handed over as booleans, which the "eager" kernel would add


def build_transformers(model: str, config: str, sizes: Mapping[str, Any]) -> nn.Module:
    import transformers

    settings = getattr(transformers, config)(**sizes)
    network: nn.Module = getattr(transformers, model)._from_config(
        settings, attn_implementation=ATTENTION
    )
    return network


def load_transformers(
    model: str, config: str, sizes: Mapping[str, Any], state: Mapping[str, Tensor]
) -> tuple[nn.Module, Misfit]:
    """transformers' own loading, for its renaming of older checkpoints; the report is returned."""
    import transformers

    with quiet():
        network, report = getattr(transformers, model).from_pretrained(
            None,
            config=getattr(transformers, config)(**sizes),
            state_dict=dict(state),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            attn_implementation=ATTENTION,
            dtype=torch.float32,
        )
    return network, misfit_of(report)


def misfit_of(report: Mapping[str, Any]) -> Misfit:
    """Of from_pretrained's `output_loading_info`."""
    return Misfit(
        missing=set(report["missing_keys"]),
        left_over=set(report["unexpected_keys"]) | set(report["error_msgs"]),
        other_shape={name for name, *_ in report["mismatched_keys"]},
    )


def read_config(config: str, folder: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes in the folder's config.json; of a two-tower model the side that `config` is of."""
    import transformers

    if not (folder / "config.json").is_file():
        return dict(table)
    try:
        with quiet():
            settings = getattr(transformers, config).from_pretrained(folder)
    except (OSError, ValueError, TypeError, KeyError) as e:
        raise CorruptFile(f"{folder / 'config.json'} cannot be read as {config}: {e}") from e
    sizes: dict[str, Any] = settings.to_dict()
    return sizes


@contextmanager
def quiet() -> Iterator[None]:
    """Without the library's report and progress bar: what did not fit becomes our error."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    before = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
