#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static void escaped(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char letter = (unsigned char)*text;
        if (letter == '"' || letter == '\\') {
            printf("\\%c", letter);
        } else if (letter < 0x20) {
            printf("\\u%04x", letter);
        } else {
            putchar(letter);
        }
    }
    putchar('"');
}

static void start_value(struct json *json, const char *key)
{
    int i;
    fputs(json->first ? "\n" : ",\n", stdout);
    json->first = false;
    for (i = 0; i < json->depth; i++) {
        fputs("  ", stdout);
    }
    if (key != NULL) {
        escaped(key);
        fputs(": ", stdout);
    }
}

void json_start(struct json *json)
{
    json->depth = 1;
    json->first = true;
    putchar('{');
}

void json_finish(struct json *json)
{
    json->depth = 0;
    fputs("\n}\n", stdout);
}

void json_open(struct json *json, const char *key, char bracket)
{
    start_value(json, key);
    putchar(bracket);
    json->depth++;
    json->first = true;
}

void json_close(struct json *json, char bracket)
{
    int i;
    json->depth--;
    if (!json->first) {
        putchar('\n');
        for (i = 0; i < json->depth; i++) {
            fputs("  ", stdout);
        }
    }
    putchar(bracket);
    json->first = false;
}

void json_text(struct json *json, const char *key, const char *text)
{
    start_value(json, key);
    escaped(text);
}

void json_integer(struct json *json, const char *key, int64_t value)
{
    start_value(json, key);
    printf("%" PRId64, value);
}

void json_number(struct json *json, const char *key, double value)
{
    if (!isfinite(value)) { /* JSON has no word for it */
        json_null(json, key);
        return;
    }
    start_value(json, key);
    printf("%.9g", value);
}

void json_bool(struct json *json, const char *key, bool value)
{
    start_value(json, key);
    fputs(value ? "true" : "false", stdout);
}

void json_null(struct json *json, const char *key)
{
    start_value(json, key);
    fputs("null", stdout);
}

void json_bits(struct json *json, const char *key, uint64_t bits)
{
    start_value(json, key);
    printf("\"%016" PRIx64 "\"", bits);
}
