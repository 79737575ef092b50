"""Secrets: files that hold nothing else, known by their names, and secrets within a text, which are painted over.

A secret is known

- by its shape, where its issuer gives one (``ghp_…``, ``AKIA…``, a private key's block);
- by the name that it is assigned to (``password``, ``api_key``), unless the value is plainly none: an expression, a
  placeholder, a word that says what goes there;
- by looking random: upper and lower case and digits mixed as no name mixes them. Hexadecimal alone is no sign: it is
  what hashes and ids of all kinds look like.

It paints over too much rather than too little; what is lost is a constant in an index, not in the user's file.
Plain code is passed over quickly: numpy finds the words with several steps between letters and digits, and most of the
expressions are tried on their lines only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

MARKER = "<redacted>"

_Span = tuple[int, int, str]
"""Where a secret begins and ends, and its kind."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What was painted over: never the value itself."""

    line: int
    """From 1."""
    kind: str


# -- files that are secret as a whole ----------------------------------------------------------------------------------

_HARMLESS = re.compile(r"(?:^|[._-])(?:example|sample|template|dist|defaults?|tmpl|tpl|schema|pub)(?:$|[._-])")
_SECRET_NAMES = (
    (
        re.compile(r"^\.env(?:rc)?(?:[._-].*)?$|^[^.].*\.env$|^env\.(?:local|prod|production|secret)$"),
        "environment file",
    ),
    (
        re.compile(
            r"\.(?:pem|key|p12|pfx|pkcs12|p8|jks|keystore|bks|kdbx?|ppk|asc|gpg|pgp|age|ovpn|crt|cer|der|p7b|csr|keychain"
            r"|agekey|cred|wallet|mobileprovision|publishsettings)$|^(?:id_(?:rsa|dsa|ecdsa|ed25519)|ssh_host_.*key)"
            r"|^(?:secring|pubring|trustdb)|^master\.key$|^identity$"
        ),
        "key or certificate",
    ),
    (
        re.compile(
            r"^[._]?(?:netrc|npmrc|yarnrc|pypirc|git-credentials|htpasswd|htdigest|pgpass|my\.cnf|mylogin\.cnf|s3cfg|boto"
            r"|dockercfg|dockerconfigjson|rclone\.conf|vault[-_]pass(?:word)?(?:\.txt)?|terraformrc|condarc|msmtprc|esmtprc"
            r"|smbcredentials|passwd|shadow|bash_history|zsh_history|psql_history|mysql_history|python_history"
            r"|node_repl_history|irb_history)$"
            r"|^(?:application_default_)?credentials?(?:\.(?:json|ya?ml|xml|ini|csv|txt|toml|db|enc))?$"
            r"|^(?:client|app|user|api|auth|oauth)?[-_.]?(?:secrets?|passwords?|passwd|tokens?|credentials?)"
            r"(?:[-_.][a-z0-9]+)?\.(?:ya?ml|json|toml|ini|properties|env|txt|conf|cfg|xml|csv|tfvars)$"
            r"|^service[-_]?account.*\.json$|^gcloud.*\.json$|^google-services\.json$|^googleservice-info\.plist$"
            r"|^firebase-adminsdk.*\.json$|\.tfstate(?:\..*)?$|\.tfvars(?:\.json)?$|^wp-config\.php$|^kubeconfig$"
            r"|\.kubeconfig$|^auth\.json$|^oauth.*\.json$|^token\.(?:json|pickle)$|^localsettings\.php$"
            r"|^(?:keystore|signing|local)\.properties$|^database\.yml$"
        ),
        "credentials",
    ),
)
_SECRET_FOLDERS = re.compile(
    r"(?:^|/)(?:\.ssh|\.gnupg|\.aws|\.azure|\.kube|\.docker|\.config/gcloud|\.config/gh|\.password-store)/(?!.*\.md$)"
)
_PUBLIC = re.compile(r"\.pub$|^known_hosts$")


def is_secret_file(path: str) -> str | None:
    """Why a file is never read at all, judged by its path alone; None if it may be.

    Names that say that they are an example (``.env.example``) are let through: redaction looks at their text.
    """
    lowered = path.lower()
    if _SECRET_FOLDERS.search(lowered):
        return "it lies in a folder of credentials"
    name = PurePosixPath(lowered).name
    for expression, kind in _SECRET_NAMES:
        if expression.search(name) and not _HARMLESS.search(name):
            return f"its name is that of a file of secrets ({kind})"
    return None


