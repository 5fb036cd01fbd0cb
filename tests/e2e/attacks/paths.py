"""Two hundred ways to write a path where the server expects an id."""

from __future__ import annotations

from itertools import product

UPS = ("..", "%2e%2e", "%2E.", "%252e%252e", "..;", "....", "%c0%ae%c0%ae", "%u002e%u002e", "..%00")
SLASHES = ("/", "\\", "//", "%2f", "%5c", "%252f", "%e2%88%95", "/./", "%c0%af")
ENDS = ("outside.txt", "secret/pepper")  # as the fixture lays them beside the server's folder
WIDE = ("%ef%bc%8e%ef%bc%8e", "%e3%80%82", "%e2%80%a4%e2%80%a4", "%d9%a0")  # dots of unicode

PAYLOADS: tuple[str, ...] = (
    *(f"{(up + slash) * 4}{end}" for up, slash, end in product(UPS, SLASHES, ENDS)),
    *(f"{dots}/{dots}/{end}" for dots in WIDE for end in ENDS),
    *("%00", "a%00.png", "outside.txt%00", "%0a", "%0d%0aX-Injected:%201", "%09", "%20", "%7f"),
    *(
        "/etc/passwd",
        "//etc/passwd",
        "%2fetc%2fpasswd",
        "%252fetc%252fpasswd",
        "/proc/self/environ",
    ),
    *("C:%5cWindows%5cwin.ini", "C:/Windows/win.ini", "%5c%5chost%5cshare%5cx", "//host/share/x"),
    *("file:%2f%2f%2fetc%2fpasswd", "http:%2f%2f127.0.0.1%2f", "s3:%2f%2fx%2fy", "memory:%2f%2fx"),
    *(
        "id.txt::$DATA",
        "id:stream",
        "con",
        "nul",
        "aux.txt",
        "com1",
        "%23",
        "a%23b",
        "a%3fb",
        "~root",
    ),
    *("%ff%fe", "%ed%a0%80", "%f4%90%80%80", "%", "%g1", "%2", "a" * 26 + "%0a", "a" * 26 + "/.."),
    *("A" * 26, "a" * 25, "a" * 27, "1" * 26, "%d0%b0" * 26, "a" * 4000, "*", "$HOME", "%60id%60"),
    *(
        "'%20OR%201=1--",
        "%22;DROP%20TABLE%20jobs;--",
        "{0}",
        "%25s",
        "$%7bjndi:x%7d",
        "-rf",
        "--help",
    ),
)
# The same in JSON and forms, where nothing is quoted.
NAMES: tuple[str, ...] = (
    *(
        f"{(up + slash) * 4}{end}"
        for up in ("..", "....", "%2e%2e")
        for slash in "/\\"
        for end in ENDS
    ),
    *("/etc/passwd", "//etc/passwd", "C:\\Windows\\win.ini", "\\\\host\\share\\x", "id.txt::$DATA"),
    *(
        "file:///etc/passwd",
        "http://127.0.0.1/",
        "memory://x",
        "zip://x::y",
        "digits/..",
        "./digits",
    ),
    *("digits\0", "\0", "\n", "", " ", ".", "..", "~", "#", "digits#x", "con", "\u2024\u2024/x"),
    *(
        "\uff0e\uff0e/outside.txt",
        "\u202egnp.x",
        "$HOME",
        "`id`",
        "$(id)",
        "{0}",
        "%s",
        "-x",
        "a" * 9999,
    ),
)
