"""What imports mean: the names they bind, the files they name."""

from __future__ import annotations

import pytest

from indexer.chunk import Import
from indexer.imports import Resolver, expanded
from indexer.outline import outline

CASES = [
    # language, workspace, importing file, code, files meant by each import
    ("python", "app/a.py app/b.py app/__init__.py", "app/a.py", "from . import b", ["app/b.py"]),
    ("python", "app/sub/a.py app/b.py", "app/sub/a.py", "from ..b import thing", ["app/b.py"]),
    ("python", "src/pkg/__init__.py src/pkg/db.py t.py", "t.py", "import pkg.db", ["src/pkg/db.py"]),
    (
        "python",
        "src/pkg/__init__.py src/pkg/db.py t.py",
        "t.py",
        "from pkg import db, VERSION",
        ["src/pkg/db.py src/pkg/__init__.py"],
    ),
    ("python", "src/pkg/__init__.py src/pkg/json.py t.py", "t.py", "import json", [""]),
    ("python", "tools/helper.py tools/run.py", "tools/run.py", "import helper", ["tools/helper.py"]),
    ("typescript", "src/a.ts src/b.ts", "src/a.ts", 'import {x} from "./b.js"', ["src/b.ts"]),
    ("typescript", "src/a.ts src/api/index.tsx", "src/a.ts", 'import x from "./api"', ["src/api/index.tsx"]),
    ("typescript", "src/deep/a.ts src/lib/b.ts", "src/deep/a.ts", 'import x from "@/lib/b"', ["src/lib/b.ts"]),
    (
        "typescript",
        "packages/core/package.json packages/core/src/index.ts app/a.ts",
        "app/a.ts",
        'import x from "@me/core"',
        ["packages/core/src/index.ts"],
    ),
    ("javascript", "a.js b.js", "a.js", 'const b = require("./b")', ["b.js"]),
    ("javascript", "a.js", "a.js", 'import react from "react"', [""]),
    ("c", "src/a.c src/a.h", "src/a.c", '#include "a.h"\n#include <stdio.h>\n', ["src/a.h", ""]),
    ("cpp", "src/a.cpp include/lib/b.h", "src/a.cpp", '#include "lib/b.h"\n', ["include/lib/b.h"]),
    (
        "go",
        "util/u.go util/u_test.go main.go",
        "main.go",
        'package main\nimport "github.com/me/proj/util"\nimport "fmt"\n',
        ["util/u.go", ""],
    ),
    (
        "rust",
        "src/lib.rs src/store.rs src/a/mod.rs",
        "src/lib.rs",
        "mod store;\nmod a;",
        ["src/store.rs", "src/a/mod.rs"],
    ),
    ("rust", "src/lib.rs src/store.rs src/x.rs", "src/x.rs", "use crate::store::Store;", ["src/store.rs"]),
    ("rust", "src/lib.rs src/x/y.rs src/x/z.rs", "src/x/y.rs", "use super::z::Z;", ["src/x/z.rs"]),
    ("rust", "src/lib.rs crates/my-lib/src/lib.rs", "src/lib.rs", "use my_lib::X;", ["crates/my-lib/src/lib.rs"]),
    (
        "java",
        "src/com/acme/A.java src/com/acme/B.java",
        "src/com/acme/A.java",
        "import com.acme.B;",
        ["src/com/acme/B.java"],
    ),
    ("java", "src/com/acme/A.java", "src/com/acme/A.java", "import java.util.List;", [""]),
    (
        "kotlin",
        "src/com/acme/a/A.kt src/com/acme/B.kt",
        "src/com/acme/a/A.kt",
        "import com.acme.B\n",
        ["src/com/acme/B.kt"],
    ),
    (
        "scala",
        "src/acme/a/A.scala src/acme/B.scala",
        "src/acme/a/A.scala",
        "import acme.{B => C}\n",
        ["src/acme/B.scala"],
    ),
    ("csharp", "Web/A.cs Acme/Data/B.cs", "Web/A.cs", "using Acme.Data;", ["Acme/Data/B.cs"]),
    ("php", "index.php app/Models/User.php", "index.php", "<?php use App\\Models\\User;", ["app/Models/User.php"]),
    ("php", "index.php lib/x.php", "index.php", "<?php require_once 'lib/x.php';", ["lib/x.php"]),
    ("ruby", "lib/a.rb lib/b.rb", "lib/a.rb", 'require_relative "b"', ["lib/b.rb"]),
    ("ruby", "lib/acme/b.rb bin/x.rb", "bin/x.rb", 'require "acme/b"', ["lib/acme/b.rb"]),
    ("lua", "main.lua lib/json.lua", "main.lua", 'local json = require("lib.json")', ["lib/json.lua"]),
    ("shellscript", "bin/a.sh bin/lib.sh", "bin/a.sh", 'source "$DIR/lib.sh"\n', ["bin/lib.sh"]),
]


@pytest.mark.parametrize(("language", "workspace", "path", "code", "meant"), CASES)
def test_an_import_means_files_of_the_workspace(
    language: str, workspace: str, path: str, code: str, meant: list[str]
) -> None:
    resolver = Resolver(workspace.split())
    imports = outline(code, language).imports
    assert [resolver.resolve(imported, path, language) for imported in imports] == [tuple(m.split()) for m in meant]


BINDINGS = [
    ("python", "import a.b, c as d\nfrom .e import f, g as h\nfrom i import *", "a.b:a c:d .e:f,h i:*"),
    ("typescript", 'import a, {b as c, type D} from "x"; import * as e from "y"', "x:D,a,c y:e"),
    ("javascript", 'const {a, b: c} = require("x")', "x:a,c"),
    ("go", 'package a\nimport (\n"net/http"\nj "json"\n. "dot"\n_ "side"\n)', "net/http:http json:j dot:*"),
    ("rust", "use a::{b, c as d, e::*, f::{self, g}};", "a::b:b a::c:d a::e:* a::f:f a::f::g:g"),
    ("java", "import a.B;\nimport static a.C.*;", "a.B:B a.C:*"),
    ("kotlin", "import a.B\nimport a.C as D\n", "a.B:B a.C:D"),
    ("csharp", "using A.B; using C = D.E;", "A.B:B D.E:C"),
    ("php", "<?php use A\\{B, C as D};", "A\\B:B A\\C:D"),
    ("lua", "local a = require 'b'", "b:a"),
]


@pytest.mark.parametrize(("language", "code", "bound"), BINDINGS)
def test_imports_bind_the_names_that_the_code_below_uses(language: str, code: str, bound: str) -> None:
    found = [f"{one.module}:{','.join(sorted(one.names))}" for one in outline(code, language).imports]
    assert sorted(found) == sorted(bound.split())


def test_files_come_and_go() -> None:
    resolver = Resolver(["a.py"])
    imported = Import("b", ("b",), 1)
    assert resolver.resolve(imported, "a.py", "python") == ()
    resolver.add("b.py")
    assert resolver.resolve(imported, "a.py", "python") == ("b.py",)
    resolver.remove("b.py")
    assert resolver.resolve(imported, "a.py", "python") == ()


def test_the_nearest_of_several_is_meant() -> None:
    resolver = Resolver(["one/src/util.h", "two/src/util.h", "two/app/main.c"])
    assert resolver.resolve(Import("src/util.h", (), 1), "two/app/main.c", "c") == ("two/src/util.h",)


def test_nested_braces_cannot_explode() -> None:
    assert len(list(expanded("{a,b}::" * 100))) <= 2_000
    assert len(list(expanded("a::{b," * 500))) <= 2_000
