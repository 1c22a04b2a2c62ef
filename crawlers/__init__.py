"""Collected sources -> shards: the pet911.ru spider and the Telegram harvester."""
