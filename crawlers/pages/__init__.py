"""Pure page parsing: HTML in, listings out; no network, no Scrapy."""
