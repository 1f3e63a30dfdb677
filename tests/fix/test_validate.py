"""Validation: for every way a message may be wrong the right SessionRejectReason and RefTagID."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.fix import dictionary, rules, scan, tables, values
from gateways.fix.tables import Reason
from tests.fix import naive
from tests.fix.support import ORDER, Stream, decoded, framed, message, soh

NONE = (tables.VALID, 0)
PARTIES = "453=2|448=a|447=D|452=3|448=b|447=D|452=12|"
LIST = "66=L|394=3|68=2|73=2|11=1|67=1|55=X|54=1|38=1|11=2|67=2|55=X|54=2|38=1|"
HEAD = "34=1|49=CLIENT|52=20240611-12:34:56|56=KK99|"


def outcome(data, peer=0):
    """(reason, tag) of the one message in the bytes."""
    (found,) = decoded(data, peer=peer)
    assert found.status == tables.Status.OK
    return found.reason, found.ref_tag


def test_every_message_type_is_known_for_what_it_is():
    """Those of the dictionary have a kind, other types of FIX 4.4 are unsupported, everything else is invalid."""
    for text in dictionary.MESSAGE_TYPES.split():
        (found,) = decoded(message(text, "58=x|"))
        expected = rules.KINDS.index(text) if text in rules.KINDS else tables.UNSUPPORTED
        assert (found.kind, found.msg_type) == (expected, text)
    for text in ("O", "U1", "AI1", "CA", "BI", "A ", "\xe9", "A\xe9", "Ab"):
        (found,) = decoded(message(text, ORDER))
        assert (found.reason, found.ref_tag, found.kind) == (Reason.MSG_TYPE_INVALID, 35, tables.INVALID)
    assert outcome(framed("35=|" + HEAD)) == (Reason.VALUE_MISSING, 35)


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("a plain order", ORDER, NONE),
        ("an order with parties", ORDER + PARTIES, NONE),
        ("a group of none", ORDER + "453=0|", NONE),
        ("a signature after the body", ORDER + "93=2|89=ab|", NONE),
        ("tag 0", ORDER + "0=x|", (Reason.TAG_INVALID, 0)),
        ("a tag with a leading zero", ORDER + "058=x|", (Reason.TAG_INVALID, 0)),
        ("a tag that is no number", ORDER + "x8=x|", (Reason.TAG_INVALID, 0)),
        ("a negative tag", ORDER + "-5=x|", (Reason.TAG_INVALID, 0)),
        ("an empty tag", ORDER + "=x|", (Reason.TAG_INVALID, 0)),
        ("a tag of ten digits", ORDER + "1234567890=x|", (Reason.TAG_INVALID, 0)),
        ("a tag that FIX 4.4 does not have", ORDER + "999=x|", (Reason.TAG_INVALID, 999)),
        ("a newer tag nobody asked for", ORDER + "1138=1|", (Reason.TAG_NOT_FOR_MESSAGE, 1138)),
        ("a user's tag nobody agreed on", ORDER + "5000=x|", (Reason.TAG_UNDEFINED, 5000)),
        ("a large tag nobody agreed on", ORDER + "123456789=x|", (Reason.TAG_UNDEFINED, 123456789)),
        ("no side", ORDER.replace("54=1|", ""), (Reason.REQUIRED_MISSING, 54)),
        ("a tag of another message", ORDER + "103=1|", (Reason.TAG_NOT_FOR_MESSAGE, 103)),
        ("a group's field outside its group", ORDER + "448=x|", (Reason.TAG_NOT_FOR_MESSAGE, 448)),
        ("no value", ORDER + "58=|", (Reason.VALUE_MISSING, 58)),
        ("a SOH in a text", ORDER + "58=two|words|", (Reason.SOH_IN_VALUE, 58)),
        ("an empty field", ORDER + "58=x||", (Reason.SOH_IN_VALUE, 58)),
        ("a tag twice", ORDER + "54=2|", (Reason.TAG_REPEATED, 54)),
        ("BeginString twice", ORDER + "8=FIX.4.4|", (Reason.TAG_REPEATED, 8)),
        ("BodyLength twice", ORDER + "9=12|", (Reason.TAG_REPEATED, 9)),
        ("MsgType twice", ORDER + "35=D|", (Reason.TAG_REPEATED, 35)),
        ("CheckSum twice", ORDER + "10=000|", (Reason.TAG_REPEATED, 10)),
        ("a header field after the body began", ORDER + "50=x|", (Reason.TAG_ORDER, 50)),
        ("a body field after the trailer began", ORDER + "93=2|89=ab|58=x|", (Reason.TAG_ORDER, 58)),
        ("a side that does not exist", ORDER.replace("54=1", "54=Z"), (Reason.VALUE_INCORRECT, 54)),
        ("an order type that does not exist", ORDER.replace("40=2", "40=a"), (Reason.VALUE_INCORRECT, 40)),
        ("a side of two characters", ORDER.replace("54=1", "54=11"), (Reason.FORMAT_INCORRECT, 54)),
        ("several instructions", ORDER + "18=6 Q a|", NONE),
        ("an instruction that does not exist", ORDER + "18=6 ?|", (Reason.VALUE_INCORRECT, 18)),
        ("instructions badly parted", ORDER + "18=6,Q|", (Reason.FORMAT_INCORRECT, 18)),
        ("instructions with a blank too many", ORDER + "18=6 |", (Reason.FORMAT_INCORRECT, 18)),
        ("a price that is no number", ORDER.replace("44=67000.5", "44=1e5"), (Reason.FORMAT_INCORRECT, 44)),
        ("a price of two points", ORDER.replace("44=67000.5", "44=1.5.2"), (Reason.FORMAT_INCORRECT, 44)),
        ("a time of day that does not exist", ORDER + "126=20240611-24:00:00|", (Reason.FORMAT_INCORRECT, 126)),
        ("a day that does not exist", ORDER + "126=20230229-00:00:00|", (Reason.FORMAT_INCORRECT, 126)),
        ("a time without seconds", ORDER + "126=20240611-12:00|", (Reason.FORMAT_INCORRECT, 126)),
        ("a leap second", ORDER + "126=20161231-23:59:60|", NONE),
        ("a date", ORDER + "432=20240229|", NONE),
        ("a date that does not exist", ORDER + "432=20240230|", (Reason.FORMAT_INCORRECT, 432)),
        ("months", ORDER + "200=202406|", NONE),
        ("a month with a week", ORDER + "200=202406w5|", NONE),
        ("a month with a sixth week", ORDER + "200=202406w6|", (Reason.FORMAT_INCORRECT, 200)),
        ("a thirteenth month", ORDER + "200=202413|", (Reason.FORMAT_INCORRECT, 200)),
        ("a month with a day", ORDER + "200=20240630|", NONE),
        ("a truth value", ORDER + "114=Y|", NONE),
        ("a truth value that is neither", ORDER + "114=y|", (Reason.FORMAT_INCORRECT, 114)),
        ("a country", ORDER + "470=CH|", NONE),
        ("a country of three letters", ORDER + "470=CHE|", (Reason.FORMAT_INCORRECT, 470)),
        ("a number of a list", ORDER + "581=8|", NONE),
        ("a number outside its list", ORDER + "581=5|", (Reason.VALUE_INCORRECT, 581)),
        ("a number far outside its list", ORDER + "581=50|", (Reason.VALUE_INCORRECT, 581)),
        ("a negative number where a list is", ORDER + "581=-1|", (Reason.VALUE_INCORRECT, 581)),
        ("a number too large", ORDER + "203=9999999999999999999|", (Reason.FORMAT_INCORRECT, 203)),
        ("a security type", ORDER + "167=SECPLEDGE|", NONE),
        ("a security type that does not exist", ORDER + "167=SECPLEDG|", (Reason.VALUE_INCORRECT, 167)),
        ("a security type too long", ORDER + "167=SECPLEDGES|", (Reason.VALUE_INCORRECT, 167)),
        ("encoded text", ORDER + "354=3|355=a|b|", NONE),
        ("encoded text without its length", ORDER + "355=abc|", (Reason.FORMAT_INCORRECT, 355)),
        ("a negative length", ORDER + "354=-3|355=abc|", (Reason.FORMAT_INCORRECT, 354)),
        ("fewer entries than counted", ORDER + PARTIES.replace("453=2", "453=3"), (Reason.GROUP_COUNT, 453)),
        ("more entries than counted", ORDER + PARTIES.replace("453=2", "453=1"), (Reason.GROUP_COUNT, 453)),
        ("a count without entries", ORDER + "453=1|58=x|", (Reason.GROUP_COUNT, 453)),
        ("a huge count", ORDER + PARTIES.replace("453=2", "453=999999999999"), (Reason.GROUP_COUNT, 453)),
        ("a count that is no number", ORDER + "453=x|", (Reason.FORMAT_INCORRECT, 453)),
        ("an entry that begins wrongly", ORDER + "453=1|447=D|448=a|452=3|", (Reason.GROUP_ORDER, 447)),
        ("an entry out of order", ORDER + "453=1|448=a|452=3|447=D|", (Reason.GROUP_ORDER, 447)),
        ("a field twice in an entry", ORDER + "453=1|448=a|447=D|447=D|", (Reason.TAG_REPEATED, 447)),
        ("a group in a group", ORDER + "453=1|448=a|447=D|452=3|802=2|523=x|803=1|523=y|803=2|", NONE),
        ("a group in a group, miscounted", ORDER + "453=2|448=a|802=2|523=x|448=b|", (Reason.GROUP_COUNT, 802)),
        ("the first thing wrong decides", ORDER + "999=x|54=Z|58=|", (Reason.TAG_INVALID, 999)),
    ],
)  # fmt: skip
def test_each_thing_wrong_with_an_order_has_its_reason(name, body, expected):
    """SessionRejectReason and RefTagID are those of FIX, and those of plainly written code."""
    assert outcome(message("D", body)) == expected, name
    assert naive.check(naive.tokens(soh("35=D|" + HEAD + body)), "D") == expected


@pytest.mark.parametrize(
    ("msg_type", "body", "expected"),
    [
        ("E", LIST, NONE),
        ("E", LIST.replace("67=2|", ""), (Reason.REQUIRED_MISSING, 67)),
        ("E", LIST.replace("67=1|", ""), (Reason.REQUIRED_MISSING, 67)),
        ("E", LIST.replace("73=2|", "73=3|"), (Reason.GROUP_COUNT, 73)),
        ("E", "66=L|394=3|68=2|", (Reason.REQUIRED_MISSING, 73)),
        ("E", LIST + "78=1|79=a|539=1|524=n|804=1|545=s|805=3|80=5|", (Reason.GROUP_ORDER, 78)),
        ("V", "262=1|263=1|264=0|267=2|269=0|269=1|146=1|55=X|", NONE),
        ("V", "262=1|263=1|264=0|267=2|269=0|269=1|", (Reason.REQUIRED_MISSING, 146)),
        ("V", "262=1|263=1|264=0|267=1|269=Z|146=1|55=X|", (Reason.VALUE_INCORRECT, 269)),
        ("V", "262=1|263=1|264=0|267=1|269=0|146=1|48=X|", (Reason.GROUP_ORDER, 48)),
        ("q", "11=1|530=7|60=20240611-12:34:56|", NONE),
        ("q", "11=1|530=8|60=20240611-12:34:56|", (Reason.VALUE_INCORRECT, 530)),
        ("A", "98=0|108=30|141=Y|789=5|553=u|554=p|", NONE),
        ("A", "98=0|108=30|8013=Y|8014=Y|8015=6|", NONE),
        ("A", "98=0|108=30|8015=4|", (Reason.VALUE_INCORRECT, 8015)),
        ("A", "98=0|", (Reason.REQUIRED_MISSING, 108)),
        ("4", "36=10|123=Y|", NONE),
        ("4", "123=Y|", (Reason.REQUIRED_MISSING, 36)),
        ("4", "36=-1|", (Reason.FORMAT_INCORRECT, 36)),
        ("1", "", (Reason.REQUIRED_MISSING, 112)),
        ("0", "58=hello|", (Reason.TAG_NOT_FOR_MESSAGE, 58)),
        ("8", "37=1|17=1|150=0|39=0|55=X|54=1|151=1|14=0|6=0|136=1|137=0.5|138=USD|139=12|", NONE),
        (
            "8",
            "37=1|17=1|150=0|39=0|55=X|54=1|151=1|14=0|6=0|136=1|137=0.5|138=USD|139=13|",
            (Reason.VALUE_INCORRECT, 139),
        ),
        ("X", "268=1|279=0|269=0|278=1|55=X|270=1.5|271=2|", NONE),
    ],
)
def test_each_thing_wrong_with_other_messages_has_its_reason(msg_type, body, expected):
    """Groups, required fields and values of every kind of message are checked alike."""
    assert outcome(message(msg_type, body)) == expected
    assert naive.check(naive.tokens(soh(f"35={msg_type}|" + HEAD + body)), msg_type) == expected


@pytest.mark.parametrize("tag", [34, 49, 52, 56])
def test_a_header_field_that_is_missing_is_named(tag):
    """Each required field of the header is required, and what is there of it is noted all the same."""
    kept = "".join(f"{field}|" for field in HEAD.split("|") if field and not field.startswith(f"{tag}="))
    (found,) = decoded(framed("35=D|" + kept + ORDER))
    assert (found.reason, found.ref_tag) == (Reason.REQUIRED_MISSING, tag)
    assert (found.seq, found.names_right, found.sending_ns == -1) == (
        -1 if tag == 34 else 1, tag not in {49, 56}, tag == 52,
    )  # fmt: skip


@pytest.mark.parametrize("seq", ["x", "", "-1", "1.5", "9" * 19])
def test_a_number_that_is_no_number_is_noted_as_none(seq):
    """A MsgSeqNum that can't be read is -1, not some number."""
    (found,) = decoded(framed(f"35=D|34={seq}|49=CLIENT|52=20240611-12:34:56|56=KK99|{ORDER}"))
    assert found.seq == -1
    assert found.reason in {Reason.FORMAT_INCORRECT, Reason.VALUE_MISSING}


