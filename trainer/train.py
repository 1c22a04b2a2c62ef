"""The training loop, top to bottom: data, network, steps, checkpoints, metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from petdata.errors import PetdataError
from petdata.progress_line import ProgressLine, StderrConsole
from petdata.releases import Release, open_release
from petdata.workspace import Workspace
from trainer.checkpoint import MODEL as CHECKPOINT_MODEL
from trainer.checkpoint import Progress, checkpoints_of, read_progress, restore, write_checkpoint
from trainer.config import TrainConfig
from trainer.data import Batch, PhotoLoader, PhotoSet, open_photos
from trainer.decoding import Transform
from trainer.feature_cache import FeatureCache, FeatureLoader, open_feature_cache
from trainer.losses import active_triplet_share, build_loss
from trainer.metrics_log import MetricsLog, draw_curves
from trainer.model import PetEncoder, build_model, count_parameters
from trainer.model_folder import read_model
from trainer.processes import Processes, start_processes
from trainer.run_folder import Run, finish_run, open_run
from trainer.sampler import IdentityBatchSampler, Rows
from trainer.steps import Gatherer, backward_in_parts, backward_whole, moved, seed_step, split
from trainer.transforms import with_scaled_decoding

# Before the first epoch and after each: the network in evaluation mode -> figures of it, by name.
OnEpochEnd = Callable[[PetEncoder], Mapping[str, float]]
Say = Callable[[str], None]

TRAIN: Final = "train"
_WITHOUT: Final = {"texts": "the empty text stands in", "boxes": "they stay whole"}


class TrainingDiverged(PetdataError):
    pass


@dataclass(frozen=True, kw_only=True)
class _Step:
    loss: float
    active_share: float
    photos: int
    loading_s: float


def train(
    config: TrainConfig,
    workspace: Workspace,
    *,
    on_epoch_end: OnEpochEnd | None = None,
    say: Say = lambda line: None,
) -> Path:
    """Train, or go on with the same run where it stopped; its folder. Raises PetdataError.

    Killed at any moment and started again it ends with the weights, bit for bit on a CPU, that it
    would have had uninterrupted.
    """
    processes = start_processes(config)
    release = open_training_release(config, workspace)
    photos = photos_for(config, release, TRAIN)
    run = open_run(workspace, config, release=release, photos=photos, processes=processes)
    sampler = make_sampler(config, photos, rank=processes.rank, world_size=processes.world_size)
    if run.is_finished(steps_of(config, sampler)):
        say(f"{run.folder} is finished: give it more --epochs, another configuration, or a --name")
        return run.folder
    _Training(config, workspace, photos, sampler, run, processes, say).run_to_end(on_epoch_end)
    return run.folder


def photos_for(config: TrainConfig, release: Release, split: str) -> PhotoSet:
    """As the configuration wants them cut and described."""
    return open_photos(
        release,
        split,
        texts=config.text_from,
        boxes=config.crop,
        box_padding=config.box_padding,
    )


def open_training_release(config: TrainConfig, workspace: Workspace) -> Release:
    if config.dataset is None:
        raise PetdataError("which data set? Give a release folder, NAME@VERSION or user/name")
    return open_release(
        config.dataset, revision=config.revision, config=config.dataset_config, workspace=workspace
    )


def make_sampler(
    config: TrainConfig, photos: PhotoSet, *, rank: int = 0, world_size: int = 1
) -> IdentityBatchSampler:
    return IdentityBatchSampler(
        photos.labels,
        identities_per_batch=config.identities,
        photos_per_identity=config.photos,
        seed=config.seed,
        dataset_hash=photos.dataset_hash,
        rank=rank,
        world_size=world_size,
    )


def steps_of(config: TrainConfig, sampler: IdentityBatchSampler) -> int:
    """Of a whole run."""
    whole = config.epochs * sampler.batches_per_epoch
    return min(whole, config.max_steps or whole)


def transform_for(config: TrainConfig, model: PetEncoder) -> Transform:
    """The checkpoint's own, unless photos may be decoded at a half, a quarter or an eighth."""
    transform = model.vision.transform()
    return with_scaled_decoding(transform) if config.scaled_decoding else transform


