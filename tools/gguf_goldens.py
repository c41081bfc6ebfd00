#!/usr/bin/env python3
"""Writes tests/golden/gguf/: small GGUF files and the values that the `gguf` package reads from them.

types.gguf        metadata of every type; for each tensor type T a tensor "T" and its f32 values "T.expected"
iq_types.gguf     the same for the IQ and TQ types and MXFP4
tiny_<arch>.gguf  a whole tiny model of each architecture, with mixed tensor types
tiny_<arch>.safetensors  the same weights in Hugging Face's names and row order, as f32
split/            tiny_qwen3moe.gguf in three parts, the first without tensors, as gguf-split --no-tensor-first-split

The q and k of llama, smollm3 and mistral3 are permuted as llama.cpp's converter does it before they are quantised; the
expected values are quantised and dequantised without any permutation, so that the test covers undoing it. Norms of
gemma, gemma2 and gemma3 hold 1 + w, as the converter writes them.

Usage: tools/gguf_goldens.py   (needs numpy, gguf, safetensors; made with gguf 0.19.0)
"""

import copy
import math
import pathlib
import tempfile

import gguf
import numpy as np
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "gguf"
Q = gguf.GGMLQuantizationType
QUANTISABLE = [Q.F32, Q.F16, Q.BF16, Q.Q8_0, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1]
K_TYPES = [Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K]
# Byte offsets of the f16 scales in a K block; every other byte may have any value.
K_SCALES = {Q.Q2_K: (80, 82), Q.Q3_K: (108,), Q.Q4_K: (0, 2), Q.Q5_K: (0, 2), Q.Q6_K: (208,)}
# Likewise of the IQ and TQ types. IQ1_M has its scale in the high nibbles of the last four words, MXFP4 an exponent.
IQ_SCALES = {Q.IQ2_XXS: (0,), Q.IQ2_XS: (0,), Q.IQ2_S: (0,), Q.IQ3_XXS: (0,), Q.IQ3_S: (0,), Q.IQ1_S: (0,), Q.IQ1_M: (),
             Q.IQ4_NL: (0,), Q.IQ4_XS: (0,), Q.MXFP4: (), Q.TQ1_0: (52,), Q.TQ2_0: (64,)}

# Architectures whose projections share a matrix.
FUSED_QKV, FUSED_MLP = ("phi3",), ("phi3", "glm4")
LAYER_NORMS, NORM_BIASES = ("starcoder2", "stablelm", "cohere2"), ("starcoder2", "stablelm")
ROTATED = {"glm4": 2, "stablelm": 4}  # a half and a quarter of each head

rng = np.random.default_rng(20)


def random_k_blocks(qtype, rows, blocks):
    """Rows of random blocks: the gguf package cannot quantise these, and any bits are a valid block."""
    size = gguf.GGML_QUANT_SIZES[qtype][1]
    data = rng.integers(0, 256, (rows, blocks, size), dtype=np.uint8)
    for offset in (K_SCALES | IQ_SCALES)[qtype]:
        scale = rng.normal(0, 0.05, (rows, blocks, 1)).astype(np.float16)
        data[:, :, offset : offset + 2] = scale.view(np.uint8)
    if qtype == Q.IQ1_M:
        scale = rng.normal(0, 0.05, (rows, blocks, 1)).astype(np.float16).view(np.uint16)
        words = data[:, :, 48:].copy().view(np.uint16)
        words = (words & 0x0FFF) | ((scale >> np.array([0, 4, 8, 12], dtype=np.uint16)) & 15) << 12
        data[:, :, 48:] = words.astype(np.uint16).view(np.uint8)
    if qtype == Q.MXFP4:
        data[:, :, 0] = rng.integers(115, 130, (rows, blocks))
        data[0, 0, 0], data[0, 1, 0], data[1, 0, 0] = 0, 1, 254  # the smallest scales and the largest
    return data.reshape(rows, blocks * size)


