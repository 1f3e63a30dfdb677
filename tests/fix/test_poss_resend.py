"""Orders with PossResend (97): one that lives is not entered twice, one that does not is entered."""

from tests.fix.raw_client import RawClient, venue
from tests.fix.support import ORDER, Stream, message


def test_an_order_that_may_be_sent_again_is_entered_once(tmp_path):
    """Of one that lives the status is told, of one that the venue never had that it is accepted."""
    with venue(tmp_path) as (_, port), RawClient(port) as client:
        client.logon()
        client.expect("A")
        client.order("a")
        first = client.expect("8")
        client.order("a", header="97=Y|")
        status = client.expect("8")
        assert (status[150], status[39], status[37]) == ("I", "0", first[37])
        client.order("b", header="97=Y|")
        accepted = client.expect("8")
        assert (accepted[11], accepted[150]) == ("b", "0")
        client.order("b")
        refused = client.expect("8")
        assert (refused[150], refused[103]) == ("8", "6")


def test_a_possible_resend_is_not_plain():
    """Whoever takes messages without thought does not see it."""
    stream = Stream(next_in=1)
    stream.feed(message("D", ORDER) + message("D", ORDER, seq=2, header="97=Y|") + message("D", ORDER, seq=3))
    assert stream.plain == 1
