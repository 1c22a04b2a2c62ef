"""`scrapy crawl` with petdata's exit codes, one-line errors and final table."""

from __future__ import annotations

import argparse

from scrapy.commands import crawl
from scrapy.crawler import AsyncCrawlerProcess
from scrapy.exceptions import UsageError

from crawlers.report import StderrConsole, print_report
from crawlers.run import check_start, finish
from petdata.errors import PetdataError
from petdata.standard_streams import open_closed_streams


class Command(crawl.Command):
    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        open_closed_streams()  # before Scrapy opens its log
        super().process_options(args, opts)

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if len(args) != 1:
            raise UsageError("name one spider, e.g. scrapy crawl pet911")
        console = StderrConsole(soft_wrap=True)
        try:
            check_start(opts.spargs)
            assert isinstance(self.crawler_process, AsyncCrawlerProcess)
            state = finish(self.crawler_process, self._create_crawler(args[0]), opts.spargs)
        except PetdataError as error:
            console.print(f"scrapy crawl: {error}", style="red", markup=False)
            self.exitcode = error.exit_code
            return
        if state.report is not None:
            print_report(console, state.report)
        if state.failure is not None:
            console.print(f"scrapy crawl: {state.failure}", style="red", markup=False)
            self.exitcode = state.failure.exit_code