def write_iq_types():
    writer = gguf.GGUFWriter(OUT / "iq_types.gguf", "none")
    for qtype in IQ_SCALES:
        add_with_expected(writer, qtype, random_k_blocks(qtype, 2, 3))
    finish(writer)


def write_types():
    writer = gguf.GGUFWriter(OUT / "types.gguf", "none")
    writer.add_uint8("test.u8", 200)
    writer.add_int8("test.i8", -100)
    writer.add_uint16("test.u16", 60000)
    writer.add_int16("test.i16", -30000)
    writer.add_uint32("test.u32", 4_000_000_000)
    writer.add_int32("test.i32", -2_000_000_000)
    writer.add_float32("test.f32", 1.5)
    writer.add_bool("test.bool", True)
    writer.add_string("test.string", "naïve ✓")
    writer.add_uint64("test.u64", 2**63 + 5)
    writer.add_int64("test.i64", -(2**62))
    writer.add_float64("test.f64", math.pi)
    writer.add_array("test.strings", ["a", "", "ü"])
    writer.add_array("test.ints", [3, -1, 4])
    writer.add_array("test.floats", [0.5, -2.25])
    for qtype in QUANTISABLE:
        data = quantize(rng.normal(0, 1, (3, 64)).astype(np.float32), qtype)
        add_with_expected(writer, qtype, data)
    for qtype in K_TYPES:
        add_with_expected(writer, qtype, random_k_blocks(qtype, 2, 2))
    finish(writer)


def add_with_expected(writer, qtype, data):
    name = qtype.name.lower()
    writer.add_tensor(name, data, raw_dtype=qtype)
    writer.add_tensor(f"{name}.expected", dequantize(data, qtype).astype(np.float32))


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def permute(weights, heads):
    """convert_hf_to_gguf.py's LlamaModel.permute: the halves of every head, interleaved."""
    halves = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return halves.swapaxes(1, 2).reshape(weights.shape)


