"""Secrets planted in many ways: none comes through; plain code does."""

from __future__ import annotations

import random
import string
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.secrets import MARKER, is_secret_file, redact

# Made when the tests run, and put together from pieces: nothing in this file looks like a secret to a scanner.
_random = random.Random(7)
_BASE62 = string.ascii_letters + string.digits


def made(length: int, alphabet: str = _BASE62) -> str:
    while True:
        value = "".join(_random.choices(alphabet, k=length))
        if length < 8 or len(set(map(str.isdigit, value))) == len(set(map(str.isdigit, alphabet))):
            return value


HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + "234567"


def words(text: str) -> list[str]:
    return text.split()


B64URL = _BASE62 + "-_"
LONG = made(40)
PASSWORD = "Tr0ub4" + "dor&" + "3x"
PLAIN = "hunter" + "two2"
WORD = "letme" + "inplease"

TOKENS = {
    "AWS key id": "AK" + "IA" + made(16, UPPER),
    "GitHub": "gh" + "p_" + made(36),
    "GitHub, fine-grained": "github" + "_pat_" + made(22) + "_" + made(59),
    "GitLab": "gl" + "pat-" + made(20, B64URL),
    "Slack": "xo" + "xb-" + made(12, string.digits) + "-" + made(24),
    "Slack app": "xa" + "pp-1-" + made(11, UPPER) + "-" + made(64, HEX),
    "Stripe": "sk" + "_live_" + made(24),
    "Google": "AI" + "za" + made(35, B64URL),
    "OpenAI": "sk" + "-proj-" + made(48, B64URL),
    "Anthropic": "sk" + "-ant-api03-" + made(60, B64URL),
    "Hugging Face": "h" + "f_" + made(34),
    "JWT": "ey" + "J" + made(33) + "." + "ey" + "J" + made(60) + "." + made(43, B64URL),
    "npm": "np" + "m_" + made(36),
    "PyPI": "py" + "pi-" + made(80, B64URL),
    "SendGrid": "S" + "G." + made(22, B64URL) + "." + made(43, B64URL),
    "Twilio": "S" + "K" + made(32, HEX),
    "Mailgun": "ke" + "y-" + made(32, HEX),
    "Telegram": made(9, "123456789") + ":A" + "A" + made(33, B64URL),
    "Discord": "M" + made(25) + "." + made(6, B64URL) + "." + made(38, B64URL),
    "DigitalOcean": "do" + "p_v1_" + made(64, HEX),
    "Shopify": "shp" + "at_" + made(32, HEX),
    "Databricks": "da" + "pi" + made(32, HEX),
    "Vault": "hv" + "s." + made(90, B64URL),
    "Docker": "dckr" + "_pat_" + made(27, B64URL),
    "Grafana": "gl" + "sa_" + made(32) + "_" + made(8, HEX),
    "age": "AGE-" + "SECRET-KEY-" + "1" + made(58, string.ascii_uppercase + string.digits),
    "Linear": "lin" + "_api_" + made(40),
    "random": LONG,
}
PLACES = ["x = '{}'", "{}", "# {}", "<!-- see {} -->", "  - {}\n", 'curl -H "X: {}" https://h.io', '{{"a": ["{}"]}}']

