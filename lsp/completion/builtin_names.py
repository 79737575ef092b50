"""Names that a language has without an import, besides its keywords: those that are written most, not all."""

from __future__ import annotations

import builtins
import keyword
from functools import cache

_JAVASCRIPT = """
Array ArrayBuffer BigInt Boolean Buffer DataView Date Error EvalError Function Infinity Intl JSON Map Math NaN Number
Object Promise Proxy RangeError ReferenceError Reflect RegExp Set String Symbol SyntaxError TypeError URIError URL
URLSearchParams Uint8Array Float64Array Int32Array WeakMap WeakSet AbortController AbortSignal Blob Event EventTarget
FormData Headers Request Response TextDecoder TextEncoder HTMLElement Element Node NodeJS alert arguments atob btoa
clearInterval clearTimeout console constructor crypto decodeURIComponent describe document encodeURIComponent eval
exports expect fetch global globalThis history isFinite isNaN it localStorage location module navigator parseFloat
parseInt performance process prototype queueMicrotask require setImmediate setInterval setTimeout structuredClone test
window __dirname __filename
"""
_TYPESCRIPT = """
Awaited Exclude Extract InstanceType Iterable Iterator AsyncIterable NonNullable Omit Parameters Partial Pick Promise
PromiseLike Readonly ReadonlyArray ReadonlyMap ReadonlySet Record Required ReturnType JSX React ThisType Uppercase
Lowercase any bigint boolean never number object string symbol unknown void
"""
_C = """
EOF FILE NULL CHAR_BIT INT_MAX INT_MIN LONG_MAX SIZE_MAX UINT_MAX abort abs assert atoi atol bool calloc errno exit
fclose feof ferror fflush fgetc fgets fopen fprintf fputc fputs fread free fscanf fseek ftell fwrite getc getchar
getenv int16_t int32_t int64_t int8_t intptr_t isalnum isalpha isdigit isspace isupper malloc memchr memcmp memcpy
memmove memset main offsetof perror printf ptrdiff_t putc putchar puts qsort rand realloc scanf size_t snprintf
sprintf srand sscanf ssize_t stderr stdin stdout strcasecmp strcat strchr strcmp strcpy strdup strerror strlen strncmp
strncpy strrchr strstr strtok strtol strtoul time time_t tolower toupper uint16_t uint32_t uint64_t uint8_t uintptr_t
va_arg va_end va_list va_start
"""
_OTHERS = {
    "c": _C,
    "cpp": _C
    + """
    std string vector map set unordered_map unordered_set pair tuple optional variant unique_ptr shared_ptr
    make_unique make_shared move forward cout cin cerr endl swap sort function array deque queue stack list begin end
    size_type nullptr_t
    """,
    "csharp": """
    Action Array ArgumentException ArgumentNullException Boolean Console Convert DateTime Dictionary Enumerable
    Environment Exception Func Guid HashSet IDisposable IEnumerable IList Int32 Int64 InvalidOperationException
    KeyValuePair List Math NotImplementedException Nullable Object Path Random String StringBuilder System Task
    TimeSpan Tuple Type nameof value var
    """,
    "go": """
    append any bool byte cap clear close comparable complex complex128 complex64 copy delete error false float32
    float64 imag int int16 int32 int64 int8 iota len make max min new nil panic print println real recover rune string
    true uint uint16 uint32 uint64 uint8 uintptr err ctx ok init main
    """,
    "java": """
    AbstractMap ArithmeticException Arrays ArrayList Boolean Byte Character CharSequence Class Collection Collections
    Collectors Comparable Comparator Deprecated Double Enum Error Exception Float Function FunctionalInterface HashMap
    HashSet IllegalArgumentException IllegalStateException IndexOutOfBoundsException Integer InterruptedException
    IOException Iterable Iterator LinkedList List Long Map Math NullPointerException Number Object Objects Optional
    Override Runnable Runtime RuntimeException SafeVarargs Set Short Stream String StringBuilder SuppressWarnings
    System Thread Throwable UnsupportedOperationException Void
    """,
    "kotlin": """
    Any Array ArrayList Boolean Byte Char CharSequence Comparable Double Error Exception Float HashMap HashSet
    IllegalArgumentException IllegalStateException Int Iterable Lazy List Long Map MutableList MutableMap MutableSet
    Nothing Pair Regex Result RuntimeException Sequence Set Short String StringBuilder Throwable Triple Unit also
    apply arrayOf check emptyList emptyMap error field it joinToString lazy let listOf mapOf maxOf minOf mutableListOf
    mutableMapOf print println repeat require requireNotNull run setOf TODO to until use with
    """,
    "lua": """
    _G _VERSION assert collectgarbage coroutine debug dofile error getmetatable io ipairs load loadfile loadstring
    math next os package pairs pcall print rawequal rawget rawlen rawset require select self setmetatable string table
    tonumber tostring type unpack utf8 vim xpcall arg
    """,
    "php": """
    Closure Countable DateTime DateTimeImmutable Error Exception InvalidArgumentException Iterator IteratorAggregate
    JsonSerializable LogicException RuntimeException Throwable TypeError array_filter array_key_exists array_keys
    array_map array_merge array_pop array_push array_reduce array_search array_shift array_slice array_unique
    array_values count date define defined die empty explode file_exists file_get_contents file_put_contents floor
    function_exists gettype implode in_array intval is_array is_callable is_int is_null is_numeric is_object is_string
    isset json_decode json_encode ltrim max md5 min ord parent preg_match preg_replace preg_split print_r printf rand
    range round rtrim self sort sprintf static str_contains str_repeat str_replace str_starts_with strlen strpos
    strrpos strtolower strtoupper strval substr this time trigger_error trim ucfirst unset usort var_dump
    """,
    "ruby": """
    ARGV Array BasicObject Class Comparable Dir ENV Enumerable Exception File FileUtils Float Hash IO IOError Integer
    JSON Kernel KeyError Module NoMethodError NotImplementedError Numeric Object Proc Range Regexp RuntimeError Set
    StandardError String StringIO Struct Symbol Thread Time TypeError ArgumentError abort attr_accessor attr_reader
    attr_writer autoload block_given? catch exit extend format freeze gets include initialize lambda loop new p
    prepend print printf private private_class_method private_constant proc protected public public_send puts raise
    rand require require_relative sleep sprintf super throw warn
    """,
    "rust": """
    Arc AsRef Box BTreeMap BTreeSet Cell Clone Copy Cow Debug Default Deref Display Drop Eq Err Error Fn FnMut FnOnce
    From FromStr Hash HashMap HashSet Into IntoIterator Iterator Mutex None Ok Option Ord PartialEq PartialOrd Path
    PathBuf Rc RefCell Result Self Send Sized Some String Sync ToOwned ToString TryFrom TryInto Vec alloc allow assert
    assert_eq assert_ne bool cfg char core crate dbg debug_assert derive drop eprintln f32 f64 format i128 i16 i32 i64
    i8 inline isize main matches must_use panic print println self std str super test todo u128 u16 u32 u64 u8
    unimplemented unreachable usize vec write writeln
    """,
    "shellscript": """
    BASH_SOURCE EUID HOME HOSTNAME IFS LANG LINENO OLDPWD OPTARG OPTIND PATH PIPESTATUS PPID PS1 PWD RANDOM SECONDS
    SHELL TERM TMPDIR UID USER XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME
    """,
    "javascript": _JAVASCRIPT,
    "javascriptreact": _JAVASCRIPT + " React",
    "typescript": _JAVASCRIPT + _TYPESCRIPT,
    "typescriptreact": _JAVASCRIPT + _TYPESCRIPT,
}
_PYTHON = "__name__ __file__ __all__ __doc__ __version__ __main__ self cls _ args kwargs"


@cache
def builtin_names(language: str) -> frozenset[str]:
    """The names; empty for a language that there is no list of."""
    if language == "python":
        return frozenset([*dir(builtins), *keyword.kwlist, *keyword.softkwlist, *_PYTHON.split()])
    return frozenset(_OTHERS.get(language, "").split())
