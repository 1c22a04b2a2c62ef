"""Telegram channels and Telegram Desktop exports as listings."""
