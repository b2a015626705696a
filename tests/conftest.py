"""For all tests: the libraries behave as they do in the product."""

from bot import config

config.prepare_libraries()
