"""FIX framing and validation once more, as plainly as can be: what the compiled code must agree with."""

from __future__ import annotations

import re

from gateways.fix import dictionary, rules
from gateways.fix.tables import Reason, Status

SOH = b"\x01"
TYPE_OF = {int(tag): name for name, tags in dictionary.TYPES.items() for tag in tags.split()}
VALUES_OF = {int(tag): values.split() for tags, values in dictionary.VALUES.items() for tag in tags.split()}
TAGS = set(rules.COLUMN_OF)
FRAME = re.compile(rb"8=(FIX[^\x01]{0,9})\x019=([0-9]{1,12})\x01", re.DOTALL)
DECIMAL = re.compile(rb"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
TIME = rb"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]{1,9})?"
DATE = rb"(19[7-9][0-9]|2[01][0-9]{2}|22[0-5][0-9]|226[01])(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])"
FORMATS = {
    "int": rb"-?0*[0-9]{1,18}",
    "sequence": rb"0*[0-9]{1,18}|-0+",
    "length": rb"0*[0-9]{1,18}|-0+",
    "count": rb"0*[0-9]{1,18}|-0+",
    "char": rb".",
    "boolean": rb"[YN]",
    "chars": rb".( .)*",
    "timestamp": DATE + rb"-" + TIME,
    "time": TIME,
    "date": DATE,
    "month": DATE + rb"|[0-9]{4}(0[1-9]|1[0-2])(w[1-5])?",
    "country": rb"..",
}


def frames(data, bytes_max):
    """(status, begin, end) of everything in a stream, whole messages and what is skipped, and where the rest begins."""
    at, found = 0, []
    while at < len(data):
        status, end = _frame(data, at, bytes_max)
        if status is None:
            break
        if status >= Status.JUNK:
            end = _resync(data, end)
        found.append((status, at, end))
        at = end
    return found, at


def _resync(data, at):
    while at < len(data) and not b"8=FIX".startswith(data[at : at + 5]):
        at += 1
    return at


def _frame(data, at, bytes_max):
    """(status, end) of what begins at a place; None: incomplete."""
    head = data[at:]
    match = FRAME.match(head)
    if match is None:
        return _bad_head(head), at + 1
    body = at + match.end()
    trailer = body + int(match[2])
    if trailer + 7 - at > bytes_max:
        return Status.GARBLED_SIZE, at + 1
    if not b"35=".startswith(data[body : body + 3]):
        return Status.GARBLED_ORDER, at + 1
    if trailer + 7 > len(data):
        return None, at
    if (
        data[trailer : trailer + 3] != b"10="
        or data[trailer + 6 : trailer + 7] != SOH
        or data[trailer - 1 : trailer] != SOH
    ):
        return Status.GARBLED_LENGTH, at + 1
    if data[trailer + 3 : trailer + 6] != b"%03d" % (sum(data[at:trailer]) % 256):
        return Status.GARBLED_CHECKSUM, trailer + 7
    return (Status.OK if match[1] == b"FIX.4.4" else Status.BAD_BEGIN_STRING), trailer + 7


def _bad_head(head):
    """The status of what is no whole beginning of a message; None: it may become one."""
    if not (head.startswith(b"8=FIX") or b"8=FIX".startswith(head)):
        return Status.JUNK
    version, soh, rest = head[2:].partition(SOH)
    if len(version) > 12:
        return Status.JUNK
    if not soh:
        return None
    if not rest.startswith(b"9=") and not b"9=".startswith(rest):
        return Status.GARBLED_LENGTH
    digits = rest[2:]
    if re.fullmatch(rb"[0-9]{0,12}", digits):
        return None
    return Status.GARBLED_LENGTH


def tokens(body):
    """(tag, value) of each field of a body; the tag is None when it is no number, and False when there is none."""
    found, at, data_tag, data_length = [], 0, 0, 0
    while at < len(body):
        end = body.index(SOH, at)
        name, equals, value = body[at:end].partition(b"=")
        tag = int(name) if re.fullmatch(rb"[1-9][0-9]{0,8}", name) else None
        if not equals:
            tag, value = False, name
        start = end - len(value)
        if data_tag and tag == data_tag and body[start + data_length : start + data_length + 1] == SOH:
            end = start + data_length
            value = body[start:end]
        found.append((tag, value))
        data_tag = {90: 91, 93: 89, 360: 361, 445: 446}.get(
            tag, tag + 1 if TYPE_OF.get(tag) == "length" and tag not in {9, 383} else 0
        )
        data_length = int(value) if data_tag and re.fullmatch(rb"[0-9]{1,9}", value) else 1 << 30
        at = end + 1
    return found


def check(fields, msg_type, *, newer=False):
    """(reason, tag) of the first thing wrong with the fields of a message of a known type; (-1, 0) when nothing is."""
    try:
        rest = _Checker(fields, msg_type, newer=newer).run()
    except _WrongError as wrong:
        return wrong.args
    return rest


class _WrongError(Exception):
    pass


class _Checker:
    def __init__(self, fields, msg_type, *, newer):
        self.fields = fields
        self.at = 0
        sections = (
            rules.parse(dictionary.HEADER),
            rules.fields_of(msg_type, newer=newer),
            rules.parse(dictionary.TRAILER),
        )
        self.nodes = {node.tag: (section, node) for section, nodes in enumerate(sections) for node in nodes}
        self.outer = [self.nodes]

    def run(self):
        seen, section = set(), 0
        while self.at < len(self.fields):
            tag = self.tag()
            if tag not in self.nodes:
                raise _WrongError(Reason.TAG_NOT_FOR_MESSAGE, tag)
            if tag in seen or tag in {8, 9, 10}:
                raise _WrongError(Reason.TAG_REPEATED, tag)
            own, node = self.nodes[tag]
            if own < section:
                raise _WrongError(Reason.TAG_ORDER, tag)
            section = own
            seen.add(tag)
            self.take(node)
        for column_tag in rules.COLUMN_OF:
            node = self.nodes.get(column_tag, (0, None))[1]
            if node and node.required and column_tag not in seen | {8, 9, 10}:
                raise _WrongError(Reason.REQUIRED_MISSING, column_tag)
        return -1, 0

    def tag(self):
        """The tag of the field at hand, if it is one that may stand somewhere."""
        tag, value = self.fields[self.at]
        if tag is False:
            raise _WrongError(Reason.SOH_IN_VALUE, max(self.fields[self.at - 1][0] or 0, 0))
        if tag is None or tag not in TAGS:
            reason = Reason.TAG_UNDEFINED if tag and tag >= 5000 else Reason.TAG_INVALID
            raise _WrongError(reason, tag or 0)
        if not value:
            raise _WrongError(Reason.VALUE_MISSING, tag)
        return tag

    def take(self, node):
        tag, value = self.fields[self.at]
        reason = value_reason(tag, value, self.fields[self.at - 1])
        if reason is not None:
            raise _WrongError(reason, tag)
        self.at += 1
        if node.children and int(value) > 0:
            self.group(node, int(value))

    def group(self, node, expected):
        children = {child.tag: (place, child) for place, child in enumerate(node.children)}
        entries, place, seen = 0, -1, set()
        self.outer.append(children)
        while self.at < len(self.fields) and self.tag() in children:
            tag = self.tag()
            own, child = children[tag]
            if own == 0:
                self.entry(node, seen, entries)
                entries, seen = entries + 1, set()
                if entries > expected:
                    raise _WrongError(Reason.GROUP_COUNT, node.tag)
            elif not entries:
                raise _WrongError(Reason.GROUP_ORDER, tag)
            elif not child.anywhere and own <= place:
                raise _WrongError(Reason.TAG_REPEATED if own == place else Reason.GROUP_ORDER, tag)
            place = place if child.anywhere else own
            seen.add(tag)
            self.take(child)
        self.outer.pop()
        if self.at < len(self.fields) and not any(self.tag() in fields for fields in self.outer):
            raise _WrongError(Reason.TAG_NOT_FOR_MESSAGE, self.tag())
        self.entry(node, seen, entries)
        if entries != expected:
            raise _WrongError(Reason.GROUP_COUNT, node.tag)

    def entry(self, node, seen, entries):
        """Check that an entry that ends has what it must."""
        required = [child.tag for child in node.children if child.required]
        for tag in sorted(required, key=rules.COLUMN_OF.__getitem__):
            if entries and tag not in seen:
                raise _WrongError(Reason.REQUIRED_MISSING, tag)


def value_reason(tag, value, before):
    """Why a value is wrong, or None."""
    kind = TYPE_OF.get(tag, "text")
    if kind == "decimal":
        if not DECIMAL.fullmatch(value) or not _fits(value):
            return Reason.FORMAT_INCORRECT
    elif kind == "data":
        lengths = {89: 93}.get(tag, tag - 1)
        if before[0] != lengths or not before[1].isdigit() or int(before[1]) != len(value):
            return Reason.FORMAT_INCORRECT
    elif kind in FORMATS and not re.fullmatch(FORMATS[kind], value, re.DOTALL):
        listed = VALUES_OF.get(tag)
        if kind == "chars" and listed and len(value) % 2:  # the first thing wrong decides, character by character
            for place, byte in enumerate(value):
                if place % 2 and byte != ord(" "):
                    return Reason.FORMAT_INCORRECT
                if place % 2 == 0 and chr(byte) not in listed:
                    return Reason.VALUE_INCORRECT
        return Reason.FORMAT_INCORRECT
    elif kind in {"date", "timestamp", "month"} and len(value) >= 8 and value[6:7] != b"w" and not _is_day(value[:8]):
        return Reason.FORMAT_INCORRECT
    listed = VALUES_OF.get(tag)
    if listed is None:
        return None
    parts = value.split(b" ") if kind == "chars" else [value]
    if kind == "int":
        parts = [b"%d" % int(value)]
    return None if all(part.decode("latin-1") in listed for part in parts) else Reason.VALUE_INCORRECT


def _fits(value):
    """Whether a decimal has at most 18 digits, zeros at its two ends apart."""
    whole, _, fraction = value.lstrip(b"-").partition(b".")
    whole = whole.lstrip(b"0")
    return len(whole) + len(fraction) <= 18 or (len(whole) <= 18 and not fraction[18 - len(whole) :].strip(b"0"))


def _is_day(text):
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:8])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return day <= [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
