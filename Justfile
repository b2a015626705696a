# One word for each thing one does with Sidetone. `just` alone lists them; from PowerShell and from bash.
set windows-shell := ["powershell.exe", "-NoLogo", "-NoProfile", "-Command"]

python := if os_family() == "windows" { "python" } else { "python3" }

# Lists the recipes
default:
    @just --list --unsorted --justfile "{{ justfile() }}"

# Makes or updates .venv (the bot) and .venv-agent (the agent; in WSL on Windows), where requirements have changed
setup:
    {{ python }} scripts/develop.py setup

# Fetches the model files that are missing or have changed; `just models list`, `just models verify`
models *action="fetch":
    {{ python }} scripts/run.py models {{ action }}

# Starts the Discord bot in this terminal, or a conversation when there is no DISCORD_TOKEN
run *arguments:
    {{ python }} scripts/run.py {{ arguments }}

# Talks through microphone and loudspeaker
talk *arguments:
    {{ python }} scripts/run.py talk {{ arguments }}

# Runs the tests; `just test --fast` the unit tests alone
test *arguments:
    {{ python }} scripts/test.py {{ arguments }}

# Runs the linter and the type checker
check:
    {{ python }} scripts/develop.py check

# Measures from the last word to the first sound; `just bench -n 3 --json FILE`
bench *arguments:
    {{ python }} scripts/develop.py bench {{ arguments }}

# Starts the Discord bot in the background
discord-start-bg:
    {{ python }} scripts/service.py start bot

# Ends the Discord bot that runs in the background
discord-stop-bg:
    {{ python }} scripts/service.py stop bot

# Starts the tool agent in the background (in WSL on Windows)
backend-start:
    {{ python }} scripts/service.py start agent

# Ends the tool agent
backend-stop:
    {{ python }} scripts/service.py stop agent

# Shows the end of the agent's log; `just backend-logs --follow` goes on
backend-logs *arguments:
    {{ python }} scripts/service.py logs agent {{ arguments }}

# Starts the agent, then the bot
start-all:
    {{ python }} scripts/service.py start agent bot

# Ends the bot, then the agent
stop-all:
    {{ python }} scripts/service.py stop bot agent

# Shows what runs, for how long, in how much memory, and whether the models are there; fails when something is down
status:
    {{ python }} scripts/service.py status

# Removes the logs of what does not run
clean-logs:
    {{ python }} scripts/service.py clean-logs

# Says what works on this machine, and how to mend what does not
doctor:
    {{ python }} scripts/run.py doctor
