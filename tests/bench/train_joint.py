"""What a LoRA step would gain if layers of one input were one product.

    # twelve steps of the main arm in each form; two to three minutes
    PYTHONPATH=tests python tests/bench/train_joint.py

The rows and the recipe are those of `experiment=cpu`, in float32. Each turn is one step of each
form in one process on the same rows, each on the weights that the one before left, in the other
order every second time, so that a busy machine slows all. It prints the ratio of the seconds of a
plain step to those of each form, median and quartiles over the turns, and the loss and the norm of
the gradient on one step of the same weights. No goal: decision 0060 says why train.py does without
it.

    plain     peft's layers, as train.py trains them
    alone     each layer and its adapter in one function: the adapter's product is added to the
              layer's in place, nothing is kept but the input and the adapter's inner product
    joint     the same, and query, key and value read their input in one product, gate and up too
    norms     joint, and root mean squares and gates as one function each
"""

import argparse
import statistics
import tempfile
import time
import types
from pathlib import Path

import torch
from bench.train_speed import batches_of, loaded, rows_at

JOINED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
WARM = 1  # turns that do not count
LORA = ("train.method=lora", "train.lr=1e-3", "train.batch_rows=4", "train.max_tokens=1024")


class Joint(torch.autograd.Function):
    """LoRA layers that read one input, without biases: y_i = x W_i^T + scale (x A_i^T) B_i^T."""

    @staticmethod
    def forward(ctx, x, weight, scale, sizes, *adapters):
        """Return the outputs of the layers; `weight` is theirs end to end, `adapters` all A, then
        all B. `weight` has no gradient.
        """
        flat, count = x.reshape(-1, x.shape[-1]), len(sizes)
        down, ups = torch.cat(adapters[:count]), adapters[count:]
        inner, out = flat @ down.T, flat @ weight.T
        for y, h, up in zip(out.split(sizes, 1), inner.chunk(count, 1), ups):
            y.addmm_(h, up.T, alpha=scale)
        ctx.save_for_backward(flat, inner, weight, down, *ups)
        ctx.scale, ctx.sizes, ctx.shape = scale, sizes, x.shape
        return tuple(y.unflatten(0, x.shape[:-1]) for y in out.split(sizes, 1))

    @staticmethod
    def backward(ctx, *d_outs):
        """Return the gradients of x and of the adapters."""
        flat, inner, weight, down, *ups = ctx.saved_tensors
        d_outs = [d.reshape(-1, d.shape[-1]) for d in d_outs]
        d_inner = torch.cat([d @ up for d, up in zip(d_outs, ups)], 1).mul_(ctx.scale)
        inners = inner.chunk(len(ups), 1)
        d_ups = [(d.T @ h).mul_(ctx.scale) for d, h in zip(d_outs, inners)]
        d_flat = d_inner @ down
        for d, part in zip(d_outs, weight.split(ctx.sizes)):
            d_flat.addmm_(d, part)
        d_downs = (d_inner.T @ flat).chunk(len(ups))
        return (d_flat.view(ctx.shape), None, None, None, *d_downs, *d_ups)


class Norm(torch.autograd.Function):
    """y = weight x / sqrt(mean(x^2) + eps), the weight without a gradient."""

    @staticmethod
    def forward(ctx, x, weight, eps):
        """Return y."""
        scale = (torch.linalg.vecdot(x, x) / x.shape[-1] + eps).rsqrt().unsqueeze(-1)
        ctx.save_for_backward(x, scale, weight)
        return (x * scale).mul_(weight)

    @staticmethod
    def backward(ctx, d_y):
        """Return the gradient of x."""
        x, scale, weight = ctx.saved_tensors
        d_x = d_y * weight
        along = torch.linalg.vecdot(d_x, x).unsqueeze(-1) * scale.pow(3) / -x.shape[-1]
        return d_x.mul_(scale).addcmul_(x, along), None, None


class Gate(torch.autograd.Function):
    """y = silu(gate) up."""

    @staticmethod
    def forward(ctx, gate, up):
        """Return y."""
        ctx.save_for_backward(gate, up)
        return torch.nn.functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx, d_y):
        """Return the gradients of gate and up."""
        gate, up = ctx.saved_tensors
        d_up = torch.nn.functional.silu(gate).mul_(d_y)
        return torch.ops.aten.silu_backward(d_y * up, gate), d_up


