"""Writes the model folders that the stand-in needs, with random weights of one seed."""

from __future__ import annotations

import json
from pathlib import Path

SEED = 10
EMPTY = b"A stand-in: nothing is in here, and nothing reads it.\n"


def write_model_folders(folder: Path, seed: int = SEED) -> Path:
    """Write Step-Audio-Tokenizer and Step-Audio-EditX into a folder; returns the folder."""
    import numpy as np
    import torch
    from safetensors.torch import save_file

    from bench.tiny_speech import tiny_networks

    networks = tiny_networks.random_networks(seed)
    tokenizer, editor = folder / "Step-Audio-Tokenizer", folder / "Step-Audio-EditX"
    flow = editor / "CosyVoice-300M-25Hz"
    for each in (tokenizer, flow):
        each.mkdir(parents=True, exist_ok=True)
    shape = (tiny_networks.BANDS, tiny_networks.VOICE)
    table = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    np.save(tokenizer / "linguistic_tokenizer.npy", table)
    torch.save(networks["codec"].state_dict(), tokenizer / "codec.pt")
    state = {name: tensor.contiguous() for name, tensor in networks["speaker"].state_dict().items()}
    save_file(state, editor / "model.safetensors")
    torch.save(networks["vocoder"].state_dict(), flow / "hift.pt")
    (editor / "config.json").write_text(json.dumps({"model_type": "tiny_speech", "seed": seed}))
    (tokenizer / "speech_tokenizer_v1.onnx").write_bytes(EMPTY)
    for name in ("cosyvoice.yaml", "flow.pt", "campplus.onnx"):
        (flow / name).write_bytes(EMPTY)
    return folder
