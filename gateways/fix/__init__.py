"""FIX 4.4 at the edge: a compiled codec, a table of messages, a pure session machine; no sockets, clocks, threads.

One loop tick, for each connection that has bytes:

1. Receive into the gateway's uint8 buffer, PAD bytes longer than what is used, after what was left of the connection.
   One row of `spans`: S_START, S_END, S_PEER, S_NEXT_IN = `session.plain_from`.
2. `Decoder.decode(...)` (codec, decode, scan, validate, values, digits; `tables` names every column) frames,
   tokenizes and validates all whole messages: rows of `messages`, `fields`, `values`. Bytes from S_DONE on are kept.
3. The first S_PLAIN messages of a span are valid application messages, in sequence. Runs of them become command rows in
   one call (`taker`, `take_many`, `blake`), then `session.took_plain`; what is not simple, and each further message:
   `session.receive(decoder.inbound(buffer, message), now_ns, next_out)`, then its `actions` in order, `orders.to_row`
   among them. All rows go to the engine in one frame.
4. A frame of events becomes reports in one call (`bulk`, `follow`, `report_write`; live orders in `live_table`, ids of
   what was submitted in `text_table`); an event that is not simple goes through `reports`, which is the reference.
5. Reports of a session wait as bytes (`parcels`, `owed`); `send_many` writes header, numbers and index rows of many.
6. `session.tick(now_ns)` when `session.next_tick_ns` is due; `session.sent(now_ns)` after sending one's own.

On Authenticate, keep the bytes from the Logon's M_END on, find the identity by SenderCompID and TargetCompID,
`codec.set_peer` its names and dialect, call `session.authenticated(next_in, next_out, now_ns)`, then decode them. On
Disconnect send what is under way, shut down for writing, read on until the peer closes (a deadline), then close: else
a reset may overtake the Logout.

Rare messages are written by `codec.encode`, floods by the `put_*` of `write` in compiled loops. `dictionary` is the
table that `rules` compiles; `Session.TABLE` says what each message does. KK99_LANE=python runs it all uncompiled.
"""
