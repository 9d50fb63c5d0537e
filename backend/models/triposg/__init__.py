"""TripoSG: from a picture to a shape, with the denoiser of Hunyuan3D 2.1."""
