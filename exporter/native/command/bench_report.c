#include "bench_report.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "policy_bindings.h"

#define CELL_BYTES 32u

void bench_report_summarise(struct bench_report *report)
{
    double clock_ns = report->timer.cost.p50_ns;
    if (report->has_back_to_back) {
        struct back_to_back *found = &report->back_to_back;
        report->block = figures_of(&found->blocks, found->calls_per_block, clock_ns);
        report->single = figures_of(&found->singles, 1, clock_ns);
    }
    if (report->has_paced) {
        struct paced *found = &report->paced;
        report->latency = figures_of(&found->latencies, 1, clock_ns);
        report->wakeup = figures_of(&found->wakeups, 1, clock_ns);
        report->inference = figures_of(&found->inferences, 1, clock_ns);
    }
}

static void text_row(const char *name, const struct figures *figures)
{
    size_t i;

    printf("  %-22s", name);
    for (i = 0; i < FIGURES; i++) {
        char cell[CELL_BYTES];
        (void)snprintf(cell, sizeof cell, "%s%.1f", figure_is_bound(figures, i) ? "<= " : "",
                       figure_ns(figures, i));
        printf(" %10s", cell);
    }
    printf(" %9zu\n", figures->summary.count);
}

static void text_heading(void)
{
    printf("  %-22s %10s %10s %10s %10s %10s %10s %10s %9s\n", "ns", "min", "mean", "p50", "p90",
           "p99", "p99.9", "max", "samples");
}

static void text_request(const char *name, const struct request *request)
{
    if (request->wanted) {
        printf("  %s: %s\n", name, request->refused == 0 ? "granted" : strerror(request->refused));
    }
}

static void text_dropped(const char *kind, size_t dropped)
{
    if (dropped != 0) {
        printf("  %zu %s found no room and are in no figure: use fewer --seconds or a larger "
               "--keep\n",
               dropped, kind);
    }
}

void bench_report_text(const struct bench_report *report)
{
    struct figures clock = {report->timer.cost, 0.0, 0};

    printf("%s for %s, one call: observation in, action out\n", POLICY_NAME, POLICY_TARGET);
    text_request("--cpu", &report->scheduling.cpu);
    text_request("--fifo", &report->scheduling.fifo);
    text_request("--mlock", &report->scheduling.mlock);
    printf("  clock governor: %s\n", scheduling_governor());
    text_heading();
    text_row("reading the clock", &clock);
    if (report->has_back_to_back) {
        printf("back to back\n");
        text_row("mean of a block", &report->block);
        text_row("single, with the clock", &report->single);
        text_dropped("blocks", report->block.dropped);
        text_dropped("single calls", report->single.dropped);
    }
    if (report->has_paced) {
        printf("paced at %g Hz: %zu deadlines missed\n", report->plan.rate_hz,
               report->paced.deadline_misses);
        text_row("from intended start", &report->latency);
        text_row("wake-up", &report->wakeup);
        text_row("inference", &report->inference);
    }
}

static void json_figures(struct json *json, const char *key, const struct figures *figures)
{
    size_t i;

    json_open(json, key, '{');
    for (i = 0; i < FIGURES; i++) {
        json_number(json, figure_name(i), figure_ns(figures, i));
    }
    json_close(json, '}');
}

/* The names of the figures that are upper bounds; `prefix` says which figures these are. */
static void json_bounds(struct json *json, const char *prefix, const struct figures *figures)
{
    size_t i;

    for (i = 0; i < FIGURES; i++) {
        if (figure_is_bound(figures, i)) {
            char name[CELL_BYTES];
            (void)snprintf(name, sizeof name, "%s%s", prefix, figure_name(i));
            json_text(json, NULL, name);
        }
    }
}

static void json_kind(struct json *json, const char *key, const struct figures *figures,
                      uint64_t calls)
{
    json_open(json, key, '{');
    json_integer(json, "calls_per_sample", (int64_t)calls);
    json_integer(json, "samples", (int64_t)figures->summary.count);
    json_integer(json, "dropped", (int64_t)figures->dropped);
    json_figures(json, "latency_ns", figures);
    json_open(json, "bounds", '[');
    json_bounds(json, "", figures);
    json_close(json, ']');
    json_close(json, '}');
}

