"""Converts adapters of experts between two layouts: one pair per expert and projection, as the checkpoints name them,
and the pairs of fused parameters that peft makes of them on transformers 5.

A fused parameter has its experts' factors in one: `experts.base_layer.lora_A` (E R, D) and `lora_B` (2 F, R E) are
those of gate_up_proj, `experts.lora_A` (E R, F) and `lora_B` (D, R E) those of down_proj. Made from pairs, gate_up's
R is twice theirs and each expert's B is block diagonal: gate's rows read the first half of R, up's the second.
"""

import re

import torch

FUSED = re.compile(r"(.*\.)(mlp)(\.experts\.)(base_layer\.)?lora_([AB])\.weight$")
BLOCKS = {"w1": "block_sparse_moe"}  # name of `mlp` in the files of a family


def expert_factor(tensor, factor, num_experts, expert):
    """(R, in) or (out, R) of one expert."""
    if factor == "A":
        return tensor.reshape(num_experts, -1, tensor.shape[-1])[expert]
    return tensor.reshape(tensor.shape[0], -1, num_experts)[:, :, expert]


def split_fused(state, num_experts, names):
    """Tensors under peft's keys: of fused block-diagonal pairs, one tensor per expert and projection; others as they are.
    names: those of gate, up and down of an expert in the files. For factors and their gradients."""
    result = {}
    for key, tensor in state.items():
        match = FUSED.match(key)
        if match is None:
            result[key] = tensor
            continue
        prefix, block, experts, gate_up, factor = match.groups()
        block = BLOCKS.get(names[0], block)
        for expert in range(num_experts):
            one = expert_factor(tensor, factor, num_experts, expert)
            rank, out = (one.shape[0], None) if factor == "A" else (one.shape[1], one.shape[0])
            put = lambda name, part: result.__setitem__(
                f"{prefix}{block}{experts}{expert}.{name}.lora_{factor}.weight", part.contiguous())
            if not gate_up:
                put(names[2], one)
            elif factor == "A":
                put(names[0], one[: rank // 2])
                put(names[1], one[rank // 2 :])
            else:
                put(names[0], one[: out // 2, : rank // 2])
                put(names[1], one[out // 2 :, rank // 2 :])
    return result


def split_fused_weight(name, weight, names):
    """A base parameter (E, out, in) or its gradient as [(file's name, tensor)] of every expert."""
    match = re.match(r"(.*\.)mlp\.experts\.(gate_up_proj|down_proj)$", name)
    if match is None:
        block = BLOCKS.get(names[0] if names else "", "mlp")
        return [(name.replace(".mlp.gate.", f".{block}.gate."), weight)]
    prefix = f"{match[1]}{BLOCKS.get(names[0], 'mlp')}.experts."
    parts = []
    for expert, one in enumerate(weight):
        if match[2] == "down_proj":
            parts.append((f"{prefix}{expert}.{names[2]}.weight", one))
        else:
            half = one.shape[0] // 2
            parts.append((f"{prefix}{expert}.{names[0]}.weight", one[:half]))
            parts.append((f"{prefix}{expert}.{names[1]}.weight", one[half:]))
    return parts


def keep_block_diagonal(model, num_experts):
    """From now on no gradient reaches the blocks of gate_up's B that stand for nothing in the pairs."""
    for name, parameter in model.named_parameters():
        if ".experts.base_layer.lora_B." not in name or not parameter.requires_grad:
            continue
        mask = torch.zeros_like(parameter)
        blocks = mask.reshape(mask.shape[0], -1, num_experts)  # a view
        out, rank = blocks.shape[0] // 2, blocks.shape[1] // 2
        blocks[:out, :rank] = 1
        blocks[out:, rank:] = 1
        parameter.register_hook(lambda gradient, mask=mask: gradient * mask)
