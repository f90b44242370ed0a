"""What a training run would cost on machines that nobody here has: bytes per GPU, FLOPs, hours.

Nothing runs: the network is built on the meta device, the rest is arithmetic. Assumed: FSDP2 with a
group per decoder layer and one for the rest, which stays gathered (the default for a root); layers
gathered in bfloat16, gradients reduced in float32; a checkpoint per layer without re-entry, so that
computing it again stops before its last product; a loss in chunks of rows; fused AdamW. One GPU
shards nothing and computes in the type of its weights.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ponder.config import Name, at_least, build, check_choice
from ponder.errors import UserError
from ponder.models import Dimensions, Model, num_parameters

if TYPE_CHECKING:
    import torch
    from _typeshed import DataclassInstance

    from ponder.study import Study, Train

GIB = 2**30
BYTES = {"float32": 4, "bfloat16": 2}
WIDTH = 130  # of the printed notes, in characters
Part = TypeVar("Part", bound="DataclassInstance")


@dataclass(frozen=True)
class Chip:
    """A GPU: its memory, its dense bf16 peak, and the share of the peak that a run should reach."""

    title: str
    gib: float
    tflops: float
    utilisation: float
    source: str  # of the peak and the share


@dataclass(frozen=True)
class Option:
    """One way to train: how many GPUs of which kind, the method, the type of weights and AdamW."""

    chip: str
    gpus: int
    method: Literal["full", "lora"]
    lora_rank: int
    weights: Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Paper:
    """The run that a plan is held against: what it trained on, per epoch, and how long it took."""

    model: str
    rows: int
    tokens: int
    chip: str
    gpus: int
    minutes: float


@dataclass(frozen=True)
class Machines:
    """What a plan compares (conf/machines): Chips and Options by name, as mappings."""

    name: Name
    reserve_gib: float
    paper: Paper
    chips: dict[str, Any]
    options: dict[str, Any]

    def __post_init__(self) -> None:
        at_least(1, "machines.paper", self.paper, "rows", "tokens", "gpus", "minutes")
        chips = parts(Chip, self.chips, "chips")
        check_choice("machines.paper.chip", self.paper.chip, tuple(chips))
        for name, chip in chips.items():
            if not 0 < chip.utilisation <= 1:
                raise UserError(
                    f"machines.chips.{name}.utilisation is {chip.utilisation}, but must be above 0 "
                    "and at most 1"
                )
        for name, option in parts(Option, self.options, "options").items():
            at_least(1, f"machines.options.{name}", option, "gpus")
            check_choice(f"machines.options.{name}.chip", option.chip, tuple(chips))


def parts(cls: type[Part], named: Mapping[str, Any], where: str) -> dict[str, Part]:
    """Return {name: cls} of a mapping in conf/machines; raises UserError like config.build."""
    return {name: build(cls, part, f"machines.{where}.{name}") for name, part in named.items()}


def network(
    model: Model, architecture: str, recipe: Train, weights: str, device: str = "meta"
) -> Any:
    """Return the network of a Model, its values left to chance, what `recipe` trains set to train.

    `architecture`: transformers' word for it (qwen2, llama), for Dimensions know no biases.
    `weights`: their type.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from ponder.train import sft

    d = model.dimensions
    shape = AutoConfig.for_model(
        architecture,
        hidden_size=d.hidden,
        intermediate_size=d.intermediate,
        num_hidden_layers=d.layers,
        num_attention_heads=d.heads,
        num_key_value_heads=d.kv_heads,
        vocab_size=d.vocabulary,
        tie_word_embeddings=d.tied,
        max_position_embeddings=model.context,
    )
    with torch.device(device):
        base = AutoModelForCausalLM.from_config(shape, dtype=getattr(torch, weights))
        return sft.trainable(base, model, recipe, 0)


@dataclass(frozen=True)
class Sizes:
    """What the arithmetic needs of a network: numbers of parameters, unless it says bytes."""

    parameters: int
    trained: int
    weight_bytes: int
    trained_bytes: int
    tensors: int  # trained
    layer: int  # of one decoder layer
    layer_trained: int
    head_trained: int  # of the output embeddings; 0 when frozen
    products: int  # in matrices of all decoder layers, biases and norms left out
    products_trained: int
    no_input_gradient: int  # in matrices of the first layer, where nothing before it is trained
    last_matrix: int  # of a layer
    adapter_bytes: int  # per number in an adapter; 0 without adapters
    ranks: int  # sum of a layer's adapter ranks


