"""Sets up what is missing and starts Sidetone: the Discord bot, a conversation by microphone, or one on a file."""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import find_python

USAGE = """python scripts/run.py [COMMAND ...]

Sets up what is missing (.venv, packages, models: the first time takes minutes, later starts do not wait), then:
  without COMMAND    the Discord bot if DISCORD_TOKEN is set (environment or .env),
                     else a conversation through microphone and loudspeaker,
                     else, without a microphone, one question from a file, answered into replies/reply.wav
  with COMMAND       passed on to the bot, for example:
                     talk --wav q.wav     ask "What does git rebase do?"     doctor     models list
                     COMMAND --help explains each

SIDETONE_SYSTEM_PACKAGES=off leaves the system's package manager alone. The log of the set-up is logs/setup.log.
"""
QUESTION = "tests/audio/question.wav"
REPLY = "replies/reply.wav"
PROBE = "import sys; from bot.audio.devices import has_microphone; sys.exit(0 if has_microphone() else 3)"
NO_MICROPHONE = 3


def main(arguments: list) -> None:
    find_python.insist()
    if arguments[:1] in (["-h"], ["--help"]):
        print(USAGE, end="")
        return
    import child
    import setup_env

    with child.reporting():
        python = setup_env.prepare()
        if arguments[:1] not in (["doctor"], ["models"]) and not {"-h", "--help"} & set(arguments):
            setup_env.fetch_models(python)
        command = setup_env.bot_command(python, *(arguments or what_to_start(python)))
    find_python.hand_over(command, setup_env.bot_environment())


def what_to_start(python) -> list:
    """The bot's arguments when the user gave none; says what was chosen and why."""
    import child
    import setup_env

    if setting("DISCORD_TOKEN", setup_env.ROOT / ".env"):
        child.say("DISCORD_TOKEN is set: starting the Discord bot.")
        return []
    if has_microphone(python):
        child.say("No DISCORD_TOKEN: starting a conversation through microphone and loudspeaker.")
        return ["talk"]
    question, reply = (show(setup_env.ROOT / name) for name in (QUESTION, REPLY))
    (setup_env.ROOT / REPLY).parent.mkdir(exist_ok=True)
    child.say(f"There is no microphone here: asking the question in {question}; the answer is written to {reply}.")
    return ["talk", "--wav", question, "--out", reply]


def show(path) -> str:
    """Short where it can be: relative to the folder that the user is in."""
    try:
        return str(path.relative_to(os.getcwd()))
    except ValueError:
        return str(path)


def has_microphone(python) -> bool:
    """By asking the bot. When the question itself fails, `talk` is the one to say why."""
    import subprocess

    import setup_env

    try:
        command = [str(python), "-P", "-c", PROBE]
        code = subprocess.run(command, env=setup_env.bot_environment(), capture_output=True, timeout=15, check=False)
    except subprocess.TimeoutExpired:
        return False
    return code.returncode != NO_MICROPHONE


def setting(name: str, env_file) -> str:
    """As the bot reads it: the environment wins, also when it is empty."""
    if name in os.environ:
        return os.environ[name].strip()
    value = ""
    if env_file.is_file():
        for line in env_file.read_text(encoding="utf-8-sig", errors="replace").splitlines():
            key, separator, rest = line.strip().partition("=")
            if separator and key.replace("export ", "", 1).strip() == name:
                value = unquoted(rest.strip())
    return value


def unquoted(text: str) -> str:
    if text[:1] in ("'", '"') and text.find(text[0], 1) > 0:
        return text[1 : text.find(text[0], 1)].strip()
    return re.split(r"\s+#", text)[0].strip()


if __name__ == "__main__":
    main(sys.argv[1:])
