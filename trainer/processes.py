"""One process or many, one device each: what accelerate knows of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, Final, TypeVar

import torch
from torch import nn

from trainer.config import TrainConfig

Result = TypeVar("Result")

# Others wait while the main process validates.
PATIENCE: Final = timedelta(hours=3)


class Processes:
    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator
        self.rank = int(accelerator.process_index)
        self.world_size = int(accelerator.num_processes)
        self.is_main = bool(accelerator.is_main_process)
        self.device: torch.device = accelerator.device

    def prepare(self, model: nn.Module) -> nn.Module:
        """With gradients averaged over processes, and autocast where the precision asks for it."""
        prepared: nn.Module = self._accelerator.prepare(model)
        return prepared

    def wait(self) -> None:
        self._accelerator.wait_for_everyone()

    def main_first(self, work: Callable[[], Result]) -> Result:
        """Once in the main process, then in the others, which find it done."""
        if self.is_main:
            done = work()
        self.wait()
        return done if self.is_main else work()

    def only_main(self, make: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """A context manager: `make(...)` in the main process, None in the others."""
        return make(*arguments, **named) if self.is_main else nullcontext()


def start_processes(config: TrainConfig) -> Processes:
    """Joins the others where torchrun or accelerate started several."""
    from accelerate import Accelerator
    from accelerate.utils import InitProcessGroupKwargs

    return Processes(
        Accelerator(
            cpu=config.device == "cpu",
            mixed_precision=config.precision,
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
    )
