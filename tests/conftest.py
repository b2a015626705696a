"""For all tests: the libraries behave as they do in the product."""

import atexit
import signal
import warnings

from bot import config

config.prepare_libraries()
# llama_cpp never closes the null device that it opens. A library's thread that ended during a test may have left
# "error" in force for good, and then Python ends with a complaint behind the summary.
atexit.register(warnings.filterwarnings, "ignore", message="unclosed file .*nul", category=ResourceWarning)
# Started in the background of a shell, this process ignores Ctrl-C, and so would every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
