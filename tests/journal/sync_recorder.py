"""Record every write and sync of a program and its children, to see which bytes a loss of power would have left.

`record` runs a program under strace. The `Recording` rebuilds the files as of their last sync: a write counts only
if an `fsync` or `fdatasync` of its file that began after it has returned, or if it went through a descriptor opened
with O_SYNC or O_DSYNC. `outputs` are the writes that another process can see (pipes and sockets); an image can be
taken as of any of them, to show that what it tells of was on the disk before. A name (of a new file or folder, of a
renamed one, of one that is gone) counts once the folder it stands in was synced; `root` itself is taken for granted.
"""

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

TRACED = (
    "openat,close,pwrite64,pwritev,write,writev,fdatasync,fsync,ftruncate,rename,renameat,renameat2,unlink,unlinkat,"
    "link,linkat,mkdir,mkdirat,sendto,sendmsg,lseek"
)
LONGEST_WRITE = 1 << 22
FOLDER = 0
_OUTSIDE = ("pipe:", "socket:", "UNIX", "TCP")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)", re.DOTALL)
_TELLING = {"write", "writev", "sendto", "sendmsg"}
_DESCRIPTOR = re.compile(r"^(\d+)<((?:\\x[0-9a-f]{2})*)>")
_STRING = re.compile(r'"([\\x0-9a-f]*)"')


class UnavailableError(Exception):
    """This machine can't record; the text says why."""


@dataclass
class Call:
    """One system call on a file: `begin` and `end` are its places in the order of all entries and returns."""

    name: str
    file: int
    begin: int
    end: int
    data: bytes = b""
    offset: int = 0
    durable: bool = False


@dataclass
class Output:
    """One write that another process can see: it begins at `begin`, and goes to a pipe or a socket named `to`."""

    begin: int
    to: str
    data: bytes


@dataclass
class Recording:
    """What a program wrote and synced under `root`, and what it told others; `status` is its exit status."""

    root: str
    status: int = 0
    calls: list[Call] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    names: list[tuple[int, str, int | None]] = field(default_factory=list)
    """(when, path, file): from then on the path names the file (FOLDER: a folder), or none."""
    moves: dict[int, str] = field(default_factory=dict)
    """Where a folder was renamed (when): the folder that its new name stands in."""
    folder_syncs: list[tuple[str, int, int]] = field(default_factory=list)
    """(folder, begin, end)"""

    def image(self, target, before=None):
        """Rebuild in folder `target` what was durable when call `before` began (None: after the last one)."""
        limit = float("inf") if before is None else before
        synced = {}
        for call in self.calls:
            if call.name == "sync" and call.end < limit:
                synced[call.file] = max(call.begin, synced.get(call.file, -1))
        contents = {}
        for call in self.calls:
            content = contents.setdefault(call.file, bytearray())
            lasting = call.durable or call.end < synced.get(call.file, -1)
            if call.end >= limit or call.name == "sync" or not lasting:
                continue
            if call.name == "truncate":
                del content[call.offset :]
            end = call.offset + len(call.data)
            content.extend(bytes(max(end - len(content), 0)))
            content[call.offset : end] = call.data
        paths = {path: file for when, path, file in self.names if self._lasts(when, path, limit)}
        made = {path for _, path, file in self.names if file == FOLDER}
        for path, file in paths.items():
            lost = any(str(parent) in made and paths.get(str(parent)) != FOLDER for parent in Path(path).parents)
            if file is not None and file != FOLDER and not lost:
                place = target / Path(path).relative_to(self.root)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(contents.get(file, b""))
                place.chmod(0o600)

    def _lasts(self, when, path, limit):
        """Whether what became of a name is on the disk when call `limit` begins."""
        folder = self.moves.get(when, str(Path(path).parent))
        return any(synced == folder and when < begin and end < limit for synced, begin, end in self.folder_syncs)


def record(argv, root, log, *, timeout=120, stop_after=None, drive=None, **options):
    """Run a program to its end, or until it has printed `stop_after` lines, then SIGKILL; return its Recording.

    `drive` is called with the running child (whose standard output is a pipe) and sees to its end. Files
    under folder `root`, empty at first, are followed; `log` is a file to write the trace to, `options` go to Popen.
    Raises `UnavailableError`.
    """
    strace = shutil.which("strace")
    if strace is None:
        raise UnavailableError("strace is not installed")
    size = str(LONGEST_WRITE)
    command = [
        strace,
        "-f",
        "--seccomp-bpf",
        "-y",
        "-xx",
        "-s",
        size,
        "-e",
        f"trace={TRACED}",
        "-e",
        "signal=none",
        "-o",
        str(log),
        *argv,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, process_group=0, **options) as child:
        try:
            if drive is not None:
                drive(child)
            if stop_after is not None:
                for _ in range(stop_after):
                    child.stdout.readline()
                # Not strace itself: it has still to write down what it saw.
                for traced in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split():
                    os.kill(int(traced), signal.SIGKILL)
            child.communicate(timeout=timeout)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    if not log.exists() or not log.stat().st_size:
        raise UnavailableError("strace may not trace here")
    recording = Recording(str(root), child.returncode)
    _Parser(recording).parse(log)
    return recording