class _Training:
    """What the steps share, and where they stand."""

    def __init__(  # noqa: PLR0913
        self,
        config: TrainConfig,
        workspace: Workspace,
        photos: PhotoSet,
        sampler: IdentityBatchSampler,
        run: Run,
        processes: Processes,
        say: Say,
    ) -> None:
        self.config, self.workspace = config, workspace
        self.photos, self.folder = photos, run.folder
        self.processes, self.say = processes, say
        self.sampler, self.steps = sampler, steps_of(config, sampler)
        checkpoint = next(reversed(checkpoints_of(run.folder)), None)
        if checkpoint is None:
            self.model = build_model(config)
        else:
            self.model, _ = read_model(
                checkpoint / CHECKPOINT_MODEL, gradient_checkpointing=config.gradient_checkpointing
            )
        with torch.random.fork_rng(devices=[]):
            seed_step(config.seed)
            self.loss = build_loss(
                config.loss_config(), identities=len(photos.groups), width=self.model.width
            )
        self.model.to(processes.device)
        self.loss.to(processes.device)
        parameters = [*self.model.parameters(), *self.loss.parameters()]
        self.optimizer = torch.optim.Adam(
            [each for each in parameters if each.requires_grad], lr=config.learning_rate
        )
        self.progress = Progress(step=0, epoch=0, batch=0)
        if checkpoint is not None:
            self.progress = read_progress(checkpoint)
            self.sampler.load_state_dict(vars(self.progress))
            restore(checkpoint, model=self.model, loss=self.loss, optimizer=self.optimizer)
            say(f"going on after step {self.progress.step:,}")
        self.network = processes.prepare(self.model)
        self.gather = Gatherer(processes.rank, processes.world_size)
        self._latest: _Step | None = None
        self._warned = False

    def run_to_end(self, on_epoch_end: OnEpochEnd | None) -> None:
        self._describe()
        console = StderrConsole()
        with (
            self.processes.only_main(MetricsLog, self.folder, step=self.progress.step) as log,
            ProgressLine(console, self._line) as line,
        ):
            if self.progress.step == 0:  # what the encoder knows already
                self._evaluate(log, on_epoch_end)
            began = time.perf_counter()
            loader = self._loader()
            for batch in loader:
                step = self._step(batch, loading_s=time.perf_counter() - began)
                line.tick()
                if log is not None and self._is_due(self.config.log_every):
                    log.write(self.progress.step, self._metrics(step, time.perf_counter() - began))
                epoch_ended = self.sampler.batch == 0
                if epoch_ended or self._is_last():
                    self._evaluate(log, on_epoch_end)
                if epoch_ended or self._is_due(self.config.save_every) or self._is_last():
                    self._save()
                began = time.perf_counter()
        self._finish(loader)

    def _loader(self) -> PhotoLoader | FeatureLoader:
        tokenize = None if self.model.text is None else self.model.text.tokenize
        if self.config.cache_features:
            cache = self.processes.main_first(self._open_cache)
            return FeatureLoader(cache, self.photos, self._batches(), tokenize=tokenize)
        return PhotoLoader(
            self.photos,
            transform_for(self.config, self.model),
            self._batches(),
            workers=self.config.workers,
            tokenize=tokenize,
            skip_bad=self.config.skip_bad,
            pin_memory=self.processes.device.type == "cuda",
        )

    def _open_cache(self) -> FeatureCache:
        return open_feature_cache(
            self.workspace,
            self.model.vision,
            self.photos,
            self.sampler.usable_rows,
            workers=self.config.workers,
            say=self.say,
        )

    def _batches(self) -> Iterator[Rows]:
        """Rows of every step that is left; the sampler's own state follows with the training."""
        epoch, batch = self.sampler.epoch, self.sampler.batch
        for _ in range(self.steps - self.progress.step):
            yield self.sampler.rows(epoch, batch)
            batch += 1
            if batch == self.sampler.batches_per_epoch:
                epoch, batch = epoch + 1, 0

    def _step(self, batch: Batch, *, loading_s: float) -> _Step:
        number = self.progress.step
        self.network.train()
        batch = moved(batch, self.processes.device)
        labels = self.gather.labels(batch.labels)

        def loss_of(embeddings: Tensor) -> Tensor:
            loss: Tensor = self.loss(self.gather.embeddings(embeddings), labels)
            return loss

        def reseed(part: int) -> None:
            seed_step(self.config.seed, number, self.processes.rank, part)

        if self.config.micro_batch is None:
            loss, own = backward_whole(self.network, batch, loss_of, reseed)
        else:
            parts = split(batch, self.config.micro_batch)
            loss, own = backward_in_parts(self.network, self.network, parts, loss_of, reseed)
        if not math.isfinite(loss.item()):
            raise TrainingDiverged(
                f"the loss is {loss.item()} at step {number + 1:,}, with photo "
                f"{batch.photo_ids[0]} and {len(batch.photo_ids) - 1} others: "
                "lower --learning-rate, or train with --precision no"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.sampler.advance()
        self.progress = Progress(step=number + 1, **self.sampler.state_dict())
        share = math.nan
        if self._is_due(self.config.log_every):
            everybody = self.gather.embeddings(own.float())
            share = active_triplet_share(everybody, labels, self.config.loss_config())
            self._warn_when_idle(share)
        self._latest = _Step(
            loss=loss.item(), active_share=share, photos=len(labels), loading_s=loading_s
        )
        return self._latest

    def _evaluate(self, log: MetricsLog | None, on_epoch_end: OnEpochEnd | None) -> None:
        if log is not None and on_epoch_end is not None:
            self.model.eval()
            figures = on_epoch_end(self.model)
            log.write(self.progress.step, {"epoch": self._epochs_done(), **figures})
            self.say(f"epoch {self._epochs_done():g}: {_shown(figures)}")
        self.processes.wait()

    def _save(self) -> None:
        if self.processes.is_main:
            write_checkpoint(
                self.folder,
                self.progress,
                model=self.model,
                loss=self.loss,
                optimizer=self.optimizer,
                config=self.config,
            )
        self.processes.wait()

    def _finish(self, loader: PhotoLoader | FeatureLoader) -> None:
        if loader.skipped:
            self.say(f"{loader.skipped:,} photos could not be read and were left out")
        if self.processes.is_main:
            draw_curves(self.folder, self.folder.name)
            finish_run(self.folder)
        self.processes.wait()

    def _metrics(self, step: _Step, seconds: float) -> dict[str, float]:
        return {
            "epoch": self._epochs_done(),
            "loss": step.loss,
            "active_triplet_share": step.active_share,
            "photos_per_second": step.photos / seconds,
            "loading_share": step.loading_s / seconds,
        }

    def _describe(self) -> None:
        counted = count_parameters(self.model)
        self.say(
            f"{self.sampler.identities:,} identities ({self.sampler.left_out_identities:,} with "
            f"fewer than {self.config.photos} photos left out), "
            f"{self.sampler.batches_per_epoch:,} batches of {self.config.identities} x "
            f"{self.config.photos} an epoch, {counted.trainable:,} of {counted.total:,} "
            f"parameters train, on {self.processes.device}"
        )
        for what, missing in (
            ("texts", self.photos.texts_missing),
            ("boxes", self.photos.boxes_missing),
        ):
            if missing:
                self.say(f"{what}: {missing:,} photos have none ({_WITHOUT[what]})")

    def _line(self) -> str:
        if self._latest is None:
            return f"step {self.progress.step:,} of {self.steps:,}"
        return (
            f"epoch {self._epochs_done():.2f} of {self.config.epochs}, step {self.progress.step:,} "
            f"of {self.steps:,}, loss {self._latest.loss:.4f}"
        )

    def _epochs_done(self) -> float:
        return self.progress.step / self.sampler.batches_per_epoch

    def _is_due(self, every: int | None) -> bool:
        return every is not None and self.progress.step % every == 0

    def _is_last(self) -> bool:
        return self.progress.step == self.steps

    def _warn_when_idle(self, share: float) -> None:
        if share == 0 and not self._warned and self.config.loss == "triplet":
            self._warned = True
            self.say(
                f"no triplet of step {self.progress.step:,} is within the margin: nothing is "
                "learned from it. Are photos of an identity copies of each other? Else raise "
                "--margin or --identities"
            )


def _shown(figures: Mapping[str, float]) -> str:
    """Those with an interval, with it; without intervals all."""
    with_interval = [
        f"{name} {value:.4f} ({figures[f'{name}_low']:.4f} to {figures[f'{name}_high']:.4f})"
        for name, value in figures.items()
        if f"{name}_low" in figures
    ]
    return ", ".join(with_interval or [f"{name} {value:.4f}" for name, value in figures.items()])
