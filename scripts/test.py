"""Sets up what is missing and runs the tests."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import find_python

USAGE = """python scripts/test.py [--fast] [PYTEST'S ARGUMENTS ...]

Sets up what is missing (.venv, packages, models), then runs all tests.
  --fast    unit tests only; no models are fetched
"""


def main(arguments: list) -> None:
    find_python.insist()
    if arguments[:1] in (["-h"], ["--help"]):
        print(USAGE, end="")
        return
    import child
    import setup_env

    fast = "--fast" in arguments
    with child.reporting():
        python = setup_env.prepare(tests=True, audio_tests=not fast)
        if not fast:
            setup_env.fetch_models(python, "--profile", "embedded")
    os.chdir(str(setup_env.ROOT))
    rest = [argument for argument in arguments if argument != "--fast"]
    command = [str(python), "-m", "pytest", *(["tests/unit"] if fast else []), *rest]
    find_python.hand_over(command, dict(os.environ))


if __name__ == "__main__":
    main(sys.argv[1:])
