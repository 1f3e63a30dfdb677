"""FIX 4.4 at the edge: a compiled codec, a table of messages, a pure session machine; no sockets, clocks, threads.

One loop tick, for any number of connections:

1. Receive into one uint8 buffer, PAD bytes longer than what is used; what `decode` left of a connection goes before
   its new bytes. One row of `spans` for each connection that has bytes: S_START, S_END, S_PEER, S_NEXT_IN =
   `session.plain_from`.
2. `Decoder.decode(...)` (codec, decode, scan, validate, values, digits; `tables` names every column) frames,
   tokenizes and validates all whole messages: rows of `messages`, `fields`, `values`. Fewer spans done than given: a
   table is full; use the rows, then call again with S_START = S_DONE. Bytes from S_DONE on are kept for the next tick.
3. The first S_PLAIN messages of a span are valid application messages, in sequence: map them to commands in compiled
   code (`decode.note_fields`, `validate.find`, `rules.COLUMN_OF`, `digits.rescale`), then `session.took_plain`.
4. Each further message: `session.receive(decoder.inbound(buffer, message), now_ns, next_out)`; do the `actions` in
   order. What a Deliver has may be of an earlier tick (it waited beyond a gap): decode `message.raw` again, as a span.
5. `session.tick(now_ns)` when `session.next_tick_ns` is due; `session.sent(now_ns)` after sending one's own.

On Authenticate, keep the bytes from the Logon's M_END on, find the identity by SenderCompID and TargetCompID,
`codec.set_peer` its names and dialect, call `session.authenticated(next_in, next_out, now_ns)`, then decode them. On
Disconnect send what is under way, shut down for writing, read on until the peer closes (a deadline), then close: else
a reset may overtake the Logout.

Rare messages are written by `codec.encode`, floods by the `put_*` of `write` in compiled loops. `dictionary` is the
table that `rules` compiles; `Session.TABLE` says what each message does. KK99_LANE=python runs it all uncompiled.
"""
