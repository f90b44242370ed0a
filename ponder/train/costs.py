"""What a training run would cost on machines that nobody here has: bytes per GPU, FLOPs, hours (issue 4, "Plan before you pay").

Nothing runs: the network is built on the meta device, the rest is arithmetic. Assumed: FSDP2 with a group per decoder layer and one
for the rest, which stays gathered (the default for a root); layers gathered in bfloat16, gradients reduced in float32; a checkpoint
per layer without re-entry, so that computing it again stops before its last product; a loss in chunks of rows; fused AdamW. One GPU
shards nothing and computes in the type of its weights.
"""

import bisect
import dataclasses
import math
import textwrap
from dataclasses import dataclass

from ponder.config import at_least, build, check_choice
from ponder.errors import UserError
from ponder.models import num_parameters

GIB = 2**30
BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Chip:
    """A GPU: its memory, its dense bf16 peak, and the share of the peak that a run is assumed to reach."""

    title: str
    gib: float
    tflops: float
    utilisation: float
    source: str  # of both


@dataclass(frozen=True)
class Option:
    """One way to train: so many GPUs of a kind, a method, and the type in which weights and AdamW's state are kept."""

    chip: str
    gpus: int
    method: str
    lora_rank: int
    weights: str


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
    """What a plan compares (conf/machines); `chips` and `options` are Chips and Options by name, as mappings."""

    name: str
    reserve_gib: float
    paper: Paper
    chips: dict
    options: dict

    def __post_init__(self):
        at_least(1, "machines.paper", self.paper, "rows", "tokens", "gpus", "minutes")
        chips = parts(Chip, self.chips, "chips")
        check_choice("machines.paper.chip", self.paper.chip, tuple(chips))
        for name, chip in chips.items():
            if not 0 < chip.utilisation <= 1:
                raise UserError(
                    f"machines.chips.{name}.utilisation is {chip.utilisation}, but must be above 0 and at most 1"
                )
        for name, option in parts(Option, self.options, "options").items():
            at_least(1, f"machines.options.{name}", option, "gpus")
            for key, choices in (
                ("chip", tuple(chips)),
                ("weights", tuple(BYTES)),
                ("method", ("full", "lora")),
            ):
                check_choice(f"machines.options.{name}.{key}", getattr(option, key), choices)


def parts(cls, named, where):
    """Return {name: cls} of a mapping of mappings in conf/machines; raises UserError like config.build."""
    return {name: build(cls, part, f"machines.{where}.{name}") for name, part in named.items()}


