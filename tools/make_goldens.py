#!/usr/bin/env python3
"""Writes tests/golden/model/<family>/: tiny random models and the results of transformers and peft with them.

Every number is computed by the real libraries: logits, log-probabilities, loss, the gradient of every weight, of every
LoRA factor, and the losses of ten AdamW steps. tools/README.md describes the files. Runs in ten seconds.
"""

import argparse
import json
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from expert_adapters import keep_block_diagonal, split_fused, split_fused_weight
from reference_model import auto_class, load_model, logprobs_of, quiet, sequence_logits, versions

# 7, 1: short ones beside a boundary; 70 and 131: across one and two attention blocks of 64.
LENGTHS = (7, 70, 1, 131)
STEPS = 10
RANK, ALPHA = 4, 8
DECIDED = 3.0
LORA_LR, FULL_LR = 1e-3, 1e-4
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FUSED_TARGETS = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")


@dataclass
class Family:
    """One fixture: its config.json as written, and the runs that only it carries."""

    seed: int
    config: dict
    extra_lora_runs: dict = field(default_factory=dict)
    extra_full_runs: dict = field(default_factory=dict)
    expert_names: tuple = ()  # names of gate, up and down of an expert in the files
    fused_adapters: bool = False  # also in the layout in which peft itself writes adapters of experts
    own_head: bool = False  # a stored head that is not the embedding, in spite of tie_word_embeddings
    norms_plus_one: bool = False  # norms multiply by 1 + weight
    targets: tuple = ()  # modules that the adapter adapts, where they are not TARGETS
    older_names: bool = False  # tensors of a wrapper as before transformers 4.52: language_model.model.layers.0...

    @property
    def text(self):
        """The config of the language model, which a wrapper has around it."""
        return self.config.get("text_config", self.config)


