"""Scrapy settings: polite and safe by default. Override with `-s NAME=VALUE` as usual."""

from petdata import __version__
from petdata.errors import PetdataError
from petdata.workspace import find_workspace

BOT_NAME = "petdata"
SPIDER_MODULES = ["crawlers.spiders"]
COMMANDS_MODULE = "crawlers.commands"  # `scrapy crawl` with exit codes and one-line errors

# Who we are. Without a contact the crawl refuses to start (crawlers.run), which also says what is
# wrong with a petdata.toml; commands that need no workspace, as `scrapy list`, go on.
try:
    PETDATA_CONTACT = find_workspace().contact
except PetdataError:
    PETDATA_CONTACT = None
USER_AGENT = f"petdata/{__version__} (research data set of lost pets; +{PETDATA_CONTACT})"
ROBOTSTXT_OBEY = True
ROBOTSTXT_USER_AGENT = "petdata"

# One request at a time per host, at least DOWNLOAD_DELAY apart, slower when the site is slow.
CONCURRENT_REQUESTS = 4
CONCURRENT_REQUESTS_PER_DOMAIN = 1
CONCURRENT_ITEMS = 4  # of one response; Scrapy starts that many tasks for every response
DOWNLOAD_DELAY = 2.0  # seconds between two requests to one host
DOWNLOAD_DELAY_JITTER = 0.0  # Scrapy's own 0.5 waits 1 to 3 s for a delay of 2 s
AUTOTHROTTLE_ENABLED = True
AUTOTHROTTLE_TARGET_CONCURRENCY = 1.0
AUTOTHROTTLE_START_DELAY = 2.0  # seconds
RETRY_TIMES = 3
DOWNLOAD_TIMEOUT = 60  # seconds
DOWNLOAD_MAXSIZE = 32 * 2**20  # bytes; petdata.jpeg.Limits is stricter
DOWNLOAD_WARNSIZE = 0
REDIRECT_MAX_TIMES = 5
COOKIES_ENABLED = False

# Nothing of ours listens: the remote control runs code for whoever reads its token.
TELNETCONSOLE_ENABLED = False
REMOTE_CONTROL_ENABLED = False

# One global queue: photos before listings before catalogue pages keeps what is under way small,
# so memory stays flat. The ledger, not a set of fingerprints in memory, knows what is done.
SCHEDULER_PRIORITY_QUEUE = "scrapy.pqueues.ScrapyPriorityQueue"
SCHEDULER_MEMORY_QUEUE = "scrapy.squeues.FifoMemoryQueue"
DUPEFILTER_CLASS = "scrapy.dupefilters.BaseDupeFilter"

DOWNLOADER_MIDDLEWARES = {
    "crawlers.middlewares.AllowedRequestsMiddleware": 50,
    "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": None,
}
ITEM_PIPELINES = {"crawlers.pipelines.IntakePipeline": 500}
EXTENSIONS = {
    "crawlers.progress.Progress": 0,
    "crawlers.politeness.CrawlDelay": 1000,  # after autothrottle, which is at 0 and lowers delays
    "scrapy.extensions.logstats.LogStats": None,
}
PETDATA_SHARD_BYTES = 64 * 2**20  # of JPEG in a shard; docs/record.md says why
LOG_LEVEL = "INFO"
FEED_EXPORT_ENCODING = "utf-8"
