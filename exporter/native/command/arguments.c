#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool take_option(struct arguments *arguments, const char *name)
{
    if (arguments->next >= arguments->count ||
        strcmp(arguments->values[arguments->next], name) != 0) {
        return false;
    }
    arguments->next++;
    return true;
}

static const char *take_value(struct arguments *arguments, const char *option)
{
    if (arguments->next >= arguments->count) {
        fprintf(stderr, "policy %s: %s needs a value, see policy --help\n", arguments->command,
                option);
        return NULL;
    }
    return arguments->values[arguments->next++];
}

bool take_integer(struct arguments *arguments, const char *option, long low, long high,
                  long *value)
{
    const char *text = take_value(arguments, option);
    char *end;
    if (text == NULL) {
        return false;
    }
    errno = 0;
    *value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || *value < low || *value > high) {
        fprintf(stderr, "policy %s: %s takes a whole number from %ld to %ld, not '%s'\n",
                arguments->command, option, low, high, text);
        return false;
    }
    return true;
}

bool take_number(struct arguments *arguments, const char *option, double low, double high,
                 double *value)
{
    const char *text = take_value(arguments, option);
    char *end;
    if (text == NULL) {
        return false;
    }
    *value = strtod(text, &end);
    if (end == text || *end != '\0' || !(*value >= low && *value <= high)) {
        fprintf(stderr, "policy %s: %s takes a number from %g to %g, not '%s'\n",
                arguments->command, option, low, high, text);
        return false;
    }
    return true;
}

bool take_text(struct arguments *arguments, const char *option, const char **value)
{
    *value = take_value(arguments, option);
    if (*value != NULL && **value == '\0') {
        fprintf(stderr, "policy %s: %s takes a text that is not empty\n", arguments->command,
                option);
        return false;
    }
    return *value != NULL;
}

int refuse_argument(const struct arguments *arguments)
{
    fprintf(stderr, "policy %s: unknown argument '%s', see policy --help\n", arguments->command,
            arguments->values[arguments->next]);
    return EXIT_BAD_INPUT;
}

int finish_output(int code)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "policy: could not write all of the output: %s\n", strerror(errno));
        return EXIT_DIFFERENT;
    }
    return code;
}
