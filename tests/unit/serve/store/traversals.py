"""200 and more ways to ask for what is not an id."""

from __future__ import annotations

_UPS = ("..", "%2e%2e", "%252e%252e", "..;", "....", ".%2e", "%c0%ae%c0%ae", "\uff0e\uff0e")
_SLASHES = ("/", "\\", "//", "%2f", "%5c", "%252f", "\u2215", "/./")
_ENDS = ("etc/passwd", "pepper", "store.db")

PAYLOADS = [
    *(f"{(up + slash) * 3}{end}" for up in _UPS for slash in _SLASHES for end in _ENDS),
    *("", " ", ".", "..", "/", "\\", "#", "?", "*", "~", "~root", "\0", "\n", "-", "--help", "%"),
    *("/etc/passwd", "C:\\Windows\\win.ini", "\\\\host\\share\\x", "//host/share/x"),
    *("file:///etc/passwd", "http://localhost/", "s3://other/x", "memory://x", "zip://x::y"),
    *("con", "nul", "aux.txt", "id.txt::$DATA", "$HOME", "`id`", "$(id)", "{0}", "%s"),
    *("' OR 1=1 --", '"; DROP TABLE jobs; --', "\ud800", "\u202egnp", "a" * 25, "a" * 27),
    *("A" * 26, "1" * 26, "a" * 25 + "/", "a" * 25 + "\n", "a" * 26 + "\n", "a" * 26 + "\0"),
    *("." * 26, ".." + "a" * 24, "aa/" + "a" * 26, "\u00e9" * 26, "\u0430" * 26, "a" * 10**6),
]
