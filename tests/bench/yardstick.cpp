// The yardstick: a plain limit order book in C++17, timed on the same rows as the venue's core.
//
// Price-time priority on std::map of price levels, std::list of orders in each, std::unordered_map from order id to place. No
// ledger, no checks of accounts, no reports beyond a hash of the trades. It is written to be fair: the hash table is reserved,
// an order's place is kept so that a cancel searches no level, and the file is in memory before the clock starts.
//
// Input file: int64 setup row count, int64 timed row count, then the rows (40 bytes each, see kk99/bench/workloads/flow.py).
// Arguments: file, chunk count, resting orders to reserve for. Output: one JSON object, about the timed rows only.

#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <list>
#include <map>
#include <unordered_map>
#include <vector>

namespace {

enum Op : std::uint8_t { NEW = 0, CANCEL = 1, REPLACE = 2 };
enum Side : std::uint8_t { BUY = 0, SELL = 1 };

struct Row {
    std::uint8_t op, side, ioc, pad;
    std::int32_t instrument, account, qty_lots;
    std::int64_t price_ticks, order_id, spare;
};
static_assert(sizeof(Row) == 40, "a row is 40 bytes");

struct Order {
    std::int64_t order_id;
    std::int64_t open_lots;
    std::int32_t account;
};

struct Level {
    std::int64_t open_lots = 0;
    std::list<Order> orders;
};

// Keyed so that the best price comes first on either side: the price for sells, its negative for buys.
using Levels = std::map<std::int64_t, Level>;

struct Book {
    Levels sides[2];
};

struct Place {
    std::int32_t instrument;
    std::uint8_t side;
    Levels::iterator level;
    std::list<Order>::iterator order;
};

struct Totals {
    std::int64_t trade_count = 0, traded_lots = 0, rejected_count = 0;
    std::uint64_t hash = 0xcbf29ce484222325ULL;
};

// FNV-1a, a 64-bit word at a step, the high half folded down after each.
void mix(std::uint64_t& hash, std::int64_t word) {
    hash = (hash ^ static_cast<std::uint64_t>(word)) * 0x100000001b3ULL;
    hash ^= hash >> 32;
}

class Venue {
public:
    Venue(std::size_t instrument_count, std::size_t resting_hint) : books_(instrument_count) { places_.reserve(resting_hint); }

    void apply(const Row& row) {
        if (row.op == NEW) {
            if (places_.count(row.order_id) != 0) {
                ++totals.rejected_count;
                return;
            }
            enter(row.instrument, row.side, {row.order_id, row.qty_lots, row.account}, row.price_ticks, row.ioc != 0);
            return;
        }
        const auto found = places_.find(row.order_id);
        if (found == places_.end()) {
            ++totals.rejected_count;
        } else if (row.op == CANCEL) {
            remove(found->second);
            places_.erase(found);
        } else {
            replace(found, row);
        }
    }

    std::size_t resting_count() const { return places_.size(); }

    Totals totals;

private:
    using Places = std::unordered_map<std::int64_t, Place>;

    static std::int64_t key_of(std::uint8_t side, std::int64_t price_ticks) { return side == BUY ? -price_ticks : price_ticks; }

    void enter(std::int32_t instrument, std::uint8_t side, Order order, std::int64_t price_ticks, bool ioc) {
        match(instrument, side, order, price_ticks);
        if (order.open_lots == 0 || ioc) return;
        Levels& levels = books_[instrument].sides[side];
        const auto level = levels.try_emplace(key_of(side, price_ticks)).first;
        level->second.open_lots += order.open_lots;
        level->second.orders.push_back(order);
        places_.emplace(order.order_id, Place{instrument, side, level, std::prev(level->second.orders.end())});
    }

    void match(std::int32_t instrument, std::uint8_t side, Order& taker, std::int64_t price_ticks) {
        const std::uint8_t other = side == BUY ? SELL : BUY;
        const std::int64_t limit = key_of(other, price_ticks);
        Levels& levels = books_[instrument].sides[other];
        while (taker.open_lots > 0 && !levels.empty()) {
            const auto best = levels.begin();
            if (best->first > limit) return;
            Level& level = best->second;
            while (taker.open_lots > 0 && !level.orders.empty()) {
                Order& maker = level.orders.front();
                const std::int64_t lots = taker.open_lots < maker.open_lots ? taker.open_lots : maker.open_lots;
                taker.open_lots -= lots;
                maker.open_lots -= lots;
                level.open_lots -= lots;
                report(instrument, key_of(other, best->first), lots, maker.order_id, taker.order_id);
                if (maker.open_lots == 0) {
                    places_.erase(maker.order_id);
                    level.orders.pop_front();
                }
            }
            if (level.orders.empty()) levels.erase(best);
        }
    }