def test_the_header_of_a_wrong_message_is_noted_from_its_first_fields():
    """What the session layer needs is there however early a message went wrong, and a second value does not count."""
    head = "999=x|34=7|34=8|43=Y|97=Y|122=20240611-12:00:00|49=CLIENT|56=KK99|52=20240611-12:34:56|"
    (found,) = decoded(framed("35=D|" + head))
    assert (found.reason, found.ref_tag, found.seq) == (Reason.TAG_INVALID, 999, 7)
    assert (found.poss_dup, found.poss_resend, found.names_right) == (True, True, True)
    assert found.sending_ns - found.orig_sending_ns == 34 * 60_000_000_000 + 56_000_000_000


def test_newer_tags_are_for_sessions_that_asked():
    """What is beyond FIX 4.4 is undefined for one peer and valid for another, also anywhere in a group's entry."""
    order, orders = ORDER + "1138=0.5|7928=2|", LIST.replace("55=X|", "7928=1|55=X|", 1)
    assert outcome(message("D", order))[0] == Reason.TAG_NOT_FOR_MESSAGE
    assert outcome(message("D", order), peer=1) == NONE
    assert outcome(message("E", orders))[0] == Reason.TAG_NOT_FOR_MESSAGE
    assert outcome(message("E", orders), peer=1) == NONE
    assert outcome(message("E", "1385=1|" + LIST), peer=1) == NONE
    assert outcome(message("E", "1385=3|" + LIST), peer=1) == (Reason.VALUE_INCORRECT, 1385)


