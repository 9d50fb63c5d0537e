"""Writes a Whisper model of random weights: it hears the same nonsense in the same recording."""

from __future__ import annotations

import json
from pathlib import Path

SPECIAL = (
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>",
    "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
)  # fmt: skip
MOST_TOKENS = 12


def write_whisper_folder(folder: Path, seed: int = 10) -> Path:
    """Write the model, its tokenizer of single letters and its settings; returns the folder."""
    import torch
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = {token: number for number, token in enumerate([*letters, *SPECIAL])}
    torch.manual_seed(seed)
    end = vocabulary["<|endoftext|>"]
    config = WhisperConfig(
        vocab_size=len(vocabulary), d_model=16, num_mel_bins=80,
        encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=16,
        max_target_positions=32, decoder_start_token_id=vocabulary["<|startoftranscript|>"],
        bos_token_id=end, eos_token_id=end, pad_token_id=end, init_std=1.0,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    model.generation_config.update(
        max_length=MOST_TOKENS,
        suppress_tokens=[*range(len(letters), len(vocabulary))],
        begin_suppress_tokens=[end],
        is_multilingual=False,
        no_timestamps_token_id=vocabulary["<|notimestamps|>"],
    )
    model.save_pretrained(folder)
    _write_processor(folder, vocabulary)
    return folder


def _write_processor(folder: Path, vocabulary: dict[str, int]) -> None:
    from transformers import WhisperFeatureExtractor, WhisperProcessor, WhisperTokenizer

    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "normalizer.json").write_text("{}")
    tokenizer = WhisperTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), additional_special_tokens=[*SPECIAL]
    )
    WhisperProcessor(WhisperFeatureExtractor(feature_size=80), tokenizer).save_pretrained(folder)
