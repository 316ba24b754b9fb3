// Drives the bundle's control loop with parts that fail, and counts what it put in by itself.
//
//   harness STEPS HZ LOG EVERY
//
// Every EVERY steps there is one fault, each of kWays in turn; "counts" are printed as one line per
// kind, and what was applied at each fault's step as "applied STEP VALUE".
#include <array>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>

#include "loop/control_loop.hpp"
#include HEADER

namespace {

using Loop = loop::ControlLoop<ACTION, UP(_OBSERVATION_SIZE), UP(_ACTION_SIZE)>;

enum Way {
    kNan, kInfinite, kUnread, kRefused, kThrown, kThrownOther, kLate, kActThrows, kActStatus,
    kActNan, kNotApplied, kApplyThrows, kApplyThrowsOther, kStall, kWays
};

std::map<std::string, std::uint64_t> put;
std::uint64_t step = 0;
std::uint64_t every = 1;
double period_ms = 0.0;
std::uint64_t stalls_seen = 0;
volatile std::sig_atomic_t stop = 0;

Way way()
{
    return step != 0 && step % every == 0 ? static_cast<Way>((step / every - 1) % kWays) : kWays;
}

void wait(double milliseconds)
{
    std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(milliseconds));
}

bool observe(Loop::Observation &observation)
{
    observation.fill(VALUE);
    switch (way()) {
    case kNan:
        ++put["invalid"];
        observation[READ] = std::numeric_limits<float>::quiet_NaN();
        break;
    case kInfinite:
        ++put["invalid"];
        observation[READ] = -std::numeric_limits<float>::infinity();
        break;
    case kUnread:  // nobody looks at it
        observation[UNREAD] = UNREAD == READ ? VALUE : std::numeric_limits<float>::quiet_NaN();
        break;
    case kRefused:
        ++put["observe"];
        return false;
    case kThrown:
        ++put["observe"];
        throw std::runtime_error("a \"sensor\"\nis gone");
    case kThrownOther:
        ++put["observe"];
        throw 7;
    default:
        break;
    }
    return true;
}

int act(const Loop::Observation &observation, Loop::Actions &action)
{
    switch (way()) {
    case kActThrows:
        ++put["backend"];
        throw std::bad_alloc();
    case kActStatus:
        ++put["backend"];
        return 99;
    case kActNan:
        ++put["backend"];
        if (!std::numeric_limits<ACTION>::has_quiet_NaN) {
            return -1;
        }
        action.fill(std::numeric_limits<ACTION>::quiet_NaN());
        return 0;
    default:
        return ACT(observation.data(), action.data());
    }
}

bool apply(const Loop::Actions &action)
{
    const Way now = way();
    if (now != kWays || step == 0) {
        std::printf("applied %llu %.9g\n", static_cast<unsigned long long>(step),
                    static_cast<double>(action[0]));
    }
    ++step;
    switch (now) {
    case kLate:
        ++put["late"];
        wait(1.5 * period_ms);
        break;
    case kStall:
        ++put["stall"];
        wait(45.0);
        break;
    case kNotApplied:
        ++put["apply"];
        return false;
    case kApplyThrows:
        ++put["apply"];
        throw std::logic_error("no bus");
    case kApplyThrowsOther:
        ++put["apply"];
        throw "text";
    default:
        break;
    }
    return true;
}

void on_stall(std::uint64_t)
{
    ++stalls_seen;
    throw std::runtime_error("a hook that fails");
}

}  // namespace

int main(int, char **values)
{
    loop::Settings settings;
    settings.steps = std::strtoull(values[1], nullptr, 10);
    settings.hz = std::strtod(values[2], nullptr);
    settings.watchdog_ms = 30.0;
    settings.max_hold = MAX_HOLD;
    settings.holds_invalid = HOLDS;
    every = std::strtoull(values[4], nullptr, 10);
    period_ms = 1e3 / settings.hz;
    std::FILE *stream = std::fopen(values[3], "w");
    std::signal(SIGPIPE, SIG_IGN);
    loop::EventLog log(stream);
    const Loop::Actions safe = {UP(_SAFE_ACTION)};
    Loop control(settings, safe, {observe, act, apply, on_stall}, log);
    const loop::Totals totals = control.run(stop);
    log.finish();
    for (std::size_t kind = 0; kind < loop::kKinds; ++kind) {
        std::printf("counted %s %llu %llu\n", loop::kNames[kind],
                    static_cast<unsigned long long>(totals.faults[kind]),
                    static_cast<unsigned long long>(put[loop::kNames[kind]]));
    }
    std::printf("steps %llu lost %llu hook %llu\n", static_cast<unsigned long long>(totals.steps),
                static_cast<unsigned long long>(log.lost()),
                static_cast<unsigned long long>(stalls_seen));
    return 0;
}
