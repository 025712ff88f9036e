"""LoRA adapters of every form."""