ASSIGNED = {
    "python": 'password = "{}"',
    "python, annotated": 'password: str = "{}"',
    "python, attribute": "self.db_password='{}'",
    "python, keyword argument": 'connect(user="a", password="{}", port=1)',
    "python, dictionary": "config['password'] = '{}'",
    "python, dict literal": '{{"user": "a", "passwd": "{}"}}',
    "python, default": 'os.environ.get("DB_PASSWORD", "{}")',
    "python, bytes": 'SECRET_KEY = b"{}"',
    "python, triple quotes": 'secret = """{}"""',
    "python, next line": 'client_secret = (\n    "{}"\n)',
    "python, docstring": '"""Log in.\n\n    password: {}\n    """',
    "python, compared": 'if password == "{}":',
    "python, in a comment": "# password = '{}'",
    "javascript": "const password = '{}';",
    "javascript, object": "{{ clientSecret: `{}` }}",
    "javascript, fallback": "const secret = process.env.SECRET || '{}'",
    "typescript": "private readonly password: string = '{}';",
    "go": 'Password: "{}",',
    "go, short": 'dbPassword := "{}"',
    "rust": 'const PASSWORD: &str = "{}";',
    "rust, from": 'let secret = String::from("{}");',
    "java": 'String password = "{}";',
    "java, setter": 'config.setPassword("{}");',
    "kotlin": 'val clientSecret: String = "{}"',
    "c, define": '#define WIFI_PASSWORD "{}"',
    "c, array": 'static const char password[] = "{}";',
    "c#": 'public string Password {{ get; set; }} = "{}";',
    "ruby": "password: '{}'",
    "ruby, rocket": ":password => '{}'",
    "php": "define('DB_PASSWORD', '{}');",
    "php, array": "'password' => '{}',",
    "perl": 'my $password = "{}";',
    "lua": 'local password = "{}"',
    "swift": 'let password = "{}"',
    "powershell": '$Password = "{}"',
    "shell": "export DB_PASSWORD={}",
    "shell, quoted": 'PGPASSWORD="{}" psql',
    "shell, option": "tool --password {} --now",
    "shell, option with sign": "tool --password={} --now",
    "dockerfile": "ENV MYSQL_PASSWORD={}",
    "dockerfile, blank": "ENV MYSQL_PASSWORD {}",
    "yaml": "db:\n  password: {}\n",
    "yaml, quoted": "  password: '{}'",
    "yaml, block": "password: |\n  {}\n",
    "yaml, list": '- name: DB_PASSWORD\n  password: "{}"',
    "json": '{{\n  "password": "{}"\n}}',
    "json in a string": '"{{\\"password\\": \\"{}\\"}}"',
    "toml": 'password = "{}"',
    "ini": "[db]\npassword = {}\n",
    "properties": "spring.datasource.password={}\n",
    "xml": "<password>{}</password>",
    "xml, attribute": '<add name="db" password="{}" />',
    "connection string": '"Server=h;User Id=a;Password={};Encrypt=true"',
    "url": 'DATABASE_URL = "postgres://app:{}@db.host.net:5432/app"',
    "url, no user": "redis://:{}@cache:6379/0",
    "sql": "CREATE USER a IDENTIFIED BY '{}';",
    "curl": "curl -u admin:{} https://h.io/",
    "terraform": '  master_password = "{}"',
    "chinese": '密码 = "{}"',
    "netrc": "machine h.io login a password {}",
}

FILES = words(
    """.env .env.local .env.production app/.env prod.env .envrc id_rsa .ssh/config id_ed25519 deploy.pem server.key
    a.p12
    a.pfx a.jks release.keystore pw.kdbx a.ppk .netrc .npmrc .pypirc .git-credentials credentials.json .aws/credentials
    credentials .docker/config.json .htpasswd service-account.json service_account_prod.json secrets.yaml secrets.yml
    client_secret.json client_secrets.json terraform.tfstate terraform.tfstate.backup prod.tfvars wp-config.php .pgpass
    kubeconfig .kube/config tls.crt ca.cer .dockercfg secrets.toml config/master.key gcloud-key.json ssh_host_rsa_key

    ID_RSA Server.KEY .bash_history .vault_pass"""
)
OPEN_FILES = words(
    """.env.example .env.sample .env.template env.py secrets.py password.py credentials.ts auth.json.example keys.go
    settings.py monkey.py token.c tokens.json.md config.json id_rsa.pub environment.ts credentials/__init__.py key.rs
    package.json tsconfig.json secrets/README.md locale/en.json"""
)


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("place", PLACES)
def test_a_token_is_painted_over_wherever_it_stands(name: str, place: str) -> None:
    text = place.format(TOKENS[name])
    painted, findings = redact(text)
    assert TOKENS[name] not in painted and MARKER in painted, painted
    assert findings and TOKENS[name] not in repr(findings)
    longest = max(TOKENS[name].replace(":", ".").split("."), key=len)
    assert longest[-12:] not in painted


@pytest.mark.parametrize("syntax", ASSIGNED)
@pytest.mark.parametrize("value", [LONG[:20], PASSWORD, PLAIN, made(16, HEX)], ids=["random", "signs", "words", "hex"])
def test_an_assigned_password_is_painted_over(syntax: str, value: str) -> None:
    before = "first line\n"
    painted, findings = redact(before + ASSIGNED[syntax].format(value) + "\nlast line\n")
    assert value not in painted, painted
    assert painted.startswith(before) and painted.endswith("\nlast line\n")
    assert len(findings) == 1
    assert findings[0].line == 2 + ASSIGNED[syntax].split("{}")[0].count("\n")


@pytest.mark.parametrize(
    "syntax", ["python", "json", "go", "java", "yaml", "shell", "yaml, quoted", "properties", "toml"]
)
def test_a_password_of_letters_alone_counts_too(syntax: str) -> None:
    assert WORD not in redact(ASSIGNED[syntax].format(WORD))[0]


@pytest.mark.parametrize(
    "line",
    [
        'api_key = "{}"',
        "API_KEY={}",
        "apiKey: '{}'",
        'X-Auth-Token: "{}"',
        '"access_token": "{}"',
        "token={}&x=1",
        "AccountKey={};",
        "--api-key {}",
        "Authorization: Bearer {}",
        'headers["Authorization"] = "Token {}"',
        "aws_secret_access_key = {}",
        'setx OPENAI_API_KEY "{}"',
        'encryption_key:\n  "{}"',
    ],
)
@pytest.mark.parametrize("value", [LONG, made(32, HEX)], ids=["base62", "hex"])
def test_keys_and_tokens_are_known_by_the_name_they_are_given(line: str, value: str) -> None:
    painted, findings = redact(line.format(value))
    assert value not in painted, painted
    assert findings


