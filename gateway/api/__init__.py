"""The wire: one module per API family; `routes` is the table of contents."""