    void report(std::int32_t instrument, std::int64_t price_ticks, std::int64_t lots, std::int64_t maker, std::int64_t taker) {
        ++totals.trade_count;
        totals.traded_lots += lots;
        mix(totals.hash, instrument);
        mix(totals.hash, price_ticks);
        mix(totals.hash, lots);
        mix(totals.hash, maker);
        mix(totals.hash, taker);
    }

    void remove(const Place& place) {
        Level& level = place.level->second;
        level.open_lots -= place.order->open_lots;
        level.orders.erase(place.order);
        if (level.orders.empty()) books_[place.instrument].sides[place.side].erase(place.level);
    }

    void replace(Places::iterator found, const Row& row) {
        const Place place = found->second;
        Order order = *place.order;
        if (place.level->first == key_of(place.side, row.price_ticks) && row.qty_lots <= order.open_lots) {
            place.level->second.open_lots -= order.open_lots - row.qty_lots;
            place.order->open_lots = row.qty_lots;
            return;
        }
        remove(place);
        places_.erase(found);
        order.open_lots = row.qty_lots;
        enter(place.instrument, place.side, order, row.price_ticks, false);
    }

    std::vector<Book> books_;
    Places places_;
};

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "yardstick: %s\n", what);
    std::exit(2);
}

std::vector<Row> read_rows(const char* path, std::int64_t counts[2]) {
    std::FILE* file = std::fopen(path, "rb");
    if (file == nullptr) fail("cannot open the flow file");
    if (std::fread(counts, sizeof(std::int64_t), 2, file) != 2 || counts[0] < 0 || counts[1] < 0) fail("bad header");
    std::vector<Row> rows(static_cast<std::size_t>(counts[0] + counts[1]));
    if (std::fread(rows.data(), sizeof(Row), rows.size(), file) != rows.size()) fail("the file is shorter than its header says");
    if (std::fgetc(file) != EOF) fail("the file is longer than its header says");
    std::fclose(file);
    return rows;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) fail("arguments: file, chunk count, resting orders to reserve for");
    std::int64_t counts[2];
    const std::vector<Row> rows = read_rows(argv[1], counts);
    const std::int64_t chunk_count = std::atoll(argv[2]);
    if (chunk_count < 1) fail("the chunk count is less than 1");
    std::int32_t instrument_max = 0;
    for (const Row& row : rows) {
        if (row.instrument < 0 || row.op > REPLACE || row.side > SELL) fail("a row is malformed");
        if (row.instrument > instrument_max) instrument_max = row.instrument;
    }
    Venue venue(static_cast<std::size_t>(instrument_max) + 1, static_cast<std::size_t>(std::atoll(argv[3])));
    for (std::int64_t index = 0; index < counts[0]; ++index) venue.apply(rows[index]);
    venue.totals = Totals{};

    using Clock = std::chrono::steady_clock;
    std::vector<double> chunk_seconds;
    const auto start = Clock::now();
    auto chunk_start = start;
    for (std::int64_t chunk = 0; chunk < chunk_count; ++chunk) {
        const std::int64_t end = counts[0] + counts[1] * (chunk + 1) / chunk_count;
        for (std::int64_t index = counts[0] + counts[1] * chunk / chunk_count; index < end; ++index) venue.apply(rows[index]);
        const auto now = Clock::now();
        chunk_seconds.push_back(std::chrono::duration<double>(now - chunk_start).count());
        chunk_start = now;
    }
    const double seconds = std::chrono::duration<double>(chunk_start - start).count();

    std::printf("{\"commands\": %" PRId64 ", \"seconds\": %.9f, \"trades\": %" PRId64 ", \"traded_qty\": %" PRId64
                ", \"hash\": \"%016" PRIx64 "\", \"rejected\": %" PRId64 ", \"resting\": %zu, \"chunk_seconds\": [",
                counts[1], seconds, venue.totals.trade_count, venue.totals.traded_lots, venue.totals.hash,
                venue.totals.rejected_count, venue.resting_count());
    for (std::size_t chunk = 0; chunk < chunk_seconds.size(); ++chunk)
        std::printf("%s%.9f", chunk == 0 ? "" : ", ", chunk_seconds[chunk]);
    std::printf("]}\n");
    return 0;
}
