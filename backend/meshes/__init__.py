"""Pure functions on meshes and on pictures of meshes."""
