"""For all tests: the libraries behave as they do in the product."""

import warnings

from bot import config

config.prepare_libraries()


def pytest_unconfigure() -> None:
    """llama_cpp never closes the null device that it opens; a library's thread that ended during a test may have left
    "error" in force for good, and then Python ends with a complaint behind the summary."""
    warnings.filterwarnings("ignore", message="unclosed file .*nul", category=ResourceWarning)
