"""Makes closed meshes of parts that were cut from a surface.

``close_part`` chooses. Faces are joined where they touch (``half_edges``, ``winding_order``,
``near_places``, ``joined_surface``), which leaves a surface with simple loops as borders. Loops
are capped (``border_loops``, ``loop_plane``, ``loop_groups``, ``polygons``, ``caps``), sheets get
a thickness (``thickening``); ``patching`` does both, ``separation`` pulls apart what touches, and
``part_mesh`` writes the result behind the part's own vertices and faces. What is torn is built
anew from its winding number (``winding_field``, ``remeshing``). ``outward_faces`` looks at a whole
mesh before it is cut, and ``explosion`` moves parts apart.
"""
