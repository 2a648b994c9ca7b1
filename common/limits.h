/* limits.h -- everything a stranger could make us grow, and how far.
 * Sizes are bytes. Checked before memory is taken. */
#ifndef SINTER_COMMON_LIMITS_H
#define SINTER_COMMON_LIMITS_H

enum {
    LIMIT_NAME = 64, /* names of sweeps, stages, parameters ... */
    LIMIT_URL = 4096,
    LIMIT_PATH = 4096,
    LIMIT_DEPTH = 64, /* nesting of YAML and JSON */

    LIMIT_SPEC = 1 << 20,          /* a sweep file */
    LIMIT_SPEC_NODES = 100 * 1000, /* nodes of its tree */
    LIMIT_PARAMETERS = 256,        /* swept parameters of a sweep */
    LIMIT_CASES = 256,
    LIMIT_STAGES = 64,
    LIMIT_EVALUATORS = 64,
    LIMIT_VALUES = 100 * 1000, /* listed values of one parameter */
    LIMIT_MODELS = 64,         /* inputs of one merge */
    LIMIT_COMPILED = 4 << 20,  /* a compiled sweep */

    LIMIT_MESSAGE = 8 << 20, /* one wire message, whoever sends it */
    /* To the broker: a full result and what stands beside it ... */
    LIMIT_ORDINARY = (1 << 20) + (128 << 10),
    LIMIT_SUBMIT = LIMIT_COMPILED + (128 << 10), /* ... but for these */
    LIMIT_MESSAGE_DEPTH = 8,
    LIMIT_MESSAGE_NODES = 1 << 20, /* ours have over 9 bytes a node */
    LIMIT_BATCH = 4096,            /* elements of a list in a message */
    LIMIT_PARAMS = 1 << 20,        /* resolved parameters of a job */
    LIMIT_RESULT = 1 << 20,        /* result of a job */
    LIMIT_LOG_TAIL = 16 << 10,     /* kept of a job's log */

    LIMIT_WORKERS = 10000,
    LIMIT_SLOTS = 1024, /* of one worker */
    LIMIT_CPUS = 4096,  /* that one job can ask for */
    LIMIT_LABELS = 16,  /* the same */
    LIMIT_SWEEPS = 100 * 1000,

    LIMIT_RANK = 8,           /* dimensions of a tensor */
    LIMIT_TENSORS = 1 << 20,  /* of one model */
    LIMIT_SHARDS = 10000,     /* files of one model */
    LIMIT_HEADER = 100 << 20, /* safetensors header */
    LIMIT_INDEX = 64 << 20,   /* model.safetensors.index.json */
    LIMIT_CONFIG = 1 << 20,   /* config.json */
    LIMIT_MANIFEST = 8 << 20, /* list of an artifact's files */

    LIMIT_VOCAB = 1 << 22,      /* tokens of a tokenizer */
    LIMIT_COMPANION = 64 << 20, /* tokenizer.json and such, one of them */

    LIMIT_SEQUENCE = 1 << 16, /* tokens of one sequence */
};

#endif