def sizes(network: Any) -> Sizes:
    """Return the Sizes of a network, on whatever device."""
    weights = list(network.parameters())
    layers = network.get_decoder().layers
    layer = list(layers[0].parameters())
    layer_matrices = [p for p in layer if p.dim() == 2]
    matrices = [p for p in layers.parameters() if p.dim() == 2]
    head = network.get_output_embeddings().weight
    adapters = []
    if any(not p.requires_grad for p in layer_matrices):
        adapters = [p for p in layer_matrices if p.requires_grad]
    return Sizes(
        parameters=_count(weights),
        trained=_count(_trained(weights)),
        weight_bytes=sum(p.nbytes for p in weights),
        trained_bytes=sum(p.nbytes for p in _trained(weights)),
        tensors=len(_trained(weights)),
        layer=_count(layer),
        layer_trained=_count(_trained(layer)),
        head_trained=head.numel() if head.requires_grad else 0,
        products=_count(matrices),
        products_trained=_count(_trained(matrices)),
        no_input_gradient=_count(_without_input_gradient(network, adapters)),
        last_matrix=layer_matrices[-1].numel(),
        adapter_bytes=adapters[0].element_size() if adapters else 0,
        ranks=sum(min(p.shape) for p in adapters) // 2,
    )


def _count(weights: Iterable[torch.Tensor]) -> int:
    return sum(weight.numel() for weight in weights)


