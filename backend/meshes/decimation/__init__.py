"""Reduces the faces of a mesh and keeps its texture, materials, colours, seams and borders.

``seam_collapse`` drives: in rounds, the cheapest edges that do not touch one another are collapsed
together. ``edge_table`` tells borders and seams from other edges, ``quadrics`` what a collapse
costs, ``collapse_checks`` whether it would tear, fold or smear the surface. Where that does not
get far enough, ``clustering`` joins what lies close together.
"""
