"""KV snapshots: what was saved comes back, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from lsp.engine import snapshots
from lsp.engine.config import Adapter
from lsp.engine.ledger import Ledger
from lsp.engine.snapshots import MIN_TOKENS, Snapshots
from lsp.engine.worker import _erase
from lsp.errors import MidlineError


class Disk:
    """Memory whose sequences are lists of tokens; `full` makes writing fail as on a full disk."""

    def __init__(self, n_ctx: int = 4000) -> None:
        self.n_ctx = n_ctx
        self.sequences: dict[int, list[int]] = {}
        self.full = False
        self.writes = 0

    def save_file(self, seq: int, tokens: Sequence[int], path: Path) -> bool:
        self.writes += 1
        if self.full:
            path.write_bytes(b"half")
            return False
        path.write_text(json.dumps(list(tokens)))
        return True

    def load_file(self, seq: int, path: Path) -> list[int]:
        self.sequences[seq] = json.loads(path.read_text())
        return self.sequences[seq]

    def cut(self, seq: int, length: int) -> bool:
        self.sequences[seq] = self.sequences.get(seq, [])[:length]
        return True


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path))
    return tmp_path


def held(ledger: Ledger, key: str, tokens: Sequence[int], adapters: tuple[Adapter, ...] = ()) -> int:
    plan = ledger.plan(key, [*tokens, 0], 0, adapters=adapters)
    ledger.apply(plan, key)
    ledger.extend(plan.seq, tokens[plan.reused :])
    ledger.release(plan.seq)
    return plan.seq


def fresh(identity: str = "model", n_ctx: int = 4000) -> tuple[Disk, Ledger, Snapshots]:
    disk, ledger = Disk(n_ctx), Ledger(8, n_ctx)
    return disk, ledger, Snapshots(disk, ledger, identity)


def test_a_restart_holds_what_was_held_before() -> None:
    _, ledger, store = fresh()
    held(ledger, "a", range(300))
    held(ledger, "b", range(1000, 1200))
    store.save_all()
    disk, after, restored = fresh()
    assert restored.restore() == 500
    assert {h.key: h.tokens for h in after.idle()} == {"a": list(range(300)), "b": list(range(1000, 1200))}
    assert all(disk.sequences[h.seq] == h.tokens for h in after.idle())
    assert after.plan("a", [*range(300), 7], 0).reused == 300


def test_what_adapters_computed_serves_the_same_ones_alone() -> None:
    one, other = (Adapter("a.gguf", 1.0, "old"),), (Adapter("a.gguf", 1.0, "new"),)
    _, ledger, store = fresh()
    held(ledger, "a", range(300), one)
    held(ledger, "b", range(300))
    store.save_all()
    _, after, restored = fresh()
    assert restored.restore() == 600
    assert {h.key: h.adapters for h in after.idle()} == {"a": one, "b": ()}
    assert after.plan("c", range(300), 0, adapters=one).copy_from == after.with_prefix("a")[0].seq
    assert after.plan("a", range(300), 0, adapters=other).reused == 0
    assert after.plan("a", range(300), 0).copy_from == after.with_prefix("b")[0].seq


def test_the_same_tokens_with_other_adapters_are_saved_again() -> None:
    disk, ledger, store = fresh()
    held(ledger, "a", range(300))
    store.save_all()
    held(ledger, "a", range(300), (Adapter("a.gguf"),))
    store.save_all()
    assert disk.writes == 2
    assert fresh()[2].restore() == 300


def test_another_model_sees_nothing_of_it() -> None:
    _, ledger, store = fresh()
    held(ledger, "a", range(300))
    store.save_all()
    assert fresh("another model")[2].restore() == 0


def test_files_are_this_users_alone(home: Path) -> None:
    _, ledger, store = fresh()
    held(ledger, "a", range(300))
    store.save_all()
    files = [path for path in (home / "cache" / "kv").rglob("*") if path.is_file()]
    assert len(files) == 2
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing", "record", "empty"])
def test_a_damaged_snapshot_is_ignored_and_removed(home: Path, damage: str) -> None:
    _, ledger, store = fresh()
    held(ledger, "a", range(300))
    store.save_all()
    (data,) = (home / "cache" / "kv").rglob("*.kv")
    record = data.with_suffix(".json")
    content = data.read_bytes()
    if damage == "truncated":
        data.write_bytes(content[:-9])
    elif damage == "flipped":
        data.write_bytes(content.replace(b"17", b"71", 1))
    elif damage == "missing":
        data.unlink()
    elif damage == "record":
        record.write_text("{")
    else:
        record.write_text("")
    _, after, restored = fresh()
    assert restored.restore() == 0
    assert len(after) == 0
    assert not data.exists()
    assert not record.exists()


def test_a_full_disk_leaves_the_old_snapshot_and_nothing_half_made(home: Path) -> None:
    disk, ledger, store = fresh()
    held(ledger, "a", range(300))
    store.save_all()
    disk.full = True
    held(ledger, "a", range(900))
    assert not store.save_one()
    assert sorted(path.suffix for path in (home / "cache" / "kv").rglob("*.*")) == [".json", ".kv"]
    assert fresh()[2].restore() == 300


def test_short_sequences_are_not_worth_it() -> None:
    disk, ledger, store = fresh()
    held(ledger, "a", range(MIN_TOKENS - 1))
    store.save_all()
    assert disk.writes == 0


def test_a_few_keystrokes_write_nothing_until_the_end() -> None:
    disk, ledger, store = fresh()
    held(ledger, "a", range(300))
    assert store.save_one()
    for length in range(301, 350):
        held(ledger, "a", range(length))
        assert not store.save_one()
    assert disk.writes == 1
    store.save_all()
    assert disk.writes == 2
    assert fresh()[2].restore() == 349


def test_what_does_not_fit_is_left_and_the_last_used_comes_first() -> None:
    _, ledger, store = fresh()
    held(ledger, "old", range(900))
    held(ledger, "new", range(2000, 2900))
    store.save_all()
    _, after, restored = fresh(n_ctx=1500)
    assert restored.restore() == 900
    assert [h.key for h in after.idle()] == ["new"]


def test_the_oldest_go_when_all_are_too_large(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ledger, store = fresh()
    monkeypatch.setattr(snapshots, "MAX_BYTES", 4000)
    for number in range(4):
        held(ledger, f"key{number}", range(number * 1000, number * 1000 + 300))
        store.save_all()
    total = sum(path.stat().st_size for path in (home / "cache" / "kv").rglob("*.kv"))
    assert 0 < total <= 4000
    _, after, restored = fresh()
    restored.restore()
    assert "key3" in [h.key for h in after.idle()]


def test_what_was_deleted_goes_from_the_disk_whichever_model_read_it(home: Path) -> None:
    for identity in ("model", "other"):
        _, ledger, kept = fresh(identity)
        for key in ("chat:1", "chat:2"):
            held(ledger, key, range(100))
        kept.save_all()
    (home / "cache" / "kv" / "broken").mkdir()
    (home / "cache" / "kv" / "broken" / "x.json").write_text("{")
    snapshots.erase("chat:1")
    for identity in ("model", "other"):
        _, ledger, kept = fresh(identity)
        assert kept.restore() == 100
        assert [one.key for one in ledger.idle()] == ["chat:2"]
    assert len(list((home / "cache" / "kv").glob("*/*.kv"))) == 2


def test_what_cannot_be_removed_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ledger, kept = fresh()
    held(ledger, "chat:1", range(100))
    kept.save_all()

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(MidlineError, match=r"can't be removed from .*kv: Permission denied"):
        snapshots.erase("chat:1")
    _erase("chat:1")  # as the engine does: it goes on
