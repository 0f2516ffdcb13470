"""The packages run on Linux, macOS and Windows: nothing is used that one of them lacks."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("gan", "segan", "image_gan", "egs", "recipes")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
POSIX_NAMES = {
    "os": {"fork", "forkpty", "getuid", "geteuid", "killpg", "mkfifo", "sched_getaffinity"}
    | {"setpgrp", "setsid", "sync", "uname", "wait4", "O_DIRECTORY", "O_NOFOLLOW"},
    "signal": {"SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1", "SIGUSR2"}
    | {"alarm", "pause", "pthread_sigmask", "setitimer", "sigwait"},
}
TEXT = {"open", "read_text", "write_text"}
OPENERS = {"os", "tarfile", "Image", "sf", "soundfile", "fsspec", "zipfile"}  # not of text


def parents(tree):
    """Return the node around each node."""
    return {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}


def inside(node, around, kinds):
    """Yield the nodes of some kinds that a node stands in."""
    while node := around.get(node):
        if isinstance(node, kinds):
            yield node


def system_modules(source):
    """Yield modules of one system that are imported where nothing catches that they are missing.

    In a function they may be where the module asks ``os.name``.
    """
    asks = "os.name" in source
    tree = ast.parse(source)
    around = parents(tree)
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names = [node.module] if isinstance(node, ast.ImportFrom) else names
        kinds = (ast.Try, ast.FunctionDef) if asks else ast.Try
        if set(names) & POSIX_MODULES and not any(inside(node, around, kinds)):
            yield f"line {node.lineno}: {names}"


def system_names(source):
    """Yield names of one system that are used in a function which never asks whether they exist."""
    tree = ast.parse(source)
    around = parents(tree)
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
            continue
        if node.attr in POSIX_NAMES.get(node.value.id, ()):
            scopes = list(inside(node, around, ast.FunctionDef))
            if not any("hasattr(" in ast.unparse(scope) for scope in scopes):
                yield f"line {node.lineno}: {ast.unparse(node)}"


def texts_of_any_encoding(source):
    """Yield where text is read or written in the system's encoding, cp1252 on many a Windows."""
    for node in ast.walk(ast.parse(source)):
        name = getattr(node.func, "attr", getattr(node.func, "id", "")) if is_call(node) else ""
        owner = ast.unparse(node.func).split(".")[0] if name else ""
        if name in TEXT and owner not in OPENERS and not says_how(node):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def is_call(node):
    return isinstance(node, ast.Call)


def says_how(call):
    """Return whether a call names an encoding or a binary mode, or is a function of our own."""
    own = isinstance(call.func, ast.Name) and call.func.id != "open"
    strings = [node.value for one in call.args for node in ast.walk(one) if is_text(node)]
    modes = [one for one in strings if re.fullmatch(r"[rwxab+]+", one) and "b" in one]
    told = [one for one in call.args[1:2] if not is_text(one)]  # by whoever calls the function
    return own or modes or told or any(keyword.arg == "encoding" for keyword in call.keywords)


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def starts_by_fork(source):
    """Yield where processes are started in a way that not every system has."""
    for node in ast.walk(ast.parse(source)):
        if is_call(node) and ast.unparse(node.func).split(".")[-1] in (
            "get_context",
            "set_start_method",
        ):
            if [ast.unparse(one) for one in node.args] != ["'spawn'"]:
                yield f"line {node.lineno}: {ast.unparse(node)}"
        elif is_call(node) and ast.unparse(node.func) in (
            "multiprocessing.Pool",
            "multiprocessing.Process",
        ):
            yield f"line {node.lineno}: {ast.unparse(node)}"


CHECKS = {  # each with a source in which it finds one thing
    system_modules: """
import fcntl
try:
    import pwd
except ImportError:
    pass
""",
    system_names: """
os.fork()
def leave():
    if hasattr(os, "setsid"):
        os.setsid()
""",
    texts_of_any_encoding: """
open("a", "rb")
path.read_text()
path.read_text(encoding="utf-8")
""",
    starts_by_fork: """
get_context("fork")
get_context("spawn")
""",
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_checks_see_what_they_look_for(check):
    assert len(list(check(CHECKS[check]))) == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_of_one_system_is_taken_for_granted(path):
    source = path.read_text(encoding="utf-8")
    assert not [found for check in CHECKS for found in check(source)]
