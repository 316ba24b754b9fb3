#include <inttypes.h>
#include <stdio.h>

#include "command.h"
#include "json.h"
#include "policy_bindings.h"
#include "verify.h"

/* Enough to see a pattern; the count says how many there are. */
#define SHOWN 20

struct shown {
    size_t count;
    struct verify_difference differences[SHOWN];
};

static void remember(void *context, const struct verify_difference *difference)
{
    struct shown *shown = context;
    if (shown->count < SHOWN) {
        shown->differences[shown->count++] = *difference;
    }
}

static void print_text(const struct verify_result *result, const struct shown *shown)
{
    size_t i;
    for (i = 0; i < shown->count; i++) {
        const struct verify_difference *each = &shown->differences[i];
        printf("row %zu, %s, %s %zu: got %.9g, expected %.9g, allowed difference %.3g\n",
               each->row, each->call, each->value, each->index, each->got, each->expected,
               each->allowed);
    }
    if (result->differences > shown->count) {
        printf("and %zu more\n", result->differences - shown->count);
    }
    printf("%s for %s: %zu golden vectors, %zu differences, %zu ties\n", POLICY_NAME,
           POLICY_TARGET, result->rows, result->differences, result->ties);
    printf("largest output error %.3g, %.3g of what rounding allows\n",
           result->largest_output_error, result->largest_bound_share);
    printf("bits (fnv1a-64): act %016" PRIx64 ", act_batch %016" PRIx64 "\n", result->act_bits,
           result->batch_bits);
    puts(result->differences == 0 ? "passed" : "FAILED: do not use this build on this machine");
}

static void print_json(const struct verify_result *result, const struct shown *shown)
{
    struct json json;
    size_t i;
    json_start(&json);
    json_text(&json, "command", "verify");
    json_text(&json, "policy", POLICY_NAME);
    json_text(&json, "policy_sha256", POLICY_SHA256);
    json_text(&json, "target", POLICY_TARGET);
    json_text(&json, "numeric_mode", POLICY_STRICT ? "strict" : "fast");
    json_bool(&json, "passed", result->differences == 0);
    json_integer(&json, "rows", (int64_t)result->rows);
    json_integer(&json, "differences", (int64_t)result->differences);
    json_integer(&json, "ties", (int64_t)result->ties);
    json_number(&json, "largest_output_error", result->largest_output_error);
    json_number(&json, "largest_bound_share", result->largest_bound_share);
    json_open(&json, "bits", '{');
    json_text(&json, "algorithm", "fnv1a-64");
    json_bits(&json, "act", result->act_bits);
    json_bits(&json, "act_batch", result->batch_bits);
    json_close(&json, '}');
    json_open(&json, "first_differences", '[');
    for (i = 0; i < shown->count; i++) {
        const struct verify_difference *each = &shown->differences[i];
        json_open(&json, NULL, '{');
        json_integer(&json, "row", (int64_t)each->row);
        json_text(&json, "call", each->call);
        json_text(&json, "value", each->value);
        json_integer(&json, "index", (int64_t)each->index);
        json_number(&json, "got", each->got);
        json_number(&json, "expected", each->expected);
        json_number(&json, "allowed", each->allowed);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_finish(&json);
}

int verify_command(struct arguments *arguments)
{
    struct verify_result result;
    struct shown shown;
    bool as_json = false;

    while (arguments->next < arguments->count) {
        if (take_option(arguments, "--json")) {
            as_json = true;
        } else {
            return refuse_argument(arguments);
        }
    }
    shown.count = 0;
    verify_golden(&result, remember, &shown);
    if (as_json) {
        print_json(&result, &shown);
    } else {
        print_text(&result, &shown);
    }
    return finish_output(result.differences == 0 ? EXIT_AS_EXPECTED : EXIT_DIFFERENT);
}