# -- shapes that issuers give ------------------------------------------------------------------------------------------


class _Shape(NamedTuple):
    """A secret as its issuer writes it: all that the expression matches, or its first group."""

    kind: str
    expression: re.Pattern[str]


_B64 = "[A-Za-z0-9_-]"

# These contain a word that looks random, so only the lines of such words are searched for them.
_SHAPES = tuple(
    _Shape(kind, re.compile(expression))
    for kind, expression in (
        ("GitHub token", r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"),
        ("GitLab token", rf"gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent|oas|ffct)-{_B64}{{16,}}"),
        ("Slack token", rf"x(?:ox[a-z]|app)-{_B64}{{10,}}"),
        ("Slack webhook", r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9/+_-]{16,})"),
        ("Discord webhook", rf"/api/webhooks/(\d+/{_B64}{{20,}})"),
        ("Teams webhook", r"webhook\.office(?:365)?\.com/([^\s\"']{20,})"),
        ("Stripe key", r"(?:[srp]k_(?:live|test)|whsec)_[A-Za-z0-9+/=]{10,}"),
        ("Google key", rf"AIza{_B64}{{30,}}|ya29\.[A-Za-z0-9._-]{{20,}}|GOCSPX-{_B64}{{20,}}"),
        ("model service key", rf"\b(?:sk-|hf_|gsk_|r8_|pplx-|xai-|nvapi-|fw_|tgp_v1_){_B64}{{20,}}"),
        ("JWT", rf"eyJ{_B64}{{8,}}\.{_B64}{{8,}}(?:\.{_B64}*)?"),
        ("npm token", r"\bnpm_[A-Za-z0-9]{30,}"),
        ("PyPI token", rf"\bpypi-{_B64}{{30,}}"),
        ("SendGrid key", rf"\bSG\.{_B64}{{16,}}\.{_B64}{{16,}}"),
        ("Twilio key", r"\b(?:SK|AC)[0-9a-f]{32}\b"),
        ("Mailgun key", r"\bkey-[0-9a-z]{32}\b"),
        ("Mailchimp key", r"\b[0-9a-f]{32}-us\d{1,2}\b"),
        ("Telegram token", rf"\b\d{{8,10}}:A{_B64}{{33,}}"),
        ("Discord token", rf"\b[MNO][A-Za-z0-9_-]{{22,27}}\.{_B64}{{6}}\.{_B64}{{27,}}"),
        ("DigitalOcean token", r"do[opr]_v1_[0-9a-f]{32,}"),
        ("Shopify token", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
        ("Square token", rf"sq0[aci][ts]p-{_B64}{{20,}}|\bEAAA{_B64}{{50,}}"),
        ("Databricks token", r"dapi[0-9a-f]{32}"),
        ("Vault token", rf"\bhv[sbr]\.{_B64}{{20,}}"),
        ("Terraform token", rf"{_B64}{{14}}\.atlasv1\.{_B64}{{40,}}"),
        (
            "service key",
            r"(?:lin_api_|dp\.pt\.|PMAK-|NRAK-|phc_|rnd_|figd_|secret_|ntn_|ATATT3|EAAC)[A-Za-z0-9_=-]{26,}",
        ),
        ("Docker token", rf"dckr_pat_{_B64}{{20,}}"),
        ("Grafana token", r"\bgl(?:sa|c)_[A-Za-z0-9_+/=]{24,}"),
        ("Sentry token", r"sntry[su]_[A-Za-z0-9_+/=]{30,}"),
        ("age key", r"AGE-SECRET-KEY-1[0-9A-Za-z]{20,}"),
        (
            "storage key",
            r"(?:AccountKey|SharedAccessKey|SharedSecretValue|SharedAccessSignature|[?&;]sig)=([A-Za-z0-9+/%]{20,}={0,2})",
        ),
        ("URL with a token", r"\bhttps?://([A-Za-z0-9_-]{20,})@"),
    )
)

# These are looked for wherever their sign stands: what is around it is matched from there.
_SIGNED = tuple(
    (sign, _Shape(kind, re.compile(expression, re.IGNORECASE)))
    for sign, kind, expression in (
        ("AKIA", "AWS key id", r"AKIA[A-Z0-9]{16}\b"),
        ("ASIA", "AWS key id", r"ASIA[A-Z0-9]{16}\b"),
        (
            "://",
            "password in a URL",
            r"://[^\s/:@\"'<>`?#{}]{0,100}:([^\s@/\"'<>`{}]{2,200}|[^\s@\"'<>`{}]{2,200}(?=@[\w.-]+))@",
        ),
        ("earer ", "authorization header", r"earer +([A-Za-z0-9._~+/=-]{12,})"),
        ("asic ", "authorization header", r"asic +([A-Za-z0-9+/=]{8,})"),
        (
            "uthorization",
            "authorization header",
            r"uthorization[\"']?\s*[:=,]\s*[\"']?(?:token|apikey)? *([A-Za-z0-9._~+/=-]{12,})",
        ),
        (" -u", "command line password", r" -u[ =]?[\"']?[\w.@-]{1,60}:([^\s\"'$<{]{4,})"),
        ("--user", "command line password", r"--(?:proxy-)?user[ =][\"']?[\w.@-]{1,60}:([^\s\"'$<{]{4,})"),
        ("sshpass", "command line password", r"sshpass\s+-p\s*[\"']?([^\s\"'$<{]{3,})"),
        ("mysql", "command line password", r"mysql\w*\s(?:[^\n]{0,200}?\s)?-p[\"']?([^\s\"'$<{-][^\s\"'$]{3,})"),
        (
            "redis-cli",
            "command line password",
            r"redis-cli\s(?:[^\n]{0,200}?\s)?-a\s+[\"']?([^\s\"'$<{-][^\s\"'$]{3,})",
        ),
        (
            "IDENTIFIED",
            "SQL password",
            r"identified\s+(?:with\s+\w+\s+)?(?:by|as)\s+(?:password\s+)?['\"]([^'\"\n]{3,})['\"]",
        ),
        ("identified by", "SQL password", r"identified\s+by\s+(?:password\s+)?['\"]([^'\"\n]{3,})['\"]"),
        ("Private-Lines:", "private key", r"Private-Lines: \d+\n((?:[A-Za-z0-9+/=]+\n?)+)"),
    )
)
_MUST_BE_MIXED = frozenset({"authorization header"})

_KEY_BLOCK = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----"
    r"(?P<body>.*?)(?:(?=-----END )|\n\s*\n(?!.{0,4000}?-----END )|\Z)",
    re.DOTALL,
)
_KEY_TEXT = re.compile(r"\\[nrt]|\$\{?\w+|([A-Za-z0-9+/=]{2,})")

