"""README.md of an exported model: cards/model_card.md, filled from the run's own files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import Template
from typing import Any, Final

from petdata.card_parts import table_row, template_path
from petdata.sources import Source
from trainer.config import TrainConfig
from trainer.encoder_table import VISION_ENCODERS
from trainer.model import PetEncoder, count_parameters
from trainer.model_licence import ModelLicence, model_licence
from trainer.plain_code import library_of
from trainer.text_encoder_table import TEXT_ENCODERS

TEMPLATE: Final = "model_card.md"
_LIBRARY_LINE: Final = {
    "transformers": "It needs `transformers`, `torch`, `torchvision` and `safetensors`.",
    "timm": "It needs `timm`, and `transformers` for its image processor.",
    "open_clip": "It needs `open_clip`, and `transformers` for its image processor.",
}
_FIGURES: Final = {
    "top_1_accuracy": "Top-1",
    "top_5_accuracy": "Top-5",
    "top_10_accuracy": "Top-10",
    "mean_average_precision": "mAP",
    "roc_auc": "ROC AUC",
    "equal_error_rate": "equal error rate",
}


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card is made of."""

    run: str
    model: PetEncoder
    config: TrainConfig
    provenance: Mapping[str, Any]  # run.json, without what is nobody's business
    sources: Mapping[str, Source]
    metrics: list[dict[str, Any]]
    steps: int
    code: str
    onnx_code: str | None
    photos_compared: str
    difference: float
    onnx_difference: float | None


def model_card(facts: CardFacts) -> str:
    licence = licence_of(facts)
    config, dataset = facts.config, facts.provenance["dataset"]
    counted = count_parameters(facts.model)
    text = Template(template_path(TEMPLATE).read_text(encoding="utf-8")).substitute(
        title=facts.run,
        run=facts.run,
        what=_what(facts),
        dataset=dataset_name(dataset),
        input=_input(facts),
        width=facts.model.width,
        encoder=_encoder(config),
        fusion_rows=_fusion_rows(config),
        parameters=f"{counted.total:,}",
        trainable=f"{counted.trainable:,}",
        licence=licence.name or licence.hub,
        library_line=_LIBRARY_LINE[library_of(facts.model, config.encoder)],
        probe=facts.photos_compared,
        difference=f"{facts.difference:.1g}",
        code=facts.code,
        onnx=_onnx(facts),
        dataset_lines=_dataset_lines(dataset, config),
        sources="\n".join(_source_rows(facts)),
        meaning="\n".join(f"- {sentence}" for sentence in licence.meaning),
        recipe=_recipe(facts),
        validation=_validation(facts),
        limits=_limits(facts),
    )
    return f"---\n{_front_matter(facts, licence)}---\n\n{text}"


def licence_of(facts: CardFacts) -> ModelLicence:
    data = {_title(facts, name): _licence(facts, name) for name in _trained_on(facts)}
    return model_licence(data, _bases(facts.config))


def dataset_name(dataset: Mapping[str, Any]) -> str:
    """`user/name` at its commit, or the name and version of a release that lay on a disk."""
    if dataset["revision"] is not None:
        return f"`{dataset['reference']}` at {dataset['revision'][:12]}"
    return f"`{dataset['name']} {dataset['version']}`"


def _trained_on(facts: CardFacts) -> list[str]:
    return list(facts.provenance["dataset"]["sources"])


def _title(facts: CardFacts, name: str) -> str:
    return facts.sources[name].title if name in facts.sources else name


def _licence(facts: CardFacts, name: str) -> str | None:
    return facts.sources[name].licence if name in facts.sources else None


def _source_rows(facts: CardFacts) -> Iterable[str]:
    for name in _trained_on(facts):
        source = facts.sources.get(name)
        licence = _licence(facts, name) or "**none granted**"
        terms = source.terms if source is not None and source.terms else "not declared"
        yield table_row(f"`{name}`", _title(facts, name), licence, terms)


def _bases(config: TrainConfig) -> dict[str, str | None]:
    """Base models by their names on the Hub, or where they lay, and their licences."""
    if config.tiny:
        return {}
    chosen: dict[str, str | None] = {}
    entries = [(config.weights, VISION_ENCODERS[config.encoder].weights.hub_id, config.encoder)]
    licences = [VISION_ENCODERS[config.encoder].licence]
    if config.text_encoder is not None:
        text = TEXT_ENCODERS[config.text_encoder]
        entries.append((config.text_weights, text.weights.hub_id, config.text_encoder))
        licences.append(text.licence)
    for (weights, hub_id, name), licence in zip(entries, licences, strict=True):
        if weights == "pretrained":
            chosen[hub_id or name] = licence
        elif weights != "random":
            chosen[weights] = licence if weights == hub_id else None
    return chosen


def _what(facts: CardFacts) -> str:
    if facts.model.text is None:
        return "It reads photos alone."
    return f"It reads a photo and a text of it; the two are fused by {facts.config.fusion_name}."


def _input(facts: CardFacts) -> str:
    side = facts.model.vision.image_size
    photo = f"a photo, {side} x {side} pixels once prepared"
    return photo if facts.model.text is None else f"{photo}, and a text, which may be empty"


