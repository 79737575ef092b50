"""Which language a file is in, by its name; identifiers are those of LSP's ``languageId``."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import NamedTuple


class _Language(NamedTuple):
    id: str
    line_comment: str  # empty: the language has none
    names: str  # suffixes and whole file names, lower case
    aliases: str = ""  # what editors call it instead (Neovim sends its filetypes)


_TABLE = (
    _Language("bat", "REM", ".bat .cmd", "dosbatch"),
    _Language("c", "//", ".c .h"),
    _Language("clojure", ";", ".clj .cljs .cljc .edn"),
    _Language("cmake", "#", ".cmake cmakelists.txt"),
    _Language("cpp", "//", ".cpp .cc .cxx .c++ .hpp .hh .hxx .h++ .ipp .inl .ino", "c++"),
    _Language("csharp", "//", ".cs .csx", "cs"),
    _Language("css", "", ".css"),
    _Language("dart", "//", ".dart"),
    _Language("dockerfile", "#", ".dockerfile dockerfile containerfile"),
    _Language("elixir", "#", ".ex .exs"),
    _Language("erlang", "%", ".erl .hrl"),
    _Language("fsharp", "//", ".fs .fsi .fsx"),
    _Language("go", "//", ".go"),
    _Language("graphql", "#", ".graphql .gql"),
    _Language("groovy", "//", ".groovy .gradle jenkinsfile"),
    _Language("haskell", "--", ".hs"),
    _Language("html", "", ".html .htm .xhtml"),
    _Language("ini", ";", ".ini .cfg .editorconfig .gitconfig", "dosini cfg gitconfig editorconfig"),
    _Language("java", "//", ".java"),
    _Language("javascript", "//", ".js .mjs .cjs"),
    _Language("javascriptreact", "//", ".jsx", "javascript.jsx"),
    _Language("json", "", ".json .webmanifest .ipynb"),
    _Language("jsonc", "//", ".jsonc .code-workspace tsconfig.json jsconfig.json .eslintrc.json"),
    _Language("julia", "#", ".jl"),
    _Language("kotlin", "//", ".kt .kts"),
    _Language("latex", "%", ".tex .sty .cls", "tex plaintex"),
    _Language("less", "//", ".less"),
    _Language("lua", "--", ".lua"),
    _Language("makefile", "#", ".mk .mak makefile gnumakefile", "make"),
    _Language("markdown", "", ".md .markdown .mdown"),
    _Language("nix", "#", ".nix"),
    _Language("objective-c", "//", ".m", "objc"),
    _Language("objective-cpp", "//", ".mm", "objcpp"),
    _Language("ocaml", "", ".ml .mli"),
    _Language("pdf", "", ".pdf"),
    _Language("perl", "#", ".pl .pm .t"),
    _Language("php", "//", ".php .phtml"),
    _Language("powershell", "#", ".ps1 .psm1 .psd1", "ps1"),
    _Language("python", "#", ".py .pyi .pyw .bzl .star sconstruct sconscript"),
    _Language("r", "#", ".r"),
    _Language("restructuredtext", "", ".rst", "rst"),
    _Language("ruby", "#", ".rb .rake .gemspec gemfile rakefile vagrantfile"),
    _Language("rust", "//", ".rs"),
    _Language("scala", "//", ".scala .sc .sbt"),
    _Language("scss", "//", ".scss"),
    _Language(
        "shellscript",
        "#",
        ".sh .bash .zsh .ksh .bats .bashrc .bash_profile .profile .zshrc .zshenv .envrc pkgbuild",
        "sh bash zsh ksh",
    ),
    _Language("sql", "--", ".sql"),
    _Language("svelte", "", ".svelte"),
    _Language("swift", "//", ".swift"),
    _Language("terraform", "#", ".tf .tfvars", "tf terraform-vars"),
    _Language("toml", "#", ".toml cargo.lock poetry.lock uv.lock"),
    _Language("typescript", "//", ".ts .mts .cts"),
    _Language("typescriptreact", "//", ".tsx", "typescript.tsx"),
    _Language("viml", '"', ".vim .vimrc", "vim"),
    _Language("vue", "", ".vue"),
    _Language("xml", "", ".xml .xsd .xsl .xslt .svg .csproj .props"),
    _Language("yaml", "#", ".yaml .yml .clang-format"),
    _Language("zig", "//", ".zig"),
)

_BY_NAME = {name: language.id for language in _TABLE for name in language.names.split()}
_BY_ALIAS = {alias: language.id for language in _TABLE for alias in language.aliases.split()}

LINE_COMMENT: dict[str, str] = {language.id: language.line_comment for language in _TABLE if language.line_comment}
"""What begins a comment up to the line's end, by language identifier; absent where there is no such thing."""


def language_of(path: str | os.PathLike[str]) -> str:
    """The language identifier of a file by its name alone (never opened); ``"plaintext"`` if unknown."""
    name = PurePath(path).name.lower()
    # The part before the first dot is for names like Dockerfile.dev and Makefile.am.
    for key in (name, PurePath(name).suffix, name.split(".")[0]):
        if key in _BY_NAME:
            return _BY_NAME[key]
    return "plaintext"


def canonical(language: str) -> str:
    """The LSP identifier of what an editor calls a language: ``sh`` is ``shellscript``."""
    language = language.lower()
    return _BY_ALIAS.get(language, language)