def joined(layers):
    """Return a forward method for each of some LoRA layers that read the same input."""
    weight = torch.cat([layer.base_layer.weight.data for layer in layers])
    sizes = [layer.base_layer.out_features for layer in layers]
    made = {}  # the outputs for an input, until the last layer has taken its own

    def forward_of(index):
        def forward(self, x):
            if made.get("x") is not x:
                adapters = [layer.lora_A["default"].weight for layer in layers]
                adapters += [layer.lora_B["default"].weight for layer in layers]
                scale = self.scaling["default"]
                made.update(x=x, outputs=Joint.apply(x, weight, scale, sizes, *adapters))
            output = made["outputs"][index]
            if index == len(layers) - 1:
                made.clear()
            return output

        return forward

    return [(layer, forward_of(index)) for index, layer in enumerate(layers)]


def forms(network):
    """Return {form: [(module, its forward method)]}; `plain` has none of its own."""
    found = {"plain": [], "alone": [], "joint": [], "norms": []}
    together = set()
    for module in network.modules():
        for names in JOINED:
            if all(hasattr(module, name) for name in names):
                layers = [getattr(module, name) for name in names]
                found["joint"] += joined(layers)
                together |= set(layers)
        if type(module).__name__.endswith("RMSNorm"):
            norm = lambda self, x: Norm.apply(x, self.weight, self.variance_epsilon)  # noqa: E731
            found["norms"].append((module, norm))
        if hasattr(module, "gate_proj") and hasattr(module, "down_proj"):
            gated = lambda self, x: self.down_proj(  # noqa: E731
                Gate.apply(self.gate_proj(x), self.up_proj(x))
            )
            found["norms"].append((module, gated))
    for layer in [module for module in network.modules() if hasattr(module, "lora_A")]:
        found["alone"] += joined([layer])
        found["joint"] += joined([layer]) if layer not in together else []
    found["norms"] += found["joint"]
    return found


def take(network, form):
    """Let a network compute in one of its forms."""
    for module in network.modules():
        module.__dict__.pop("forward", None)
    for module, forward in form:
        module.forward = types.MethodType(forward, module)


def stepper(plan):
    """Return (network, step): step(i, moves) makes step i, and without `moves` changes no weight;
    it returns (loss, norm of the gradient, seconds).
    """
    from ponder.train import memory, packing, sft

    torch.set_num_threads(plan.hardware.threads)
    memory.keep_freed_memory()
    rows, network, _ = loaded(plan)
    network.set_attn_implementation(packing.ATTENTION)
    network = sft.trainable(network, plan.model, plan.train, seed=0)
    objective = packing.Objective(network, plan.train.loss_rows)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=plan.train.lr, fused=True)
    batches = batches_of(plan, rows)[0]

    def step(index, moves=True):
        began = time.perf_counter()
        batch = [rows[r] for r in batches[index]]
        packed = packing.pack([(row["ids"], row["loss"]) for row in batch])
        loss = objective(packed) / sft.count_tokens(batch)[1]
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(weights, plan.train.clip)
        if moves:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item(), norm.item(), time.perf_counter() - began

    return network, step


def measured(plan, turns):
    """Return ({form: (loss, norm) of one step of the same weights}, {form: seconds of each})."""
    network, step = stepper(plan)
    ways, found, seconds = forms(network), {}, {}
    step(0)  # adapters begin at zero
    for form, way in ways.items():
        take(network, way)
        found[form], seconds[form] = step(1, moves=False)[:2], []
    for index in range(2, 2 + WARM + turns):
        for form in list(ways)[:: 1 if index % 2 else -1]:
            take(network, ways[form])
            seconds[form].append(step(index)[2])
    return found, {form: times[WARM:] for form, times in seconds.items()}


def main():
    """Print how the forms compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=12, help="steps of each form that count")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plan = rows_at(Path(folder), "cpu", *LORA)
        found, seconds = measured(plan, asked.turns)
    print(f"{'':<8}{'loss':>12}{'gradient':>12}{'seconds':>9}{'ratio':>7}{'quartiles':>13}")
    for form, times in seconds.items():
        ratios = [plain / own for plain, own in zip(seconds["plain"], times)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(
            f"{form:<8}{found[form][0]:12.7f}{found[form][1]:12.7f}{statistics.median(times):9.3f}"
            f"{middle:7.2f}{low:7.2f}{high:6.2f}"
        )


if __name__ == "__main__":
    main()
