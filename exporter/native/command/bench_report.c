#include "bench_report.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "policy_bindings.h"

static void text_row(const char *name, const struct summary *summary)
{
    printf("  %-22s %10.1f %10.1f %10.1f %10.1f %10.1f %10.1f %10.1f %9zu\n", name,
           summary->min_ns, summary->mean_ns, summary->p50_ns, summary->p90_ns, summary->p99_ns,
           summary->p99_9_ns, summary->max_ns, summary->count);
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

void bench_report_text(const struct bench_report *report)
{
    printf("%s for %s, one call: observation in, action out\n", POLICY_NAME, POLICY_TARGET);
    text_request("--cpu", &report->scheduling.cpu);
    text_request("--fifo", &report->scheduling.fifo);
    text_request("--mlock", &report->scheduling.mlock);
    printf("  clock governor: %s\n", scheduling_governor());
    text_heading();
    text_row("reading the clock", &report->timer.cost);
    if (report->has_back_to_back) {
        printf("back to back\n");
        text_row("mean of a block", &report->back_to_back.block);
        text_row("single, with the clock", &report->back_to_back.single);
    }
    if (report->has_paced) {
        printf("paced at %g Hz: %zu deadlines missed\n", report->rate_hz,
               report->paced.deadline_misses);
        text_row("from intended start", &report->paced.latency);
        text_row("wake-up", &report->paced.wakeup);
        text_row("inference", &report->paced.inference);
    }
}

static void json_summary(struct json *json, const char *key, const struct summary *summary)
{
    json_open(json, key, '{');
    json_number(json, "min", summary->min_ns);
    json_number(json, "mean", summary->mean_ns);
    json_number(json, "p50", summary->p50_ns);
    json_number(json, "p90", summary->p90_ns);
    json_number(json, "p99", summary->p99_ns);
    json_number(json, "p99_9", summary->p99_9_ns);
    json_number(json, "max", summary->max_ns);
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

static void json_back_to_back(struct json *json, const struct back_to_back *result)
{
    json_open(json, "back_to_back", '{');
    json_number(json, "duration_s", (double)result->duration_ns * 1e-9);
    json_open(json, "block", '{');
    json_integer(json, "calls_per_sample", (int64_t)result->calls_per_block);
    json_integer(json, "samples", (int64_t)result->block.count);
    json_summary(json, "latency_ns", &result->block);
    json_close(json, '}');
    json_open(json, "single", '{');
    json_integer(json, "calls_per_sample", 1);
    json_integer(json, "samples", (int64_t)result->single.count);
    json_summary(json, "latency_ns", &result->single);
    json_close(json, '}');
    json_close(json, '}');
}

static void json_paced(struct json *json, const struct paced *result, double rate_hz)
{
    json_open(json, "paced", '{');
    json_number(json, "rate_hz", rate_hz);
    json_integer(json, "period_ns", (int64_t)result->period_ns);
    json_number(json, "duration_s", (double)result->duration_ns * 1e-9);
    json_integer(json, "samples", (int64_t)result->latency.count);
    json_integer(json, "deadline_misses", (int64_t)result->deadline_misses);
    json_summary(json, "latency_ns", &result->latency);
    json_summary(json, "wakeup_ns", &result->wakeup);
    json_summary(json, "inference_ns", &result->inference);
    json_close(json, '}');
}

void bench_report_json(const struct bench_report *report)
{
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
    json_summary(&json, "cost_ns", &report->timer.cost);
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
        json_back_to_back(&json, &report->back_to_back);
    } else {
        json_null(&json, "back_to_back");
    }
    if (report->has_paced) {
        json_paced(&json, &report->paced, report->rate_hz);
    } else {
        json_null(&json, "paced");
    }
    json_finish(&json);
}
