#include "model/tasks.h"

#include "common/philox.h"

/* Words of one item come from one stream, `next` of them used. */
struct task_draw {
    struct philox_key key;
    uint64_t next;
};

static uint32_t below(struct task_draw *d, uint32_t bound)
{
    return philox_below(d->key, d->next++, bound);
}

static void draw_letters(struct task_draw *d, size_t length, char *ret_text)
{
    for (size_t i = 0; i < length; i++)
        ret_text[i] = (char)('a' + below(d, 26));
    ret_text[length] = '\0';
}

static void reverse(struct task_draw *d, size_t length, char *ret_question,
                    char *ret_answer)
{
    draw_letters(d, length, ret_question);
    for (size_t i = 0; i < length; i++)
        ret_answer[i] = ret_question[length - 1 - i];
    ret_answer[length] = '\0';
}

static int by_byte(const void *a, const void *b)
{
    return *(const char *)a - *(const char *)b;
}

static void sort(struct task_draw *d, size_t length, char *ret_question,
                 char *ret_answer)
{
    draw_letters(d, length, ret_question);
    memcpy(ret_answer, ret_question, length + 1);
    qsort(ret_answer, length, 1, by_byte);
}

static void add(struct task_draw *d, size_t length, char *ret_question,
                char *ret_answer)
{
    uint32_t term = 1 + below(d, 3);

    for (size_t i = 0; i < length; i++) {
        uint32_t digit = below(d, 10);

        ret_question[i] = (char)('0' + digit);
        ret_answer[i] = (char)('0' + (digit + term) % 10);
    }
    ret_question[length] = '+';
    ret_question[length + 1] = (char)('0' + term);
    ret_question[length + 2] = '\0';
    ret_answer[length] = '\0';
}

/* A walk that opens or closes; at least the last step opens. */
static void close_brackets(struct task_draw *d, size_t length,
                           char *ret_question, char *ret_answer)
{
    static const char open[] = "([{<", shut[] = ")]}>";
    uint32_t stack[TASKS_LONGEST];
    size_t depth = 0;

    for (size_t i = 0; i < length; i++) {
        if (depth > 0 && i + 1 < length && below(d, 3) == 0) {
            ret_question[i] = shut[stack[--depth]];
            continue;
        }
        stack[depth] = below(d, 4);
        ret_question[i] = open[stack[depth++]];
    }
    ret_question[length] = '\0';
    for (size_t i = 0; i < depth; i++)
        ret_answer[i] = shut[stack[depth - 1 - i]];
    ret_answer[depth] = '\0';
}

const struct task tasks[] = {
    { "reverse", 'r', "letters back to front", reverse },
    { "sort", 's', "letters in order of the alphabet", sort },
    { "add", 'a', "digits of two numbers added, each modulo 10", add },
    { "close", 'c', "the brackets that close what is open", close_brackets },
    { NULL, 0, NULL, NULL },
};

enum { TASKS_COUNT = sizeof(tasks) / sizeof(tasks[0]) - 1 };
_Static_assert((int)TASKS_COUNT <= (int)TASKS_MOST, "weights of a mix");

int tasks_find(const char *name)
{
    for (int i = 0; i < TASKS_COUNT; i++)
        if (strcmp(tasks[i].name, name) == 0)
            return i;
    return -1;
}

static double total_weight(const struct task_mix *mix)
{
    double total = 0.0;

    for (size_t i = 0; i < TASKS_COUNT; i++)
        total += mix->weights[i];
    return total;
}

struct status tasks_check(const struct task_mix *mix)
{
    for (size_t i = 0; i < TASKS_COUNT; i++)
        if (!(mix->weights[i] >= 0.0))
            return FAIL(STATUS_INVALID,
                        "task \"%s\" has the weight %g; weights are 0 or more",
                        tasks[i].name, mix->weights[i]);
    if (!(total_weight(mix) > 0.0))
        return FAIL(STATUS_INVALID,
                    "the mix is empty: give a task a weight above 0");
    if (mix->shortest < 1 || mix->shortest > mix->longest ||
        mix->longest > TASKS_LONGEST)
        return FAIL(STATUS_INVALID,
                    "questions of %u to %u symbols; allowed are 1 to %d, the "
                    "shortest first",
                    mix->shortest, mix->longest, TASKS_LONGEST);
    return SUCCESS;
}

/* One question in eight is for tests. The hash is scrambled because FNV's
 * bits are related for texts that differ in the last byte. */
static enum task_split split_of(const char *question)
{
    struct philox_key key = {
        .stream = philox_hash("tasks.split"),
        .tensor = philox_hash64(question),
    };

    return philox_below(key, 0, 8) == 0 ? SPLIT_TEST : SPLIT_TRAIN;
}

static int choose(const struct task_mix *mix, struct task_draw *d)
{
    double at = (double)below(d, 1U << 24) / (double)(1U << 24);
    int last = 0;

    at *= total_weight(mix);
    for (int i = 0; i < TASKS_COUNT; i++) {
        if (mix->weights[i] == 0.0)
            continue;
        last = i;
        if (at < mix->weights[i])
            return i;
        at -= mix->weights[i];
    }
    return last;
}

struct status tasks_item(const struct task_mix *mix, uint64_t index,
                         struct task_item *ret_item)
{
    enum { TRIES = 1000 };
    char question[TASK_TEXT], answer[TASK_TEXT];
    struct task_draw d = {
        .key = { .seed = mix->seed,
                 .stream = philox_hash("tasks.item"),
                 .tensor = index },
    };
    int task = choose(mix, &d);

    for (int i = 0; i < TRIES; i++) {
        uint32_t length =
            mix->shortest + below(&d, mix->longest - mix->shortest + 1);
        int n;

        tasks[task].make(&d, length, question, answer);
        if (split_of(question) != mix->split)
            continue;
        n = snprintf(ret_item->text, sizeof(ret_item->text), "%c:%s=%s",
                     tasks[task].sign, question, answer);
        ret_item->size = (size_t)n;
        ret_item->answer = ret_item->size - strlen(answer);
        ret_item->task = task;
        return SUCCESS;
    }
    return FAIL(STATUS_INVALID,
                "there are too few questions of %u to %u symbols for task "
                "\"%s\"; allow longer ones",
                mix->shortest, mix->longest, tasks[task].name);
}

size_t tasks_longest(const struct task_mix *mix)
{
    /* begin sign : a + b = answer end */
    return 3 * (size_t)mix->longest + 6;
}
