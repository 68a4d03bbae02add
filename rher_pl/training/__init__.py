"""The Lightning module, its data module and the loader between them."""
