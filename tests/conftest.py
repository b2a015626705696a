"""For all tests: the thread pools wait as they do in the product."""

from bot import config

config.calm_thread_pools()
