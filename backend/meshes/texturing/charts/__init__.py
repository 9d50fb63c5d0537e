"""Cutting a surface into charts and laying them flat.

``axis_labels`` finds patches that look to one side, ``crumbs`` and ``turned_faces`` tidy them,
``flattening`` lays them flat, ``overlap_splitting`` parts those that fold over themselves,
``long_charts`` cuts those that are too long, ``packing`` puts them side by side, and
``layout_quality`` measures what comes out.
"""
