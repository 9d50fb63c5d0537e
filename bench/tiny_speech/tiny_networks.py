"""The networks of the stand-in: SpeechT5 and HiFi-GAN speak, EnCodec goes there and back."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    EncodecConfig,
    EncodecModel,
    SpeechT5Config,
    SpeechT5ForTextToSpeech,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
)

RATE_HZ = 24_000
LETTERS = 97
VOICE = 16
BANDS = 32
MEL_BINS = 16


def speaker() -> Any:
    """Make the network that turns letters and a voice into a spectrogram."""
    return SpeechT5ForTextToSpeech(
        SpeechT5Config(
            vocab_size=LETTERS,
            hidden_size=24,
            encoder_layers=1,
            encoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_layers=1,
            decoder_attention_heads=2,
            decoder_ffn_dim=32,
            num_mel_bins=MEL_BINS,
            speech_decoder_prenet_units=16,
            speech_decoder_postnet_units=16,
            speech_decoder_postnet_layers=2,
            speaker_embedding_dim=VOICE,
            max_speech_positions=4100,
            max_text_positions=4100,
        )
    )


def vocoder() -> Any:
    """Make the network that turns a spectrogram into sound."""
    return SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=MEL_BINS,
            sampling_rate=RATE_HZ,
            upsample_initial_channel=16,
            upsample_rates=[8, 8, 4],
            upsample_kernel_sizes=[16, 16, 8],
            initializer_range=0.15,
            resblock_kernel_sizes=[3],
            resblock_dilation_sizes=[[1, 3]],
        )
    )


def codec() -> Any:
    """Make the network that turns sound into numbers of a code book, and back."""
    return EncodecModel(
        EncodecConfig(
            hidden_size=16,
            codebook_size=64,
            codebook_dim=16,
            num_filters=4,
            num_lstm_layers=1,
            num_residual_layers=1,
            upsampling_ratios=[8, 5, 4, 2],
            target_bandwidths=[1.5],
            sampling_rate=RATE_HZ,
        )
    )


def random_networks(seed: int) -> dict[str, Any]:
    """Make all of them with weights of one seed."""
    torch.manual_seed(seed)
    networks = {"speaker": speaker(), "vocoder": vocoder(), "codec": codec()}
    for name, book in networks["codec"].named_buffers():
        if name.endswith("codebook.embed"):
            book.normal_()  # the library leaves it empty for training to fill
    return networks