static void json_warm_up(struct json *json, const struct warm_up *warm_up)
{
    json_open(json, "warm_up", '{');
    json_integer(json, "calls", (int64_t)warm_up->calls);
    json_number(json, "call_ns", warm_up->call_ns);
    json_bool(json, "settled", warm_up->settled);
    json_close(json, '}');
}

static void json_request(struct json *json, const char *key, const struct request *request,
                         bool has_value)
{
    if (!request->wanted) {
        json_null(json, key);
        return;
    }
    json_open(json, key, '{');
    if (has_value) {
        json_integer(json, "value", request->value);
    }
    json_bool(json, "granted", request->refused == 0);
    if (request->refused != 0) {
        json_text(json, "reason", strerror(request->refused));
    }
    json_close(json, '}');
}

static void json_back_to_back(struct json *json, const struct bench_report *report)
{
    const struct back_to_back *found = &report->back_to_back;
    json_open(json, "back_to_back", '{');
    json_number(json, "duration_s", (double)found->duration_ns * 1e-9);
    json_warm_up(json, &found->warm_up);
    json_integer(json, "singles_per_block", (int64_t)found->singles_per_block);
    json_kind(json, "block", &report->block, found->calls_per_block);
    json_kind(json, "single", &report->single, 1);
    json_close(json, '}');
}

static void json_paced(struct json *json, const struct bench_report *report)
{
    const struct paced *found = &report->paced;
    json_open(json, "paced", '{');
    json_number(json, "rate_hz", report->plan.rate_hz);
    json_integer(json, "period_ns", (int64_t)found->period_ns);
    json_number(json, "duration_s", (double)found->duration_ns * 1e-9);
    json_warm_up(json, &found->warm_up);
    json_integer(json, "samples", (int64_t)report->latency.summary.count);
    json_integer(json, "dropped", (int64_t)report->latency.dropped);
    json_integer(json, "deadline_misses", (int64_t)found->deadline_misses);
    json_figures(json, "latency_ns", &report->latency);
    json_figures(json, "wakeup_ns", &report->wakeup);
    json_figures(json, "inference_ns", &report->inference);
    json_open(json, "bounds", '[');
    json_bounds(json, "latency_ns.", &report->latency);
    json_bounds(json, "wakeup_ns.", &report->wakeup);
    json_bounds(json, "inference_ns.", &report->inference);
    json_close(json, ']');
    json_close(json, '}');
}

void bench_report_json(const struct bench_report *report)
{
    struct figures clock = {report->timer.cost, 0.0, 0};
    struct json json;

    json_start(&json);
    json_text(&json, "command", "bench");
    json_text(&json, "policy", POLICY_NAME);
    json_text(&json, "policy_sha256", POLICY_SHA256);
    json_text(&json, "target", POLICY_TARGET);
    json_text(&json, "numeric_mode", POLICY_STRICT ? "strict" : "fast");
    json_open(&json, "clock", '{');
    json_text(&json, "source", "CLOCK_MONOTONIC");
    json_integer(&json, "resolution_ns", (int64_t)report->timer.resolution_ns);
    json_integer(&json, "step_ns", (int64_t)report->timer.step_ns);
    json_integer(&json, "samples", (int64_t)report->timer.cost.count);
    json_figures(&json, "cost_ns", &clock);
    json_close(&json, '}');
    json_open(&json, "scheduling", '{');
    json_request(&json, "cpu", &report->scheduling.cpu, true);
    json_request(&json, "fifo", &report->scheduling.fifo, true);
    json_request(&json, "mlock", &report->scheduling.mlock, false);
    json_text(&json, "governor", scheduling_governor());
    json_close(&json, '}');
    json_integer(&json, "observations", (int64_t)report->observations);
    json_integer(&json, "checksum", report->checksum);
    if (report->has_back_to_back) {
        json_back_to_back(&json, report);
    } else {
        json_null(&json, "back_to_back");
    }
    if (report->has_paced) {
        json_paced(&json, report);
    } else {
        json_null(&json, "paced");
    }
    json_finish(&json);
}
