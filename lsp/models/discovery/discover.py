"""All models that other programs have put on this disk, with what their files say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lsp.models.discovery.candidates import Candidate, candidates
from lsp.models.discovery.duplicates import Copy, duplicates
from lsp.models.discovery.facts import Facts
from lsp.models.discovery.memory import Known, Memory
from lsp.models.discovery.places import missing


@dataclass(frozen=True)
class Found:
    """A model in another program's store; read-only to midline.

    ``path`` is its file, of a split one the first; ``bytes`` is of all its files. ``sha256`` is what its store says or,
    if ``hashed``, what was computed. ``same_as`` names a model before it with the same bytes. Where ``facts`` is
    None, ``problem`` says why the file can't be used.
    """

    name: str
    path: Path
    source: str
    bytes: int
    facts: Facts | None
    sha256: str = ""
    hashed: bool = False
    licence: str = ""
    same_as: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Owned:
    """A model that midline has installed itself, for comparison; ``facts`` is None where its file can't be read."""

    name: str
    path: Path
    sha256: str
    facts: Facts | None = None


@dataclass(frozen=True)
class Discovery:
    """What was found, what is known of midline's own, and a sentence for each thing that is wrong."""

    found: tuple[Found, ...]
    own: tuple[Owned, ...]
    problems: tuple[str, ...]


def discover(
    folders: Sequence[str] = (), own: Iterable[Owned] = (), sha256_of: Callable[[str, Path], str] | None = None
) -> Discovery:
    """Find the models of other programs, and read those headers that weren't read before.

    Args:
        folders: further folders to look into, from the settings.
        own: midline's own models, whose bytes may be the same.
        sha256_of: if given, it is called with each model's name and its file, unless that is split or was hashed
            before, to read it whole.
    """
    problems = missing(folders)
    memory = Memory()
    looked: list[tuple[Candidate, Known]] = []
    for candidate in candidates(folders, problems.append):
        try:
            known = memory.look(candidate.path)
            if sha256_of and known.facts and len(known.parts) == 1 and not known.sha256:
                known.sha256 = sha256_of(candidate.name, candidate.path)
        except OSError as error:
            problems.append(f"can't read {candidate.path}: {error.strerror or error}")
            continue
        if known.problem:
            problems.append(f"{candidate.name}: {known.problem.rstrip('.')}")
        looked.append((candidate, known))
    owned, copies = _look_at_own(own, memory)
    copies += [Copy(one.name, known, known.sha256 or _of_all(one, known)) for one, known in looked if known.facts]
    same = duplicates(copies)
    memory.save()
    found = [_found(candidate, known, same.get(candidate.name, "")) for candidate, known in looked]
    return Discovery(tuple(found), tuple(owned), tuple(problems))


def _look_at_own(own: Iterable[Owned], memory: Memory) -> tuple[list[Owned], list[Copy]]:
    models, copies = [], []
    for model in own:
        try:
            known = memory.look(model.path)
        except OSError:
            models.append(model)
            continue
        models.append(replace(model, facts=known.facts))
        copies.append(Copy(model.name, known, model.sha256))
    return models, copies


def _of_all(candidate: Candidate, known: Known) -> str:
    """What the store's sha256 says of the whole model: of a split one, it is that of a part."""
    return candidate.sha256 if len(known.parts) == 1 else ""


def _found(candidate: Candidate, known: Known, same_as: str) -> Found:
    licence = known.facts.licence if known.facts else None
    return Found(
        name=candidate.name,
        path=Path(known.parts[0]),
        source=candidate.source,
        bytes=known.bytes,
        facts=known.facts,
        sha256=known.sha256 or _of_all(candidate, known),
        hashed=bool(known.sha256),
        licence=licence or candidate.licence,
        same_as=same_as,
        problem=known.problem,
    )
