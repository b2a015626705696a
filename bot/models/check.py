"""Before the models are loaded: is each file the one that the manifest means?"""

from __future__ import annotations

from collections.abc import Sequence

from bot.errors import ModelDamaged
from bot.models.catalogue import Catalogue
from bot.models.store import State, Store
from bot.worker import Worker


async def ensure_whole(catalogue: Catalogue, parts: Sequence[str]) -> None:
    """Raises ModelDamaged. A file is hashed only when it is new here or has changed since it was hashed (seconds,
    once); what is missing, and what the user brought, is for `Catalogue.locate` to judge."""
    store = Store(catalogue.folder)
    worker = Worker("check-models")
    try:
        for part in parts:
            if catalogue.own(part) is not None:
                continue
            model = catalogue.chosen(part)
            for file in model.files:
                state = store.state(file)
                if state is State.UNCHECKED:
                    state = await worker.run(store.verify, file)
                if state is State.DAMAGED:
                    raise ModelDamaged(
                        f"The model file {store.path(file)} is damaged: run `python -m bot models fetch {model.name}`, "
                        "which replaces it."
                    )
    finally:
        worker.close()