def llama3_divisors(head_dim, theta, factor, low, high, context):
    """The rope_freqs tensor as convert_hf_to_gguf.py computes it."""
    divisors = []
    for frequency in 1.0 / theta ** (np.arange(0, head_dim, 2, dtype=np.float32) / head_dim):
        wavelength = 2 * math.pi / frequency
        if wavelength < context / high:
            divisors.append(1)
        elif wavelength > context / low:
            divisors.append(factor)
        else:
            smooth = (context / wavelength - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(divisors, dtype=np.float32)


def write_phi3_rope(writer, head_dim):
    """As conversion of Phi-4-mini writes it: no type of scaling, lists as tensors; three quarters of a head."""
    rotary = head_dim * 3 // 4
    writer.add_rope_dimension_count(rotary)
    writer.add_rope_scaling_orig_ctx_len(4096)
    writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(32) / math.log(4096)))
    writer.add_sliding_window(262144)
    for length, step in (("long", 4.0), ("short", 0.25)):
        factors = 1 + step * np.arange(rotary // 2, dtype=np.float32)
        writer.add_tensor(f"rope_factors_{length}.weight", factors)


def write_family_metadata(writer, name):
    """Keys of single families, as their converters write them."""
    if name == "olmo3":
        writer.add_sliding_window(512)
        writer.add_sliding_window_pattern([True])
    if name == "exaone4":
        writer.add_sliding_window(256)
        writer.add_sliding_window_pattern([False])
    if name == "granite":
        writer.add_attention_scale(0.015625)
        writer.add_embedding_scale(12.0)
        writer.add_residual_scale(0.22)
        writer.add_logit_scale(8.0)
    if name in MOE:
        writer.add_expert_count(3)
        writer.add_expert_used_count(2)
    if name == "qwen2moe":
        writer.add_expert_feed_forward_length(32)
        writer.add_expert_shared_feed_forward_length(64)


def add_experts(add, writer, expected, blk, hf, hidden, inner, shared):
    """Router, stacked experts, and with `shared` a shared expert whose gate is a vector in the file."""
    add(blk + "ffn_gate_inp.weight", hf + "mlp.gate.weight", (3, hidden))
    for name, rows, cols in (("gate", inner, hidden), ("up", inner, hidden), ("down", hidden, inner)):
        data = quantize(rng.normal(0, 1, (3, rows, cols)).astype(np.float32), Q.Q8_0)
        writer.add_tensor(blk + f"ffn_{name}_exps.weight", data, raw_dtype=Q.Q8_0)
        for e, one in enumerate(dequantize(data, Q.Q8_0).astype(np.float32)):
            expected[f"{hf}mlp.experts.{e}.{name}_proj.weight"] = one
    if not shared:
        return
    for name, rows, cols in (("gate", 64, hidden), ("up", 64, hidden), ("down", hidden, 64)):
        add(blk + f"ffn_{name}_shexp.weight", hf + f"mlp.shared_expert.{name}_proj.weight", (rows, cols))
    add(blk + "ffn_gate_inp_shexp.weight", hf + "mlp.shared_expert_gate.weight", (hidden,))
    expected[hf + "mlp.shared_expert_gate.weight"] = expected[hf + "mlp.shared_expert_gate.weight"][None]


# Families of which files have another architecture's name; where norms of queries and keys span the projection; where
# norms stand after the branches alone; where q, k and v have biases; mixtures of experts.
ARCHITECTURES = {"olmo3": "olmo2", "hunyuan_dense": "hunyuan-dense"}
QK_NORMS = {"qwen3": "head", "gemma3": "head", "exaone4": "head", "hunyuan_dense": "head",
            "olmo2": "whole", "olmo3": "whole", "olmoe": "whole"}
POST_NORMS = ("olmo2", "olmo3", "exaone4")
QKV_BIASES = ("llama", "qwen2", "glm4", "starcoder2", "stablelm", "seed_oss", "qwen2moe")
MOE = ("olmoe", "qwen2moe")


def write_model(name, hidden, heads, kv_heads, head_dim, inner, vocab, layers, types):
    """types: tensor types, used in turn for the matrices."""
    theta, arch = 500000.0, name
    writer = gguf.GGUFWriter(OUT / f"tiny_{name}.gguf", ARCHITECTURES.get(name, name))
    writer.add_context_length(131072)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    if arch in LAYER_NORMS:
        writer.add_layer_norm_eps(1e-5)
    else:
        writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(theta)
    if arch != "phi3":
        writer.add_rope_dimension_count(head_dim // ROTATED.get(arch, 1))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if arch == "qwen2":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(4.0)
        writer.add_rope_scaling_orig_ctx_len(32768)
    if arch == "mistral3":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(16.0)
        writer.add_rope_scaling_orig_ctx_len(16384)
        writer.add_rope_scaling_yarn_beta_fast(32.0)
        writer.add_rope_scaling_yarn_beta_slow(1.0)
        writer.add_rope_scaling_yarn_log_mul(1.0)
        writer.add_attn_temperature_scale(0.1)
    write_family_metadata(writer, name)
    gemma, sandwich = arch.startswith("gemma"), arch in ("gemma2", "gemma3")
    if sandwich:
        writer.add_sliding_window(512)
    if arch == "gemma2":
        writer.add_attn_logit_softcapping(50.0)
        writer.add_final_logit_softcapping(30.0)
    if arch == "gemma3":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(8.0)
    if arch == "phi3":
        write_phi3_rope(writer, head_dim)
    if arch == "stablelm":
        writer.add_parallel_residual(False)
    if arch == "cohere2":
        writer.add_logit_scale(0.25)
        writer.add_sliding_window(4096)
        writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)
    expected = {}
    turn = 0

    def add(gguf_name, hf_name, shape, permuted_heads=0):
        nonlocal turn
        weights = rng.normal(0, 1, shape).astype(np.float32)
        qtype = Q.F32
        if len(shape) == 2:
            qtype = types[turn % len(types)]
            turn += 1
        folded = gemma and "norm" in gguf_name  # 1 + w
        if folded:
            weights += 1
        expected[hf_name] = dequantize(quantize(weights, qtype), qtype).astype(np.float32) - (1 if folded else 0)
        if permuted_heads:
            weights = permute(weights, permuted_heads)
        writer.add_tensor(gguf_name, quantize(weights, qtype), raw_dtype=qtype)

    permuted = arch in ("llama", "smollm3", "mistral3", "arcee", "granite")
    add("token_embd.weight", "model.embed_tokens.weight", (vocab, hidden))
    for i in range(layers):
        blk, hf = f"blk.{i}.", f"model.layers.{i}."
        if arch not in POST_NORMS:
            add(blk + "attn_norm.weight", hf + "input_layernorm.weight", (hidden,))
        if arch in FUSED_QKV:
            rows = (heads + 2 * kv_heads) * head_dim
            add(blk + "attn_qkv.weight", hf + "self_attn.qkv_proj.weight", (rows, hidden))
        for name, rows, count in (("q", heads, heads), ("k", kv_heads, kv_heads), ("v", kv_heads, 0)):
            if arch in FUSED_QKV:
                continue
            count = count if permuted else 0
            add(blk + f"attn_{name}.weight", hf + f"self_attn.{name}_proj.weight", (rows * head_dim, hidden), count)
            if arch in QKV_BIASES:
                add(blk + f"attn_{name}.bias", hf + f"self_attn.{name}_proj.bias", (rows * head_dim,), count)
        add(blk + "attn_output.weight", hf + "self_attn.o_proj.weight", (hidden, heads * head_dim))
        if arch in ("llama", "starcoder2"):
            add(blk + "attn_output.bias", hf + "self_attn.o_proj.bias", (hidden,))
        if arch in QK_NORMS:
            names = ("query_layernorm", "key_layernorm") if arch == "hunyuan_dense" else ("q_norm", "k_norm")
            whole = QK_NORMS[arch] == "whole"
            add(blk + "attn_q_norm.weight", hf + f"self_attn.{names[0]}.weight", (head_dim * (heads if whole else 1),))
            add(blk + "attn_k_norm.weight", hf + f"self_attn.{names[1]}.weight", (head_dim * (kv_heads if whole else 1),))
        if arch in POST_NORMS:
            add(blk + "post_attention_norm.weight", hf + "post_attention_layernorm.weight", (hidden,))
            add(blk + "post_ffw_norm.weight", hf + "post_feedforward_layernorm.weight", (hidden,))
        elif arch == "seed_oss":
            add(blk + "post_attention_norm.weight", hf + "post_attention_layernorm.weight", (hidden,))
        elif sandwich:
            add(blk + "post_attention_norm.weight", hf + "post_attention_layernorm.weight", (hidden,))
            add(blk + "ffn_norm.weight", hf + "pre_feedforward_layernorm.weight", (hidden,))
            add(blk + "post_ffw_norm.weight", hf + "post_feedforward_layernorm.weight", (hidden,))
        elif arch != "cohere2":
            add(blk + "ffn_norm.weight", hf + "post_attention_layernorm.weight", (hidden,))
        if arch == "glm4":
            add(blk + "post_attention_norm.weight", hf + "post_self_attn_layernorm.weight", (hidden,))
            add(blk + "post_ffw_norm.weight", hf + "post_mlp_layernorm.weight", (hidden,))
        if arch in NORM_BIASES:
            add(blk + "attn_norm.bias", hf + "input_layernorm.bias", (hidden,))
            add(blk + "ffn_norm.bias", hf + "post_attention_layernorm.bias", (hidden,))
        if arch == "starcoder2":
            add(blk + "ffn_up.weight", hf + "mlp.c_fc.weight", (inner, hidden))
            add(blk + "ffn_up.bias", hf + "mlp.c_fc.bias", (inner,))
            add(blk + "ffn_down.weight", hf + "mlp.c_proj.weight", (hidden, inner))
            add(blk + "ffn_down.bias", hf + "mlp.c_proj.bias", (hidden,))
            continue
        if arch in MOE:
            add_experts(add, writer, expected, blk, hf, hidden, inner, arch == "qwen2moe")
            continue
        if arch == "arcee":
            add(blk + "ffn_up.weight", hf + "mlp.up_proj.weight", (inner, hidden))
        elif arch in FUSED_MLP:
            add(blk + "ffn_up.weight", hf + "mlp.gate_up_proj.weight", (2 * inner, hidden))
        else:
            add(blk + "ffn_gate.weight", hf + "mlp.gate_proj.weight", (inner, hidden))
            add(blk + "ffn_up.weight", hf + "mlp.up_proj.weight", (inner, hidden))
        add(blk + "ffn_down.weight", hf + "mlp.down_proj.weight", (hidden, inner))
    add("output_norm.weight", "model.norm.weight", (hidden,))
    if arch in NORM_BIASES:
        add("output_norm.bias", "model.norm.bias", (hidden,))
    if arch in ("qwen2", "glm4", "stablelm", "arcee"):
        add("output.weight", "lm_head.weight", (vocab, hidden))
    if arch == "llama":
        writer.add_tensor("rope_freqs.weight", llama3_divisors(head_dim, theta, 8.0, 1.0, 4.0, 8192))
    finish(writer)
    save_file(expected, OUT / f"tiny_{arch}.safetensors")
    (OUT / f"tiny_{arch}.safetensors").chmod(0o644)  # save_file gives access to the owner only


def quantised_or_random(weights, qtype):
    """Bytes of a type: quantised where the package can, else random blocks, whose values replace the weights."""
    if qtype in IQ_SCALES and qtype != Q.MXFP4:
        blocks = weights.shape[-1] // gguf.GGML_QUANT_SIZES[qtype][0]
        data = random_k_blocks(qtype, weights.size // weights.shape[-1], blocks)
        return data.reshape(*weights.shape[:-1], -1)
    return quantize(weights, qtype)


def moe_tensors(hidden, heads, kv_heads, head_dim, inner, vocab, experts):
    """(GGUF name, HF name with {} for the expert, shape, type) of a model of two layers."""
    yield "token_embd.weight", "model.embed_tokens.weight", (vocab, hidden), Q.Q8_0
    for i in range(2):
        blk, hf = f"blk.{i}.", f"model.layers.{i}."
        yield blk + "attn_norm.weight", hf + "input_layernorm.weight", (hidden,), Q.F32
        for name, rows in (("q", heads), ("k", kv_heads), ("v", kv_heads)):
            yield blk + f"attn_{name}.weight", hf + f"self_attn.{name}_proj.weight", (rows * head_dim, hidden), Q.IQ4_NL
        yield blk + "attn_output.weight", hf + "self_attn.o_proj.weight", (hidden, heads * head_dim), Q.MXFP4
        yield blk + "attn_q_norm.weight", hf + "self_attn.q_norm.weight", (head_dim,), Q.F32
        yield blk + "attn_k_norm.weight", hf + "self_attn.k_norm.weight", (head_dim,), Q.F32
        yield blk + "ffn_norm.weight", hf + "post_attention_layernorm.weight", (hidden,), Q.F32
        yield blk + "ffn_gate_inp.weight", hf + "mlp.gate.weight", (experts, hidden), Q.F32
        for name, rows, cols in (("gate", inner, hidden), ("up", inner, hidden), ("down", hidden, inner)):
            shape = (experts, rows, cols)
            yield blk + f"ffn_{name}_exps.weight", hf + "mlp.experts.{}." + f"{name}_proj.weight", shape, Q.IQ4_NL
    yield "output_norm.weight", "model.norm.weight", (hidden,), Q.F32
    yield "output.weight", "lm_head.weight", (vocab, hidden), Q.Q8_0


def moe_metadata(writer, hidden, heads, kv_heads, head_dim, inner, experts):
    writer.add_context_length(4096)
    writer.add_embedding_length(hidden)
    writer.add_block_count(2)
    writer.add_feed_forward_length(2 * inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1000000.0)
    writer.add_expert_count(experts)
    writer.add_expert_used_count(2)
    writer.add_expert_feed_forward_length(inner)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(4.0)
    writer.add_rope_scaling_orig_ctx_len(1024)
    writer.add_rope_scaling_yarn_attn_factor(1.25)


def write_moe():
    sizes = {"hidden": 32, "heads": 2, "kv_heads": 1, "head_dim": 32, "inner": 32, "experts": 3}
    expected, tensors = {}, []
    for name, hf_name, shape, qtype in moe_tensors(vocab=24, **sizes):
        data = quantised_or_random(rng.normal(0, 1, shape).astype(np.float32), qtype)
        tensors.append((name, data, qtype))
        values = dequantize(data, qtype).astype(np.float32)
        if "{}" in hf_name:
            expected |= {hf_name.format(e): values[e] for e in range(len(values))}
        else:
            expected[hf_name] = values
    save_file(expected, OUT / "tiny_qwen3moe.safetensors")
    (OUT / "tiny_qwen3moe.safetensors").chmod(0o644)
    (OUT / "split").mkdir(exist_ok=True)
    parts = [[], tensors[: len(tensors) // 2], tensors[len(tensors) // 2 :]]
    write_part(OUT / "tiny_qwen3moe.gguf", sizes, tensors, None)
    for i, part in enumerate(parts):
        write_part(OUT / "split" / f"moe-{i + 1:05}-of-{len(parts):05}.gguf", sizes, part, (i, len(parts), len(tensors)))


def write_part(path, sizes, tensors, split):
    writer = gguf.GGUFWriter(path, "qwen3moe")
    if split is None or split[0] == 0:
        moe_metadata(writer, **sizes)
    if split is not None:
        if split[0] > 0:  # such parts have no metadata but these
            writer.kv_data[0].clear()
        writer.add_uint16(gguf.Keys.Split.LLM_KV_SPLIT_NO, split[0])
        writer.add_uint16(gguf.Keys.Split.LLM_KV_SPLIT_COUNT, split[1])
        writer.add_int32(gguf.Keys.Split.LLM_KV_SPLIT_TENSORS_COUNT, split[2])
    for name, data, qtype in tensors:
        writer.add_tensor(name, data, raw_dtype=qtype)
    finish(writer)


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    write_types()
    write_model("llama", 32, 4, 2, 16, 64, 24, 2, [Q.Q4_1, Q.Q8_0, Q.F16, Q.F32, Q.Q5_0])
    write_model("qwen2", 32, 4, 2, 8, 32, 24, 1, [Q.F16, Q.Q5_1, Q.BF16])
    write_model("qwen3", 32, 2, 1, 32, 32, 24, 1, [Q.BF16, Q.Q4_0])
    # Two sets of files were first made side by side, each from the random numbers that follow those of qwen3; a third
    # one, Gemma's, from the numbers after the second set and another copy of the first.
    after_qwen3 = copy.deepcopy(rng)
    write_iq_types()
    write_moe()
    rng = after_qwen3
    write_model("smollm3", 32, 4, 2, 8, 32, 24, 1, [Q.Q8_0, Q.F16])
    with tempfile.TemporaryDirectory() as unused:
        golden, OUT = OUT, pathlib.Path(unused)
        write_iq_types()
        write_moe()
        OUT = golden
    for arch in ("gemma", "gemma2", "gemma3"):
        write_model(arch, 32, 2, 1, 32, 32, 24, 1, [Q.Q8_0, Q.F16])
    own_seeds = {
        "phi3": 40, "ernie4_5": 42, "glm4": 43, "starcoder2": 44, "stablelm": 45, "cohere2": 46, "arcee": 47,
        "mistral3": 50, "olmo2": 51, "olmo3": 52, "granite": 53, "seed_oss": 54, "exaone4": 55, "hunyuan_dense": 56,
        "olmoe": 57, "qwen2moe": 58,
    }  # random numbers of their own
    for name, seed in own_seeds.items():
        rng = np.random.default_rng(seed)
        write_model(name, 32, 4, 2, 8, 32, 24, 1, [Q.Q8_0, Q.F16])