def _encoder(config: TrainConfig) -> str:
    hub_id = VISION_ENCODERS[config.encoder].weights.hub_id
    return f"{config.encoder}{_of(config.weights, hub_id, tiny=config.tiny)}"


def _of(weights: str, hub_id: str, *, tiny: bool) -> str:
    if tiny:
        return ", tiny, for trying out: random at first"
    if weights == "random":
        return ", random at first"
    return f", first weights `{hub_id if weights == 'pretrained' and hub_id else weights}`"


def _fusion_rows(config: TrainConfig) -> str:
    if config.text_encoder is None:
        return ""
    hub_id = TEXT_ENCODERS[config.text_encoder].weights.hub_id
    text = f"{config.text_encoder}{_of(config.text_weights, hub_id, tiny=config.tiny)}"
    return f"{table_row('text encoder', text)}\n{table_row('fusion', config.fusion_name)}\n"


def _onnx(facts: CardFacts) -> str:
    if facts.onnx_code is None or facts.onnx_difference is None:
        return ""
    return (
        "\n`onnx/model.onnx` is the same network, for any number of photos at a time; its largest "
        f"difference was {facts.onnx_difference:.1g}:\n\n```python\n{facts.onnx_code}```\n"
    )


def _dataset_lines(dataset: Mapping[str, Any], config: TrainConfig) -> str:
    lines = [
        f"{dataset_name(dataset)}, configuration `{dataset['config']}`, split `train`: "
        f"{dataset['photos']:,} photos of {dataset['identity_groups']:,} identity groups; "
        f"build hash `{dataset['build_hash']}`."
    ]
    if config.text_from is not None:
        lines.append(f"Texts: {config.text_from}.")
    if config.crop is not None:
        wider = f", {config.box_padding:.0%} wider on each side" if config.box_padding else ""
        lines.append(
            f"Photos were cropped to the boxes of `{config.crop}`{wider}: crop yours likewise."
        )
    return " ".join(lines)


def _recipe(facts: CardFacts) -> str:
    config = facts.config
    blocks = "all" if config.trainable_blocks == -1 else f"the last {config.trainable_blocks}"
    loss = {
        "triplet": f"triplets, {config.distance} distance, margin {config.margin:g}, and intra-pair"
        f" variance with weight {config.variance_weight:g}",
        "arcface": f"ArcFace, margin {config.arcface_margin:g} degrees, scale "
        f"{config.arcface_scale:g}",
    }[config.loss]
    return "\n".join(
        [
            f"- {facts.steps:,} steps of {config.identities} identities x {config.photos} photos",
            f"- Adam, learning rate {config.learning_rate:g}; blocks of each encoder: {blocks}",
            f"- Loss: {loss}",
            f"- Precision: {'float32' if config.precision == 'no' else config.precision}; "
            f"seed {config.seed}",
        ]
    )


def _validation(facts: CardFacts) -> str:
    measured = [line for line in facts.metrics if any(f"{name}_low" in line for name in _FIGURES)]
    if not measured:
        return "Not measured."
    first, last = measured[0], measured[-1]
    rows = [table_row("figure", "before training", "after", "95 % interval"), "|---|--:|--:|---|"]
    for name in _FIGURES:
        if f"{name}_low" in last:
            before = f"{first[name]:.4f}" if first["step"] == 0 and name in first else ""
            interval = f"{last[f'{name}_low']:.4f} to {last[f'{name}_high']:.4f}"
            rows.append(table_row(_FIGURES[name], before, f"{last[name]:.4f}", interval))
    queries = f"{last['queries']:,.0f} photos in turn, each" if "queries" in last else "Each photo"
    return "\n".join(
        [
            "On the split `validation` of the same data set, whose animals were not trained on. "
            f"{queries} against all others of its species; verification on pairs. Intervals are by "
            "bootstrap over identities.",
            "",
            *rows,
        ]
    )


def _limits(facts: CardFacts) -> str:
    if facts.model.text is None:
        return ""
    return (
        "- Texts were those of announcements or descriptions in the languages of the data set; an "
        "announcement's words tell animals apart that a stranger's would not.\n"
    )


def _front_matter(facts: CardFacts, licence: ModelLicence) -> str:
    """YAML, strings as in JSON."""
    dataset = facts.provenance["dataset"]
    lines = [f"license: {licence.hub}"]
    lines += [f"license_name: {licence.name}"] if licence.name else []
    lines += [f"license_link: {licence.link or 'README.md'}"] if licence.hub == "other" else []
    lines += [f"library_name: {library_of(facts.model, facts.config.encoder)}"]
    lines += ["pipeline_tag: image-feature-extraction"]
    if bases := [name for name in _bases(facts.config) if name.count("/") == 1]:
        lines += ["base_model:", *(f"- {json.dumps(name)}" for name in bases)]
    if dataset["revision"] is not None:
        lines += ["datasets:", f"- {json.dumps(dataset['reference'])}"]
    lines += ["tags:", "- re-identification", "- animals", "- petdata"]
    return "\n".join(lines) + "\n"
