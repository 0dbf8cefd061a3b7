"""The remembered definitions of tools and prompts, and what changed in them."""
