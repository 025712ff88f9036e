"""Lists the settings of a config.json that are read, that must be off, and that are irrelevant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Read by hf_config, hf_rope or hf_model, whatever the family.
_SUPPORTED = """
model_type hidden_size num_attention_heads num_key_value_heads num_hidden_layers head_dim
intermediate_size vocab_size max_position_embeddings rms_norm_eps tie_word_embeddings hidden_act
hidden_activation rope_theta rope_scaling rope_parameters partial_rotary_factor
original_max_position_embeddings sliding_window layer_types use_sliding_window max_window_layers
bos_token_id eos_token_id pad_token_id unk_token_id
"""
SUPPORTED = frozenset(_SUPPORTED.split())

# Features that the decoder doesn't support, or not for every family, and values that mean "off".
OFF: Mapping[str, tuple[Any, ...]] = {
    "add_cross_attention": (False,),
    "alibi": (False,),
    "attention_bias": (False,),
    "attention_chunk_size": (),
    "attention_multiplier": (),
    "attn_logit_softcapping": (),
    "audio_config": (),
    "bias": (False,),
    "clip_qkv": (),
    "cross_attention_hidden_size": (),
    "dim_model_base": (),
    "embedding_multiplier": (1,),
    "final_logit_softcapping": (),
    "is_causal": (True,),
    "is_encoder_decoder": (False,),
    "logit_scale": (1,),
    "logits_scaling": (1,),
    "mlp_bias": (False,),
    "n_routed_experts": (0,),
    "no_rope_layer_interval": (),
    "no_rope_layers": ([],),
    "num_experts": (0,),
    "num_local_experts": (0,),
    "num_nextn_predict_layers": (0,),
    "parallel_attn": (False,),
    "qk_layernorm": (False,),
    "qkv_bias": (False,),
    "quantization_config": (),
    "query_pre_attn_scalar": (),
    "residual_multiplier": (1,),
    "rope_interleave": (False,),
    "rope_interleaved": (False,),
    "rope_local_base_freq": (),
    "scale_depth": (),
    "scale_emb": (1,),
    "sliding_window_pattern": (),
    "text_config": (),
    "use_bidirectional_attention": (False,),
    "use_mrope": (False,),
    "use_parallel_residual": (False,),
    "use_qk_norm": (False,),
    "vision_config": (),
}

# Settings of training, of sampling, and of the library that wrote the file.
_HARMLESS = """
_attn_implementation _commit_hash _name_or_path architectures attention_dropout
attn_implementation auto_map bad_words_ids begin_suppress_tokens cache_implementation
chunk_size_feed_forward decoder_start_token_id diversity_penalty do_sample dtype early_stopping
embd_pdrop encoder_no_repeat_ngram_size exponential_decay_length_penalty finetuning_task
forced_bos_token_id forced_eos_token_id gradient_checkpointing hidden_dropout id2label
initializer_range is_decoder is_llama_config label2id length_penalty max_length
max_sequence_length min_length model_max_length name_or_path no_repeat_ngram_size
num_beam_groups num_beams num_labels num_return_sequences output_attentions output_hidden_states
output_scores prefix pretraining_tp problem_type pruned_heads remove_invalid_values
repetition_penalty resid_pdrop residual_dropout return_dict return_dict_in_generate sep_token_id
suppress_tokens task_specific_params temperature tf_legacy_loss tie_encoder_decoder
tokenizer_class top_k top_p torch_dtype torchscript transformers.js_config transformers_version
_sliding_window_pattern typical_p unsloth_fixed unsloth_version use_bfloat16 use_cache
"""
HARMLESS = frozenset(_HARMLESS.split())
