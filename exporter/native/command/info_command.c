#include <stdio.h>

#include "command.h"
#include "golden.h"
#include "json.h"
#include "policy_bindings.h"

#ifdef __VERSION__
#define COMPILED_BY __VERSION__
#else
#define COMPILED_BY "an unknown compiler"
#endif

static const char *const names[POLICY_OBSERVATION_SIZE] = POLICY_OBSERVATION_NAMES;
static const float low[POLICY_OBSERVATION_SIZE] = POLICY_OBSERVATION_LOW;
static const float high[POLICY_OBSERVATION_SIZE] = POLICY_OBSERVATION_HIGH;
static const unsigned char is_read[POLICY_OBSERVATION_SIZE] = POLICY_OBSERVATION_IS_READ;
static const double action_low[POLICY_ACTION_SIZE] = POLICY_ACTION_LOW;
static const double action_high[POLICY_ACTION_SIZE] = POLICY_ACTION_HIGH;

static void print_text(void)
{
    size_t i;
    printf("policy        %s, trained in %s\n", POLICY_NAME, POLICY_ENVIRONMENT);
    printf("sha-256       %s\n", POLICY_SHA256);
    printf("built for     %s, %s arithmetic, dspctl %s, %s\n", POLICY_TARGET,
           POLICY_STRICT ? "strict" : "fast", POLICY_DSPCTL_VERSION, COMPILED_BY);
    printf("golden rows   %d\n", GOLDEN_ROWS);
    printf("stack         at most %d bytes per call\n", POLICY_STACK_BYTES);
    printf("on invalid    %s\n", POLICY_ON_INVALID);
    printf("outputs       %d\n", POLICY_OUTPUT_SIZE);
    for (i = 0; i < POLICY_OBSERVATION_SIZE; i++) {
        printf("observation   %zu %s: %.9g to %.9g%s\n", i, names[i], (double)low[i],
               (double)high[i], is_read[i] ? "" : ", not read");
    }
    for (i = 0; i < POLICY_ACTION_SIZE; i++) {
        printf("action        %zu %s: %.9g to %.9g, safe %.9g\n", i,
               POLICY_DISCRETE ? "(discrete)" : "(continuous)", action_low[i], action_high[i],
               (double)golden_safe_action[i]);
    }
}

static void print_json(void)
{
    struct json json;
    size_t i;
    json_start(&json);
    json_text(&json, "command", "info");
    json_text(&json, "policy", POLICY_NAME);
    json_text(&json, "environment", POLICY_ENVIRONMENT);
    json_text(&json, "policy_sha256", POLICY_SHA256);
    json_text(&json, "target", POLICY_TARGET);
    json_text(&json, "numeric_mode", POLICY_STRICT ? "strict" : "fast");
    json_text(&json, "dspctl", POLICY_DSPCTL_VERSION);
    json_text(&json, "compiler", COMPILED_BY);
    json_integer(&json, "golden_rows", GOLDEN_ROWS);
    json_integer(&json, "stack_bytes", POLICY_STACK_BYTES);
    json_text(&json, "on_invalid", POLICY_ON_INVALID);
    json_integer(&json, "outputs", POLICY_OUTPUT_SIZE);
    json_open(&json, "observation", '[');
    for (i = 0; i < POLICY_OBSERVATION_SIZE; i++) {
        json_open(&json, NULL, '{');
        json_text(&json, "name", names[i]);
        json_number(&json, "low", (double)low[i]);
        json_number(&json, "high", (double)high[i]);
        json_bool(&json, "read", is_read[i] != 0);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_bool(&json, "discrete", POLICY_DISCRETE);
    json_open(&json, "action", '[');
    for (i = 0; i < POLICY_ACTION_SIZE; i++) {
        json_open(&json, NULL, '{');
        json_number(&json, "low", action_low[i]);
        json_number(&json, "high", action_high[i]);
        json_number(&json, "safe", (double)golden_safe_action[i]);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_finish(&json);
}

int info_command(struct arguments *arguments)
{
    bool as_json = false;
    while (arguments->next < arguments->count) {
        if (take_option(arguments, "--json")) {
            as_json = true;
        } else {
            return refuse_argument(arguments);
        }
    }
    if (as_json) {
        print_json();
    } else {
        print_text();
    }
    return finish_output(EXIT_AS_EXPECTED);
}
