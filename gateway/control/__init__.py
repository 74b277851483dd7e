"""The control plane: what exists, and how it is made and changed."""
