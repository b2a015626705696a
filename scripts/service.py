"""The bot and the agent in the background: `python scripts/service.py start|stop bot|agent`, `status`, `logs`."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import find_python

USAGE = """python scripts/service.py COMMAND

  start bot|agent ...     in the background; refuses a second one
  stop bot|agent ...      with all that it started; waits for the end
  status                  exit code 1 when something is down
  logs bot|agent [--follow] [-n LINES]
  clean-logs              of what does not run
"""
NO_PSUTIL, WRONG_ARGUMENTS, NO_VENV, DOWN = 11, 2, 20, 1


def main(arguments: list) -> None:
    find_python.insist()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return
    import child
    import setup_env

    use_venv(setup_env.VENV, setup_env.venv_python())
    with child.reporting():
        try:
            import psutil  # noqa: F401
        except ImportError:
            raise child.SetupError(
                "The package psutil is missing, which knows the processes of this machine: run `just setup` "
                f"(or: {sys.executable} -m pip install psutil), then this again.",
                NO_PSUTIL,
            ) from None
        sys.exit(run(arguments))


def use_venv(folder, python) -> None:
    """Goes on in the project's .venv where there is one: psutil and the bot's own modules are there."""
    if python.exists() and os.path.realpath(sys.prefix) != os.path.realpath(str(folder)):
        find_python.hand_over([str(python), "-P", *sys.argv], dict(os.environ))


def run(arguments: list) -> int:
    import services
    from child import SetupError

    command, rest = arguments[0], arguments[1:]
    if command in ("start", "stop") and rest and set(rest) <= set(services.NAMES):
        for name in rest:
            (services.start if command == "start" else services.stop)(name)
        return 0
    if command == "logs" and rest and rest[0] in services.NAMES:
        return services.logs(rest[0], rest[1:])
    if command == "status" and not rest:
        import service_status

        return DOWN if service_status.show() else 0
    if command == "clean-logs" and not rest:
        return services.clean_logs()
    raise SetupError(f"This cannot be done: {' '.join(arguments)}\n{USAGE}", WRONG_ARGUMENTS)


if __name__ == "__main__":
    main(sys.argv[1:])
