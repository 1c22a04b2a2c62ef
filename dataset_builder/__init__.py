"""Shards and public datasets -> one versioned, leak-checked dataset."""
