"""For which models the loss of packed rows and the engine `hf` are exactly those of transformers.

Both bring their own attention (ponder/train/packing.py, ponder/decode/attention.py), which is plain
causal attention, and the loss multiplies by the output head itself. What a model does beyond that
would be left out in silence and another model trained: so it is refused, by its config.
tests/test_architectures.py compares every architecture of EXACT with transformers.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ponder.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

# transformers' words (model_type) for those that were compared; experts, state spaces, a bias or a
# scale of the logits are in none of them.
EXACT = (
    "gemma",
    "glm4",
    "gpt_neox",
    "llama",
    "mistral",
    "olmo",
    "olmo2",
    "olmo3",
    "phi3",
    "qwen2",
    "qwen3",
    "smollm3",
    "starcoder2",
)
OTHER = f"take a model of one of these architectures: {', '.join(EXACT)}"
FIXED_ROPE = ("default", "linear", "llama3", "yarn")  # the same at every length of the text
PLAIN_LAYERS = ("full_attention", "sliding_attention")


def check_name(name: str, architecture: str) -> None:
    """Raise UserError unless an architecture, as conf/model names it, is one of EXACT."""
    if architecture not in EXACT:
        raise UserError(
            f"model.architecture={architecture} of model {name} is none that was compared with "
            f"transformers here, and a wrong loss would not show; {OTHER}"
        )


def check(config: "PreTrainedConfig", name: str, context: int) -> None:
    """Raise UserError for a model that is not computed exactly; `context` is model.context."""
    if reason := inexact(config, context):
        raise UserError(f"model {name} cannot be computed exactly here: {reason}")


def check_context(config: "PreTrainedConfig", name: str, context: int) -> None:
    """Raise UserError for a model.context above the positions that a model was made for.

    Where its config scales the positions, how far they reach is left to whoever set that.
    """
    text: Any = config.get_text_config()
    most = getattr(text, "max_position_embeddings", None)
    scaled = any(rope.get("rope_type", "default") != "default" for rope in _ropes(text))
    if most is not None and context > most and not scaled:
        raise UserError(
            f"model.context is {context}, but model {name} has {most} positions "
            f"(max_position_embeddings); set model.context={most} or less"
        )


def inexact(config: "PreTrainedConfig", context: int) -> str | None:
    """Return why texts of `context` tokens are not computed exactly, with the way out, or None.

    Decides for training and the engine `hf` alike, from what transformers reads of a model's
    config.json.
    """
    return next(_differences(config, context), None)


def _differences(config: Any, context: int) -> Iterator[str]:
    for key in ("attn_logit_softcapping", "attn_logits_soft_cap", "final_logit_softcapping"):
        if value := getattr(config, key, None):
            yield f"{key}={value} caps its scores, which is not done here; {OTHER}"
    for key in ("logit_scale", "logits_scaling"):
        if (value := getattr(config, key, None)) not in (None, 1.0):
            yield f"{key}={value} scales its logits, which is not done here; {OTHER}"
    if getattr(config, "alibi", False):
        yield f"ALiBi adds distances to its scores, which is not done here; {OTHER}"
    both_ways = getattr(config, "use_bidirectional_attention", None)
    if both_ways or getattr(config, "is_causal", True) is False:
        yield f"its attention sees later tokens too, which is not computed here; {OTHER}"
    if config.model_type not in EXACT:
        yield (
            f"its architecture {config.model_type} is none that was compared with transformers; "
            f"{OTHER}"
        )
    yield from _differences_of_attention(config, context)


def _differences_of_attention(config: Any, context: int) -> Iterator[str]:
    """Yield what attention does beyond plain causal attention over `context` tokens."""
    window = getattr(config, "sliding_window", None)
    layers = getattr(config, "layer_types", None) or ["sliding_attention"]
    for layer in sorted(set(layers) - set(PLAIN_LAYERS)):
        yield f"it has layers of {layer}, which are not computed here; {OTHER}"
    if window is not None and "sliding_attention" in layers and window < context:
        yield (
            f"its attention sees the last {window} tokens (sliding_window), which is less than "
            f"model.context={context} and not computed here; set model.context={window} or less, "
            "or take another model"
        )
    if dropout := getattr(config, "attention_dropout", 0):
        yield (
            f"attention_dropout={dropout} drops scores in training, which is not done here; set it "
            "to 0 in the model's config.json, or take another model"
        )
    for rope in _ropes(config):
        kind = rope.get("rope_type", "default")
        fixed_up_to = rope.get("original_max_position_embeddings") or config.max_position_embeddings
        if kind not in FIXED_ROPE and fixed_up_to < context:
            yield (
                f"its positions (rope_type={kind}) turn with the length of the text above "
                f"{fixed_up_to} tokens, and packed rows have several lengths; set "
                f"model.context={fixed_up_to} or less, or take another model"
            )


def _ropes(config: Any) -> list[dict[str, Any]]:
    """Return the parameters of rotary positions, of each kind of layer where kinds have their own.

    A model without any has none.
    """
    parameters = getattr(config, "rope_parameters", None) or {}
    nested = [value for value in parameters.values() if isinstance(value, dict)]
    return nested or [parameters]


def check_call(
    longest: int, sliding_window: int | None, softcap: float | None, s_aux: Any, dropout: float
) -> None:
    """Raise UserError for what transformers asks of an attention and ours does not compute.

    `longest` is the number of tokens of the longest text. It is the same rule at the call itself,
    for a model that `check` has not seen.
    """
    window = sliding_window is not None and sliding_window < longest
    if window or softcap is not None or s_aux is not None or dropout:
        raise UserError(
            f"attention with sliding_window={sliding_window}, softcap={softcap}, "
            f"sinks={s_aux is not None}, dropout={dropout} over {longest} tokens is not computed "
            f"here; {OTHER}"
        )