@pytest.mark.parametrize("joint", ["\n", "\\n", '\\n"\n    "', "\r\n"])
@pytest.mark.parametrize("kind", ["RSA ", "EC ", "OPENSSH ", "", "ENCRYPTED "])
def test_each_line_of_a_private_key_goes_and_the_lines_stay(kind: str, joint: str) -> None:
    body = [made(64, _BASE62 + "+/") for _ in range(5)] + [made(6) + "=="]
    block = joint.join([f"-----BEGIN {kind}PRIVATE KEY-----", *body, f"-----END {kind}PRIVATE KEY-----"])
    text = f'before = 1\nKEY = "{block}"\nafter = 2\n'
    painted, findings = redact(text)
    assert not [line for line in body if line in painted or line[:6] in painted]
    assert painted.count("\n") == text.count("\n")
    assert painted.startswith("before = 1\nKEY") and painted.endswith("\nafter = 2\n")
    assert {finding.kind for finding in findings} == {"private key"}


def test_a_private_key_without_an_end_goes_to_the_end_of_its_paragraph() -> None:
    body = [made(64) for _ in range(3)]
    painted, _ = redact("\n".join(["-----BEGIN RSA PRIVATE KEY-----", *body, "", "def f(): pass"]))
    assert not any(line in painted for line in body) and painted.endswith("\ndef f(): pass")


def test_what_is_joined_to_a_secret_goes_with_it() -> None:
    first, second = made(12), made(12)
    painted, _ = redact(f'password = "{first}" +\n    "{second}"\n')
    assert first not in painted and second not in painted


@pytest.mark.parametrize(
    "text",
    [
        'password = os.environ["DB_PASSWORD"]',
        "password = getpass.getpass('Password: ')",
        "password: str",
        "token = next()",
        'password = "changeme"',
        'api_key = "<your key>"',
        'password = "${DB_PASSWORD}"',
        "password: ${{ secrets.X }}",
        'password = ""',
        "password=password, user=user",
        "self.password = password",
        "def login(password: str | None):",
        "password: string;",
        "const secret = await getSecret(id)",
        "secret = settings.SECRET_KEY",
        '"type": "password"',
        'label = _("Enter your new password")',
        'PASSWORD_FIELD = "new_password"',
        "key = lambda item: item.name2id",
        'password = "{}".format(x)',
        "sha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        'id = "123e4567-e89b-12d3-a456-426614174000"',
        "class TokenType(Enum):",
        'tokens = tokenize("a b c")',
        "for key, value in items.items():",
        "author = 'Ada Lovelace'",
        "https://example.com:8080/path",
        "git@github.com:user/repo.git",
        "test_that_utf8_and_x509_names_stay_as_they_are()",
        "import numpy as np",
        'ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"',
        'integrity="sha384-oqVuAfXRKap7fdgcCY5uykM6+R9GqQ8K/uxy9rx7HNQlGYl1kPzQho1wx4JwY8wC"',
        "basic authentication is used",
        "secrets.token_hex(16)",
        "if not check_password_hash(user.password, form.password.data):",
    ],
)
def test_plain_code_is_left_alone(text: str) -> None:
    assert redact(text) == (text, ())


def test_the_standard_library_is_left_almost_alone() -> None:
    folder = Path(sysconfig.get_path("stdlib"))
    texts = [path.read_text("utf-8", "replace") for path in sorted(folder.glob("*.py"))]
    assert len(texts) > 100
    assert sum(len(redact(text)[1]) for text in texts) <= 3


_PIECES = st.sampled_from(
    [
        *TOKENS.values(),
        PASSWORD,
        PLAIN,
        "password = ",
        '"',
        "'",
        "\n",
        " ",
        ":",
        "=",
        "secret",
        "key",
        "://a:",
        "@h",
        MARKER,
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "\\n",
        "Basic ",
        "é",
        "İ",
        "中",
        "\U0001f600",
        "\r\n",
        "(",
        "+",
    ]
)


@given(st.lists(_PIECES | st.text(max_size=12), max_size=14).map("".join))
def test_painting_again_changes_nothing_and_lines_stay(text: str) -> None:
    painted, findings = redact(text)
    assert painted.count("\n") == text.count("\n")
    assert redact(painted) == (painted, ())
    assert bool(findings) == (painted != text)
    assert all(1 <= finding.line <= text.count("\n") + 1 for finding in findings)


@pytest.mark.parametrize("path", FILES)
def test_files_of_secrets_are_known_by_name(path: str) -> None:
    assert is_secret_file(path)


@pytest.mark.parametrize("path", OPEN_FILES)
def test_examples_and_sources_are_no_files_of_secrets(path: str) -> None:
    assert is_secret_file(path) is None
