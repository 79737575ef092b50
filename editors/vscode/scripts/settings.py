"""Write the server's settings into the extension's manifest: ``python editors/vscode/scripts/settings.py``.

``--check`` changes nothing, and ends with 1 where the manifest is behind.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from lsp.setting import Rule
from lsp.settings import Settings

FOLDER = Path(__file__).parents[1]
# What the server doesn't know: the extension's own settings.
_OWN = ("midline.path", "midline.edits.display")
_OWN_TEXTS = tuple(f"setting.{name.removeprefix('midline.')}" for name in _OWN)
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def schema(name: str, rule: Rule, default: Any) -> dict[str, Any]:
    """One setting as VS Code has it."""
    told: dict[str, Any] = {}
    if rule.kind is None:
        told |= {"type": "string", "enum": list(rule.also)}
    elif rule.kind in _TYPES:
        kind = _TYPES[rule.kind]
        words = [value for value in rule.also if isinstance(value, str)]
        told |= {"type": [kind, "string"], "pattern": f"^({'|'.join(words)})$"} if words else {"type": kind}
        low = min([rule.low, *(value for value in rule.also if isinstance(value, int))])
        told |= {key: value for key, value in {"minimum": low, "maximum": rule.high}.items() if math.isfinite(value)}
    else:
        told |= {"type": "array", "items": {"type": "string", "minLength": 1}}
    # A workspace is anybody's: what it can't say in its midline.toml, it can't say in its settings.json either.
    scope = "machine" if rule.user_only or rule.by_name else "resource"
    return told | {
        "default": list(default) if isinstance(default, tuple) else default,
        "scope": scope,
        "markdownDescription": f"%setting.{name}%",
    }


def settings() -> tuple[dict[str, Any], dict[str, str]]:
    """The properties of the manifest, and their texts."""
    properties, texts = {}, {}
    for section in fields(Settings):
        value: Any = section.default
        for leaf in fields(value):
            name, rule = f"{section.name}.{leaf.name}", leaf.metadata["rule"]
            properties[f"midline.{name}"] = schema(name, rule, getattr(value, leaf.name))
            texts[f"setting.{name}"] = rule.text
    return properties, texts


def updated() -> dict[Path, str]:
    """What the manifest's files should hold."""
    properties, texts = settings()
    manifest, words = FOLDER / "package.json", FOLDER / "package.nls.json"
    data, said = (json.loads(path.read_text(encoding="utf-8")) for path in (manifest, words))
    configuration = data["contributes"]["configuration"][0]
    own = {name: value for name, value in configuration["properties"].items() if name in _OWN}
    configuration["properties"] = own | properties
    kept = {key: text for key, text in said.items() if not key.startswith("setting.") or key.startswith(_OWN_TEXTS)}
    return {
        path: json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        for path, content in ((manifest, data), (words, kept | texts))
    }


def main() -> int:
    """Write, or compare."""
    behind = {path: text for path, text in updated().items() if path.read_text(encoding="utf-8") != text}
    if "--check" in sys.argv[1:]:
        for path in behind:
            print(f"{path} is behind lsp/settings.py: run {Path(__file__).name}", file=sys.stderr)
        return 1 if behind else 0
    for path, text in behind.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
