"""Hunyuan3D-Paint: pictures of an object from several sides, from its shape and one picture."""
