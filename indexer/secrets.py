"""Secrets: files that hold nothing else, known by their names, and secrets within a text, which are painted over.

Our own rather than detect-secrets: that one judges line by line through some 25 plugins and finds the secrets, but can't
paint them over without its values (see docs/dependencies.md for the figures). A secret is known

- by its shape, where its issuer gives one (``ghp_…``, ``AKIA…``, a private key's block);
- by the name that it is assigned to (``password``, ``api_key``), unless the value is plainly none: an expression, a
  placeholder, a word that says what goes there;
- by looking random: upper and lower case and digits mixed as no name mixes them. Hexadecimal alone is no sign: it is
  what hashes and ids of all kinds look like.

It paints over too much rather than too little; what is lost is a constant in an index, not in the user's file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

MARKER = "<redacted>"


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
    """``hints``: unless one of them is in the text, the expression is not tried; group 1 or all is the secret."""

    kind: str
    hints: tuple[str, ...]
    expression: re.Pattern[str]


def _shape(kind: str, hints: str, expression: str, flags: int = 0) -> _Shape:
    return _Shape(kind, tuple(hints.split()), re.compile(expression, flags))


_B64 = "[A-Za-z0-9_-]"
_SHAPES = (
    _shape("AWS key id", "AKIA ASIA ABIA ACCA AROA", r"\b(?:AKIA|ASIA|ABIA|ACCA|AROA)[A-Z0-9]{16}\b"),
    _shape("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{20,}"),
    _shape("GitHub token", "github_pat_", r"github_pat_\w{20,}"),
    _shape(
        "GitLab token",
        "glpat- gldt- glrt- glcbt- glptt- glft- glsoat- glimt- glagent-",
        rf"gl[a-z]{{2,6}}-{_B64}{{16,}}",
    ),
    _shape("Slack token", "xox xapp-", rf"x(?:ox[a-z]|app)-{_B64}{{10,}}"),
    _shape("Slack webhook", "hooks.slack.com", r"hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9/+_-]{16,})"),
    _shape("Discord webhook", "/api/webhooks/", rf"/api/webhooks/(\d+/{_B64}{{20,}})"),
    _shape("Teams webhook", "webhook.office", r"webhook\.office(?:365)?\.com/(\S{20,}?)(?=[\"'\s]|$)"),
    _shape(
        "Stripe key", "sk_live_ sk_test_ rk_live_ rk_test_ whsec_", r"(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9+/=]{10,}"
    ),
    _shape("Google key", "AIza", rf"AIza{_B64}{{30,}}"),
    _shape("Google token", "ya29. GOCSPX-", rf"(?:ya29\.[A-Za-z0-9._-]{{20,}}|GOCSPX-{_B64}{{20,}})"),
    _shape("model service key", "sk-", rf"\bsk-{_B64}{{20,}}"),
    _shape(
        "model service key", "hf_ gsk_ r8_ pplx- xai- nvapi-", rf"\b(?:hf_|gsk_|r8_|pplx-|xai-|nvapi-){_B64}{{20,}}"
    ),
    _shape("JWT", "eyJ", rf"eyJ{_B64}{{8,}}\.{_B64}{{8,}}(?:\.{_B64}*)?"),
    _shape("npm token", "npm_", r"\bnpm_[A-Za-z0-9]{30,}"),
    _shape("PyPI token", "pypi-", rf"\bpypi-{_B64}{{30,}}"),
    _shape("SendGrid key", "SG.", rf"\bSG\.{_B64}{{16,}}\.{_B64}{{16,}}"),
    _shape("Twilio key", "SK AC", r"\b(?:SK|AC)[0-9a-f]{32}\b"),
    _shape("Mailgun key", "key-", r"\bkey-[0-9a-z]{32}\b"),
    _shape("Mailchimp key", "-us", r"\b[0-9a-f]{32}-us\d{1,2}\b"),
    _shape("Telegram token", ":AA", rf"\b\d{{8,10}}:AA{_B64}{{32,}}"),
    _shape("Discord token", "M N O", rf"\b[MNO][A-Za-z0-9]{{22,26}}\.{_B64}{{6}}\.{_B64}{{27,}}"),
    _shape("DigitalOcean token", "dop_v1_ doo_v1_ dor_v1_", r"do[opr]_v1_[0-9a-f]{32,}"),
    _shape("Shopify token", "shpat_ shpca_ shppa_ shpss_", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _shape("Square token", "sq0atp- sq0csp- EAAA", rf"(?:sq0[ac][ts]p-{_B64}{{20,}}|\bEAAA{_B64}{{50,}})"),
    _shape("Databricks token", "dapi", r"\bdapi[0-9a-f]{32}"),
    _shape("Vault token", "hvs. hvb. hvr.", rf"\bhv[sbr]\.{_B64}{{20,}}"),
    _shape("Terraform token", ".atlasv1.", rf"{_B64}{{14}}\.atlasv1\.{_B64}{{40,}}"),
    _shape("Linear, Doppler or Postman key", "lin_api_ dp.pt. PMAK-", r"(?:lin_api_|dp\.pt\.|PMAK-)[A-Za-z0-9-]{30,}"),
    _shape("Docker token", "dckr_pat_", rf"dckr_pat_{_B64}{{20,}}"),
    _shape("Grafana token", "glsa_ glc_", r"\bgl(?:sa|c)_[A-Za-z0-9_+/=]{24,}"),
    _shape("New Relic key", "NRAK-", r"NRAK-[A-Z0-9]{27}"),
    _shape("Sentry token", "sntrys_ sntryu_", r"sntry[su]_[A-Za-z0-9_+/=]{30,}"),
    _shape("Atlassian token", "ATATT3", r"ATATT3[A-Za-z0-9_=-]{30,}"),
    _shape("Facebook token", "EAAC", r"\bEAAC[A-Za-z0-9]{30,}"),
    _shape("age key", "AGE-SECRET-KEY-", r"AGE-SECRET-KEY-1[0-9A-Za-z]{20,}"),
    _shape("PuTTY key", "Private-Lines:", r"(?<=Private-Lines: )\d+\n((?:[A-Za-z0-9+/=]+\n?)+)"),
    _shape(
        "Azure or storage key",
        "AccountKey= SharedAccessKey= SharedSecretIssuer= sig=",
        r"(?:AccountKey|SharedAccessKey|SharedSecretValue|[?&;]sig)=([A-Za-z0-9+/%]{20,}={0,2})",
    ),
    _shape(
        "password in a URL",
        "://",
        r"\b[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s/:@\"'<>`$?#{}]{0,100}:([^\s@/\"'<>`{}]{2,200})@",
    ),
    _shape("password in a URL", "://", r"\bhttps?://([A-Za-z0-9_-]{20,})@"),
    _shape(
        "authorization header",
        "earer asic uthorization",
        r"\b(?:[Bb]earer|[Bb]asic|[Aa]uthorization[\"']?\s*[:=,]\s*[\"']?(?:token|Token|ApiKey|Digest)?)[ :]+([A-Za-z0-9._~+/=-]{12,})",
    ),
    _shape(
        "command line password", "-u --user", r"(?:^|\s)(?:-u|--user)[ =][\"']?[\w.@-]{1,60}:([^\s\"'$<{]{4,})", re.M
    ),
    _shape(
        "command line password",
        "sshpass mysql PGPASS",
        r"\b(?:sshpass\s+-p\s*|mysql\w*\s(?:[^\n]*\s)?-p)[\"']?([^\s\"'$<{-][^\s\"'$]{3,})",
    ),
    _shape(
        "SQL password",
        "IDENTIFIED identified",
        r"(?i)\bidentified\s+(?:with\s+\w+\s+)?by\s+(?:password\s+)?['\"]([^'\"\n]{3,})['\"]",
    ),
)

_KEY_BLOCK = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----(?P<body>.*?)(?:(?=-----END )|\n\s*\n(?!.{0,4000}?-----END )|\Z)",
    re.DOTALL,
)
_KEY_TEXT = re.compile(r"\\[nrt]|\$\{?\w+|([A-Za-z0-9+/=]{2,})")

# -- names that secrets are assigned to --------------------------------------------------------------------------------

# After a strong word any value counts that isn't plainly none; after a weak one, only what looks random.
_STRONG = ("passw", "passphrase", "pwd", "secret", "密码", "口令")
_WEAK = ("token", "key", "auth", "cred", "salt", "pass", "sign", "login", "dsn", "webhook")

_TO_VALUE = (
    r"(?P<name>[\w.$-]{0,40})"
    r"[\"'`]?\s?[\])]?(?:\[\d*\])?"  # the end of a quoted key, of an index, of an array in C
    r"(?P<sign>(?:[ \t]?:[ \t]?[&'\w.\[\]|<>? ]{1,40})?[ \t]*(?:=>|:=|[=!]==?|=|:|,|->|\?\?|\|\||\(|>)"
    r"[ \t]*(?:[|>][+-]?\d?[ \t]*(?=\n))?\s{0,60}|[ \t]+)"
    r"(?:[A-Za-z_][\w.:]{0,40}!?\(\s{0,40}){0,2}[rbfuLR@$]{0,2}"  # String::from(, f, u8
)
_QUOTED = r"(?P<quote>\"\"\"|\'\'\'|\\?[\"'`])(?P<value>(?:(?!(?P=quote))[^\n]){1,600}?|(?:(?!(?P=quote))[\s\S]){1,600}?(?<=\n))(?P=quote)"
_BARE = r"(?P<bare>[^\s\"'`,;(){}\[\]<>\\&|]{4,400})(?P<after>[^\n]?)"
_ASSIGNED = [
    (re.compile(f"{word}{_TO_VALUE}(?:{_QUOTED}|{_BARE})", re.IGNORECASE), word, word in _STRONG)
    for word in (*_STRONG, *_WEAK)
]
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
    r"|(?:your|my|some|any|the|an?)[-_ ].*|.*[-_ ]here|.*(?:example|placeholder|dummy|sample|redacted|todo|fixme|xxxx).*"
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
_SETTING = re.compile(r"[ \t]*(?:[-#/*]+[ \t]*)?(?:(?:export|set|setenv|env|arg|-e)[ \t]+)?[\w.-]*", re.IGNORECASE)


def _assigned(text: str, lowered: str) -> Iterator[tuple[int, int, str]]:
    for expression, word, strong in _ASSIGNED:
        start = lowered.find(word)
        while start >= 0:
            found = expression.match(text, start)
            if found and not _NOT_ITS_VALUE.search(found["name"]):
                yield from _judged(text, found, strong)
            start = lowered.find(word, start + len(word))


def _judged(text: str, found: re.Match[str], strong: bool) -> Iterator[tuple[int, int, str]]:
    """The value that a name's expression found, where it is a secret, and what is joined to it."""
    part = "value" if found["value"] is not None else "bare"
    start, end = found.span(part)
    value = found[part]
    if part == "value":
        is_secret = _is_secret(value, strong) and (bool(found["sign"].strip()) or _looks_random(value))
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
    return not _WORDS.fullmatch(value) and not (_A_SECRET_WORD.search(value) and value.replace("_", "").isalpha())


