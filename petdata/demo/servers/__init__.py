"""Local servers that behave like the outside world: a pet911-like site."""
