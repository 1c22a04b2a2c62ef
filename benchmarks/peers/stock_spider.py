"""What a Scrapy user would write in ten minutes: the same site through Scrapy's ImagesPipeline.

No ledger, no validation beyond the pipeline's, every photo encoded again. Run by crawl.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import scrapy
from scrapy.http import Response


class StockSpider(scrapy.Spider):
    name = "stock"
    custom_settings = {  # noqa: RUF012
        "ITEM_PIPELINES": {"scrapy.pipelines.images.ImagesPipeline": 1},
        "CONCURRENT_REQUESTS": 16,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 16,
        "REMOTE_CONTROL_ENABLED": False,
        "TELNETCONSOLE_ENABLED": False,
        "ROBOTSTXT_OBEY": True,
        "LOG_LEVEL": "WARNING",
    }

    def __init__(self, base_url: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.start_urls = [f"{base_url}/catalog"]

    def parse(self, response: Response) -> Iterator[Any]:
        for href in response.css("a.catalog-item__thumb::attr(href)").getall():
            yield response.follow(href, self.parse_listing)
        number = int(response.css(".pagination__active::text").get("1"))
        for link in response.css("a.pagination__item"):
            if link.attrib["data-page"] == str(number):
                yield response.follow(link, self.parse)

    def parse_listing(self, response: Response) -> dict[str, Any]:
        photos = response.css(".card-slider a.js-card-slide::attr(href)").getall()
        return {
            "url": response.url,
            "title": response.css("h1::text").get(),
            "description": response.css(".card__descr p::text").get(),
            "image_urls": [response.urljoin(photo) for photo in photos[:8]],
        }
