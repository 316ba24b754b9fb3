/* JSON on standard output: enough to write a report, with commas and escapes in one place. */
#ifndef POLICY_JSON_H
#define POLICY_JSON_H

#include <stdbool.h>
#include <stdint.h>

struct json {
    int depth;
    bool first; /* nothing was written at this depth yet */
};

void json_start(struct json *json);
void json_finish(struct json *json);

/* `key` is null inside an array. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);
void json_text(struct json *json, const char *key, const char *text);
void json_integer(struct json *json, const char *key, int64_t value);
void json_number(struct json *json, const char *key, double value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
void json_bits(struct json *json, const char *key, uint64_t bits); /* 16 hexadecimal digits */

#endif
