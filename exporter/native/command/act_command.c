/* getline is POSIX.1-2008; the build asks for that level. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bits.h"
#include "command.h"
#include "golden.h"
#include "policy_bindings.h"

/* The action of the last valid observation, for the mode that holds it. */
static policy_action action[POLICY_ACTION_SIZE];

static bool separates(char letter)
{
    return letter == ' ' || letter == '\t' || letter == ',' || letter == '\r' || letter == '\n';
}

/* Read one line; false, after a sentence on standard error, when it is no observation. */
static bool parse_line(const char *line, size_t length, size_t number, float observation[])
{
    size_t found = 0;
    const char *at = line;
    if (strlen(line) != length) {
        fprintf(stderr, "policy act: line %zu holds a zero byte: did you mean --binary?\n", number);
        return false;
    }
    for (;;) {
        char *end;
        float value;
        while (*at != '\0' && separates(*at)) {
            at++;
        }
        if (*at == '\0') {
            break;
        }
        value = strtof(at, &end);
        if (end == at || (*end != '\0' && !separates(*end))) {
            fprintf(stderr, "policy act: line %zu: value %zu is not a number\n", number,
                    found + 1);
            return false;
        }
        if (found < POLICY_OBSERVATION_SIZE) {
            observation[found] = value;
        }
        found++;
        at = end;
    }
    if (found != POLICY_OBSERVATION_SIZE) {
        fprintf(stderr, "policy act: line %zu has %zu values, this policy reads %d\n", number,
                found, POLICY_OBSERVATION_SIZE);
        return false;
    }
    return true;
}

static void print_action(policy_action value)
{
#if POLICY_DISCRETE
    printf("%" PRId32 " ", value);
#else
    printf("%.9g ", (double)value); /* 9 digits read back as the same float */
#endif
}

static int act_on_text(bool with_outputs)
{
    float observation[POLICY_OBSERVATION_SIZE];
    float outputs[POLICY_OUTPUT_SIZE];
    char *line = NULL;
    size_t space = 0;
    size_t number = 0;
    int code = EXIT_AS_EXPECTED;

    for (;;) {
        ssize_t length = getline(&line, &space, stdin);
        int status;
        size_t i;
        if (length < 0) {
            break;
        }
        number++;
        if (!parse_line(line, (size_t)length, number, observation)) {
            code = EXIT_BAD_INPUT;
            break;
        }
        status = policy_act(observation, action);
        for (i = 0; i < POLICY_ACTION_SIZE; i++) {
            print_action(action[i]);
        }
        printf("%d", status);
        if (with_outputs) {
            (void)policy_outputs(observation, outputs); /* the same status */
            for (i = 0; i < POLICY_OUTPUT_SIZE; i++) {
                printf(" %.9g", (double)outputs[i]);
            }
        }
        putchar('\n');
        /* Whoever waits at the other end of a pipe gets each answer at once. */
        if (fflush(stdout) != 0) {
            break;
        }
    }
    free(line);
    return code;
}

static void put_word(unsigned char bytes[], uint32_t word)
{
    unsigned int i;
    for (i = 0; i < 4; i++) {
        bytes[i] = (unsigned char)((word >> (8 * i)) & 0xffu);
    }
}

static float get_float(const unsigned char bytes[])
{
    return float_of_bits((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                         (uint32_t)bytes[3] << 24);
}

static int act_on_binary(bool with_outputs)
{
    unsigned char in[4 * POLICY_OBSERVATION_SIZE];
    unsigned char out[4 * (POLICY_ACTION_SIZE + 1 + POLICY_OUTPUT_SIZE)];
    float observation[POLICY_OBSERVATION_SIZE];
    float outputs[POLICY_OUTPUT_SIZE];
    size_t number = 0;

    for (;;) {
        size_t length = fread(in, 1, sizeof in, stdin);
        size_t used = 0;
        int status;
        size_t i;
        if (length == 0) {
            return EXIT_AS_EXPECTED;
        }
        number++;
        if (length != sizeof in) {
            fprintf(stderr, "policy act: observation %zu has %zu bytes, this policy reads %zu\n",
                    number, length, sizeof in);
            return EXIT_BAD_INPUT;
        }
        for (i = 0; i < POLICY_OBSERVATION_SIZE; i++) {
            observation[i] = get_float(&in[4 * i]);
        }
        status = policy_act(observation, action);
        for (i = 0; i < POLICY_ACTION_SIZE; i++, used += 4) {
            put_word(&out[used], bits_of_action(action[i]));
        }
        put_word(&out[used], (uint32_t)status);
        used += 4;
        if (with_outputs) {
            (void)policy_outputs(observation, outputs); /* the same status */
            for (i = 0; i < POLICY_OUTPUT_SIZE; i++, used += 4) {
                put_word(&out[used], bits_of_float(outputs[i]));
            }
        }
        if (fwrite(out, 1, used, stdout) != used || fflush(stdout) != 0) {
            return EXIT_AS_EXPECTED; /* finish_output says what was lost */
        }
    }
}

int act_command(struct arguments *arguments)
{
    bool binary = false;
    bool with_outputs = false;
    int code;

    while (arguments->next < arguments->count) {
        if (take_option(arguments, "--binary")) {
            binary = true;
        } else if (take_option(arguments, "--outputs")) {
            with_outputs = true;
        } else {
            return refuse_argument(arguments);
        }
    }
    memcpy(action, golden_safe_action, sizeof action);
    code = binary ? act_on_binary(with_outputs) : act_on_text(with_outputs);
    if (ferror(stdin)) {
        fputs("policy act: standard input could not be read to its end\n", stderr);
        code = EXIT_BAD_INPUT;
    }
    return finish_output(code);
}
