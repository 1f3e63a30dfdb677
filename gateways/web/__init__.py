"""The web gateway: market data over HTTP and WebSocket, from read models in memory that follow the event stream.

Map: `server` owns the sockets and the event loop, `feed` brings it the engine's events, `venue` is what is known of
the markets, `candles` their history since the start; `rest` answers requests, `streams` makes what subscribers hear,
`peer` is one of them. `forms`, `errors`, `openapi` and `guard` are what requests and answers have in common.
"""
