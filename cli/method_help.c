#include "cli/method_help.h"

#include <string.h>

#include "jobs/merge/merge_method.h"
#include "jobs/merge/merge_survey.h"

/* ---- what a row says --------------------------------------------------- */

/* At its default options: what one number is counted or compared over. */
static const char *scope_of(const struct merge_method *m)
{
    struct merge_step step = { .method = m, .rescale = MERGE_RESCALE_L1 };
    const struct merge_survey *survey;

    for (int o = 0; o < MERGE_OPTIONS; o++) {
        const struct merge_choice *choice =
            merge_method_choice(m, (enum merge_option)o);

        step.options[o] = choice == NULL ? 0 : choice->otherwise;
    }
    if (m->cut != NULL && m->cut(&step) == MERGE_CUT_ROWS)
        return "rows of each tensor";
    survey = m->survey == NULL ? NULL : m->survey(&step);
    if (survey == NULL)
        return "each element";
    return survey->global ? "the whole model" : "each tensor";
}

static void print_use(const struct merge_use *use, FILE *out)
{
    fprintf(out, "    %-15s %s; %c%g, %g]",
            merge_parameters[use->parameter].name,
            merge_parameters[use->parameter].help, use->above_least ? '(' : '[',
            use->least, use->most);
    if (use->required)
        fprintf(out, ", required");
    else
        fprintf(out, ", default %g", use->otherwise);
    fprintf(out, "%s%s%s\n", use->per_model ? ", for each model" : "",
            use->plain ? ", one for the whole model" : "",
            use->fusable ? ", shared" : "");
}

static void print_choice(const struct merge_choice *choice, FILE *out)
{
    const struct merge_option_row *row = &merge_options[choice->option];

    fprintf(out, "    %-15s %s;", row->name, row->help);
    for (size_t i = 0; row->words[i] != NULL; i++)
        fprintf(out, "%s %s", i == 0 ? "" : ",", row->words[i]);
    fprintf(out, ", default %s\n", row->words[choice->otherwise]);
}

static void print_switches(const struct merge_method *m, FILE *out)
{
    static const char *const rules[] = {
        [MERGE_RESCALE_NONE] = "none",
        [MERGE_RESCALE_PAPER] = "paper",
        [MERGE_RESCALE_L1] = "l1",
    };

    if (m->normalize != MERGE_NO_NORMALIZE)
        fprintf(out, "    %-15s divide by the sum of the weights, default %s\n",
                "normalize",
                m->normalize == MERGE_NORMALIZED ? "true" : "false");
    if (m->rescales)
        fprintf(out,
                "    %-15s of what a drop left; none, paper%s, default %s\n",
                "rescale_rule", m->l1 ? ", l1" : "", rules[m->rescale]);
    if (m->draws)
        fprintf(out,
                "    %-15s of the random draws, default that of the trial\n",
                "seed");
}

/* ---- methods ----------------------------------------------------------- */

static void print_method(const struct merge_method *m, FILE *out)
{
    fprintf(out, "%s%s%s\n  %s\n  %s\n", m->name, m->variant == NULL ? "" : "/",
            m->variant == NULL ? "" : m->variant, m->summary, m->formula);
    fprintf(out, "  scope: %s\n", scope_of(m));
    if (m->counts != NULL)
        fprintf(out, "  counts first: %s\n", m->counts);
    if (m->uses->most > 0.0 || m->choices != NULL)
        fprintf(out, "  takes\n");
    for (const struct merge_use *use = m->uses; use->most > 0.0; use++)
        print_use(use, out);
    for (const struct merge_choice *choice = m->choices;
         choice != NULL && choice->option != MERGE_OPTIONS; choice++)
        print_choice(choice, out);
    print_switches(m, out);
    fprintf(out, "\n");
}

bool method_help(const char *name, FILE *out)
{
    bool found = false;

    for (const struct merge_method *m = merge_methods; m->name != NULL; m++) {
        if (name != NULL && strcmp(m->name, name) != 0)
            continue;
        print_method(m, out);
        found = true;
    }
    if (found)
        fprintf(out, "Points that differ only in what is shared are computed "
                     "in one read of the models.\n");
    return found;
}
