"""Scrapy spiders: navigation only."""