def test_numbers_are_read_on_the_way():
    """Decimals, integers, times, characters and truth values of a valid message stand in `values`."""
    stream = Stream()
    stream.feed(message("D", ORDER + "110=100|126=20240611-12:34:56.123456789|432=20240612|114=Y|453=0|"))
    decoder = stream.decoder
    rows = decoder.fields[: decoder.messages[0, tables.M_COUNT]].tolist()
    found = {row[tables.F_TAG]: (int(decoder.values[place]), row[tables.F_PLACES]) for place, row in enumerate(rows)}
    expected = {
        34: (1, 0), 38: (15, 1), 44: (670005, 1), 110: (100, 0), 54: (ord("1"), 0), 114: (1, 0), 453: (0, 0),
        126: (1_718_109_296_123_456_789, 0), 432: (19_886, 0), 52: (1_718_109_296_000_000_000, 0),
    }  # fmt: skip
    assert {tag: found[tag] for tag in expected} == expected


def test_the_table_holds_what_the_dictionary_says():
    """Each field has one column, one type and one list of values; no field is both in a group and outside it."""
    typed = [tag for tags in dictionary.TYPES.values() for tag in tags.split()]
    listed = [tag for tags in dictionary.VALUES for tag in tags.split()]
    assert len(typed) == len(set(typed))
    assert len(listed) == len(set(listed))
    assert {int(tag) for tag in typed + listed} <= set(rules.COLUMN_OF)
    assert set(dictionary.TYPES) < set(rules.TYPES)
    for kind in rules.KINDS:
        body = rules.fields_of(kind, newer=True)
        inner = [node.tag for outer in body for node in rules.all_nodes(outer.children)]
        assert not {node.tag for node in body} & set(inner)
        assert len(inner) == len(set(inner))
    lengths = {int(tag) for tag in dictionary.TYPES["length"].split()} - {9, 383}
    assert lengths == set(scan.LENGTH_TAGS) & set(rules.COLUMN_OF)
    assert {scan.LENGTH_TAGS[tag] for tag in lengths} == {int(tag) for tag in dictionary.TYPES["data"].split()}


