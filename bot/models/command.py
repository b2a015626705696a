"""`python -m bot models [list|fetch|verify]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from bot.config import Settings
from bot.errors import ModelDamaged, ModelMissing
from bot.models.catalogue import Catalogue
from bot.models.manifest import Model, shipped
from bot.models.store import State, Store


async def run(action: str, settings: Settings, profile: str | None, names: list[str]) -> int:
    """`profile` stands in for the settings' own; `names` (of models or parts) for what the profile asks for."""
    models = settings.models if profile is None else replace(settings.models, profile=profile)
    catalogue = Catalogue(models)
    store = Store(models.folder)
    named = [model for name in names for model in shipped().named(name)]
    wanted = named or catalogue.wanted(torch=settings.voice.tts_engine == "kokoro")
    match action:
        case "fetch":
            return await _fetch(store, wanted, catalogue.profile)
        case "verify":
            return await _verify(store, named or _there(store, wanted))
        case _:
            return _list(store, named or shipped().models, wanted, catalogue)


async def _fetch(store: Store, models: Sequence[Model], profile: str) -> int:
    """Nothing heavy is imported when all is there: every start of the bot passes here."""
    if any(store.state(file) is not State.WHOLE for model in models for file in model.files):
        from bot.models.fetcher import Fetcher
        from bot.models.progress import FetchProgress

        with FetchProgress() as progress:
            await Fetcher(store, progress).fetch(models)
    size = sum(model.size for model in models) / 1e6
    sys.stdout.write(f"All {len(models)} models are there ({profile}, {size:.0f} MB, {store.folder}).\n")
    return 0


async def _verify(store: Store, models: Sequence[Model]) -> int:
    """Hashes every file anew, whatever is remembered of it."""
    from bot.console import make_console
    from bot.models.progress import FetchProgress
    from bot.worker import Worker

    console = make_console()
    found: dict[State, list[str]] = {State.DAMAGED: [], State.MISSING: []}
    worker = Worker("verify-models")
    try:
        with FetchProgress(console, "verifying", lines=False) as progress:
            progress.total(sum(model.size for model in models))
            for model in models:
                states = []
                for file in model.files:
                    state = await worker.run(store.verify, file)
                    progress.at(file.path, file.size)
                    states.append(state)
                    if state is not State.WHOLE:
                        what = "is damaged" if state is State.DAMAGED else "is not there"
                        fix = f"run `python -m bot models fetch {model.name}`"
                        console.print(f"{store.path(file)} {what}: {fix}.")
                        found[state].append(file.path)
                if all(state is State.WHOLE for state in states):
                    console.print(f"{model.name}: whole ({len(states)} of {len(states)} files)")
    finally:
        worker.close()
    if found[State.DAMAGED]:
        return ModelDamaged.exit_code
    return ModelMissing.exit_code if found[State.MISSING] else 0


def _there(store: Store, wanted: Sequence[Model]) -> list[Model]:
    """What must be there, and what is there beside it."""
    return [m for m in shipped().models if m in wanted or all(store.path(file).exists() for file in m.files)]


def _list(store: Store, models: Sequence[Model], wanted: Sequence[Model], catalogue: Catalogue) -> int:
    from rich import box
    from rich.table import Table

    from bot.console import make_console, size

    console = make_console()
    title = f"Models in {store.folder} (* is what the profile {catalogue.profile} fetches)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "part", "profiles", "size", "state"):
        table.add_column(heading, overflow="fold", no_wrap=True)
    for model in models:
        states = {store.state(file) for file in model.files}
        worst = next(s for s in (State.DAMAGED, State.MISSING, State.UNCHECKED, State.WHOLE) if s in states)
        profiles = ("all" if len(model.profiles) > 1 else ", ".join(model.profiles)) or "by name"
        name = f"{'*' if model in wanted else ' '} {model.name}"
        table.add_row(name, model.part, profiles, size(model.size), worst.value)
    console.print(table)
    for model in models:
        console.print(f"{model.name}: {model.path}. {model.licence}. {model.origin}. {model.note}".rstrip())
    for part in sorted({model.part for model in models}):
        if (own := catalogue.own(part)) is not None:
            console.print(f"{part}: yours, {own}.")
    return 0