def _trained(weights: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    return [weight for weight in weights if weight.requires_grad]


def _without_input_gradient(network: Any, adapters: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return the matrices of the first layer whose input needs no gradient.

    Without adapters the norm before them is trained, and trained embeddings lie before them too:
    then there are none.
    """
    if not adapters or network.get_input_embeddings().weight.requires_grad:
        return []
    return [
        weight
        for name, weight in network.get_decoder().layers[0].named_parameters()
        if weight.dim() == 2
        and "lora_B" not in name
        and any(part in name for part in ("q_proj", "k_proj", "v_proj"))
    ]


def saved_bytes(d: Dimensions, s: Sizes, compute: int, adapter: int) -> int:
    """Return the bytes per token that autograd keeps of one decoder layer, its input left out.

    Counted in transformers 5, its attention keeping no scores. `compute` and `adapter` (0: none)
    are bytes per number.
    """
    kv = d.hidden * d.kv_heads // d.heads
    # The sum before the second norm; in bfloat16 a float32 copy for each.
    norms = (4 if compute == 4 else 8) * d.hidden + 8
    # Query, key, value, output, and log-sums in float32.
    attention = compute * (2 * d.hidden + 2 * kv) + 4 * d.heads
    if not adapter:
        return norms + attention + compute * (5 * d.hidden + 4 * d.intermediate)
    # An adapter of another type keeps its own copy.
    inputs = (3 if adapter == compute else 6) * d.hidden + d.intermediate
    return norms + attention + 3 * compute * d.intermediate + adapter * (inputs + s.ranks)


@dataclass(frozen=True)
class Memory:
    """Bytes per GPU. From `hidden` on they live for a part of a step only."""

    weights: int
    gradients: int
    optimizer: int
    hidden: int  # checkpoints: one hidden state per layer and token
    layer: int  # one layer computed again, on its way back
    gathered: int  # weights put together: this layer, the next one, and what no layer holds
    reducing: int  # gradients on their way: the head's, a matrix of this layer, the layer before
    loss: int  # a chunk of the loss, and the last hidden states
    temporary: int  # the most beside the first four: a layer's way back, loss, or last reduction
    peak: int  # the most that lives at one moment


def memory(
    d: Dimensions,
    s: Sizes,
    gpus: int,
    compute: int,
    tokens: int,
    loss_rows: int,
    accumulates: bool,
) -> Memory:
    """Return the Memory of a step on at most `tokens` tokens per GPU at once.

    `compute`: bytes per number in a layer. `accumulates`: gradients of earlier rows are there while
    later rows go through; else they come as hidden states go.
    """
    weights, gradients, moments = (
        -(-size // gpus) for size in (s.weight_bytes, s.trained_bytes, 2 * s.trained_bytes)
    )
    optimizer = moments + 4 * s.tensors  # and a count of steps per tensor
    states = compute * d.hidden * tokens  # one hidden state of every token
    gathers = compute if gpus > 1 else 0  # bytes per number in what is put together, if anything is
    layer = _layer_bytes(d, s, compute, tokens, gpus > 1)
    logit = 4 if compute == 4 else 4 + compute  # a float32 copy, and what it is multiplied in
    loss = logit * min(loss_rows, tokens) * d.vocabulary + _ends_bytes(d, compute, tokens)
    rest = s.parameters - d.layers * s.layer  # in no layer
    rest_trained = s.trained - d.layers * s.layer_trained
    # Gradients that are there when a layer's way back begins: of the head, of its last matrix.
    head = compute * s.head_trained
    last = 0 if s.adapter_bytes else compute * s.last_matrix
    gathered = gathers * (rest + 2 * s.layer)
    reducing = 4 * s.layer_trained + head + last if gathers else 0
    # The moments at which the most may live: a layer's way back, the loss, the last reduction.
    back = layer + gathered + reducing
    at_loss = loss + (logit * s.head_trained if head else 0) + gathers * rest
    ending = gathers * rest + ((gathers + 4) * rest_trained if gathers else 0)
    hidden = d.layers * states
    earlier = gradients if accumulates else 0
    # All gradients but those of the first layer, which come at the end.
    others = gradients - gradients * s.layer_trained // s.trained + (0 if gathers else last)
    most = max(
        hidden + earlier + at_loss,
        hidden + max(earlier, 0 if gathers else head + last) + back,
        gradients + ending,
        states + max(earlier, others) + back,
    )
    return Memory(
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        hidden=hidden,
        layer=layer,
        gathered=gathered,
        reducing=reducing,
        loss=loss,
        temporary=max(back, at_loss, ending),
        peak=weights + optimizer + most,
    )


def _layer_bytes(d: Dimensions, s: Sizes, compute: int, tokens: int, sharded: bool) -> int:
    """Return the bytes of one layer computed again: what autograd keeps, and passing gradients."""
    # Adapters are gathered in the type of the layer.
    adapter = compute if sharded and s.adapter_bytes else s.adapter_bytes
    states = compute * d.hidden * tokens
    passing = 2 * compute * d.intermediate * tokens
    passing += (2 if adapter in (0, compute) else 6) * states
    return saved_bytes(d, s, compute, adapter) * tokens + passing


def _ends_bytes(d: Dimensions, compute: int, tokens: int) -> int:
    """Return the bytes around the loss: last norm and its output, rows with loss, a gradient."""
    float32_copy = 4 * d.hidden * tokens if compute < 4 else 0
    return 5 * compute * d.hidden * tokens + float32_copy


def flops(
    d: Dimensions, s: Sizes, tokens: int, loss_tokens: int, pairs: int, recompute: bool
) -> tuple[int, int]:
    """Return (useful, executed) FLOPs of going forward and back over tokens.

    A multiplication and an addition are two. useful: matrix products forward once and back twice
    (frozen ones once, where the layer before needs it), the head on loss tokens only, scores of the
    `pairs` of tokens that see each other. executed: also what flash attention's way back computes
    again, and with `recompute` a checkpoint per layer, which asks for a gradient of the first
    layer's input whoever needs it. Look-ups, norms and the optimizer are left out.
    """
    products = 2 * tokens * s.products
    scores = 4 * pairs * d.hidden * d.layers
    head = 2 * loss_tokens * d.vocabulary * d.hidden
    back = products + 2 * tokens * (s.products_trained - s.no_input_gradient)
    useful = products + back + 3 * scores + (3 if s.head_trained else 2) * head
    again = 0
    if recompute:
        again = products - 2 * tokens * (d.layers * s.last_matrix - s.no_input_gradient) + scores
    return useful, useful + again + scores // 2


@dataclass(frozen=True)
class PlanRow:
    """One option of a plan."""

    name: str
    title: str
    option: Option
    chip: Chip
    sizes: Sizes
    memory: Memory  # of a whole block
    limit: int  # bytes of the GPU, the reserve taken off
    longest: int  # tokens at once that fit, up to the model's context; 0 when not even one does
    useful: int  # FLOPs of the whole run
    executed: int
    hours: float


def plan(study: Study, machines: Machines, architecture: str) -> list[PlanRow]:
    """Return a PlanRow for every option of `machines`.

    Each is study.model trained by study.train on what the paper trained on; the method of an option
    replaces that of the recipe. Takes seconds, most of them imports. Raises UserError for a recipe
    of another kind than the arithmetic here is of.
    """
    recipe = study.train
    if recipe.compute != "bfloat16" or not recipe.recompute:
        raise UserError(
            "plan=true counts what computes in bfloat16 and computes layers again, but "
            f"train={recipe.name} has train.compute={recipe.compute} and train.recompute="
            f"{str(recipe.recompute).lower()}; give both, or take train=s1"
        )
    chips = parts(Chip, machines.chips, "chips")
    return [
        _plan_row(name, option, chips[option.chip], study, machines, architecture)
        for name, option in parts(Option, machines.options, "options").items()
    ]


def _plan_row(
    name: str,
    option: Option,
    chip: Chip,
    study: Study,
    machines: Machines,
    architecture: str,
) -> PlanRow:
    recipe, paper, d = study.train, machines.paper, study.model.dimensions
    recipe_of_option = dataclasses.replace(
        recipe,
        method=option.method,
        lora_rank=option.lora_rank,
        lora_alpha=2 * option.lora_rank,
    )
    s = sizes(network(study.model, architecture, recipe_of_option, option.weights))
    compute = 2 if option.gpus > 1 else BYTES[option.weights]
    accumulates = recipe.batch_rows > option.gpus

    def need(block: int) -> Memory:
        return memory(d, s, option.gpus, compute, block, recipe.loss_rows, accumulates)

    limit = int((chip.gib - machines.reserve_gib) * GIB)
    blocks = range(1, study.model.context + 1)
    longest = bisect.bisect_right(blocks, limit, key=lambda block: need(block).peak)
    tokens, mean = paper.tokens * recipe.epochs, paper.tokens / paper.rows
    useful, executed = flops(d, s, tokens, tokens, round(tokens * (mean + 1) / 2), recompute=True)
    method = f"LoRA {option.lora_rank}" if s.adapter_bytes else "full"
    return PlanRow(
        name=name,
        title=f"{option.gpus} {chip.title} {method}, {option.weights}",
        option=option,
        chip=chip,
        sizes=s,
        memory=need(recipe.max_tokens),
        limit=limit,
        longest=longest,
        useful=useful,
        executed=executed,
        hours=executed / (option.gpus * chip.tflops * 1e12 * chip.utilisation * 3600),
    )


def report(study: Study, machines: Machines, rows: Sequence[PlanRow]) -> str:
    """Return a plan as text: what it is for, three tables, what it assumes and leaves out."""
    recipe, paper = study.train, machines.paper
    chips = parts(Chip, machines.chips, "chips")
    reference = next((row for row in rows if row.option.method == "full"), rows[0])
    costs, notes = _cost_table(rows), _notes(study, machines, rows, reference, chips)
    if study.model.name == paper.model:
        costs.append(_paper_row(paper, chips[paper.chip], reference))
        notes.insert(0, _paper_note(paper, chips[paper.chip], reference))
    steps = recipe.epochs * math.ceil(paper.rows / recipe.batch_rows)
    biases = reference.sizes.parameters - num_parameters(study.model.dimensions)
    lines = [
        f"plan {study.name}: {study.model.name} by the recipe {recipe.name}, "
        f"{recipe.epochs} epochs of {paper.rows:,} rows and {paper.tokens:,} tokens: "
        f"{steps} steps of {recipe.batch_rows} rows",
        f"{reference.sizes.parameters:,} parameters, built on the meta device; "
        f"models.num_parameters leaves out {biases:,} biases",
    ]
    for table in (_memory_table(rows), _temporary_table(rows), costs):
        lines += ["", *_aligned(table)]
    lines.append("")
    for note in notes:
        lines.append(textwrap.fill(note, WIDTH, initial_indent="- ", subsequent_indent="  "))
    return "\n".join(lines)


def _gib(amount: int) -> str:
    return f"{amount / GIB:.1f}"


def _memory_table(rows: Sequence[PlanRow]) -> list[list[str]]:
    header = "GiB per GPU|trained|weights|gradients|AdamW|hidden|temporary|peak|room|fits"
    table = [[*header.split("|"), "longest block"]]
    for row in rows:
        need = row.memory
        table.append(
            [
                row.title,
                f"{row.sizes.trained / 1e9:.2f}B",
                _gib(need.weights),
                _gib(need.gradients),
                _gib(need.optimizer),
                _gib(need.hidden),
                _gib(need.temporary),
                _gib(need.peak),
                _gib(row.limit),
                "yes" if need.peak <= row.limit else "NO",
                f"{row.longest:,}",
            ]
        )
    return table


def _temporary_table(rows: Sequence[PlanRow]) -> list[list[str]]:
    header = "temporary, GiB per GPU|a layer again|weights gathered|gradients reduced|the loss"
    table = [header.split("|")]
    for row in rows:
        need = row.memory
        amounts = (need.layer, need.gathered, need.reducing, need.loss)
        table.append([row.title, *map(_gib, amounts)])
    return table


def _cost_table(rows: Sequence[PlanRow]) -> list[list[str]]:
    header = "the whole run|useful FLOPs|executed|peak TFLOP/s|utilisation|hours|GPU-hours"
    table = [header.split("|")]
    for row in rows:
        table.append(
            [
                row.title,
                f"{row.useful:.2e}",
                f"{row.executed:.2e}",
                f"{row.chip.tflops:g}",
                f"{row.chip.utilisation:.0%}",
                f"{row.hours:.2f}",
                f"{row.hours * row.option.gpus:.1f}",
            ]
        )
    return table


def _share_of_peak(flops: int, paper: Paper, chip: Chip) -> float:
    """Return the share of the peak that so many FLOPs in the paper's time would be."""
    hours = paper.minutes / 60
    return flops / (hours * paper.gpus * 3600 * chip.tflops * 1e12)


def _paper_row(paper: Paper, chip: Chip, reference: PlanRow) -> list[str]:
    hours = paper.minutes / 60
    return [
        f"the paper: {paper.gpus} {chip.title}",
        f"{reference.useful:.2e}",
        f"{reference.executed:.2e}",
        f"{chip.tflops:g}",
        f"{_share_of_peak(reference.executed, paper, chip):.0%}",
        f"{hours:.2f}",
        f"{hours * paper.gpus:.1f}",
    ]


def _paper_note(paper: Paper, chip: Chip, reference: PlanRow) -> str:
    executed = _share_of_peak(reference.executed, paper, chip)
    useful = _share_of_peak(reference.useful, paper, chip)
    return (
        f"the paper's {paper.minutes:g} minutes imply {executed:.1%} of the peak, {useful:.1%} by "
        "useful FLOPs alone, if it trained these weights on these tokens and checkpointed every "
        "layer"
    )


def _notes(
    study: Study,
    machines: Machines,
    rows: Sequence[PlanRow],
    reference: PlanRow,
    chips: Mapping[str, Chip],
) -> list[str]:
    """Return what a plan assumes and leaves out, a paragraph each."""
    recipe, paper, model = study.train, machines.paper, study.model
    logits = 4 * recipe.max_tokens * model.dimensions.vocabulary / GIB
    host = 2 * reference.sizes.parameters / GIB
    notes = [
        f"room: the GPU less {machines.reserve_gib:g} GiB for what is not counted: CUDA context, "
        "NCCL's buffers, fragmentation",
        f"hidden: a state per layer and token of a block of {recipe.max_tokens:,} tokens. "
        "temporary: the most that lives beside it, in a layer's way back or in the loss, "
        f"{recipe.loss_rows:,} rows at once; float32 logits of the block, {logits:.1f} GiB, "
        "never live",
        "peak: with gradients of earlier packs where a GPU may take several of a step's "
        f"{recipe.batch_rows} rows; else they grow while hidden states go. longest block: what "
        f"fits, up to the model's {model.context:,}",
        "useful: forward and back. executed: also what is computed again. "
        "hours = executed / (GPUs x peak x utilisation)",
        "host: every process first reads all weights into its own memory as they lie on disk, "
        f"{host:.0f} GiB in bfloat16",
        "not in the FLOPs: questions and answers (the paper tells thinking tokens only), norms, "
        "AdamW; the scores are those of rows of the mean length, "
        f"{paper.tokens / paper.rows:,.0f} tokens, hence too few",
        "in the utilisation: communication, and waiting for the longest row. "
        "In nothing: loading, saving, queueing",
    ]
    used = {row.option.chip for row in rows}
    notes += [f"{chip.title}: {chip.source}" for key, chip in chips.items() if key in used]
    if any((row.option.method, row.option.weights) == ("full", "bfloat16") for row in rows):
        # From this weight on, half a unit in the last of 8 bits is above the learning rate.
        smallest = 2.0 ** (math.floor(math.log2(recipe.lr) + 8) + 1)
        notes.append(
            f"full in bfloat16 is another recipe: updates of {recipe.lr:g} round away on weights "
            f"of {smallest:.4f} or more"
        )
    return notes


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for title, *cells in table:
        columns = [title.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]
        lines.append("  ".join(columns))
    return lines
