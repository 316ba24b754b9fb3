/* What the subcommands of `policy` share: arguments, refusals, exit codes. */
#ifndef POLICY_COMMAND_H
#define POLICY_COMMAND_H

#include <stdbool.h>

/* Exit codes. */
#define EXIT_AS_EXPECTED 0
#define EXIT_DIFFERENT 1 /* the policy differs from its golden vectors, or output was lost */
#define EXIT_BAD_INPUT 2 /* an argument or an observation that cannot be used */

/* The arguments after the subcommand, read from left to right. */
struct arguments {
    const char *command;
    int count;
    char **values;
    int next;
};

/* True when the next argument is this option; it is then consumed. */
bool take_option(struct arguments *arguments, const char *name);

/* The value after an option: a whole number or a number within [low, high].
   False, after a sentence on standard error, when there is none or it does not fit. */
bool take_integer(struct arguments *arguments, const char *option, long low, long high,
                  long *value);
bool take_number(struct arguments *arguments, const char *option, double low, double high,
                 double *value);

/* The same for a text that is not empty. */
bool take_text(struct arguments *arguments, const char *option, const char **value);

/* A sentence on standard error that says what to do about the next argument; EXIT_BAD_INPUT. */
int refuse_argument(const struct arguments *arguments);

/* Flush standard output. EXIT_DIFFERENT, with a sentence, when something of it was lost. */
int finish_output(int code);

int verify_command(struct arguments *arguments);
int bench_command(struct arguments *arguments);
int act_command(struct arguments *arguments);
int info_command(struct arguments *arguments);

#endif