# -- names that secrets are assigned to --------------------------------------------------------------------------------

# After a strong word any value counts that isn't plainly none; after a weak one, only what looks random.
_STRONG = ("passw", "passphrase", "pwd", "secret", "密码", "口令")
_WEAK = ("token", "key", "auth", "cred", "salt", "pass", "sign", "login", "dsn", "webhook")

_TO_VALUE = (
    r"(?P<name>[\w.$-]{0,40})"
    r"\\?[\"'`]?\s?[\])]?(?:\[\d*\])?(?:\s?\{ ?get;[^}\n]{0,30}\})?"  # the end of a key, of an index; of C#'s property
    r"(?P<sign>(?:[ \t]?:[ \t]?[&'\w.\[\]|<>? ]{1,40}(?=[ \t]?=))?[ \t]*(?:=>|:=|[=!]==?|=|:|,|->|\?\?|\|\||\(|>)"
    r"[ \t]*(?:[|>][+-]?\d?[ \t]*(?=\n))?\s{0,60}|[ \t]+)"
    r"(?:(?:[A-Za-z_][\w.:]{0,40}!?)?\(\s{0,40}){0,2}(?:[rbfuLR@$]{1,2}(?=[\"'`]))?"  # String::from(, f, u8
)
_QUOTED = (
    r"(?P<quote>\"\"\"|\'\'\'|\\?[\"'`])"
    r"(?P<value>(?:(?!(?P=quote))[^\n]){1,600}?|(?:(?!(?P=quote))[\s\S]){1,600}?(?<=\n))(?P=quote)"
)
_BARE = r"(?P<bare>(?:[^\s\"'`,;(){}\[\]<>\\&|]|&(?!\w+=)){4,400})(?P<after>[^\n]?)"
_VALUE = re.compile(f"{_TO_VALUE}(?:{_QUOTED}|{_BARE})")
_JOINED = re.compile(r"\s*(?:\+|\.\.?|\\)\s*(?P<quote>[\"'])(?P<value>[^\"'\n]{1,600})(?P=quote)")

