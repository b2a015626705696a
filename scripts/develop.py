"""`python scripts/develop.py setup|check|bench`: both environments made or brought up to date; linters; the bench."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import find_python

USAGE = """python scripts/develop.py setup | check | bench [ARGUMENTS ...]
"""
WRONG_ARGUMENTS, AGENT_SETUP = 2, 21


def main(arguments: list) -> None:
    find_python.insist()
    if not arguments or arguments[0] not in ("setup", "check", "bench"):
        print(USAGE, end="")
        sys.exit(0 if arguments[:1] in (["-h"], ["--help"]) else WRONG_ARGUMENTS)
    import child
    import setup_env

    with child.reporting():
        os.chdir(str(setup_env.ROOT))
        python = str(setup_env.prepare(tests=arguments[0] == "check"))
        environment = setup_env.bot_environment()
        if arguments[0] == "setup":
            agent_setup()
            return
        commands = [[python, "-m", "ruff", "check", "."], [python, "-m", "mypy"]]
        if arguments[0] == "bench":
            commands = [[python, "scripts/bench_latency.py", *arguments[1:]]]
        sys.exit(max(child.in_foreground(command, environment) for command in commands))


def agent_stamp():
    import setup_env

    return setup_env.ROOT / ".venv-agent" / "sidetone.json"


def agent_fingerprint() -> str:
    import hashlib

    import setup_env

    text = (setup_env.ROOT / setup_env.AGENT_REQUIREMENTS).read_bytes().replace(b"\r\n", b"\n")
    return hashlib.sha256(text).hexdigest()


def agent_is_old() -> bool:
    """Whether .venv-agent was made from other requirements. One that was made by hand says nothing about that."""
    try:
        return agent_stamp().read_text(encoding="utf-8") != agent_fingerprint()
    except OSError:
        return False


def agent_setup() -> None:
    """.venv-agent, from requirements-wsl.txt; in WSL on Windows."""
    import child
    import services
    import setup_env
    import wsl_side

    if agent_stamp().exists() and not agent_is_old():
        child.say(".venv and .venv-agent are up to date.")
        return
    root, requirements = setup_env.ROOT, setup_env.AGENT_REQUIREMENTS
    if os.name == "nt":
        distribution = services.own_setting("WSL_DISTRO")
        commands = [wsl_side.in_distribution(distribution, str(root), wsl_side.setup_script(requirements))]
    else:
        python = root / wsl_side.VENV / "bin" / "python"
        base = getattr(sys, "_base_executable", None) or sys.executable
        commands = [
            [str(python), "-m", "pip", "install", "--disable-pip-version-check", "-r", str(root / requirements)]
        ]
        if not python.exists():
            commands.insert(0, [base, "-m", "venv", "--clear", str(root / wsl_side.VENV)])
    with setup_env.alone(setup_env.LOG) as log:
        for command in commands:
            try:
                child.run("Bringing .venv-agent up to date", command, log, dict(setup_env.pip_environment()))
            except (child.Failed, OSError) as error:
                words = error.output.strip().splitlines()[-1:] if isinstance(error, child.Failed) else [str(error)]
                raise child.SetupError(
                    f".venv-agent could not be made: {' '.join(words)} The log is {setup_env.LOG}.", AGENT_SETUP
                ) from error
    agent_stamp().write_text(agent_fingerprint(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
