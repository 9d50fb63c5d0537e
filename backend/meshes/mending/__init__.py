"""Judges a mesh as it was given, and mends what can be mended without changing its look.

``mesh_figures`` counts what is there and what is wrong. ``repair`` mends: it joins the faces
(``backend.meshes.closing.joined_surface``), splits edges on which corners rest (``t_junctions``),
drops debris, fills small holes (``hole_filling``), turns bodies outwards and writes the mesh anew
(``joined_mesh``), each step with what it changed. ``two_sided`` and ``vertex_merging`` keep looks.
``mesh_scale`` turns and scales between units and up-axes.
"""