_NOT_ITS_VALUE = re.compile(
    r"(?:label|name|field|file|path|url|uri|type|length|len|size|min|max|hint|regex|pattern|header|help|error|message|msg"
    r"|prompt|policy|reset|form|input|column|param|class|method|algorithm|hasher|validator|expir\w*|age|ttl|placeholder"
    r"|format|prefix|suffix|required|enabled|exists|count|index|title|text|description|provider|manager|ref|env|var"
    r"|version|scheme|mode|strategy|attribute|kind|store|dir|folder|host|port|user|role|scope|group|id|ids)s?$",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"(.)\1*|[x*._-]+|.*(?:<redacted>|\.\.\.|…).*|<.*>?|\[.*\]|\{.*|%[(a-z].*|\$[({].*|\$[a-z_]+|%\w+%|#\{.*|@@?\w+@@?"
    r"|.*(?:\{\w*\}|%[sdr]\b|%\(|\$\{|\{\{).*"
    r"|(?:please[-_ ]?)?(?:change|replace|insert|enter|set|put|fill|use)[-_ ]?(?:me|this|it|in|your|with|the|a|here).*"
    r"|(?:your|my|some|any|the|an?)[-_ ].*|.*[-_ ]here"
    r"|.*(?:example|placeholder|dummy|sample|redacted|todo|fixme|xxxx).*"
    r"|none|null|nil|undefined|true|false|yes|no|on|off|empty|required|optional|default|unknown|test(?:ing)?|foo(?:bar)?|bar"
    r"|(?:str|string|text|bytes?|int|integer|number|bool|boolean|object|array|any|char|varchar|list|dict|map|void|unicode)"
    r"\??|input|hidden|submit|bearer|basic|digest|plain|md5|sha\d*|bcrypt|scrypt|argon2\w*|pbkdf2\w*|hmac|rsa|ed25519|aes"
    r"|(?:process\.env|os\.(?:environ|getenv)|env|self|this|settings|config|options|opts|args|params|request|req|ctx|conf"
    r"|kwargs|data|user|import\.meta|system|environment|vault|secrets|credentials|var|local)[.\[:].*"
    r"|(?:https?|file|s3|gs|ssh|git)://.*|(?:\.{0,2}/)?(?:[a-z][\w.-]*/)+[\w.-]*",
    re.IGNORECASE | re.DOTALL,
)
_A_SECRET_WORD = re.compile(r"passw|pwd|secret|token|key|cred|auth", re.IGNORECASE)
_WORDS = re.compile(r"[A-Za-z]+(?:[_.:-]+[A-Za-z]+)+|[A-Z]?[a-z]+(?:[A-Z][a-z]+)+")
_EXPRESSION = re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|->|::)[A-Za-z_$][\w$]*)*[.:]?")
_LOOSE = re.compile(r"\s*(?:machine|login|user|ENV|ARG|set|setenv|#define|requirepass)\b")
_SETTING = re.compile(r"[ \t]*(?:[-#/*]+[ \t]*)?(?:(?:export|set|setenv|env|arg|-e)[ \t]+)?[\w.-]*", re.IGNORECASE)


def _assigned(text: str, lowered: str, words: tuple[str, ...], start: int, end: int) -> Iterator[_Span]:
    for word in words:
        at = lowered.find(word, start, end)
        while at >= 0:
            found = _VALUE.match(text, at + len(word))
            if found and _may_hold(word, found):
                yield from _judged(text, found, words is _STRONG)
            at = lowered.find(word, at + len(word), end)


def _may_hold(word: str, found: re.Match[str]) -> bool:
    """Whether a name may be that of a secret: not of something about one, of a function on one, of an author."""
    name = found["name"]
    return not (
        _NOT_ITS_VALUE.search(name)
        or (word == "auth" and name.startswith("or"))
        or ("." in name and "(" in found["sign"])
    )