def _is_literal(text: str, found: re.Match[str], value: str) -> bool:
    """Whether a value without quotes is text, as in a settings file or a shell, rather than an expression of a program."""
    random = _looks_random(value)
    sign, after = found["sign"], found["after"]
    if not sign.strip():  # `password hunter2`, `--password hunter2`
        return random or (
            _has_digit_or_sign(value)
            and text[max(0, found.start() - 40) : found.start()]
            .rstrip("abcdefghijklmnopqrstuvwxyz-")
            .endswith((" ", "\t", "\n"))
            and "--" in text[max(0, found.start() - 40) : found.start()]
        )
    if sign.rstrip().endswith((",", "(", "??", "||", "->")) or after in "([":
        return after not in ("(", "[") and random and not _EXPRESSION.fullmatch(value)
    if not _EXPRESSION.fullmatch(value):
        return _has_digit_or_sign(value)
    if random or sign.strip() == ">":
        return True
    line = text[text.rfind("\n", 0, found.start()) + 1 : found.end("name")]
    alone = after in ("", "\r", " ") or text[found.end("bare") : found.end("bare") + 1] in ("", "\n")
    named_as_setting = line.strip().replace("export ", "").isupper() or "." in line or sign.strip() == ":"
    return bool(alone and named_as_setting and len(value) >= 6 and "." not in value and _SETTING.fullmatch(line))


