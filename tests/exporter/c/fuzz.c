/* Ten million observations of random bits through every entry point, with guard words around
 * every buffer. Built with AddressSanitizer and UndefinedBehaviorSanitizer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include NET_HEADER

#define GUARD 0x5aU
#define BATCH 8

#if NET(ACTION_DISCRETE)
typedef int32_t action_t;
#else
typedef float action_t;
#endif

static uint64_t state = SEED;

static uint32_t random_bits(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static void fill(float *observation, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = random_bits();
        if ((bits & 3U) != 0U) { /* most rows shall be valid */
            bits = (bits & 0x80ffffffU) | 0x3e000000U;
        }
        memcpy(&observation[i], &bits, sizeof bits);
    }
}

static void require(int condition, const char *what)
{
    if (!condition) {
        (void)fprintf(stderr, "%s\n", what);
        abort();
    }
}

int main(void)
{
    static const float low[] = LOW;
    static const float high[] = HIGH;
    long valid = 0;
    for (long call = 0; call < CALLS; call += BATCH) {
        /* On the heap, exactly as large as stated: one byte further is an error. */
        float *observations = malloc(sizeof(float) * BATCH * NET(OBSERVATION_SIZE));
        action_t *actions = malloc(sizeof(action_t) * BATCH * NET(ACTION_SIZE));
        float *outputs = malloc(sizeof(float) * NET(OUTPUT_SIZE));
        unsigned char *statuses = malloc(BATCH);
        require(observations && actions && outputs && statuses, "no memory");
        fill(observations, (size_t)BATCH * NET(OBSERVATION_SIZE));
        memset(actions, GUARD, sizeof(action_t) * BATCH * NET(ACTION_SIZE));
        int combined = FUNCTION(act_batch)(observations, actions, statuses, BATCH);
        for (size_t row = 0; row < BATCH; row++) {
            const float *observation = &observations[row * NET(OBSERVATION_SIZE)];
            action_t action[NET(ACTION_SIZE)];
            memset(action, GUARD, sizeof action);
            int status = FUNCTION(act)(observation, action);
            require(status == statuses[row], "act and act_batch disagree on the status");
            require((combined | status) == combined, "a status is missing in the combination");
            require(memcmp(action, &actions[row * NET(ACTION_SIZE)], sizeof action) == 0,
                "act and act_batch disagree on the action");
            require(FUNCTION(OUTPUTS)(observation, outputs) == status,
                "the outputs have another status");
            valid += status == 0;
            for (size_t i = 0; i < NET(ACTION_SIZE); i++) {
                if ((status == 0) || !HOLDS) {
                    require((float)action[i] >= low[i] && (float)action[i] <= high[i],
                        "an action is outside its bounds");
                }
            }
        }
        free(observations);
        free(actions);
        free(outputs);
        free(statuses);
    }
    require(valid > CALLS / 1000, "hardly any observation was valid");
    require(valid < CALLS, "no observation was invalid");
    (void)printf("%ld", valid);
    return 0;
}