def _judged(text: str, found: re.Match[str], strong: bool) -> Iterator[_Span]:
    """The value that a name's expression found, where it is a secret, and what is joined to it."""
    part = "value" if found["value"] is not None else "bare"
    start, end = found.span(part)
    value = found[part]
    if part == "value":
        is_secret = _is_secret(value, strong) and (bool(found["sign"].strip()) or _has_digit_or_sign(value))
    else:
        value = value.rstrip(".:")
        end = start + len(value)
        is_secret = _is_secret(value, strong) and _is_literal(text, found, value)
    if not is_secret:
        return
    yield start, end, "assigned secret"
    at = found.end()
    while part == "value" and (more := _JOINED.match(text, at)):
        yield *more.span("value"), "assigned secret"
        at = more.end()


def _is_secret(value: str, strong: bool) -> bool:
    value = value.strip()
    if len(value) < (4 if strong else 12) or _PLACEHOLDER.fullmatch(value):
        return False
    if _looks_random(value):
        return True
    if not strong or any(character.isspace() for character in value):
        return False
    # Words put together are a name of something; one with a digit or a sign in it rather a password.
    return not _WORDS.fullmatch(value) and not (_A_SECRET_WORD.search(value) and re.sub(r"[\W_]", "", value).isalpha())


def _is_literal(text: str, found: re.Match[str], value: str) -> bool:
    """Whether a value without quotes is text, as in a settings file or a shell, rather than a program's expression."""
    random, sign, after = _looks_random(value), found["sign"], found["after"]
    if after in ("(", "["):
        return False
    line = text[text.rfind("\n", 0, found.start()) + 1 : found.end("name")]
    is_option = "--" in line or bool(_LOOSE.match(line))
    if not sign.strip():  # `password hunter2`, `--password hunter2`
        return random or (is_option and _has_digit_or_sign(value))
    if sign.strip() == ">":  # an element of XML
        return after == "<" and not sign[-1].isspace()
    if sign.strip() in (",", "(", "??", "||", "->"):
        return random and not _EXPRESSION.fullmatch(value)
    if random or not _EXPRESSION.fullmatch(value):
        return _has_digit_or_sign(value)
    if sign == "=" and (is_option or after == ";"):
        return _has_digit_or_sign(value)
    alone = text[found.end("bare") : found.end("bare") + 1] in ("", "\r", "\n")
    # Nobody's variable is called so where it has a value: a constant, a dotted key, a name with a colon.
    is_setting = line.strip().replace("export ", "").isupper() or "." in line or sign.lstrip()[0] == ":"
    is_setting = is_setting or any(character.isdigit() for character in value)
    return bool(alone and is_setting and len(value) >= 6 and "." not in value and _SETTING.fullmatch(line))


def _has_digit_or_sign(value: str) -> bool:
    return any(character.isdigit() for character in value) or any(character in "!@#$%^*+=?~" for character in value)


def _looks_random(value: str, share: float = 0.22) -> bool:
    """Whether letters change case, or to digits and back, more often than in words, and a digit is among them."""
    return len(value) >= 8 and any(c.isdigit() for c in value) and _changes(value) >= share * len(value)


def _changes(value: str) -> int:
    kinds = value.translate(_KINDS)
    return sum(one != other for one, other in pairwise(kinds))