def base_config(architecture, model_type, **changes):
    config = {
        "architectures": [architecture],
        "model_type": model_type,
        "vocab_size": 96,
        "hidden_size": 32,
        "intermediate_size": 80,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "hidden_act": "silu",
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "initializer_range": 0.02,
        "attention_dropout": 0.0,
        "use_cache": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    config.update(changes)
    return config


def gemma_config(architecture, model_type, **changes):
    """Without the keys whose defaults in Gemma's classes are its own."""
    base = base_config(
        architecture, model_type, head_dim=16, num_hidden_layers=3, rms_norm_eps=1e-6, pad_token_id=None, **changes
    )
    return {key: value for key, value in base.items() if key != "hidden_act" or "hidden_act" in changes}


SIGLIP = {
    "model_type": "siglip_vision_model", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
    "num_attention_heads": 2, "image_size": 8, "patch_size": 4,
}
PIXTRAL = {
    "model_type": "pixtral", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
    "num_attention_heads": 2, "head_dim": 8, "image_size": 8, "patch_size": 4,
}


def wrapper_config(architecture, model_type, text, vision, **changes):
    """The language model's keys in text_config, without what stands at the top level."""
    outside = ("architectures", "bos_token_id", "eos_token_id", "use_cache", "torch_dtype", "initializer_range")
    return {
        "architectures": [architecture], "model_type": model_type,
        "text_config": {key: value for key, value in text.items() if key not in outside},
        "vision_config": vision, "torch_dtype": "float32", **changes,
    }


def layer_norm_config(architecture, model_type, **changes):
    """Without the key of an epsilon of RMS norms."""
    config = base_config(architecture, model_type, **changes)
    del config["rms_norm_eps"]
    return config


# Files of before transformers 5 say torch_dtype, rope_theta and rope_scaling; since then dtype and rope_parameters.
# Both spellings are in the wild, so both are here.
FAMILIES = {
    # Old spelling, no head_dim at all (hidden / heads), separate output matrix.
    "llama": Family(
        11,
        base_config(
            "LlamaForCausalLM", "llama", hidden_size=64, attention_bias=False, mlp_bias=False,
            tie_word_embeddings=False, rope_theta=10000.0, rope_scaling=None, torch_dtype="float32",
        ),
        extra_lora_runs={"clip": {"max_norm": 0.25}},
        extra_full_runs={"clip": {"max_norm": 0.25}},
    ),
    # Old spelling of the Llama 3 rope; tied; original_max_position_embeddings puts the wavelengths of the eight
    # frequencies on both sides of, and inside, the blend.
    "llama3": Family(
        12,
        base_config(
            "LlamaForCausalLM", "llama", head_dim=16, attention_bias=False, mlp_bias=False,
            tie_word_embeddings=True, rope_theta=10000.0, torch_dtype="float32",
            rope_scaling={
                "factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                "original_max_position_embeddings": 64, "rope_type": "llama3",
            },
        ),
    ),
    # The same rope in the new spelling, every projection with a bias, three layers, odd vocabulary and F.
    "llama_bias": Family(
        13,
        base_config(
            "LlamaForCausalLM", "llama", head_dim=16, attention_bias=True, mlp_bias=True, vocab_size=101,
            intermediate_size=52, num_hidden_layers=3, tie_word_embeddings=False, dtype="float32",
            rope_parameters={
                "factor": 4.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                "original_max_position_embeddings": 64, "rope_theta": 500.0, "rope_type": "llama3",
            },
        ),
    ),
    # Old spelling, as Qwen2.5's own files: a sliding window that is named but off, no head_dim; biases of q, k and v
    # that the config does not mention; three heads on one.
    "qwen2": Family(
        14,
        base_config(
            "Qwen2ForCausalLM", "qwen2", hidden_size=48, num_attention_heads=3, num_key_value_heads=1,
            rms_norm_eps=1e-6, tie_word_embeddings=True, rope_theta=1000000.0, sliding_window=64,
            max_window_layers=1, use_sliding_window=False, torch_dtype="float32",
        ),
    ),
    # New spelling; head_dim is not hidden / heads; the norm of q and k.
    "qwen3": Family(
        15,
        base_config(
            "Qwen3ForCausalLM", "qwen3", head_dim=16, attention_bias=False, rms_norm_eps=1e-6,
            tie_word_embeddings=False, sliding_window=None, use_sliding_window=False, max_window_layers=2,
            layer_types=["full_attention", "full_attention"], dtype="float32",
            rope_parameters={"rope_theta": 1000000.0, "rope_type": "default"},
        ),
        extra_lora_runs={"weight_decay": {"weight_decay": 0.1}},
    ),
    # Every second layer without rope, by the interval; a tied head that the config does not mention.
    "smollm3": Family(
        16,
        base_config(
            "SmolLM3ForCausalLM", "smollm3", attention_bias=False, mlp_bias=False, num_hidden_layers=3,
            no_rope_layer_interval=2, dtype="float32", pad_token_id=None, use_sliding_window=False,
            rope_parameters={"rope_theta": 2000000.0, "rope_type": "default"},
        ),
    ),
    # Layers 0 and 2 have experts, layer 1 is dense; weights of the two experts divided by their sum. No adapter on the
    # dense MLP, which peft cannot load beside experts.
    "qwen3_moe": Family(
        20,
        base_config(
            "Qwen3MoeForCausalLM", "qwen3_moe", hidden_size=32, intermediate_size=48, head_dim=16,
            attention_bias=False, rms_norm_eps=1e-6, num_hidden_layers=3, mlp_only_layers=[1], decoder_sparse_step=1,
            num_experts=5, num_experts_per_tok=2, moe_intermediate_size=24, norm_topk_prob=True,
            tie_word_embeddings=False, use_sliding_window=False, sliding_window=None, dtype="float32",
            rope_parameters={"rope_theta": 1000000.0, "rope_type": "default"},
        ),
        expert_names=("gate_proj", "up_proj", "down_proj"),
        fused_adapters=True,
    ),
    # Probabilities as they are, every second layer; three of six experts, tied.
    "qwen3_moe_plain": Family(
        18,
        base_config(
            "Qwen3MoeForCausalLM", "qwen3_moe", hidden_size=32, intermediate_size=48, head_dim=16,
            attention_bias=False, rms_norm_eps=1e-6, decoder_sparse_step=2, mlp_only_layers=[],
            num_experts=6, num_experts_per_tok=3, moe_intermediate_size=20, norm_topk_prob=False,
            tie_word_embeddings=False, use_sliding_window=False, rope_theta=1000000.0, rope_scaling=None,
            torch_dtype="float32",
        ),
        expert_names=("gate_proj", "up_proj", "down_proj"),
    ),
    # The same experts under Mixtral's names.
    "mixtral": Family(
        19,
        base_config(
            "MixtralForCausalLM", "mixtral", hidden_size=48, num_attention_heads=3, num_key_value_heads=1,
            intermediate_size=32, num_local_experts=4, num_experts_per_tok=2, router_jitter_noise=0.0,
            sliding_window=None, tie_word_embeddings=False, rope_theta=1000000.0, torch_dtype="float32",
        ),
        expert_names=("w1", "w3", "w2"),
    ),
    # A window on all layers, shorter than the longer texts and than a block; the class has no use_sliding_window.
    "mistral_window": Family(
        23,
        base_config(
            "MistralForCausalLM", "mistral", sliding_window=40, use_sliding_window=False, head_dim=None,
            tie_word_embeddings=False, rope_theta=10000.0, torch_dtype="float32",
        ),
    ),
    # A window on the layers that layer_types names, longer than a block: transformers takes the class Ministral.
    "mistral_layer_types": Family(
        24,
        base_config(
            "MistralForCausalLM", "mistral", sliding_window=70, head_dim=16, num_hidden_layers=3,
            tie_word_embeddings=False, layer_types=["sliding_attention", "full_attention", "sliding_attention"], dtype="float32",
            rope_parameters={"rope_theta": 10000.0, "rope_type": "default"},
        ),
    ),
    # A window on layers from max_window_layers on.
    "qwen2_window": Family(
        25,
        base_config(
            "Qwen2ForCausalLM", "qwen2", num_hidden_layers=3, rms_norm_eps=1e-6, tie_word_embeddings=True,
            rope_theta=1000000.0, use_sliding_window=True, sliding_window=33, max_window_layers=1,
            torch_dtype="float32",
        ),
    ),
    # layer_types against what max_window_layers says.
    "qwen3_window": Family(
        26,
        base_config(
            "Qwen3ForCausalLM", "qwen3", head_dim=16, attention_bias=False, rms_norm_eps=1e-6, tie_word_embeddings=True,
            use_sliding_window=True, sliding_window=64, max_window_layers=2,
            layer_types=["sliding_attention", "full_attention"], dtype="float32",
            rope_parameters={"rope_theta": 1000000.0, "rope_type": "default"},
        ),
    ),
    # A window on all layers: this family has no max_window_layers.
    "qwen3_moe_window": Family(
        32,
        base_config(
            "Qwen3MoeForCausalLM", "qwen3_moe", head_dim=16, rms_norm_eps=1e-6, num_experts=4,
            num_experts_per_tok=2, moe_intermediate_size=32, norm_topk_prob=True, tie_word_embeddings=False,
            use_sliding_window=True, sliding_window=8, max_window_layers=1, rope_theta=1000000.0, torch_dtype="float32",
        ),
        expert_names=("gate_proj", "up_proj", "down_proj"),
    ),
    # A window on all layers; without the keys whose defaults are not Llama's.
    "mixtral_window": Family(
        28,
        {
            key: value
            for key, value in base_config(
                "MixtralForCausalLM", "mixtral", intermediate_size=32, num_local_experts=4, num_experts_per_tok=2,
                sliding_window=65, tie_word_embeddings=False, torch_dtype="float32",
            ).items()
            if key != "rms_norm_eps"
        },
        expert_names=("w1", "w3", "w2"),
    ),
    # A window on the layers without rope.
    "smollm3_window": Family(
        29,
        base_config(
            "SmolLM3ForCausalLM", "smollm3", num_hidden_layers=3, no_rope_layers=[0, 1, 0], dtype="float32",
            pad_token_id=None, use_sliding_window=True, sliding_window=7,
        ),
    ),
    # Yarn added by hand to a folder that transformers 5 has saved: rope_scaling wins over rope_parameters, the length
    # at the top level over that of the block, and a null factor is max / original.
    "llama_yarn": Family(
        30,
        base_config(
            "LlamaForCausalLM", "llama", head_dim=16, tie_word_embeddings=False, dtype="float32",
            rope_parameters={"rope_theta": 10000.0, "rope_type": "default"}, original_max_position_embeddings=64,
            rope_scaling={"rope_type": "yarn", "factor": None, "original_max_position_embeddings": 32},
        ),
    ),
    # tie_word_embeddings, and a stored head that is another: transformers uses it.
    "llama_own_head": Family(
        31,
        base_config(
            "LlamaForCausalLM", "llama", tie_word_embeddings=True, rope_theta=10000.0, torch_dtype="float32",
            num_hidden_layers=1,
        ),
        own_head=True,
    ),
    # Norms of 1 + w, the scaled embedding, GELU under its old name, a tied head that the config does not mention.
    "gemma": Family(
        33,
        gemma_config(
            "GemmaForCausalLM", "gemma", num_key_value_heads=1, hidden_act="gelu", rope_theta=10000.0,
            rope_scaling=None, torch_dtype="float32",
        ),
        norms_plus_one=True,
    ),
    # Norms after the branches too, windows on every other layer, both caps low enough to bend most values.
    "gemma2": Family(
        34,
        gemma_config(
            "Gemma2ForCausalLM", "gemma2", hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=20,
            sliding_window=40, attn_logit_softcapping=2.0, final_logit_softcapping=5.0, rope_theta=10000.0,
            torch_dtype="float32",
        ),
        norms_plus_one=True,
    ),
    # Old spelling: a pattern, two ropes of which one is scaled; windows shorter than a block.
    "gemma3": Family(
        35,
        gemma_config(
            "Gemma3ForCausalLM", "gemma3_text", hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=20,
            sliding_window=33, sliding_window_pattern=2, rope_theta=1000000.0, rope_local_base_freq=10000.0,
            rope_scaling={"rope_type": "linear", "factor": 8.0}, torch_dtype="float32",
        ),
        norms_plus_one=True,
    ),
    # New spelling, windows longer than a block, biases, and a cap of the logits, which published models do not have.
    "gemma3_layer_types": Family(
        36,
        gemma_config(
            "Gemma3ForCausalLM", "gemma3_text", sliding_window=70, attention_bias=True, final_logit_softcapping=6.0,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"], dtype="float32",
            tie_word_embeddings=False,
            rope_parameters={
                "full_attention": {"rope_type": "default", "rope_theta": 50000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
            },
        ),
        norms_plus_one=True,
    ),
    # As Phi-4-mini: fused projections, longrope with its short list, a part of every head rotated, tied.
    "phi3": Family(
        40,
        base_config(
            "Phi3ForCausalLM", "phi3", hidden_size=48, num_attention_heads=3, num_key_value_heads=1,
            tie_word_embeddings=True, rope_theta=10000.0, partial_rotary_factor=0.75, sliding_window=262144,
            max_position_embeddings=16384, original_max_position_embeddings=2048, pad_token_id=None,
            embd_pdrop=0.0, resid_pdrop=0.0, torch_dtype="float32",
            rope_scaling={
                "type": "longrope", "short_factor": [1.0, 1.05, 1.2, 1.5, 2.0, 3.0],
                "long_factor": [1.1, 2.0, 4.0, 8.0, 16.0, 32.0],
            },
        ),
        targets=FUSED_TARGETS,
    ),
    # As Phi-3-mini-4k: a window on all layers, shorter than a block; as many kv heads as heads, and no key that says so.
    "phi3_window": Family(
        41,
        base_config(
            "Phi3ForCausalLM", "phi3", num_key_value_heads=None, tie_word_embeddings=False, sliding_window=40,
            intermediate_size=52, pad_token_id=None, dtype="float32",
            rope_parameters={"rope_theta": 10000.0, "rope_type": "default"},
        ),
        targets=FUSED_TARGETS,
    ),
    # Pairs of neighbours in rope; biases everywhere, which published models do not have; a tied head and a theta that
    # the config does not mention.
    "ernie4_5": Family(
        42,
        base_config("Ernie4_5ForCausalLM", "ernie4_5", head_dim=16, use_bias=True, pad_token_id=None, dtype="float32"),
    ),
    # Norms before and after under names of its own, pairs of neighbours in the half of each head, fused gate and up;
    # biases of q, k and v and the half that the config does not mention.
    "glm4": Family(
        43,
        base_config(
            "Glm4ForCausalLM", "glm4", head_dim=16, tie_word_embeddings=False, rope_theta=10000.0, pad_token_id=None,
            torch_dtype="float32",
        ),
        targets=("q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj"),
    ),
    # LayerNorms and projections with biases, an MLP without a gate, a window shorter than a block, a tied head that the
    # config does not mention.
    "starcoder2": Family(
        44,
        layer_norm_config(
            "Starcoder2ForCausalLM", "starcoder2", hidden_act="gelu_pytorch_tanh", norm_epsilon=1e-5, use_bias=True,
            sliding_window=40, residual_dropout=0.0, embedding_dropout=0.0, rope_theta=10000.0, torch_dtype="float32",
        ),
        targets=("q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj"),
    ),
    # LayerNorms with biases, a quarter of each head rotated, biases of q, k and v.
    "stablelm": Family(
        45,
        layer_norm_config(
            "StableLmForCausalLM", "stablelm", hidden_size=64, layer_norm_eps=1e-5, use_qkv_bias=True,
            tie_word_embeddings=False, partial_rotary_factor=0.25, rope_theta=10000.0, torch_dtype="float32",
        ),
    ),
    # LayerNorms without biases, attention and MLP of one norm, scaled logits, pairs of neighbours, layers without a window
    # and rope.
    "cohere2": Family(
        46,
        layer_norm_config(
            "Cohere2ForCausalLM", "cohere2", hidden_size=48, num_attention_heads=3, num_key_value_heads=1,
            intermediate_size=64, num_hidden_layers=3, layer_norm_eps=1e-5, logit_scale=0.25, sliding_window=33,
            sliding_window_pattern=2, rotary_pct=1.0, rope_theta=50000.0, pad_token_id=None, torch_dtype="float32",
        ),
    ),
    # Squared ReLU without a gate.
    "arcee": Family(
        47,
        base_config(
            "ArceeForCausalLM", "arcee", head_dim=16, tie_word_embeddings=False, attention_bias=False, mlp_bias=False,
            rope_theta=10000.0, torch_dtype="float32",
        )
        | {"hidden_act": "relu2"},
        targets=("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"),
    ),
}


FAMILIES |= {
    # A vision tower around Gemma 3, whose text_config says little; the names of its files of before transformers 4.52.
    "gemma3_wrapper": Family(
        37,
        wrapper_config(
            "Gemma3ForConditionalGeneration", "gemma3",
            {
                "model_type": "gemma3_text", "vocab_size": 96, "hidden_size": 32, "intermediate_size": 80,
                "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
                "sliding_window": 33, "sliding_window_pattern": 2, "query_pre_attn_scalar": 20, "pad_token_id": None,
                "rope_scaling": {"rope_type": "linear", "factor": 8.0},
            },
            SIGLIP, mm_tokens_per_image=4, image_token_index=90, boi_token_index=91, eoi_token_index=92,
        ),
        norms_plus_one=True,
        older_names=True,
    ),
    # Pixtral around Ministral 3: yarn, and a temperature of queries that begins within the longer texts.
    "mistral3_ministral3": Family(
        38,
        wrapper_config(
            "Mistral3ForConditionalGeneration", "mistral3",
            base_config(
                "", "ministral3", head_dim=16, sliding_window=None, tie_word_embeddings=True,
                rope_parameters={
                    "rope_type": "yarn", "rope_theta": 1000000.0, "factor": 16.0, "original_max_position_embeddings": 32,
                    "max_position_embeddings": 512, "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0,
                    "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.3,
                },
            ),
            PIXTRAL, image_token_index=10, projector_hidden_act="gelu", spatial_merge_size=2, tie_word_embeddings=True,
            multimodal_projector_bias=False, vision_feature_layer=-1,
        ),
    ),
    # The same around Mistral, as Mistral Small 3.1: a head of its own; old spelling.
    "mistral3_mistral": Family(
        39,
        wrapper_config(
            "Mistral3ForConditionalGeneration", "mistral3",
            base_config("", "mistral", head_dim=16, sliding_window=None, rope_theta=1000000000.0),
            PIXTRAL, image_token_index=10, projector_hidden_act="gelu", spatial_merge_size=2, tie_word_embeddings=False,
            multimodal_projector_bias=False, vision_feature_layer=-1,
        ),
        older_names=True,
    ),
    # Norms after the branches alone, and of queries and keys as a whole; old spelling.
    "olmo2": Family(
        40,
        base_config(
            "Olmo2ForCausalLM", "olmo2", attention_bias=False, pad_token_id=None,
            rope_theta=500000.0, tie_word_embeddings=False, torch_dtype="float32",
        ),
    ),
    # The same with a window on one of two layers, biases, and yarn on the layer without a window.
    "olmo3": Family(
        41,
        base_config(
            "Olmo3ForCausalLM", "olmo3", attention_bias=True, sliding_window=33, pad_token_id=None,
            layer_types=["sliding_attention", "full_attention"],
            tie_word_embeddings=False, torch_dtype="float32", rope_theta=500000.0,
            rope_scaling={
                "rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64, "beta_fast": 32.0,
                "beta_slow": 1.0, "attention_factor": 1.2079441541679836,
            },
        ),
    ),
    # Four factors: of the embedding, the scores, what branches add, and the logits.
    "granite": Family(
        42,
        base_config(
            "GraniteForCausalLM", "granite", embedding_multiplier=3.0, residual_multiplier=0.22,
            attention_multiplier=0.4, logits_scaling=2.0, attention_bias=False, mlp_bias=False, tie_word_embeddings=True,
            rope_theta=10000.0, pad_token_id=None, torch_dtype="float32",
        ),
    ),
    # Norms of queries and keys as a whole before experts whose weights do not sum to 1.
    "olmoe": Family(
        43,
        base_config(
            "OlmoeForCausalLM", "olmoe", num_experts=5, num_experts_per_tok=2, intermediate_size=24, norm_topk_prob=False,
            clip_qkv=None, attention_bias=False, pad_token_id=None, rope_theta=10000.0, tie_word_embeddings=False,
            torch_dtype="float32", router_aux_loss_coef=0.01,
        ),
        expert_names=("gate_proj", "up_proj", "down_proj"),
    ),
    # Experts beside a shared one that a gate multiplies; layer 1 is dense. peft 0.21 does not load pairs of this family's
    # experts.
    "qwen2_moe": Family(
        44,
        base_config(
            "Qwen2MoeForCausalLM", "qwen2_moe", rms_norm_eps=1e-6, mlp_only_layers=[1],
            decoder_sparse_step=1, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=24,
            shared_expert_intermediate_size=40, norm_topk_prob=False, use_sliding_window=False, sliding_window=None,
            tie_word_embeddings=False, rope_theta=1000000.0, torch_dtype="float32",
        ),
        expert_names=("gate_proj", "up_proj", "down_proj"),
        targets=("q_proj", "k_proj", "v_proj", "o_proj", "shared_expert.gate_proj", "shared_expert.up_proj",
                 "shared_expert.down_proj", "shared_expert_gate"),
    ),
    # Biases of q, k and v by default, none of o.
    "seed_oss": Family(
        45,
        base_config(
            "SeedOssForCausalLM", "seed_oss", head_dim=16, rms_norm_eps=1e-6, tie_word_embeddings=False, dtype="float32",
            pad_token_id=None, rope_parameters={"rope_theta": 10000.0, "rope_type": "default"},
        ),
    ),
    # Norms after the branches alone, a window on every other layer, and rope on these only.
    "exaone4": Family(
        46,
        base_config(
            "Exaone4ForCausalLM", "exaone4", head_dim=16, sliding_window=33, sliding_window_pattern=2,
            tie_word_embeddings=False, pad_token_id=None, rope_theta=1000000.0, torch_dtype="float32",
            rope_scaling={
                "factor": 16.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                "original_max_position_embeddings": 64, "rope_type": "llama3",
            },
        ),
    ),
    # No window: every layer has rope.
    "exaone4_full": Family(
        47,
        base_config(
            "Exaone4ForCausalLM", "exaone4", num_hidden_layers=2, sliding_window=None, tie_word_embeddings=True,
            layer_types=["full_attention", "full_attention"], sliding_window_pattern=None,
            pad_token_id=None, rope_theta=1000000.0, torch_dtype="float32",
        ),
    ),
    # Granite 4 without Mamba and experts: gate and up in one matrix under a shared expert's name.
    "granitemoehybrid": Family(
        49,
        base_config(
            "GraniteMoeHybridForCausalLM", "granitemoehybrid", embedding_multiplier=3.0, residual_multiplier=0.22,
            attention_multiplier=0.4, logits_scaling=2.0, attention_bias=False, tie_word_embeddings=True,
            num_local_experts=0, num_experts_per_tok=0, shared_intermediate_size=56, position_embedding_type="rope",
            layer_types=["attention", "attention"], mamba_n_heads=4, mamba_expand=2, mamba_d_head=16,
            rope_theta=10000.0, pad_token_id=None, torch_dtype="float32",
        ),
        targets=("q_proj", "k_proj", "v_proj", "o_proj", "input_linear", "output_linear"),
    ),
    # Norms of query and key heads after the rotation, whose theta a constant alpha stretches.
    "hunyuan_v1_dense": Family(
        48,
        base_config(
            "HunYuanDenseV1ForCausalLM", "hunyuan_v1_dense", head_dim=16, attention_bias=False, mlp_bias=False,
            tie_word_embeddings=True, pad_token_id=None, rope_theta=10000.0, torch_dtype="float32", use_qk_norm=True,
            rope_scaling={
                "alpha": 1000.0, "beta_fast": 32, "beta_slow": 1, "factor": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0,
                "type": "dynamic",
            },
        ),
    ),
}


def random_weight(name, shape, generator, norms_plus_one=False):
    """Far from every default, so that a forgotten norm weight or bias shows. Values that bf16 holds, as in real
    checkpoints: then a bf16 run differs by its arithmetic alone, not by the rounding of its weights."""
    noise = torch.randn(shape, generator=generator)
    if norms_plus_one and name.endswith("norm.weight"):
        return bf16_values(0.2 * noise)
    return bf16_values(unrounded_weight(name, noise, shape))


def decide_routers(family, model, generator):
    """Every token's embedding leans towards k experts, and routers look there: random routers would have near ties, at
    which bf16 chooses another expert than f32, rightly, and no comparison of numbers holds."""
    experts, active = num_experts(family), family.config["num_experts_per_tok"]
    embedding = model.get_input_embeddings().weight
    directions, _ = torch.linalg.qr(torch.randn((embedding.shape[1], experts), generator=generator))
    for row in embedding:
        chosen = torch.randperm(experts, generator=generator)[:active]
        row += DECIDED * directions[:, chosen].sum(1)
    embedding.copy_(bf16_values(embedding))
    for name, weight in model.named_parameters():
        if name.endswith("mlp.gate.weight"):  # of experts
            weight.copy_(bf16_values(directions.T + 0.2 * weight))


def bf16_values(tensor):
    return tensor.bfloat16().float()


def unrounded_weight(name, noise, shape):
    if name.endswith("norm.weight"):
        return 1.0 + 0.2 * noise
    if name.endswith(".bias"):
        return 0.2 * noise
    if name.endswith("embed_tokens.weight"):
        return 0.35 * noise
    return 0.8 / shape[-1] ** 0.5 * noise


def write_base(family, folder):
    """config.json as written above, and model.safetensors with the names that save_pretrained gives."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(family.config, indent=2) + "\n")
    config = transformers.AutoConfig.from_pretrained(folder)
    model = auto_class(config).from_config(config)
    generator = torch.Generator().manual_seed(family.seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):  # a tied lm_head is listed once
            weight.copy_(random_weight(name, weight.shape, generator, family.norms_plus_one))
        if family.expert_names:
            decide_routers(family, model, generator)
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        shutil.copy(Path(scratch) / "model.safetensors", folder / "model.safetensors")
    rename_tensors(family, folder / "model.safetensors")
    if family.own_head:
        weights = load_file(folder / "model.safetensors")
        shape = weights["model.embed_tokens.weight"].shape
        weights["lm_head.weight"] = random_weight("lm_head.weight", shape, generator)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def rename_tensors(family, file):
    """A wrapper's tensors under their modules' names, or under older ones; save_pretrained chooses by its version."""
    if "text_config" not in family.config:
        return
    renamed = {}
    for name, tensor in load_file(file).items():
        name = re.sub(r"^language_model\.model\.", "model.language_model.", name)
        name = re.sub(r"^language_model\.lm_head", "lm_head", name)
        name = re.sub(r"^(vision_tower|multi_modal_projector)\.", r"model.\1.", name)
        if family.older_names:
            name = re.sub(r"^model\.language_model\.", "language_model.model.", name)
            name = re.sub(r"^lm_head", "language_model.lm_head", name)
            name = re.sub(r"^model\.(vision_tower|multi_modal_projector)\.", r"\1.", name)
        renamed[name] = tensor
    save_file(renamed, file, metadata={"format": "pt"})


def write_adapter(family, base_folder, folder):
    """A as peft draws it; B random, since peft's zero would leave half of the arithmetic untested."""
    torch.manual_seed(family.seed)
    targets = list(family.targets) or TARGETS
    if family.expert_names and not family.targets:
        targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    if "text_config" in family.config:  # the vision tower has modules of these names too
        targets = rf"model\.language_model\..*\.({'|'.join(TARGETS)})"
    lora = LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=targets, bias="none", task_type="CAUSAL_LM"
    )
    model = get_peft_model(load_model(base_folder), lora)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".lora_B." in name:
                weight.copy_(0.1 * torch.randn(weight.shape))
            if ".lora_" in name:
                weight.copy_(bf16_values(weight))
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    config_file = folder / "adapter_config.json"
    config = json.loads(config_file.read_text())
    config["base_model_name_or_path"] = None  # a path of this machine
    if not isinstance(config["target_modules"], str):
        config["target_modules"] = sorted(config["target_modules"])  # a set: its order changes from run to run
    if family.expert_names and not family.targets:
        add_expert_pairs(family, base_folder, folder, config)
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def add_expert_pairs(family, base_folder, folder, config):
    """One pair per expert and projection, under the names of the checkpoint, of rank RANK / active experts. peft fuses
    them when it loads them, for which the config's own r must be theirs."""
    rank = max(1, RANK // family.config["num_experts_per_tok"])
    config["rank_pattern"] = {target: RANK for target in config["target_modules"]}
    config["r"] = rank
    config["target_modules"] = sorted([*config["target_modules"], *family.expert_names])
    generator = torch.Generator().manual_seed(family.seed + 1)
    weights, pairs = load_file(base_folder / "model.safetensors"), load_file(folder / "adapter_model.safetensors")
    for name in sorted(weights):
        if ".experts." not in name:
            continue
        (out, inputs), key = weights[name].shape, "base_model.model." + name.removesuffix(".weight")
        uniform = 2 * torch.rand((rank, inputs), generator=generator) - 1
        pairs[key + ".lora_A.weight"] = bf16_values(uniform / inputs**0.5)
        pairs[key + ".lora_B.weight"] = bf16_values(0.1 * torch.randn((out, rank), generator=generator))
    save_file(pairs, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def save_by_peft(model, folder):
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    config_file = folder / "adapter_config.json"
    config = json.loads(config_file.read_text())
    config["base_model_name_or_path"] = None
    for key in ("target_modules", "target_parameters"):
        config[key] = sorted(config[key])
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


@torch.no_grad()
def fused_tensors(family, folder, batch):
    """Adapters of the experts' fused parameters: our pairs as peft saves them again, and one that peft made itself,
    where gate and up have one A. Returns what the latter computes."""
    save_by_peft(load_trainable(family, folder, folder / "adapter"), folder / "adapter_pairs_fused")
    torch.manual_seed(family.seed + 2)
    lora = LoraConfig(
        r=3, lora_alpha=6, target_modules=["v_proj"], rank_pattern={"v_proj": 2, "down_proj": 4},
        target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj", "mlp.gate.weight"], task_type="CAUSAL_LM",
    )
    model = get_peft_model(load_model(folder), lora)
    for name, weight in model.named_parameters():
        if ".lora_B." in name:
            weight.copy_(0.1 * torch.randn(weight.shape))
    model.eval()
    save_by_peft(model, folder / "adapter_fused")
    return {"fused_logprobs": weighted_loss(model, batch)[2]}


def make_batch(family):
    """Sequences with explicit targets (so the last row has one too) and weights: masked, whole and fractional."""
    random = np.random.default_rng(family.seed)
    sequences = []
    for length in LENGTHS:
        ids = random.integers(0, family.text["vocab_size"], length + 1).tolist()
        weights = (random.random(length) < 0.7).astype(np.float32)
        if length > 10:
            weights[: length // 4] = 0.0  # a prompt
            weights[length // 2] = 0.5
            weights[length - 3] = 0.25
        weights[length - 1] = 1.0
        sequences.append({"tokens": ids[:-1], "targets": ids[1:], "weights": weights.tolist()})
    return sequences


def weighted_loss(model, batch):
    """(loss, logits (T, V), logprobs (T)): sum(weights * nll) / sum(weights), sequence by sequence."""
    logits = [sequence_logits(model, s["tokens"]) for s in batch]
    logprobs = [logprobs_of(x, s["targets"]) for x, s in zip(logits, batch)]
    weights = torch.tensor([w for s in batch for w in s["weights"]])
    logits, logprobs = torch.cat(logits), torch.cat(logprobs)
    return -(weights * logprobs).sum() / weights.sum(), logits, logprobs


def train(model, batch, lr, weight_decay=0.0, max_norm=None):
    """Losses before each of the ten steps and, where clipped, the norms before clipping."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay)
    losses, norms = [], []
    for _ in range(STEPS):
        optimiser.zero_grad(set_to_none=True)
        loss, _, _ = weighted_loss(model, batch)
        loss.backward()
        limit = float("inf") if max_norm is None else max_norm
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, limit).item())
        optimiser.step()
        losses.append(loss.item())
    return losses, norms


def load_trainable(family, base_folder, adapter_folder):
    model = PeftModel.from_pretrained(load_model(base_folder), adapter_folder, is_trainable=True)
    if family.expert_names and not family.targets:
        keep_block_diagonal(model, num_experts(family))
    return model.eval()


def num_experts(family):
    return family.config.get("num_experts") or family.config["num_local_experts"]


def lora_gradients(family, model):
    """Gradients under the keys of peft's own file: its state dict, with each weight replaced by its gradient."""
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    state = get_peft_model_state_dict(model, state_dict=gradients)
    assert len(state) == len(gradients)
    return split_fused(state, num_experts(family), family.expert_names) if family.expert_names and not family.targets else state


def batch_tensors(batch):
    flat = lambda key: [x for s in batch for x in s[key]]
    offsets = np.cumsum([0] + [len(s["tokens"]) for s in batch])
    return {
        "tokens": torch.tensor(flat("tokens"), dtype=torch.int32),
        "targets": torch.tensor(flat("targets"), dtype=torch.int32),
        "weights": torch.tensor(flat("weights"), dtype=torch.float32),
        "offsets": torch.tensor(offsets, dtype=torch.int32),
    }


def expected_tensors(family, folder, batch):
    tensors = batch_tensors(batch)
    model = load_model(folder)
    loss, tensors["logits"], tensors["logprobs"] = weighted_loss(model, batch)
    loss.backward()
    tensors["loss"] = loss.reshape(1)
    for name, weight in model.named_parameters():
        if weight.grad is None:  # of a vision tower
            continue
        for part, gradient in split_fused_weight(name, weight.grad, family.expert_names):
            tensors["grad." + part] = gradient

    model = load_trainable(family, folder, folder / "adapter")
    loss, tensors["lora_logits"], tensors["lora_logprobs"] = weighted_loss(model, batch)
    loss.backward()
    tensors["lora_loss"] = loss.reshape(1)
    for name, gradient in lora_gradients(family, model).items():
        tensors["lora_grad." + name] = gradient
    if family.fused_adapters:
        tensors |= fused_tensors(family, folder, batch)
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def training_runs(family, folder, batch):
    """{"lora_losses": [...], "lora_grad_norms": [...], "lora_losses_<variant>": ...} and the same for full."""
    adapter = folder / "adapter"
    methods = {
        "lora": (LORA_LR, lambda: load_trainable(family, folder, adapter), {"": {}, **family.extra_lora_runs}),
        "full": (FULL_LR, lambda: load_model(folder), {"": {}, **family.extra_full_runs}),
    }
    runs = {}
    for method, (lr, load, variants) in methods.items():
        for variant, options in variants.items():
            losses, norms = train(load(), batch, lr, **options)
            if "max_norm" in options:
                assert max(norms) > options["max_norm"], "the clip is never active"
            suffix = "_" + variant if variant else ""
            runs[f"{method}_losses{suffix}"] = losses
            runs[f"{method}_grad_norms{suffix}"] = norms
    return runs


def make_family(name, folder):
    family = FAMILIES[name]
    write_base(family, folder)
    write_adapter(family, folder, folder / "adapter")
    batch = make_batch(family)
    tensors = expected_tensors(family, folder, batch)
    save_file(tensors, folder / "expected.safetensors")
    golden = {
        "family": name,
        "versions": versions(),
        "config": family.config,
        "batch": batch,
        "loss": tensors["loss"].item(),
        "lora_loss": tensors["lora_loss"].item(),
        "adamw": {
            "steps": STEPS, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0,
            "lora_learning_rate": LORA_LR, "full_learning_rate": FULL_LR,
            "lora_variants": family.extra_lora_runs, "full_variants": family.extra_full_runs,
        },
        **training_runs(family, folder, batch),
    }
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    for file in folder.rglob("*.safetensors"):
        file.chmod(0o644)
    return golden


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default_out = Path(__file__).resolve().parent.parent / "tests" / "golden" / "model"
    parser.add_argument("--out", type=Path, default=default_out)
    parser.add_argument("--family", choices=sorted(FAMILIES), action="append", help="only this one (repeatable)")
    options = parser.parse_args()
    quiet()
    for name in options.family or FAMILIES:
        folder = options.out / name
        shutil.rmtree(folder, ignore_errors=True)
        golden = make_family(name, folder)
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        lora, full = golden["lora_losses"], golden["full_losses"]
        print(f"{name}: {size / 1e3:.0f} kB, loss {full[0]:.4f} -> {full[-1]:.4f} full, "
              f"{lora[0]:.4f} -> {lora[-1]:.4f} LoRA, gradient norms {golden['full_grad_norms'][0]:.3f} "
              f"{golden['lora_grad_norms'][0]:.3f}")


if __name__ == "__main__":
    main()