@pytest.mark.parametrize("spec", ["1 x", "1)", "{nothing}", "1(2", "1 (2)", ")1("])
def test_a_dictionary_line_that_makes_no_sense_is_a_broken_invariant(spec):
    """A slip of the pen in the table stops the program."""
    with pytest.raises((AssertionError, KeyError)):
        rules.parse(spec)


# Generated messages ---------------------------------------------------------------------------------------------------

BODIES = [
    ("D", ORDER + PARTIES),
    ("D", ORDER + "18=6 Q|354=3|355=a|b|200=202406w1|167=CORP|93=2|89=ab|"),
    ("E", LIST + "70=x|78=1|79=a|539=1|524=n|804=1|545=s|805=3|80=5|"),
    ("V", "262=1|263=1|264=0|267=2|269=0|269=1|146=2|55=X|454=1|455=a|456=b|55=Y|386=1|336=a|"),
    ("A", "98=0|108=30|95=3|96=a|b|384=2|372=D|385=R|372=8|385=S|"),
    ("X", "268=2|279=0|269=0|55=X|270=1.5|279=1|278=7|"),
    ("2", "7=1|16=0|"),
]
POOL = [
    *{field for _, body in BODIES for field in body.split("|") if field},
    "58=", "999=1", "5001=1", "x", "448=a", "453=1", "453=2", "802=1", "523=s", "803=99", "38=-1", "38=.", "10=000",
    "8=FIX.4.4", "54=Z", "40=", "50=sub", "627=1", "628=hop", "630=-0", "90=1", "91=a", "122=20240611-12:34:56.1",
    "60=20241311-12:34:56", "18=6Q6", "18=  6", "1385=1", "7928=1", "1138=1.0000000000000000000000", "432=20230229",
    "370=1", "0=0", "007=1", "16=00", "447=\xff", "529=1 Z", "286=5 5", "44=00000000000000000000001.50",
    "44=0.0000000000000000001",
]  # fmt: skip


