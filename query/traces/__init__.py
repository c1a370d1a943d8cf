"""Questions about single requests: which were kept, and what happened in one of them."""