_KINDS = {
    **{ord(c): "a" for c in "abcdefghijklmnopqrstuvwxyz"},
    **{ord(c): "A" for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
    **{ord(c): "0" for c in "0123456789"},
    **{ord(c): None for c in "+/_-=."},
}

# -- what looks random -------------------------------------------------------------------------------------------------

_RUN = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
_CHECKSUM = re.compile(r"(?:sha\d{1,3}|md5|h1|blake\w*|integrity|digest)[-:=\"' ]{1,4}$", re.IGNORECASE)
_SHORTEST = 12
_WINDOW = 400  # characters of a line on either side of a word, as many as a token and its name need

_IN_WORD = np.array([chr(code).isascii() and (chr(code).isalnum() or chr(code) in "_-") for code in range(256)])
_IS_DIGIT = np.array([chr(code).isascii() and chr(code).isdigit() for code in range(256)])


def _windows(text: str) -> Iterator[tuple[int, int]]:
    """Where a word stands that goes from letters to digits or back twice at least, with its line and the one before."""
    codes = np.frombuffer(text.encode("latin-1", "replace"), np.uint8)  # a byte for each character
    gaps = np.flatnonzero(~_IN_WORD[codes])
    starts = np.concatenate(([0], gaps + 1))
    ends = np.concatenate((gaps, [len(codes)]))
    long = ends - starts >= _SHORTEST
    starts, ends = starts[long], ends[long]
    digits = _IS_DIGIT[codes]
    steps = np.zeros(len(codes) + 1, np.int32)
    np.cumsum(digits[1:] != digits[:-1], out=steps[1 : len(codes)])
    changes = steps[ends - 1] - steps[starts]
    mixed = changes >= np.maximum(2, 0.05 * (ends - starts))
    last = 0
    for start, end in zip(starts[mixed].tolist(), ends[mixed].tolist(), strict=True):
        line = text.rfind("\n", max(0, start - _WINDOW), start)
        before = text.rfind("\n", max(0, line - _WINDOW), line) if line > 0 else -1
        first = max(last, before + 1 if before >= 0 else start - _WINDOW, 0)
        stop = text.find("\n", end, end + _WINDOW)
        last = max(last, stop if stop >= 0 else end + _WINDOW)
        if first < last:
            yield first, last


def _random_runs(text: str, start: int, end: int) -> Iterator[_Span]:
    for found in _RUN.finditer(text, start, end):
        value = found[0][:_WINDOW]
        three = len(set(value.translate(_KINDS))) == 3
        if (
            three
            and _looks_random(value, 0.38)
            and not _CHECKSUM.search(text, max(0, found.start() - 16), found.start())
        ):
            yield *found.span(), "random string"


# -- all together ------------------------------------------------------------------------------------------------------


def redact(text: str) -> tuple[str, tuple[Finding, ...]]:
    """Paint over the secrets of a text, with what kinds of them there were, and on which lines.

    Lines keep their number and what stands around a secret. Doing it again changes nothing.
    """
    findings: set[Finding] = set()
    while True:
        spans = sorted(set(_spans(text)), key=lambda span: (span[0], -span[1]))
        painted, found = _paint(text, spans)
        findings.update(found)
        if painted == text:
            return text, tuple(sorted(findings))
        text = painted


def _spans(text: str) -> Iterator[_Span]:
    lowered = text.lower()
    if len(lowered) != len(text):  # a few characters have longer lower cases: positions must agree
        lowered = "".join(c.lower() if c.isascii() else c for c in text)
    if "PRIVATE KEY" in text and (blocks := list(_key_blocks(text))):
        yield from blocks  # first of all, and whole: the rest is for the next round
        return
    yield from _assigned(text, lowered, _STRONG, 0, len(text))
    for sign, shape in _SIGNED:
        at = text.find(sign)
        while at >= 0:
            found = shape.expression.match(text, at)
            if found:
                yield from _shaped(found, shape.kind)
            at = text.find(sign, at + len(sign))
    for start, end in _windows(text):
        for shape in _SHAPES:
            for found in shape.expression.finditer(text, start, end):
                yield from _shaped(found, shape.kind)
        yield from _assigned(text, lowered, _WEAK, start, end)
        yield from _random_runs(text, start, end)


def _shaped(found: re.Match[str], kind: str) -> Iterator[_Span]:
    value = found[found.re.groups]
    if _PLACEHOLDER.fullmatch(value) or (kind in _MUST_BE_MIXED and _changes(value) < 0.22 * len(value)):
        return
    yield *found.span(found.re.groups), kind


def _key_blocks(text: str) -> Iterator[_Span]:
    for block in _KEY_BLOCK.finditer(text):
        for found in _KEY_TEXT.finditer(text, *block.span("body")):
            if found[1] and found[1] != MARKER[1:-1]:
                yield *found.span(1), "private key"


def _paint(text: str, spans: list[_Span]) -> tuple[str, list[Finding]]:
    pieces: list[str] = []
    findings: list[Finding] = []
    at = line_at = 0
    line = 1
    for start, end, kind in spans:
        start = max(start, at)
        if start >= end:
            continue
        pieces += [text[at:start], re.sub(r"[^\r\n]+", MARKER, text[start:end])]
        line += text.count("\n", line_at, start)
        findings.append(Finding(line, kind))
        at = line_at = end
        line += text.count("\n", start, end)
    return "".join([*pieces, text[at:]]), findings