def _has_digit_or_sign(value: str) -> bool:
    return any(character.isdigit() for character in value) or any(character in "!@#$%^*+=?~" for character in value)


def _looks_random(value: str, share: float = 0.22) -> bool:
    """Whether letters change case, or to digits and back, more often than in words, and a digit is among them."""
    return len(value) >= 8 and any(c.isdigit() for c in value) and _changes(value) >= share * len(value)


def _changes(value: str) -> int:
    kinds = value.translate(_KINDS)
    return sum(one != other for one, other in zip(kinds, kinds[1:], strict=False))


_KINDS = {
    **{ord(c): "a" for c in "abcdefghijklmnopqrstuvwxyz"},
    **{ord(c): "A" for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
    **{ord(c): "0" for c in "0123456789"},
    **{ord(c): None for c in "+/_-=."},
}

# -- what looks random anywhere ----------------------------------------------------------------------------------------

_RUN = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
_CHECKSUM = re.compile(r"(?:sha\d{1,3}|md5|h1|blake\w*|integrity|digest)[-:=\"' ]{1,4}$", re.IGNORECASE)


def _random_runs(text: str) -> Iterator[tuple[int, int, str]]:
    for found in _RUN.finditer(text):
        value = found[0]
        classes = {kind for kind in value[:400].translate(_KINDS)}
        if len(classes) < 3 or not _looks_random(value[:400], 0.38):
            continue
        if not _CHECKSUM.search(text, max(0, found.start() - 16), found.start()):
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


def _spans(text: str) -> Iterator[tuple[int, int, str]]:
    lowered = text.lower()
    if len(lowered) != len(text):  # a few characters have longer lower cases: positions must agree
        lowered = "".join(c.lower() if c.isascii() else c for c in text)
    if "PRIVATE KEY" in text:
        yield from _key_blocks(text)
    for shape in _SHAPES:
        if any(hint in text for hint in shape.hints):
            for found in shape.expression.finditer(text):
                start, end = found.span(1 if found.re.groups else 0)
                if not _PLACEHOLDER.fullmatch(text, start, end):
                    yield start, end, shape.kind
    yield from _assigned(text, lowered)
    yield from _random_runs(text)


def _key_blocks(text: str) -> Iterator[tuple[int, int, str]]:
    for block in _KEY_BLOCK.finditer(text):
        for found in _KEY_TEXT.finditer(text, *block.span("body")):
            if found[1] and found[1] != MARKER[1:-1]:
                yield *found.span(1), "private key"


def _paint(text: str, spans: list[tuple[int, int, str]]) -> tuple[str, list[Finding]]:
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