class _Parser:
    """Turns strace's lines into calls."""

    def __init__(self, recording):
        self.recording = recording
        self.files = {}  # path -> number of the file it names
        self.count = 0
        self.positions = {}  # (path, descriptor) -> where `write` goes on
        self.durable = set()  # (path, descriptor) opened with O_SYNC or O_DSYNC

    def parse(self, log):
        """Read the whole trace."""
        unfinished = {}
        with log.open(encoding="ascii", errors="replace") as lines:
            for number, line in enumerate(lines):
                process, _, text = line.rstrip("\n").partition(" ")
                text, begin = text.strip(), number
                if text.endswith("<unfinished ...>"):
                    unfinished[process] = (begin, text.removesuffix("<unfinished ...>").rstrip())
                    continue
                if resumed := _RESUMED.match(text):
                    begin, head = unfinished.pop(process)
                    text = head + text[resumed.end() :]
                if call := _CALL.match(text):
                    if call[3] == "?":
                        self.cut_short(call[1], call[2], begin)
                    else:
                        self.call(call[1], call[2], int(call[3]), begin, number)
        for begin, text in unfinished.values():
            self.cut_short(*text.split("(", 1), begin)

    def cut_short(self, name, arguments, begin):
        """Take in a call that the process died in: what it was to tell others may have left, nothing else counts."""
        found = _DESCRIPTOR.match(arguments)
        if name in _TELLING and found and _text(found[2]).startswith(_OUTSIDE):
            self.recording.outputs.append(Output(begin, _text(found[2]), _data(arguments)))

    def call(self, name, arguments, result, begin, end):
        """Take in one call that returned."""
        if result < 0:
            return
        if name == "openat":
            self.opened(arguments, result, end)
        elif name.startswith("rename"):
            old, new = (_text(found) for found in _STRING.findall(arguments)[:2])
            self.renamed(old, new, end)
        elif name.startswith("link"):
            old, new = (_text(found) for found in _STRING.findall(arguments)[:2])
            if old in self.files:
                self.files[new] = self.files[old]
                self.recording.names.append((end, new, self.files[old]))
        elif name.startswith("mkdir"):
            path = _text(_STRING.search(arguments)[1])
            if path.startswith(self.recording.root + "/"):
                self.recording.names.append((end, path, FOLDER))
        elif name.startswith("unlink"):
            path = _text(_STRING.search(arguments)[1])
            if path in self.files:
                del self.files[path]
                self.recording.names.append((end, path, None))
        elif found := _DESCRIPTOR.match(arguments):
            self.on_descriptor(name, (_text(found[2]), found[1]), arguments, result, begin, end)

    def opened(self, arguments, descriptor, end):
        path = _text(_STRING.search(arguments)[1])
        if not path.startswith(self.recording.root) or "O_DIRECTORY" in arguments:
            return
        key = (path, str(descriptor))
        self.positions[key] = 0
        self.durable.discard(key)
        if "SYNC" in arguments:
            self.durable.add(key)
        if "O_CREAT" in arguments:
            self.file_of(path, end)
        if "O_TRUNC" in arguments:
            self.recording.calls.append(Call("truncate", self.file_of(path, end), end, end, durable=True))

    def renamed(self, old, new, end):
        if any(path == old and file == FOLDER for _, path, file in self.recording.names):
            self.recording.moves[end] = str(Path(new).parent)
            self.recording.names += [(end, old, None), (end, new, FOLDER)]
        for path in [path for path in self.files if path == old or path.startswith(old + "/")]:
            moved = new + path[len(old) :]
            self.files[moved] = self.files.pop(path)
            self.recording.names += [(end, path, None), (end, moved, self.files[moved])]

    def on_descriptor(self, name, key, arguments, result, begin, end):
        path = key[0]
        if path.startswith(_OUTSIDE):
            if name in _TELLING:
                self.recording.outputs.append(Output(begin, path, _whole(arguments, result)))
            return
        if not path.startswith(self.recording.root):
            return
        if path not in self.files:  # a folder
            if name == "fsync":
                self.recording.folder_syncs.append((path, begin, end))
            return
        file, calls = self.file_of(path, begin), self.recording.calls
        if name in {"fsync", "fdatasync"}:
            calls.append(Call("sync", file, begin, end))
        elif name == "ftruncate":
            calls.append(Call("truncate", file, begin, end, offset=int(arguments.rsplit(",", 1)[1]), durable=True))
        elif name == "lseek":
            self.positions[key] = result
        elif name in {"pwrite64", "pwritev", "write", "writev"}:
            if name.startswith("p"):
                offset = int(arguments.rsplit(",", 1)[1])
            else:
                offset = self.positions.get(key, 0)
                self.positions[key] = offset + result
            data = _whole(arguments, result)
            calls.append(Call("write", file, begin, end, data, offset, key in self.durable))

    def file_of(self, path, when):
        """The number of the file that a path names now."""
        if path not in self.files:
            self.count += 1
            self.files[path] = self.count
            self.recording.names.append((when, path, self.count))
        return self.files[path]


def _text(hexed):
    return bytes.fromhex(hexed.replace("\\x", "")).decode(errors="replace")


def _data(arguments):
    return b"".join(bytes.fromhex(found.replace("\\x", "")) for found in _STRING.findall(arguments))


def _whole(arguments, size):
    data = _data(arguments)[:size]
    assert len(data) == size, f"a write of {size} bytes is longer than the recorder keeps"
    return data
