"""How the text after `!run` becomes a command. Pure.

Plain words run as they are, without a shell, and may be on the agent's list of commands that need no approval. What
only a shell understands (pipes, redirections, variables, globs, ...) goes to one as the line that was written; when in
doubt it is a shell's.
"""

from __future__ import annotations

import re
import shlex

from bot.agent_types import Command

SPECIAL = frozenset("|&;<>()$`*?[]{}~#!=\\\n\r\0")
"""Outside quotes these mean something to bash, some only in some places."""
SPECIAL_IN_DOUBLE_QUOTES = frozenset("$`\\!\r\0")
HARMLESS = re.compile(r"--?[A-Za-z][\w-]*=[\w@%+:,./-]*")
"""A word like `--name=value` is one to every shell, and too common to need one."""
SHELL_WORDS = frozenset(
    re.findall(
        r"\S+",
        ". : [ [[ alias bg bind break builtin case cd command compgen complete continue coproc declare dirs disown "
        "enable eval exec exit export fc fg for function getopts hash help history if jobs let local logout mapfile "
        "popd pushd read readonly return select set shift shopt source suspend time times trap type typeset ulimit "
        "umask unalias unset until wait while",
    )
)
"""Words that are no programs but parts of a shell."""
BLANK = " \t\r\n"
"""What separates words for bash; other white space belongs to them."""
FENCED = re.compile(r"```(?:[\w+-]*\n)?(.*?)\n?```", re.DOTALL)
LONGEST = 1500
"""Characters: the whole command has to fit into the message that asks for approval."""


class CommandTextError(ValueError):
    """A sentence for the user."""


def parse(text: str) -> Command:
    """Raises CommandTextError."""
    line = unformatted(text)
    if not line:
        raise CommandTextError("There is no command. Write it after the name: `!run git status`")
    if "\0" in line:
        raise CommandTextError("A command cannot contain the character NUL.")
    if len(line) > LONGEST:
        raise CommandTextError(
            f"This command has {len(line)} characters; I take up to {LONGEST}, so that all of it can be shown to who "
            "approves it. Put the rest into a script."
        )
    if not _needs_shell(line):
        try:
            words = shlex.split(line)
        except ValueError:
            raise CommandTextError("A quotation mark in this command is never closed.") from None
        if words and words[0] not in SHELL_WORDS:
            return Command(tuple(words))
    return Command((line,), for_shell=True)


def unformatted(text: str) -> str:
    """Without the code marks that people put around a command in Discord."""
    text = text.strip(BLANK)
    if fenced := FENCED.fullmatch(text):
        return fenced[1].strip(BLANK)
    if len(text) > 2 and text[0] == text[-1] == "`" and "`" not in text[1:-1]:
        return text[1:-1].strip(BLANK)
    return text


def _needs_shell(line: str) -> bool:
    """Whether anything outside single quotes means more to a shell than itself."""
    quote = ""
    word = ""
    for character in f"{line} ":
        if quote:
            if character == quote:
                quote = ""
            elif quote == '"' and character in SPECIAL_IN_DOUBLE_QUOTES:
                return True
        elif character in "'\"":
            quote = character
            word += character
        elif character in " \t":
            if SPECIAL & set(word) and not HARMLESS.fullmatch(word):
                return True
            word = ""
        else:
            word += character
            if character in "\n\r\\":
                return True
    return False