def network(model, architecture, recipe, weights, device="meta"):
    """Return the network of a Model, its values left to chance, with what `recipe` trains requiring gradients.

    `architecture`: transformers' word for it (qwen2, llama), for Dimensions know no biases. `weights`: their type.
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
        return sft.trainable(
            AutoModelForCausalLM.from_config(shape, dtype=getattr(torch, weights)), model, recipe, 0
        )


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
    unasked: int  # in matrices of the first layer whose input needs no gradient: behind it nothing is trained
    last: int  # of a layer's last matrix
    adapter_bytes: int  # per number in an adapter; 0 without adapters
    ranks: int  # sum of a layer's adapter ranks


def sizes(built):
    """Return the Sizes of a network, on whatever device."""
    weights = list(built.parameters())
    trained = [p for p in weights if p.requires_grad]
    layers = built.get_decoder().layers
    matrices, one = [p for p in layers.parameters() if p.dim() == 2], list(layers[0].parameters())
    inner = [p for p in one if p.dim() == 2]
    head = built.get_output_embeddings().weight
    adapters = (
        [p for p in inner if p.requires_grad] if any(not p.requires_grad for p in inner) else []
    )
    behind = (
        not adapters or built.get_input_embeddings().weight.requires_grad
    )  # without adapters the first norm is trained
    first = (
        ()
        if behind
        else (
            p
            for name, p in layers[0].named_parameters()
            if p.dim() == 2
            and "lora_B" not in name
            and any(part in name for part in ("q_proj", "k_proj", "v_proj"))
        )
    )

    def count(parts):
        return sum(p.numel() for p in parts)

    return Sizes(
        parameters=count(weights),
        trained=count(trained),
        weight_bytes=sum(p.nbytes for p in weights),
        trained_bytes=sum(p.nbytes for p in trained),
        tensors=len(trained),
        layer=count(one),
        layer_trained=count(p for p in one if p.requires_grad),
        head_trained=head.numel() if head.requires_grad else 0,
        products=count(matrices),
        products_trained=count(p for p in matrices if p.requires_grad),
        unasked=count(first),
        last=inner[-1].numel(),
        adapter_bytes=adapters[0].element_size() if adapters else 0,
        ranks=sum(min(p.shape) for p in adapters) // 2,
    )


def saved_bytes(d, s, compute, adapter):
    """Return the bytes per token that autograd keeps of one decoder layer on the way back, the layer's own input left out.

    Counted in transformers 5, its attention keeping no scores. `compute` and `adapter` (0: none) are bytes per number.
    """
    kv = d.hidden * d.kv_heads // d.heads
    norms = (
        4 if compute == 4 else 8
    ) * d.hidden + 8  # the sum before the second; in bfloat16 a float32 copy for each
    attention = (
        compute * (2 * d.hidden + 2 * kv) + 4 * d.heads
    )  # query, key, value, output, and log-sums in float32
    if not adapter:
        return norms + attention + compute * (5 * d.hidden + 4 * d.intermediate)
    inputs = (
        3 if adapter == compute else 6
    ) * d.hidden + d.intermediate  # an adapter of another type keeps its own copy
    return norms + attention + 3 * compute * d.intermediate + adapter * (inputs + s.ranks)


@dataclass(frozen=True)
class Memory:
    """Bytes per GPU. From `hidden` on they live for a part of a step only; `peak` is the most that lives at one moment."""

    weights: int
    gradients: int
    optimizer: int
    hidden: int  # checkpoints: one hidden state per layer and token
    layer: int  # one layer computed again, on its way back
    gathered: (
        int  # weights put together from all GPUs: this layer, the next one, and what no layer holds
    )
    reducing: int  # gradients on their way to all GPUs: the head's, a matrix of this layer, all of the layer before
    loss: int  # a chunk of the loss, and the last hidden states
    temporary: int  # the largest working set beside the first four: a layer's way back, the loss, or the last reduction
    peak: int


def memory(d, s, gpus, compute, tokens, loss_rows, accumulates):
    """Return the Memory of a step on at most `tokens` tokens per GPU at once; `compute` is bytes per number in a layer.

    `accumulates`: gradients of earlier rows are there while later rows go through; else they come as hidden states go.
    """
    weights, gradients, moments = (
        -(-size // gpus) for size in (s.weight_bytes, s.trained_bytes, 2 * s.trained_bytes)
    )
    row = compute * d.hidden * tokens
    adapter = (
        compute if gpus > 1 and s.adapter_bytes else s.adapter_bytes
    )  # gathered in the type of the layer
    passing = (
        2 * compute * d.intermediate * tokens + (2 if adapter in (0, compute) else 6) * row
    )  # gradients of activations
    layer = saved_bytes(d, s, compute, adapter) * tokens + passing
    ends = 5 * row + (
        4 * d.hidden * tokens if compute < 4 else 0
    )  # the last norm, its output, the rows with loss, a gradient
    logit = (
        4 if compute == 4 else 4 + compute
    )  # one float32 copy of a chunk, and what it is multiplied in
    loss = logit * min(loss_rows, tokens) * d.vocabulary + ends
    rest, rest_trained = s.parameters - d.layers * s.layer, s.trained - d.layers * s.layer_trained
    head, last = (
        compute * s.head_trained,
        compute * (0 if adapter else s.last),
    )  # their gradients, when a layer's way back begins
    whole = compute if gpus > 1 else 0  # per number in weights and gradients put together
    gathered, reducing = (
        whole * (rest + 2 * s.layer),
        (4 * s.layer_trained + head + last if whole else 0),
    )
    ending = whole * rest + (whole + 4 if whole else 0) * rest_trained
    back, at_loss = (
        layer + gathered + reducing,
        loss + (logit if head else 0) * s.head_trained + whole * rest,
    )
    hidden, earlier = d.layers * row, gradients if accumulates else 0
    others = (
        gradients - gradients * s.layer_trained // s.trained + (0 if whole else last)
    )  # the first layer's come at the end
    most = max(
        hidden + earlier + at_loss,
        hidden + max(earlier, 0 if whole else head + last) + back,
        gradients + ending,
        row + max(earlier, others) + back,
    )
    optimizer = moments + 4 * s.tensors  # and a count of steps per tensor
    return Memory(
        weights,
        gradients,
        optimizer,
        hidden,
        layer,
        gathered,
        reducing,
        loss,
        max(back, at_loss, ending),
        weights + optimizer + most,
    )


def flops(d, s, tokens, loss_tokens, pairs, recompute):
    """Return (useful, executed) FLOPs of going forward and back over tokens; a multiplication and an addition are two.

    useful: matrix products forward once and back twice (frozen ones once, where the layer before needs it), the head on loss
    tokens only, scores of the `pairs` of tokens that see each other. executed: also what flash attention's way back computes
    again, and with `recompute` a checkpoint per layer, which asks for a gradient of the first layer's input whoever needs it.
    Look-ups, norms and the optimizer are left out.
    """
    products = 2 * tokens * s.products
    scores = 4 * pairs * d.hidden * d.layers
    head = 2 * loss_tokens * d.vocabulary * d.hidden
    useful = (
        2 * products
        + 2 * tokens * (s.products_trained - s.unasked)
        + 3 * scores
        + (3 if s.head_trained else 2) * head
    )
    again = products - 2 * tokens * (d.layers * s.last - s.unasked) + scores if recompute else 0
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


def plan(study, machines, architecture):
    """Return a PlanRow for every option of `machines`: study.model trained by study.train on what the paper trained on.

    The method of an option replaces that of the recipe. Takes seconds, most of them imports. Raises UserError for a recipe of
    another kind than the arithmetic here is of.
    """
    d, recipe, paper = study.model.dimensions, study.train, machines.paper
    if recipe.compute != "bfloat16" or not recipe.recompute:
        raise UserError(
            "plan=true counts what computes in bfloat16 and computes layers again, but "
            f"train={recipe.name} has train.compute={recipe.compute} and train.recompute="
            f"{str(recipe.recompute).lower()}; give both, or take train=s1"
        )
    tokens, mean = paper.tokens * recipe.epochs, paper.tokens / paper.rows
    rows = []
    for name, option in parts(Option, machines.options, "options").items():
        chip = parts(Chip, machines.chips, "chips")[option.chip]
        own = dataclasses.replace(
            recipe,
            method=option.method,
            lora_rank=option.lora_rank,
            lora_alpha=2 * option.lora_rank,
        )
        s = sizes(network(study.model, architecture, own, option.weights))

        def need(block, s=s, option=option):
            compute = 2 if option.gpus > 1 else BYTES[option.weights]
            return memory(
                d, s, option.gpus, compute, block, recipe.loss_rows, recipe.batch_rows > option.gpus
            )

        limit = int((chip.gib - machines.reserve_gib) * GIB)
        longest = bisect.bisect_right(
            range(1, study.model.context + 1), limit, key=lambda block, need=need: need(block).peak
        )
        useful, executed = flops(
            d, s, tokens, tokens, round(tokens * (mean + 1) / 2), recompute=True
        )
        hours = executed / (option.gpus * chip.tflops * 1e12 * chip.utilisation * 3600)
        title = f"{option.gpus} {chip.title} {'LoRA %d' % option.lora_rank if s.adapter_bytes else 'full'}, {option.weights}"
        rows.append(
            PlanRow(
                name,
                title,
                option,
                chip,
                s,
                need(recipe.max_tokens),
                limit,
                longest,
                useful,
                executed,
                hours,
            )
        )
    return rows


NOTES = """room: the GPU less {machines.reserve_gib:g} GiB for what is not counted: CUDA context, NCCL's buffers, fragmentation
- hidden: a state per layer and token of a block of {recipe.max_tokens:,} tokens. temporary: the most that lives beside it, in a
layer's way back or in the loss, {recipe.loss_rows:,} rows at once; float32 logits of the block, {logits:.1f} GiB, never live
- peak: with gradients of earlier packs where a GPU may take several of a step's {recipe.batch_rows} rows; else they grow while
hidden states go. longest block: what fits, up to the model's {model.context:,}
- useful: forward and back. executed: also what is computed again. hours = executed / (GPUs x peak x utilisation)
- host: every process first reads all weights into its own memory as they lie on disk, {host:.0f} GiB in bfloat16
- not in the FLOPs: questions and answers (the paper tells thinking tokens only), norms, AdamW; the scores are those of rows of the
mean length, {mean:,.0f} tokens, hence too few
- in the utilisation: communication, and waiting for the longest row. In nothing: loading, saving, queueing"""


def report(study, machines, rows):
    """Return a plan as text: what it is for, three tables, and what it assumes and leaves out."""
    recipe, paper, chips = study.train, machines.paper, parts(Chip, machines.chips, "chips")
    whole = next((row for row in rows if row.option.method == "full"), rows[0])
    fit = [
        "GiB per GPU|trained|weights|gradients|AdamW|hidden|temporary|peak|room|fits|longest block".split(
            "|"
        )
    ]
    temporary = [
        "temporary, GiB per GPU|a layer again|weights gathered|gradients reduced|the loss".split(
            "|"
        )
    ]
    cost = [
        "the whole run|useful FLOPs|executed|peak TFLOP/s|utilisation|hours|GPU-hours".split("|")
    ]
    for row in rows:
        weights, gradients, optimizer, hidden, *parts_of, largest, peak, room = (
            f"{amount / GIB:.1f}" for amount in (*vars(row.memory).values(), row.limit)
        )
        fit.append(
            [
                row.title,
                f"{row.sizes.trained / 1e9:.2f}B",
                weights,
                gradients,
                optimizer,
                hidden,
                largest,
                peak,
                room,
                "yes" if row.memory.peak <= row.limit else "NO",
                f"{row.longest:,}",
            ]
        )
        temporary.append([row.title, *parts_of])
        cost.append(
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
    notes = NOTES.format(
        machines=machines,
        recipe=recipe,
        model=study.model,
        mean=paper.tokens / paper.rows,
        host=2 * whole.sizes.parameters / GIB,
        logits=4 * recipe.max_tokens * study.model.dimensions.vocabulary / GIB,
    ).split("\n- ")
    notes += [
        f"{chip.title}: {chip.source}"
        for key, chip in chips.items()
        if any(row.option.chip == key for row in rows)
    ]
    if any((row.option.method, row.option.weights) == ("full", "bfloat16") for row in rows):
        lost = 2.0 ** (
            math.floor(math.log2(recipe.lr) + 8) + 1
        )  # from here on half a unit in the last of 8 bits is above lr
        notes.append(
            f"full in bfloat16 is another recipe: updates of {recipe.lr:g} round away on weights of {lost:.4f} or more"
        )
    if study.model.name == paper.model:
        chip, hours = chips[paper.chip], paper.minutes / 60
        useful, executed = (
            done / (hours * paper.gpus * 3600 * chip.tflops * 1e12)
            for done in (whole.useful, whole.executed)
        )
        cost.append(
            [
                f"the paper: {paper.gpus} {chip.title}",
                *cost[1 + rows.index(whole)][1:3],
                f"{chip.tflops:g}",
                f"{executed:.0%}",
                f"{hours:.2f}",
                f"{hours * paper.gpus:.1f}",
            ]
        )
        notes.insert(
            0,
            f"the paper's {paper.minutes:g} minutes imply {executed:.1%} of the peak, {useful:.1%} by useful FLOPs "
            "alone, if it trained these weights on these tokens and checkpointed every layer",
        )
    return "\n".join(
        [
            f"plan {study.name}: {study.model.name} by the recipe {recipe.name}, {recipe.epochs} epochs of {paper.rows:,} rows and "
            f"{paper.tokens:,} tokens: {recipe.epochs * math.ceil(paper.rows / recipe.batch_rows)} steps of {recipe.batch_rows} rows",
            f"{whole.sizes.parameters:,} parameters, built on the meta device; models.num_parameters leaves out "
            f"{whole.sizes.parameters - num_parameters(study.model.dimensions):,} biases",
            *(line for table in (fit, temporary, cost) for line in ("", *_table(table))),
            "",
            *(
                textwrap.fill(note, 130, initial_indent="- ", subsequent_indent="  ")
                for note in notes
            ),
        ]
    )


def _table(cells):
    """Return the lines of a table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells
    ]
