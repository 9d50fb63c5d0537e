"""Hunyuan3D 2.0, 2mini, 2mv, 2.1 and TripoSG: from a picture to a shape."""