@pytest.mark.hypothesis
@given(
    st.sampled_from(BODIES),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2), st.sampled_from(POOL)), max_size=4),
    st.booleans(),
)
def test_any_message_is_judged_as_plainly_written_code_judges_it(base, changes, newer):
    """Fields put in, put out and replaced anywhere: reason and tag are those of the naive validator."""
    msg_type, body = base
    fields = [field for field in (HEAD + body).split("|") if field]
    for place, removed, field in changes:
        at = min(place, len(fields))
        fields[at : at + removed] = [field]
    text = "".join(f"{field}|" for field in fields)
    expected = naive.check(naive.tokens(soh(f"35={msg_type}|{text}")), msg_type, newer=newer)
    assert outcome(framed(f"35={msg_type}|{text}"), peer=int(newer)) == expected


@pytest.mark.hypothesis
@given(st.integers(0, 2**32 - 1))
def test_fields_in_any_order_are_judged_as_plainly_written_code_judges_them(seed):
    """A shuffled mixture of what every message has, with every tag and odd values, never disagrees."""
    chance = random.Random(seed)
    msg_type = chance.choice(rules.KINDS)
    body = rules.fields_of(msg_type)
    fields = [field for field in HEAD.split("|") if field]
    for _ in range(chance.randint(0, 12)):
        node = chance.choice(body)
        fields.append(f"{node.tag}={_value(node.tag, chance)}")
        fields += [f"{child.tag}={_value(child.tag, chance)}" for child in node.children[: chance.randint(0, 4)]]
    text = "".join(f"{field}|" for field in fields)
    expected = naive.check(naive.tokens(soh(f"35={msg_type}|{text}")), msg_type)
    assert outcome(framed(f"35={msg_type}|{text}")) == expected


def _value(tag, chance):
    """A value that is often right."""
    listed = naive.VALUES_OF.get(tag)
    if listed and chance.random() < 0.8:
        return chance.choice(listed)
    kind = naive.TYPE_OF.get(tag, "text")
    right = {
        "decimal": "1.5", "int": "1", "sequence": "7", "length": "2", "count": "1", "data": "ab", "boolean": "Y",
        "char": "1", "chars": "1", "timestamp": "20240611-12:34:56.789", "time": "12:34:56", "date": "20240611",
        "month": "202406", "country": "CH",
    }  # fmt: skip
    return right.get(kind, "text") if chance.random() < 0.9 else chance.choice(["", "-1", "x y", "0", "99", "~" * 30])


def test_every_type_has_its_number():
    """The numbers that compiled code knows types by are places in the list of types."""
    assert rules.TYPES[values.TEXT] == "text"
    assert rules.TYPES[values.COUNTRY] == "country"
    assert len(set(rules.TYPES)) == len(rules.TYPES)
